"""Pictures and animations, through Pillow."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
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
    PsdImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL.Image import Resampling, Transpose

from search.errors import MediaError
from search.media.decode import behind, deep, openers
from search.media.decode.colour import MAX_PROFILE, Colours
from search.media.decode.geometry import PAD, edges, fit
from search.media.metadata import picture_text
from search.media.metadata.circumstances import Told
from search.media.sniff import is_heif, is_jxl, is_raw_head, is_raw_name
from search.media.source import PICTURES, Found, Limits, Source
from search.types import Box, Channel, Cut, Gap, Info, Modality, Needs, Picture

_PLUGINS = (
    JpegImagePlugin, PngImagePlugin, GifImagePlugin, WebPImagePlugin, TiffImagePlugin, BmpImagePlugin, AvifImagePlugin,
    Jpeg2KImagePlugin, PpmImagePlugin, PsdImagePlugin, TgaImagePlugin, openers,
)  # fmt: skip
"""Imported here; otherwise Pillow would import all of its plugins. Never all: its EPS reader starts Ghostscript."""
_LOOKED_AT, _UNPACKED = 2000, 2_000_000_000
"""The maximum number of frames of an animation that are examined, and of the pixels in them."""
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""EXIF orientation -> the transposition that makes the picture upright; from 5 on, width and height change places."""
_FILTERS = {"bicubic": Resampling.BICUBIC, "bilinear": Resampling.BILINEAR}
_SCALED = ("RGB", "L", "RGBA", "LA", "CMYK", "YCbCr", "LAB")
"""Modes that Pillow scales well. They are converted to sRGB after scaling."""
_ORIENTATION = 0x0112
_SUBFILE, _DERIVED = 254, 0b101
"""The TIFF tag with the kind of a page, and its values for smaller copies and masks."""
_LASTING_MS = 500
"""A frame of an animation that stays for so long is a slide, in milliseconds."""
_ROOM = 24 << 20
"""The maximum total size of the frames of one cut, in bytes."""
_TO_PLAN, _TO_DECODE = 0.3, 0.7
"""Shares of a file's processor time after which no more pages are counted, or decoded."""

with contextlib.suppress(ImportError):
    import search.media.decode.raw
with contextlib.suppress(ImportError):
    import search.media.decode.jxl  # noqa: F401  where the extra ``jxl`` is installed

Image.preinit()  # or Pillow would do so at the first picture, when nothing can be imported any more
Image.MAX_IMAGE_PIXELS = None  # Limits.max_pixels is checked here, before anything is decoded
PngImagePlugin.MAX_TEXT_CHUNK = 4 * MAX_PROFILE  # or a longer profile would be an error of the picture
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # a decoder may start no threads
warnings.simplefilter("ignore")


def read(source: Source, needs: Needs, limits: Limits) -> Iterator[Found]:
    """Decode a picture into a cut (size, size, 3), or one for each of its pages and slides. Moving parts of an animation are cuts
    of (frames, size, size, 3).

    With ``needs.crop`` there is one cut, of this part of the first page, and the info tells the part's size.

    If ``needs.size`` is 0 there are no such cuts; with ``needs.metadata``, the text written in the file comes instead.

    Raises:
        MediaError: ``too_large``, ``undecodable``, ``truncated``.
    """
    if is_heif(source.head) and ("heic" not in limits.formats or "HEIF" not in Image.OPEN):
        raise MediaError("unsupported", "a HEIF picture: read with the extra heic, and heic among image_formats")
    if is_raw(source) and ("raw" not in limits.formats or "RAW" not in Image.OPEN):
        raise MediaError("unsupported", "a raw picture of a camera: read with the extra raw, and raw among image_formats")
    if is_jxl(source.head) and ("jxl" not in limits.formats or "JXL" not in Image.OPEN):
        raise MediaError("unsupported", "a JPEG XL picture: read with the extra jxl, and jxl among image_formats")
    if not needs.size:
        image, info = _unseen(source, limits)
        yield info
        if needs.metadata:
            yield from picture_text.read(image, source, needs)
        return
    gaps: list[Gap] = []
    begun = time.process_time()
    image, size, count = loaded(source, needs, limits, gaps)
    turned, told, colours = orientation(image), picture_text.told(image, source), Colours(image, source.file, gaps)
    if needs.crop:
        part = cropped(upright(image, turned), needs.crop)
        content = np.asarray(_fitted(part, needs, colours))
        check_seen(content, gaps)
        whole = _info(image, size, None, turned, told)
        width, height = (
            edges(side or 1, *along)[1] for side, along in ((whole.width, needs.crop[::2]), (whole.height, needs.crop[1::2]))
        )
        yield replace(whole, width=width, height=height)
        yield Cut(Channel.VISUAL, Modality.IMAGE, None, content)
        yield from gaps
        return
    if count > 1:
        plan = _planned(image, count, limits, gaps, begun)
        yield _info(image, size, plan.duration, turned, told)
        yield from _several(
            image, plan, lambda: _picture(_fitted(image, needs, colours, size), turned), needs, limits, gaps, begun
        )
    else:
        content = _picture(_fitted(image, needs, colours), turned)
        check_seen(content, gaps)
        yield _info(image, size, None, turned, told)
        yield Cut(Channel.VISUAL, Modality.IMAGE, None, content)
    yield from gaps
    yield from behind.read(image, source, needs, limits)


def learn_heif() -> None:
    """Enable HEIF in Pillow, if the extra ``heic`` is installed."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.options.DECODE_THREADS = 1
        pillow_heif.register_heif_opener(thumbnails=False)


def _unseen(source: Source, limits: Limits) -> tuple[Image.Image, Info]:
    """A picture that is not decoded, and the info in the head of its file."""
    try:
        image = opened(source, limits)
    except (MemoryError, MediaError):
        raise
    except Exception as error:
        raise MediaError("undecodable", f"nothing of the picture can be read; its decoder says: {error}") from error
    upright = image.format == "TIFF"  # whose size is that when upright
    return image, _info(image, image.size, None, 1 if upright else orientation(image), picture_text.told(image, source))


def _info(image: Image.Image, size: tuple[int, int], duration: int | None, turned: int, told: Told) -> Info:
    width, height = reversed(size) if turned >= 5 else size
    return Info(
        Modality.IMAGE, form(image), width, height, duration, told.stamps, position=told.position, camera=told.camera, rights=told.rights,
        taken_with=picture_text.taken_with(image),
    )  # fmt: skip


def loaded(source: Source, needs: Needs, limits: Limits, gaps: list[Gap]) -> tuple[ImageFile.ImageFile, tuple[int, int], int]:
    """The decodable part of a picture, its width and height in the file, and how many frames to look at.

    Raises:
        MediaError: ``too_large``, ``undecodable``.
    """
    try:
        image = opened(source, limits)
        size, count = image.size, _count(image, gaps)
        _draft(image, needs)
        if hidden := _hidden(image):
            image.seek(hidden)
        image.load()
    except (MemoryError, MediaError):
        raise
    except Exception as error:  # noqa: BLE001  damaged pictures raise a dozen types
        image, count = _salvage(source, limits, needs, error), 1
        size = image.size
        gaps.append(Gap("truncated", f"the picture is damaged or cut short; its decoder says: {error}"))
    return image, size, count


def check_seen(content: NDArray[Any], gaps: Sequence[Gap]) -> None:
    """Raise MediaError (``truncated``) for a damaged picture of which nothing could be decoded."""
    if any(gap.reason == "truncated" for gap in gaps) and content.min() == content.max():
        raise MediaError("truncated", "the picture ends before anything can be seen")


def form(image: Image.Image) -> str:
    """The name of a picture's format."""
    return (image.format or "").lower().replace("mpo", "jpeg")


def opened(source: Source, limits: Limits) -> ImageFile.ImageFile:
    """A picture whose head has been read. Raises MediaError (``too_large``), or any error of Pillow."""
    source.file.seek(0)
    formats = [PICTURES[name] for name in limits.formats if PICTURES[name] in Image.OPEN]
    if source.suffix != ".tga" and "TGA" in formats:
        formats.remove("TGA")  # it has no signature, so any file could pass for one
    if "RAW" in formats:
        formats.remove("RAW")
        if is_raw(source):
            return _checked(Image.open(source.file, formats=["RAW", *(name for name in formats if name != "TIFF")]), limits)
    return _checked(Image.open(source.file, formats=formats), limits)


def is_raw(source: Source) -> bool:
    """Whether a file is a camera's raw picture. Many begin like a TIFF; their names tell the difference."""
    return is_raw_name(source.suffix) or is_raw_head(source.head)


def _checked(image: ImageFile.ImageFile, limits: Limits) -> ImageFile.ImageFile:
    _check(image, limits)
    return image


def _count(image: ImageFile.ImageFile, gaps: list[Gap]) -> int:
    """The number of frames to look at. Files may claim any number, and reaching each frame takes time."""
    if image.format in ("MPO", "HEIF"):
        if image.format == "HEIF" and (several := int(getattr(image, "n_frames", 1))) > 1:
            gaps.append(Gap("not_sampled", f"only the main one of {several} pictures was looked at"))
        return 1
    if image.format == "PSD":
        return 1  # its other frames are layers
    if image.format == "JXL" and getattr(image, "is_animated", False):
        gaps.append(Gap("not_sampled", "only one frame of the animation was looked at"))
        return 1
    if image.format == "TIFF":
        most = _LOOKED_AT
        count = _chained(image, most + 1)
    else:
        most = max(1, min(_LOOKED_AT, _UNPACKED // (image.width * image.height)))
        count = int(getattr(image, "n_frames", 1)) - _hidden(image)
    if count > most:
        gaps.append(Gap("not_sampled", f"only the first {most} frames were looked at"))
    return min(count, most)


def _hidden(image: Image.Image) -> int:
    """The number of frames before the displayed ones. An APNG may begin with a picture for programs without animation."""
    return int(bool(getattr(image, "default_image", False)))


def _chained(image: ImageFile.ImageFile, most: int) -> int:
    """The number of pages of a TIFF, counted one by one up to a maximum: counting a chain of millions takes minutes."""
    count = 1
    while count < most:
        try:
            image.seek(count)
        except EOFError:
            break
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001, S110  a page that cannot be read is one
            pass
        count += 1
    image.seek(0)
    return count


def _check(image: Image.Image, limits: Limits) -> None:
    width, height = image.size
    if width * height > limits.max_pixels:
        raise MediaError("too_large", f"{width} x {height} pixels exceed max_pixels ({limits.max_pixels})")


def _draft(image: ImageFile.ImageFile, needs: Needs) -> None:
    """Decode a JPEG at half, a quarter or an eighth of its size, if that leaves enough pixels."""
    width, height = image.size
    if image.format in ("JPEG", "MPO"):
        side = max(width, height) if needs.fit == "pad" else min(width, height)
        side = max(1, int(side * min(needs.crop[2:]) / 100)) if needs.crop else side
        image.draft(None, (width * needs.size // side or 1, height * needs.size // side or 1))


def _salvage(source: Source, limits: Limits, needs: Needs, error: Exception) -> ImageFile.ImageFile:
    """Decode the intact part of a damaged picture; the rest stays grey or black."""
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
    """EXIF orientation, 1 to 8. That of WebP is ignored, as in browsers."""
    if image.format == "WEBP":
        return 1
    try:
        found = int(Image.Image.getexif(image).get(_ORIENTATION, 1))  # that of PNG decodes the whole picture, to look behind it
    except Exception:  # noqa: BLE001  EXIF is often broken, and never worth a picture
        return 1
    return found if 1 <= found <= 8 else 1


@dataclass(frozen=True, slots=True)
class _Plan:
    """The frames of a file to look at: ``pages`` one by one, since they stay on screen, and ``moving`` ones together.
    ``duration`` is in milliseconds."""

    pages: frozenset[int]
    moving: frozenset[int]
    duration: int | None


def _planned(image: ImageFile.ImageFile, count: int, limits: Limits, gaps: list[Gap], begun: float) -> _Plan:
    """Every page of a TIFF. Of an animation every frame that stays, and of the other frames ``max_frames``, evenly spread."""
    first = _hidden(image)
    if image.format == "TIFF":
        pages, moving, duration = _pages(image, count), [], None
    else:
        lasting = _durations(image, range(first, first + count), begun + _TO_PLAN * limits.seconds)
        if len(lasting) < count:
            gaps.append(
                Gap("not_sampled", f"only the first {len(lasting)} of {count} frames were looked at: the others take too long")
            )
        pages = [first + number for number, lasts in enumerate(lasting) if lasts >= _LASTING_MS]
        others = [first + number for number, lasts in enumerate(lasting) if lasts < _LASTING_MS]
        spread = np.unique(np.linspace(0, len(others) - 1, min(len(others), limits.max_frames)).round().astype(int))
        moving, duration = [others[at] for at in spread.tolist()], round(sum(lasting)) or None
    if len(pages) > limits.max_pages:
        what = "pages" if image.format == "TIFF" else "slides"
        gaps.append(Gap("not_sampled", f"only the first {limits.max_pages} of {len(pages)} {what} were looked at (max_pages)"))
    return _Plan(frozenset(pages[: limits.max_pages]), frozenset(moving), duration)


def _durations(image: ImageFile.ImageFile, numbers: Iterable[int], until: float) -> list[float]:
    """How long frames stay, in milliseconds. The list is shorter if the animation ends early or the processor time reaches
    ``until``, in seconds."""
    found: list[float] = []
    for number in numbers:
        try:
            image.seek(number)
            if image.format in ("WEBP", "AVIF"):
                image.load()  # until then, they tell that of the frame before
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001  decoding says what is wrong with it
            return [*found, 0.0]
        found.append(float(image.info.get("duration", 0) or 0))
        if time.process_time() > until:
            break
    return found


def _pages(image: ImageFile.ImageFile, count: int) -> list[int]:
    """The pages of a TIFF with content of their own: no smaller copies, no masks."""
    found = []
    for number in range(count):
        with contextlib.suppress(Exception):  # decoding says what is wrong with it
            image.seek(number)
            if number and int(getattr(image, "tag_v2", {}).get(_SUBFILE, 0)) & _DERIVED:
                continue
        found.append(number)
    return found


def _several(
    image: ImageFile.ImageFile,
    plan: _Plan,
    seen: Callable[[], Picture],
    needs: Needs,
    limits: Limits,
    gaps: list[Gap],
    begun: float,
) -> Iterator[Cut]:
    """The planned frames, converted by ``seen``: one cut for each page, and the other frames in cuts that fit into memory.

    Raises:
        MediaError: none of them can be decoded.
    """
    chosen, moving, lost, shown = sorted(plan.pages | plan.moving), list[Picture](), list[tuple[int, Exception]](), 0
    most = max(1, min(limits.max_frames, _ROOM // (3 * needs.size**2)))
    for done, number in enumerate(chosen):
        if done and time.process_time() > begun + _TO_DECODE * limits.seconds:
            gaps.append(
                Gap("not_sampled", f"only {done} of {len(chosen)} pages or frames were looked at: the others take too long")
            )
            break
        try:
            image.seek(number)
            _check(image, limits)
            picture = seen()
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  damaged pictures raise a dozen types
            lost.append((number, error))
            if image.format == "TIFF":
                continue
            break  # each frame of an animation follows from those before
        shown += 1
        if number in plan.pages:
            yield Cut(Channel.VISUAL, Modality.IMAGE, None, picture)
            continue
        moving.append(picture)
        if len(moving) == most:
            yield Cut(Channel.VISUAL, Modality.VIDEO, None, np.stack(moving))
            moving.clear()
    if moving:
        yield Cut(Channel.VISUAL, Modality.VIDEO, None, np.stack(moving))
    if lost and not shown:
        first = lost[0][1]
        raise (
            first
            if isinstance(first, MediaError)
            else MediaError("undecodable", f"nothing of it can be read; its decoder says: {first}")
        )
    gaps += [_lost(image, number, error) for number, error in lost]


def _lost(image: Image.Image, number: int, error: Exception) -> Gap:
    if image.format == "TIFF":
        return Gap("not_sampled", f"page {number + 1} cannot be read; its decoder says: {error}")
    return Gap("truncated", f"the animation ends at frame {number + 1 - _hidden(image)}; its decoder says: {error}")


def _fitted(image: Image.Image, needs: Needs, colours: Colours, first: tuple[int, int] | None = None) -> Image.Image:
    """Scale as ``needs`` say, flatten to sRGB and centre in the square. In a padded square, later pages get the shape of the
    ``first`` page."""
    image.load()
    if image.mode not in _SCALED or "transparency" in image.info:
        image = _scalable(image)
    plan = fit(*image.size, needs)
    if needs.fit == "pad" and first and image.size != first:
        within = fit(*first, needs)
        scale = min(within.width / plan.width, within.height / plan.height)
        plan = replace(plan, width=max(1, round(plan.width * scale)), height=max(1, round(plan.height * scale)))
    image = image.resize((plan.width, plan.height), _FILTERS[needs.filter], box=plan.box, reducing_gap=3.0)
    image = _flat(image, colours) if image.mode in ("RGBA", "LA") else colours.srgb(image)
    if image.size == (needs.size, needs.size):
        return image
    canvas = Image.new("RGB", (needs.size, needs.size), PAD)
    canvas.paste(image, ((needs.size - plan.width) // 2, (needs.size - plan.height) // 2))
    return canvas


def _scalable(image: Image.Image) -> Image.Image:
    """Convert any mode to one that can be scaled."""
    if image.mode.startswith(("I", "F")):
        return deep.shallow(image)
    if image.mode in ("PA", "RGBa", "La") or "transparency" in image.info:
        return image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    return image.convert("L" if image.mode == "1" else "RGB")


def _flat(image: Image.Image, colours: Colours) -> Image.Image:
    """RGBA or LA to sRGB; transparent parts become white."""
    white = Image.new("RGB", image.size, "white")
    white.paste(colours.srgb(image.convert(image.mode[:-1])), mask=image.getchannel("A"))
    return white


def _picture(image: Image.Image, orientation: int) -> Picture:
    return np.asarray(upright(image, orientation))


def cropped(image: Image.Image, box: Box) -> Image.Image:
    """The part of a picture in a box, of at least one pixel."""
    (left, wide), (top, high) = (edges(side, *along) for side, along in zip(image.size, (box[::2], box[1::2]), strict=True))
    return image.crop((left, top, left + wide, top + high))


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Rotate and mirror a picture according to its EXIF orientation."""
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image
