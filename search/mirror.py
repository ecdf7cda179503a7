"""A mirror: the vectors of one space on a server, kept up to date with SQL. The indexer writes it, searches only read it."""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np

from search.errors import SensoriumError, VectorsAway
from search.index import FlatIndex, VectorIndex
from search.index.generations import folder_name
from search.index.placed import PlacedIndex, PlacedScan
from search.index.remote import Address, Mark, RemoteScan, RemoteVectors, connect
from search.locks import locked
from search.settings import Settings
from search.store import SqlStore
from search.types import Ids, Space, Vectors

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.25, 30.0
"""Seconds between two tries to reach the server: so many at first, twice as many each time, and so many at most."""

VECTORS_PER_MARK = 50_000
"""Vectors after which a mark is written, so that a fill which is cut short goes on from there."""

_log = logging.getLogger(__name__)


class Mirror:
    """The vectors of one space on a server. ``epoch`` changes when the server is worth opening again."""

    def __init__(self, address: Address, store: SqlStore, key: int, space: Space, home: Path) -> None:
        self.address, self._store, self._key, self._space = address, store, key, space
        self._lock_file = home / "index" / folder_name(key, space.name) / "vectors.lock"
        self.epoch = 0
        self._delay, self._back = FIRST_RETRY_SECONDS, -math.inf
        self._closed, self._lock = threading.Event(), threading.Lock()
        self._waiting: threading.Thread | None = None

    @classmethod
    def of(cls, settings: Settings, store: SqlStore, key: int, space: Space) -> Mirror | None:
        """The mirror of a space; None if no server is set.

        Raises:
            InputError: the setting cannot be used.
        """
        if not settings.vectors:
            return None
        return cls(Address.parse(settings.vectors, settings.database), store, key, space, settings.home)

    @cached_property
    def remote(self) -> RemoteVectors:
        """The server's side."""
        stamp = f"{self._space.name} {self._store.made_at(self._key)}"
        name = f"sensorium_{self._key}_{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
        return connect(self.address, name, self._space.dim)

    def close(self) -> None:
        """Close every connection."""
        self._closed.set()
        if thread := self._waiting:
            thread.join()
        if "remote" in self.__dict__:
            self.remote.close()

    def follow(self, *, anew: bool = False, scrub: bool = False, patience: float = 0.0) -> int:
        """Bring the server up to date with SQL, from nothing if ``anew``. Returns the number of vectors that were added or removed.

        One process of a home does this at a time. Those of other homes may too: whether a vector was removed meanwhile is looked up
        again after it was put.
        ``scrub``: leave nothing of what was removed on the server's disk, as far as it can.

        Raises:
            VectorsAway: the server could not be reached for ``patience`` seconds.
            SensoriumError: it fails in another way.
        """
        until, delay = time.monotonic() + patience, FIRST_RETRY_SECONDS
        while True:
            try:
                self._lock_file.parent.mkdir(parents=True, exist_ok=True)
                with locked(self._lock_file):
                    return self._follow(anew=anew, scrub=scrub)
            except VectorsAway:
                if time.monotonic() + delay > until or self._closed.wait(delay):
                    raise
                delay = min(2 * delay, LAST_RETRY_SECONDS)

    def _follow(self, *, anew: bool, scrub: bool) -> int:
        mark = None if anew else self.mark()
        if mark is None:
            self.remote.begin()
        before = mark = mark or Mark()
        until, removed, _ = self._store.removals(self._key, after=mark.removal)
        count = pending = 0
        for last, ids, vectors in self._store.embeddings(self._key, self._space.dim, after=mark.embedding):
            self._put(ids, vectors)
            mark, count, pending = Mark(last, mark.removal), count + len(ids), pending + len(ids)
            if pending >= VECTORS_PER_MARK:
                self.remote.settle(mark)
                pending = 0
        if len(removed):
            self.remote.remove(removed)
        mark = Mark(mark.embedding, until)
        if mark != before or anew or scrub:
            self.remote.settle(mark, scrub=scrub)
        return count + len(removed)

    def _put(self, ids: Ids, vectors: Vectors) -> None:
        held, kinds = self._store.kinds(self._key, ids)
        held = held[known := kinds >= 0]
        order = np.argsort(ids)
        rows = vectors[order[np.searchsorted(ids[order], held)]]
        self.remote.put(held, kinds[known], rows)
        if len(gone := np.setdiff1d(ids, self._store.kinds(self._key, ids)[0])):
            self.remote.remove(gone)

    def mark(self) -> Mark | None:
        """Up to where the server is filled with this archive. None: not at all, or it knows of more than the database holds, which
        was restored from a backup."""
        mark, ends = self.remote.mark(), self._store.sequences()
        return mark if mark and mark.embedding <= ends[0] and mark.removal <= ends[1] else None

    def place(self, flat: FlatIndex, *_: object) -> VectorIndex:
        """The index that scans by the server what it keeps of ``flat``, kind by kind, and the rest by itself."""
        try:
            mark = self.mark()
        except SensoriumError as error:
            self.lost(error)
            return flat
        if mark is None:
            _log.warning("%s holds nothing of the space %s yet: run `sensorium index`.", self.address.name, self._space.name)
            return flat
        later, _last = self._store.added(self._key, after=mark.embedding)
        ids, kinds = self._store.kinds(self._key)
        ids, kinds = ids[kept := (kinds >= 0) & ~np.isin(ids, later) & flat.holds(ids)], kinds[kept]

        def scan(of: FlatIndex, some: Ids, samples: Sequence[Vectors]) -> PlacedScan:
            kind = int(kinds[np.searchsorted(ids, some[0])])
            return RemoteScan(self.remote, of, some, kind, samples, self.lost)

        groups = [ids[kinds == kind] for kind in np.unique(kinds)]
        return PlacedIndex(flat, scan, groups, np.setdiff1d(flat.ids(), ids))

    def lost(self, error: SensoriumError) -> None:
        """The server does not answer. From now on it is asked until it does; then ``epoch`` changes."""
        with self._lock:
            if self._waiting is None and not self._closed.is_set():
                _log.warning("%s It is tried again until it is back.", error)
                self._waiting = threading.Thread(target=self._await, name="vectors", daemon=True)
                self._waiting.start()

    def _await(self) -> None:
        if time.monotonic() - self._back > LAST_RETRY_SECONDS:
            self._delay = FIRST_RETRY_SECONDS
        while not self._closed.wait(self._delay):
            self._delay = min(
                2 * self._delay, LAST_RETRY_SECONDS
            )  # kept: one that answers this and then no search is not asked ever more often
            try:
                self.remote.mark()
            except SensoriumError:
                continue
            with self._lock:
                self.epoch, self._waiting, self._back = self.epoch + 1, None, time.monotonic()
            _log.warning("%s is back.", self.address.name)
            return


@contextmanager
def mirrored(settings: Settings, store: SqlStore, key: int, space: Space) -> Iterator[Mirror | None]:
    """The mirror of a space, closed in the end; None if no server is set."""
    mirror = Mirror.of(settings, store, key, space)
    try:
        yield mirror
    finally:
        if mirror is not None:
            mirror.close()
