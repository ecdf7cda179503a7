"""A view: what a searcher knows of the archive in one state of the database. The next view is made from the last one and the
changes since."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from search import disk
from search.errors import SensoriumError
from search.live import LiveIndex
from search.query.calibration import NOTHING, SAMPLED_SEGMENTS, Calibration
from search.query.verdict import Profile
from search.store import SqlStore
from search.store.sql import Columns
from search.types import KINDS, Coverage, Filter, Ids, Kind, Modality, Vectors

SETTLE_SECONDS = 0.5
"""Seconds until the coverage is counted again in the background, so that the first answer after a change need not wait."""

COUNTED_AT_ONCE = 50_000
"""Up to this many segments the coverage is counted before an answer. For a large archive, counting takes longer than searching."""

MAX_FILTERS = 64
"""The number of filters whose segments are cached."""

_ROOM = 8
"""The spare room of a growing array, as a share of its size: one eighth."""

Samples = Mapping[Kind, tuple[Ids, Vectors]]
Filtered = tuple[Filter, tuple[int, ...]]
Scalar = TypeVar("Scalar", bound=np.generic)


class Grown(Generic[Scalar]):
    """An array (n,) with spare room at its end. An array that grew out of it starts at the same address and shares its memory."""

    def __init__(self, array: NDArray[Scalar], room: NDArray[Scalar] | None = None) -> None:
        """``room`` begins with ``array``; if not given, it is allocated."""
        if room is None:
            room = np.empty(len(array) + len(array) // _ROOM + 1_024, array.dtype)
            room[: len(array)] = array
        self._room, self.array = room, room[: len(array)]

    def grow(self, more: NDArray[Any]) -> Grown[Scalar]:
        """The array with ``more`` (m,) appended. Call it at most once, since there is only one spare room."""
        end = len(self.array) + len(more)
        if end > len(self._room):
            return Grown(np.concatenate([self.array, more.astype(self.array.dtype)]))
        self._room[len(self.array) : end] = more
        return Grown(self._room[:end], self._room)


class Covering:
    """The coverage of a space in its newest state. For a large archive it may be slightly old, while a thread counts again; what was counted
    of one is kept on disk, so that it is counted once for each state."""

    def __init__(self, store: SqlStore, key: int, file: Path) -> None:
        """``file`` is where the coverage of a large archive is kept."""
        self._store, self._key, self._file = store, key, file
        self._wanted = self._counted = -1
        self.latest: Mapping[str, Coverage] = {}
        """By collection."""
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def follow(self, version: int, segments: int) -> None:
        """Count again, for an archive with this number of segments in state ``version``."""
        if version == self._counted:
            return
        if segments <= COUNTED_AT_ONCE:
            self.latest, self._counted = self._store.coverage(self._key), version
            return
        if self._counted < 0:
            kept = self._kept()
            self.latest, self._counted = self._count() if kept is None else kept, version
            return
        with self._lock:
            self._wanted = version
            if self._thread is None:
                self._thread = threading.Thread(target=self._catch_up, name="coverage", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Stop the counting."""
        self._closed.set()
        if thread := self._thread:
            thread.join()

    def _catch_up(self) -> None:
        """Count until the count is up to date. While the archive grows without pause, counting takes a fifth of the time."""
        pause = SETTLE_SECONDS
        while True:
            self._closed.wait(pause)
            with self._lock:
                if self._counted == self._wanted or self._closed.is_set():
                    self._thread = None
                    return
                version = self._wanted
            began = time.monotonic()
            try:
                self.latest = self._count()
            except SensoriumError:  # whoever searches is told what the database says
                with self._lock:
                    self._thread = None
                return
            self._counted = version
            pause = 4 * (time.monotonic() - began)

    def _state(self) -> list[int]:
        """What a kept coverage is of. The numbers behind the first tell a database that was set back from one that was not."""
        return [self._store.version(), *self._store.sequences()]

    def _count(self) -> Mapping[str, Coverage]:
        """Count, and keep the result. A disk that cannot take it costs only that it is counted again."""
        state = self._state()
        found = self._store.coverage(self._key)
        kept = {"state": state, "collections": {name: asdict(one) for name, one in found.items()}}
        with suppress(OSError):
            disk.replace(self._file, json.dumps(kept).encode())
        return found

    def _kept(self) -> Mapping[str, Coverage] | None:
        """What ``_count`` kept, if it is of the newest state."""
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            told = json.loads(self._file.read_bytes())
            if told["state"] == self._state():
                return {name: Coverage(**one) for name, one in told["collections"].items()}
        return None


@dataclass(frozen=True, slots=True)
class SegmentsByAsset:
    """Row positions sorted by asset, and these assets, both (n,)."""

    order: NDArray[np.intp]
    assets: Ids

    @classmethod
    def of(cls, assets: Ids, start: int = 0) -> SegmentsByAsset:
        """The rows from ``start`` on. ``assets`` (n,) are given from the first row on."""
        order = start + np.argsort(assets[start:], kind="stable")
        return cls(order, assets[order])

    def rows(self, assets: Ids) -> list[NDArray[np.intp]]:
        """The rows of some assets."""
        ends = zip(np.searchsorted(self.assets, assets), np.searchsorted(self.assets, assets, "right"), strict=True)
        return [self.order[start:end] for start, end in ends if start < end]


@dataclass(frozen=True, slots=True)
class View:
    """What a searcher knows of the archive in one ``state``: (writes to the database, stamp of the generation, stamp of the
    calibration).

    ``followed`` are the numbers of embeddings and removals up to which ``columns`` is complete. ``samples`` are ids (n,),
    ascending, and vectors (n, dim), by kind; they do not depend on the history of the archive. ``profiles`` is what verdicts need
    to know of the samples. ``filtered`` caches filter results. The index itself may be newer and hold more than the columns; the
    columns decide what is found.
    """

    state: tuple[int, int, int]
    live: LiveIndex
    followed: tuple[int, int]
    columns: Columns
    samples: Samples
    covering: Covering
    filtered: dict[Filtered, dict[Kind, Grown[np.int64]]] = field(default_factory=dict)
    profiles: dict[tuple[Modality, Kind], Profile | None] = field(default_factory=dict)
    by_asset: list[tuple[SegmentsByAsset, ...]] = field(default_factory=list)
    room: tuple[Grown[Any], ...] = ()
    calibration: Calibration = NOTHING
    complaint: str | None = None
    fingerprint: str = ""

    @classmethod
    def of(
        cls, state: tuple[int, int, int], live: LiveIndex, followed: tuple[int, int], columns: Columns, covering: Covering,
        before: View | None = None,
    ) -> View:  # fmt: skip
        """A view from scratch. Profiles of unchanged samples are taken over from the view ``before``."""
        room = tuple(Grown(array) for array in columns)
        columns = Columns(*(array.array for array in room))
        samples = {
            kind: _sampled(live, columns.ids[columns.kinds == code], before.samples[kind] if before else None)
            for code, kind in enumerate(KINDS)
        }
        profiles = before._kept(samples) if before else {}
        return cls(state, live, followed, columns, samples, covering, profiles=profiles, room=room)

    def grown(self, state: tuple[int, int, int], live: LiveIndex, followed: tuple[int, int], more: Columns) -> View:
        """The view of a later state with ``more`` segments, all newer than the known ones. Its cache of filters is empty."""
        room = tuple(array.grow(new) for array, new in zip(self.room, more, strict=True))
        columns = Columns(*(array.array for array in room))
        samples = {
            kind: _sampled(live, np.concatenate([self.samples[kind][0], more.ids[more.kinds == code]]), self.samples[kind])
            for code, kind in enumerate(KINDS)
        }
        by_asset: list[tuple[SegmentsByAsset, ...]] = []
        for first, *_ in self.by_asset:
            if len(columns.ids) - len(first.order) <= len(first.order) // _ROOM:
                by_asset.append((first, SegmentsByAsset.of(columns.assets, len(first.order))))
        return View(
            state, live, followed, columns, samples, self.covering, profiles=self._kept(samples), by_asset=by_asset, room=room
        )

    def _kept(self, samples: Samples) -> dict[tuple[Modality, Kind], Profile | None]:
        """The profiles of kinds whose sample has not changed."""
        return {key: profile for key, profile in list(self.profiles.items()) if samples[key[1]] is self.samples[key[1]]}

    def rows(self, assets: Ids) -> NDArray[np.intp]:
        """The positions (n,) in ``columns`` of the segments of some assets."""
        if not self.by_asset:  # when it is first asked for
            self.by_asset.append((SegmentsByAsset.of(self.columns.assets),))
        return np.concatenate([np.empty(0, np.intp), *(rows for part in self.by_asset[0] for rows in part.rows(assets))])

    def siblings(self, assets: Ids) -> Ids:
        """The segments of some assets, (n,)."""
        return np.asarray(self.columns.ids[self.rows(assets)], np.int64)

    def seen(self, wanted: Filter) -> Coverage:
        """The coverage of the collections that a filter names."""
        counted = self.covering.latest
        within = [name for name in counted if wanted.within is None or name in wanted.within]
        return sum((counted[name] for name in within if not wanted.collections or name in wanted.collections), Coverage())


def among(ids: Ids, ascending: Ids) -> NDArray[np.bool_]:
    """A mask (n,) of those ``ids`` (n,) that are in ``ascending``. ``np.isin`` would sort, even for few ids."""
    if not len(ascending):
        return np.zeros(len(ids), np.bool_)
    return np.equal(ascending[np.minimum(np.searchsorted(ascending, ids), len(ascending) - 1)], ids)


def _sampled(live: LiveIndex, ids: Ids, before: tuple[Ids, Vectors] | None) -> tuple[Ids, Vectors]:
    """The sample of some ids (n,), ascending: those with the smallest hashes (a bottom-k sketch), so that new ids seldom change
    it."""
    if len(ids) > SAMPLED_SEGMENTS:
        ids = np.sort(ids[np.argpartition(mixed(ids), SAMPLED_SEGMENTS)[:SAMPLED_SEGMENTS]])
    if before is not None and np.array_equal(ids, before[0]):
        return before
    return ids, live.index.reconstruct(ids)


def mixed(ids: Ids, seed: int = 0) -> NDArray[np.uint64]:
    """Hashes (n,) that look random and are all different: SplitMix64 (Steele et al. 2014)."""
    z = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
