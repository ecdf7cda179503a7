"""The engine: answers a query. Encode, filter, scan, calibrate, merge, hydrate; see ARCHITECTURE.md, "The way of a query"."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from search import encoders
from search.encoders import Encoder
from search.errors import InputError, QueryError, StoreError
from search.index import Manifest
from search.query.algebra import Near, Query, Term, parts
from search.query.calibration import SAMPLE, Scale, confidence
from search.query.live import LiveIndex
from search.query.moments import Grouping, Moment, merge
from search.query.terms import Aspects, Terms, Vector, unit
from search.settings import Settings
from search.store import Database, SqlStore
from search.store.sql import Columns
from search.types import KINDS, Answer, Channel, Filter, Hit, Ids, Kind, Vectors

EVERYTHING = Filter()

MOST = 1_000
"""The most hits of one answer."""

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
        self.encoder = encoder or encoders.load(settings.space)
        self.space = self.encoder.space
        if (key := self.store.space_id(self.space)) is None:
            raise StoreError(
                f"Nothing is indexed into the space {self.space.name!r}.", remedy="Run `sensorium index PATH` first."
            )
        self.terms = Terms(self.encoder, settings)
        self.live = LiveIndex(self.store, settings.home, self.space, key)
        self._key = key
        self._lock = threading.Lock()
        self._version = -1
        self._refresh()

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
        with self._lock:
            self._refresh()
            scales = self._scales(asked)
            targets = self._targets(wanted, tuple(without))
            clock.lap("filter")
            moments, more = [], _ROOM * (offset + k)
            while True:
                ids, scores, cosines = self._scan(asked, scales, targets, more)
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
            return Answer(tuple(hits), self.live.generation, sum(rivals.values()), clock.total())

    def write_generation(self) -> Manifest:
        """Write a new generation of the index; only the holder of the home's lock may."""
        with self._lock:
            self._refresh()
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

    def _refresh(self) -> None:
        version = self.store.version()
        if version == self._version:
            return
        self.live.refresh()
        self._columns: Columns = self.store.columns(self._key)
        self._samples = {kind: self._sample(code) for code, kind in enumerate(KINDS)}
        self._filtered: dict[tuple[Filter, tuple[int, ...]], dict[Kind, Ids]] = {}
        self._version = version

    def _sample(self, code: int) -> Vectors:
        """A fixed random sample of a kind's vectors (n, dim): the same one as long as the archive stays the same."""
        ids = self._columns.ids[self._columns.kinds == code]
        if len(ids) > SAMPLE:
            ids = np.sort(np.random.default_rng(0).choice(ids, SAMPLE, replace=False))
        return self.live.index.reconstruct(ids)

    def _scales(self, asked: Aspects) -> dict[Kind, Scale]:
        return {kind: Scale.of(sample @ _vector(asked, kind)) for kind, sample in self._samples.items() if len(sample)}

    def _targets(self, wanted: Filter, without: tuple[int, ...]) -> dict[Kind, Ids]:
        """The segments that the filter lets through, ascending, by kind; the same arrays for the same filter."""
        if (key := (wanted, without)) not in self._filtered:
            if len(self._filtered) >= 64:
                self._filtered.clear()
            columns, mask = self._columns, self.store.select(self._columns, wanted)
            mask &= ~np.isin(columns.assets, without)
            by_kind = {kind: columns.ids[mask & (columns.kinds == code)] for code, kind in enumerate(KINDS)}
            self._filtered[key] = {kind: ids for kind, ids in by_kind.items() if len(ids)}
        return self._filtered[key]

    def _scan(
        self, asked: Aspects, scales: dict[Kind, Scale], targets: dict[Kind, Ids], count: int
    ) -> tuple[Ids, NDArray[np.float32], NDArray[np.float32]]:
        """The ``count`` best segments over all kinds, best first: ids, standardised scores, cosines, each (n,)."""
        ids, scores, cosines = [np.empty(0, np.int64)], [np.empty(0, np.float32)], [np.empty(0, np.float32)]
        for kind, within in targets.items():
            vector = _vector(asked, kind)[None]
            found, cosine = self.live.index.search(vector, min(count, len(within)), within=within)
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
