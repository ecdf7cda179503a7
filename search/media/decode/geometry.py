"""How a picture of any shape is fitted into the square that an encoder wants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from search.types import Info, Needs, Picture

PAD = (0, 0, 0)
"""Colour around a padded picture, RGB."""

_LONGEST = 4
"""The largest aspect ratio of a scaled picture before its middle is cut out."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Take ``box``, scale it to ``width`` x ``height``, centre it in the square.

    ``box`` is (left, top, right, bottom) in pixels of the source.
    """

    box: tuple[float, float, float, float]
    width: int
    height: int


def fit(width: float, height: float, needs: Needs) -> Fit:
    """Fit a source of ``width`` x ``height`` pixels, as displayed, into ``needs.size`` squared."""
    size, how = needs.size, needs.fit
    whole = (0.0, 0.0, float(width), float(height))
    if how == "squash":
        return Fit(whole, size, size)
    if how == "pad":
        scale = size / max(width, height)
        return Fit(whole, max(1, round(width * scale)), max(1, round(height * scale)))
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return Fit((left, top, left + side, top + side), size, size)


def scaled(width: float, height: float, needs: Needs) -> tuple[int, int]:
    """Width and height to scale a whole video frame to, before ``square`` cuts or pads it.

    They are even: swscale takes three times as long for odd widths.
    """
    if needs.fit == "squash":
        return needs.size, needs.size
    scale = needs.size / (min(width, height) if needs.fit == "crop" else max(width, height))
    sides = (min(max(2 * round(side * scale / 2), 2), _LONGEST * needs.size) for side in (width, height))
    return next(sides), next(sides)


def square(picture: Picture, size: int) -> Picture:
    """Crop or pad a picture (H, W, 3) to (size, size, 3)."""
    height, width = picture.shape[:2]
    if (height, width) == (size, size):
        return picture
    top, left = max(height - size, 0) // 2, max(width - size, 0) // 2
    middle = picture[top : top + size, left : left + size]
    if middle.shape[:2] == (size, size):
        return middle
    canvas = np.full((size, size, 3), PAD, np.uint8)
    top, left = (size - middle.shape[0]) // 2, (size - middle.shape[1]) // 2
    canvas[top : top + middle.shape[0], left : left + middle.shape[1]] = middle
    return canvas


def unpadded(picture: Picture, info: Info, needs: Needs) -> Picture:
    """The part of a square that is the picture, (H, W, 3), so that a model for any shape does not see black borders."""
    if needs.fit != "pad" or not info.width or not info.height:
        return picture
    plan = fit(info.width, info.height, needs)
    left, top = (needs.size - plan.width) // 2, (needs.size - plan.height) // 2
    return np.ascontiguousarray(picture[top : top + plan.height, left : left + plan.width])


def edges(side: int, start: float, length: float) -> tuple[int, int]:
    """The first pixel and the number of pixels, at least one, of a stretch in percent along a side of ``side`` pixels."""
    first = min(max(round(side * start / 100), 0), side - 1)
    return first, max(1, min(round(side * (start + length) / 100), side) - first)
