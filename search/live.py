"""The live index of a space: a generation from disk, brought up to date from SQL, the only source of truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.errors import IndexDamaged
from search.index import FlatIndex, GenerationManifest, Generations, VectorIndex, choice
from search.index.coded import WORN, CodedLists, CodedScan, Effort
from search.index.ivf import TUNING, Tell
from search.index.placed import SAMPLED_QUERIES, some_of
from search.store import SqlStore
from search.store.sql import Columns, sums_of
from search.types import KINDS, Ids, Modality, Space, Vectors

MAX_DELTA_SHARE = 0.02
"""The largest share of an index that is read from SQL when it is opened. Writing a generation for less would cost more than it saves."""

SAMPLED_VECTORS = 256
"""Vectors of a loaded generation that are compared with SQL's."""

KEPT_FROM = 50_000
"""From this many segments on, a generation brings their filter columns along. Fewer are read as fast."""

WRITING = "writing the index"

_LOOKS = 3

Place = Callable[[FlatIndex, Callable[[], Sequence[Ids]], Callable[[], Sequence[CodedScan]]], VectorIndex]
"""A function that chooses where an index is scanned: ``search.index.place`` with the settings applied."""

Questions = Mapping[Modality, Vectors]
"""Vectors (n, dim) of questions, by modality."""


class LiveIndex:
    """Follows the embeddings of one space. Not thread-safe: its owner keeps searches out while the index changes."""

    def __init__(
        self, store: SqlStore, home: Path, space: Space, key: int, *, fresh: bool = False, place: Place | None = None,
        kind: str = "auto",
    ) -> None:  # fmt: skip
        """Load the generation of ``space``, whose key in SQL is ``key``; from SQL alone if ``fresh``, or where it is damaged or absent.

        ``place`` is for those that search it; without, it is scanned exactly on the CPU. ``kind`` is the setting ``index_kind``.

        Raises:
            InputError: there is no device or kind of index as ``place`` was told.
        """
        self._store, self._space, self._key = store, space, key
        self._exact = kind == choice.EXACT
        self.generations = Generations(home / "index", key, space.name, space.dim)
        self.generation = 0
        self.damage: IndexDamaged | None = None
        self._fresh = fresh
        self._last, self._behind = (0, 0), 0
        self._flat = FlatIndex(space.dim)
        self._placed: VectorIndex | None = None
        self._manifest: GenerationManifest | None = None
        self.coded: dict[int, CodedScan] = {}
        """The scans of coded lists, by the position of their kind in ``KINDS``; none where everything is scanned."""
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
            self._placed = place(self._flat, self._kinds, self._coded)

    @property
    def index(self) -> VectorIndex:
        """The index that answers searches."""
        return self._flat if self._placed is None else self._placed

    def _kinds(self) -> list[Ids]:
        """The segments of each kind, ascending. A query scans one kind at a time."""
        columns = self._store.columns(self._key)
        return [columns.ids[columns.kinds == code] for code in np.unique(columns.kinds)]

    def _coded(self) -> list[CodedScan]:
        """The scans of the generation's lists, as hard as was measured for it."""
        if self._manifest is not None and self.generation:
            try:
                lists, efforts = self.generations.lists(self._manifest), self.generations.efforts(self.generation)
                self.coded = {kind: CodedScan(self._flat, one, efforts.get(kind)) for kind, one in lists.items()}
            except IndexDamaged as damage:  # the exact scan answers
                self.damage = damage
        return [*self.coded.values()]

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
        self._flat, self.generation, self._manifest = index, manifest.generation, manifest
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
            if self._store.sums(self._key) == sums_of(self.index.ids()):
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

    def write(self, questions: Questions | None = None, tell: Tell = lambda *_: None) -> GenerationManifest:
        """Write the live index as a new generation. One process writes at a time, so that no generation holds less than the one
        before. Kinds of very many segments get lists, unless everything is scanned, tuned on ``questions`` and on the archive's own
        contents. A large index brings the filter columns of its segments along, so that they are not read when it is opened.
        ``tell`` is told how far it is."""
        with self.generations.writing():
            self.refresh()
            lists, efforts = ({}, {}) if self._exact else self._lists(questions or {}, tell)
            last_embedding, last_removal = self._last
            tell(WRITING, 0, 0)
            kept = self._columns() if len(self._flat) >= KEPT_FROM else None
            manifest = self.generations.write(
                self._flat, last_embedding=last_embedding, last_removal=last_removal, lists=lists, columns=kept
            )
            if lists:
                self.generations.save_efforts(manifest.generation, efforts)
            if self._fresh or self.damage:  # the one before is not to be trusted either
                self.generations.drop_former()
        self._fresh = False
        self.generation, self.damage, self._behind = manifest.generation, None, 0
        return manifest

    def _columns(self) -> dict[str, NDArray[Any]]:
        """The filter columns by name, and ``complete``, (3,): up to which embedding and removal they are, and the state of the database."""
        complete = np.array(
            [*self._store.sequences(), self._store.version()], np.int64
        )  # asked first: what comes later is read again
        return {"complete": complete} | dict(zip(Columns.__slots__, self._store.columns(self._key), strict=True))

    def kept(self) -> tuple[tuple[int, int], Columns] | None:
        """The filter columns that the generation brought along, of what is still in the index, and the numbers of the last embedding and removal
        that they know of. None where there are none, or they are of another state than the database can have come from."""
        if self._manifest is None or not self.generation:
            return None
        try:
            if (found := self.generations.columns(self._manifest)) is None:
                return None
            embedding, removal, version = map(int, found["complete"])
            columns = Columns(*(found[name] for name in Columns.__slots__))
        except (IndexDamaged, KeyError, ValueError, TypeError):  # read from SQL
            return None
        if any(
            one > limit
            for one, limit in zip((embedding, removal, version), (*self._store.sequences(), self._store.version()), strict=True)
        ):
            return None
        held = self.index.holds(columns.ids)
        return (embedding, removal), columns if held.all() else columns.only(held)

    def _lists(self, questions: Questions, tell: Tell) -> tuple[dict[int, CodedLists], dict[int, Effort]]:
        """The lists of large kinds and how hard to look at them, by kind. Those of the generation before are gone on with until they are
        worn: until they take twice the probes that they took when they were learned."""
        if len(self._flat) <= choice.MAX_EXACT_VECTORS:
            return {}, {}
        ids, kinds = self._store.kinds(self._key)
        ids, kinds = ids[held := self._flat.holds(ids)], kinds[held]
        samples = self._samples(questions, ids, kinds)
        before, known = {}, {}
        try:
            if not self._fresh and self.damage is None and (loaded := self.generations.load()) is not None:
                before, known = self.generations.lists(loaded[0], mapped=False), self.generations.efforts(loaded[0].generation)
        except IndexDamaged:  # learned anew
            before = {}
        lists, efforts = {}, {}
        for kind in np.flatnonzero(np.bincount(kinds[kinds >= 0], minlength=1) > choice.MAX_EXACT_VECTORS).tolist():
            own = ids[kinds == kind]
            if kind in before and kind in known:
                before[kind].follow(self._flat, own, tell)
                scan = CodedScan(self._flat, before[kind], known[kind])
                tell(TUNING, 0, 0)
                effort = scan.tune(samples)
                if effort is not None and effort.enough and effort.probes < WORN * effort.learned:
                    lists[kind], efforts[kind] = before[kind], effort
                    continue
            lists[kind] = CodedLists.learned(self._flat, own, tell)
            tell(TUNING, 0, 0)
            if (effort := CodedScan(self._flat, lists[kind]).tune(samples)) is not None:
                efforts[kind] = effort
        return lists, efforts

    def samples(self, questions: Questions) -> dict[str, Vectors]:
        """Questions by modality to measure recall with: those that are given, and contents of the index for other modalities."""
        ids, kinds = self._store.kinds(self._key)
        held = self._flat.holds(ids)
        return self._samples(questions, ids[held], kinds[held])

    def exact(self, queries: Vectors, k: int, within: Ids) -> tuple[Ids, NDArray[np.float32]]:
        """What ``index.search`` would return if it scanned everything: see ``FlatIndex.search_apart``."""
        return self._flat.search_apart(queries, k, within)

    def save_efforts(self) -> None:
        """Keep what was measured of the lists, for those that open the index later."""
        known = {kind: scan.effort for kind, scan in self.coded.items() if scan.effort is not None}
        self.generations.save_efforts(self.generation, known)

    def _samples(self, questions: Questions, ids: Ids, kinds: NDArray[np.int8]) -> dict[str, Vectors]:
        found = {str(asked): vectors[:SAMPLED_QUERIES] for asked, vectors in questions.items()}
        for kind in np.unique(kinds[kinds >= 0]):
            if (asked := str(KINDS[kind].content)) not in found:
                found[asked] = self._flat.reconstruct(some_of(ids[kinds == kind], SAMPLED_QUERIES))
        return found

    def due(self) -> bool:
        """Whether a new generation should be written: the one on disk is damaged, or what came after it is more than ``MAX_DELTA_SHARE`` of
        it."""
        return self.damage is not None or self._behind > MAX_DELTA_SHARE * len(self.index)

    def differences(self) -> tuple[Ids, Ids]:
        """Segments that only SQL holds, and those that only the index holds. Both are empty unless index and SQL have diverged."""
        truth, ours = self._store.ids(self._key), self.index.ids()
        if np.array_equal(truth, ours):  # of a million ids the difference of sets takes a second
            return truth[:0], ours[:0]
        return np.setdiff1d(truth, ours), np.setdiff1d(ours, truth)
