"""Files that are small and mean much: pixels, frames, scans, chunks, nesting and durations that nobody has."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from functools import partial

from PIL import Image

from tests.hostile.samples import saved
from tests.media_samples import picture

Samples = Mapping[str, bytes]
Make = Callable[[Samples], bytes]

FAR = 2**31 - 1


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *, depth: int = 1, colour: int = 0, rows: int | None = None, before: bytes = b"") -> bytes:
    """A PNG of zeros that claims ``height`` rows and has ``rows``."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = b"\0" * (1 + (width * bits + 7) // 8)
    packer, packed = zlib.compressobj(9), []
    for _ in range(height if rows is None else rows):
        packed.append(packer.compress(row))
    body = b"".join(packed) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(6)) if colour == 3 else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + palette + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def exr(channels: bytes, window: tuple[int, int, int, int]) -> bytes:
    """The header of an OpenEXR."""
    place = struct.pack("<4i", *window)
    told = ((b"channels\0chlist", channels + b"\0"), (b"compression\0compression", b"\3"), (b"dataWindow\0box2i", place),
            (b"displayWindow\0box2i", place), (b"lineOrder\0lineOrder", b"\0"))  # fmt: skip
    return (
        b"\x76\x2f\x31\x01\2\0\0\0"
        + b"".join(name + b"\0" + struct.pack("<I", len(data)) + data for name, data in told)
        + bytes(5000)
    )


def zeros(megabytes: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()


def many_frames(_: Samples, count: int, side: int = 1) -> bytes:
    one = saved(Image.new("P", (side, side)), "gif")
    start = one.index(b",")
    frame = b"!\xf9\4\0\1\0\0\0" + one[start:-1]
    return one[:start] + frame * count + b";"


def gif_canvas(_: Samples, width: int, height: int) -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<HH", width, height)
        + b"\0\0\0,"
        + struct.pack("<HHHH", 0, 0, width, height)
        + b"\0\2\2\x4c\1\0;"
    )


def claimed_frames(samples: Samples) -> bytes:
    one = samples["anim.png"]
    at = one.index(b"acTL")
    return one[: at - 4] + chunk(b"acTL", struct.pack(">II", FAR, 0)) + one[at + 16 :]


def tiff(entries: list[tuple[int, int, int, int]], *, extra: bytes = b"", following: int = 0) -> bytes:
    """A little-endian TIFF with one directory of (tag, type, count, value)."""
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + body + struct.pack("<I", following) + extra


PLAIN = [
    (256, 4, 1, 8),
    (257, 4, 1, 8),
    (258, 3, 1, 8),
    (259, 3, 1, 1),
    (262, 3, 1, 1),
    (273, 4, 1, 0),
    (278, 4, 1, 8),
    (279, 4, 1, 64),
]


def tiff_chain(_: Samples, count: int) -> bytes:
    size = 2 + 12 * len(PLAIN) + 4
    made = [b"II*\0\x08\0\0\0"]
    body = struct.pack("<H", len(PLAIN)) + b"".join(struct.pack("<HHII", *entry) for entry in PLAIN)
    for number in range(count):
        made.append(body + struct.pack("<I", 8 + size * (number + 1) if number + 1 < count else 0))
    return b"".join(made)


def tiff_loop(_: Samples) -> bytes:
    return tiff(PLAIN, following=8)


def tiff_sized(_: Samples, width: int, height: int) -> bytes:
    return tiff([(256, 4, 1, width), (257, 4, 1, height), *PLAIN[2:6], (278, 4, 1, height), (279, 4, 1, 64)])


def tiff_counts(_: Samples) -> bytes:
    return tiff([(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 0xFFFFFFFF, 8), (273, 4, 0xFFFFFFF, 8), (279, 4, 0xFFFFFFF, 8)])


def scans(samples: Samples) -> bytes:
    """A progressive JPEG whose last scan is there five thousand times: each is a pass over all of it."""
    one = saved(picture("red", (1600, 1200)), "jpeg", progressive=True)
    last = one.rindex(b"\xff\xda")
    return one[:last] + one[last:-2] * 5000 + b"\xff\xd9"


def jpeg_sized(samples: Samples) -> bytes:
    one = bytearray(samples["jpg"])
    at = one.index(b"\xff\xc0")
    one[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    return bytes(one)


def segments(samples: Samples, marker: bytes, body: bytes, count: int) -> bytes:
    """A JPEG with ``count`` segments of application data before the picture."""
    one = samples["jpg"]
    return one[:2] + (marker + struct.pack(">H", len(body) + 2) + body) * count + one[2:]


def exif_loop(samples: Samples) -> bytes:
    directory = tiff([(0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0xA005, 4, 1, 8), (0x0112, 3, 0xFFFF, 9)], following=8)
    return segments(samples, b"\xff\xe1", b"Exif\0\0" + directory, 1)


def nested_thumbnails(samples: Samples) -> bytes:
    inner = samples["jpg"][:600]
    for _ in range(40):
        inner = segments({"jpg": samples["jpg"][:600]}, b"\xff\xe1", (b"Exif\0\0" + inner)[:65000], 1)
    return inner


def id3(samples: Samples, size: int, body: bytes) -> bytes:
    """An MP3 behind a tag that claims ``size`` bytes."""
    synchsafe = bytes((size >> shift & 0x7F) for shift in (21, 14, 7, 0))
    return b"ID3\4\0\0" + synchsafe + body + samples["mp3"]


def id3_frames(samples: Samples) -> bytes:
    frame = b"TXXX\0\0\0\x10\0\0\3" + b"k\0" + b"v" * 13
    body = frame * 200_000
    return id3(samples, len(body), body)


def id3_cover(samples: Samples) -> bytes:
    body = b"\0image/png\0\3\0" + png(30_000, 30_000, rows=100)
    size = bytes((len(body) >> shift & 0x7F) for shift in (21, 14, 7, 0))
    frame = b"APIC" + size + b"\0\0" + body
    return id3(samples, len(frame), frame)


def boxes(samples: Samples, name: bytes, value: bytes, offset: int, suffix: str = "mp4") -> bytes:
    """An MP4 with ``value`` written over the inside of every box called ``name``."""
    one = bytearray(samples[suffix])
    at = one.find(name)
    while at >= 0:
        one[at + 4 + offset : at + 4 + offset + len(value)] = value
        at = one.find(name, at + 4)
    return bytes(one)


def deep_boxes(_: Samples) -> bytes:
    return b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + b"".join(struct.pack(">I", 8 * (20_000 - n)) + b"moov" for n in range(20_000))


def no_index(samples: Samples, part: float) -> bytes:
    """An MP4 that stopped being written: no moov, and ``part`` of the pictures."""
    one = samples["mp4"]
    return one[: int(one.index(b"moov") * part)]


def index_alone(samples: Samples) -> bytes:
    one = samples["mp4"]
    return b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + one[one.index(b"moov") - 4 :]


def empty_index(_: Samples) -> bytes:
    head = b"\0\0\0\x6cmvhd" + bytes(12) + struct.pack(">II", 1000, FAR) + bytes(80)
    return b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + struct.pack(">I", 8 + len(head)) + b"moov" + head


def mkv_duration(samples: Samples, value: bytes) -> bytes:
    one = bytearray(samples["mkv"])
    at = one.find(b"\x44\x89\x88")
    one[at + 3 : at + 11] = value
    return bytes(one)


def wav_claims(samples: Samples, rate: int, channels: int, size: int) -> bytes:
    head = struct.pack("<HHIIHH", 1, channels, rate, rate, 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", size)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + head
        + b"data"
        + struct.pack("<I", size)
        + b"\1" * 4000
    )


def headers(samples: Samples, suffix: str, length: int) -> bytes:
    """Only the beginning: a file with streams that hold nothing."""
    return samples[suffix][:length]


def pdf_of(body: bytes) -> bytes:
    return b"%PDF-1.7\n" + body + b"\ntrailer << /Root 1 0 R /Size 5 >>\nstartxref\n9\n%%EOF\n"


def pdf_nested(_: Samples) -> bytes:
    return pdf_of(b"1 0 obj << /Type /Catalog /Pages " + b"[" * 200_000 + b" >> endobj")


def pdf_loop(_: Samples) -> bytes:
    return pdf_of(
        b"1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj\n"
        b"2 0 obj << /Type /Pages /Count 9999999 /Kids [2 0 R 2 0 R 1 0 R] /Parent 2 0 R >> endobj"
    )


def pdf_stream(_: Samples) -> bytes:
    packed = zeros(600)
    for _level in range(2):
        packed = zlib.compress(packed, 9)
    stream = b"<< /Length %d /Filter [/FlateDecode /FlateDecode /FlateDecode] >>\nstream\n%s\nendstream" % (len(packed), packed)
    return pdf_of(
        b"1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj\n2 0 obj << /Type /Pages /Count 1 /Kids [3 0 R] >> endobj\n"
        b"3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >> endobj\n4 0 obj " + stream + b" endobj"
    )


def bitmap(_: Samples, width: int, height: int, *, packed: int = 0) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8 if packed else 24, packed, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 60, 0, 0, 54) + head + b"\xff\0" * 200


def webp_canvas(samples: Samples) -> bytes:
    one = bytearray(samples["anim.webp"])
    at = one.index(b"VP8X") + 12
    one[at : at + 6] = b"\xff" * 6
    return bytes(one)


def avif_sized(samples: Samples) -> bytes:
    one = bytearray(samples["avif"])
    at = one.index(b"ispe") + 8
    one[at : at + 8] = struct.pack(">II", 65535, 65535)
    return bytes(one)


def transparent(_: Samples) -> bytes:
    """As many pixels as are let through, in the mode that takes most room."""
    return png(15_000, 15_000, depth=1, colour=3, before=b"")


def text(_: Samples, piece: bytes, times: int, tail: bytes = b"") -> bytes:
    return piece * times + tail


def xmp(_: Samples, inside: bytes, before: bytes = b"") -> bytes:
    """A packet with something in its title."""
    spaces = b"xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns:dc='http://purl.org/dc/elements/1.1/'"
    return before + b"<rdf:RDF %s><rdf:Description><dc:title>%s</dc:title></rdf:Description></rdf:RDF>" % (spaces, inside)


def entities(levels: int) -> bytes:
    """Declarations of which the last says the first ten times for each level."""
    told = b"".join(b'<!ENTITY e%d "%s">' % (level, b"&e%d;" % (level - 1) * 10) for level in range(1, levels))
    return b'<!DOCTYPE x [<!ENTITY e0 "lol">' + told + b"]>"


def in_jpeg(samples: Samples, packet: bytes) -> bytes:
    return segments(samples, b"\xff\xe1", b"http://ns.adobe.com/xap/1.0/\0" + packet, 1)


def iptc(samples: Samples, body: bytes) -> bytes:
    return segments(samples, b"\xff\xed", b"Photoshop 3.0\0008BIM\4\4\0\0" + struct.pack(">I", len(body)) + body, 1)


BOMBS: dict[str, tuple[str, Make]] = {
    "pixels, claimed": ("png", lambda _: png(FAR, FAR, rows=0)),
    "pixels, true": ("png", lambda _: png(30_000, 30_000, rows=2000)),
    "pixels, just allowed": ("png", transparent),
    "pixels, deep": ("png", lambda _: png(12_000, 12_000, depth=16, colour=6, rows=500)),
    "pixels, nought": ("png", lambda _: png(0, 0, rows=1)),
    "pixels, a line": ("png", lambda _: png(200_000_000, 1)),
    "text, zTXt": ("png", lambda _: png(64, 64, before=chunk(b"zTXt", b"k\0\0" + zeros(200)))),
    "text, iTXt": ("png", lambda _: png(64, 64, before=chunk(b"iTXt", b"k\0\1\0\0\0" + zeros(200)))),
    "text, many": ("png", lambda _: png(64, 64, before=chunk(b"zTXt", b"k\0\0" + zeros(1)) * 300)),
    "profile": ("png", lambda _: png(64, 64, before=chunk(b"iCCP", b"k\0\0" + zeros(300)))),
    "pixels, of Photoshop": ("psd", lambda _: b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, FAR, FAR, 16, 3) + bytes(14)),
    "pixels, of OpenEXR": ("exr", lambda _: exr(b"A\0" + bytes(16), (0, 0, 15_000, 15_000))),
    "channels, of OpenEXR": ("exr", lambda _: exr((b"A\0" + bytes(16)) * 50_000, (0, 0, 63, 63))),
    "frames, 100,000": ("gif", partial(many_frames, count=100_000)),
    "frames, 30,000 of 100 x 100": ("gif", partial(many_frames, count=30_000, side=100)),
    "frames, 1,000 of 3,000 x 3,000": ("gif", partial(many_frames, count=1_000, side=3_000)),
    "frames, claimed": ("png", claimed_frames),
    "canvas of gif": ("gif", partial(gif_canvas, width=65_535, height=65_535)),
    "canvas of gif, allowed": ("gif", partial(gif_canvas, width=15_000, height=15_000)),
    "canvas of webp": ("webp", webp_canvas),
    "size of avif": ("avif", avif_sized),
    "directories, 300,000": ("tiff", partial(tiff_chain, count=300_000)),
    "directories, a loop": ("tiff", tiff_loop),
    "size of tiff": ("tiff", partial(tiff_sized, width=FAR, height=FAR)),
    "size of tiff, allowed": ("tiff", partial(tiff_sized, width=15_000, height=15_000)),
    "counts of tiff": ("tiff", tiff_counts),
    "scans": ("jpg", scans),
    "size of jpeg": ("jpg", jpeg_sized),
    "size of bmp": ("bmp", partial(bitmap, width=FAR, height=FAR)),
    "size of bmp, below nought": ("bmp", partial(bitmap, width=100, height=-(2**31))),
    "runs of bmp": ("bmp", partial(bitmap, width=15_000, height=15_000, packed=1)),
    "EXIF, 60 MB": ("jpg", lambda samples: segments(samples, b"\xff\xe1", b"Exif\0\0" + bytes(64_000), 1000)),
    "EXIF, a loop": ("jpg", exif_loop),
    "comments, 100,000": ("jpg", lambda samples: segments(samples, b"\xff\xfe", b"x" * 100, 100_000)),
    "profiles, 255": ("jpg", lambda samples: segments(samples, b"\xff\xe2", b"ICC_PROFILE\0\1\xff" + bytes(60_000), 255)),
    "thumbnails in thumbnails": ("jpg", nested_thumbnails),
    "XMP, entities": ("jpg", lambda samples: in_jpeg(samples, xmp(samples, b"&e9;", entities(10)))),
    "XMP, one long entity": (
        "xmp",
        lambda samples: xmp(samples, b"&e0;" * 300_000, b'<!DOCTYPE x [<!ENTITY e0 "' + b"x" * 300_000 + b'">]>'),
    ),
    "XMP, nested": ("jpg", lambda samples: in_jpeg(samples, xmp(samples, b"<a>" * 20_000))),
    "XMP, attributes": ("xmp", lambda samples: xmp(samples, b"<a " + b"".join(b"a%d='' " % n for n in range(300_000)) + b"/>")),
    "XMP, an attribute of 60 MB": ("xmp", lambda samples: xmp(samples, b"<a b='" + b"x" * 60_000_000)),
    "XMP, a word in a million pieces": ("xmp", lambda samples: xmp(samples, b"<![CDATA[x]]>" * 1_000_000)),
    "XMP, a million titles": ("xmp", lambda samples: xmp(samples, b"</dc:title><dc:title>x" * 1_000_000)),
    "IPTC, 10,000 sets": ("jpg", lambda samples: iptc(samples, b"\x1c\2\x19\0\1\xe9" * 10_000)),
    "texts of PNG, 5,000 that swell": ("png", lambda _: png(64, 64)[:-12] + chunk(b"zTXt", b"Title\0\0" + zeros(4)) * 5_000),
    "ID3, claimed": ("mp3", lambda samples: id3(samples, 0xFFFFFFF, b"")),
    "ID3, frames": ("mp3", id3_frames),
    "ID3, a cover of 900 million pixels": ("mp3", id3_cover),
    "ID3, in itself": ("mp3", lambda samples: id3(samples, 0, b"") * 3000),
    "duration of mp4": ("mp4", partial(boxes, name=b"mvhd", value=b"\0\0\0\1\xff\xff\xff\xfe", offset=12)),
    "duration of track": ("mp4", partial(boxes, name=b"mdhd", value=b"\0\0\0\1\xff\xff\xff\xfe", offset=12)),
    "times of samples": ("mp4", partial(boxes, name=b"stts", value=b"\0\0\0\1\xff\xff\xff\xf0\xff\xff\xff\xff", offset=4)),
    "number of samples": ("mp4", partial(boxes, name=b"stsz", value=b"\0\0\0\0\xff\xff\xff\xff", offset=4)),
    "places of chunks": ("mp4", partial(boxes, name=b"stco", value=b"\xff\xff\xff\xff\xff\xff\xff\xff", offset=4)),
    "size of video": ("mp4", partial(boxes, name=b"avc1", value=b"\xff\xff\xff\xff", offset=24)),
    "boxes in boxes": ("mp4", deep_boxes),
    "no index": ("mp4", partial(no_index, part=1.0)),
    "no index, half written": ("mp4", partial(no_index, part=0.5)),
    "index alone": ("mp4", index_alone),
    "no streams": ("mp4", empty_index),
    "no streams of mkv": ("mkv", partial(headers, suffix="mkv", length=300)),
    "no streams of avi": ("avi", partial(headers, suffix="avi", length=2048)),
    "no streams of ogg": ("ogg", partial(headers, suffix="ogg", length=120)),
    "no streams of flac": ("flac", partial(headers, suffix="flac", length=42)),
    "no streams of ts": ("ts", lambda _: (b"G\x1f\xff\x10" + b"\xff" * 184) * 5000),
    "duration of mkv, not a number": ("mkv", partial(mkv_duration, value=b"\x7f\xf8" + bytes(6))),
    "duration of mkv, far": ("mkv", partial(mkv_duration, value=struct.pack(">d", 1e300))),
    "duration of mkv, below nought": ("mkv", partial(mkv_duration, value=struct.pack(">d", -1e18))),
    "length of wav": ("wav", partial(wav_claims, rate=8000, channels=1, size=0xFFFFFF00)),
    "channels of wav": ("wav", partial(wav_claims, rate=8000, channels=65_535, size=4000)),
    "rate of wav": ("wav", partial(wav_claims, rate=0xFFFFFFFF, channels=2, size=4000)),
    "slow wav": ("wav", partial(wav_claims, rate=1, channels=1, size=4000)),
    "samples of flac": (
        "flac",
        lambda samples: samples["flac"][:18] + b"\x0a\xc4\x42\xff\xff\xff\xff\xff" + samples["flac"][26:],
    ),
    "pdf, nested": ("pdf", pdf_nested),
    "pdf, a loop": ("pdf", pdf_loop),
    "pdf, packed three times": ("pdf", pdf_stream),
    "html, nested": ("html", partial(text, piece=b"<div>", times=300_000, tail=b"words")),
    "html, attributes": ("html", lambda _: b"<html><p " + b"a=1 " * 500_000 + b">words"),
    "html, comments": ("html", partial(text, piece=b"<!--" * 2 + b"<!DOCTYPE", times=300_000)),
    "one word": ("txt", partial(text, piece=b"a", times=10_000_000)),
    "blank lines": ("txt", partial(text, piece=b"\n \t", times=3_000_000, tail=b"words")),
    "headings": ("md", partial(text, piece=b"# \n", times=500_000)),
    "cues": ("srt", partial(text, piece=b"1\n00:00:01,000 --> 00:00:02,000\nx\n\n", times=50_000)),
    "cue of 99,999,999 hours": ("srt", partial(text, piece=b"1\n99999999:59:59,999 --> 99999999999:59:59,999\nx\n", times=2)),
    "cue, markup": ("vtt", lambda _: b"WEBVTT\n\n00:01.000 --> 00:02.000\n" + b"<" * 1_000_000),
    "letters on letters": ("txt", lambda _: ("e" + "\u0301" * 2_000_000).encode()),
    "utf-7, nearly": ("txt", lambda _: b"+AGE-\xe9" * 30_000),
}
"""Name -> suffix, and what makes it."""
