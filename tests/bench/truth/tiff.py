"""TIFF as scanners and microscopes write it, in kinds that Pillow does not write."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np


def tiff(
    pixels: np.ndarray,
    *,
    photometric: int | None = None,
    planar: bool = False,
    rows: int | None = None,
    kind: int = 1,
    icc: bytes = b"",
    turned: int = 1,
    subfile: int = 0,
) -> bytes:
    """A TIFF without compression, little-endian, from (H, W) or (H, W, channels). ``kind``: 1 whole numbers, 3 floating point.
    ``subfile``: 1 for a smaller copy of another page."""
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    pixels = pixels.reshape(height, width, channels)
    photometric = (2 if channels == 3 else 1) if photometric is None else photometric
    rows = rows or height
    planes = [pixels[..., number : number + 1] for number in range(channels)] if planar else [pixels]
    strips = [np.ascontiguousarray(plane[top : top + rows]).tobytes() for plane in planes for top in range(0, height, rows)]
    body, places = b"II*\0\0\0\0\0", []
    for strip in strips:
        places.append(len(body))
        body += strip + b"\0" * (len(strip) % 2)
    bits = pixels.dtype.itemsize * 8
    tags: list[tuple[int, int, Sequence[int] | bytes]] = [
        (256, 4, [width]), (257, 4, [height]), (258, 3, [bits] * channels), (259, 3, [1]), (262, 3, [photometric]), (273, 4, places), (274, 3, [turned]),
        (277, 3, [channels]), (278, 4, [rows]), (279, 4, [len(strip) for strip in strips]), (284, 3, [2 if planar else 1]), (339, 3, [kind] * channels),
    ]  # fmt: skip
    if subfile:
        tags.append((254, 4, [subfile]))
    if photometric == 5:
        tags.append((332, 3, [1]))
    if icc:
        tags.append((34675, 7, icc))
    tags.sort()
    entries = b""
    for tag, form, values in tags:
        data = (
            values if isinstance(values, bytes) else b"".join(struct.pack("<H" if form == 3 else "<I", value) for value in values)
        )
        count = len(values)
        if len(data) > 4:
            place = len(body)
            body += data + b"\0" * (len(data) % 2)
            data = struct.pack("<I", place)
        entries += struct.pack("<HHI", tag, form, count) + data.ljust(4, b"\0")
    whole = bytearray(body + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0")
    whole[4:8] = struct.pack("<I", len(body))
    return bytes(whole)
