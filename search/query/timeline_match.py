"""Ordered patterns over the timeline of one asset: this, then that within some seconds, while something else, and nothing between.

Dynamic programming over the segments of each step. A segment of a step has a probability. A match is one segment for each step, with
every link kept; its logit is the sum of the logarithms of the probabilities. Of the matches that end with the same segment only the
best is kept, and of matches that overlap only the better one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.query.algebra import Link
from search.types import Ids

LEAST = 0.05
"""The probability below which a segment does not count as an occurrence of a step."""

PRESENT = 0.5
"""The probability from which on something that must be absent is there."""

MOST_OCCURRENCES = 400
"""Segments of an asset that are looked at for a step: the likeliest ones."""


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Where in an asset something is seen or heard: segments with ``starts`` and ``ends`` in milliseconds, half-open, and
    probabilities in 0..1, all (n,)."""

    ids: Ids
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    chances: NDArray[np.float64]

    def only(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Occurrences:
        """The rows that a mask (n,) or positions (m,) select."""
        return Occurrences(self.ids[rows], self.starts[rows], self.ends[rows], self.chances[rows])


@dataclass(frozen=True, slots=True)
class TimelineMatch:
    """A match: the positions of its segments in the occurrences of each step, its stretch in milliseconds, and the logarithm of its
    probability."""

    at: tuple[int, ...]
    start: int
    end: int
    log_chance: float


def matches(
    steps: Sequence[Occurrences], links: Sequence[Link], absent: Sequence[Occurrences | None], least: Sequence[float] = ()
) -> list[TimelineMatch]:  # fmt: skip
    """All matches in one asset, likeliest first; those that overlap a better one are left out.

    ``links`` and ``absent`` are one shorter than ``steps``: the link from each step to the next, and what must not be between. Between
    two steps is what lies from the end of one to the start of the next; of steps that overlap, their common part. ``least`` are the
    probabilities from which on a segment counts as an occurrence of each step; empty: ``LEAST``.
    """
    kept = [likely(step, one) for step, one in zip(steps, least or [LEAST] * len(steps), strict=True)]
    if any(not len(one) for one in kept):
        return []
    chains = np.log(steps[0].chances[kept[0]])
    back: list[NDArray[np.intp]] = []
    for number, (link, without) in enumerate(zip(links, absent, strict=True), 1):
        before, after = steps[number - 1].only(kept[number - 1]), steps[number].only(kept[number])
        allowed = _linked(before, after, link)
        if without is not None:
            allowed &= ~_between(before, after, link, without)
        reached = np.where(allowed, chains[:, None], -np.inf)
        back.append(np.argmax(reached, axis=0))
        chains = reached.max(axis=0) + np.log(after.chances)
    found = [_traced(steps, kept, back, int(end), float(chains[end])) for end in np.flatnonzero(chains > -np.inf)]
    found.sort(key=lambda one: (-one.log_chance, one.start, one.end, one.at))
    apart: list[TimelineMatch] = []
    for one in found:
        if all(one.end <= other.start or other.end <= one.start for other in apart):
            apart.append(one)
    return apart


def likely(step: Occurrences, least: float = LEAST) -> NDArray[np.intp]:
    """The positions of the segments that count as occurrences: the likeliest, in order of time."""
    at = np.flatnonzero(step.chances >= least)
    if len(at) > MOST_OCCURRENCES:
        at = at[np.lexsort((at, -step.chances[at]))[:MOST_OCCURRENCES]]
    return np.sort(at)


def _linked(before: Occurrences, after: Occurrences, link: Link) -> NDArray[np.bool_]:
    """Which pairs (n, m) of segments keep a link."""
    if link.together:
        return (before.starts[:, None] < after.ends[None]) & (after.starts[None] < before.ends[:, None])
    gaps = after.starts[None] - before.ends[:, None]
    return np.asarray((gaps >= link.least_ms) & (gaps <= link.most_ms), np.bool_)


def _between(before: Occurrences, after: Occurrences, link: Link, absent: Occurrences) -> NDArray[np.bool_]:
    """Which pairs (n, m) of segments have something between them that must not be there."""
    there = absent.only(absent.chances >= PRESENT)
    if link.together:
        low, high = np.maximum(before.starts[:, None], after.starts[None]), np.minimum(before.ends[:, None], after.ends[None])
    else:
        low, high = np.broadcast_arrays(before.ends[:, None], after.starts[None])
    if not len(there.ids):
        return np.zeros(low.shape, np.bool_)
    order = np.argsort(there.starts, kind="stable")
    starts, latest = there.starts[order], np.maximum.accumulate(there.ends[order])
    begun = np.searchsorted(starts, high, "left")  # so many begin before the stretch ends
    until = np.where(begun > 0, latest[np.maximum(begun - 1, 0)], low)
    return np.asarray((until > low) & (high > low), np.bool_)


def _traced(
    steps: Sequence[Occurrences], kept: Sequence[NDArray[np.intp]], back: Sequence[NDArray[np.intp]], end: int, log_chance: float
) -> TimelineMatch:  # fmt: skip
    """The match that ends with a segment of the last step."""
    at = [end]
    for pointers in reversed(back):
        at.append(int(pointers[at[-1]]))
    places = tuple(int(some[one]) for some, one in zip(kept, reversed(at), strict=True))
    starts = [int(step.starts[one]) for step, one in zip(steps, places, strict=True)]
    ends = [int(step.ends[one]) for step, one in zip(steps, places, strict=True)]
    return TimelineMatch(places, min(starts), max(ends), log_chance)
