"""Text written in a picture file besides the picture: XMP, IPTC, EXIF, and the texts of PNG, JPEG and GIF."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, BinaryIO

from PIL import Image

from search.media.decode import png
from search.media.metadata import circumstances, dates, iptc, xmp
from search.media.metadata.circumstances import Told
from search.media.metadata.text_values import MAX_VALUE_BYTES, Role, Value, cuts, decoded, is_utf8
from search.media.source import Source
from search.types import MAX_IDENTIFIER, Cut, DateSource, Gap, Needs, Stamp

_DETAILS, _USER_COMMENT, _MAKER_NOTE = 0x8769, 0x9286, 0x927C
_GPS, _MAKER, _MODEL, _RIGHTS = 0x8825, 0x010F, 0x0110, 0x8298
_APPLE, _CONTENT_IDENTIFIER, _ASCII, _MOST_ENTRIES = b"Apple iOS\0", 0x0011, 2, 200
"""Of Apple's notes: their first bytes, the tag of the content identifier and its type, and how many entries are looked at."""
_ROLES: dict[int, Role] = {
    0xA436: "title", 0x010D: "title", 0x011D: "title", 0x010E: "description", 0x013B: "credit", 0x8298: "credit", 0xA437: "credit",
}  # fmt: skip
"""Tags of EXIF that hold bytes (ImageTitle, DocumentName, PageName, ImageDescription, Artist, Copyright, Photographer) -> what they say."""
_WINDOWS: dict[int, Role] = {
    0x9C9B: "title", 0x9C9F: "title", 0x9C9C: "description", 0x9C9E: "keywords", 0x9C9D: "credit",
}  # fmt: skip
"""Those that Windows adds, in UTF-16: XPTitle, XPSubject, XPComment, XPKeywords, XPAuthor."""
_IPTC_OF_PHOTOSHOP, _IPTC_OF_TIFF = 0x0404, 33723

_KEYWORDS: dict[bytes, Role] = {
    b"Title": "title", b"Description": "description", b"Comment": "description", b"Author": "credit", b"Copyright": "credit",
}  # fmt: skip
"""Keywords of PNG's texts -> what these say."""
_XMP_OF_PNG = b"XML:com.adobe.xmp"
_LONGEST_CHUNK = xmp.MAX_BYTES + 1024
"""What is read of a chunk, in bytes."""
_MOST_CHUNKS = 64
"""Chunks with texts that are looked at for dates."""


def read(image: Image.Image, source: Source, needs: Needs) -> Iterator[Cut | Gap]:
    """The text written in a picture file whose head has been read. Of equal texts, the one with a known character set comes
    first."""
    yield from cuts("XMP", _of_xmp(image, source), needs)
    yield from cuts("IPTC", _of_iptc(image), needs)
    yield from cuts("EXIF", _of_exif(image, source), needs)
    if image.format == "PNG":
        yield from cuts("PNG", _of_png(source.file), needs)
    if comment := _bytes(image.info.get("comment")):
        yield from cuts("comment", [Value("description", text) for text in decoded(comment)], needs)


def told(image: Image.Image, source: Source) -> Told:
    """The dates, the position, the camera and the rights in a picture file whose head has been read. Never raises: metadata are
    often broken, and must not cost the picture."""
    found: list[Told] = []
    at = source.file.tell()  # an animation reads on from here
    for read in (_told_by_png, _told_by_xmp, _told_by_exif, _told_by_iptc):
        with contextlib.suppress(Exception):
            found += read(image, source)
    source.file.seek(at)
    every = circumstances.either(found)
    return replace(every, stamps=dates.distinct(every.stamps))


def _told_by_png(image: Image.Image, source: Source) -> list[Told]:
    """What a PNG tells, in one pass over its chunks."""
    if image.format != "PNG":
        return []
    chunks = list(islice(_chunks(source.file), _MOST_CHUNKS))
    found = [xmp.told(raw) for _, raw in _texts(chunks, (_XMP_OF_PNG,))]
    for key, raw in _texts(chunks, (b"Creation Time", b"Copyright")):
        text = decoded(raw)[0]
        found.append(
            Told(rights=circumstances.notice(text)) if key == b"Copyright" else Told(tuple(dates.stamps(DateSource.TAGS, text)))
        )
    for chunk in (chunk for kind, chunk in chunks if kind == b"eXIf"):
        exif = Image.Exif()
        exif.load(chunk)
        found.append(_of_tags(exif))
    return found


def _told_by_xmp(image: Image.Image, _: Source) -> list[Told]:
    return [xmp.told(_bytes(image.info.get("xmp")))] if image.info.get("xmp") else []


def _told_by_exif(image: Image.Image, _: Source) -> list[Told]:
    return [_of_tags(Image.Image.getexif(image))]


def _told_by_iptc(image: Image.Image, _: Source) -> list[Told]:
    raw = _data_sets(image)
    return [Told(tuple(iptc.stamps(raw)), rights=circumstances.notice(iptc.rights(raw)))]


def _of_tags(exif: Image.Exif) -> Told:
    """What EXIF tells: the dates of the picture, where it was taken, the camera, and the copyright of photographer and editor."""
    maker, model, rights = (decoded(_bytes(exif.get(tag)).strip(b"\0 "))[0] for tag in (_MAKER, _MODEL, _RIGHTS))
    position = None
    with contextlib.suppress(Exception):  # a directory that is broken does not cost the dates
        position = circumstances.of_gps(exif.get_ifd(_GPS) if _GPS in exif else {})
    return Told(tuple(_dates_of(exif)), position, circumstances.camera(maker, model), circumstances.notice(*rights.split("\0")))


def _dates_of(exif: Image.Exif) -> list[Stamp]:
    """EXIF's three dates with their offsets: taken, digitised, changed."""
    details = exif.get_ifd(_DETAILS) if len(exif) else {}
    found: list[Stamp] = []
    for of, tags, tag, offset in (
        (DateSource.EXIF, details, 0x9003, 0x9011), (DateSource.DIGITIZED, details, 0x9004, 0x9012), (DateSource.CHANGED, exif, 0x0132, 0x9010),
    ):  # fmt: skip
        day, zone = (
            _bytes(told.get(name)).decode("ascii", "replace").strip("\0 ") for told, name in ((tags, tag), (details, offset))
        )
        plain = dates.stamps(of, day)
        found += (dates.stamps(of, day + zone) if plain and "T" in plain[0].text else []) or plain
    return found


def taken_with(image: Image.Image) -> str | None:
    """What an iPhone writes into a photograph and into the film that it takes with it: Apple's content identifier, in the maker's
    note of EXIF. Never raises."""
    with contextlib.suppress(Exception):
        note = _bytes(Image.Image.getexif(image).get_ifd(_DETAILS).get(_MAKER_NOTE))
        if note.startswith(_APPLE):
            order = "<" if note[12:14] == b"II" else ">"
            (entries,) = struct.unpack_from(f"{order}H", note, 14)
            for entry in range(min(entries, _MOST_ENTRIES)):
                tag, form, count, place = struct.unpack_from(f"{order}HHII", note, 16 + 12 * entry)
                if (tag, form) == (_CONTENT_IDENTIFIER, _ASCII) and 4 < count <= MAX_IDENTIFIER + 1:
                    return note[place : place + count].decode("ascii").strip("\0 ") or None
    return None


def packets(image: Image.Image, source: Source) -> list[bytes]:
    """The XMP of a picture."""
    if image.format == "PNG":
        found = [text for _, text in _texts(_chunks(source.file), (_XMP_OF_PNG,))]
    else:
        found = [_bytes(image.info.get("xmp"))]
    return [raw for raw in found if raw]


def texts(file: BinaryIO, wanted: Container[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The texts of a PNG with one of the ``wanted`` keywords, and these keywords."""
    return _texts(_chunks(file), wanted)


def comment(image: Image.Image, source: Source) -> str:
    """The user comment of a picture's EXIF."""
    exif = _exif(image, source)
    return _user_comment(_bytes(exif.get_ifd(_DETAILS).get(_USER_COMMENT)), exif.endian or "<")


def _of_xmp(image: Image.Image, source: Source) -> Iterator[Value]:
    for raw in packets(image, source):
        yield from xmp.values(raw)


def _of_iptc(image: Image.Image) -> Iterator[Value]:
    yield from iptc.values(_data_sets(image))


def _data_sets(image: Image.Image) -> bytes:
    """The IPTC of a picture."""
    resources: Any = image.info.get("photoshop", {})
    tags: Any = getattr(
        getattr(image, "tag_v2", None), "_tagdata", {}
    )  # raw: Pillow keeps one of the numbers that it often claims to be
    return _bytes(resources.get(_IPTC_OF_PHOTOSHOP) or tags.get(_IPTC_OF_TIFF))


def _exif(image: Image.Image, source: Source) -> Image.Exif:
    exif = Image.Image.getexif(image)  # that of PNG decodes the whole picture, to look behind it
    if image.format == "PNG" and not len(exif):
        for _, chunk in (found for found in _chunks(source.file) if found[0] == b"eXIf"):
            exif.load(chunk)
    return exif


def _of_exif(image: Image.Image, source: Source) -> Iterator[Value]:
    exif = _exif(image, source)
    for tag, role in _WINDOWS.items():
        text = _bytes(exif.get(tag)).decode("utf-16-le", "replace").partition("\0")[0]
        yield from (Value(role, part) for part in (text.split(";") if role == "keywords" else [text]))
    yield from _named(exif)
    yield from _named(exif.get_ifd(_DETAILS))
    yield Value("description", comment(image, source))


def _named(tags: Mapping[int, Any]) -> Iterator[Value]:
    texts = decoded(*(_bytes(tags.get(tag)).rstrip(b"\0") for tag in _ROLES))
    yield from (Value(role, text) for role, text in zip(_ROLES.values(), texts, strict=True))


def _user_comment(raw: bytes, endian: str) -> str:
    """A comment after the eight bytes that name its character set (Exif 3.0, 4.6.6). Unicode means UTF-16 in either byte order."""
    name, text = raw[:8].rstrip(b"\0 ").upper(), raw[8 : 8 + MAX_VALUE_BYTES]
    if name == b"UNICODE" and (order := _order(text, endian)):
        return text.decode("utf-16-le" if order == "<" else "utf-16-be", "replace")
    if name == b"JIS":
        return text.decode("iso2022_jp", "replace")
    return decoded((text if name in (b"", b"ASCII", b"UNICODE") else raw).strip(b"\0 "))[0]


def _order(text: bytes, endian: str) -> str | None:
    """The byte order of UTF-16: by its mark, else by where the zero bytes are, since Latin letters have one each. None: it is
    UTF-8."""
    if marked := {b"\xff\xfe": "<", b"\xfe\xff": ">"}.get(text[:2]):
        return marked
    high, low = text[0::2].count(0), text[1::2].count(0)
    if high != low:
        return "<" if low > high else ">"
    return None if is_utf8(text) else endian


def _of_png(file: BinaryIO) -> Iterator[Value]:
    for key, text in _texts(_chunks(file), _KEYWORDS):
        yield Value(_KEYWORDS[key], decoded(text)[0])


def _texts(chunks: Iterable[tuple[bytes, bytes]], wanted: Container[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The texts among the chunks of a PNG with one of the ``wanted`` keywords, and these keywords (third edition, 11.3.3)."""
    for kind, chunk in chunks:
        key, _, rest = chunk.partition(b"\0")
        if kind == b"eXIf" or key not in wanted:
            continue
        packed = kind == b"zTXt"
        if kind == b"iTXt":
            packed, rest = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
        elif packed:
            rest = rest[1:]
        most = _LONGEST_CHUNK if key == _XMP_OF_PNG else MAX_VALUE_BYTES
        yield key, zlib.decompressobj().decompress(rest, most) if packed else rest


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG that hold text, including those after the picture, where programs that only add text put them."""
    return png.chunks(file, (b"tEXt", b"zTXt", b"iTXt", b"eXIf"), longest=_LONGEST_CHUNK)


def _bytes(value: object) -> bytes:
    """Convert Pillow's form of bytes: bytes, a text in Latin-1, or numbers."""
    if isinstance(value, str):
        return value.encode("latin-1", "replace")
    if isinstance(value, tuple) and all(type(number) is int and 0 <= number < 256 for number in value):
        return bytes(value)
    return value if isinstance(value, bytes) else b""
