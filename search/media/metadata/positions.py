"""Positions in media files: where the bytes are that say where a file was made, and what to put in their place.

Every change keeps the length, so that nothing else moves and the coded picture stays as it is: EXIF's directory of GPS becomes
empty, and the values of GPS properties in XMP blank; ISO 6709 strings and ``loci`` boxes of films are erased. Pictures are looked
through whole, with the films and smaller pictures in them; films of the MP4 family outside of their coded data; others at both
ends. Not found is what is compressed or encrypted, telemetry in tracks of its own, and makers' notes.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import BinaryIO

from search.errors import MediaError
from search.types import Modality, Patch

PIECE, OVERLAP = 1 << 20, 1 << 16
"""Bytes that are looked through at a time, and those that the next piece begins before its predecessor's end."""

END_BYTES = 8 << 20
"""Bytes at both ends of films and sounds that are looked through, where the format does not say where its tags are."""

MAX_PATCHES = 5_000
"""Changes to a file, at most."""

MAX_PATCH_BYTES = 16 << 10
"""Bytes of a change, at most: what a message holds in hexadecimal digits."""

_TIFF = re.compile(rb"II\*\0|MM\0\*")
_RAW = (b"IIRO", b"IIRS", b"IIU\0", b"MMOR")
"""First bytes of raw pictures that are TIFF but for them."""
_XMP = re.compile(
    rb"""[\w-]+:GPS\w{1,40}\s{0,9}=\s{0,9}(?:"([^"<]{1,9999})"|'([^'<]{1,9999})')|<[\w-]+:GPS\w{1,40}[^<>]{0,999}>([^<>]{1,9999})<"""
)
_ISO_6709 = re.compile(rb"[+-]\d{2,3}\.\d{2,12}[+-]\d{3}\.\d{2,12}(?:[+-]\d{1,6}(?:\.\d{0,6})?)?/?")
_LOCI = re.compile(rb"loci\0\0\0\0")
_GPS, _SUB, _EXIF = 0x8825, 0x014A, 0x8769
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_LAST_GPS = 0x1F
"""The last tag of EXIF 3.0 in the directory of GPS."""
_DIRECTORIES, _ENTRIES, _GPS_ENTRIES = 64, 1_000, 64
_BOXES = 1_000


class _File:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self.size = file, size

    def at(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset`` on."""
        if not 0 <= offset < self.size:
            return b""
        self._file.seek(offset)
        return self._file.read(max(0, min(length, self.size - offset)))


def find(file: BinaryIO, size: int, modality: Modality) -> Iterator[Patch]:
    """The changes that take the positions out of a file, in no order; several may overlap.

    Only pictures, films and sounds have any.

    Raises:
        MediaError: there are too many.
    """
    if modality in (Modality.TEXT, Modality.IMU):
        return
    held = _File(file, size)
    is_png = held.at(0, 8) == b"\x89PNG\r\n\x1a\n"
    found = list(islice(_each(held, modality), MAX_PATCHES))
    if len(found) == MAX_PATCHES:
        raise MediaError("undecodable", "too many places in it tell a position")
    yield from islice(_png(held, found), MAX_PATCHES) if is_png else found


def _each(file: _File, modality: Modality) -> Iterator[Patch]:
    if file.at(0, 4) in _RAW:
        yield from _directories(file, 0)
    for start, end in _ranges(file, modality):
        for offset, piece in _pieces(file, start, end):
            for found in _TIFF.finditer(piece):
                yield from _directories(file, offset + found.start())
            for found in _XMP.finditer(piece):
                group = next(number for number in (1, 2, 3) if found[number] is not None)
                yield from _filled(offset + found.start(group), len(found[group]), b" ")
            for found in _ISO_6709.finditer(piece):
                yield from _filled(offset + found.start(), len(found[0]))
            for found in _LOCI.finditer(piece):
                at = offset + found.start()
                (length,) = struct.unpack(">I", file.at(at - 4, 4) if at >= 4 else bytes(4))
                if 24 <= length <= MAX_PATCH_BYTES:
                    yield Patch(at, b"free" + bytes(min(length - 8, file.size - at - 4)))


def _ranges(file: _File, modality: Modality) -> list[tuple[int, int]]:
    """The stretches of a file that are looked through: start and end, in bytes."""
    if modality not in (Modality.VIDEO, Modality.AUDIO):
        return [(0, file.size)]
    if file.at(4, 4) not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):
        return [(0, file.size)] if file.size <= 2 * END_BYTES else [(0, END_BYTES), (file.size - END_BYTES, file.size)]
    found, at = [], 0
    for _ in range(_BOXES):
        length, kind = struct.unpack(">I4s", head) if len(head := file.at(at, 8)) == 8 else (0, b"")
        if length == 1 and len(more := file.at(at + 8, 8)) == 8:
            (length,) = struct.unpack(">Q", more)
        end = file.size if length == 0 else at + length
        if kind != b"mdat":
            found.append((at, min(end, file.size)))
        if length < 8 or end >= file.size:
            break
        at = end
    return found


def _pieces(file: _File, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    while start < end:
        yield start, file.at(start, min(PIECE + OVERLAP, end - start))
        start += PIECE


def _filled(offset: int, length: int, with_: bytes = b"\0") -> Iterator[Patch]:
    for start in range(0, length, MAX_PATCH_BYTES):
        yield Patch(offset + start, with_ * min(MAX_PATCH_BYTES, length - start))


def _directories(file: _File, base: int) -> Iterator[Patch]:
    """The changes that empty the directories of GPS in TIFF data which begin at ``base``."""
    order = "<" if file.at(base, 2) == b"II" else ">"
    waiting, seen = [_number(file, order, base + 4)], set[int]()
    while waiting and len(seen) < _DIRECTORIES:
        offset = waiting.pop()
        if not offset or offset in seen:
            continue
        seen.add(offset)
        entries = _entries(file, order, base + offset, _ENTRIES)
        if _is_gps(entries) and any(tag in (2, 4) for tag, *_ in entries):  # as in CR3
            yield from _emptied(file, base, offset, entries)
            continue
        for tag, kind, count, value in entries:
            if tag == _GPS and _is_gps(gps := _entries(file, order, base + value, _GPS_ENTRIES)):
                yield from _emptied(file, base, value, gps)
            elif tag == _EXIF or (tag == _SUB and count == 1):
                waiting.append(value)
            elif tag == _SUB and kind in (4, 13):
                waiting += [_number(file, order, base + value + 4 * number) for number in range(min(count, _DIRECTORIES))]
        if entries:
            waiting.append(_number(file, order, base + offset + 2 + 12 * len(entries)))


def _emptied(file: _File, base: int, offset: int, entries: list[tuple[int, int, int, int]]) -> Iterator[Patch]:
    yield Patch(base + offset, bytes(2 + 12 * len(entries)))
    for _, kind, count, value in entries:
        if (length := _SIZES[kind] * count) > 4 and length <= MAX_PATCH_BYTES and base + value + length <= file.size:
            yield Patch(base + value, bytes(length))


def _entries(file: _File, order: str, offset: int, most: int) -> list[tuple[int, int, int, int]]:
    """The entries of a directory: tag, type, count, value; none if there is no directory."""
    head = file.at(offset, 2)
    count = struct.unpack(f"{order}H", head)[0] if len(head) == 2 else 0
    raw = file.at(offset + 2, 12 * count) if count <= most else b""
    if len(raw) != 12 * count:
        return []
    return list(struct.iter_unpack(f"{order}HHII", raw))


def _is_gps(entries: list[tuple[int, int, int, int]]) -> bool:
    return bool(entries) and all(tag <= _LAST_GPS and kind in _SIZES for tag, kind, *_ in entries)


def _number(file: _File, order: str, offset: int) -> int:
    raw = file.at(offset, 4)
    return int(struct.unpack(f"{order}I", raw)[0]) if len(raw) == 4 else 0


def _png(file: _File, found: list[Patch]) -> Iterator[Patch]:
    """The changes to a PNG: each chunk has a checksum, and some hold compressed EXIF or XMP, which are emptied."""
    at = 8
    for _ in range(_BOXES * 10):
        if len(head := file.at(at, 8)) < 8:
            return
        length, kind = struct.unpack(">I4s", head)
        here = [patch for patch in found if at + 8 <= patch.offset < at + 8 + length]
        if kind in (b"eXIf", b"iTXt", b"tEXt", b"zTXt") and length <= file.size - at:
            data = file.at(at + 8, length)
            if _is_packed(kind, data):
                content = bytes(length)
                yield Patch(at + 4, b"voId")
                yield from _filled(at + 8, length)
                yield Patch(at + 8 + length, struct.pack(">I", zlib.crc32(b"voId" + content)))
            elif here:
                content = patched(data, at + 8, here)
                yield from here
                yield Patch(at + 8 + length, struct.pack(">I", zlib.crc32(kind + content)))
        at += 12 + length


def _is_packed(kind: bytes, data: bytes) -> bool:
    """Whether a chunk of text holds EXIF or XMP in a form in which no position can be found."""
    keyword, _, rest = data.partition(b"\0")
    return kind != b"eXIf" and (
        keyword.startswith(b"Raw profile type") or (keyword == b"XML:com.adobe.xmp" and (kind == b"zTXt" or rest[:1] == b"\1"))
    )


def patched(data: bytes, start: int, patches: Iterable[Patch]) -> bytes:
    """A piece of a file that begins at byte ``start``, with the changes that fall into it."""
    changed = bytearray(data)
    for patch in patches:
        first, last = max(patch.offset, start), min(patch.offset + len(patch.content), start + len(data))
        if first < last:
            changed[first - start : last - start] = patch.content[first - patch.offset : last - patch.offset]
    return bytes(changed)
