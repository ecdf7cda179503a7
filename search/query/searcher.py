"""A searcher: one space, ready to be asked. It encodes questions, filters, scans and calibrates."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.encoders import Encoder, GrainedEncoder
from search.errors import QueryError
from search.index import Generations, Manifest, place
from search.query.algebra import Near, Query, Term, parts
from search.query.calibration import ENOUGH, SAMPLE, Scale
from search.query.gate import Gate
from search.query.live import LiveIndex
from search.query.terms import Aspects, Terms, Vector, unit
from search.query.xclip import XClip
from search.settings import Settings
from search.store import SqlStore
from search.store.spaces import Entry
from search.store.sql import Columns
from search.types import KINDS, Channel, Coverage, Filter, Ids, Kind, Space, Vectors

_NOTICED = 0.05
"""Refreshing that takes longer, in seconds, is not done at every search."""


class Searcher:
    """Threads may search at the same time.

    What it knows of the archive (filter columns, index, samples) is refreshed when the database has changed.
    """

    def __init__(self, settings: Settings, store: SqlStore, entry: Entry, encoder: Encoder) -> None:
        """Open the index of a space of the archive, whose ``encoder`` this is."""
        self.store, self.entry, self.encoder, self.space = store, entry, encoder, entry.space
        self.terms = Terms(encoder, settings)
        self._key, self._home = entry.key, settings.home
        self._weights = Path(settings.xclip).expanduser() if settings.xclip else None
        self._generations = Generations(settings.home / "index", entry.key, self.space.name, self.space.dim)
        self._gate = Gate()
        self._place = partial(place, device=settings.index_device, kind=settings.index_kind)
        self._refreshing = threading.Lock()
        self._due = 0.0
        self._view = self._look()

    def write_generation(self) -> Manifest:
        """Write a new generation of the index."""
        with self._refreshing, self._gate.alone():
            return self.live.write()

    def close(self) -> None:
        """End what was started."""
        self.terms.close()

    def encode(self, query: Query) -> Aspects:
        """The query's unit vectors by channel: the weighted sum of its terms'.

        Raises:
            QueryError: terms that cancel out or that the space does not know, a file that cannot be read, an unknown segment.
        """
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

    def current(self, version: int) -> View:
        """What is known of the archive, brought up to date by one of the threads that ask; the others go on with what there is.

        ``version`` is the store's, read a moment ago. While the archive grows without pause, looking again takes at most a fifth of the time.
        """
        if (
            time.monotonic() >= self._due
            and (version, self._generations.stamp()) != self._view.state
            and self._refreshing.acquire(blocking=False)
        ):
            began = time.monotonic()
            try:
                self._view = self._look(self._view)
            finally:
                ended = time.monotonic()
                self._due = ended + 4 * (ended - began) if ended - began > _NOTICED else 0.0
                self._refreshing.release()
        return self._view

    def _look(self, before: View | None = None) -> View:
        """Read what filters and calibration need, and have the index take in what is new.

        A generation that was written meanwhile is loaded beside the index that answers, and then takes its place.
        """
        state = (self.store.version(), self._generations.stamp())
        columns = self.store.columns(self._key)  # before the index is brought up to date, which then knows all of these
        live = before.live if before and before.state[1] == state[1] else None
        if live is None:
            live = LiveIndex(self.store, self._home, self.space, self._key, place=self._place)
        else:
            live.refresh(self._gate.alone)
        with self._gate.shared():
            held = np.isin(columns.ids, live.index.ids())  # but may have dropped some since
            columns = columns if held.all() else columns.only(held)
            samples = {kind: _sample(live, columns, code) for code, kind in enumerate(KINDS)}
        return View(state, live, columns, samples, self.store.coverage(self._key))

    def finer(self, query: Query, shots: Sequence[int]) -> dict[int, float]:
        """How X-CLIP likens a query's text to shots, by segment: those of which the space keeps the frames.

        Raises:
            QueryError: the query is not one text, or the space's encoder gives no parts to compare.
        """
        texts = [term.content for _, term in parts(query) if isinstance(term, Term) and isinstance(term.content, str)]
        if len(texts) != 1 or len(parts(query)) != 1:
            raise QueryError("Only a single text can be re-ranked.", remedy="Ask with one text, or without a re-ranker.")
        if not isinstance(self.encoder, GrainedEncoder):
            raise QueryError(
                f"The space {self.space.name!r} gives no words and frames to compare.",
                remedy="Re-rank in a space of the family openclip, or search without a re-ranker.",
            )
        frames = self.store.frames(self._key, self.space.dim, np.array(shots, np.int64))
        found = self._xclip.similarities(self.encoder.words(texts[0]), list(frames.values())) if frames else ()
        return dict(zip(frames, map(float, found), strict=True))

    @cached_property
    def _xclip(self) -> XClip:
        return XClip.load(self._weights) if self._weights else XClip()

    def prepare(self, asked: Aspects, wanted: Filter, without: tuple[int, ...], version: int) -> Scan:
        """The scan of a question: the archive as it is now (see ``current``), the scale of each kind for it, and the ids that may be found."""
        view = self.current(version)
        scales = {kind: _scale(sample, _vector(asked, kind)) for kind, sample in view.samples.items() if len(sample)}
        return Scan(self, view, asked, scales, self.targets(view, wanted, without))

    def targets(self, view: View, wanted: Filter, without: tuple[int, ...]) -> dict[Kind, Ids]:
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

    def allowed(self, ids: Ids, wanted: Filter, without: tuple[int, ...], version: int) -> NDArray[np.bool_]:
        """Which of some segments (n,) may be found, a mask (n,). The store is only asked of those that this space does not hold."""
        view = self.current(version)
        mask = np.zeros(len(ids), np.bool_)
        for within in self.targets(view, wanted, without).values():
            mask |= among(ids, within)
        if len(others := np.flatnonzero(~among(ids, view.columns.ids))):
            mask[others] = self.store.allowed(ids[others], wanted, without)
        return mask

    def reading(self) -> AbstractContextManager[None]:
        """While the index is read: nobody changes it meanwhile."""
        return self._gate.shared()


@dataclass(frozen=True, slots=True)
class Scan:
    """A question to one space, ready to be answered: its vectors, the scales of its scores, and what may be found, by kind."""

    searcher: Searcher
    view: View
    asked: Aspects
    scales: dict[Kind, Scale]
    targets: dict[Kind, Ids]

    @property
    def space(self) -> Space:
        """The space that is asked."""
        return self.searcher.space

    @property
    def rivals(self) -> dict[Kind, int]:
        """How many segments of each kind may be found."""
        return {kind: len(some) for kind, some in self.targets.items()}

    @property
    def calibrated(self) -> bool:
        """Whether every kind is known well enough for its scores to be compared with those of other spaces."""
        return all(len(self.view.samples[kind]) >= ENOUGH for kind in self.targets)

    def best(self, count: int) -> tuple[Ids, NDArray[np.float32], NDArray[np.float32]]:
        """The ``count`` best segments over all kinds, best first: ids, standardised scores, cosines, each (n,)."""
        ids, scores, cosines = [np.empty(0, np.int64)], [np.empty(0, np.float32)], [np.empty(0, np.float32)]
        for kind, within in self.targets.items():
            vector = _vector(self.asked, kind)[None]
            with self.searcher.reading():
                found, cosine = self.view.live.index.search(vector, min(count, len(within)), within=within)
            held = found[0] >= 0
            ids.append(found[0][held])
            cosines.append(cosine[0][held])
            scores.append(self.scales[kind].score(cosine[0][held]))
        every = np.concatenate(scores)
        best = np.argsort(-every, kind="stable")[:count]
        return np.concatenate(ids)[best], every[best], np.concatenate(cosines)[best]

    def score(self, ids: Ids) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Standardised scores and cosines (n,) of segments, NaN for those that this space does not hold or that may not be found."""
        scores, cosines = np.full((2, len(ids)), np.nan, np.float32)
        for kind, within in self.targets.items():
            here = np.flatnonzero(np.isin(ids, within))
            if not len(here):
                continue
            vector = _vector(self.asked, kind)[None]
            with self.searcher.reading():
                found, cosine = self.view.live.index.search(vector, len(here), within=np.sort(ids[here]))
            held = found[0] >= 0
            at = here[np.argsort(ids[here])[np.searchsorted(np.sort(ids[here]), found[0][held])]]
            cosines[at] = cosine[0][held]
            scores[at] = self.scales[kind].score(cosine[0][held])
        return scores, cosines


@dataclass(frozen=True, slots=True)
class View:
    """What a searcher knows of the archive in one ``state``: (writes to the database, stamp of the generation).

    ``samples`` are vectors (n, dim) by kind; ``coverage`` is by collection; ``filtered`` remembers what filters let through. The index itself may be newer:
    then it holds more than the filter columns, which decide.
    """

    state: tuple[int, int]
    live: LiveIndex
    columns: Columns
    samples: dict[Kind, Vectors]
    coverage: dict[str, Coverage]
    filtered: dict[tuple[Filter, tuple[int, ...]], dict[Kind, Ids]] = field(default_factory=dict)

    def seen(self, wanted: Filter) -> Coverage:
        """How much of the collections that a filter names can be seen."""
        return sum((of for name, of in self.coverage.items() if not wanted.collections or name in wanted.collections), Coverage())


def among(ids: Ids, ascending: Ids) -> NDArray[np.bool_]:
    """Which of ``ids`` (n,) are among others, (n,). ``np.isin`` would sort, however few they are."""
    if not len(ascending):
        return np.zeros(len(ids), np.bool_)
    return np.equal(ascending[np.minimum(np.searchsorted(ascending, ids), len(ascending) - 1)], ids)


def _sample(live: LiveIndex, columns: Columns, code: int) -> Vectors:
    """A fixed random sample of a kind's vectors (n, dim): the same one as long as the archive stays the same."""
    ids = columns.ids[columns.kinds == code]
    if len(ids) > SAMPLE:
        ids = np.sort(np.random.default_rng(0).choice(ids, SAMPLE, replace=False))
    return live.index.reconstruct(ids)


def _scale(sample: Vectors, vector: Vector) -> Scale:
    """The scale of a kind. By einsum, which stays in this thread: BLAS shares out even this little, and its threads wait for each other."""
    return Scale.of(np.einsum("nd,d->n", sample, vector))


def _vector(asked: Aspects, kind: Kind) -> Vector:
    return asked.get(kind.channel, asked[Channel.VISUAL])
