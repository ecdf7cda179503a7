"""Pillow plugins for formats that Pillow does not read, or not well: Photoshop and OpenEXR. And a PNG reader that is less strict
than Pillow's."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageFile, PngImagePlugin, PsdImagePlugin

from search.media.decode import deep
from search.media.decode.colour import encoded

_EXR = b"\x76\x2f\x31\x01"
_LONGEST_HEADER = 1 << 20
"""What is read of the header of an OpenEXR, in bytes."""
_LONGEST_LIST = 64 << 10
"""What is looked at of its list of channels, in bytes."""
_XMP = 1060
"""Number of the resource of Photoshop that holds XMP."""

PsdImagePlugin.MODES |= {(1, 16): ("L", 1), (3, 16): ("RGB", 3)}


class Psd(PsdImagePlugin.PsdImageFile):
    """The whole picture that Photoshop stores beside the layers; with 16 bits a value it is decoded by FFmpeg."""

    def _open(self) -> None:
        self._bits = int.from_bytes(_head(self, 26)[22:24], "big")
        super()._open()
        self.info["photoshop"] = {number: data for number, _, data in self.resources}
        if packet := self.info["photoshop"].get(_XMP):
            self.info["xmp"] = packet
        if self._bits == 16:
            self.tile = []

    def load(self) -> Any:  # noqa: ANN401 - Pillow's own
        """Decode the picture."""
        if self._bits == 16 and self._im is None:
            pixels = deep.levels(deep.by_ffmpeg("psd", self.fp), whole=True)
            self._mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[pixels.shape[2]]
            self.im = Image.fromarray(pixels.squeeze(2) if self._mode == "L" else pixels, self._mode).im
        return super().load()


class Exr(ImageFile.ImageFile):
    """OpenEXR, through FFmpeg: linear light, with transparency multiplied in; values above 1 are white. Grey is of mode F."""

    format = "EXR"
    format_description = "OpenEXR"

    def _open(self) -> None:
        header = _head(self, _LONGEST_HEADER)
        if not header.startswith(_EXR):
            raise SyntaxError("not an OpenEXR file")
        names, at = dict[bytes, bytes](), 8
        while at < len(header) and header[at]:
            name, kind, rest = header[at : at + 512].split(b"\0", 2)
            at += len(name) + len(kind) + 6
            size = int.from_bytes(rest[:4], "little")
            names[name] = header[at : at + size]
            at += size
        left, top, right, bottom = struct.unpack("<4i", names[b"displayWindow"])
        self._size = right - left + 1, bottom - top + 1
        channels = {one[: one.index(b"\0")] for one in _channels(names[b"channels"][:_LONGEST_LIST])}
        self._mode = "F" if channels == {b"Y"} else "RGBA" if b"A" in channels else "RGB"

    def load(self) -> Any:  # noqa: ANN401 - Pillow's own
        """Decode the picture."""
        if self._im is None:
            light = deep.by_ffmpeg("exr", self.fp)
            self._size, count = (light.shape[1], light.shape[0]), light.shape[2]
            self._mode = {1: "F", 3: "RGB", 4: "RGBA"}[count]
            if count == 1:
                self.im = Image.fromarray(light[..., 0]).im
            else:
                if count == 4:
                    light[..., :3] /= np.maximum(light[..., 3:], 1e-6)
                pixels = encoded(light)
                if count == 4:
                    pixels[..., 3] = (light[..., 3] * 255).round().clip(0, 255)
                self.im = Image.fromarray(pixels, self._mode).im
        return super().load()


class _Chunks(PngImagePlugin.PngStream):
    """The chunks of a PNG. A damaged colour chunk does not make the picture damaged."""

    def chunk_iCCP(self, pos: int, length: int) -> bytes:  # noqa: N802 - Pillow's name
        return self._tried(super().chunk_iCCP, pos, length)

    def chunk_gAMA(self, pos: int, length: int) -> bytes:  # noqa: N802
        return self._tried(super().chunk_gAMA, pos, length)

    def chunk_cHRM(self, pos: int, length: int) -> bytes:  # noqa: N802
        return self._tried(super().chunk_cHRM, pos, length)

    def chunk_sRGB(self, pos: int, length: int) -> bytes:  # noqa: N802
        return self._tried(super().chunk_sRGB, pos, length)

    def _tried(self, read: Callable[[int, int], bytes], pos: int, length: int) -> bytes:
        try:
            return read(pos, length)
        except (ValueError, SyntaxError, IndexError):
            self.im_info["icc_profile"] = None  # for which it will be told as damaged
            if self.fp is None:
                raise
            self.fp.seek(pos)
            return self.fp.read(length)


PngImagePlugin.PngStream = _Chunks  # type: ignore[misc]


def _head(image: ImageFile.ImageFile, length: int) -> bytes:
    """The first bytes of the file of a picture being opened."""
    if image.fp is None:
        raise SyntaxError("it is closed")
    head = image.fp.read(length)
    image.fp.seek(0)
    return head


def _channels(told: bytes) -> list[bytes]:
    """The channel entries in an OpenEXR header: names and attributes."""
    found = []
    while told and told[0]:
        length = told.index(b"\0") + 17
        found.append(told[:length])
        told = told[length:]
    return found


for _plugin, _magic in ((Psd, b"8BPS\0\1"), (Exr, _EXR)):
    Image.register_open(_plugin.format, _plugin, lambda head, magic=_magic: head.startswith(magic))  # type: ignore[misc]
