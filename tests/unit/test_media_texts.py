from __future__ import annotations

from dataclasses import replace

import pytest

from search.media import DecodePool
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


def test_html_gives_what_a_reader_sees(pool, write):
    page = """<!DOCTYPE html><html><head><title>The  harbour</title><style>p {color: red}</style></head><body>
    <script>var hidden = "secret";</script><h1>Boats</h1><p>A <b>blue</b> boat &amp; a&nbsp;buoy.<br>It leaves.</p>
    <div>Outside<p>Inside the block is a sentence.</p></div><template>secret</template></body></html>"""
    found = decode(pool, write("a.html", page))
    assert (found.info.format, found.info.title) == ("html", "The harbour")
    assert words(found) == ["Boats\n\nA blue boat & a buoy. It leaves.", "Outside\n\nInside the block is a sentence."]
    assert words(decode(pool, write("b.txt", page))) == words(found)


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
