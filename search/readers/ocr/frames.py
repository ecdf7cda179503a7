"""The frames of a shot: which have to be read because other text stands there, and which lines stand for how long."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from search.readers.ocr.engine import KEEP, Engine
from search.readers.ocr.layout import Line, Quad
from search.types import Picture

LINES = 1000
"""Lines of a frame that are read at most: each takes some 0.1 seconds."""
SAME_PIXELS = 8.0
"""A frame none of whose patches changed by more than this on average, of 255, shows the same text."""
GLANCE = 640
"""Length of the long side, in pixels, at which a frame is looked over for other text: a sixth of the cost of finding it in full size."""
SAME_LOOK = 0.85
"""Two lines whose small grey pictures correlate more than this are the same."""
SAME_TEXT = 0.85
"""Two readings of a place whose characters agree by more than this part, digits wholly, are of one line."""
_PATCH, _SCALE = 8, 4
"""Side of a patch in pixels of a picture that is this many times smaller."""
_LOOK = (128, 16)
"""Width and height of the small picture of a line."""

Look: TypeAlias = NDArray[np.float32]
"""(2048,) float32 of mean 0 and unit length: the small grey picture of a line."""
Glance: TypeAlias = NDArray[np.float32]
"""(lines, 2048) float32: all lines that a quick look finds."""


@dataclass(slots=True)
class Standing:
    """A line, and the frames ``[first, last]`` in which it stands."""

    line: Line
    look: Look
    first: int
    last: int


def follow(engine: Engine, frames: Sequence[Picture]) -> tuple[list[Standing], int]:
    """The lines of a shot, each once, and how many were found that were too many to read. ``frames`` are (H, W, 3) RGB, in order.

    The first frame is read; of those that follow only the ones that show other text, which a quick look finds, and in these only the lines that
    were not there before. Text that appears within a shot and is lower than about a fortieth of the picture may escape the quick look.
    """
    lines: list[Standing] = []
    now: list[Standing] = []
    grey: NDArray[np.float32] | None = None
    glance: Glance | None = None
    left = 0
    for number, frame in enumerate(frames):
        small = _small(frame)
        if grey is None or _differs(small, grey):
            looked = _glance(engine, frame) if len(frames) > 1 else None
            if glance is None or looked is None or not _alike(looked, glance):
                now, over = _read(engine, frame, number, lines)
                left += over
            grey, glance = small, looked
        for standing in now:
            standing.last = number
    return _once(lines), left


def _read(engine: Engine, frame: Picture, number: int, lines: list[Standing]) -> tuple[list[Standing], int]:
    """The lines that stand in a frame; those that are new are read and added to ``lines``. And how many were left out."""
    quads, now = engine.find(frame), []
    before = np.stack([standing.look for standing in lines]) if lines else None
    for quad in quads[:LINES]:
        look = _look(frame, quad)
        if before is not None and float((likeness := before @ look).max()) > SAME_LOOK:
            standing = lines[int(likeness.argmax())]
        else:
            lines.append(standing := Standing(engine.read(frame, quad), look, number, number))
        now.append(standing)
    return now, len(quads[LINES:])


def _once(lines: Sequence[Standing]) -> list[Standing]:
    """Each line once, as it was read best. What stands twice in one frame stays twice, as in a table."""
    kept: list[Standing] = []
    for standing in lines:
        for number, other in enumerate(kept):
            apart = standing.first > other.last or other.first > standing.last
            if apart and _one_line(standing.line, other.line):
                best = max(other, standing, key=lambda one: one.line.confidence)
                kept[number] = Standing(best.line, best.look, min(other.first, standing.first), max(other.last, standing.last))
                break
        else:
            kept.append(standing)
    return kept


def _one_line(one: Line, other: Line) -> bool:
    """Whether two lines of a shot, of several frames, are one: the same text anywhere, or nearly the same in the same place."""
    if min(one.confidence, other.confidence) < KEEP:
        return False
    first, second = _bare(one.text), _bare(other.text)
    if first == second:
        return True
    digits = [[character for character in text if character.isdigit()] for text in (first, second)]
    near = np.hypot(*(np.subtract(one.centre, other.centre))) < min(one.height, other.height)
    return bool(near) and digits[0] == digits[1] and difflib.SequenceMatcher(None, first, second).ratio() > SAME_TEXT


def _bare(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum()) or text


def _small(frame: Picture) -> NDArray[np.float32]:
    """A quarter of a frame's width and height, grey."""
    height, width = frame.shape[:2]
    size = (max(_PATCH, width // _SCALE), max(_PATCH, height // _SCALE))
    grey = cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    return grey.astype(np.float32)


def _differs(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether a patch of a frame changed."""
    patches = cv2.resize(np.abs(one - other), (one.shape[1] // _PATCH, one.shape[0] // _PATCH), interpolation=cv2.INTER_AREA)
    return bool(np.asarray(patches).max() > SAME_PIXELS)


def _glance(engine: Engine, frame: Picture) -> Glance:
    height, width = frame.shape[:2]
    scale = min(1.0, GLANCE / max(height, width))
    small = cv2.resize(frame, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)
    looks = [_look(frame, quad / scale) for quad in engine.find(np.asarray(small, np.uint8))]
    return np.stack(looks) if looks else np.empty((0, _LOOK[0] * _LOOK[1]), np.float32)


def _alike(one: Glance, other: Glance) -> bool:
    """Whether two frames show the same lines, wherever these stand."""
    if len(one) != len(other) or not len(one):
        return len(one) == len(other)
    likeness = one @ other.T
    return bool(likeness.max(axis=0).min() > SAME_LOOK and likeness.max(axis=1).min() > SAME_LOOK)


def _look(frame: Picture, quad: Quad) -> Look:
    left, top = np.clip(np.floor(quad.min(axis=0)).astype(int), 0, None)
    right, bottom = np.ceil(quad.max(axis=0)).astype(int) + 1
    part = frame[top:bottom, left:right]
    small = cv2.resize(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), _LOOK, interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    small -= small.mean()
    return np.asarray(small / max(float(np.linalg.norm(small)), 1e-6), np.float32)
