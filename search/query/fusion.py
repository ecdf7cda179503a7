"""Fusion: one order from those of several spaces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DAMPING = 60
"""How little the first ranks stand out (Cormack, Clarke & Büttcher 2009)."""


def by_score(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Standardised scores (n, spaces) as one (n,); NaN where a space does not hold a segment.

    Their sum over the square root of how many they are (Stouffer's method, 1949): of unrelated segments it is standard normal again,
    however many spaces hold them, so that what one space alone holds competes on equal terms.
    """
    held = ~np.isnan(scores)
    total = np.where(held, scores, 0).sum(axis=1)
    return np.asarray(total / np.sqrt(np.maximum(held.sum(axis=1), 1)), np.float32)


def by_rank(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores (n, spaces) of any scale, NaN where there is none, as reciprocal ranks added up (n,): Cormack et al. 2009, RRF."""
    fused = np.zeros(len(scores), np.float32)
    for column in scores.T:
        held = np.flatnonzero(~np.isnan(column))
        order = held[np.argsort(-column[held], kind="stable")]
        fused[order] += 1 / (DAMPING + 1 + np.arange(len(order), dtype=np.float32))
    return fused
