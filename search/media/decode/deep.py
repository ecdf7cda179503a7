"""Pictures with more than 8 bits per value, and the kinds of TIFF that Pillow does not read, or reads incorrectly."""

from __future__ import annotations

from typing import IO, Any, cast

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from search.errors import MediaError
from search.media.decode.colour import encoded

_WHITES = (255, 1023, 4095, 16383, 65535, 0xFFFFFFFF)
"""White in the bit depths that deep pictures come in."""
_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR, _TILES, _FORMAT, _PROFILE = 258, 259, 262, 277, 284, 324, 339, 34675
_FLOAT = 3
_WORDS = dict.fromkeys(("gray16", "ya16", "rgb48", "rgba64", "gbrp16", "gbrap16"), "u2")
"""Frame formats with 16-bit words, without the byte order."""
_BY_FFMPEG = {(2, _FLOAT, 32, 3): "RGB", (1, 1, 16, 2): "LA"}
"""Photometric interpretation, sample format, bits and samples of a TIFF that only FFmpeg reads -> the resulting mode."""


class Tiff(TiffImagePlugin.TiffImageFile):
    """A TIFF. Kinds for which Pillow has no mode are decoded by FFmpeg, if it can."""

    _elsewhere: str | None = None
    """The mode, where FFmpeg decodes."""

    def _setup(self) -> None:
        """Correct Pillow, which treats planes of 16 bits as planes of 8 unless libtiff reads them."""
        bits = _most(self.tag_v2.get(_BITS, (1,)))
        TiffImagePlugin.READ_LIBTIFF = self.tag_v2.get(_PLANAR, 1) == 2 and bits > 8
        try:
            self._elsewhere = None
            super()._setup()
        except SyntaxError as error:
            if _BITS not in self.tag_v2:
                raise  # damaged
            samples, form = _most(self.tag_v2.get(_SAMPLES, 1)), _most(self.tag_v2.get(_FORMAT, (1,)))
            self._elsewhere = _BY_FFMPEG.get((_most(self.tag_v2.get(_PHOTOMETRIC, 0)), form, bits, samples))
            if self._elsewhere is None or _TILES in self.tag_v2:
                kind = "floating-point" if form == _FLOAT else "whole"
                what = f"a TIFF of {samples} {kind} numbers of {bits} bits a pixel, which is not read"
                raise MediaError("unsupported", what) from error
            self._mode, self._im, self.tile, self.palette, self.use_load_libtiff = self._elsewhere, None, [], None, False
            if _PROFILE in self.tag_v2:
                self.info["icc_profile"] = self.tag_v2[_PROFILE]

    def load(self) -> Any:  # noqa: ANN401 - Pillow's own
        """Decode the page."""
        if self._elsewhere and self._im is None:
            pixels = by_ffmpeg("tiff", self.fp, page=str(self.tell() + 1))
            self.im = Image.fromarray(levels(pixels, whole=self._elsewhere != "RGB"), self._elsewhere).im
            self.load_end()
        return super().load()


Image.register_open(Tiff.format, Tiff, TiffImagePlugin._accept)


def values(image: Image.Image) -> NDArray[np.float32]:
    """The values (H, W) of a picture of mode L, I, I;16 or F as stored in the file; values that are not finite become 0."""
    whole = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    if image.mode == "I" and _most(tags.get(_BITS, (0,))) == 32 and _most(tags.get(_FORMAT, (1,))) == 1:
        whole = whole.view(np.uint32)  # of which Pillow knows no mode
    return np.nan_to_num(whole.astype(np.float32), posinf=0, neginf=0)


def shallow(image: Image.Image) -> Image.Image:
    """Convert deep grey (16 or 32 bits, or floating point) to 8 bits, L."""
    grey = encoded(values(image)) if image.format == "EXR" else levels(values(image), whole=image.mode != "F")
    if image.format == "TIFF" and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:
        grey = 255 - grey  # 0 is white, which Pillow heeds in 8 bits alone
    return Image.fromarray(grey)


def levels(some: NDArray[np.float32], *, whole: bool) -> NDArray[np.uint8]:
    """Finite values of any range as bytes. White is the white of the bit depth that the values suggest. ``whole``: they are
    integers."""
    low, high = float(some.min()), float(some.max())
    if not whole and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and whole:
        low, high = 0.0, float(next((white for white in _WHITES if high <= white), high))
    return ((some - low) * (255 / max(high - low, 1e-9))).round().clip(0, 255).astype(np.uint8)


def by_ffmpeg(codec: str, file: IO[bytes] | None, **options: str) -> NDArray[np.float32]:
    """The values (H, W, channels) of a picture, by a decoder of FFmpeg, which gets the file in one packet. Values that are not
    finite become 0.

    Channels are in the order grey, or red, green, blue; then transparency.

    Raises:
        av.FFmpegError: it is damaged, or of a kind that FFmpeg does not read.
        OSError: it is closed, or holds no picture.
    """
    if file is None:
        raise OSError("it is closed")
    context = cast("av.VideoCodecContext", av.CodecContext.create(codec, "r"))
    context.thread_count = 1
    context.options = options
    file.seek(0)
    frames = context.decode(av.Packet(file.read()))
    frame = frames[0] if frames else None
    if not isinstance(frame, av.VideoFrame):
        raise OSError("it holds no picture")
    name, channels = frame.format.name, len(frame.format.components) // len(frame.planes)
    kind = np.dtype(
        (">" if name.endswith("be") else "<")
        + ("f4" if "f32" in name else "f2" if "f16" in name else _WORDS.get(name[:-2], "u1"))
    )
    found = []
    for plane in frame.planes:
        rows = np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)[
            : frame.height, : frame.width * channels * kind.itemsize
        ]
        found.append(np.ascontiguousarray(rows).view(kind).reshape(frame.height, frame.width, channels))
    if name.startswith("gbr"):
        found = [found[2], found[0], found[1], *found[3:]]
    return np.nan_to_num(np.concatenate(found, 2).astype(np.float32), posinf=0, neginf=0)


def _most(told: object) -> int:
    """The largest number of a tag, which may hold one or several."""
    numbers = told if isinstance(told, tuple) else (told,)
    return max((int(number) for number in numbers if isinstance(number, int | float)), default=0)
