"""Pictures and animations, through Pillow."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL.Image import Resampling, Transpose

from search.errors import MediaError
from search.media import behind, labels
from search.media.geometry import PAD, fit
from search.media.sniff import is_heif
from search.media.source import PICTURES, Found, Limits, Source
from search.types import Channel, Cut, Gap, Info, Modality, Needs, Picture, Stamp

_PLUGINS = (
    JpegImagePlugin, PngImagePlugin, GifImagePlugin, WebPImagePlugin, TiffImagePlugin, BmpImagePlugin, AvifImagePlugin,
    Jpeg2KImagePlugin, PpmImagePlugin, TgaImagePlugin,
)  # fmt: skip
"""Imported here, or Pillow would import all that it has. Never all: its EPS reader starts Ghostscript."""
_LOOKED_AT, _UNPACKED = 2000, 2_000_000_000
"""Frames of an animation that are looked at, at most, and the pixels in them."""
_WHITES = (255, 1023, 4095, 16383, 65535)
"""White in the bit depths that deep grey pictures come in."""
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""EXIF orientation -> what sets the picture upright; from 5 on, width and height change places."""
_FILTERS = {"bicubic": Resampling.BICUBIC, "bilinear": Resampling.BILINEAR}
_ORIENTATION = 0x0112
_ROOM = 24 << 20
"""What the frames of an animation may take together, in bytes."""

Image.preinit()  # or Pillow would do so at the first picture, when nothing can be imported any more
Image.MAX_IMAGE_PIXELS = None  # Limits.max_pixels is checked here, before anything is decoded
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # a decoder may start no threads
warnings.simplefilter("ignore")


def read(source: Source, needs: Needs, limits: Limits) -> Iterator[Found]:
    """Decode a picture into one cut: (size, size, 3), or (frames, size, size, 3) where it is animated; none where ``needs.size`` is 0.

    Then, with ``needs.metadata``, what is written in it.

    Raises:
        MediaError: ``too_large``, ``undecodable``, ``truncated``.
    """
    if is_heif(source.head) and ("heic" not in limits.formats or "HEIF" not in Image.OPEN):
        raise MediaError("unsupported", "a HEIF picture: read with the extra heic, and heic among image_formats")
    if not needs.size:
        image, info = _unseen(source, limits)
        yield info
        if needs.metadata:
            yield from labels.read(image, source, needs)
        return
    gaps: list[Gap] = []
    image, size, count = loaded(source, needs, limits, gaps)
    turned, stamps = orientation(image), labels.stamps(image, source)
    if count > 1:
        frames, duration = _animation(image, count, needs, limits, gaps)
        content, modality = np.stack([_picture(frame, turned) for frame in frames]), Modality.VIDEO
    else:
        content, modality, duration = _picture(_fitted(image, needs), turned), Modality.IMAGE, None
    check_seen(content, gaps)
    yield _info(image, size, duration, turned, stamps)
    yield Cut(Channel.VISUAL, modality, None, content)
    yield from gaps
    yield from behind.read(image, source, needs, limits)


def learn_heif() -> None:
    """Have Pillow read HEIF, where the extra ``heic`` is installed."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.options.DECODE_THREADS = 1
        pillow_heif.register_heif_opener(thumbnails=False)


def _unseen(source: Source, limits: Limits) -> tuple[Image.Image, Info]:
    """A picture that is not decoded, and what the head of its file tells of it."""
    try:
        image = opened(source, limits)
    except (MemoryError, MediaError):
        raise
    except Exception as error:
        raise MediaError("undecodable", f"nothing of the picture can be read; its decoder says: {error}") from error
    upright = image.format == "TIFF"  # whose size is that when upright
    return image, _info(image, image.size, None, 1 if upright else orientation(image), labels.stamps(image, source))


def _info(image: Image.Image, size: tuple[int, int], duration: int | None, turned: int, stamps: tuple[Stamp, ...]) -> Info:
    width, height = reversed(size) if turned >= 5 else size
    return Info(Modality.IMAGE, form(image), width, height, duration, stamps)


def loaded(source: Source, needs: Needs, limits: Limits, gaps: list[Gap]) -> tuple[ImageFile.ImageFile, tuple[int, int], int]:
    """A picture with what of it can be decoded, its width and height in the file, and how many frames are to be looked at.

    Raises:
        MediaError: ``too_large``, ``undecodable``.
    """
    try:
        image = opened(source, limits)
        size, count = image.size, _count(image, gaps)
        _draft(image, needs)
        image.load()
    except (MemoryError, MediaError):
        raise
    except Exception as error:  # noqa: BLE001  damaged pictures raise a dozen types
        image, count = _salvage(source, limits, needs, error), 1
        size = image.size
        gaps.append(Gap("truncated", f"the picture is damaged or cut short; its decoder says: {error}"))
    return image, size, count


def check_seen(content: NDArray[Any], gaps: Sequence[Gap]) -> None:
    """Raise MediaError (``truncated``) for a damaged picture of which nothing is left."""
    if any(gap.reason == "truncated" for gap in gaps) and content.min() == content.max():
        raise MediaError("truncated", "the picture ends before anything can be seen")


def form(image: Image.Image) -> str:
    """The name of a picture's format."""
    return (image.format or "").lower().replace("mpo", "jpeg")


def opened(source: Source, limits: Limits) -> ImageFile.ImageFile:
    """A picture whose head has been read; raises MediaError (``too_large``), or whatever Pillow does."""
    source.file.seek(0)
    formats = [PICTURES[name] for name in limits.formats if PICTURES[name] in Image.OPEN]
    if source.suffix != ".tga" and "TGA" in formats:
        formats.remove("TGA")  # it has no signature: anything might be taken for one
    image = Image.open(source.file, formats=formats)
    _check(image, limits)
    return image


def _count(image: ImageFile.ImageFile, gaps: list[Gap]) -> int:
    """How many frames are to be looked at. Files may claim any number, and each takes time to get to."""
    if image.format in ("MPO", "HEIF"):
        return 1
    most = max(1, min(_LOOKED_AT, _UNPACKED // (image.width * image.height)))
    count = _pages(image, most + 1) if image.format == "TIFF" else int(getattr(image, "n_frames", 1))
    if count > most:
        gaps.append(Gap("not_sampled", f"only the first {most} frames were looked at"))
    return min(count, most)


def _pages(image: ImageFile.ImageFile, most: int) -> int:
    """Pages of a TIFF, counted one by one: to count a chain of millions takes minutes."""
    count = 1
    try:
        while count < most:
            image.seek(count)
            count += 1
    except EOFError:
        pass
    image.seek(0)
    return count


def _check(image: Image.Image, limits: Limits) -> None:
    width, height = image.size
    if width * height > limits.max_pixels:
        raise MediaError("too_large", f"{width} x {height} pixels exceed max_pixels ({limits.max_pixels})")


def _draft(image: ImageFile.ImageFile, needs: Needs) -> None:
    """Have a JPEG decoded at half, a quarter or an eighth of its size, where that leaves enough pixels."""
    width, height = image.size
    if image.format in ("JPEG", "MPO"):
        side = max(width, height) if needs.fit == "pad" else min(width, height)
        image.draft(None, (width * needs.size // side or 1, height * needs.size // side or 1))


def _salvage(source: Source, limits: Limits, needs: Needs, error: Exception) -> ImageFile.ImageFile:
    """Decode what there is of a damaged picture; the rest stays grey or black."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        image = opened(source, limits)
        _draft(image, needs)
        image.load()
    except (MemoryError, MediaError):
        raise
    except Exception:  # noqa: BLE001
        raise MediaError("undecodable", f"nothing of the picture can be read; its decoder says: {error}") from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
    return image


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; that of WebP is left alone, as browsers do."""
    if image.format == "WEBP":
        return 1
    try:
        found = int(Image.Image.getexif(image).get(_ORIENTATION, 1))  # that of PNG decodes the whole picture, to look behind it
    except Exception:  # noqa: BLE001  EXIF is often broken, and never worth a picture
        return 1
    return found if 1 <= found <= 8 else 1


def _animation(
    image: Image.Image, count: int, needs: Needs, limits: Limits, gaps: list[Gap]
) -> tuple[list[Image.Image], int | None]:
    """Up to ``max_frames`` evenly spread frames, fitted, and the duration of all in milliseconds."""
    most = max(1, min(count, limits.max_frames, _ROOM // (3 * needs.size**2)))
    chosen = np.unique(np.linspace(0, count - 1, most).round().astype(int))
    frames: list[Image.Image] = []
    durations: list[float] = []
    for number in chosen.tolist():
        try:
            image.seek(number)
            _check(image, limits)
            frames.append(_fitted(image, needs))
        except (MemoryError, MediaError):
            raise
        except Exception as error:
            if not frames:
                raise
            gaps.append(Gap("truncated", f"the animation ends at frame {number} of {count}; its decoder says: {error}"))
            break
        durations.append(float(image.info.get("duration", 0) or 0))
    return frames, round(sum(durations) / len(durations) * count) or None


def _fitted(image: Image.Image, needs: Needs) -> Image.Image:
    """Scale as ``needs`` say, flatten to RGB and centre in the square."""
    image.load()
    if image.mode not in ("RGB", "L", "RGBA", "LA", "CMYK", "YCbCr") or "transparency" in image.info:
        image = _flat(image)
    plan = fit(*image.size, needs)
    image = _flat(image.resize((plan.width, plan.height), _FILTERS[needs.filter], box=plan.box, reducing_gap=3.0))
    if image.size == (needs.size, needs.size):
        return image
    canvas = Image.new("RGB", (needs.size, needs.size), PAD)
    canvas.paste(image, ((needs.size - plan.width) // 2, (needs.size - plan.height) // 2))
    return canvas


def _flat(image: Image.Image) -> Image.Image:
    """Any mode to RGB; what is transparent becomes white."""
    if image.mode.startswith(("I", "F")):
        return _shallow(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _shallow(image: Image.Image) -> Image.Image:
    """Deep grey (16 or 32 bits, or floating point) to 8 bits; white is white in the depth that the values point to."""
    values = np.nan_to_num(np.asarray(image, np.float32), posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and image.mode != "F":
        low, high = 0.0, float(next((white for white in _WHITES if high <= white), high))
    values = (values - low) * (255 / max(high - low, 1e-9))
    return Image.fromarray(values.round().clip(0, 255).astype(np.uint8)).convert("RGB")


def _picture(image: Image.Image, orientation: int) -> Picture:
    return np.asarray(upright(image, orientation))


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """A picture turned and mirrored as its orientation (EXIF) says."""
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image
