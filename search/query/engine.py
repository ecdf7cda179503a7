"""The engine: answers a query. Encode, filter, scan, calibrate, fuse, merge, hydrate; see ARCHITECTURE.md, "The way of a query"."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from search import encoders
from search.encoders import Encoder
from search.errors import InputError, QueryError, StillLoading, StoreError
from search.index import Manifest
from search.models import Models
from search.query import fusion, xclip
from search.query.algebra import Blend, Query, Term, parts
from search.query.calibration import confidence, deviations
from search.query.live import LiveIndex
from search.query.moments import Moment, merge
from search.query.searcher import Scan, Searcher, View, among
from search.query.spoken import Listener
from search.query.terms import Aspects, Terms
from search.query.words import parse
from search.settings import Settings
from search.store import Database, Readers, Spaces, SqlStore
from search.store.spaces import matches
from search.store.words import Words, text_index
from search.types import WORDS, Answer, Channel, Filter, Grouping, Hit, Ids, Kind, Modality, Segment, Space

EVERYTHING = Filter()

ALL = "all"
"""In the place of a space's name: every space of the archive."""

MOST = 1_000
"""The most hits of one answer."""

RERANKED = 200
"""The most shots that are compared word by word and frame by frame."""

SAID = 300
"""Segments that are looked for by their words, besides those that are found by meaning."""

AGAIN = 30.0
"""Seconds after which a default space that could not be opened is tried again."""

_ROOM = 4
"""Candidates looked at for every hit wanted, so that merging neighbours leaves enough."""


T = TypeVar("T")

Ranked: TypeAlias = tuple[Ids, NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]
"""Segments, best first: ids, scores, cosines, and in which of the scans each is best, all (n,)."""


class Engine:
    """One archive, ready to be asked in any of its spaces. Threads may search at the same time.

    Where no space is named, the archive's default answers. When that changes, the new one is opened in the background, and the old
    one serves until then.
    """

    def __init__(
        self, settings: Settings, *, encoder: Encoder | None = None, load: Callable[[str], Encoder] | None = None
    ) -> None:  # fmt: skip
        """Open the archive of ``settings``; ``load`` gives encoders by name. With an ``encoder``, its space is the default, for good.

        Raises:
            StoreError: there is no archive yet, or its database needs an upgrade.
            UnknownName: the settings name a space that is not there.
            InputError: the encoder is not the one that made the space's vectors.
            ModelMissing: the encoder's weights are not here.
        """
        self._settings, self._given = settings, encoder
        self._database = Database(settings.database)
        if not self._database.exists():
            raise StoreError(f"There is no archive in {settings.home}.", remedy="Run `sensorium index PATH` first.")
        self._database.check()
        self.store, self.spaces = SqlStore(self._database), Spaces(self._database)
        self.words = text_index(self._database)
        self._load = load or partial(encoders.load, models=Models.of(settings), device=settings.device)
        self._searchers: dict[str, Searcher] = {}
        self._coming: dict[str, Future[Searcher]] = {}
        self._opening, self._loader = threading.Lock(), ThreadPoolExecutor(1, "load")
        if encoder and self.store.space_id(encoder.space) is None:
            raise StoreError(
                f"Nothing is indexed into the space {encoder.space.name!r}.", remedy="Run `sensorium index PATH` first."
            )
        self._readers = Readers(self._database)
        self._listener = Listener(settings, self._readers)
        self._fixed = bool(encoder or settings.space)
        self._seen = self.store.version()
        self._default = self.spaces.find(encoder.space.name if encoder else settings.space).name
        self._wanted, self._due = self._default, 0.0
        self.searcher()

    def searcher(self, name: str = "", *, patience: float | None = None) -> Searcher:
        """The searcher of a space, of the default without a name; opened when it is first asked for.

        Raises:
            StillLoading: it is not open after ``patience`` seconds, but will be.
            UnknownName, InputError, ModelMissing: see ``__init__``.
        """
        name = name or self._default
        if found := self._searchers.get(name):
            return found
        coming = self._open(name)
        try:
            return coming.result(patience)
        except NotYet:
            raise StillLoading(
                f"The model of the space {name!r} is being loaded.", remedy="Ask again in a few seconds."
            ) from None

    def search(
        self, query: Query, wanted: Filter = EVERYTHING, *, k: int = 10, offset: int = 0,
        group: Grouping = "moment", without: Sequence[int] = (), spaces: Sequence[str] = (), rerank: bool = False,
        words: bool = False,
    ) -> Answer:  # fmt: skip
        """The ``k`` best hits after the first ``offset``; assets in ``without`` are left out.

        Several ``spaces``, or ``ALL``, are searched together: what each finds is fused by calibrated scores, or by rank where a space
        holds too little to be calibrated. One that does not know a term's modality sits out. ``rerank`` puts the best shots into the order
        that X-CLIP finds, word by word and frame by frame.

        A query that is one text (``query.words`` says how it is read) is also looked for in what texts say, and with ``words`` there alone;
        of several texts only the meaning counts. What the words of a text say for it, and what its meaning does, are both in standard
        deviations, see ``fusion.by_words``. Where a phrase must occur, only texts that hold it are found; what is excluded by a
        minus is left out of what is found by meaning too.

        Raises:
            QueryError: terms that cancel out, a file that cannot be read, an unknown segment; no space knows a term, and nothing says it;
                ``words`` for what is no single text.
            UnknownName: a collection or a space that is not there.
            InputError: ``k`` or ``offset`` out of range.
        """
        if not 1 <= k <= MOST or offset < 0:
            raise InputError(f"k is {k} and offset {offset}.", remedy=f"k lies between 1 and {MOST}, offset is at least 0.")
        clock = _Clock()
        question = self._question(query, wanted, without, spaces, words=words or None, clock=clock)
        scans, moments, names = question.scans, list[Moment](), dict[int, str]()
        for ids, scores, cosines, homes in self._ranked(question, _ROOM * (offset + k)):
            clock.lap("scan")
            spaces_of = [scans[home].space.name if home >= 0 else "" for home in homes.tolist()]
            names = dict(zip(ids.tolist(), spaces_of, strict=True))
            known = self.store.segments(ids.tolist(), wanted)
            cosine = dict(zip(ids.tolist(), cosines.tolist(), strict=True))
            order = [(id_, score) for id_, score in zip(ids.tolist(), scores.tolist(), strict=True) if id_ in known]
            if rerank and scans:
                order = self._reranked(question, order, known)
                clock.lap("rerank")
            moments = merge([(known[id_], score, cosine[id_]) for id_, score in order], group)
            clock.lap("hydrate")
            if len(moments) >= offset + k:
                break
        view = scans[0].view if scans else self.searcher().current(question.version)
        rivals = _rivals(scans) if scans else self._texts(view, wanted, without)
        hits = [_hit(rank, moment, rivals, names) for rank, moment in enumerate(moments[: offset + k], 1) if rank > offset]
        texts = [hit.segment.text or "" for hit in hits]
        marks = self.words.marks(question.said, texts) if question.said and any(texts) else [[] for _ in texts]
        hits = [_marked(hit, some) for hit, some in zip(hits, marks, strict=True)]
        clock.lap("mark")
        return Answer(tuple(hits), view.live.generation, sum(rivals.values()), view.seen(wanted), clock.total())

    def spoken(
        self, query: Query, wanted: Filter = EVERYTHING, *, k: int = 10, offset: int = 0,
        group: Grouping = "moment", without: Sequence[int] = (), spaces: Sequence[str] = (),
    ) -> Answer:  # fmt: skip
        """As ``search`` for a recording in which a question is spoken: what was said is asked as text, besides what it sounds like.

        Both scores are standard deviations: of a segment that both find, the higher one counts.

        Raises:
            QueryError: the query is no single recording; besides what ``search`` raises.
            InputError: the archive has no reader of speech.
        """
        clock = _Clock()
        heard, terms = self._heard(query)
        clock.lap("hear")
        most = min(MOST, offset + k)
        answers = _each(terms, lambda one: self.search(one, wanted, k=most, group=group, without=without, spaces=spaces))
        best: dict[int, Hit] = {}
        for hit in (hit for answer in answers for hit in answer.hits):
            key = hit.segment.asset if group == "asset" else hit.segment.id
            if key not in best or hit.score > best[key].score:
                best[key] = hit
        order = sorted(best.values(), key=lambda hit: -hit.score)[offset : offset + k]
        hits = tuple(replace(hit, rank=rank) for rank, hit in enumerate(order, offset + 1))
        return replace(answers[0], hits=hits, timings_ms=clock.total(), heard=heard)

    def rank(
        self, query: Query, wanted: Filter = EVERYTHING, *, k: int, spaces: Sequence[str] = (),
        words: bool | None = None, spoken: bool = False,
    ) -> Ids:  # fmt: skip
        """The ``k`` assets that answer best, best first (n,): those of ``search`` grouped by asset, or of ``spoken``, without reading what they are.

        ``words`` True: by words alone, as there; False: by meaning alone, whatever must occur or is excluded.

        Raises:
            QueryError, UnknownName, InputError: see ``search`` and ``spoken``.
        """
        terms: Sequence[Query] = self._heard(query)[1] if spoken else (query,)
        found = _each(terms, lambda one: self._assets_ranked(one, wanted, k, spaces, words))
        assets, scores = (np.concatenate(column) for column in zip(*found, strict=True))
        assets = assets[np.argsort(-scores, kind="stable")] if len(found) > 1 else assets
        _, first = np.unique(assets, return_index=True)
        return np.asarray(assets[np.sort(first)][:k], np.int64)

    def prepare(self, queries: Sequence[Query], spaces: Sequence[str] = ()) -> None:
        """Encode the texts of many queries at once, for ``rank`` to find them done."""
        self.follow()
        plain = [_plain(query, _said(query)) for query in queries]
        for searcher in self._named(spaces):
            searcher.terms.prepare(plain)

    def write_generation(self) -> Manifest:
        """Write a new generation of the default space's index."""
        return self.searcher().write_generation()

    def close(self) -> None:
        """End what the engine has started."""
        self._loader.shutdown(cancel_futures=True)
        for searcher in self._searchers.values():
            searcher.close()
        self._database.close()

    @property
    def space(self) -> Space:
        """The default space."""
        return self.searcher().space

    @property
    def terms(self) -> Terms:
        """What encodes the terms of the default space."""
        return self.searcher().terms

    @property
    def live(self) -> LiveIndex:
        """The default space's index that answers now."""
        return self.searcher().live

    def follow(self) -> int:
        """Have the default be the archive's, once its space is open; let go of spaces that were dropped. Returns ``store.version()``."""
        if (version := self.store.version()) != self._seen:
            self._seen = version
            entries = {entry.name: entry for entry in self.spaces.all()}
            for name, searcher in list(self._searchers.items()):
                if name not in entries or entries[name].key != searcher.entry.key:
                    del self._searchers[name]  # who searches it now has it in hand; its decoder goes with it
            before, self._wanted = self._wanted, next((entry.name for entry in entries.values() if entry.default), self._default)
            self._due = self._due if self._wanted == before else 0.0
        if self._fixed or self._wanted == self._default:
            return version
        if self._wanted in self._searchers:
            self._default = self._wanted
        elif time.monotonic() >= self._due:
            self._due = time.monotonic() + AGAIN
            self._open(self._wanted)  # the old one serves on meanwhile
        return version

    def _question(
        self, query: Query, wanted: Filter, without: Sequence[int], spaces: Sequence[str], *, words: bool | None, clock: _Clock
    ) -> _Question:  # fmt: skip
        """A query made ready to be ranked: read, looked for by its words, encoded, filtered. ``words``: by them alone, or not at all."""
        version, said = self.follow(), _said(query)
        if words and not said:
            raise QueryError("Only a single text can be searched by its words.", remedy="Ask with one text, or without --words.")
        query, found = _plain(query, said), list[tuple[int, float]]()
        if words is False:
            said = None
        if said and self._legible(wanted):
            allowed = partial(self.searcher().allowed, wanted=wanted, without=tuple(without), version=version)
            found = self.words.search(said, MOST if words else SAID, allowed=allowed)
            clock.lap("words")
        asked = [] if words else self._asked(query, spaces, needed=not found)
        clock.lap("encode")
        scans = [searcher.prepare(aspects, wanted, tuple(without), version) for searcher, aspects in asked]
        if spaces and scans:  # those that are named, and what they hold
            held = np.concatenate([ids for scan in scans for ids in scan.targets.values()] or [np.empty(0, np.int64)])
            found = [
                (id_, nats) for (id_, nats), here in zip(found, np.isin([id_ for id_, _ in found], held), strict=True) if here
            ]
        clock.lap("filter")
        return _Question(version, query, said, scans, found)

    def _ranked(self, question: _Question, count: int) -> Iterator[Ranked]:
        """The best ``count`` segments, then four times as many, until there are no more; what is excluded is left out."""
        said, more = question.said, True
        while more:
            ranked = _with_words(question.scans, count, question.found, only=bool(said and said.must))
            more = len(ranked[0]) >= count
            if said and said.without:
                kept = ~self.words.excluded(said, ranked[0])
                ranked = (ranked[0][kept], ranked[1][kept], ranked[2][kept], ranked[3][kept])
            yield ranked
            count *= 4

    def _assets_ranked(
        self, query: Query, wanted: Filter, k: int, spaces: Sequence[str], words: bool | None
    ) -> tuple[Ids, NDArray[np.float32]]:
        """The ``k`` assets that answer a query best, best first, and the scores of their best segments, both (n,)."""
        question = self._question(query, wanted, (), spaces, words=words, clock=_Clock())
        assets, scores = np.empty(0, np.int64), np.empty(0, np.float32)
        for ids, found, _, _ in self._ranked(question, k):
            every = self._assets(question.scans, ids)
            _, first = np.unique(every, return_index=True)
            first = np.sort(first)[:k]
            assets, scores = every[first], found[first]
            if len(assets) >= k:
                break
        return assets, scores

    def _assets(self, scans: Sequence[Scan], ids: Ids) -> Ids:
        """The assets of segments (n,): as the scans' columns have them, of those that only words found as SQL does."""
        assets, unknown = np.zeros(len(ids), np.int64), np.ones(len(ids), np.bool_)
        for scan in scans:
            columns = scan.view.columns
            here = among(ids, columns.ids)
            assets[here] = columns.assets[np.searchsorted(columns.ids, ids[here])]
            unknown &= ~here
        if unknown.any():
            assets[unknown] = self.store.assets(ids[unknown])
        return assets

    def _asked(self, query: Query, names: Sequence[str], *, needed: bool = True) -> list[tuple[Searcher, Aspects]]:
        """The searchers of spaces that know what is asked, and the query in their vectors; none may be unless one is ``needed``."""
        asked: list[tuple[Searcher, Aspects]] = []
        refusal: QueryError | None = None
        for searcher in self._named(names):
            try:
                asked.append((searcher, searcher.encode(query)))
            except QueryError as error:
                refusal = refusal or error
        if refusal and not asked and needed:
            raise refusal
        return asked

    def _named(self, names: Sequence[str]) -> list[Searcher]:
        """The searchers of spaces, of the default without a name."""
        if ALL in names:
            names = [entry.name for entry in self.spaces.all()]
        return [self.searcher(name) for name in dict.fromkeys(names or [""])]

    def _heard(self, query: Query) -> tuple[str, list[Query]]:
        """What is said in a recording, and what it asks: what sounds like it, and what is said, as text.

        Raises:
            QueryError, InputError: see ``spoken``.
        """
        terms = [term for _, term in parts(query)]
        if len(terms) != 1 or not isinstance(terms[0], Term) or terms[0].modality is not Modality.AUDIO:
            raise QueryError("Only a single recording can be a spoken question.", remedy="Ask with one sound alone.")
        heard = self._listener.hear(Path(terms[0].content), terms[0].name)
        return heard, [terms[0], *([Term(heard, Modality.TEXT)] if heard.strip() else [])]

    def _legible(self, wanted: Filter) -> bool:
        """Whether a filter lets anything through in which words may stand: texts, and what readers read."""
        kinds = [kind for kind in wanted.kinds if kind.channel in WORDS]
        return any(not kind.read for kind in kinds) or any(
            kind.modality in reader.modalities and kind.channel in reader.channels
            for reader in (self._readers.all() if kinds else ())
            for kind in kinds
        )

    def _texts(self, view: View, wanted: Filter, without: Sequence[int]) -> dict[Kind, int]:
        """How many texts of each kind may be found, of those that the default space holds."""
        targets = self.searcher().targets(view, wanted, tuple(without))
        return {kind: len(ids) for kind, ids in targets.items() if kind.channel in WORDS}

    def _reranked(
        self, question: _Question, order: list[tuple[int, float]], known: Mapping[int, Segment]
    ) -> list[tuple[int, float]]:
        """The same segments with the same scores, the best shots among them in a new order."""
        shots = [id_ for id_, _ in order if known[id_].modality is Modality.VIDEO and known[id_].channel is Channel.VISUAL]
        return xclip.rerank(order, question.scans[0].searcher.finer(question.query, shots[:RERANKED]))

    def _open(self, name: str) -> Future[Searcher]:
        """Begin to open a space, unless that is under way; a failure is forgotten once it was told, so that the next call tries again."""
        with self._opening:
            coming = self._coming.get(name)
            if coming is None or (coming.done() and name not in self._searchers):
                coming = self._coming[name] = self._loader.submit(self._make, name)
            return coming

    def _make(self, name: str) -> Searcher:
        entry = self.spaces.find(name)
        encoder = self._given if self._given and self._given.space.name == name else self._load(entry.encoder)
        matches(entry, encoder.space)
        self._searchers[name] = searcher = Searcher(self._settings, self.store, entry, encoder)
        return searcher

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class _Question:
    """A query made ready to be ranked, in a state of the archive: the text that it is, if it is one, the scans of the spaces that know it, and what its
    words found: segments, and what they say in nats."""

    version: int
    query: Query
    said: Words | None
    scans: list[Scan]
    found: list[tuple[int, float]]


def _said(query: Query) -> Words | None:
    """What a query looks for in words: those of a single text, which nothing is added to or taken from."""
    if len(parts(query)) == 1:
        ((weight, term),) = parts(query)
        if weight > 0 and isinstance(term, Term) and isinstance(term.content, str):
            return parse(term.content)
    return None


def _plain(query: Query, said: Words | None) -> Query:
    """The query as encoders get it: without the signs of what must occur, and without what is excluded."""
    return Blend(((parts(query)[0][0], Term(said.plain, Modality.TEXT)),)) if said else query


def _each(queries: Sequence[Query], ask: Callable[[Query], T]) -> list[T]:
    """What ``ask`` makes of the queries that can be asked: a space that knows no sounds may know the words.

    Raises:
        QueryError: none of them can.
    """
    answers: list[T] = []
    refusal: QueryError | None = None
    for query in queries:
        try:
            answers.append(ask(query))
        except QueryError as error:
            refusal = error
    if refusal and not answers:
        raise refusal
    return answers


_NOTHING: Ranked = (np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.float32), np.empty(0, np.intp))


def _with_words(scans: Sequence[Scan], count: int, found: Sequence[tuple[int, float]], *, only: bool) -> Ranked:
    """As ``_best``, with what words ``found``: segments, and what their words say in nats; if ``only``, nothing else. -1: in no scan."""
    said = np.array([id_ for id_, _ in found], np.int64)
    spoken = np.array([deviations(nats) for _, nats in found], np.float32)
    meant = _NOTHING if only or not scans else _best(scans, count)
    if not len(said):
        return meant
    ids = np.union1d(meant[0], said)
    scores = np.full((len(ids), len(scans) + 1), np.nan, np.float32)
    cosines = np.zeros((len(ids), len(scans)), np.float32)
    for at, scan in enumerate(scans):
        scores[:, at], cosines[:, at] = scan.score(ids)
    scores[np.searchsorted(ids, said), -1] = spoken
    held = ~np.isnan(scores[:, :-1])
    homes = (
        np.where(held.any(axis=1), np.argmax(np.where(held, scores[:, :-1], -np.inf), axis=1), -1)
        if scans
        else np.full(len(ids), -1)
    )
    meaning = np.where(held.any(axis=1), fusion.by_score(scores[:, :-1]), np.nan)
    fused = fusion.by_words(meaning, scores[:, -1])
    order = np.argsort(-fused, kind="stable")[:count]
    rows = np.arange(len(ids))
    raw = np.where(homes >= 0, cosines[rows, homes], 0) if scans else np.zeros(len(ids), np.float32)
    return ids[order], fused[order], raw[order], homes[order]


def _best(scans: Sequence[Scan], count: int) -> Ranked:
    """The ``count`` best segments over all spaces.

    With several spaces a score is the best standardised one where they are fused by rank.
    """
    found = [scan.best(count) for scan in scans]
    if len(scans) == 1:
        ids, scores, cosines = found[0]
        return ids, scores, cosines, np.zeros(len(ids), np.intp)
    ids = np.unique(np.concatenate([one[0] for one in found]))
    if not len(ids):
        return _NOTHING
    columns = [scan.score(ids) for scan in scans]
    scores = np.stack([column[0] for column in columns], axis=1)
    cosines = np.stack([column[1] for column in columns], axis=1)
    homes = np.nanargmax(scores, axis=1)
    rows = np.arange(len(ids))
    if all(scan.calibrated for scan in scans):
        fused = fusion.by_score(scores)
        shown = fused
    else:
        fused, shown = fusion.by_rank(scores), scores[rows, homes]
    order = np.argsort(-fused, kind="stable")[:count]
    return ids[order], shown[order], cosines[rows, homes][order], homes[order]


def _rivals(scans: Sequence[Scan]) -> dict[Kind, int]:
    """How many segments of each kind may be found, in the space that holds most of them."""
    rivals: dict[Kind, int] = {}
    for scan in scans:
        for kind, count in scan.rivals.items():
            rivals[kind] = max(count, rivals.get(kind, 0))
    return rivals


def _hit(rank: int, moment: Moment, rivals: dict[Kind, int], spaces: dict[int, str]) -> Hit:
    best = moment.best
    among = rivals.get(Kind(best.modality, best.channel), 1)
    return Hit(
        rank=rank, score=moment.score, confidence=confidence(moment.score, among), cosine=moment.cosine,
        space=spaces[best.id], segment=best, span=moment.span, evidence=tuple(moment.evidence),
    )  # fmt: skip


def _marked(hit: Hit, marks: Sequence[tuple[int, int]]) -> Hit:
    """The hit with what was asked for marked in its text, and when the first of it is said."""
    span, detail = hit.span, hit.segment.detail
    starts = span.start if span and span.unit == "ms" else None
    if marks and detail:
        heard = (word.start_ms for word in detail.words if word.start_ms is not None and word.end > marks[0][0])
        starts = next(heard, starts)
    return replace(hit, marks=tuple(marks), starts_ms=starts)


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
