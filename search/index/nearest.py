"""The nearest neighbours in one order that holds: ties are broken by id, whatever scans and however many are asked for.

FAISS returns equal scores in an order that depends on k, and a scan by another way (a bitmap, a copy, a GPU) rounds otherwise. So what a scan
finds only says who comes into question. The order is that of ``similarities``, which look at each vector alone.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from search.types import Ids, Vectors

SPARE_CANDIDATES = 30
"""Candidates asked for beyond those wanted, so that ties at the end are seen in the same scan."""

ROUNDING = 1e-5
"""By how much two scans may differ in a score."""

ROWS_AT_ONCE = 4_096
"""Vectors that are float32 at once."""


class Scanned(Protocol):
    """What is needed of a ``VectorIndex``."""

    def search(self, queries: Vectors, k: int, *, within: Ids | None = None) -> tuple[Ids, NDArray[np.float32]]:
        """See ``VectorIndex``."""
        ...

    def reconstruct(self, ids: Ids) -> Vectors:
        """See ``VectorIndex``."""
        ...


def nearest(index: Scanned, query: NDArray[np.float32], count: int, within: Ids) -> tuple[Ids, NDArray[np.float32]]:
    """The ``count`` best of the ids ``within`` (m,), ascending, for one query (dim,): ids and scores (n,), best first, equals by id.

    The first n are the same for every ``count`` of at least n, as far as the index scans exactly.
    """
    asked = min(count + SPARE_CANDIDATES, len(within))
    while True:
        ids, scores = (found[0] for found in index.search(query[None], asked, within=within))
        complete = asked == len(within) or ids[-1] < 0
        if complete or scores[-1] < scores[count - 1] - ROUNDING:
            break
        asked = min(4 * asked, len(within))  # more are equal to the last one than were asked for
    ids = ids[ids >= 0]
    exact = similarities(index, query, ids)
    best = np.lexsort((ids, -exact))[:count]
    return ids[best], exact[best]


def similarities(index: Scanned, query: NDArray[np.float32], ids: Ids) -> NDArray[np.float32]:
    """The inner products (n,) of a query (dim,) with vectors that the index holds; each is the same whatever else is asked for.

    By einsum, row by row: a product of matrices rounds a row by where it stands, so that equal vectors would get unequal scores.
    """
    found = np.empty(len(ids), np.float32)
    for start in range(0, len(ids), ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        found[some] = np.einsum("nd,d->n", index.reconstruct(ids[some]), query)
    return found
