"""The vocabulary: the archive's words. For a rare word it finds similar ones that may have been meant.

Words are near if few letters have to change (optimal string alignment, within limits by length), or if they look alike in print
(0 and o, 1 and l and i, rn and m, 5 and s).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.store.folding import begins

_WIDTH = 32
"""Letters of a word that are compared; longer words are rarely mistaken in a letter or two."""

_BLOCK = 10_000
"""Words whose signs are made at a time, so that what is in between stays small."""

_SHAPES = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s"})


class Vocabulary:
    """The words of an archive. Words of scripts without spaces, very short and very long ones are left out. It is immutable."""

    def __init__(self) -> None:
        """An empty vocabulary."""
        self._terms: list[str] = []
        self._shapes: list[str] = []
        self._lengths, self._letters, self._pairs = _signs([])

    def grown(self, terms: Sequence[str]) -> Vocabulary:
        """This vocabulary with more words. Words that it already has are not repeated."""
        found = Vocabulary()
        new = [term for term in terms if 2 < len(term) < _WIDTH and not begins(term[0])]
        shapes = _shapes(new)
        found._terms, found._shapes = self._terms + new, self._shapes + shapes
        blocks = [_signs(shapes[start : start + _BLOCK]) for start in range(0, len(shapes), _BLOCK)]
        own = (self._lengths, self._letters, self._pairs)
        found._lengths, found._letters, found._pairs = map(np.concatenate, zip(own, *blocks, strict=True))
        return found

    def near(self, term: str) -> dict[str, int]:
        """The near words (without the word itself), and the number of letters in which each differs. 0: it only looks alike."""
        limit = 0 if len(term) < 4 or len(term) >= _WIDTH or begins(term[0]) else 1 if len(term) < 8 else 2
        if not limit:  # nearly every word is near a short one
            return {}
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

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
        near = {self._terms[likely[place]]: int(distance) for _, distance, place in found}
        return {other: distance for other, distance in near.items() if other != term}


def _shapes(terms: Sequence[str]) -> list[str]:
    """Words with letters that look alike in print replaced by one of them."""
    return "\n".join(terms).translate(_SHAPES).replace("rn", "m").split("\n") if terms else []


def _signs(shapes: Sequence[str]) -> tuple[NDArray[np.int8], NDArray[np.uint64], NDArray[np.uint64]]:
    """For each word: its length, its letters and its pairs of neighbouring letters as bit sets, all (n,). Several letters or
    pairs share a bit."""
    table = np.array(shapes, f"U{_WIDTH}").view(np.uint32).reshape(-1, _WIDTH).astype(np.uint64)
    there = table > 0
    one = np.uint64(1)
    letters = np.where(there, one << (table & np.uint64(63)), np.uint64(0))
    both = (table[:, :-1] * np.uint64(31) + table[:, 1:]) & np.uint64(63)
    pairs = np.where(there[:, 1:], one << both, np.uint64(0))
    lengths = there.sum(axis=1).astype(np.int8)
    return lengths, np.bitwise_or.reduce(letters, axis=1), np.bitwise_or.reduce(pairs, axis=1)
