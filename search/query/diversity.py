"""Diversity: an order of hits in which like ones do not stand together (maximal marginal relevance, Carbonell and Goldstein 1998)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.types import Vectors

DIVERSE = 200
"""Hits that are put into another order: the best ones."""

RELEVANCE = 0.7
"""The weight of how well a hit matches; the rest is that of how little it is like those before it."""


def diverse(scores: NDArray[np.float32], vectors: Vectors) -> list[int]:
    """The positions of hits with scores (n,), best first, and unit vectors (n, dim), in an order by maximal marginal relevance.

    Scores are brought to 0..1 over these hits. A hit whose vector is all zeros is like no other.
    """
    spread = float(scores.max() - scores.min()) if len(scores) else 0.0
    match = (scores - scores.min()) / spread if spread > 0 else np.ones(len(scores), np.float32)
    alike = np.zeros(len(scores), np.float32)
    left, order = np.ones(len(scores), np.bool_), list[int]()
    while left.any():
        worth = np.where(left, RELEVANCE * match - (1 - RELEVANCE) * alike, -np.inf)
        best = int(np.argmax(worth))
        order.append(best)
        left[best] = False
        alike = np.maximum(alike, vectors @ vectors[best])
    return order
