"""An index whose vectors are scanned by other means than by its ``FlatIndex``, which stays beside it as the truth."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from search.index.flat import Bitmap, FlatIndex, IndexPart, ScanPlan, merge
from search.types import Ids, Vectors

Found = tuple[Ids, NDArray[np.float32]]

SAMPLED_QUERIES = 256
"""Rows of a group that stand for the queries of its modality."""

_log = logging.getLogger(__name__)


class ScanLost(Exception):
    """A scan cannot answer: its device's memory is full, or the device is gone."""


class PlacedScan(Protocol):
    """A FAISS index over some rows, counted from 0. ``most`` is the largest k; ``selects``: whether it can be restricted to some
    rows."""

    most: int
    selects: bool

    def search(self, queries: Vectors, k: int, share: float, allowed: Bitmap | None) -> tuple[NDArray[np.float32], Ids]:
        """Scores and rows, each (n, k), best first, -1 if there is none. ``share`` of the rows is wanted: those in ``allowed``.

        Raises:
            ScanLost: it cannot answer any more.
        """
        ...


Make = Callable[[FlatIndex, Ids, Sequence[Vectors]], PlacedScan]
"""Makes the scan over some ids of an index; the last are sample queries (m, dim), by modality."""


class _Group(IndexPart):
    """The rows of one scan. Their vectors are in the scan only. Without a scan, only the FlatIndex can answer."""

    def __init__(self, scan: PlacedScan | None, ids: Ids) -> None:
        super().__init__(scan, ids)
        self.narrow = getattr(scan, "narrow", self.narrow)

    def find(self, queries: Vectors, k: int, within: Ids | None) -> Found | None:
        """Ids and scores (n, up to k); None if the scan cannot answer."""
        way = self._prepare(within)
        if (
            way.positions is not None or self.scan is None or not getattr(self.scan, "ready", True)
        ):  # few enough for gathering, which the FlatIndex does
            return None if way.count else (np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32))
        share, wanted = way.count / len(self.ids), min(k, way.count)
        asked = wanted if way.bitmap is None or self.scan.selects else min(math.ceil(1.5 * wanted / share) + 32, len(self.ids))
        asked = min(asked, self.scan.most)
        if asked < wanted:
            return None
        scores, rows = self.scan.search(queries, asked, share, way.bitmap if self.scan.selects else None)
        held = way.bitmap.has(rows) if way.bitmap else rows >= 0
        if (held.sum(axis=1) < wanted).any():  # too many excluded rows came first, so allowed ones may be missing
            return None
        first = np.argsort(~held, axis=1, kind="stable")[:, :wanted]
        return self.ids[np.take_along_axis(rows, first, axis=1)], np.take_along_axis(scores, first, axis=1)

    def _copy(self, way: ScanPlan) -> None:
        """Do nothing: there are no vectors here to copy."""


class PlacedIndex:
    """A VectorIndex that answers from scans made of a ``FlatIndex``: one for each group of ids, such as those of a modality.

    Later additions are in a small part of their own until ``rebuild``. The FlatIndex answers, exactly, what the scans cannot: a
    narrow filter, a k above the device's maximum, a lost device. The interface documents the methods.
    """

    def __init__(
        self, flat: FlatIndex, make: Make, groups: Sequence[Ids] = (), beside: Ids | None = None,
        made: Sequence[tuple[PlacedScan, Ids]] = (),
    ) -> None:  # fmt: skip
        """``groups`` (m,) are ids, each in at most one group. Ids in no group form one more group; but those ``beside`` (n,) are in
        the small part, like later additions.

        Scans that are ``made`` already, each with its ids, ascending, take the place of all this. What they lack of the FlatIndex's base is
        scanned there.
        """
        self.flat, self._make, self._of = flat, make, groups
        self._beside = np.empty(0, np.int64) if beside is None else beside
        self._groups: list[_Group] | None = []
        if made:
            self._take(made)
        else:
            self.rebuild()

    def _take(self, made: Sequence[tuple[PlacedScan, Ids]]) -> None:
        """Answer from scans that were made before."""
        self._fresh, groups = FlatIndex(self.flat.dim), list[_Group]()
        base, later = self.flat.split()
        self._fresh.add(later, self.flat.reconstruct(later))
        rest = np.ones(len(base), np.bool_)
        for scan, ids in made:
            group = _Group(scan, ids)
            at = np.minimum(np.searchsorted(base, ids), max(len(base) - 1, 0))
            held = base[at] == ids if len(base) else np.zeros(len(ids), np.bool_)
            group.remove(ids[~held])
            rest[at[held]] = False
            groups.append(group)
        if rest.any():
            groups.append(_Group(None, base[rest]))
        self._groups = groups

    def rebuild(self) -> None:
        """Make the scans again from everything live."""
        self._fresh = FlatIndex(self.flat.dim)
        self._groups = []
        every = self.flat.ids()
        beside = np.intersect1d(self._beside, every)
        if len(beside):
            self._fresh.add(beside, self.flat.reconstruct(beside))
        rest = np.setdiff1d(every, beside, assume_unique=True)
        groups = [np.intersect1d(group, rest) for group in self._of]
        groups.append(np.setdiff1d(rest, np.concatenate(groups)) if groups else rest)
        groups = [group for group in groups if len(group)]
        samples = [self.flat.reconstruct(some_of(group, SAMPLED_QUERIES)) for group in groups]
        try:
            self._groups = [_Group(self._make(self.flat, group, samples), group) for group in groups]
        except ScanLost as error:
            self._lose(error)

    def add(self, ids: Ids, vectors: Vectors) -> None:  # noqa: D102 - documented at the seam, like the next six
        self.flat.add(ids, vectors)
        self._fresh.add(ids, vectors)

    def remove(self, ids: Ids) -> None:  # noqa: D102
        self.flat.remove(ids)
        self._fresh.remove(ids)
        for group in self._groups or ():
            group.remove(ids)

    def search(self, queries: Vectors, k: int, *, within: Ids | None = None) -> Found:  # noqa: D102
        queries = np.ascontiguousarray(queries, np.float32)
        groups = self._groups  # read once: a concurrent search may find that the device is lost
        found = None if groups is None else self._scan(groups, queries, k, within)
        if found is None:
            return self.flat.search(queries, k, within=within)
        return merge([*found, self._fresh.search(queries, k, within=within)], len(queries), k)

    def ids(self) -> Ids:  # noqa: D102
        return self.flat.ids()

    def holds(self, ids: Ids) -> NDArray[np.bool_]:  # noqa: D102
        return self.flat.holds(ids)

    def reconstruct(self, ids: Ids) -> Vectors:  # noqa: D102
        return self.flat.reconstruct(ids)

    def __len__(self) -> int:
        return len(self.flat)

    @property
    def scans(self) -> list[PlacedScan]:
        """The scans, in the order of the groups."""
        return [group.scan for group in self._groups or () if group.scan is not None]

    @property
    def lost(self) -> bool:
        """Whether the scans are lost, so that the FlatIndex answers alone."""
        return self._groups is None

    def _scan(self, groups: Sequence[_Group], queries: Vectors, k: int, within: Ids | None) -> list[Found] | None:
        found = []
        try:
            for group in groups:
                if (here := group.find(queries, k, within)) is None:
                    return None
                found.append(here)
        except ScanLost as error:
            self._lose(error)
            return None
        return found

    def _lose(self, error: ScanLost) -> None:
        """Continue without the scans: slower, with the same results."""
        self._groups = None
        _log.warning("The index answers from the CPU: %s", error)


def some_of(ids: Ids, count: int) -> Ids:
    """A fixed random sample, ascending."""
    return ids if len(ids) <= count else np.sort(np.random.default_rng(0).choice(ids, count, replace=False))
