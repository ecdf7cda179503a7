"""Grouping lines of text into blocks, in reading order. Columns are kept separate, for any direction of writing."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Quad: TypeAlias = NDArray[np.float32]
"""(4, 2) float32: the corners of a line in pixels, as it is read: beginning and end of its upper edge, end and beginning of its lower one."""

MAX_HEIGHT_RATIO = 1.7
"""Lines of one block are at most this many times as high as each other."""
MAX_TILT_DEGREES = 10.0
"""They differ in direction by less than this, in degrees."""
MAX_LEADING = 0.8
"""They lie above each other with less than this between them, in heights of a line."""
MAX_WORD_SPACE = 0.7
"""Parts of one row lie beside each other with less than this between them, in heights of a line. Between columns is more."""
MIN_OVERLAP = 0.3
"""Of lines above each other, the shorter one lies at least by this part over the other."""


@dataclass(frozen=True, eq=False)
class Line:
    """A line that was read. ``scores`` is the model's confidence in each character of ``text``, 0..1."""

    quad: Quad
    text: str
    scores: tuple[float, ...]

    @cached_property
    def confidence(self) -> float:
        """The mean over the characters that are no spaces; 0 of an empty line."""
        sure = [score for character, score in zip(self.text, self.scores, strict=True) if not character.isspace()]
        return sum(sure) / len(sure) if sure else 0.0

    @cached_property
    def letters(self) -> int:
        """How many letters and digits it has."""
        return sum(character.isalnum() for character in self.text)

    @cached_property
    def width(self) -> float:
        """In pixels, along the writing."""
        return float(np.linalg.norm(self.quad[1] - self.quad[0]))

    @cached_property
    def height(self) -> float:
        """In pixels, across the writing."""
        return float(np.linalg.norm(self.quad[3] - self.quad[0]))

    @cached_property
    def centre(self) -> tuple[float, float]:
        """x and y in pixels."""
        x, y = self.quad.mean(axis=0)
        return float(x), float(y)

    @cached_property
    def along(self) -> tuple[float, float]:
        """The direction of the writing, of unit length."""
        x, y = self.quad[1] + self.quad[2] - self.quad[0] - self.quad[3]
        length = math.hypot(x, y) or 1.0
        return float(x) / length, float(y) / length


Bounds: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


def blocks(lines: Sequence[Line]) -> list[list[Line]]:
    """Blocks of lines that belong together, in reading order, and the blocks in reading order too.

    A block whose lines all have a single character is dropped: leaves and textures look like that.
    """
    groups = [_rows(group) for group in _connected(lines) if any(line.letters > 1 for line in group)]
    if not groups:
        return []
    along = _main(lines)
    placed = [(_bounds(group, along), group) for group in groups]
    return [group for _, group in _ordered(placed)]


def bounds(lines: Sequence[Line]) -> Bounds:
    """The upright rectangle around lines."""
    return _bounds(lines, (1.0, 0.0))


def text(lines: Sequence[Line]) -> tuple[str, list[float]]:
    """The text of a block, and the confidence of each character. There is a space between lines, but none between those of
    Chinese or Japanese."""
    whole: list[str] = []
    scores: list[float] = []
    for line in lines:
        if whole and not (_wide(whole[-1]) and _wide(line.text[0])):
            whole.append(" ")
            scores.append(1.0)
        whole += line.text
        scores += line.scores
    return "".join(whole), scores


def pieces(block: Sequence[Line], most: int) -> Iterator[list[Line]]:
    """A block in pieces of at most ``most`` characters, or of a single line that is longer."""
    piece: list[Line] = []
    length = 0
    for line in block:
        if piece and length + len(line.text) + 1 > most:
            yield piece
            piece, length = [], 0
        piece.append(line)
        length += len(line.text) + 1
    if piece:
        yield piece


def _wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def _connected(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Groups of lines that are connected through their neighbours."""
    left = list(lines)
    while left:
        group, reached = [], [left.pop(0)]
        while reached:
            group.append(line := reached.pop())
            near = {id(other) for other in left if _neighbours(line, other)}
            reached += [other for other in left if id(other) in near]
            left = [other for other in left if id(other) not in near]
        yield group


def _neighbours(one: Line, other: Line) -> bool:
    """Whether two lines are in one block: parts of a row, or one under the other."""
    (ux, uy), (vx, vy) = one.along, other.along
    small, large = sorted((one.height, other.height))
    if ux * vx + uy * vy < math.cos(math.radians(MAX_TILT_DEGREES)) or large > MAX_HEIGHT_RATIO * max(small, 1.0):
        return False
    x, y = other.centre[0] - one.centre[0], other.centre[1] - one.centre[1]
    apart_along = abs(x * ux + y * uy) - (one.width + other.width) / 2
    across = abs(y * ux - x * uy)
    if across < small / 2:
        return apart_along < MAX_WORD_SPACE * small
    return across - (small + large) / 2 < MAX_LEADING * small and -apart_along > MIN_OVERLAP * min(one.width, other.width)


def _rows(group: list[Line]) -> list[Line]:
    """The lines of a block from the first row to the last, in order within each row."""
    ux, uy = _main(group)
    place = {id(line): (line.centre[0] * ux + line.centre[1] * uy, line.centre[1] * ux - line.centre[0] * uy) for line in group}
    rows: list[list[Line]] = []
    for line in sorted(group, key=lambda line: place[id(line)][1]):
        if rows and place[id(line)][1] - place[id(rows[-1][-1])][1] < min(line.height, rows[-1][-1].height) / 2:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: place[id(line)][0])]


def _main(lines: Sequence[Line]) -> tuple[float, float]:
    """The direction of most of the writing."""
    x = sum(line.along[0] * line.width for line in lines)
    y = sum(line.along[1] * line.width for line in lines)
    length = math.hypot(x, y)
    return (x / length, y / length) if length > 1e-6 else (1.0, 0.0)


def _bounds(lines: Sequence[Line], along: tuple[float, float]) -> Bounds:
    """The rectangle around lines whose sides lie along and across a direction, in its coordinates."""
    points = np.concatenate([line.quad for line in lines])
    x, y = points @ np.array(along), points @ np.array((-along[1], along[0]))
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def _ordered(placed: list[tuple[Bounds, list[Line]]]) -> list[tuple[Bounds, list[Line]]]:
    """Blocks in reading order: whole columns one after the other, and within a column from the top (XY-cut, Nagy 1984)."""
    for axis in (0, 1):
        rest = sorted(placed, key=lambda block: block[0][axis])
        for count in range(1, len(rest)):
            if max(block[0][axis + 2] for block in rest[:count]) <= rest[count][0][axis]:
                return _ordered(rest[:count]) + _ordered(rest[count:])
    return sorted(placed, key=lambda block: (block[0][1], block[0][0]))
