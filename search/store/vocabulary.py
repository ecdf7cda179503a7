"""The vocabulary: the archive's words, and which of them a word that is rare there may have been meant to be.

Words are near when few letters have to change (optimal string alignment, within limits by length), or when they look alike in print
(0 and o, 1 and l and i, rn and m, 5 and s).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import OSA

from search.store.folding import begins

WEIGHTS = (0.8, 0.7, 0.5)
"""What a word counts by the number of letters in which it differs; none: it only looks alike."""

NEAREST = 8
"""Near words of one word that are looked for."""

_WIDTH = 32
"""Letters of a word that are compared; longer words are rarely mistaken in a letter or two."""

_SHAPES = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s"})


@dataclass(frozen=True, slots=True)
class Near:
    """A word of the archive that stands for another: what it counts, 0..1, and how many segments hold it."""

    term: str
    weight: float
    count: int


class Vocabulary:
    """The words of an archive, with the number of segments that hold each. Those of scripts without spaces are left out."""

    def __init__(self, terms: Sequence[str], counts: Sequence[int]) -> None:
        kept = [at for at, term in enumerate(terms) if 2 < len(term) < _WIDTH and not begins(term[0])]
        self._terms, self._counts = [terms[at] for at in kept], [counts[at] for at in kept]
        self._shapes = _shapes(self._terms)
        self._lengths, self._letters, self._pairs = _signs(self._shapes)

    def near(self, term: str) -> list[Near]:
        """The nearest words but the word itself, nearest first and of these the most frequent, at most ``NEAREST``."""
        limit = 0 if len(term) < 4 or len(term) >= _WIDTH or begins(term[0]) else 1 if len(term) < 8 else 2
        if not limit:  # nearly every other is near a short one
            return []
        shapes = _shapes([term])
        lengths, letters, pairs = _signs(shapes)
        # One edit changes the length by one at most, two letters, and six pairs of neighbours: few words are left to be compared.
        likely = np.flatnonzero(
            (np.abs(self._lengths - lengths[0]) <= limit)
            & (np.bitwise_count(self._letters ^ letters[0]) <= 2 * limit)
            & (np.bitwise_count(self._pairs ^ pairs[0]) <= 6 * limit)
        )
        choices = [self._shapes[at] for at in likely]
        found = process.extract(shapes[0], choices, scorer=OSA.distance, score_cutoff=limit, limit=None)
        near = [(int(distance), int(likely[place])) for _, distance, place in found]
        near = sorted((pair for pair in near if self._terms[pair[1]] != term), key=lambda pair: (pair[0], -self._counts[pair[1]]))
        return [Near(self._terms[at], WEIGHTS[distance], self._counts[at]) for distance, at in near[:NEAREST]]


def _shapes(terms: Sequence[str]) -> list[str]:
    """What words look like in print, where some letters are taken for others."""
    return "\n".join(terms).translate(_SHAPES).replace("rn", "m").split("\n") if terms else []


def _signs(shapes: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.uint64]]:
    """Of words their lengths, their letters and their pairs of neighbours, a bit for each kind, all (n,); several kinds share a bit."""
    table = np.array(shapes, f"U{_WIDTH}").view(np.uint32).reshape(-1, _WIDTH).astype(np.uint64)
    there = table > 0
    one = np.uint64(1)
    letters = np.where(there, one << (table & np.uint64(63)), np.uint64(0))
    both = (table[:, :-1] * np.uint64(31) + table[:, 1:]) & np.uint64(63)
    pairs = np.where(there[:, 1:], one << both, np.uint64(0))
    return there.sum(axis=1), np.bitwise_or.reduce(letters, axis=1), np.bitwise_or.reduce(pairs, axis=1)
