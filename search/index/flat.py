"""An exact scan over float16 vectors, by FAISS.

It has a read-only base, mapped from a generation on disk, and a small part that grows in memory. Both are scanned by position.
Ids are in separate arrays, ascending, since the archive never reuses an id.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import faiss
import numpy as np
from numpy.typing import NDArray

from search.types import Ids, Vectors

NARROW_SHARE = 0.005
"""Up to this share of allowed vectors, gathering them is cheaper than scanning past all others."""

ROWS_AT_ONCE = 2_048
"""Rows that are gathered at once: they stay in the processor's cache until they are scanned."""

MAX_COPIES_BYTES = 256 << 20
"""The memory for copies of filtered vectors, in bytes. A copy is made when a filter is used a second time."""

ROWS_APART = 50_000
"""Rows that a check beside searches copies at once."""

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class IndexPart:
    """Vectors in a FAISS index with their ids (n,), ascending. ``live`` (n,) is False for removed rows."""

    def __init__(self, scan: Any, ids: Ids) -> None:  # noqa: ANN401 - faiss has no types
        self.scan, self.ids = scan, ids
        self.live = np.ones(len(ids), np.bool_)
        self.narrow = NARROW_SHARE
        self.mapped = False
        """Whether the rows are mapped from a file, read-only."""
        self._prepared: dict[tuple[int, ...], ScanPlan] = {}
        self._preparing = threading.Lock()
        self._copied = 0

    @classmethod
    def empty(cls, dim: int) -> IndexPart:
        """A part without vectors."""
        quantizer = faiss.ScalarQuantizer.QT_fp16
        return cls(faiss.IndexScalarQuantizer(dim, quantizer, faiss.METRIC_INNER_PRODUCT), np.empty(0, np.int64))

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add vectors (n, dim) under new ids (n,)."""
        order = np.argsort(ids)
        if len(self.ids) and ids[order[0]] < self.ids[-1]:  # older ids were added later: sort the whole part
            self._rebuild(np.concatenate([self.ids, ids]), np.concatenate([self.vectors(slice(None)), vectors]))
            return
        self.scan.add(np.ascontiguousarray(vectors[order], np.float32))
        self.ids = np.concatenate([self.ids, ids[order]])
        self.live = np.concatenate([self.live, np.ones(len(ids), np.bool_)])
        self._forget()

    def _rebuild(self, ids: Ids, vectors: Vectors) -> None:
        live = np.concatenate([self.live, np.ones(len(ids) - len(self.live), np.bool_)])
        order = np.argsort(ids)
        fresh = IndexPart.empty(self.scan.d)
        fresh.scan.add(np.ascontiguousarray(vectors[order], np.float32))
        self.scan, self.ids, self.live = fresh.scan, ids[order], live[order]
        self._forget()

    def remove(self, ids: Ids) -> None:
        """Remove those of the ids that are here."""
        if len(at := self.positions(ids)):
            self.live[at] = False
            self._forget()

    def _forget(self) -> None:
        self._prepared.clear()
        self._copied = 0

    def positions(self, ids: Ids) -> NDArray[np.intp]:
        """The positions of those ``ids`` that are live here, ascending (m,)."""
        here, at = self.holds(ids)
        return at[here]

    def holds(self, ids: Ids) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        """A mask (n,) of those ``ids`` (n,) that are live here, and their positions (n,). Other positions have no meaning."""
        if not len(self.ids) or not len(ids):
            return np.zeros(len(ids), np.bool_), np.zeros(len(ids), np.intp)
        at = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return (self.ids[at] == ids) & self.live[at], at

    def held(self, ids: Ids) -> NDArray[np.bool_]:
        """A mask (n,) of those ``ids`` (n,) that were ever added here."""
        if not len(self.ids):
            return np.zeros(len(ids), np.bool_)
        return cast("NDArray[np.bool_]", self.ids[np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)] == ids)

    def vectors(self, at: NDArray[np.intp] | slice) -> Vectors:
        """Rows (m, dim) as float32."""
        return self._codes[at].astype(np.float32)

    @property
    def _codes(self) -> NDArray[np.float16]:
        """A view of FAISS's own float16 rows (n, dim): valid until the next ``add``."""
        codes = self.scan.codes
        size = codes.size()
        raw = faiss.rev_swig_ptr(codes.data(), size) if size else np.empty(0, np.uint8)
        return cast("NDArray[np.float16]", raw.view(np.float16).reshape(-1, self.scan.d))

    def search(self, queries: Vectors, k: int, within: Ids | None) -> tuple[Ids, NDArray[np.float32]]:
        """Ids and scores (n, up to k), best first; -1 and -inf if there are no more."""
        way = self._prepare(within)
        if way.positions is not None and way.copy is None:
            faiss.omp_set_num_threads(1)
            return merge([*self._gathered(queries, k, way.positions, ROWS_AT_ONCE)], len(queries), k)
        scan, of, bitmap = (self.scan, self.ids, way.bitmap) if way.copy is None else (*way.copy, None)
        parameters = faiss.SearchParameters(sel=bitmap.selector) if bitmap else None
        # FAISS parallelises over queries, and ours are single: more threads would only wait. Applies to the calling thread only.
        faiss.omp_set_num_threads(1)
        scores, found = scan.search(queries, min(k, max(len(of), 1)), params=parameters)
        ids = np.where(found >= 0, of[np.maximum(found, 0)], -1)
        return ids, np.where(found >= 0, scores, -np.inf).astype(np.float32)

    def search_apart(self, queries: Vectors, k: int, within: Ids) -> tuple[Ids, NDArray[np.float32]]:
        """Like ``search``, for checks beside searches: nothing is prepared or kept, and no more than ``ROWS_APART`` rows are in memory at
        once."""
        faiss.omp_set_num_threads(1)
        at, found = self.positions(self._here(within)), list[tuple[Ids, NDArray[np.float32]]]()
        for part in self._gathered(queries, k, at, ROWS_APART):
            found.append(part)
            self._let_go()
        return merge(found, len(queries), k)

    def _let_go(self) -> None:
        """Give back the memory of rows that are mapped from a file; they are read again when they are needed."""
        if self.mapped and _LIBC is not None:
            begin, page = int(self.scan.codes.data()), mmap.PAGESIZE
            first, last = -(-begin // page) * page, (begin + self.scan.codes.size()) // page * page
            _LIBC.madvise(ctypes.c_void_p(first), ctypes.c_size_t(max(last - first, 0)), mmap.MADV_DONTNEED)

    def _gathered(self, queries: Vectors, k: int, at: NDArray[np.intp], size: int) -> Iterator[tuple[Ids, NDArray[np.float32]]]:
        """The best of the rows at some positions, ``size`` rows at a time: ids and scores (n, up to k)."""
        for start in range(0, len(at), size):
            some = at[start : start + size]
            scan = IndexPart.empty(self.scan.d).scan
            scan.add_sa_codes(np.ascontiguousarray(self._codes[some]).view(np.uint8))
            scores, rows = scan.search(queries, min(k, len(some)))
            yield self.ids[some][rows], scores

    def _prepare(self, within: Ids | None) -> ScanPlan:
        """The way to search within ids. Cached for later searches with the same array, even after it has grown by ids that are
        not here."""
        within = None if within is None else self._here(within)
        # The address of an array identifies its content while it is alive, since nobody modifies it.
        key = (0,) if within is None else (within.__array_interface__["data"][0], *within.strides, len(within))
        with self._preparing:
            if (way := self._prepared.get(key)) is None:
                if len(self._prepared) >= 64:
                    self._forget()
                self._prepared[key] = way = self._way(within)
            way.asked += 1
            if (way.bitmap or (way.positions is not None and way.count)) and way.copy is None and way.asked > 1:
                self._copy(way)
            return way

    def _here(self, within: Ids) -> Ids:
        """The range of ``within`` that may contain ids of this part."""
        if not len(self.ids):
            return within[:0]
        return within[np.searchsorted(within, self.ids[0]) : np.searchsorted(within, self.ids[-1], "right")]

    def _way(self, within: Ids | None) -> ScanPlan:
        at = self._allowed(within)
        narrow, all_of_it = len(at) <= self.narrow * len(self.ids), len(at) == len(self.ids)
        mask = np.zeros(len(self.ids), np.bool_)
        mask[at] = True
        bitmap = None if narrow or all_of_it else Bitmap(mask)
        return ScanPlan(within, at if narrow else None, bitmap, len(at))

    def _allowed(self, within: Ids | None) -> NDArray[np.intp]:
        return np.flatnonzero(self.live) if within is None else self.positions(within)

    def _copy(self, way: ScanPlan) -> None:
        """Copy the filtered vectors into one block, if there is room: FAISS scans through a bitmap three times as slowly."""
        size = way.count * self.scan.code_size
        if self._copied + size > MAX_COPIES_BYTES:
            return
        at = self._allowed(way.within)
        whole = IndexPart.empty(self.scan.d)
        scan = whole.scan
        scan.codes.resize(size)
        scan.ntotal = len(at)
        for start in range(0, len(at), ROWS_AT_ONCE):  # straight into FAISS's own memory: a second copy would take as long again
            some = slice(start, start + ROWS_AT_ONCE)
            whole._codes[some] = self._codes[at[some]]
        way.copy = scan, self.ids[at]
        self._copied += size


@dataclass(slots=True)
class ScanPlan:
    """How a part is searched within some ids: by gathering ``positions``, through a bitmap, or in a copy (FAISS index, ids)."""

    within: Ids | None  # kept alive, so that no other array can get its address
    positions: NDArray[np.intp] | None
    bitmap: Bitmap | None
    count: int
    copy: tuple[Any, Ids] | None = None
    asked: int = 0


class Bitmap:
    """A FAISS selector that keeps its bits alive. FAISS only keeps a pointer, and would silently read freed memory."""

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self._bits = np.packbits(mask, bitorder="little")
        self.selector = faiss.IDSelectorBitmap(self._bits)

    def mask(self, count: int) -> NDArray[np.bool_]:
        """The mask (count,) that it was made of."""
        return np.unpackbits(self._bits, count=count, bitorder="little").astype(np.bool_)

    def has(self, at: Ids) -> NDArray[np.bool_]:
        """A mask of the positions that it lets through; False for -1."""
        bits = self._bits[np.maximum(at, 0) >> 3] >> (np.maximum(at, 0) & 7)
        return cast("NDArray[np.bool_]", (at >= 0) & (bits & 1 == 1))


class FlatIndex:
    """The VectorIndex that scans everything: exact up to float16. The interface documents its methods."""

    def __init__(self, dim: int, base: Any = None, ids: Ids | None = None, *, mapped: bool = False) -> None:  # noqa: ANN401
        """An empty index, or one over ``base``, a FAISS index whose rows are in the order of ``ids`` (n,), ascending; ``mapped`` from a
        file, read-only."""
        self.dim = dim
        self._base = IndexPart.empty(dim) if base is None or ids is None else IndexPart(base, ids)
        self._base.mapped = mapped
        self._fresh = IndexPart.empty(dim)

    @cached_property
    def _parts(self) -> tuple[IndexPart, IndexPart]:
        return self._base, self._fresh

    def add(self, ids: Ids, vectors: Vectors) -> None:  # noqa: D102 - documented at the seam, like the next four
        if vectors.shape != (len(ids), self.dim):
            raise ValueError(f"vectors of shape {vectors.shape} for {len(ids)} ids of dimension {self.dim}")
        if len(np.unique(ids)) != len(ids) or any(part.held(ids).any() for part in self._parts):
            raise ValueError("an id is held already, or was")
        if len(ids):
            self._fresh.add(ids, vectors)

    def remove(self, ids: Ids) -> None:  # noqa: D102
        for part in self._parts:
            part.remove(ids)

    def search(self, queries: Vectors, k: int, *, within: Ids | None = None) -> tuple[Ids, NDArray[np.float32]]:  # noqa: D102
        queries = np.ascontiguousarray(queries, np.float32)
        return merge([part.search(queries, k, within) for part in self._parts if len(part.ids)], len(queries), k)

    def ids(self) -> Ids:  # noqa: D102
        base, later = self.split()
        return np.sort(np.concatenate([base, later])) if len(later) else base

    def holds(self, ids: Ids) -> NDArray[np.bool_]:  # noqa: D102
        found = np.zeros(len(ids), np.bool_)
        for part in self._parts:
            found |= part.holds(ids)[0]
        return found

    def reconstruct(self, ids: Ids) -> Vectors:  # noqa: D102
        rows = np.empty((len(ids), self.dim), np.float32)
        found = np.zeros(len(ids), np.bool_)
        for part in self._parts:
            here, at = part.holds(ids)
            if here.any():
                rows[here] = part.vectors(at[here])
                found |= here
        if not found.all():
            raise KeyError(int(ids[~found][0]))
        return rows

    def search_apart(self, queries: Vectors, k: int, within: Ids) -> tuple[Ids, NDArray[np.float32]]:
        """What ``search`` returns, for checks beside searches: it takes longer, and leaves no trace in memory."""
        queries = np.ascontiguousarray(queries, np.float32)
        return merge([part.search_apart(queries, k, within) for part in self._parts if len(part.ids)], len(queries), k)

    def split(self) -> tuple[Ids, Ids]:
        """The searchable ids of the base, and those that were added since, both ascending."""
        base, later = (part.ids[part.live] for part in self._parts)
        return base, later

    def compact(self) -> tuple[Any, Ids]:
        """Everything live as a new FAISS index, and its ids (n,), ascending: the content of a generation."""
        whole, batch = IndexPart.empty(self.dim), 50_000
        ids = self.ids()
        for start in range(0, len(ids), batch):  # float32 only a batch at a time
            some = ids[start : start + batch]
            whole.add(some, self.reconstruct(some))
        return whole.scan, ids

    def __len__(self) -> int:
        return sum(int(part.live.sum()) for part in self._parts)


def merge(found: Sequence[tuple[Ids, NDArray[np.float32]]], count: int, k: int) -> tuple[Ids, NDArray[np.float32]]:
    """The ``k`` best of ``count`` queries from the results of several parts, each ids and scores (count, …), filled up as
    ``VectorIndex`` says."""
    ids = np.full((count, k), -1, np.int64)
    scores = np.full((count, k), -np.inf, np.float32)
    if found:
        all_ids = np.concatenate([part[0] for part in found], axis=1)
        all_scores = np.concatenate([part[1] for part in found], axis=1)
        best = np.argsort(-all_scores, axis=1, kind="stable")[:, :k]
        ids[:, : best.shape[1]] = np.take_along_axis(all_ids, best, axis=1)
        scores[:, : best.shape[1]] = np.take_along_axis(all_scores, best, axis=1)
    return ids, scores


def is_scan(scan: Any, dim: int, count: int) -> bool:  # noqa: ANN401 - whatever FAISS has read
    """Whether a FAISS index is valid as a base of ``FlatIndex``: ``count`` complete float16 vectors of ``dim``."""
    if not isinstance(scan, faiss.IndexScalarQuantizer):
        return False
    kind = (scan.sq.qtype, scan.metric_type, scan.d, scan.sq.d, scan.code_size, scan.ntotal, scan.codes.size())
    return kind == (faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, dim, dim, 2 * dim, count, 2 * dim * count)


def capabilities() -> str:
    """FAISS's version and the instruction set that it uses."""
    return f"{faiss.__version__}, {faiss.get_compile_options().strip()}"
