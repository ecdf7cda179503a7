"""The engine: answers a query. Encode, filter, scan, calibrate, fuse, merge, hydrate; see ARCHITECTURE.md, "The way of a query"."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from search.encoders import Encoder, Lexical, RegionalEncoder
from search.errors import InputError, QueryError, StoreError
from search.index import GenerationManifest
from search.live import LiveIndex
from search.query import answers, copies, sequences, xclip
from search.query.algebra import Blend, Query, Term, Then, parts
from search.query.answers import StageTimes
from search.query.browsing import Place, browsed
from search.query.bursts import Bursts
from search.query.calibration import word_scores
from search.query.contrast import Contrast, Contraster
from search.query.copies import Copies, Duplicates, Folds, Used
from search.query.diversity import DIVERSE
from search.query.diversity import diverse as diversified
from search.query.facets import FacetCounter, Faceted
from search.query.form import negation
from search.query.imagining import fused
from search.query.judging import review
from search.query.moments import Moment, Ranked, gather
from search.query.open_spaces import OpenSpaces
from search.query.operators import parse
from search.query.preferences import MAX_PREFERENCES, Preference
from search.query.ranking import Question, QuestionMomentData, levels, preferred
from search.query.region_search import Regions
from search.query.searcher import Searcher
from search.query.spoken import Listener
from search.query.survey import Atlas, Survey, charted, surveyed
from search.query.terms import Aspects, Terms
from search.query.verdict import Judgement
from search.query.view import View, among
from search.query.why import Why, explain
from search.readers.windows import FAMILY as REGIONS
from search.settings import Settings
from search.store import Catalogue, Database, Readers, SqlStore
from search.store.fingerprint_rows import FingerprintRows
from search.store.judgements import MAX_QUESTION_CHARACTERS, JudgedAsset, Judgements
from search.store.names import Names
from search.store.readings import Unread
from search.store.region_rows import RegionRows
from search.store.sql import Columns
from search.store.things import Things
from search.store.words import WordQuery, text_index
from search.types import (
    KINDS,
    WORDS,
    Answer,
    BrowseOrder,
    Channel,
    Filter,
    Grouping,
    Hit,
    Ids,
    Kind,
    Modality,
    Sort,
    Space,
    Within,
)

EVERYTHING = Filter()

MAX_HITS = 1_000
"""The most hits of one answer, and the most that are sorted by something else than how well they match."""

IMAGINED_DEPTH = 250
"""Files of each question that are fused with those of others."""

MAX_DEPTH = 10_000
"""How far down the list of hits an answer may reach."""

MAX_RERANKED = 200
"""The most shots that are compared word by word and frame by frame."""

MAX_WORD_CANDIDATES = 300
"""Segments that are looked for by their words, besides those that are found by meaning."""

MIN_LITERAL_TEXTS = 5
"""Texts, the best that words found, that are looked at for how much of the question they hold."""


T = TypeVar("T")


class Engine:
    """One archive, open for search in any of its spaces. Threads may search at the same time.

    The archive's default space answers if no space is named. When the default changes, the new space is opened in the background;
    the old one answers until then.
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
        self._database = Database(settings.database)
        self._map = settings.home / "maps" / "map.npz"
        self.store = SqlStore(self._database)
        self.catalogue = Catalogue(self._database)
        self.words, self.judgements = text_index(self._database), self.store.judgements
        self._names, self._facets = Names(self._database), FacetCounter(self.store)
        self._open = OpenSpaces(settings, self._database, self.store, encoder, load)
        self.spaces = self._open.entries
        self._readers = Readers(self._database)
        self._listener = Listener(settings, self._readers)
        self._region_rows = RegionRows(self._database)
        self._copies = Copies(FingerprintRows(self._database))
        self._regions: dict[tuple[int, int], Regions] = {}
        self._opening = threading.Lock()
        try:
            self._open.begin()
        except BaseException:
            self.close()
            raise

    def searcher(self, name: str = "", *, patience: float | None = None) -> Searcher:
        """See ``OpenSpaces.searcher``."""
        return self._open.searcher(name, patience=patience)

    def opened(self) -> list[Searcher]:
        """The searchers of the spaces that are open."""
        return self._open.opened()

    def search(
        self, query: Query | Then, wanted: Filter = EVERYTHING, *, k: int = 10, offset: int = 0,
        group: Grouping = "moment", without: Sequence[int] = (), spaces: Sequence[str] = (), rerank: bool = False,
        words: bool = False, sort: Sort = "match", line: float | None = None, diverse: bool = False, fold: bool = False,
        preferences: Sequence[Preference] = (), closest: bool = False,
    ) -> Answer:  # fmt: skip
        """The ``k`` best hits after the first ``offset``; assets in ``without`` are left out.

        Several ``spaces``, or ``ALL``, are searched together. Their results are fused by scores in log-odds. A space that does not know a term's modality is left out. ``rerank`` reorders the best
        shots by X-CLIP, which compares each word with each frame.

        A query that is one text (``query.words`` says how it is read) is also searched by its words; with ``words`` only by its
        words. A query of several texts is searched by meaning alone. Scores by words and by meaning are both in log-odds, see
        ``fusion.by_words``. If the query contains a phrase, only texts that contain it are found. What a minus excludes is also
        removed from what is found by meaning.

        ``sort`` reorders the best ``MAX_HITS`` hits before they are cut; hits that score below ``line`` are dropped. The list
        does not depend on ``k`` and ``offset``: pages of one ``Answer.state`` neither repeat nor lose a hit.

        ``diverse`` reorders the best ``DIVERSE`` hits, so that like ones do not stand together; only where ``sort`` is ``match``.

        ``fold`` puts pictures and shots that show what a better hit shows behind it, like the other photographs of a burst.

        ``preferences`` say which hits are nearer to what is sought, or farther from it, in the order in which somebody said so: what is
        found is ranked anew by them, see ``search.query.preferences``.

        A ``Then`` finds the moments in which its steps follow each other, see ``sequences``; ``group`` has no meaning for it. With
        ``closest`` it also finds those whose steps only come close.

        Raises:
            QueryError: terms that cancel out, a file that cannot be read, an unknown segment; no space knows a term, and nothing says it;
                ``words`` for what is no single text; ``words`` or ``rerank`` for a pattern.
            UnknownName: a collection or a space that is not there.
            InputError: ``k`` or ``offset`` out of range.
        """
        _within_limits(k, offset)
        if isinstance(query, Then):
            if rerank or words or preferences:
                raise QueryError(
                    "A pattern of several steps is neither re-ranked nor searched by its words alone, and knows no preferences.",
                    remedy="Ask without --rerank, --words, --nearer and --farther.",
                )
            return self._sequence(query, wanted, k, offset, without, spaces, sort, line, closest)
        clock = StageTimes()
        question = self._question(query, wanted, without, spaces, words=words or None, clock=clock, preferences=preferences)
        depth = max(offset + k + 1, DIVERSE if diverse else 0) if sort == "match" else MAX_HITS + 1
        listed, first, judgements = self._listed(question, wanted, group, depth, rerank=rerank, fold=fold, clock=clock)
        if diverse and sort == "match":
            listed = self._spread_out(question, listed)
        view = question.scans[0].view if question.scans else self.searcher().current(question.version)
        competitors = answers.competitors(question.scans) if question.scans else self._texts(view, wanted, without)
        outlook = self._outlook(question, first, judgements, sum(competitors.values()), wanted)
        clock.lap("judge")
        judged = self._judged(query, wanted)
        weak = outlook.line()
        ordered = self._sorted(listed[:MAX_HITS], sort, wanted, weak if line is None else line) if sort != "match" else listed
        page = list(enumerate(ordered, 1))[offset : offset + k]
        known = self.store.segments([moment.best for _, moment in page], wanted)
        clock.lap("hydrate")
        hits = answers.hits(page, known, question, outlook, self.words, judged)
        clock.lap("mark")
        more = len(ordered) > offset + k
        cut = MAX_DEPTH if more and offset + k >= MAX_DEPTH else None
        if not more and (len(listed) > MAX_HITS if sort != "match" else question.word_limit):
            cut = len(ordered)
        return Answer(
            hits, view.live.generation, sum(competitors.values()), view.seen(wanted), clock.total(), more=more and cut is None,
            limit=cut, state=answers.state(question), found=outlook.found, line=weak, notes=(*_notes(question), *self._looked(wanted)),
            estimate=outlook.estimate(QuestionMomentData(question).rows(first.ids), first.scores, judged), review=review(judged, wanted),
        )  # fmt: skip

    def spoken(
        self, query: Query, wanted: Filter = EVERYTHING, *, k: int = 10, offset: int = 0, group: Grouping = "moment",
        without: Sequence[int] = (), spaces: Sequence[str] = (), sort: Sort = "match", line: float | None = None,
    ) -> Answer:  # fmt: skip
        """Like ``search``, for a recording of a spoken question: what is said is searched as text, in addition to what it sounds
        like.

        Both scores are on one scale. A segment that both find gets the higher score.

        Raises:
            QueryError: the query is no single recording; besides what ``search`` raises.
            InputError: the archive has no reader of speech.
        """
        _within_limits(k, offset)
        clock = StageTimes()
        heard, terms = self._heard(query)
        clock.lap("hear")
        found = _each(terms, lambda one: self.search(one, wanted, k=MAX_HITS, group=group, without=without, spaces=spaces))
        best: dict[int, Hit] = {}
        for hit in (hit for answer in found for hit in answer.hits):
            key = hit.segment.asset if group == "asset" else hit.segment.id
            if (key not in best or hit.score > best[key].score) and (line is None or hit.score >= line):
                best[key] = hit
        every = sorted(best.values(), key=lambda hit: (-hit.score, hit.segment.id))
        order = [every[at] for at in answers.in_order([(hit.segment.id, hit.segment.path) for hit in every], sort, self.store)]
        more, cut = len(order) > offset + k, any(answer.more or answer.limit for answer in found)
        hits = tuple(replace(hit, rank=rank) for rank, hit in enumerate(order[offset : offset + k], offset + 1))
        return replace(
            found[0], hits=hits, timings_ms=clock.total(), heard=heard, more=more, limit=len(order) if cut and not more else None,
            state=answers.digest(heard, [answer.state for answer in found]),
        )  # fmt: skip

    def imagined(
        self, text: str, pictures: Sequence[Path], wanted: Filter = EVERYTHING, *, k: int = 10, spaces: Sequence[str] = ()
    ) -> Answer:  # fmt: skip
        """The ``k`` files that answer a text and the ``pictures`` that were imagined of it, by the mean of their probabilities: see
        ``imagining.fused``.

        Raises:
            QueryError: a picture cannot be read; besides what ``search`` raises.
        """
        _within_limits(k, 0)
        depth = min(max(IMAGINED_DEPTH, k), MAX_HITS)
        terms = [Term(text, Modality.TEXT), *(Term(path, Modality.IMAGE, f"picture {n}") for n, path in enumerate(pictures, 1))]
        words, *seen = [self.search(term, wanted, k=depth, group="asset", spaces=spaces) for term in terms]
        return fused(words, seen, k)

    def regions(
        self, query: Query, wanted: Filter = EVERYTHING, *, k: int = 10, offset: int = 0, group: Grouping = "moment",
        without: Sequence[int] = (), spaces: Sequence[str] = (),
    ) -> Answer:  # fmt: skip
        """The ``k`` pictures and shots, after the first ``offset``, of which a part answers best. Each hit tells its ``box``.

        Only the windows are searched that the reader ``regions`` has coded; by meaning alone, in one space. A hit is a picture, or
        a shot; with ``group`` ``asset`` a file. The list ends where windows are no candidates any more.

        Raises:
            QueryError, UnknownName: see ``search``.
            InputError: ``k`` or ``offset`` out of range; the archive has no regions, or none of the space that is named.
        """
        _within_limits(k, offset)
        clock = StageTimes()
        version = self.follow()
        searcher, regions = self._regional(spaces)
        encoder = cast("RegionalEncoder", searcher.encoder)
        query = _plain(query, _said(query))
        asked = searcher.encode(query, wanted.within)
        clock.lap("encode")
        view, left_out = searcher.current(version), tuple(without)
        targets = searcher.targets(view, wanted, left_out)
        regions.follow(version)
        clock.lap("filter")
        question = encoder.pointer(asked[Channel.VISUAL], searcher.nature(query, view)[0])
        answered = regions.search(question, view, targets, wanted, left_out)
        found, searched = answered.pictures, answered.searched
        clock.lap("scan")
        if group == "asset":
            assets = self.store.assets(np.array([one.segment for one in found], np.int64))
            found = [found[at] for at in np.sort(np.unique(assets, return_index=True)[1])]
        page = found[offset : offset + k]
        boxes = regions.boxes(question, answered, page)
        known = self.store.segments([one.segment for one in page], wanted)
        clock.lap("hydrate")
        judged = {one.asset: one.right for one in self._judged(query, wanted)}
        hits = tuple(
            Hit(
                rank=rank, score=one.score, confidence=None, cosine=one.product, space=searcher.space.name, segment=segment, span=segment.span,
                evidence=(one.segment,), starts_ms=one.at_ms, judged=judged.get(segment.asset), box=box,
            )
            for rank, (one, box) in enumerate(zip(page, boxes, strict=True), offset + 1)
            if (segment := known.get(one.segment))
        )  # fmt: skip
        more = len(found) > offset + k
        return Answer(
            hits, view.live.generation, searched, view.seen(wanted), clock.total(), more=more,
            limit=None if more or len(found) == searched else len(found), state=answers.digest(version, view.state, "regions"), notes=self._looked(wanted),
        )  # fmt: skip

    def _regional(self, spaces: Sequence[str]) -> tuple[Searcher, Regions]:
        """The first of the named spaces, or of all, that regions are of; and these regions."""
        readers = [entry for entry in self._readers.all() if entry.name == REGIONS]
        if not readers:
            raise InputError(
                "The archive has no regions.", remedy="Have its pictures read for them: sensorium readers add regions"
            )
        reader = readers[0]
        for searcher in self._open.named(spaces):
            if isinstance(searcher.encoder, RegionalEncoder) and searcher.encoder.region_revision == reader.revision:
                with self._opening:
                    key = (reader.key, searcher.entry.key)
                    if key not in self._regions:
                        self._regions[key] = Regions(self._region_rows, reader.key, searcher.encoder)
                    return searcher, self._regions[key]
        raise InputError(
            f"The regions of the archive are of another space than {', '.join(spaces) or 'the default'}.",
            remedy="Search in the pocket space: --space pocket. After an update, read them again: sensorium readers add regions",
        )

    def alarms(self, query: Query, wanted: Filter, false_alarms: float, *, k: int = 100) -> tuple[Hit, ...]:
        """The ``k`` best hits that of unrelated segments only the share ``false_alarms`` would be, 0..1: see ``SpaceScan.alarm``.

        Raises:
            QueryError, UnknownName: see ``search``.
        """
        question = self._question(query, wanted, (), (), words=None, clock=StageTimes())
        with question.reading():
            lines = {(scan.space.name, kind): scan.alarm(kind, false_alarms) for scan in question.scans for kind in scan.targets}
        by_words = dict(zip(question.found.tolist(), question.said_by_words.tolist(), strict=True))
        enough = float(word_scores(np.array([-np.log(false_alarms)]))[0])
        return tuple(
            hit
            for hit in self.search(query, wanted, k=k).hits
            if hit.cosine >= lines.get((hit.space, Kind(hit.segment.modality, hit.segment.channel)), np.inf)
            or by_words.get(hit.segment.id, -np.inf) >= enough
        )

    def why(
        self, query: Query | Then, segments: Sequence[int], wanted: Filter = EVERYTHING, *, without: Sequence[int] = (),
        spaces: Sequence[str] = (), words: bool = False, preferences: Sequence[Preference] = (),
    ) -> list[Why]:  # fmt: skip
        """Why ``segments`` answer a query, in the order in which they rank: see ``search.query.why``. The other values are those of
        the ``search`` that found them. What re-ranking does is not explained.

        Raises:
            QueryError: a segment that is not among what is searched; a pattern; besides what ``search`` raises.
        """
        if isinstance(query, Then):
            raise QueryError(
                "A pattern is explained by its steps: each tells where it was found, and how likely.",
                remedy="Ask for a single step to see why it was found.",
            )
        question = self._question(
            query, wanted, without, spaces, words=words or None, clock=StageTimes(), preferences=preferences
        )
        with question.reading():
            found = explain(question, segments, wanted.within)
        if question.said is None:
            return found
        known = self.store.segments([one.segment for one in found if one.words is not None], wanted)
        texts = {id_: segment.text for id_, segment in known.items() if segment.text}
        marks = dict(zip(texts, self.words.marks(question.said, list(texts.values())), strict=True)) if texts else {}
        return [
            replace(one, matched=tuple(dict.fromkeys(texts[one.segment][start:end] for start, end in marks[one.segment])))
            if one.segment in marks
            else one
            for one in found
        ]

    def rank(
        self, query: Query, wanted: Filter = EVERYTHING, *, k: int, spaces: Sequence[str] = (),
        words: bool | None = None, spoken: bool = False,
    ) -> Ids:  # fmt: skip
        """The ``k`` best assets, best first (n,): the results of ``search`` grouped by asset, or of ``spoken``, without reading
        the assets' details.

        ``words`` True: by words alone, as in ``search``. False: by meaning alone; phrases and exclusions are ignored.

        Raises:
            QueryError, UnknownName, InputError: see ``search`` and ``spoken``.
        """
        terms: Sequence[Query] = self._heard(query)[1] if spoken else (query,)
        found = _each(terms, lambda one: self._assets_ranked(one, wanted, k, spaces, words))
        assets, scores = (np.concatenate(column) for column in zip(*found, strict=True))
        assets = assets[np.argsort(-scores, kind="stable")] if len(found) > 1 else assets
        _, first = np.unique(assets, return_index=True)
        return np.asarray(assets[np.sort(first)][:k], np.int64)

    def facets(self, wanted: Filter = EVERYTHING, names: Sequence[str] = (), *, space: str = "") -> Faceted:
        """How many of the files that pass a filter have each value of its facets: see ``FacetCounter.count``. Files are counted of
        which the space, or the default space, holds something."""
        version = self.follow()
        searcher = self.searcher(space)
        return self._facets.count(searcher, searcher.current(version), wanted, names)

    def browse(
        self, wanted: Filter = EVERYTHING, order: BrowseOrder = "added", *, after: Place | None = None, limit: int = 50
    ) -> tuple[dict[int, int], Place | None]:  # fmt: skip
        """The files of the default space that pass a filter, page by page: see ``browsed``."""
        version = self.follow()
        searcher = self.searcher()
        return browsed(searcher, searcher.current(version), wanted, order, after, limit)

    def unread(self, within: Within = None) -> list[Unread]:
        """See ``Readers.unread``."""
        return self._readers.unread(within)

    def contrast(self, these: Filter, those: Filter, *, most: int = 20) -> Contrast:
        """What sets the files that pass one filter apart from those that pass another: see ``Contraster.contrast``."""
        version = self.follow()
        searcher = self.searcher()
        return Contraster(self.store, self._facets).contrast(searcher, searcher.current(version), these, those, most)

    def chart(self, *, threads: int = 1) -> Atlas:
        """Make a map of the archive's default space, or bring it up to date, and store it: see ``charted``."""
        version = self.follow()
        searcher = self.searcher()
        made = charted(searcher, searcher.current(version), Atlas.read(self._map), threads=threads)
        try:
            made.write(self._map)
        except OSError as error:
            raise StoreError(
                f"The map cannot be written to {self._map.parent}: {error.strerror}.",
                remedy="Look at the rights of the home, and at its disk.",
            ) from error
        return made

    def survey(self, wanted: Filter = EVERYTHING) -> Survey | None:
        """The map that was made last, as far as a filter lets see it; None: there is none yet. See ``surveyed``."""
        atlas = Atlas.read(self._map)
        if atlas is None:
            return None
        version = self.follow()
        searcher = self.searcher(atlas.space)
        return surveyed(atlas, searcher, searcher.current(version), wanted, self.store, self._facets)

    def duplicates(self, wanted: Filter = EVERYTHING) -> Duplicates:
        """The files that pass a filter and are copies of each other: of the same bytes, or near-duplicates, see ``search.query.copies``."""
        version = self.follow()
        searcher = self.searcher()
        view = searcher.current(version)
        same = Catalogue(self._database, wanted.within).copied()
        return copies.duplicates(self._copies, searcher, view, wanted, version, same)

    def reuse(self, asset: int, wanted: Filter = EVERYTHING) -> list[Used]:
        """The stretches of a film or a sound that other files have as well, in order of time, with the times in both."""
        version = self.follow()
        searcher = self.searcher()
        view = searcher.current(version)
        return self._copies.used(asset, searcher, view, copies.allowed(searcher, view, wanted), version)

    def prepare(self, queries: Sequence[Query], spaces: Sequence[str] = ()) -> None:
        """Encode the texts of many queries in one batch, so that ``rank`` finds them encoded."""
        self.follow()
        plain = [_plain(query, _said(query)) for query in queries]
        for searcher in self._open.named(spaces):
            searcher.terms.prepare(plain)

    def write_generation(self) -> GenerationManifest:
        """Write a new generation of the default space's index."""
        return self.searcher().write_generation()

    def close(self) -> None:
        """Stop everything that the engine has started."""
        self._open.close()
        self._database.close()

    @property
    def space(self) -> Space:
        """The default space."""
        return self.searcher().space

    @property
    def terms(self) -> Terms:
        """The encoder of terms for the default space."""
        return self.searcher().terms

    @property
    def live(self) -> LiveIndex:
        """The current index of the default space."""
        return self.searcher().live

    def follow(self) -> int:
        """See ``OpenSpaces.follow``."""
        return self._open.follow()

    def _question(
        self, query: Query, wanted: Filter, without: Sequence[int], spaces: Sequence[str], *, words: bool | None, clock: StageTimes,
        preferences: Sequence[Preference] = (),
    ) -> Question:  # fmt: skip
        """A query made ready to be ranked: read, encoded, looked for by its words, filtered. ``words``: by them alone, or not at all.

        All of it sees the views that are taken here.
        """
        version, said = self.follow(), _said(query)
        if words and not said:
            raise QueryError("Only a single text can be searched by its words.", remedy="Ask with one text, or without --words.")
        query, left_out = _plain(query, said, self._spelt(said, spaces, wanted.within) if words is None else ""), tuple(without)
        asked, refusal = ([], None) if words else self._asked(query, spaces, wanted)
        clock.lap("encode")
        views = [(searcher, aspects, searcher.current(version)) for searcher, aspects in asked]
        by_words = said if words is not False and said and self._legible(wanted) else None
        found, limit = list[tuple[int, float]](), MAX_HITS if words or (said and said.must) else MAX_WORD_CANDIDATES
        if by_words:
            default = self.searcher()
            view = next((view for searcher, _, view in views if searcher is default), None) or default.current(version)
            allowed = partial(default.allowed, view=view, wanted=wanted, without=left_out)
            found = sorted(self.words.search(by_words, limit, allowed=allowed))
            clock.lap("words")
        if refusal and not asked and not found:
            raise refusal
        scans = [searcher.prepare(query, aspects, view, wanted, left_out) for searcher, aspects, view in views]
        question = self._with_found(
            Question(version, query, said if words is not False else None, scans, *_NOTHING_FOUND), found, limit, bool(spaces)
        )
        clock.lap("filter")
        if preferences:
            with question.reading():
                question = preferred(question, preferences[:MAX_PREFERENCES])
            clock.lap("prefer")
        return question

    def _sequence(
        self, pattern: Then, wanted: Filter, k: int, offset: int, without: Sequence[int], spaces: Sequence[str], sort: Sort, line: float | None,
        closest: bool,
    ) -> Answer:  # fmt: skip
        """The answer to an ordered pattern: see ``search``."""
        clock = StageTimes()

        def ask(query: Query, channels: tuple[Channel, ...]) -> Question:
            of_step = replace(wanted, channels=sequences.narrowest(wanted.channels, channels))
            return self._question(query, of_step, without, spaces, words=None, clock=clock)

        want = offset + k + 1 if sort == "match" else None  # one more tells whether there are more
        found = sequences.find(pattern, ask, closest=closest, want=want)
        clock.lap("match")
        above = [one for one in found.found if line is None or one.score >= line]
        if sort != "match":
            known = self.store.segments([one.steps[0].segment for one in above[:MAX_HITS]], wanted)
            above = [one for one in above[:MAX_HITS] if one.steps[0].segment in known]
            paths = [(one.steps[0].segment, known[one.steps[0].segment].path) for one in above]
            above = [above[at] for at in answers.in_order(paths, sort, self.store)]
        page = list(enumerate(above, 1))[offset : offset + k]
        shown = self.store.segments([one.steps[0].segment for _, one in page], wanted)
        clock.lap("hydrate")
        scans = found.questions[0].scans
        calibrated = bool(scans) and bool(scans[0].view.calibration.shared)
        hits = tuple(
            Hit(
                rank=rank, score=one.score, confidence=one.chance if calibrated else None, cosine=0.0, space=scans[0].space.name if scans else "",
                segment=shown[one.steps[0].segment], span=one.span, evidence=tuple(step.segment for step in one.steps),
                starts_ms=one.span.start, steps=one.steps,
            )
            for rank, one in page
            if one.steps[0].segment in shown
        )  # fmt: skip
        view = scans[0].view if scans else self.searcher().current(found.questions[0].version)
        notes = (*((sequences.LIMITED,) if found.limited else ()), *self._looked(wanted))
        more = len(above) > offset + k
        return Answer(
            hits, view.live.generation, sum(answers.competitors(scans).values()), view.seen(wanted), clock.total(), more=more,
            state=answers.digest(*(answers.state(one) for one in found.questions)), notes=notes,
        )  # fmt: skip

    def _with_found(self, question: Question, found: Sequence[tuple[int, float]], limit: int, named: bool) -> Question:
        """The question with what its words found: where spaces are named, of what these hold."""
        said, scans = question.said, question.scans
        found, names = self._unnamed(question, found)
        excluded = partial(self.words.excluded, said) if said and said.without else None
        ids = np.array([id_ for id_, _ in found], np.int64)
        scores = word_scores(np.array([nats for _, nats in found], np.float64))
        unknown = np.ones(len(ids), np.bool_)
        for scan in scans:
            for within in scan.targets.values():
                unknown &= ~among(ids, within)
        if named and scans:
            ids, scores, unknown = ids[~unknown], scores[~unknown], unknown[~unknown]
        rows = self.store.rows(ids[unknown]) if unknown.any() else question.rows
        here = ~unknown | among(ids, rows.ids)  # some may have been deleted since they were found
        return replace(
            question, found=ids[here], said_by_words=scores[here], rows=rows, excluded=excluded, word_limit=len(found) >= limit,
            names=names,
        )  # fmt: skip

    def _unnamed(self, question: Question, found: Sequence[tuple[int, float]]) -> tuple[list[tuple[int, float]], tuple[str, ...]]:
        """What words found, with the best that a file shows in the place of its name, so that it comes once; and these names."""
        names = self._names.among([id_ for id_, _ in found]) if question.scans else {}
        if not names:
            return [*found], ()
        assets = np.unique(np.array([asset for asset, _ in names.values()], np.int64))
        shown = np.unique(np.concatenate([scan.view.siblings(assets) for scan in question.scans]))
        with question.reading():
            scores = np.stack([scan.score(shown)[0] for scan in question.scans], axis=1)
        best: dict[int, tuple[float, int]] = {}
        rows = self.store.rows(shown)
        for id_, asset in zip(rows.ids.tolist(), rows.assets.tolist(), strict=True):
            of = scores[np.searchsorted(shown, id_)]
            if not np.isnan(of).all():
                best[asset] = max(best.get(asset, (-np.inf, 0)), (float(np.nanmax(of)), id_))
        merged: dict[int, float] = {}
        for id_, nats in found:
            at = best[names[id_][0]][1] if id_ in names and names[id_][0] in best else id_
            merged[at] = max(nats, merged.get(at, 0.0))
        return sorted(merged.items()), tuple(text for _, text in names.values())

    def _listed(
        self, question: Question, wanted: Filter, group: Grouping, depth: int, *, rerank: bool, fold: bool, clock: StageTimes
    ) -> tuple[list[Moment], Ranked, list[Judgement]]:
        """The first ``depth`` moments of the list that answers a question, which is the same however many are wanted; the first level of its
        segments; and whether its answer is there, by kind."""
        around = QuestionMomentData(question)
        with question.reading():
            ranked = levels(question)
            first = next(ranked)
            clock.lap("scan")
            judgements = [one for scan in question.scans for one in scan.judgements()]
            clock.lap("judge")
            head = first
            if rerank and question.scans:
                head = self._reranked(question, first, around)
                clock.lap("rerank")
            bursts = Bursts(question, self.store, around, wanted)
            folds = Folds(self._copies.shots(question.version), around) if fold else None
            every: Iterable[Ranked] = chain([head], ranked)
            every = every if group == "segment" else map(bursts.stacked, every)
            found = list(islice(gather(map(folds.folded, every) if folds else every, group, around), depth))
            others = [bursts.others, folds.others] if folds else [bursts.others]
            found = [replace(one, others=tuple(id_ for some in others for id_ in some.get(one.best, ()))) for one in found]
        clock.lap("scan")
        return found, first, judgements

    def _spread_out(self, question: Question, listed: list[Moment]) -> list[Moment]:
        """The moments in an order in which like ones do not stand together, by the vectors of the first space."""
        head = listed[:DIVERSE]
        if not question.scans or not head:
            return listed
        scan, ids = question.scans[0], np.array([moment.best for moment in head], np.int64)
        vectors = np.zeros((len(ids), scan.space.dim), np.float32)
        with question.reading():
            held = scan.view.live.index.holds(ids)
            known, of_known = np.unique(ids[held], return_inverse=True)
            vectors[held] = scan.view.live.index.reconstruct(known)[of_known]
        order = diversified(np.array([moment.score for moment in head], np.float32), vectors)
        return [*(head[at] for at in order), *listed[DIVERSE:]]

    def _outlook(
        self, question: Question, first: Ranked, judgements: Sequence[Judgement], segments: int, wanted: Filter
    ) -> answers.Outlook:
        """Rate the answer as a whole. Reads the texts of the best segments found by words."""
        by_words = first.ids[among(first.ids, question.found)][:MIN_LITERAL_TEXTS].tolist()
        texts = [segment.text or "" for segment in self.store.segments(by_words, wanted).values()] if by_words else []
        texts += question.names[:MIN_LITERAL_TEXTS]
        if question.scans and all(scan.searcher.unreadable(question.query) for scan in question.scans):
            judgements = [replace(one, logit=min(one.logit, one.doubt - 1)) for one in judgements]
        best = float(first.scores[0]) if len(first.scores) else None
        return answers.outlook(question, judgements, segments, answers.literal(question, texts), best)

    def _sorted(self, listed: Sequence[Moment], sort: Sort, wanted: Filter, line: float | None) -> list[Moment]:
        """The moments that score at least ``line``, in another order. Those deleted in the meantime are left out."""
        above = [moment for moment in listed if line is None or moment.score >= line]
        known = self.store.segments([moment.best for moment in above], wanted)
        above = [moment for moment in above if moment.best in known]
        return [above[at] for at in answers.in_order([(one.best, known[one.best].path) for one in above], sort, self.store)]

    def _assets_ranked(
        self, query: Query, wanted: Filter, k: int, spaces: Sequence[str], words: bool | None
    ) -> tuple[Ids, NDArray[np.float32]]:
        """The ``k`` best assets for a query, best first, and the scores of their best segments, both (n,)."""
        question = self._question(query, wanted, (), spaces, words=words, clock=StageTimes())
        around, assets, scores = QuestionMomentData(question), np.empty(0, np.int64), np.empty(0, np.float32)
        with question.reading():
            for level in levels(question):
                every = np.concatenate([assets, around.rows(level.ids).assets])
                found = np.concatenate([scores, level.scores])
                first = np.sort(np.unique(every, return_index=True)[1])[:k]
                assets, scores = every[first], found[first]
                if len(assets) >= k:
                    break
        return assets, scores

    def _spelt(self, said: WordQuery | None, spaces: Sequence[str], within: Within) -> str:
        """The text of a query as encoders get it: what is misspelt is put right by the archive's words, so that its meaning is what
        was meant. A phrase in quotes stays as it is."""
        if said is None or said.must:
            return said.plain if said else ""
        knowing = [searcher.encoder for searcher in self._open.named(spaces) if isinstance(searcher.encoder, Lexical)]
        if not knowing:
            return said.plain

        def seen(found: Sequence[int]) -> bool:
            return bool(found) and bool(self.store.allowed(np.array(found, np.int64), Filter(within=within)).any())

        return self.words.spelt(
            said.plain, lambda word: any(one.knows(word) for one in knowing), None if within is None else seen
        )

    def _asked(
        self, query: Query, names: Sequence[str], wanted: Filter
    ) -> tuple[list[tuple[Searcher, Aspects]], QueryError | None]:
        """The searchers of spaces that accept the query, each with the query's vectors; and the error of the first space that
        does not. Where none is named, what is wanted says which are asked: see ``OpenSpaces.named``."""
        asked: list[tuple[Searcher, Aspects]] = []
        refusal: QueryError | None = None
        for searcher in self._open.named(names, wanted.modalities):
            try:
                asked.append((searcher, searcher.encode(query, wanted.within)))
            except QueryError as error:
                refusal = refusal or error
        return asked, refusal

    def _heard(self, query: Query) -> tuple[str, list[Query]]:
        """What is said in a recording, and the queries made from it: one by its sound, one by the text of what is said.

        Raises:
            QueryError, InputError: see ``spoken``.
        """
        terms = [term for _, term in parts(query)]
        if len(terms) != 1 or not isinstance(terms[0], Term) or terms[0].modality is not Modality.AUDIO:
            raise QueryError("Only a single recording can be a spoken question.", remedy="Ask with a single sound.")
        heard = self._listener.hear(Path(terms[0].content), terms[0].name)
        return heard, [terms[0], *([Term(heard, Modality.TEXT)] if heard.strip() else [])]

    def _judged(self, query: Query, wanted: Filter) -> list[JudgedAsset]:
        """People's judgements of files for a query, if it is one text, exactly as it was asked."""
        terms = [term for weight, term in parts(query) if weight > 0]
        text = terms[0].content if len(terms) == len(parts(query)) == 1 and isinstance(terms[0], Term) else None
        judgements = Judgements(self._database, wanted.within)
        return judgements.of(text) if isinstance(text, str) and len(text) <= 2 * MAX_QUESTION_CHARACTERS else []

    def _legible(self, wanted: Filter) -> bool:
        """Whether a filter lets anything through that can contain words: texts, and what readers read."""
        kinds = [kind for kind in wanted.kinds if kind.channel in WORDS]
        return any(not kind.read for kind in kinds) or any(
            kind.modality in reader.modalities and kind.channel in reader.channels
            for reader in (self._readers.all() if kinds else ())
            for kind in kinds
        )

    def _texts(self, view: View, wanted: Filter, without: Sequence[int]) -> dict[Kind, int]:
        """The number of searchable texts of each kind in the default space."""
        targets = self.searcher().targets(view, wanted, tuple(without))
        return {kind: len(ids) for kind, ids in targets.items() if kind.channel in WORDS}

    def _reranked(self, question: Question, level: Ranked, around: QuestionMomentData) -> Ranked:
        """The same segments with the same scores, the best shots among them reordered. ``around`` receives the new score of each."""
        shots = level.ids[around.rows(level.ids).kinds == _SHOT][:MAX_RERANKED].tolist()
        before = list(zip(level.ids.tolist(), level.scores.tolist(), strict=True))
        after = xclip.rerank(before, question.scans[0].searcher.finer(question.query, shots))
        position = {id_: at for at, (id_, _) in enumerate(before)}
        moved = level.only(np.array([position[id_] for id_, _ in after], np.intp))
        around.given = dict(after)
        return replace(moved, scores=np.array([score for _, score in after], np.float32))

    def _looked(self, wanted: Filter) -> tuple[str, ...]:
        """What a filter by things cannot tell."""
        if not wanted.things:
            return ()
        looked, every = Things(self._database, wanted.within).looked()
        return (
            f"{looked:,} of {every:,} pictures and videos were looked at for things. Where a detector missed one, it is not counted.",
        )

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()


_SHOT = KINDS.index(Kind(Modality.VIDEO, Channel.VISUAL))

_NONE = np.empty(0, np.int64)
_DAYS, _CODES = _NONE.astype(np.int32), _NONE.astype(np.int8)
_NO_ROWS = Columns(
    _NONE, _NONE, _CODES, _NONE, _DAYS, _DAYS, _CODES, _NONE, _NONE, _CODES, _NONE, _DAYS, _DAYS, _NONE, _NONE.astype(np.float32)
)
_NOTHING_FOUND = (_NONE, _NONE.astype(np.float32), _NO_ROWS)


def _within_limits(k: int, offset: int) -> None:
    """Raises InputError for a page outside of what an answer may hold."""
    if not 1 <= k <= MAX_HITS or offset < 0 or offset + k > MAX_DEPTH:
        raise InputError(
            f"k is {k} and offset {offset}.",
            remedy=f"k lies between 1 and {MAX_HITS}, offset is at least 0, and both together are at most {MAX_DEPTH}: "
            "to look further down, narrow the search with filters.",
        )


def _said(query: Query) -> WordQuery | None:
    """The words to search for. Only if the query is exactly one positive text; else None."""
    if len(parts(query)) == 1:
        ((weight, term),) = parts(query)
        if weight > 0 and isinstance(term, Term) and isinstance(term.content, str):
            return parse(term.content)
    return None


def _notes(question: Question) -> tuple[str, ...]:
    """How a misspelt question was read, what it does not exclude, and what was left out of its files, each note once."""
    terms = [term for weight, term in parts(question.query) if weight and isinstance(term, Term)]
    hint = negation(question.said.plain) if question.said and not question.said.must else None
    hints = (f"Words like “without” exclude nothing. The text form does: {hint}",) if hint else ()
    if question.said and terms[0].content != question.said.plain:
        return (f"Searched as “{terms[0].content}”.", *hints)
    if hints:
        return hints
    told = (scan.searcher.terms.told(term) for scan in question.scans for term in terms if isinstance(term.content, Path))
    return tuple(dict.fromkeys(filter(None, told)))


def _plain(query: Query, said: WordQuery | None, spelt: str = "") -> Query:
    """The query as encoders get it: without quotes and without excluded words, and as it is ``spelt``."""
    return Blend(((parts(query)[0][0], Term(spelt or said.plain, Modality.TEXT)),)) if said else query


def _each(queries: Sequence[Query], ask: Callable[[Query], T]) -> list[T]:
    """The results of ``ask`` for those queries that can be asked: a space that knows no sounds may know the words.

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
