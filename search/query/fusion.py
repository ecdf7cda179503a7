"""Fusion: merge the orders of several spaces into one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def by_score(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores in log-odds (n, spaces) as one (n,); NaN where a space does not hold a segment.

    Their sum over the square root of how many they are (Stouffer's method, 1949): of unrelated segments it is standard normal again,
    however many spaces hold them, so that what one space alone holds competes on equal terms.
    """
    held = ~np.isnan(scores)
    total = np.where(held, scores, 0).sum(axis=1)
    return np.asarray(total / np.sqrt(np.maximum(held.sum(axis=1), 1)), np.float32)


def by_words(meaning: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.float32]:
    """Merge scores by meaning and by words (n,), in log-odds, NaN where one is missing, into one (n,).

    The result is the largest of three: either score alone, and both together (sum over the square root of two, as Stouffer's
    method). A sum alone would put a text that shares a common word with the query behind one that shares none. Ranks would not do
    either: the best text found by words may contain no more than "the", and would rank beside the best picture. So a quotation,
    which is hardly ever chance, comes first, and a paraphrase stands where its meaning puts it.
    """
    both = np.stack([meaning, words, (meaning + words) / np.sqrt(2)])
    return np.asarray(np.nanmax(both, axis=0), np.float32)
