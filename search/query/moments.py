"""Moments: neighbouring segments of one asset and channel with similar scores become one moment, with start and end.

A moment depends only on the scores of its asset's segments, not on how many hits were requested. It starts at a peak: the best
segment that is in no moment yet. It grows to both sides over segments that are at most ``MAX_DROP`` weaker. A weaker stretch between
two of them (a cutaway) is bridged, up to ``BRIDGE``. A moment longer than ``LONGEST_MOMENT`` is shown by its best part and is
still one hit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from search.store.sql import UNITS, Columns
from search.types import KINDS, Channel, Grouping, Ids, Span, Unit

NEAR = {"ms": 1_000, "char": 8}
"""The widest gap between neighbours."""

MAX_DROP = 1.0
"""A segment this much weaker than the peak, in standard deviations, is weak."""

BRIDGE = {"ms": 10_000, "char": 600}
"""The longest weak stretch between two good segments of one moment."""

LONGEST_MOMENT = {"ms": 60_000, "char": 4_000}
"""The longest moment, unless a single segment is longer."""

_PAGED = frozenset(number for number, kind in enumerate(KINDS) if kind.channel is Channel.VISUAL)
"""Kinds of segments, as positions in ``KINDS``, of which an asset has a page each where they have no span."""

SEEDS_AT_ONCE = 32
"""Hits whose assets' segments are scored together."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """Segments, best first: ids, scores, cosines, and the index of the scan in which each is best (-1: in none), all (n,)."""

    ids: Ids
    scores: NDArray[np.float32]
    cosines: NDArray[np.float32]
    homes: NDArray[np.intp]

    def only(self, rows: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Ranked:
        """The rows that a mask (n,), positions (m,) or a slice selects."""
        return Ranked(self.ids[rows], self.scores[rows], self.cosines[rows], self.homes[rows])


@dataclass(frozen=True, slots=True)
class Moment:
    """A segment ``best`` of an ``asset``, by its id, and the neighbouring segments with similar scores: ``evidence``, in time
    order.

    ``score``, ``cosine`` and ``home`` are those of the best segment. ``stretch`` is the longer span around it that is equally
    good, of which the moment is the best part. ``others`` are segments of other photographs of the same burst.
    """

    best: int
    asset: int
    score: float
    cosine: float
    home: int
    span: Span | None
    evidence: tuple[int, ...]
    stretch: Span | None = None
    others: tuple[int, ...] = ()


class MomentData(Protocol):
    """The data about segments that moments need."""

    def rows(self, ids: Ids) -> Columns:
        """The columns of segments (n,), in their order."""
        ...

    def siblings(self, assets: Ids) -> tuple[Columns, NDArray[np.float32]]:
        """The searchable segments of assets that have a span, and their scores (n,)."""
        ...


class Timeline:
    """The segments of one asset and channel in time order, with their scores. It remembers which segments are already in a
    moment."""

    def __init__(self, ids: Ids, starts: Ids, ends: Ids, scores: NDArray[np.float32], unit: Unit) -> None:
        """All arrays are (n,), in any order, n >= 1."""
        order = np.lexsort((ids, ends, starts))
        apart = starts[order][1:] - np.maximum.accumulate(ends[order])[:-1] > NEAR[unit]
        self.ids, self.starts, self.ends = ids[order].tolist(), starts[order].tolist(), ends[order].tolist()
        self.unit, self._scores = unit, scores[order].tolist()
        self._run = [0, *np.cumsum(apart).tolist()]
        self._taken = [False] * len(self.ids)

    def taken(self, at: int) -> bool:
        """Whether the segment at a position is already in a moment."""
        return self._taken[at]

    def take(self, at: int) -> tuple[tuple[int, ...], Span, Span | None]:
        """The moment around a peak: the ids of its segments and its span. If the moment was cut to its best part, also the whole
        stretch, else None."""
        low, high = self._edge(at, -1), self._edge(at, 1)
        for taken in range(low, high + 1):
            self._taken[taken] = True
        whole = self._span(low, high)
        if whole.end - whole.start <= LONGEST_MOMENT[self.unit]:
            return tuple(self.ids[low : high + 1]), whole, None
        first, last = self._best_part(at, low, high)
        part = self._span(first, last)
        return tuple(self.ids[first : last + 1]), part, whole if part != whole else None

    def _edge(self, at: int, step: int) -> int:
        """The last good segment in one direction from a peak."""
        least, edge, here = self._scores[at] - MAX_DROP, at, at + step
        start, end = self.starts[at], self.ends[at]
        while 0 <= here < len(self.ids) and self._run[here] == self._run[at] and not self._taken[here]:
            if self._scores[here] >= least:
                edge, start, end = here, min(start, self.starts[here]), max(end, self.ends[here])
            elif max(self.ends[here] - end if step > 0 else start - self.starts[here], 0) > BRIDGE[self.unit]:
                break
            here += step
        return edge

    def _best_part(self, at: int, low: int, high: int) -> tuple[int, int]:
        """The positions of the first and last segment of the best part. It grows from the peak to the better side; of equal
        sides, forward in time."""
        first = last = at
        start, end = self.starts[at], self.ends[at]
        while True:
            sides = [
                here
                for here in (last + 1, first - 1)
                if low <= here <= high and max(end, self.ends[here]) - min(start, self.starts[here]) <= LONGEST_MOMENT[self.unit]
            ]
            if not sides:
                return first, last
            here = max(sides, key=self._scores.__getitem__)
            first, last = min(first, here), max(last, here)
            start, end = min(start, self.starts[here]), max(end, self.ends[here])

    def _span(self, first: int, last: int) -> Span:
        return Span(self.starts[first], max(self.ends[first : last + 1]), self.unit)


class _Timelines:
    """The timelines of assets, each made on first use."""

    def __init__(self, around: MomentData) -> None:
        self._around = around
        self._known: set[int] = set()
        self._places: dict[int, tuple[Timeline, int]] = {}

    def load(self, assets: Ids) -> None:
        """Make the timelines of those assets that have none yet."""
        new = np.array(sorted(set(assets.tolist()) - self._known), np.int64)
        if not len(new):
            return
        self._known.update(new.tolist())
        rows, scores = self._around.siblings(new)
        order = np.lexsort((rows.units, rows.kinds, rows.assets))
        keys = np.stack([rows.assets[order], rows.kinds[order], rows.units[order]])
        for some in np.split(order, np.flatnonzero((keys[:, 1:] != keys[:, :-1]).any(axis=0)) + 1):
            if len(some):
                unit = cast("Unit", UNITS[rows.units[some[0]]])
                line = Timeline(rows.ids[some], rows.starts[some], rows.ends[some], scores[some], unit)
                self._places |= {id_: (line, at) for at, id_ in enumerate(line.ids)}

    def place(self, segment: int) -> tuple[Timeline, int] | None:
        """The timeline of a segment and its position there; None if it has no span."""
        return self._places.get(segment)


def gather(levels: Iterable[Ranked], group: Grouping, around: MomentData) -> Iterator[Moment]:
    """Group segments, best first, into moments, best first. Moments are made lazily.

    ``moment`` joins neighbours, ``asset`` keeps the best moment of each asset, ``segment`` joins nothing. Pages of a picture have
    no span: the best page is a moment.
    """
    timelines, assets, paged = _Timelines(around), set[int](), set[tuple[int, int]]()
    for level in levels:
        for start in range(0, len(level.ids), SEEDS_AT_ONCE):
            some = level.only(slice(start, start + SEEDS_AT_ONCE))
            rows = around.rows(some.ids)
            if group != "segment":
                timelines.load(rows.assets[rows.units > 0])
            for at in range(len(some.ids)):
                asset = int(rows.assets[at])
                if group == "asset" and asset in assets:
                    continue
                if group == "moment" and rows.units[at] == 0 and rows.kinds[at] in _PAGED:
                    page = (asset, int(rows.kinds[at]))
                    if page in paged:
                        continue
                    paged.add(page)
                moment = _moment(some, rows, at, None if group == "segment" else timelines.place(int(some.ids[at])))
                if moment is not None:
                    assets.add(asset)
                    yield moment


def _moment(some: Ranked, rows: Columns, at: int, place: tuple[Timeline, int] | None) -> Moment | None:
    """The moment of the segment at a position; None if the segment is already in another moment."""
    id_, unit = int(some.ids[at]), UNITS[rows.units[at]]
    evidence: tuple[int, ...] = (id_,)
    span = Span(int(rows.starts[at]), int(rows.ends[at]), cast("Unit", unit)) if unit else None
    stretch = None
    if place is not None:
        timeline, position = place
        if timeline.taken(position):
            return None
        evidence, span, stretch = timeline.take(position)
    return Moment(
        id_, int(rows.assets[at]), float(some.scores[at]), float(some.cosines[at]), int(some.homes[at]), span, evidence, stretch
    )
