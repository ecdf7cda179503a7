"""Alignment: which stretch of one timeline runs alongside which stretch of another, from pairs of times that look or sound alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRIFT = 0.06
"""How much faster one may run than the other: television shows film 4 % faster."""

SLACK_MS = 700
"""How far two neighbouring pairs may be off besides, in milliseconds: frames are sampled once a second."""

GAP_MS = 12_000
"""Pairs of one stretch follow each other within this time, in milliseconds."""

MAX_PAIRS = 3_000
"""Pairs that are aligned, at most: the nearest ones."""

LEAST_PAIRS, LEAST_SHARE, LEAST_TOTAL = 3, 0.5, 1.2
"""Pairs that a stretch has at least, the least share of the samples within it that have one, and the least sum of their closeness."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Times in milliseconds, of both sides, from the first pair to the last; the pairs as positions, and the mean of their closeness, 0..1."""

    start: int
    end: int
    other_start: int
    other_end: int
    chain: tuple[int, ...]
    closeness: float


def stretches(
    times: NDArray[np.int64], others: NDArray[np.int64], closeness: NDArray[np.float64], samples: NDArray[np.int64]
) -> Iterator[Stretch]:  # fmt: skip
    """The stretches along which pairs of times (n,) and (n,) advance together, the one with the largest sum first. ``closeness`` (n,), 0..1, is of
    the pairs; ``samples`` (m,), ascending, are all times of the first side of which there might be pairs."""
    best = np.argsort(-closeness, kind="stable")[:MAX_PAIRS]
    order = best[np.lexsort((others[best], times[best]))]
    t, u, weight, at = times[order], others[order], closeness[order], order
    while len(t) >= LEAST_PAIRS:
        chain = _longest(t, u, weight)
        start, end = int(t[chain[0]]), int(t[chain[-1]])
        possible = int(np.count_nonzero((samples >= start) & (samples <= end)))
        if len(chain) < max(LEAST_PAIRS, LEAST_SHARE * possible) or weight[chain].sum() < LEAST_TOTAL:
            return
        yield Stretch(start, end, int(u[chain[0]]), int(u[chain[-1]]), tuple(at[chain].tolist()), float(weight[chain].mean()))
        left = ((t < start) | (t > end)) & ((u < u[chain[0]]) | (u > u[chain[-1]]))  # each moment of either side is told once
        t, u, weight, at = t[left], u[left], weight[left], at[left]


def _longest(t: NDArray[np.int64], u: NDArray[np.int64], weight: NDArray[np.float64]) -> list[int]:
    """The chain of pairs with the largest total weight, as positions. Pairs are sorted by ``t``."""
    total, before = weight.copy(), np.full(len(t), -1)
    begins = np.searchsorted(t, t - GAP_MS)
    for at in range(1, len(t)):
        some = slice(int(begins[at]), at)
        mine, theirs = t[at] - t[some], u[at] - u[some]
        off = np.abs(theirs - mine)
        allowed = (mine > 0) & (theirs > 0) & (off <= SLACK_MS + DRIFT * mine)
        if allowed.any():
            gain = np.where(allowed, total[some] - 0.1 * off / SLACK_MS, -np.inf)
            best = int(np.argmax(gain))
            if gain[best] > 0:
                total[at], before[at] = weight[at] + gain[best], best + int(begins[at])
    chain = [int(np.argmax(total))]
    while before[chain[-1]] >= 0:
        chain.append(int(before[chain[-1]]))
    return chain[::-1]
