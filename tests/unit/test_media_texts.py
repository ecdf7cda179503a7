from __future__ import annotations

import io
import time
import zipfile
from dataclasses import replace

import pytest

from search.media import DecodePool
from search.media.decode.paragraphs import unhyphenated
from search.types import Channel, Modality, Span
from tests.media_samples import pdf
from tests.unit.media_pool import NEEDS, decode, refusal, settings

LONG = "The lorry waits at the gate. Its engine runs all morning long. Nobody comes to open. "


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(), 1) as pool:
        yield pool


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def words(found):
    return [cut.content for cut in found.cuts]


def test_blank_lines_part_paragraphs_and_spans_point_into_the_text(pool, write):
    text = "A red bus stops.\r\nPeople get on.\r\n\r\n  \r\nA blue boat leaves the harbour.\n\n\n***\n\nThe end of it all."
    found = decode(pool, write("a.txt", text))
    assert found.info.modality is Modality.TEXT
    assert words(found) == [
        "A red bus stops.\r\nPeople get on.",
        "A blue boat leaves the harbour.",
        "The end of it all.",
    ]
    for cut in found.cuts:
        assert (cut.channel, cut.modality, cut.span.unit) == (Channel.TEXT, Modality.TEXT, "char")
        assert text[cut.span.start : cut.span.end] == cut.content


def test_a_heading_joins_what_it_heads_and_is_the_title(pool, write):
    found = decode(pool, write("a.md", "# Boats\n\nA blue boat leaves.\n\n## Buses\n\nA red bus stops."))
    assert found.info.title == "Boats"
    assert words(found) == ["# Boats\n\nA blue boat leaves.", "## Buses\n\nA red bus stops."]


@pytest.mark.parametrize("text", [LONG * 20, "word " * 400, "x" * 1000, "汽车停在房子前面。" * 100])
def test_what_is_too_long_is_split_and_nothing_is_lost(pool, write, text):
    found = decode(pool, write("a.txt", text))
    assert all(0 < len(piece) <= NEEDS.characters for piece in words(found))
    assert "".join("".join(words(found)).split()) == "".join(text.split())
    if text.startswith("The lorry"):
        assert all(piece.endswith(".") for piece in words(found))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("café très français, déjà vu à la mode", "cp1252"),
        ("Die Straße führt über die Brücke nach Köln.", "latin-1"),
        ("Красная машина стоит на улице перед домом.", "cp1251"),
        ("赤い車が家の前に止まっています。とても速いです。", "shift_jis"),
        ("A bus – ein Bus – автобус", "utf-16"),
        ("A bus – ein Bus – автобус", "utf-32"),
        ("A bus – ein Bus – автобус", "utf-8-sig"),
    ],
)
def test_the_character_set_is_found_out(pool, write, text, encoding):
    assert words(decode(pool, write("a.txt", text.encode(encoding)))) == [text]


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("the copper lan-\ntern of the harbour", "the copper lantern of the harbour"),
        ("ein Fest in der Haupt-\r\n  stadt", "ein Fest in der Hauptstadt"),
        ("Nord-\nSüd, so\u00ad\nft, Kl\u2010\name", "Nord-Süd, soft, Klame"),
        ("a well-\nknown inn, Well-known indeed", "a well-known inn, Well-known indeed"),
        ("pages 10-\n20 - or\n- a list -\nit goes on", "pages 10-\n20 - or\n- a list -\nit goes on"),
    ],
)
def test_words_that_the_end_of_a_line_parts_are_whole_again(pool, write, text, whole):
    assert words(decode(pool, write("a.txt", text))) == [whole]


def test_long_lines_of_letters_and_hyphens_cost_no_more_than_their_length():
    began = time.process_time()
    for text in ("a" * 2_000_000, "a-" * 1_000_000, "lan-\ntern " * 100_000, "-" + " " * 2_000_000):
        unhyphenated(text + "x-\ny")
    assert time.process_time() - began < 30


def test_a_pdf_whose_lines_end_amid_words_gives_whole_words(pool, write):
    lines = pdf(") Tj 0 -18 Td (".join(["The copper lan-", "tern of Nord-", "Korea, photo-", "graphs of it."]))
    assert words(decode(pool, write("a.pdf", lines))) == ["The copper lantern of Nord-Korea, photographs of it."]


def test_html_gives_what_a_reader_sees(pool, write):
    page = """<!DOCTYPE html><html><head><title>The  harbour</title><style>p {color: red}</style></head><body>
    <script>var hidden = "secret";</script><h1>Boats</h1><p>A <b>blue</b> boat &amp; a&nbsp;buoy.<br>It leaves.</p>
    <div>Outside<p>Inside the block is a sentence.</p></div><template>secret</template></body></html>"""
    found = decode(pool, write("a.html", page))
    assert (found.info.format, found.info.title) == ("html", "The harbour")
    assert words(found) == ["Boats\n\nA blue boat & a buoy. It leaves.", "Outside\n\nInside the block is a sentence."]
    assert words(decode(pool, write("b.txt", page))) == words(found)


def test_what_is_hidden_from_readers_of_a_page_is_not_read(pool, write):
    page = """<html><body><p>Seen tulips.</p><p hidden>Unseen orchids.</p><div HIDDEN="until-found"><p>Unseen ferns.</p></div><span aria-hidden="true">Unseen
    lilies</span><span aria-hidden="false">, seen roses</span><p style="color: red; display : none">Unseen moss.</p></body></html>"""
    assert words(decode(pool, write("a.html", page))) == ["Seen tulips.\n\n, seen roses"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "a.html",
            '<html><head><meta charset="windows-1251"></head><body>Дом у реки</body></html>'.encode("cp1251"),
            "Дом у реки",
        ),
        (
            "a.html",
            '<html><head><meta http-equiv="Content-Type" content="text/html; charset=ISO-8859-2"></head><body>Žluťoučký kůň</body></html>'.encode(
                "iso8859-2"
            ),
            "Žluťoučký kůň",
        ),
        ("a.html", '<?xml version="1.0" encoding="koi8-r"?><html><body>Дом у реки</body></html>'.encode("koi8-r"), "Дом у реки"),
        ("a.html", '<html><head><meta charset="nonsense"></head><body>Dom ą</body></html>'.encode(), "Dom ą"),
        ("a.html", '<html><head><meta charset="windows-1251"></head><body>Dom ą</body></html>'.encode(), "Dom ą"),
        ("a.html", '<html><head><meta charset="hex"></head><body>caf\xe9</body></html>'.encode("cp1252"), "café"),
    ],
)
def test_a_character_set_that_is_declared_counts(pool, write, name, content, expected):
    assert words(decode(pool, write(name, content))) == [expected]


def test_subtitles_keep_their_times(pool, write):
    srt = """1
00:00:01,000 --> 00:00:03,500
<i>A red</i> bus
stops.

2
00:00:04,000 --> 00:00:05,000
People get on.

3
01:00:00,000 --> 01:00:02,000
Much later.
""".replace("\n", "\r\n")
    vtt = """WEBVTT

NOTE nothing

id
00:01.000 --> 00:03.500 align:start
<v Anna>A red bus stops.

00:04.000 --> 00:05.000
People get on.

01:00:00.000 --> 01:00:02.000
Much later.
"""
    for name, text in (("a.srt", srt), ("a.vtt", vtt), ("b.txt", vtt)):
        found = decode(pool, write(name, text))
        assert [(cut.span, cut.content) for cut in found.cuts] == [
            (Span(1000, 5000), "A red bus stops. People get on."),
            (Span(3_600_000, 3_602_000), "Much later."),
        ]


def test_subtitles_merge_only_up_to_what_an_encoder_reads(pool, write):
    cues = "\n".join(f"{n}\n00:00:{n:02},000 --> 00:00:{n + 1:02},000\nSentence number {n} of the film.\n" for n in range(30))
    found = decode(pool, write("a.srt", cues), replace(NEEDS, characters=100))
    assert all(len(piece) <= 100 for piece in words(found))
    assert len(found.cuts) == 10


def test_a_pdf_gives_the_text_of_its_pages(pool, write):
    found = decode(pool, write("a.pdf", pdf("A red bus stops.", "A blue boat leaves.")))
    assert found.info.format == "pdf"
    assert words(found) == ["A red bus stops.", "A blue boat leaves."]
    assert found.cuts[1].span == Span(17, 36, "char")
    assert words(decode(pool, write("b.jpg", pdf("A red bus stops.")))) == ["A red bus stops."]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", b"  \n\n \t ", "no_content"),
        ("a.txt", b"words\0and\0bytes" * 100, "not_text"),
        ("a.md", bytes(range(256)) * 10, "not_text"),
        ("a.txt", b"words " * 2000 + b"\0\1\2" * 500, "not_text"),
        ("a.html", b"<html><script>only()</script></html>", "no_content"),
        ("a.pdf", b"%PDF-1.7\nrubbish", "undecodable"),
        ("b.pdf", pdf(""), "no_content"),
        ("a.srt", b"1\n00:00:01,000 --> 00:00:02,000\n\n", "no_content"),
    ],
)
def test_bad_texts_are_told_with_their_reason(pool, write, name, content, reason):
    assert refusal(pool, write(name, content)).reason == reason


def test_a_text_cut_amid_a_letter_is_read(pool, write):
    assert words(decode(pool, write("a.txt", "An ending in ü".encode()[:-1]))) == ["An ending in"]


def test_of_an_endless_text_the_beginning_is_read(pool, tmp_path, write):
    path = write("a.txt", (LONG * 600_000).encode())
    needs, cuts = replace(NEEDS, characters=100_000), 0
    for found in pool.decode(path, needs):
        cuts, last = cuts + 1, found
    assert cuts > 400
    assert last.reason == "not_sampled"


W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/"'
ODT = "application/vnd.oasis.opendocument.text"
ODF = "urn:oasis:names:tc:opendocument:xmlns"
O = f'xmlns:office="{ODF}:office:1.0" xmlns:text="{ODF}:text:1.0" xmlns:meta="{ODF}:meta:1.0"'  # noqa: E741


def packed(**parts):
    """A ZIP archive; ``__`` in a name stands for a slash, and its suffix is .xml unless it has one of its own."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, content in parts.items():
            archive.writestr(
                name.replace("__", "/").replace("_jpg", ".jpg"),
                content,
                zipfile.ZIP_DEFLATED if name != "mimetype" else zipfile.ZIP_STORED,
            )
    return raw.getvalue()


def docx(body, declared="", **more):
    """A DOCX file with this body."""
    xml = {f"{name}.xml" if "jpg" not in name else name: content for name, content in more.items()}
    return packed(
        **{"word__document.xml": f'<?xml version="1.0"?>{declared}<w:document {W}><w:body>{body}</w:body></w:document>', **xml}
    )


def run(text, properties=""):
    return f'<w:r>{properties}<w:t xml:space="preserve">{text}</w:t></w:r>'


def test_a_docx_is_read_as_it_is_seen_on_paper(pool, write):
    hidden = run("secretword", "<w:rPr><w:vanish/></w:rPr>")
    body = (
        f"<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr>{run('The copper lan')}{run('tern hangs')}<w:r><w:br/></w:r>{run('in the hall of the harbour.')}{hidden}</w:p>"
        f"<w:tbl><w:tr><w:tc><w:p>{run('The first cell of the table &amp; its text.')}</w:p></w:tc></w:tr></w:tbl>"
        f"<w:p><w:del><w:r><w:delText>deletedword</w:delText></w:r></w:del><w:r><w:instrText>PAGE</w:instrText></w:r>"
        f"<mc:AlternateContent><mc:Choice>{run('This box stands here once and not twice.')}</mc:Choice><mc:Fallback>{run('fallbackword')}</mc:Fallback></mc:AlternateContent></w:p>"
    )
    core = f"<core {DC}><dc:title>Harbour report</dc:title><dcterms:created>2019-07-14T12:20:56Z</dcterms:created></core>"
    footnotes = (
        f"<w:footnotes {W}><w:footnote><w:p>{run('A footnote says who lit it every evening.')}</w:p></w:footnote></w:footnotes>"
    )
    path = write("a.docx", docx(body, docProps__core=core, word__footnotes=footnotes, word__media__image1_jpg=b"x"))
    found = decode(pool, path)
    assert words(found) == [
        "The copper lantern hangs\nin the hall of the harbour.",
        "The first cell of the table & its text.",
        "This box stands here once and not twice.",
        "A footnote says who lit it every evening.",
    ]
    assert (found.info.modality, found.info.format, found.info.title) == (Modality.TEXT, "docx", "Harbour report")
    assert [stamp.text for stamp in found.info.stamps] == ["2019-07-14T12:20:56Z"]
    assert [gap.detail for gap in found.gaps] == ["the pictures in the document are not searched (1)"]


def test_an_odt_is_read_whatever_it_is_called(pool, write):
    body = (
        "<text:tracked-changes><text:p>deletedword</text:p></text:tracked-changes><text:h>The Harbour</text:h>\n"
        "<text:p>A copper\n   lantern<text:s text:c='2'/>and a <text:span>bell</text:span><text:tab/>hang<office:annotation><text:p>commentword</text:p></office:annotation>ing here.</text:p>"
    )
    parts = {
        "mimetype": ODT, "content.xml": f"<office:document-content {O}><office:body><office:text>{body}</office:text></office:body></office:document-content>",
        "meta.xml": f"<office:document-meta {O} {DC}><office:meta><meta:creation-date>1999-02-03T04:05:06</meta:creation-date></office:meta></office:document-meta>",
    }  # fmt: skip
    for name in ("a.odt", "a.bin"):
        found = decode(pool, write(name, packed(**parts)))
        assert words(found) == ["The Harbour\n\nA copper lantern  and a bell\thanging here."]
        assert [stamp.text for stamp in found.info.stamps] == ["1999-02-03T04:05:06"]
        assert found.gaps == []


BOMB = "<!DOCTYPE w [<!ENTITY a 'aaaaaaaaaa'>]>"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (docx(f"<w:p>{run('A long enough text of this file.')}</w:p>")[:-40], "truncated"), (docx("<w:p/>"), "no_content"),
        (docx("<w:p/>", word__media__a_jpg=b"x"), "no_content"), (docx(f"<w:p>{run('cut &amp; ')}"), "undecodable"),
        (docx(f"<w:p>{run('&a;')}</w:p>", BOMB), "unsupported"), (packed(some__thing=b"x"), "unsupported"),
        (packed(**{"mimetype": ODT, "content.xml": b"\x8f\x01\x02 encrypted"}), "undecodable"), (b"PK\3\4", "truncated"), (b"", "empty"),
        (b"\xd0\xcf\x11\xe0" + bytes(600), "not_text"), (docx("<w:p>" + " " * 50_000_001 + "</w:p>"), "too_large"),
    ],
)  # fmt: skip
def test_a_damaged_document_is_refused_and_says_why(pool, write, content, reason):
    assert refusal(pool, write("a.docx", content)).reason == reason
