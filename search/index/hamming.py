"""Pairs of codes that differ in few bits, by an exact scan."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

AT_ONCE = 1_024
"""Codes that are looked up together, which bounds the memory that pairs take."""


def near_pairs(
    some: NDArray[np.uint8], among: NDArray[np.uint8], most: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of rows of ``some`` (n, bytes) and ``among`` (m, bytes) that differ in at most ``most`` bits: positions in both, and the
    bits, (pairs,) each."""
    scan: Any = faiss.IndexBinaryFlat(among.shape[1] * 8)
    scan.add(np.ascontiguousarray(among))
    found: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]] = []
    for start in range(0, len(some), AT_ONCE):
        part = np.ascontiguousarray(some[start : start + AT_ONCE])
        limits, bits, at = scan.range_search(part, most + 1)  # up to, not including
        rows = np.repeat(np.arange(len(part)), np.diff(limits.astype(np.intp))) + start
        found.append((rows.astype(np.intp), at.astype(np.intp), bits.astype(np.intp)))
    none = np.empty(0, np.intp)
    return tuple(np.concatenate(column) for column in zip((none, none, none), *found, strict=True))  # type: ignore[return-value]
