"""One-bit codes of windows of pictures, and their scan: by Hamming distance for candidates, by the question's own numbers for scores.

A code holds the signs of a vector, and the factor that makes their dot product with a question an unbiased estimate of the
vector's own: RaBitQ without its rotation, which made no difference here (Gao and Long 2024, arXiv 2405.12497). A window of 384 dimensions takes 50 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import faiss
import numpy as np
from numpy.typing import NDArray

CANDIDATE_WINDOWS = 2_048
"""Windows, the nearest by Hamming distance, that are scored."""

Scores = NDArray[np.float32]


def pack(vectors: NDArray[np.float32]) -> list[bytes]:
    """The codes of the windows of pictures, from vectors (n, windows, d) with d divisible by 8: for each picture the signs, then the
    factors as little-endian float16."""
    signs = vectors > 0
    squares = np.einsum("nwd,nwd->nw", vectors, vectors)
    factors = squares / np.maximum(np.abs(vectors).sum(axis=2), 1e-9)
    bits = np.packbits(signs, axis=2)
    return [row.tobytes() + some.astype("<f2").tobytes() for row, some in zip(bits, factors, strict=True)]


class WindowCodes:
    """The codes of many pictures, by position. Not thread-safe: its owner keeps searches out while it grows."""

    def __init__(self, windows: int, dim: int) -> None:
        """``windows`` of each picture, of ``dim`` dimensions each."""
        self.windows, self.dim = windows, dim
        self._scan: Any = faiss.IndexBinaryFlat(dim)
        self._factors = np.empty((0, windows), np.float16)

    def __len__(self) -> int:
        return len(self._factors)

    def add(self, codes: Sequence[bytes]) -> None:
        """Add pictures behind the others.

        Raises:
            ValueError: a code of another length.
        """
        size = self.windows * (self.dim // 8 + 2)
        if any(len(code) != size for code in codes):
            raise ValueError(f"the codes of a picture have {size} bytes")
        raw = np.frombuffer(b"".join(codes), np.uint8).reshape(len(codes), size)
        split = self.windows * self.dim // 8
        self._scan.add(np.ascontiguousarray(raw[:, :split]).reshape(-1, self.dim // 8))
        self._factors = np.concatenate([self._factors, np.ascontiguousarray(raw[:, split:]).view("<f2").astype(np.float16)])

    def only(self, at: NDArray[np.intp]) -> WindowCodes:
        """A copy of the pictures at these positions (m,)."""
        part = WindowCodes(self.windows, self.dim)
        part._scan.add(np.ascontiguousarray(self._bits[at]).reshape(-1, self.dim // 8))
        part._factors = self._factors[at]
        return part

    def best(self, question: NDArray[np.float32]) -> tuple[NDArray[np.intp], Scores]:
        """The pictures whose best windows answer a question (dim,): positions (m,) and scores (m,), best first, ties by position.

        Only the pictures of the ``CANDIDATE_WINDOWS`` nearest windows are among them.
        """
        if not len(self):
            return np.empty(0, np.intp), np.empty(0, np.float32)
        faiss.omp_set_num_threads(1)  # applies to the calling thread only
        count = min(CANDIDATE_WINDOWS, self._scan.ntotal)
        _, found = self._scan.search(np.packbits(question > 0)[None], count)
        windows = np.sort(found[0][found[0] >= 0])
        bits, factors = self._bits.reshape(-1, self.dim // 8)[windows], self._factors.reshape(-1)[windows]
        scores = _products(question, bits, factors)
        at, first = np.unique(windows // self.windows, return_index=True)
        best = np.maximum.reduceat(scores, first)
        order = np.lexsort((at, -best))
        return at[order], best[order]

    def scores(self, question: NDArray[np.float32], at: NDArray[np.intp]) -> Scores:
        """The estimated dot products (m, windows) of a question (dim,) with the windows of the pictures at positions (m,)."""
        return _products(question, self._bits[at], self._factors[at])

    @property
    def _bits(self) -> NDArray[np.uint8]:
        """A view of FAISS's own codes (n, windows, dim / 8): valid until the next ``add``."""
        codes = self._scan.xb
        raw = faiss.rev_swig_ptr(codes.data(), codes.size()) if codes.size() else np.empty(0, np.uint8)
        return cast("NDArray[np.uint8]", raw.reshape(-1, self.windows, self.dim // 8))


def _products(question: NDArray[np.float32], bits: NDArray[np.uint8], factors: NDArray[np.float16]) -> Scores:
    """The estimated dot products (...) of a question (dim,) with windows: their signs (..., dim / 8) and factors (...)."""
    signs = np.unpackbits(bits, axis=-1).astype(np.float32)
    return cast("Scores", ((2 * (signs @ question) - question.sum()) * factors).astype(np.float32))
