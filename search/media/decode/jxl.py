"""JPEG XL, through pylibjxl (libjxl), as a plugin of Pillow. Size and colours are read here from the head of the code stream, so
that a picture is decoded only if it is small enough.

The head is that of ISO/IEC 18181-1: signature, SizeHeader, ImageMetadata. libjxl turns pictures upright by itself, and what it
says of colours is not always what it gives: of lossy pictures with an ICC profile it gives linear light in the primaries of sRGB.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pylibjxl
from PIL import Image, ImageFile

from search.media.decode.colour import Coded, coded
from search.media.sniff import JXL_FILE, JXL_STREAM

_ORIENTATION = 0x0112
_MOST_BOXES = 1000
_SIZE = ((1, 9), (1, 13), (1, 18), (1, 30))
_ENUM = ((0, 0), (1, 0), (2, 4), (18, 6))
_CLOCK = (((100, 0), (1000, 0), (1, 10), (1, 30)), ((1, 0), (1001, 0), (1, 8), (1, 10)), ((0, 0), (0, 3), (0, 16), (0, 32)))
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_GREY, _XYB = 1, 2
_CUSTOM, _BT709, _P3, _P3_D65, _D65 = 2, 1, 11, 12, 1
_SRGB, _LINEAR, _UNTOLD = 13, 8, 2
"""Codes of primaries and white points, and of transfers: those of ITU-T H.273, where P3 of displays has a code of its own."""
_ALPHA, _SPOT, _CFA = 0, 2, 5
"""Types of extra channels."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the head of a code stream tells: width and height when upright, whether it is an animation, and what its values mean.
    ``coded`` is None for sRGB, and where a profile tells it."""

    width: int
    height: int
    is_animated: bool
    coded: Coded | None


class Jxl(ImageFile.ImageFile):
    """A JPEG XL picture, upright; of an animation one frame."""

    format = "JXL"
    format_description = "JPEG XL"

    def _open(self) -> None:
        if self.fp is None:
            raise SyntaxError("it is closed")
        self._data = self.fp.read()
        try:
            head = head_of(self._data)
        except IndexError as error:
            raise SyntaxError("its head is cut short") from error
        self._size, self._mode, self.is_animated = (head.width, head.height), "RGB", head.is_animated
        self.info |= {"coded": head.coded} if head.coded else {}
        boxes = dict(_boxes(self._data))
        self._note(boxes.get(b"Exif", b"")[4:], boxes.get(b"xml ", b""))

    def load(self) -> Any:  # noqa: ANN401 - Pillow's own
        """Decode the picture."""
        if self._im is None:
            pixels, told = pylibjxl.JXL(threads=1, pool_size=1).decode(self._data, metadata=True)
            image = Image.fromarray(pixels)
            self._mode, self._size, self.im = image.mode, image.size, image.im
            if told.get("icc") and "coded" not in self.info:
                self.info["icc_profile"] = told["icc"]
            self._note(told.get("exif", b"").removeprefix(b"Exif\0\0"), told.get("xmp", b""))
        return super().load()

    def _note(self, exif: bytes, xmp: bytes) -> None:
        """Keep EXIF and XMP. The orientation in EXIF is out of date: the code stream has its own."""
        if xmp:
            self.info["xmp"] = xmp
        with contextlib.suppress(Exception):  # metadata are often broken, and never worth a picture
            if exif:
                kept = Image.Exif()
                kept.load(exif)
                kept.pop(_ORIENTATION, None)
                self.info["exif"] = kept.tobytes()


def head_of(data: bytes) -> Head:
    """What the head of a file tells. Raises SyntaxError if it is no JPEG XL, IndexError if it is cut short."""
    stream = data if data.startswith(JXL_STREAM) else next((body for name, body in _boxes(data) if name == b"code"), b"")
    if not stream.startswith(JXL_STREAM):
        raise SyntaxError("no code stream of JPEG XL")
    bits = _Bits(stream[2:4096])
    width, height = _size(bits)
    if bits.flag():  # all as usual: XYB, sRGB
        return Head(width, height, is_animated=False, coded=None)
    turned, is_animated = 1, False
    if bits.flag():
        turned = 1 + bits.take(3)
        if bits.flag():
            _size(bits)
        if bits.flag():
            _preview(bits)
        if is_animated := bits.flag():
            for choices in _CLOCK:
                bits.number(*choices)
            bits.flag()
    _depth(bits)
    bits.flag()
    for _ in range(bits.number((0, 0), (1, 0), (2, 4), (1, 12))):
        _extra(bits)
    is_xyb = bits.flag()
    found = _colours(bits, is_xyb=is_xyb)
    width, height = (height, width) if turned >= 5 else (width, height)
    return Head(width, height, is_animated, found)


def _size(bits: _Bits) -> tuple[int, int]:
    eighths = bits.flag()

    def side() -> int:
        return 8 * (1 + bits.take(5)) if eighths else bits.number(*_SIZE)

    height = side()
    ratio = bits.take(3)
    if not ratio:
        return side(), height
    over, under = _RATIOS[ratio - 1]
    return height * over // under, height


def _preview(bits: _Bits) -> None:
    choices = ((16, 0), (32, 0), (1, 5), (33, 9)) if bits.flag() else ((1, 6), (65, 8), (321, 10), (1345, 12))
    bits.number(*choices)
    if not bits.take(3):
        bits.number(*choices)


def _depth(bits: _Bits) -> None:
    if bits.flag():
        bits.number((32, 0), (16, 0), (24, 0), (1, 6))
        bits.take(4)
    else:
        bits.number((8, 0), (10, 0), (12, 0), (1, 6))


def _extra(bits: _Bits) -> None:
    if bits.flag():  # alpha as usual
        return
    kind = bits.number(*_ENUM)
    _depth(bits)
    bits.number((0, 0), (3, 0), (4, 0), (1, 3))
    bits.take(8 * bits.number((0, 0), (0, 4), (16, 5), (48, 10)))
    if kind == _ALPHA:
        bits.flag()
    elif kind == _SPOT:
        bits.take(4 * 16)
    elif kind == _CFA:
        bits.number((1, 0), (0, 2), (3, 4), (19, 8))


def _colours(bits: _Bits, *, is_xyb: bool) -> Coded | None:
    """What the values mean that libjxl gives."""
    if bits.flag():
        return None
    has_profile, space = bits.flag(), bits.number(*_ENUM)
    if has_profile:
        return coded(_BT709, _LINEAR) if is_xyb else None
    if space == _XYB:
        return None
    primaries = _BT709
    if (white := bits.number(*_ENUM)) == _CUSTOM:
        _point(bits)
    if space != _GREY and (primaries := bits.number(*_ENUM)) == _CUSTOM:
        for _ in range(3):
            _point(bits)
    if bits.flag():
        return coded(primaries, -1e7 / max(bits.take(24), 1))
    transfer = bits.number(*_ENUM)
    return coded(_P3_D65 if (primaries, white) == (_P3, _D65) else primaries, _SRGB if transfer == _UNTOLD else transfer)


def _point(bits: _Bits) -> None:
    for _ in range(2):
        bits.number((0, 19), (524_288, 19), (1_048_576, 20), (2_097_152, 21))


class _Bits:
    """The bits of a code stream, lowest first. Raises IndexError at its end."""

    def __init__(self, data: bytes) -> None:
        self._bits, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise IndexError(count)
        found, self._bits, self._left = self._bits & ((1 << count) - 1), self._bits >> count, self._left - count
        return found

    def flag(self) -> bool:
        return bool(self.take(1))

    def number(self, *choices: tuple[int, int]) -> int:
        """A number in one of four forms: a base, and how many bits are added to it."""
        base, extra = choices[self.take(2)]
        return base + self.take(extra)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes of a file, names and contents; the first part of the code stream is called ``code``."""
    at, count = 0, 0
    while data.startswith(JXL_FILE) and at + 8 <= len(data) and (count := count + 1) < _MOST_BOXES:
        size, name, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        end = at + size if size else len(data)
        if end < start:
            return
        if name in (b"jxlc", b"jxlp"):
            yield b"code", data[start + 4 * (name == b"jxlp") : end]
        else:
            yield name, data[start:end]
        at = end


Image.register_open(Jxl.format, Jxl, lambda head: head.startswith((JXL_STREAM, JXL_FILE)))
