"""Nearest neighbours in a stable order: ties are broken by id, for every kind of scan and every k.

FAISS returns equal scores in an order that depends on k. Different ways to scan (a bitmap, a copy, a GPU) also round differently.
So a scan only selects candidates. ``similarities`` then scores each vector independently of the others, and defines the order.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from search.types import Ids, Vectors

SPARE_CANDIDATES = 30
"""Extra candidates, so that ties at the end are usually seen in the first scan."""

ROUNDING = 1e-5
"""The largest difference between the scores of two scans."""

ROWS_AT_ONCE = 4_096
"""Vectors that are float32 at once."""


class Scanned(Protocol):
    """The part of ``VectorIndex`` that is needed here."""

    def search(self, queries: Vectors, k: int, *, within: Ids | None = None) -> tuple[Ids, NDArray[np.float32]]:
        """See ``VectorIndex``."""
        ...

    def reconstruct(self, ids: Ids) -> Vectors:
        """See ``VectorIndex``."""
        ...


def nearest(index: Scanned, query: NDArray[np.float32], count: int, within: Ids) -> tuple[Ids, NDArray[np.float32]]:
    """The ``count`` best of the ids ``within`` (m,), ascending, for one query (dim,): ids and scores (n,), best first, ties by
    id.

    The first n are the same for every ``count`` of at least n, if the index scans exactly.
    """
    asked = min(count + SPARE_CANDIDATES, len(within))
    while True:
        ids, scores = (found[0] for found in index.search(query[None], asked, within=within))
        complete = asked == len(within) or ids[-1] < 0
        if complete or scores[-1] < scores[count - 1] - ROUNDING:
            break
        asked = min(4 * asked, len(within))  # there are more ties with the last one than candidates
    ids = ids[ids >= 0]
    exact = similarities(index, query, ids)
    best = np.lexsort((ids, -exact))[:count]
    return ids[best], exact[best]


def similarities(index: Scanned, query: NDArray[np.float32], ids: Ids) -> NDArray[np.float32]:
    """The inner products (n,) of a query (dim,) with vectors of the index. Each is independent of the other ids.

    Computed row by row with einsum. A matrix product rounds a row differently depending on its position, so equal vectors would
    get different scores.
    """
    found = np.empty(len(ids), np.float32)
    for start in range(0, len(ids), ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        found[some] = np.einsum("nd,d->n", index.reconstruct(ids[some]), query)
    return found
