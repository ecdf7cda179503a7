"""A VectorIndex in a dozen lines of numpy: what the real one must agree with."""

from __future__ import annotations

import numpy as np


class FakeIndex:
    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._rows: dict[int, np.ndarray] = {}

    def add(self, ids, vectors) -> None:
        if len(set(ids.tolist())) != len(ids) or any(id_ in self._rows for id_ in ids.tolist()):
            raise ValueError("an id is held already")
        self._rows |= {int(id_): vector.astype(np.float16) for id_, vector in zip(ids, vectors, strict=True)}

    def remove(self, ids) -> None:
        for id_ in ids.tolist():
            self._rows.pop(id_, None)

    def search(self, queries, k, *, within=None):
        allowed = self.ids() if within is None else np.intersect1d(self.ids(), within)
        ids, scores = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
        if len(allowed):
            found = queries @ self.reconstruct(allowed).T
            best = np.argsort(-found, axis=1, kind="stable")[:, :k]
            ids[:, : best.shape[1]] = allowed[best]
            scores[:, : best.shape[1]] = np.take_along_axis(found, best, axis=1)
        return ids, scores

    def ids(self):
        return np.array(sorted(self._rows), np.int64)

    def holds(self, ids):
        return np.isin(ids, self.ids())

    def reconstruct(self, ids):
        return np.array([self._rows[int(id_)] for id_ in ids], np.float32).reshape(len(ids), self.dim)

    def __len__(self) -> int:
        return len(self._rows)
