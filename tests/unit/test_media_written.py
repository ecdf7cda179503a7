"""What is written in media, through the real decoders."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from search.media import DecodePool
from search.media.metadata import language_names, text_values, xmp
from search.media.metadata.subtitles import Cues
from search.readers.written import WrittenReader
from search.types import Channel, Gap, Modality, Span
from tests.media_samples import picture, tone, write_sound, write_video
from tests.unit.media_pool import decode, refusal, settings

NEEDS = WrittenReader.needs


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(), 1) as pool:
        yield pool


def told(pool, path):
    """(source, text, language) of each cut; there must be no gap."""
    found = decode(pool, path, NEEDS)
    assert found.gaps == []
    return [(cut.source, cut.content, cut.language) for cut in found.cuts]


def rdf(inside: str, attributes: str = "") -> bytes:
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/" {attributes}>{inside}</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>""".encode()


CAPTIONED = rdf(
    """<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Der Hafen</rdf:li><rdf:li xml:lang="de-DE">Der Hafen</rdf:li>
    <rdf:li xml:lang="en">The harbour</rdf:li></rdf:Alt></dc:title>
    <dc:subject><rdf:Bag><rdf:li>harbour</rdf:li><rdf:li/><rdf:li>boats</rdf:li><rdf:li>evening</rdf:li><rdf:li>boats</rdf:li></rdf:Bag></dc:subject>
    <Iptc4xmpExt:LocationCreated><rdf:Bag><rdf:li rdf:parseType="Resource"><Iptc4xmpExt:City>Hamburg</Iptc4xmpExt:City>
    <Iptc4xmpExt:CountryName>Germany</Iptc4xmpExt:CountryName></rdf:li></rdf:Bag></Iptc4xmpExt:LocationCreated>
    <photoshop:ICCProfile>sRGB</photoshop:ICCProfile><dc:creator><rdf:Seq><rdf:li>Jane Doe</rdf:li></rdf:Seq></dc:creator>""",
    'photoshop:Headline="Boats &amp; &lt;buoys&gt;" photoshop:City="Hamburg"',
)
CAPTION = [
    ("Der Hafen", "de"), ("The harbour", "en"), ("Boats & <buoys>", None), ("Der Hafen", None),
    ("harbour, boats, evening", None), ("Hamburg, Germany", None), ("Jane Doe", None),
]  # fmt: skip


def iim(*sets: tuple[int, int, bytes]) -> bytes:
    return b"".join(struct.pack(">BBBH", 0x1C, record, number, len(value)) + value for record, number, value in sets)


def with_segment(path: Path, marker: int, content: bytes) -> None:
    """Put a segment into a JPEG."""
    jpeg = path.read_bytes()
    path.write_bytes(jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content + jpeg[2:])


def photoshop(content: bytes) -> bytes:
    return b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(content)) + content


def behind_the_picture(path: Path, kind: bytes, content: bytes) -> None:
    """Put a chunk before the end of a PNG."""
    png = path.read_bytes()
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    path.write_bytes(png[:-12] + chunk + png[-12:])


def exif_of(**tags: object) -> Image.Exif:
    exif = Image.Exif()
    for name, value in tags.items():
        if name == "comment":
            exif[0x8769] = exif.get_ifd(0x8769)
            exif.get_ifd(0x8769)[0x9286] = value
        else:
            exif[int(name[1:], 16)] = value
    return exif


# Pictures.


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif", "tiff"])
def test_xmp_is_read_in_every_format_and_languages_are_kept(pool, tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    extra = {"xmp": CAPTIONED}
    if suffix == "png":
        extra = {"pnginfo": PngImagePlugin.PngInfo()}
        extra["pnginfo"].add_itxt("XML:com.adobe.xmp", CAPTIONED.decode())
    if suffix == "tiff":
        extra = {"tiffinfo": TiffImagePlugin.ImageFileDirectory_v2()}
        extra["tiffinfo"][700] = CAPTIONED
        extra["tiffinfo"].tagtype[700] = 1
    picture("red").save(path, **extra)
    found = decode(pool, path, NEEDS)
    assert (found.info.modality, found.info.width, found.gaps) == (Modality.IMAGE, 120, [])
    assert sorted((cut.content, str(cut.language)) for cut in found.cuts) == sorted((text, str(code)) for text, code in CAPTION)
    assert {(cut.source, cut.channel, cut.modality, cut.span) for cut in found.cuts} == {
        ("XMP", Channel.TEXT, Modality.TEXT, None)
    }


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif", "tiff"])
def test_exif_is_read_in_every_format(pool, tmp_path, suffix):
    exif = exif_of(x010E="A red bus stops.", x013B="Jane Doe", x8298="(c) 2020", x9C9E="Hafen;Boote".encode("utf-16-le") + b"\0\0",
                   comment=b"ASCII\0\0\0Nobody gets off.")  # fmt: skip
    picture("red").save(tmp_path / f"a.{suffix}", exif=exif)
    assert sorted(told(pool, tmp_path / f"a.{suffix}")) == [
        ("EXIF", "A red bus stops.", None),
        ("EXIF", "Hafen, Boote", None),
        ("EXIF", "Jane Doe, (c) 2020", None),
        ("EXIF", "Nobody gets off.", None),
    ]


@pytest.mark.parametrize("comment", [
    b"UNICODE\0" + "Ein Café, ein Bus".encode("utf-16-le"),
    b"UNICODE\0" + "Ein Café, ein Bus".encode("utf-16-be"),
    b"UNICODE\0" + "Ein Café, ein Bus".encode("utf-16"),
    b"UNICODE\0" + "Ein Café, ein Bus".encode(),
    b"ASCII\0\0\0" + "Ein Café, ein Bus".encode(),
    b"ASCII\0\0\0" + "Ein Café, ein Bus".encode("cp1252") + b"\0\0\0",
    b"\0" * 8 + "Ein Café, ein Bus".encode(),
    "Ein Café, ein Bus".encode(),
    "Ein Café, ein Bus".encode().decode("cp1252").encode(),
])  # fmt: skip
def test_a_comment_is_understood_whatever_its_character_set(pool, tmp_path, comment):
    picture("red").save(tmp_path / "a.jpg", exif=exif_of(comment=comment))
    assert told(pool, tmp_path / "a.jpg") == [("EXIF", "Ein Café, ein Bus", None)]


def test_a_comment_in_japanese_is_understood(pool, tmp_path):
    picture("red").save(tmp_path / "a.jpg", exif=exif_of(comment=b"JIS\0\0\0\0\0" + "赤いバス".encode("iso2022_jp")))
    picture("red").save(tmp_path / "b.jpg", exif=exif_of(comment=b"UNICODE\0" + "赤いバス".encode("utf-16-be")))
    assert [text for name in "ab" for _, text, _ in told(pool, tmp_path / f"{name}.jpg")] == ["赤いバス"] * 2


@pytest.mark.parametrize(("encoding", "mark"), [("utf-8", ((1, 90, b"\x1b%G"),)), ("utf-8", ()), ("cp1252", ())])
def test_the_caption_of_a_press_photograph_is_read(pool, tmp_path, encoding, mark):
    sets = [
        (2, 120, "Ein Bus hält in Köln."),
        (2, 25, "Bus"),
        (2, 25, "Straße"),
        (2, 90, "Köln"),
        (2, 101, "Deutschland"),
        (2, 80, "Jane"),
    ]
    raw = iim(*mark, *((record, number, text.encode(encoding)) for record, number, text in sets))
    want = [("IPTC", text, None) for text in ("Ein Bus hält in Köln.", "Bus, Straße", "Köln, Deutschland", "Jane")]
    picture("red").save(tmp_path / "a.jpg")
    with_segment(tmp_path / "a.jpg", 0xED, photoshop(raw))
    assert told(pool, tmp_path / "a.jpg") == want
    count = len(raw) // 4 + 1  # the type of this tag is that of long numbers
    tags = ((256, 1), (257, 1), (258, 8), (262, 1), (273, 8), (278, 1), (279, 1))
    tiff = struct.pack("<2sHIH", b"II", 42, 8, len(tags) + 1) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags
    )
    tiff += struct.pack("<HHII", 33723, 4, count, len(tiff) + 16)
    (tmp_path / "a.tiff").write_bytes(tiff + struct.pack("<I", 0) + raw.ljust(4 * count, b"\0"))
    assert told(pool, tmp_path / "a.tiff") == want


def test_what_png_says_is_read_before_and_behind_the_picture(pool, tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "Die Küste")
    info.add_itxt("Description", "A red bus stops. 赤", zip=True)
    info.add_text("Software", "not of interest")
    picture("red").save(tmp_path / "a.png", pnginfo=info)
    behind_the_picture(tmp_path / "a.png", b"tEXt", b"Comment\0Nobody gets off.")
    behind_the_picture(tmp_path / "a.png", b"zTXt", b"Author\0\0" + zlib.compress(b"Jane Doe"))
    behind_the_picture(tmp_path / "a.png", b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + rdf("", 'photoshop:Headline="Behind"'))
    behind_the_picture(tmp_path / "a.png", b"eXIf", exif_of(x010E="Of a camera.").tobytes()[6:])
    assert told(pool, tmp_path / "a.png") == [
        ("XMP", "Behind", None),
        ("EXIF", "Of a camera.", None),
        ("PNG", "Die Küste", None),
        ("PNG", "A red bus stops. 赤", None),
        ("PNG", "Nobody gets off.", None),
        ("PNG", "Jane Doe", None),
    ]


def test_a_text_of_png_is_cut_between_letters(pool, tmp_path):
    picture("red").save(tmp_path / "a.png")
    behind_the_picture(tmp_path / "a.png", b"zTXt", b"Title\0\0" + zlib.compress("a赤".encode() * 50_000))
    found = decode(pool, tmp_path / "a.png", NEEDS)
    assert found.content == "a赤" * 10_000
    assert [gap.reason for gap in found.gaps] == ["not_read"]


def test_what_cameras_and_programs_say_of_themselves_is_no_caption(pool, tmp_path):
    picture("red").save(
        tmp_path / "a.jpg", exif=exif_of(x010E="OLYMPUS DIGITAL CAMERA         "), comment="Created with The GIMP"
    )
    assert told(pool, tmp_path / "a.jpg") == []
    picture("red").save(tmp_path / "a.gif", comment=b"A red bus stops.")
    assert told(pool, tmp_path / "a.gif") == [("comment", "A red bus stops.", None)]


def test_only_what_is_asked_for_comes(pool, tmp_path):
    picture("red").save(tmp_path / "a.jpg", exif=exif_of(x010E="A red bus stops."))
    assert {cut.channel for cut in decode(pool, tmp_path / "a.jpg").cuts} == {Channel.VISUAL}


BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;">]>"""
LURE = b"""<!DOCTYPE x [<!ENTITY c SYSTEM "file:///etc/passwd">]>"""


@pytest.mark.parametrize("raw", [
    BOMB + rdf("<dc:title>&c;</dc:title>").partition(b"?>")[2],
    LURE + rdf("<dc:title>&c;</dc:title>").partition(b"?>")[2],
    rdf("<dc:title>&c;</dc:title>"),
    rdf("<dc:title>" + "<x>" * 200 + "deep" + "</x>" * 200 + "</dc:title>"),
    rdf("<dc:title>" + "<x>" * 200_000),
    b"<",
    bytes(range(256)),
    b"\xff\xfe<\0?\0x\0",
    b"<x xmlns='" + b"a" * 100_000 + b"'/>",
])  # fmt: skip
def test_xmp_that_would_grow_or_read_other_files_is_a_gap(pool, tmp_path, raw):
    (tmp_path / "a.xmp").write_bytes(raw)
    if raw != bytes(range(256)):
        picture("red").save(tmp_path / "a.avif", xmp=raw)
        found = decode(pool, tmp_path / "a.avif", NEEDS)
        assert [cut.content for cut in found.cuts] == []
        assert [gap.reason for gap in found.gaps] == (["not_read"] if b"xmlns='a" not in raw else [])
        assert "root:" not in str(found)


def test_of_damaged_xmp_the_beginning_is_read_and_the_loss_told(pool, tmp_path):
    picture("red").save(tmp_path / "a.webp", xmp=CAPTIONED[: CAPTIONED.index(b"<Iptc4xmpExt")])
    found = decode(pool, tmp_path / "a.webp", NEEDS)
    assert "harbour, boats, evening" in [cut.content for cut in found.cuts]
    assert [gap.reason for gap in found.gaps] == ["not_read"]
    assert found.gaps[0].detail.startswith("XMP: ")


def test_what_is_too_much_is_left_out_and_told(pool, tmp_path):
    subjects = "".join(f"<rdf:li>k{number}</rdf:li>" for number in range(5000))
    picture("red").save(
        tmp_path / "a.webp", xmp=rdf(f"<dc:subject>{subjects}</dc:subject>", f'photoshop:Headline="{"long " * 10_000}"')
    )
    found = decode(pool, tmp_path / "a.webp", NEEDS)
    headline, keywords = (cut.content for cut in found.cuts)
    assert (len(headline), keywords.count(",")) == (19_999, text_values.MAX_VALUES - 2)
    assert [gap.detail for gap in found.gaps] == [
        f"XMP: of a value only the first {text_values.MAX_VALUE_CHARACTERS} characters were read",
        f"XMP: only the first {text_values.MAX_VALUES} values were read",
    ]
    huge = rdf("<dc:title>ok</dc:title><dc:source>" + "x" * xmp.MAX_BYTES + "</dc:source>")
    picture("red").save(tmp_path / "b.webp", xmp=huge)
    found = decode(pool, tmp_path / "b.webp", NEEDS)
    assert [cut.content for cut in found.cuts] == ["ok"]
    assert [gap.reason for gap in found.gaps] == ["not_read"]


@pytest.mark.parametrize("harm", [
    lambda raw: raw[:20],
    lambda raw: raw[:-30],
    lambda raw: raw.replace(b"\x0e\x01\x02\0", b"\x0e\x01\x0c\0"),  # a text that says it is doubles
    lambda raw: raw[:10] + b"\xff\xff" + raw[12:],  # 65,535 entries
    lambda raw: raw[:4] + b"\xff\xff\xff\xff" + raw[8:],
    lambda raw: raw[:-4] + struct.pack("<I", 8),  # the next directory is this one
    lambda raw: raw.replace(struct.pack("<HHI", 0x8769, 4, 1), struct.pack("<HHII", 0x8769, 4, 1, 8)[:12]),
    lambda raw: b"II*\0" + struct.pack("<IH", 8, 3) + b"".join(struct.pack("<HHII", tag, 2, 0xFFFFFFF0, 0) for tag in (0x010E, 0x013B, 0x8298)),
    lambda raw: b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x8769, 4, 1, 8, 8),  # details inside themselves
    lambda raw: b"",
])  # fmt: skip
def test_damaged_exif_never_hides_the_rest(pool, tmp_path, harm):
    raw = harm(exif_of(x010E="A red bus stops at the corner.", comment=b"ASCII\0\0\0Nobody").tobytes()[6:])
    picture("red").save(tmp_path / "a.jpg", exif=b"Exif\0\0" + raw, xmp=rdf("", 'photoshop:Headline="Bus"'))
    found = decode(pool, tmp_path / "a.jpg", NEEDS)
    assert found.cuts[0].content == "Bus"
    assert {gap.reason for gap in found.gaps} <= {"not_read"}


def test_damaged_details_do_not_hide_the_description(pool, tmp_path):
    description = b"A red bus.\0"
    raw = b"II*\0" + struct.pack("<IHHHIIHHIII", 8, 2, 0x010E, 2, len(description), 38, 0x8769, 4, 1, 0xFFFFFF, 0) + description
    picture("red").save(tmp_path / "a.jpg", exif=b"Exif\0\0" + raw)
    found = decode(pool, tmp_path / "a.jpg", NEEDS)
    assert [cut.content for cut in found.cuts] == ["A red bus."]


def test_what_hides_words_or_turns_them_round_is_dropped():
    assert (
        text_values.clean("a\0b\x1b[31m c\u200bd \u202egnp.exe\u202c\r\ne\u2028f\n\n\n\ng\ufeff\ud800")
        == "a b [31m cd gnp.exe\ne\nf\n\ng"
    )
    assert text_values.clean("👩\u200d🚒 می\u200cخواهم") == "👩\u200d🚒 می\u200cخواهم"


@pytest.mark.parametrize(("name", "code"), [("ger", "de"), ("deu", "de"), ("pt-BR", "pt"), ("zh_Hans", "zh"), ("Greek", "el"),
                                            ("und", None), ("", None), (None, None), ("x-default", None)])  # fmt: skip
def test_a_language_is_known_by_all_its_names(name, code):
    assert language_names.code(name) == code
    assert code is None or language_names.code(language_names.name(code)) == code


# Sound and video.

TAGS = {
    "title": "Die Küste",
    "artist": "The Gulls",
    "album": "Harbours",
    "comment": "Live in Hamburg",
    "genre": "Folk; Sea",
    "lyrics": "La\nla",
}


def write_tagged(path: Path, **tags: str) -> Path:
    write_sound(path.with_name(f"plain.{path.suffix[1:]}"), tone(440, 1.0))
    with av.open(str(path.with_name(f"plain{path.suffix}"))) as source, av.open(
        str(path), "w", format={"m4a": "ipod", "opus": "ogg"}.get(path.suffix[1:])
    ) as copy:  # fmt: skip
        copy.metadata.update(tags)
        stream = copy.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    return path


@pytest.mark.parametrize(("suffix", "source"), [("mp3", "ID3"), ("flac", "Vorbis comment"), ("ogg", "Vorbis comment"), ("m4a", "MP4 tags"),
                                                ("opus", "Vorbis comment"), ("wav", "RIFF INFO")])  # fmt: skip
def test_tags_are_read_in_every_format(pool, tmp_path, suffix, source):
    found = told(pool, write_tagged(tmp_path / f"a.{suffix}", **TAGS))
    assert {where for where, _, _ in found} == {source}
    want = {"Die Küste", "The Gulls", "Harbours", "Live in Hamburg", "Folk, Sea"} | ({"La\nla"} if suffix != "wav" else set())
    assert {text for _, text, _ in found} == want


@pytest.mark.parametrize("title", ["Группа крови", "Die Küste", "Été à l'île", "Crème brûlée", "Æøå", "Größe: äöüÄÖÜß"])
def test_what_was_taken_for_latin_1_is_mended_and_nothing_else(pool, tmp_path, title):
    raw = title.encode("cp1251") if "Г" in title else title.encode("latin-1")
    write_tagged(tmp_path / "a.mp3", title=raw.decode("latin-1"))
    assert told(pool, tmp_path / "a.mp3") == [("ID3", title, None)]


def test_tags_in_latin_1_are_read(pool, tmp_path):
    path = write_tagged(tmp_path / "a.mp3")
    sound = path.read_bytes()
    sound = sound[10 + int.from_bytes(sound[6:10], "big") :]  # without the tags in front: those behind have no character set
    path.write_bytes(
        sound + b"TAG" + "Die Küste".encode("latin-1").ljust(30, b"\0") + "Café".encode("latin-1").ljust(94, b"\0") + b"\xff"
    )
    found = decode(pool, path, NEEDS)
    assert found.info.title == "Die Küste"
    assert [cut.content for cut in found.cuts][:2] == ["Die Küste", "Café"]


def write_subtitled(path: Path, tracks, seconds: float = 4.0, begins: int = 0, **chapters: tuple[int, int]) -> Path:
    """A film with tracks of subtitles: (codec, language, cues), cues being (start, duration, bytes) in ms. ``begins``: with which second its clock begins."""
    with av.open(str(path), "w", options={"output_ts_offset": str(begins)}) as film:
        pictures = film.add_stream("libx264", rate=5, options={"preset": "ultrafast"})
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        streams = []
        for codec, language, _ in tracks:
            stream = film.add_stream(codec)
            stream.time_base, stream.metadata["language"] = Fraction(1, 1000), language
            stream.codec_context.subtitle_header = b"[Script Info]\n"
            streams.append(stream)
        if chapters:
            film.set_chapters([
                {"id": number, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": title.replace("_", " ")}}
                for number, (title, (start, end)) in enumerate(chapters.items())
            ])  # fmt: skip
        for number in range(round(seconds * 5)):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture("red", (64, 48))), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 5)
            film.mux(pictures.encode(frame))
        film.mux(pictures.encode())
        packets = sorted((start, lasts, raw, number) for number, (_, _, cues) in enumerate(tracks) for start, lasts, raw in cues)
        for start, lasts, raw, number in packets:
            packet = av.Packet(raw)
            packet.stream, packet.time_base = streams[number], Fraction(1, 1000)
            packet.pts = packet.dts = start
            packet.duration = lasts
            film.mux(packet)
    return path


def boxed(text: str) -> bytes:
    return len(text.encode()).to_bytes(2, "big") + text.encode()


@pytest.mark.parametrize(("suffix", "codec", "wrap"), [
    ("mkv", "subrip", lambda text: f"<i>{text}</i>".encode()),
    ("mkv", "ass", lambda text: b"0,0,Default,,0,0,0,,{\\an8}" + text.replace("\n", "\\N").encode()),
    ("mkv", "webvtt", lambda text: f"<v Anna>{text}</v>".replace("&", "&amp;").encode()),
    ("mp4", "mov_text", boxed),
    ("mov", "mov_text", boxed),
])  # fmt: skip
def test_subtitles_in_a_film_are_speech_with_times_and_language(pool, tmp_path, suffix, codec, wrap):
    cues = [(0, 1500, "Ein Bus,\nzwei & drei"), (2000, 500, "Niemand"), (2500, 500, "Niemand"), (3200, 700, "Ende, aus")]
    path = write_subtitled(tmp_path / f"a.{suffix}", [(codec, "ger", [(at, lasts, wrap(text)) for at, lasts, text in cues])])
    found = decode(pool, path, NEEDS)
    assert (found.info.modality, found.gaps) == (Modality.VIDEO, [])
    assert [(cut.span, cut.content) for cut in found.cuts] == [
        (Span(0, 1500), "Ein Bus,\nzwei & drei"),
        (Span(2000, 3000), "Niemand"),
        (Span(3200, 3900), "Ende, aus"),
    ]
    assert {(cut.channel, cut.source, cut.language) for cut in found.cuts} == {
        (Channel.SPEECH, "subtitle stream 1 (German)", "de")
    }


def test_each_track_of_subtitles_is_told_apart_and_pictures_are_a_gap(pool, tmp_path):
    tracks = [("subrip", "eng", [(0, 1000, b"A bus."), (2000, 1000, b"A boat.")]), ("dvdsub", "fre", [(0, 1000, bytes(40))]),
              ("subrip", "und", [(500, 1000, b"Un bus.")])]  # fmt: skip
    found = decode(pool, write_subtitled(tmp_path / "a.mkv", tracks), NEEDS)
    assert sorted((cut.source, cut.content, cut.language) for cut in found.cuts) == [
        ("subtitle stream 1 (English)", "A boat.", "en"),
        ("subtitle stream 1 (English)", "A bus.", "en"),
        ("subtitle stream 3", "Un bus.", None),
    ]
    assert [(gap.reason, gap.detail) for gap in found.gaps] == [
        ("not_read", "subtitle stream 2 (French): the subtitles are pictures")
    ]


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_chapters_are_texts_with_their_spans(pool, tmp_path, suffix):
    path = write_subtitled(tmp_path / f"a.{suffix}", [], The_harbour=(0, 1500), Chapter_02=(1500, 2500), At_sea=(2500, 4000))
    found = decode(pool, path, NEEDS)
    assert [(cut.channel, cut.source, cut.content, cut.span) for cut in found.cuts] == [
        (Channel.TEXT, "chapters", "The harbour", Span(0, 1500)),
        (Channel.TEXT, "chapters", "At sea", Span(2500, 4000)),
    ]


@pytest.mark.parametrize("by", [0, 60_000])
def test_chapters_count_from_the_beginning_of_a_file_whose_clock_does_not(pool, tmp_path, by):
    """Some programs let them count on the clock of the tracks, others from the beginning."""
    chapters = {"The_harbour": (by, by + 1500), "At_sea": (by + 2500, by + 4000)}
    path = write_subtitled(tmp_path / "a.mkv", [], begins=60, **chapters)
    found = decode(pool, path, NEEDS)
    assert [(cut.content, cut.span) for cut in found.cuts] == [("The harbour", Span(0, 1500)), ("At sea", Span(2500, 4000))]


def test_xmp_of_a_film_is_read(pool, tmp_path):
    path = write_video(tmp_path / "a.mp4", [("red", 0.4)])
    box = bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + rdf("", 'photoshop:Headline="A bus"')
    path.write_bytes(path.read_bytes() + struct.pack(">I", len(box) + 8) + b"uuid" + box)
    assert told(pool, path) == [("XMP", "A bus", None)]


def said(*cues, longest=1000):
    track = Cues(replace(NEEDS, characters=longest))
    found = [cut for cue in cues for cut in track.push(*cue)] + list(track.finish())
    return [(cut.span.start, cut.span.end, cut.content) for cut in found]


def test_subtitles_that_roll_up_say_each_line_once():
    assert said((0, 2000, "one"), (2000, 2010, "one\n "), (2010, 4000, "one\ntwo"), (4000, 6000, "two\nthree")) == [
        (0, 2010, "one"), (2010, 4000, "two"), (4000, 6000, "three"),
    ]  # fmt: skip


def test_what_is_said_again_after_a_pause_is_said_again():
    assert [text for _, _, text in said((0, 1000, "No."), (1000, 2000, "No."), (9000, 9500, "No."))] == ["No.", "No."]


def test_times_that_cannot_be_are_made_possible():
    assert said((-5000, -3000, "a"), (500, 100, "b"), (1000, 1 << 62, "c"), (1 << 62, 1 << 62, "d"), (-1 << 62, 0, "♪ ♪")) == [
        (0, 1, "a"), (500, 501, "b"), (1000, 601_000, "c"), (1 << 50, (1 << 50) + 600_000, "d"),
    ]  # fmt: skip


def crc(section: bytes) -> bytes:
    """The check of sections of a transport stream (ISO/IEC 13818-1, annex A)."""
    found = 0xFFFFFFFF
    for byte in section:
        found ^= byte << 24
        for _ in range(8):
            found = (found << 1 ^ 0x04C11DB7 if found & 0x80000000 else found << 1) & 0xFFFFFFFF
    return found.to_bytes(4, "big")


def test_subtitles_of_broadcasts_are_told(pool, tmp_path):
    path = tmp_path / "a.ts"
    with av.open(path, "w", format="mpegts") as out:
        film, drawn = out.add_stream("mpeg2video", 25), out.add_stream("dvbsub")
        film.width = film.height = 64
        film.pix_fmt = "yuv420p"
        for at in range(25):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            frame.pts = at
            out.mux(film.encode(frame))
            packet = av.Packet(bytes(50))
            packet.stream, packet.pts, packet.dts, packet.time_base = drawn, at * 3600, at * 3600, Fraction(1, 90_000)
            out.mux(packet)
        out.mux(film.encode())
    assert [gap.detail for gap in decode(pool, path, NEEDS).gaps] == ["subtitle stream 1: the subtitles are pictures"]
    raw = bytearray(path.read_bytes())
    for at in range(0, len(raw), 188):  # the map of the programme calls it teletext instead
        if raw[at + 1] & 0x40 and raw[at + 4 : at + 6] == b"\0\2":
            size = ((raw[at + 6] & 15) << 8 | raw[at + 7]) + 3
            section = raw[at + 5 : at + 5 + size]
            section[section.index(b"\x59\x08")] = 0x56
            section[-4:] = crc(section[:-4])
            raw[at + 5 : at + 5 + size] = section
    path.write_bytes(raw)
    assert [gap.detail for gap in decode(pool, path, NEEDS).gaps] == [
        "subtitle stream 1: the subtitles are in a format that is not read (teletext, most likely)"
    ]


@pytest.mark.parametrize(("letters", "told"), [(b"\x94\x2c", True), (b"\x80\x80", False)])
def test_closed_captions_in_the_pictures_are_told(pool, tmp_path, letters, told):
    made, message = bytearray(), b"\xb5\0\x31GA94\3\x41\xff\xfc" + letters + b"\xff"
    path = tmp_path / "a.264"
    with av.open(path, "w", format="h264") as out:
        film = out.add_stream("libx264", 25, options={"x264-params": "slices=1:sliced-threads=0"})
        film.width = film.height = 64
        film.pix_fmt = "yuv420p"
        for at in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), at * 20, np.uint8), format="rgb24")
            frame.pts = at
            out.mux(film.encode(frame))
        out.mux(film.encode())
    for part in path.read_bytes().split(b"\0\0\1")[1:]:
        if part[0] & 0x1F in (1, 5):
            made += b"\0\0\1\6\4" + bytes([len(message)]) + message + b"\x80"
        made += b"\0\0\1" + part
    path.write_bytes(made)
    gaps = [gap.detail for gap in decode(pool, path, replace(NEEDS, size=64, metadata=False)).gaps]
    assert [gap for gap in gaps if "captions" in gap] == [
        "closed captions in the pictures (CEA-608 or 708) are searched only where the reader `written` has read them"
    ] * told


def pop_on(text: str) -> list[bytes]:
    """Pop-on captions: pairs of letters with odd parity, and empty ones until the next second."""
    codes = [
        b"\x14\x20",
        b"\x14\x2e",
        b"\x14\x70",
        *(text[at : at + 2].encode().ljust(2, b"\0") for at in range(0, len(text), 2)),
        b"\x14\x2f",
    ]
    pairs = [bytes(letter | (0x80 if letter.bit_count() % 2 == 0 else 0) for letter in pair) for pair in codes]
    return pairs + [b"\x80\x80"] * (30 - len(pairs))


@pytest.mark.parametrize(("suffix", "codec"), [("ts", "libx264"), ("mkv", "libx264"), ("ts", "mpeg2video")])
@pytest.mark.parametrize("field", [0, 1])
def test_closed_captions_in_the_pictures_are_read(pool, tmp_path, suffix, codec, field):
    """What stands in the second field is told."""
    path, letters = (
        tmp_path / f"a.{suffix}",
        [pair for text in ("THE GOVERNOR VETOED", "THE BILL TODAY", "") for pair in pop_on(text)],
    )
    with av.open(path, "w") as out:
        film = out.add_stream(
            codec,
            30,
            options={"bf": "0", "tune": "zerolatency", "x264-params": "slices=1:sliced-threads=0"}
            if codec == "libx264"
            else {"bf": "0"},
        )
        film.width = film.height = 64
        film.pix_fmt = "yuv420p"
        for at, pair in enumerate(letters):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), at * 2, np.uint8), format="rgb24")
            frame.pts = at
            data = b"GA94\3\x41\xff" + bytes([0xFC | field]) + pair + b"\xff"
            for packet in film.encode(frame):
                out.mux(with_captions(packet, data, codec))
        out.mux(film.encode())
    found = decode(pool, path, NEEDS)
    if field:
        assert [gap.detail for gap in found.gaps] == ["of the closed captions, only the first channel (CC1) is read"]
        assert found.cuts == []
        return
    assert [(cut.content, cut.source) for cut in found.cuts] == [
        ("THE GOVERNOR VETOED", "closed captions"), ("THE BILL TODAY", "closed captions"),
    ]  # fmt: skip
    assert [cut.span.start for cut in found.cuts] == [
        pytest.approx(13 * 1000 / 30, abs=70),
        pytest.approx(1000 + 10 * 1000 / 30, abs=70),
    ]
    assert found.gaps == []


def with_captions(packet: av.Packet, data: bytes, codec: str) -> av.Packet:
    """A packet with caption data before its slices."""
    raw = bytes(packet)
    if codec == "mpeg2video":
        at = raw.index(b"\0\0\1\1")
        raw = raw[:at] + b"\0\0\1\xb2" + data + raw[at:]
    else:
        message = b"\xb5\0\x31" + data
        at = next(at for at in (raw.find(b"\0\0\1" + bytes([kind])) for kind in (0x65, 0x41, 0x61, 0x21, 0x01, 0x25)) if at >= 0)
        raw = raw[:at] + b"\0\0\1\6\4" + bytes([len(message)]) + message + b"\x80" + raw[at:]
    made = av.Packet(raw)
    made.stream, made.pts, made.dts, made.time_base = packet.stream, packet.pts, packet.dts, packet.time_base
    made.is_keyframe = packet.is_keyframe
    return made


# Texts beside media.


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def srt(*cues: tuple[int, int, str]) -> str:
    def time(ms: int) -> str:
        return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"

    return "\n".join(f"{number}\n{time(start)} --> {time(end)}\n{text}\n" for number, (start, end, text) in enumerate(cues, 1))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_file_of_subtitles_gives_its_cues_as_speech(pool, tmp_path, encoding):
    text = srt((1000, 2000, "<i>Zwei</i> Brücken\nin Köln"), (5000, 6000, "{\\an8}Später"), (3000, 3500, "Danach"))
    found = decode(pool, write(tmp_path / "a.srt", text.encode(encoding)), NEEDS)
    assert [(cut.channel, cut.span, cut.content) for cut in found.cuts] == [
        (Channel.SPEECH, Span(1000, 2000), "Zwei Brücken\nin Köln"),
        (Channel.SPEECH, Span(3000, 3500), "Danach"),
        (Channel.SPEECH, Span(5000, 6000), "Später"),
    ]


def test_of_endless_subtitles_the_beginning_is_read(pool, tmp_path):
    found = decode(
        pool, write(tmp_path / "a.srt", srt(*((n * 1000, n * 1000 + 900, f"Line {n}") for n in range(100_000)))), NEEDS
    )
    assert len(found.cuts) == 50_000
    assert found.cuts[-1].content == "Line 49999"
    assert [gap.detail for gap in found.gaps] == ["only the first 50000 cues were read"]


@pytest.mark.parametrize(("name", "content", "reason"), [
    ("a.srt", "prose and nothing else", "unsupported"),
    ("a.srt", b"1\n00:00:01,000 --> 00:00:02,000\nA\0B\n", "not_text"),
    ("a.vtt", b"", "empty"),
    ("a.txt", "prose", "unsupported"),
    ("a.xmp", b"\0\1\2", "unsupported"),
])  # fmt: skip
def test_what_is_neither_subtitles_nor_xmp_is_told(pool, tmp_path, name, content, reason):
    assert refusal(pool, write(tmp_path / name, content), NEEDS).reason == reason


def test_hostile_cues_are_harmless(pool, tmp_path):
    text = "1\n-1:00:00,000 --> 00:00:01,000\nbefore\n\n2\n99999:59:59,999 --> 00:00:00,000\nb\u202eackward\u200bs\n\n" + (
        "3\n00:00:01,000 --> 00:00:01,000\n" + "<" * 50_000 + "x" * 50_000 + "\n"
    )
    found = decode(pool, write(tmp_path / "a.srt", text), NEEDS)
    assert all(cut.span.start < cut.span.end and len(cut.content) <= 20_000 for cut in found.cuts)
    assert found.cuts[-1].content == "backwards"
    assert [gap.reason for gap in found.gaps] == ["not_read"]
    assert all(isinstance(gap, Gap) for gap in found.gaps)


ASS = """[Script Info]
ScriptType: v4.00+

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,The {\\i1}blue{\\i0} boat\\Nleaves, later
Dialogue: 0,0:00:01.00,0:00:02.50,Default,,0,0,0,,{\\k20}A {\\k30}red bus
Comment: 0,0:00:01.00,0:00:02.50,Default,,0,0,0,,a remark
Dialogue: 0,0:00:01.00,0:00:02.50,Default,,0,0,0,,{\\p1}m 0 0 l 9 9{\\p0}
"""
TTML = (
    '<?xml version="1.0" encoding="UTF-16"?><tt xmlns="http://www.w3.org/ns/ttml" xml:lang="en"><head><metadata>Title</metadata></head><body begin="1s"><div>'
    '<p begin="00:00:00.000" end="00:00:01.500">A <span>red</span> bus</p><p><span begin="2s" end="3s">The blue boat<br/>leaves, later</span></p></div></body></tt>'
)
SCC = """Scenarist_SCC V1.0

00:00:01:00\t9420 9420 9470 9470 c120 f2e5 6420 6275 7380 942c 942c 942f 942f

00:00:04:00\t942c 942c
"""


def ebu_stl(*cues: tuple[tuple[int, int, int, int], tuple[int, int, int, int], bytes], start: bytes = b"10000000") -> bytes:
    """A file of EBU Tech 3264: a block about it, and one for each cue."""
    about = bytearray(b" " * 1024)
    about[:16] = b"850STL25.01" + b"1" + b"00" + b"09"
    about[238:256] = b"%05d%05d001" % (len(cues), len(cues)) + b"40" + b"23" + b"1"
    about[256:264] = start
    blocks = [
        b"\0"
        + number.to_bytes(2, "little")
        + b"\xff\0"
        + bytes(begin)
        + bytes(end)
        + bytes([20, 2, 0])
        + text.ljust(112, b"\x8f")
        for number, (begin, end, text) in enumerate(cues)
    ]
    return bytes(about) + b"".join(blocks)


STL = ebu_stl(((10, 0, 1, 0), (10, 0, 2, 12), b"A red bus"), ((10, 0, 3, 0), (10, 0, 4, 0), b"The blue boat\x8aleaves, later"))
BOTH = [(Span(1000, 2500), "A red bus"), (Span(3000, 4000), "The blue boat\nleaves, later")]


@pytest.mark.parametrize(("name", "content", "expected"), [
    ("a.ass", ASS, BOTH),
    ("a.ssa", ASS.encode("utf-16"), BOTH),
    ("a.ttml", TTML, BOTH),
    ("a.dfxp", TTML.encode("utf-16"), BOTH),
    ("a.ttml", TTML.replace("begin=\"2s\" end=\"3s\"", "begin=\"0s\" end=\"1s\"").replace("<p><span", "<p begin=\"2s\"><span"), BOTH),
    ("a.sub", "{1}{1}10\n{10}{25}A {y:i}red bus\n{30}{40}The blue boat|leaves, later\n", BOTH),
    ("a.lrc", "[ti:Song]\n[00:01.00]A red bus\n[00:02.5]\n[00:03][01:00.00]The <00:03.50>blue boat\n", [
        (Span(1000, 2500), "A red bus"), (Span(3000, 8000), "The blue boat"), (Span(60_000, 65_000), "The blue boat"),
    ]),
    ("a.scc", SCC, [(Span(1368, 4004), "A red bus")]),
    ("a.stl", STL, [(Span(1000, 2480), "A red bus"), BOTH[1]]),
    ("a.stl", ebu_stl(((0, 0, 1, 0), (0, 0, 2, 0), b"A red bus")), [(Span(1000, 2000), "A red bus")]),
    ("a.stl", ebu_stl(((0, 0, 1, 0), (0, 0, 2, 0), b"A red bus"), start=b" " * 8), [(Span(1000, 2000), "A red bus")]),
    ("a.srt", "1\n00: 00: 01,000 -> 00: 00: 02,500\nA red bus\n\n2\n00:00:03-->00:00:04\nThe blue boat\nleaves, later\n", BOTH),
    ("a.srt", "1\n00:00:01:00 --> 00:00:02:12\nA red bus\n\n2\n00:00:03:00 --> 00:00:04:00\nThe blue boat\nleaves, later\n", [(Span(1000, 2480), "A red bus"), BOTH[1]]),
])  # fmt: skip
def test_subtitles_are_read_in_every_format_beside_a_film_and_alone(pool, tmp_path, name, content, expected):
    path = write(tmp_path / name, content)
    found = decode(pool, path, NEEDS)
    assert [(cut.span, cut.content) for cut in found.cuts] == expected
    assert not found.gaps
    if name != "a.sub":
        alone = decode(pool, path, replace(NEEDS, metadata=False))
        assert (alone.info.modality, alone.info.format) == (Modality.TEXT, name[2:])
        assert " ".join(cut.content for cut in alone.cuts) == " ".join(" ".join(text.split()) for _, text in expected)


def test_subtitles_that_are_no_good_are_told(pool, tmp_path):
    declared = TTML.replace("<tt ", '<!DOCTYPE tt [<!ENTITY a "b">]><tt ')
    for name, content, reason in (
        ("a.ttml", declared, "unsupported"), ("a.ttml", "<html/>", "unsupported"), ("a.ttml", TTML[:200], "undecodable"), ("a.ass", "rubbish", "no_content"),
        ("a.scc", "rubbish", "no_content"), ("a.stl", STL[:500], "undecodable"), ("a.stl", STL[:1024], "no_content"), ("a.lrc", "[ar:Anna]", "no_content"),
        ("a.ass", ASS + "x" * 10_000_000, "too_large"), ("a.srt", "1\n00.01 --> 00.02\nA bus\n", "no_content"),
    ):  # fmt: skip
        assert (name, refusal(pool, write(tmp_path / name, content), NEEDS).reason) == (name, reason)


MEASURED = (
    '<font size="36">FrameCnt : 1, DiffTime : 33ms\n2024-05-01 10:00:00,123\n[iso : 100] [shutter : 1/500.0] [fnum : 280] [ev : 0] [latitude: 47.1] '
    "[longitude: 8.5] [rel_alt: 1.0 abs_alt: 500.0] </font>",
    "HOME(149.0251,-20.2532) 2017.08.05 14:11:51\nGPS(149.0251,-20.2533,16) BAROMETER:1.9\nISO:100 Shutter:60 EV: Fnum:2.2",
    "F/2.8, SS 206.14, ISO 150, EV 0, GPS (23.1, 54.2, 14), D 4.00m, H 1.20m, H.S 0.00m/s, V.S 0.00m/s",
)


@pytest.mark.parametrize("cue", MEASURED)
def test_what_a_drone_measures_is_nothing_that_is_said(pool, tmp_path, cue):
    path = write(tmp_path / "DJI_0001.SRT", srt(*((n * 33, n * 33 + 33, cue) for n in range(100))))
    found = decode(pool, path, NEEDS)
    assert found.cuts == []
    assert [gap.detail for gap in found.gaps] == ["telemetry of a camera, which is not searched"]
    alone = decode(pool, path, replace(NEEDS, metadata=False))
    assert (alone.info.modality, alone.info.format) == (Modality.IMU, "srt")
    unplaced = srt((0, 33, "[iso : 100] [shutter : 1/500.0] [fnum : 280] [ev : 0]"))
    refused = refusal(pool, write(tmp_path / "DJI_0002.SRT", unplaced), replace(NEEDS, metadata=False))
    assert (refused.reason, "telemetry" in str(refused)) == ("no_content", True)
    spoken = srt((0, 900, "At ISO 100 and F/2.8 it is too dark"), (1000, 2000, cue))
    assert [cut.content for cut in decode(pool, write(tmp_path / "a.srt", spoken), NEEDS).cuts] == [
        "At ISO 100 and F/2.8 it is too dark"
    ]


def test_subrip_cues_may_hold_blank_lines_begin_before_zero_and_follow_without_one() -> None:
    from search.media.metadata import cue_text

    text = "1\n-00:00:01,000 --> 00:00:02,000\nfirst\n\nafter blank\n2\n00:00:03,000 --> 00:00:04,000\nsecond\n"
    expected = [(0, 2000, "first\n\nafter blank"), (3000, 4000, "second")]
    for line_end in ("\n", "\r", "\r\n", "\r\r\n"):
        assert list(cue_text.timed(text.replace("\n", line_end))) == expected
