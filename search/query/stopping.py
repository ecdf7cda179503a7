"""When to stop looking: a bound on how many right files can be left, from a random sample of files that nobody has judged.

The bound is exact. The sample is drawn without replacement, so the number of right files in it is hypergeometric. See Callaghan
and Müller-Hansen, "Statistical stopping criteria for automated screening in systematic reviews", Systematic Reviews 9:273 (2020).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.query.view import mixed
from search.store.judgements import JudgedAsset, plain
from search.types import Ids

CONFIDENCE = 0.95
"""In so many of 100 cases no more are left than is told."""


@dataclass(frozen=True, slots=True)
class Draw:
    """A random sample of ``population`` files. ``sampled`` were judged, ``right`` of them are right; ``later`` right ones were
    found by other means since."""

    population: int
    sampled: int
    right: int
    later: int = 0

    @property
    def left_at_most(self) -> int:
        """How many right files are left that nobody has judged, at most, at ``CONFIDENCE``."""
        return max(at_most(self.population, self.sampled, self.right) - self.right - self.later, 0)


def at_most(population: int, sampled: int, right: int, confidence: float = CONFIDENCE) -> int:
    """The largest number of right files in a population, given ``right`` in a random sample of it.

    With one more, so few would be seen with a probability below ``1 - confidence``. This is Clopper and Pearson's argument, for
    the hypergeometric distribution.
    """
    low, high = right, population - (sampled - right)  # as many as are known, as many as there can be
    while low < high:
        middle = (low + high + 1) // 2
        if _seen_so_few(population, sampled, right, middle) >= 1 - confidence:
            low = middle
        else:
            high = middle - 1
    return low


def _seen_so_few(population: int, sampled: int, right: int, held: int) -> float:
    """The probability that a sample has at most ``right`` of the ``held`` right files of a population."""
    most, least = min(right, held), max(0, sampled - (population - held))
    every = _log_choose(population, sampled)
    return sum(
        math.exp(_log_choose(held, some) + _log_choose(population - held, sampled - some) - every)
        for some in range(least, most + 1)
    )


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def drawn(judged: Sequence[JudgedAsset], scope: str) -> Draw | None:
    """The newest random sample among judgements, which are given in the order in which they were made. None if there is none of
    this ``scope``.

    Consecutive draws with no other judgement between them form one sample.
    """
    runs: list[list[JudgedAsset]] = []
    for one in judged:
        if one.population is None or one.scope != scope:
            continue
        if runs and (one.population == runs[-1][-1].population or _follows(runs[-1], one)):
            runs[-1].append(one)
        else:
            runs.append([one])
    if not runs:
        return None
    newest = runs[-1]
    begins, inside = judged.index(newest[0]), {one.asset for one in newest}
    later = sum(one.right and one.asset not in inside for one in judged[begins:])
    return Draw(newest[0].population or 0, len(newest), sum(one.right for one in newest), later)


def _follows(run: Sequence[JudgedAsset], one: JudgedAsset) -> bool:
    """Whether a draw directly continues a run of draws: it was made from the files that the run left."""
    return one.population == (run[0].population or 0) - len(run)


def order(question: str, assets: Ids) -> Ids:
    """Assets (n,) in the question's random order. It is the same every time, so that a partly judged sample continues where it
    stopped."""
    seed = int.from_bytes(hashlib.sha256(plain(question).encode()).digest()[:8], "little")
    return assets[np.argsort(mixed(assets, seed), kind="stable")]
