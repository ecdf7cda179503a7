"""The live index of a space: a generation from disk, brought up to date from SQL, the only source of truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np

from search.errors import IndexDamaged
from search.index import FlatIndex, GenerationManifest, Generations, VectorIndex
from search.store import SqlStore
from search.types import Ids, Space

MAX_DELTA_SHARE = 0.02
"""The largest share of an index that is read from SQL when it is opened. Writing a generation for less would cost more than it saves."""

SAMPLED_VECTORS = 256
"""Vectors of a loaded generation that are compared with SQL's."""

_LOOKS = 3

Place = Callable[[FlatIndex, Callable[[], Sequence[Ids]]], VectorIndex]
"""A function that chooses where an index is scanned: ``search.index.place`` with the settings applied."""


class LiveIndex:
    """Follows the embeddings of one space. Not thread-safe: its owner keeps searches out while the index changes."""

    def __init__(
        self, store: SqlStore, home: Path, space: Space, key: int, *, fresh: bool = False, place: Place | None = None
    ) -> None:
        """Load the generation of ``space``, whose key in SQL is ``key``; from SQL alone if ``fresh``, or where it is damaged or absent.

        ``place`` is for those that search it; without, it is scanned exactly on the CPU.

        Raises:
            InputError: there is no device or kind of index as ``place`` was told.
        """
        self._store, self._space, self._key = store, space, key
        self.generations = Generations(home / "index", key, space.name, space.dim)
        self.generation = 0
        self.damage: IndexDamaged | None = None
        self._fresh = fresh
        self._last, self._behind = (0, 0), 0
        self._flat = FlatIndex(space.dim)
        self._placed: VectorIndex | None = None
        if not fresh:
            self._load()
        try:
            self.refresh()
            drifted = self.generation > 0 and self._drifted()
        except ValueError:  # an id that it holds is new in SQL
            drifted = True
        if drifted:
            self._begin_anew()
        if place is not None:
            self._placed = place(self._flat, self._kinds)

    @property
    def index(self) -> VectorIndex:
        """The index that answers searches."""
        return self._flat if self._placed is None else self._placed

    def _kinds(self) -> list[Ids]:
        """The segments of each kind, ascending. A query scans one kind at a time."""
        columns = self._store.columns(self._key)
        return [columns.ids[columns.kinds == code] for code in np.unique(columns.kinds)]

    def _load(self) -> None:
        try:
            loaded = self.generations.load()
        except IndexDamaged as damage:  # never searched: SQL holds the same content, intact
            self.damage = damage
            return
        if loaded is None:
            return
        manifest, index = loaded
        ends = self._store.sequences()
        if (
            manifest.last_embedding > ends[0] or manifest.last_removal > ends[1]
        ):  # of another database, or of one restored from a backup
            self.damage = IndexDamaged(f"Generation {manifest.generation} knows of more than the database holds.")
            return
        self._flat, self.generation = index, manifest.generation
        self._last = (manifest.last_embedding, manifest.last_removal)

    def _begin_anew(self) -> None:
        """Read everything from SQL. The generation is intact, but belongs to another database, or to one that was restored from a
        backup."""
        self.damage = IndexDamaged(f"Generation {self.generation} holds other segments or vectors than the database.")
        self._flat, self.generation, self._last = FlatIndex(self._space.dim), 0, (0, 0)
        self.refresh()

    def _drifted(self) -> bool:
        """Whether the index holds other segments than SQL, or, in a sample, other vectors."""
        for _ in range(_LOOKS):  # a writer may commit between the two looks
            if not any(map(len, self.differences())):
                break
            self.refresh()
        else:
            return True
        ids = self.index.ids()
        some = np.unique(ids[np.linspace(0, len(ids) - 1, min(SAMPLED_VECTORS, len(ids)), dtype=np.intp)])
        truth = self._store.vectors(self._key, self._space.dim, some)
        ours = dict(zip(some.tolist(), self.index.reconstruct(some), strict=True))
        return any(not np.array_equal(vector, ours[id_]) for id_, vector in truth.items())

    def refresh(self, alone: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        """Take in what was committed since the last refresh. Reading happens outside of ``alone``; the index changes inside of
        it."""
        embedding, removal = self._last
        until, removed, _ = self._store.removals(self._key, after=removal)
        for last, ids, vectors in self._store.embeddings(self._key, self._space.dim, after=embedding):
            with alone():
                self.index.add(ids, vectors)
            embedding, self._behind = last, self._behind + len(ids)
            self._last = (embedding, removal)
        if len(removed):
            with alone():
                self.index.remove(removed)
            self._behind += len(removed)
        self._last = (embedding, until)

    def write(self) -> GenerationManifest:
        """Write the live index as a new generation. One process writes at a time, so that no generation holds less than the one
        before."""
        with self.generations.writing():
            self.refresh()
            manifest = self.generations.write(self._flat, last_embedding=self._last[0], last_removal=self._last[1])
            if self._fresh or self.damage:  # the one before is not to be trusted either
                self.generations.drop_former()
        self._fresh = False
        self.generation, self.damage, self._behind = manifest.generation, None, 0
        return manifest

    def due(self) -> bool:
        """Whether a new generation should be written: the one on disk is damaged, or what came after it is more than ``MAX_DELTA_SHARE`` of
        it."""
        return self.damage is not None or self._behind > MAX_DELTA_SHARE * len(self.index)

    def differences(self) -> tuple[Ids, Ids]:
        """Segments that only SQL holds, and those that only the index holds. Both are empty unless index and SQL have diverged."""
        truth, ours = self._store.ids(self._key), self.index.ids()
        return np.setdiff1d(truth, ours), np.setdiff1d(ours, truth)
