"""The engine: answers a query. Encode, filter, scan, calibrate, merge, hydrate; see ARCHITECTURE.md, "The way of a query"."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from search import encoders
from search.encoders import Encoder
from search.errors import InputError, QueryError, StoreError
from search.index import Generations, Manifest
from search.models import Models
from search.query.algebra import Near, Query, Term, parts
from search.query.calibration import SAMPLE, Scale, confidence
from search.query.gate import Gate
from search.query.live import LiveIndex
from search.query.moments import Moment, merge
from search.query.terms import Aspects, Terms, Vector, unit
from search.settings import Settings
from search.store import Database, SqlStore
from search.store.sql import Columns
from search.types import KINDS, Answer, Channel, Coverage, Filter, Grouping, Hit, Ids, Kind, Vectors

EVERYTHING = Filter()

MOST = 1_000
"""The most hits of one answer."""

_NOTICED = 0.05
"""Refreshing that takes longer, in seconds, is not done at every search."""

_ROOM = 4
"""Candidates looked at for every hit wanted, so that merging neighbours leaves enough."""


class Engine:
    """One archive, one space, ready to be asked. Threads may search at the same time.

    What it knows of the archive (filter columns, index, samples) is refreshed when the database has changed.
    """

    def __init__(self, settings: Settings, *, encoder: Encoder | None = None) -> None:
        """Open the archive of ``settings``; the encoder is loaded by name unless one is given.

        Raises:
            StoreError: there is no archive yet, or its database needs an upgrade.
            ModelMissing: the encoder's weights are not here.
        """
        self._database = Database(settings.database)
        if not self._database.exists():
            raise StoreError(f"There is no archive in {settings.home}.", remedy="Run `sensorium index PATH` first.")
        self._database.check()
        self.store = SqlStore(self._database)
        self.encoder = encoder or encoders.load(settings.space, Models.of(settings), settings.device)
        self.space = self.encoder.space
        if (key := self.store.space_id(self.space)) is None:
            raise StoreError(
                f"Nothing is indexed into the space {self.space.name!r}.", remedy="Run `sensorium index PATH` first."
            )
        self.terms = Terms(self.encoder, settings)
        self._key, self._home = key, settings.home
        self._generations = Generations(settings.home / "index", self.space.name, self.space.dim)
        self._gate = Gate()
        self._refreshing = threading.Lock()
        self._due = 0.0
        self._view = self._look()

    def search(
        self, query: Query, wanted: Filter = EVERYTHING, *, k: int = 10, offset: int = 0,
        group: Grouping = "moment", without: Sequence[int] = (),
    ) -> Answer:  # fmt: skip
        """The ``k`` best hits after the first ``offset``; assets in ``without`` are left out.

        Raises:
            QueryError: terms that cancel out, a file that cannot be read, an unknown segment.
            UnknownName: a collection that is not there.
            InputError: ``k`` or ``offset`` out of range.
        """
        if not 1 <= k <= MOST or offset < 0:
            raise InputError(f"k is {k} and offset {offset}.", remedy=f"k lies between 1 and {MOST}, offset is at least 0.")
        clock = _Clock()
        asked = self._encode(query)
        clock.lap("encode")
        view, scales, targets = self._prepare(asked, wanted, tuple(without))
        clock.lap("filter")
        moments, more = [], _ROOM * (offset + k)
        while True:
            ids, scores, cosines = self._scan(view, asked, scales, targets, more)
            clock.lap("scan")
            known = self.store.segments(ids.tolist(), wanted)
            found = zip(ids.tolist(), scores.tolist(), cosines.tolist(), strict=True)
            moments = merge([(known[id_], score, cosine) for id_, score, cosine in found if id_ in known], group)
            clock.lap("hydrate")
            if len(moments) >= offset + k or len(ids) < more:
                break
            more *= 4
        rivals = {kind: len(some) for kind, some in targets.items()}
        hits = [self._hit(rank, moment, rivals) for rank, moment in enumerate(moments[: offset + k], 1) if rank > offset]
        return Answer(tuple(hits), view.live.generation, sum(rivals.values()), _coverage(view, wanted), clock.total())

    def rank(self, query: Query, wanted: Filter = EVERYTHING, *, k: int) -> Ids:
        """The ``k`` assets that answer best, best first (n,): those of ``search`` grouped by asset, without reading what they are."""
        asked = self._encode(query)
        view, scales, targets = self._prepare(asked, wanted, ())
        more = k
        while True:
            ids, _, _ = self._scan(view, asked, scales, targets, more)
            assets = view.columns.assets[np.searchsorted(view.columns.ids, ids)]
            _, first = np.unique(assets, return_index=True)
            if len(first) >= k or len(ids) < more:
                return assets[np.sort(first)][:k]
            more *= 4

    def write_generation(self) -> Manifest:
        """Write a new generation of the index."""
        with self._refreshing, self._gate.alone():
            return self.live.write()

    def close(self) -> None:
        """End what the engine has started."""
        self.terms.close()
        self._database.close()

    def _encode(self, query: Query) -> Aspects:
        """The query's unit vectors by channel: the weighted sum of its terms'."""
        terms = [(weight, self._aspects(term)) for weight, term in parts(query) if weight]
        channels = {channel for _, aspects in terms for channel in aspects} | {Channel.VISUAL}
        return {
            channel: unit(
                np.sum(
                    [w * aspects.get(channel, aspects[Channel.VISUAL]) for w, aspects in terms],
                    axis=0,
                    dtype=np.float32,
                )
            )
            for channel in channels
        }

    def _aspects(self, term: Term | Near) -> Aspects:
        if isinstance(term, Term):
            return self.terms.encode(term)
        found = self.store.vectors(self._key, self.space.dim, np.array([term.segment], np.int64))
        if term.segment not in found:
            raise QueryError(
                f"There is no segment {term.segment} in the space {self.space.name!r}.",
                remedy="Take a segment's number from the hits of a search.",
            )
        return {Channel.VISUAL: unit(found[term.segment])}

    @property
    def live(self) -> LiveIndex:
        """The index that answers now."""
        return self._view.live

    def _current(self) -> _View:
        """What is known of the archive, brought up to date by one of the threads that ask; the others go on with what there is.

        While the archive grows without pause, looking again takes at most a fifth of the time.
        """
        if time.monotonic() >= self._due and self._state() != self._view.state and self._refreshing.acquire(blocking=False):
            began = time.monotonic()
            try:
                self._view = self._look(self._view)
            finally:
                ended = time.monotonic()
                self._due = ended + 4 * (ended - began) if ended - began > _NOTICED else 0.0
                self._refreshing.release()
        return self._view

    def _state(self) -> tuple[int, int]:
        return self.store.version(), self._generations.stamp()

    def _look(self, before: _View | None = None) -> _View:
        """Read what filters and calibration need, and have the index take in what is new.

        A generation that was written meanwhile is loaded beside the index that answers, and then takes its place.
        """
        state = self._state()
        columns = self.store.columns(self._key)  # before the index is brought up to date, which then knows all of these
        live = before.live if before and before.state[1] == state[1] else None
        if live is None:
            live = LiveIndex(self.store, self._home, self.space, self._key)
        else:
            live.refresh(self._gate.alone)
        with self._gate.shared():
            held = np.isin(columns.ids, live.index.ids())  # but may have dropped some since
            columns = columns if held.all() else columns.only(held)
            samples = {kind: _sample(live, columns, code) for code, kind in enumerate(KINDS)}
        return _View(state, live, columns, samples, self.store.coverage(self._key))

    def _prepare(
        self, asked: Aspects, wanted: Filter, without: tuple[int, ...]
    ) -> tuple[_View, dict[Kind, Scale], dict[Kind, Ids]]:
        """What a scan needs: the archive as it is now, the scale of each kind for this query, and the ids that may be found."""
        view = self._current()
        scales = {kind: _scale(sample, _vector(asked, kind)) for kind, sample in view.samples.items() if len(sample)}
        return view, scales, self._targets(view, wanted, without)

    def _targets(self, view: _View, wanted: Filter, without: tuple[int, ...]) -> dict[Kind, Ids]:
        """The segments that the filter lets through, ascending, by kind; the same arrays for the same filter."""
        key = (wanted, without)
        if (known := view.filtered.get(key)) is None:
            columns, mask = view.columns, self.store.select(view.columns, wanted)
            mask &= ~np.isin(columns.assets, without)
            by_kind = {kind: columns.ids[mask & (columns.kinds == code)] for code, kind in enumerate(KINDS)}
            known = {kind: ids for kind, ids in by_kind.items() if len(ids)}
            if len(view.filtered) >= 64:
                view.filtered.clear()
            view.filtered[key] = known
        return known

    def _scan(
        self, view: _View, asked: Aspects, scales: dict[Kind, Scale], targets: dict[Kind, Ids], count: int
    ) -> tuple[Ids, NDArray[np.float32], NDArray[np.float32]]:
        """The ``count`` best segments over all kinds, best first: ids, standardised scores, cosines, each (n,)."""
        ids, scores, cosines = [np.empty(0, np.int64)], [np.empty(0, np.float32)], [np.empty(0, np.float32)]
        for kind, within in targets.items():
            vector = _vector(asked, kind)[None]
            with self._gate.shared():
                found, cosine = view.live.index.search(vector, min(count, len(within)), within=within)
            held = found[0] >= 0
            ids.append(found[0][held])
            cosines.append(cosine[0][held])
            scores.append(scales[kind].score(cosine[0][held]))
        every = np.concatenate(scores)
        best = np.argsort(-every, kind="stable")[:count]
        return np.concatenate(ids)[best], every[best], np.concatenate(cosines)[best]

    def _hit(self, rank: int, moment: Moment, rivals: dict[Kind, int]) -> Hit:
        best = moment.best
        among = rivals.get(Kind(best.modality, best.channel), 1)
        return Hit(
            rank=rank, score=moment.score, confidence=confidence(moment.score, among), cosine=moment.cosine,
            space=self.space.name, segment=best, span=moment.span, evidence=tuple(moment.evidence),
        )  # fmt: skip

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class _View:
    """What the engine knows of the archive in one ``state``: (writes to the database, stamp of the generation).

    ``samples`` are vectors (n, dim) by kind; ``coverage`` is by collection; ``filtered`` remembers what filters let through. The index itself may be newer:
    then it holds more than the filter columns, which decide.
    """

    state: tuple[int, int]
    live: LiveIndex
    columns: Columns
    samples: dict[Kind, Vectors]
    coverage: dict[str, Coverage]
    filtered: dict[tuple[Filter, tuple[int, ...]], dict[Kind, Ids]] = field(default_factory=dict)


def _coverage(view: _View, wanted: Filter) -> Coverage:
    """How much of the collections that a filter names can be seen."""
    return sum((of for name, of in view.coverage.items() if not wanted.collections or name in wanted.collections), Coverage())


def _sample(live: LiveIndex, columns: Columns, code: int) -> Vectors:
    """A fixed random sample of a kind's vectors (n, dim): the same one as long as the archive stays the same."""
    ids = columns.ids[columns.kinds == code]
    if len(ids) > SAMPLE:
        ids = np.sort(np.random.default_rng(0).choice(ids, SAMPLE, replace=False))
    return live.index.reconstruct(ids)


def _scale(sample: Vectors, vector: Vector) -> Scale:
    """The scale of a kind. By einsum, which stays in this thread: BLAS shares out even this little, and its threads wait for each other."""
    return Scale.of(np.einsum("nd,d->n", sample, vector))


class _Clock:
    """Adds up milliseconds by stage."""

    def __init__(self) -> None:
        self._began = self._last = time.perf_counter()
        self._spent: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._spent[stage] = self._spent.get(stage, 0.0) + (now - self._last) * 1000
        self._last = now

    def total(self) -> dict[str, float]:
        self._spent["total"] = (time.perf_counter() - self._began) * 1000
        return {stage: round(spent, 3) for stage, spent in self._spent.items()}


def _vector(asked: Aspects, kind: Kind) -> Vector:
    return asked.get(kind.channel, asked[Channel.VISUAL])
