"""Which pictures show things as asked: how many of one kind, and where they are beside another. Works on boxes alone.

``dog`` asks for one or more, ``3.. person`` for at least three, ``2..4 person`` and ``2 person`` for as many; ``dog left of car`` for dogs
beside a car in the same picture, ``2.. person near bicycle`` for two that are near one. Pictures are those of one source: what two
detectors found is not added up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.errors import InputError, UnknownName

Sides = NDArray[np.float32]
"""Boxes (n, 4): left, top, width and height in percent of the picture."""

INSIDE = 0.9
"""The part of a thing's box that lies in another's if it is inside."""

LARGER = 1.25
"""How many times the other's area the area of a larger thing is, at least."""

_PAIRS = 500_000
"""Pairs of boxes that are compared at once."""

_COUNT = re.compile(
    r"(?:at least (?P<least>\d+)|(?P<low>\d*)(?P<dots>\.\.)(?P<high>\d*)|(?P<exact>\d+))\s+(?P<rest>.+)", re.IGNORECASE
)


def _left_of(one: Sides, other: Sides) -> NDArray[np.bool_]:
    """The middle of each lies beyond the other's edge, so they may overlap."""
    middle, others = one[:, 0] + one[:, 2] / 2, other[:, 0] + other[:, 2] / 2
    return np.asarray((middle < other[:, 0]) & (others > one[:, 0] + one[:, 2]))


def _above(one: Sides, other: Sides) -> NDArray[np.bool_]:
    return _left_of(one[:, [1, 0, 3, 2]], other[:, [1, 0, 3, 2]])


def _inside(one: Sides, other: Sides) -> NDArray[np.bool_]:
    """Nearly all of it lies in the other, which is larger."""
    common = np.minimum(one[:, :2] + one[:, 2:], other[:, :2] + other[:, 2:]) - np.maximum(one[:, :2], other[:, :2])
    area = one[:, 2] * one[:, 3]
    return np.asarray((np.maximum(common, 0).prod(axis=1) >= INSIDE * area) & (area < other[:, 2] * other[:, 3]))


def _near(one: Sides, other: Sides) -> NDArray[np.bool_]:
    """What lies between them is at most half as wide and as high as both are on average."""
    gap = np.maximum(one[:, :2], other[:, :2]) - np.minimum(one[:, :2] + one[:, 2:], other[:, :2] + other[:, 2:])
    return np.asarray((gap <= (one[:, 2:] + other[:, 2:]) / 4).all(axis=1))


def _larger(one: Sides, other: Sides) -> NDArray[np.bool_]:
    return np.asarray(one[:, 2] * one[:, 3] >= LARGER * other[:, 2] * other[:, 3])


RELATIONS: dict[str, Callable[[Sides, Sides], NDArray[np.bool_]]] = {
    "left of": _left_of, "right of": lambda one, other: _left_of(other, one), "above": _above, "below": lambda one, other: _above(other, one),
    "inside": _inside, "near": _near, "larger than": _larger,
}  # fmt: skip
"""Whether a thing (n, 4) is so to another (n, 4), by how it is said."""

_RELATED = re.compile(rf"(?P<one>.+?) (?P<how>{'|'.join(RELATIONS)}) (?P<other>.+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A label, how many of it there are at least and at most (None: any number), and how each of them lies to one with ``other``'s label."""

    label: str
    least: int = 1
    most: int | None = None
    how: str | None = None
    other: str | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that it names."""
        return (self.label,) if self.other is None else (self.label, self.other)

    @classmethod
    def read(cls, text: str, known: Collection[str]) -> Arrangement:
        """What a text asks for, with ``known`` labels, in any case.

        Raises:
            UnknownName: a label that nothing has.
            InputError: none are asked for, or more than most.
        """
        spelt = {one.casefold(): one for one in known}
        plain = " ".join(text.split())
        if plain.casefold() in spelt:
            return cls(spelt[plain.casefold()])
        least, most = 1, None
        if found := _COUNT.fullmatch(plain):
            plain = found["rest"]
            low = found["least"] or found["low"] or found["exact"]
            high = found["exact"] or (found["high"] if found["dots"] else None)
            least, most = int(low) if low else 1, int(high) if high else None
            if least < 1 or (most is not None and most < least):
                raise InputError(
                    f"{text!r} asks for none, or for more than there may be.",
                    remedy="A detector misses things, so it cannot tell that one is not there. Write 1.. or 2..4 before the label.",
                )
        if plain.casefold() in spelt:
            return cls(spelt[plain.casefold()], least, most)
        if (related := _RELATED.fullmatch(plain)) is None:
            raise UnknownName("thing", plain, sorted(known))
        for label in (related["one"], related["other"]):
            if label.casefold() not in spelt:
                raise UnknownName("thing", label, sorted(known))
        return cls(spelt[related["one"].casefold()], least, most, related["how"].lower(), spelt[related["other"].casefold()])

    def frames(self, frames: NDArray[np.int64], labels: NDArray[np.str_], sides: Sides) -> NDArray[np.int64]:
        """The pictures (m,) in which it is so. The things (n,) of each of ``frames``, ascending, have ``labels`` and ``sides``."""
        ours = np.flatnonzero(labels == self.label)
        if self.how is not None:
            theirs = np.flatnonzero(labels == self.other)
            ours = ours[_related(RELATIONS[self.how], frames, sides, ours, theirs)]
        found, counts = np.unique(frames[ours], return_counts=True)
        enough = (counts >= self.least) & (counts <= (np.iinfo(np.int64).max if self.most is None else self.most))
        return found[enough]


def _related(
    relation: Callable[[Sides, Sides], NDArray[np.bool_]], frames: NDArray[np.int64], sides: Sides, ours: NDArray[np.intp], theirs: NDArray[np.intp]
) -> NDArray[np.bool_]:  # fmt: skip
    """Which of ``ours`` (n,) are so to one of ``theirs`` in the same picture, and not to themselves."""
    first = np.searchsorted(frames[theirs], frames[ours], "left")
    count = np.searchsorted(frames[theirs], frames[ours], "right") - first
    found, ends = np.zeros(len(ours), np.bool_), np.cumsum(count)
    start = 0
    while start < len(ours):
        stop = max(start + 1, int(np.searchsorted(ends, (ends[start - 1] if start else 0) + _PAIRS, "right")))
        one = np.repeat(np.arange(start, stop), count[start:stop])
        before = np.repeat(ends[start:stop] - count[start:stop], count[start:stop])
        other = theirs[
            np.repeat(first[start:stop], count[start:stop]) + np.arange(len(one)) + (ends[start - 1] if start else 0) - before
        ]
        fits = relation(sides[ours[one]], sides[other]) & (ours[one] != other)
        found[one[fits]] = True
        start = stop
    return found
