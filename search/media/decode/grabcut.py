"""Which pixels of a picture belong to the thing that is pointed at: OpenCV's GrabCut (Rother, Kolmogorov and Blake 2004), which fits colours to the
thing and to what is around it, and cuts where neighbours differ. It knows no things: it separates colours.

Runs in the child, behind a decoder. The figures are in ``docs/figures.md``; they chose the constants.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.random import default_rng  # here: numpy would import it when it is first needed, and no file can be opened then
from numpy.typing import NDArray

from search.media.decode.geometry import unpadded
from search.media.source import Found
from search.types import Cut, Info, Mask, MaskPrompt, Needs, Picture

CUT_PIXELS = 320
"""The longer side of the picture that is cut, in pixels; the mask is then scaled to the picture's size."""

FILLED = 0.9
"""The part of a box's sides that an ellipse fills which probably shows the thing."""

NEAR, FAR, ON = 0.12, 0.5, 0.013
"""Around a point on a thing: what probably shows it, what may, and what does; radii as a share of the picture's mean side."""

ROUNDS = 3

GRAIN = 5
"""Values of the noise that is added to each colour: where large areas have one, all cuts are alike, and the search for the best takes
minutes."""

_NONE, _SURE, _MAYBE_NOT, _MAYBE = cv2.GC_BGD, cv2.GC_FGD, cv2.GC_PR_BGD, cv2.GC_PR_FGD

cv2.setNumThreads(1)


def masked(found: Iterator[Found], prompt: MaskPrompt, needs: Needs) -> Iterator[Found | Mask]:
    """What a decoder finds of a file up to its first picture, and the mask of what ``prompt`` points at in it."""
    info: Info | None = None
    for one in found:
        yield one
        if isinstance(one, Info):
            info = one
        elif isinstance(one, Cut) and info and not isinstance(one.content, str):
            picture = np.asarray(one.content[0] if one.content.ndim == 4 else one.content, np.uint8)
            yield Mask(outlined(unpadded(picture, info, needs), prompt))
            return


def outlined(picture: Picture, prompt: MaskPrompt) -> NDArray[np.uint8]:
    """The mask (H, W) of what ``prompt`` points at in a picture (H, W, 3); all 0 if nothing stands out there. The same for the same input."""
    height, width = picture.shape[:2]
    scale = min(1.0, CUT_PIXELS / max(height, width))
    size = max(2, round(width * scale)), max(2, round(height * scale))
    small = np.ascontiguousarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    seeds = _seeds(size, prompt)
    if not _both(seeds):
        return np.zeros((height, width), np.uint8)
    small += default_rng(0).integers(0, GRAIN, small.shape, np.uint8) - (small > 255 - GRAIN) * np.uint8(GRAIN)
    cut = seeds.copy()
    cv2.setRNGSeed(0)  # it draws from OpenCV's global generator
    try:
        cv2.grabCut(small, cut, (0, 0, 0, 0), np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # a picture of one colour has none to tell apart
        return np.zeros((height, width), np.uint8)
    mask = np.isin(cut, (_SURE, _MAYBE)).astype(np.uint8)
    if not (cut == _MAYBE).any():  # nothing but what was said
        return np.zeros((height, width), np.uint8)
    if prompt.on:
        mask = _touched(mask, np.isin(seeds, (_SURE, _MAYBE)))
    whole = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return (np.asarray(whole) >= 0.5).astype(np.uint8)


def _seeds(size: tuple[int, int], prompt: MaskPrompt) -> NDArray[np.uint8]:
    """What GrabCut begins with, (h, w): pixels that show the thing for sure, probably, probably not, and not."""
    width, height = size
    across, down = np.meshgrid((np.arange(width) + 0.5) / width * 100, (np.arange(height) + 0.5) / height * 100)
    seeds = np.full((height, width), _NONE, np.uint8)
    if prompt.box:
        left, top, wide, high = prompt.box
        x, y = (across - left) / wide * 2 - 1, (down - top) / high * 2 - 1
        seeds[(abs(x) <= 1) & (abs(y) <= 1)] = _MAYBE_NOT
        seeds[x**2 + y**2 <= FILLED**2] = _MAYBE
    side = (width * height) ** 0.5

    def around(points: tuple[tuple[float, float], ...], radius: float) -> NDArray[np.bool_]:
        free = np.ones((height, width), np.uint8)
        for x, y in points:
            free[min(int(y / 100 * height), height - 1), min(int(x / 100 * width), width - 1)] = 0
        distances: NDArray[np.float32] = np.asarray(cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
        near: NDArray[np.bool_] = distances <= radius * side
        return near

    if prompt.on:
        if not prompt.box:
            seeds[around(prompt.on, FAR)] = _MAYBE_NOT
            seeds[around(prompt.on, NEAR)] = _MAYBE
        seeds[around(prompt.on, ON)] = _SURE
    if prompt.beside:
        seeds[around(prompt.beside, ON)] = _NONE
    return seeds


def _both(seeds: NDArray[np.uint8]) -> bool:
    """Whether some pixels may show the thing and some may not: GrabCut fits colours to both."""
    things = np.isin(seeds, (_SURE, _MAYBE))
    return bool(things.any() and not things.all())


def _touched(mask: NDArray[np.uint8], seeds: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The parts of a mask (h, w) that lie where ``seeds`` are."""
    _, parts = cv2.connectedComponents(mask)
    return (np.isin(parts, np.unique(parts[seeds & (mask > 0)])) & (mask > 0)).astype(np.uint8)
