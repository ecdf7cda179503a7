"""Pictures with one channel taken by a sensor, at full value depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling

from search.errors import MediaError
from search.media.decode import deep, images
from search.media.decode.geometry import fit
from search.media.metadata import picture_text
from search.media.source import Found, Limits, Source
from search.types import Channel, Cut, Gap, Info, Modality, Needs

Plane: TypeAlias = NDArray[np.float32]
"""Values (H, W)."""


def read(
    source: Source, needs: Needs, limits: Limits, modality: Modality, scaled: Callable[[Plane, str], Plane]
) -> Iterator[Found]:
    """Decode a picture into one cut (size, size). A coloured picture is read as an image instead.

    ``scaled`` maps finite values into [0, 1]. It gets their mode, in Pillow's names: L for bytes, F for floating point, otherwise
    integers of 16 or 32 bits. Values that are not finite become 0.

    Raises:
        MediaError: ``too_large``, ``undecodable``, ``truncated``.
    """
    if not _has_one_channel(source, limits):
        yield from images.read(source, needs, limits)
        return
    if not needs.size:
        yield from (replace(found, modality=modality) for found in images.read(source, needs, limits) if isinstance(found, Info))
        return
    gaps: list[Gap] = []
    image, (width, height), count = images.loaded(source, needs, limits, gaps)
    orientation, told = images.orientation(image), picture_text.told(image, source)
    if count > 1:
        gaps.append(Gap("not_sampled", f"only the first of {count} pictures was read"))
    values = scaled(deep.values(image), image.mode)
    content = np.asarray(images.upright(_fitted(Image.fromarray(values), needs), orientation)).clip(0, 1)
    images.check_seen(content, gaps)
    if orientation >= 5:
        width, height = height, width
    yield Info(
        modality, images.form(image), width, height, None, told.stamps, position=told.position, camera=told.camera, rights=told.rights
    )  # fmt: skip
    yield Cut(Channel.VISUAL, modality, None, content)
    yield from gaps


def _has_one_channel(source: Source, limits: Limits) -> bool:
    try:
        mode = images.opened(source, limits).mode
    except (MemoryError, MediaError):
        raise
    except Exception:  # noqa: BLE001  what is wrong with it, the reader of images will say
        return False
    return mode == "L" or mode.startswith(("I", "F"))


def _fitted(image: Image.Image, needs: Needs) -> Image.Image:
    """Scaled as ``needs`` say. The border of a padded picture is 0: as far or as cold as possible."""
    plan = fit(*image.size, needs)
    image = image.resize((plan.width, plan.height), Resampling[needs.filter.upper()], box=plan.box)
    if image.size == (needs.size, needs.size):
        return image
    canvas = Image.new("F", (needs.size, needs.size))
    canvas.paste(image, ((needs.size - plan.width) // 2, (needs.size - plan.height) // 2))
    return canvas
