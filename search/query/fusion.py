"""Fusion: merge the orders of several spaces into one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DAMPING = 60
"""The constant of reciprocal rank fusion: the larger, the less the first ranks stand out (Cormack, Clarke & Büttcher 2009)."""


def by_score(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Standardised scores (n, spaces) as one (n,); NaN where a space does not hold a segment.

    Their sum over the square root of how many they are (Stouffer's method, 1949): of unrelated segments it is standard normal again,
    however many spaces hold them, so that what one space alone holds competes on equal terms.
    """
    held = ~np.isnan(scores)
    total = np.where(held, scores, 0).sum(axis=1)
    return np.asarray(total / np.sqrt(np.maximum(held.sum(axis=1), 1)), np.float32)


def by_rank(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Merge scores (n, spaces) of any scale, NaN where there is none, into the mean of reciprocal ranks (n,): RRF, Cormack et al.
    2009.

    The mean is over the spaces that hold a segment. A sum would favour segments just because more spaces hold them.
    """
    ranks = np.full(scores.shape, np.nan, np.float32)
    for column, rank in zip(scores.T, ranks.T, strict=True):
        held = np.flatnonzero(~np.isnan(column))
        rank[held[np.argsort(-column[held], kind="stable")]] = np.arange(1, len(held) + 1)
    return np.asarray(np.nanmean(1 / (DAMPING + ranks), axis=1), np.float32)


def by_words(meaning: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.float32]:
    """Merge scores by meaning and by words (n,), in log-odds, NaN where one is missing, into one (n,).

    The result is the largest of three: either score alone, and both together (sum over the square root of two, as Stouffer's
    method). A sum alone would put a text that shares a common word with the query behind one that shares none. Ranks would not do
    either: the best text found by words may contain no more than "the", and would rank beside the best picture. So a quotation,
    which is hardly ever chance, comes first, and a paraphrase stands where its meaning puts it.
    """
    both = np.stack([meaning, words, (meaning + words) / np.sqrt(2)])
    return np.asarray(np.nanmax(both, axis=0), np.float32)
