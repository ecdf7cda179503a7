"""The frames of a shot: which must be read because their text changed, and how long each line is shown."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from search.readers.ocr.layout import Line, Quad
from search.readers.ocr.networks import MIN_CONFIDENCE, OcrNetworks
from search.types import Picture

LINES = 1000
"""Lines of a frame that are read at most: each takes some 0.1 seconds."""
SAME_PIXELS = 8.0
"""A frame none of whose patches changed by more than this on average, of 255, shows the same text."""
STILL_PIXELS = 2.0
"""Where one shows other text, a patch that changed by less than this shows what it showed: compression made 1.7 of it at most."""
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


Part: TypeAlias = NDArray[np.float64]
"""(4,) float64: left, top, right and bottom of a part of a frame, half-open: in parts of its width and height, 0..1, or in pixels."""
WHOLE: Part = np.array((0.0, 0.0, 1.0, 1.0))


@dataclass(slots=True)
class Standing:
    """A line, and the frames ``[first, last]`` in which it is shown."""

    line: Line
    look: Look
    first: int
    last: int


Placed: TypeAlias = tuple[Quad, Standing]
"""A line, and where it stands at present."""


def follow(engine: OcrNetworks, frames: Sequence[Picture]) -> tuple[list[Standing], int]:
    """The lines of a shot, each once, and the number of lines that were not read because there were too many. ``frames`` are (H,
    W, 3) RGB, in order.

    The first frame is read. Of later frames only those with other text are read, which a quick look detects. In these only the
    changed part is searched, and only new lines are read. Text that appears within a shot and is lower than about a fortieth of
    the picture may be missed by the quick look.
    """
    lines: list[Standing] = []
    now: list[Placed] = []
    left = 0
    before, grey, glance = frames[0], _small(frames[0]), None
    unread: Part | None = WHOLE
    for number, frame in enumerate(frames):
        small = _small(frame)
        changed = _changed(small, grey) if number else WHOLE
        if changed is not None:
            unread = changed if unread is None else _both(unread, changed)
            looked = (
                _glance(engine, frame) if number else None
            )  # of the first frame only if another one differs: most shots do not change
            if looked is None or not _alike(looked, _glance(engine, before) if glance is None else glance):
                now, over = _read(engine, frame, unread, now, number, lines)
                left, unread = left + over, None
            before, grey, glance = frame, small, looked
        for _, standing in now:
            standing.last = number
    return _once(lines), left


def _read(
    engine: OcrNetworks, frame: Picture, part: Part, now: Sequence[Placed], number: int, lines: list[Standing]
) -> tuple[list[Placed], int]:
    """The lines in a frame of which a part changed, given the lines ``now``. Outside of the part they are unchanged.

    New lines are read and added to ``lines``. Also returns how many were left out.
    """
    height, width = frame.shape[:2]
    box = part * (width, height, width, height)
    while not np.array_equal(box, wider := reduce(_both, (_bounds(quad) for quad, _ in now if _touch(quad, box)), box)):
        box = wider
    left, top, right, bottom = (*np.floor(box[:2]).astype(int), *np.ceil(box[2:]).astype(int))
    stay = [(quad, standing) for quad, standing in now if not _touch(quad, box)]
    quads = [quad + np.array((left, top), np.float32) for quad in engine.find(frame[top:bottom, left:right])]
    before = np.stack([standing.look for standing in lines]) if lines else None
    for quad in quads[:LINES]:
        look = _look(frame, quad)
        if before is not None and float((likeness := before @ look).max()) > SAME_LOOK:
            standing = lines[int(likeness.argmax())]
        else:
            lines.append(standing := Standing(engine.read(frame, quad), look, number, number))
        stay.append((quad, standing))
    return stay, len(quads[LINES:])


def _bounds(quad: Quad) -> Part:
    return np.concatenate((quad.min(axis=0), quad.max(axis=0) + 1)).astype(np.float64)


def _both(one: Part, other: Part) -> Part:
    """The smallest part that contains two parts."""
    return np.concatenate((np.minimum(one[:2], other[:2]), np.maximum(one[2:], other[2:])))


def _touch(quad: Quad, box: Part) -> bool:
    own = _bounds(quad)
    return bool((own[:2] < box[2:]).all() and (own[2:] > box[:2]).all())


def _once(lines: Sequence[Standing]) -> list[Standing]:
    """Each line once, in its best reading. A line that appears twice in one frame stays twice, as in a table."""
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
    """Whether two lines of a shot, from different frames, are the same: equal text anywhere, or nearly equal text in the same
    place."""
    if min(one.confidence, other.confidence) < MIN_CONFIDENCE:
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
    """A frame in grey, at a quarter of its width and height."""
    height, width = frame.shape[:2]
    size = (max(_PATCH, width // _SCALE), max(_PATCH, height // _SCALE))
    grey = cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    return grey.astype(np.float32)


def _changed(one: NDArray[np.float32], other: NDArray[np.float32]) -> Part | None:
    """The part of a frame in which anything changed, with a margin of one patch; None: too little changed for another text."""
    size = (one.shape[1] // _PATCH, one.shape[0] // _PATCH)
    patches = np.asarray(cv2.resize(np.abs(one - other), size, interpolation=cv2.INTER_AREA)).reshape(size[::-1])
    if patches.max() <= SAME_PIXELS:
        return None
    rows, columns = (np.flatnonzero((patches > STILL_PIXELS).any(axis=axis)) for axis in (1, 0))
    part = np.array((columns[0] - 1, rows[0] - 1, columns[-1] + 2, rows[-1] + 2)) / np.array((*size, *size))
    return np.asarray(np.clip(part, 0, 1), np.float64)


def _glance(engine: OcrNetworks, frame: Picture) -> Glance:
    height, width = frame.shape[:2]
    scale = min(1.0, GLANCE / max(height, width))
    small = cv2.resize(frame, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)
    looks = [_look(frame, quad / scale) for quad in engine.find(np.asarray(small, np.uint8))]
    return np.stack(looks) if looks else np.empty((0, _LOOK[0] * _LOOK[1]), np.float32)


def _alike(one: Glance, other: Glance) -> bool:
    """Whether two frames show the same lines, at any position."""
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
