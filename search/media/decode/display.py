"""A video frame as a screen shows it: upright, with square pixels, one moment at a time, in sRGB, over white."""

from __future__ import annotations

import struct
from typing import Any, cast

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from search.media.decode import light
from search.media.decode.geometry import scaled, square
from search.media.decode.shots import PLANAR
from search.types import Needs, Picture

_HD = 720
"""From this height on, in pixels, values without a stated matrix are BT.709, as in browsers."""
_601, _709, _2020 = 5, 1, 9
_MATRICES = {1: _709, 4: 4, 5: _601, 6: _601, 7: 7, 9: _2020, 10: _2020}
"""Matrices as ISO/IEC 23091-2 counts them -> as swscale does."""
_GUESSED_601 = ("vp9", "libvpx-vp9", "av1", "libdav1d")
"""Codecs that state their matrix. If it is missing, browsers use BT.601, whatever the size."""
_CONSTANT = ("vp8", "libvpx")
"""Codecs whose decoders always state BT.601."""
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
"""Without these flags 8-bit colours are one or two of 255 too dark; with them 16-bit colours are wrong."""
_UNTOLD = 2
_QUARTERS = ((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))
"""Rotation matrices and their number of quarter turns to the left."""
_COMBED = 25
"""A line that is this much brighter or darker than both neighbours, of 255, belongs to another moment."""


class Display:
    """Converts frames of one track for an encoder: (size, size, 3) uint8 RGB."""

    def __init__(self, needs: Needs, stream: av.VideoStream | None, aspect: float) -> None:
        """``aspect``: the width of a pixel over its height. Colour data of ``stream`` take precedence over those of its frames."""
        self._needs, self._aspect = needs, aspect
        self._scaler, self._packer = VideoReformatter(), VideoReformatter()
        self._narrower, self._painter = VideoReformatter(), VideoReformatter()
        context = stream.codec_context if stream is not None else None
        self._codec = context.name if context is not None else ""
        self._told = (context.colorspace, context.color_primaries, context.color_trc) if context is not None else (2, 2, 2)
        self._turn: tuple[int, int, int, int] | None = None

    def turned(self, frame: av.VideoFrame) -> int:
        """Whether the film is rotated by a quarter turn, from its first frame: 1 if width and height change places, else 0.
        Mirroring is ignored."""
        if self._turn is None:
            self._turn = _matrix_of(frame)
        a, b, c, d = self._turn
        return int(abs(b) + abs(c) > abs(a) + abs(d))

    def picture(self, frame: av.VideoFrame) -> Picture:
        """A frame as it is displayed, scaled as the encoder wants it."""
        turned = self.turned(frame)
        width, height = scaled(frame.width * self._aspect, frame.height, self._needs)
        primaries, transfer = self._tag(1, frame.color_primaries), self._tag(2, frame.color_trc)
        differs, nits = light.differs(primaries, transfer), _brightest(frame) if transfer == light.PQ else 0
        matrix = self._matrix(frame)
        smaller = width <= frame.width and height <= frame.height
        how = "AREA" if smaller and self._needs.filter == "bicubic" else self._needs.filter.upper()
        if frame.format.has_palette or any(part.is_alpha for part in frame.format.components):
            frame, matrix = self._over_white(frame, matrix), None
        elif frame.interlaced_frame:
            frame, matrix = self._one_field(frame, min(width, frame.width), matrix, how), None
        # Scaled as it is and coloured after: half the time of doing both at once, and nearer to what Pillow makes of the same picture.
        inner = frame.format.name if frame.format.name in PLANAR else "rgb48le" if differs else "rgb0"
        small = self._scaler.reformat(frame, width, height, inner, interpolation=how, threads=1)
        form, flags = ("rgb48le", Interpolation.BILINEAR) if differs else ("rgb24", _EXACT)
        coloured = self._packer.reformat(small, format=form, src_colorspace=matrix, interpolation=flags, threads=1)
        pixels = coloured.to_ndarray()
        if differs:
            pixels = light.srgb(cast("NDArray[np.uint16]", pixels), primaries, transfer, nits)
        upright = self._upright(cast("Picture", pixels), swap=bool(turned))
        return upright if self._needs.fit == "inside" else square(upright, self._needs.size)

    def _tag(self, at: int, of_frame: int) -> int:
        """A colour tag: the matrix (0), the primaries (1) or the transfer (2)."""
        return self._told[at] if self._told[at] != _UNTOLD else of_frame

    def _matrix(self, frame: av.VideoFrame) -> int | None:
        """The matrix that turns a frame into RGB; None: it is RGB."""
        if not frame.format.name.startswith("yuv"):
            return None
        told = _MATRICES.get(self._tag(0, frame.colorspace))
        if told is not None and self._codec not in _CONSTANT:
            return told
        return _709 if frame.height >= _HD and self._codec not in _GUESSED_601 else _601

    def _over_white(self, frame: av.VideoFrame, matrix: int | None) -> av.VideoFrame:
        """A frame with transparency, drawn over white, so that hidden colours do not appear."""
        pixels = self._painter.reformat(frame, format="rgba", src_colorspace=matrix, threads=1).to_ndarray()
        if (self._codec == "rawvideo" or frame.format.has_palette) and not pixels[..., 3].any():
            pixels[..., 3] = 255  # four bytes a pixel, of which the fourth is nothing
        alpha = pixels[..., 3:].astype(np.uint16)
        return av.VideoFrame.from_ndarray(
            ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8), "rgb24"
        )

    def _one_field(self, frame: av.VideoFrame, width: int, matrix: int | None, how: str) -> av.VideoFrame:
        """An interlaced frame at its first moment. Where the two fields differ, the second is interpolated from the lines of the
        first."""
        inner = frame.format.name if frame.format.name in PLANAR else "rgb0"
        narrow = self._narrower.reformat(frame, width, frame.height, inner, interpolation=how, threads=1)
        pixels = self._painter.reformat(narrow, format="rgb24", src_colorspace=matrix, threads=1).to_ndarray()
        return av.VideoFrame.from_ndarray(unwoven(cast("Picture", pixels)), "rgb24")

    def _upright(self, pixels: Picture, *, swap: bool) -> Picture:
        a, b, c, d = self._turn or (1, 0, 0, 1)
        across, down = (c, b) if swap else (a, d)
        if swap:
            pixels = pixels.swapaxes(0, 1)
        return pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]


def unwoven(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An interlaced frame (H, W, 3) in which the second field is replaced by the moment of the first, wherever lines stand out
    like a comb."""
    lines = pixels.astype(np.int32)
    above, own, below = lines[0:-2:2], lines[1:-1:2], lines[2::2]
    combed = (np.minimum((own - above) * (own - below), _COMBED**2) >= _COMBED**2).any(axis=2)
    calm = pixels.copy()
    calm[1:-1:2][combed] = ((above + below + 1) // 2)[combed]
    return calm


def _matrix_of(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """The part of a frame's display matrix that rotates and mirrors (ISO/IEC 14496-12, 8.3.2): x' = a x + c y, y' = b x + d y."""
    if data := _beside(frame, Type.DISPLAYMATRIX, 36):
        a, b, _, c, d = struct.unpack("=5i", data[:20])
        return a, b, c, d
    return _QUARTERS[round(frame.rotation / 90) % 4]


def _brightest(frame: av.VideoFrame) -> float:
    """The brightest light of the film, as stated for the film itself or for its mastering display, in cd/m²."""
    nits = 0.0
    if data := _beside(frame, Type.CONTENT_LIGHT_LEVEL, 8):
        nits = float(struct.unpack("=I", data[:4])[0])
    if not nits and (data := _beside(frame, Type.MASTERING_DISPLAY_METADATA, 80)):
        over, under = struct.unpack("=2i", data[72:80])
        nits = over / under if under > 0 else 0.0
    return nits if light.WHITE_NITS / 4 <= nits <= 10_000 else float(light.USUAL_NITS)


def _beside(frame: av.VideoFrame, kind: Type, length: int) -> bytes | None:
    """Side data of a frame; None if there is none of this kind, or less than ``length`` bytes.

    PyAV returns nothing at all for a frame that also has side data of a kind that PyAV does not know.
    """
    try:
        found = bytes(cast(Any, frame.side_data)[kind])
    except (KeyError, ValueError):
        return None
    return found if len(found) >= length else None
