"""A searcher: one space, open for search. It encodes questions, filters, scans and calibrates."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from search.encoders import Calibrated, Encoder, GrainedEncoder
from search.errors import QueryError, UnknownName
from search.index import GenerationManifest, Generations, nearest, place, similarities
from search.index.ivf import RECALL_DEPTH
from search.live import SAMPLED_VECTORS, LiveIndex
from search.mirror import Mirror
from search.query.algebra import Near, Query, Term, parts
from search.query.calibration import SMALLEST_SPREAD, Calibration, Direction, Scale, fingerprint, load, spread_of, stamp, usual_of
from search.query.gate import Gate
from search.query.recall_check import Reached, RecallCheck, Sampled, reached
from search.query.terms import Aspects, Terms, Vector, unit, vector_for
from search.query.verdict import BEST, Alike, Judgement, Profile, alike, features, judge
from search.query.view import MAX_FILTERS, Covering, Grown, View, among
from search.query.xclip import XClip
from search.settings import Settings
from search.store import SqlStore
from search.store.spaces import SpaceEntry
from search.store.sql import Columns
from search.types import KINDS, Channel, Filter, Ids, Kind, Modality, Space, Vectors, Within

MAX_UNREADABLE = 0.6
"""From this share of letters that an encoder knows only singly, it cannot read a text."""

MANY_IDS = 1_000
"""From this many new segments on, if they outnumber the known ones, everything is read again: that is as fast."""

MANY_KEPT = 128
"""Judged questions by which lists are tuned, at most."""

_NONE = np.empty(0, np.int64)

_NOTICED = 0.05
"""If refreshing takes longer than this, in seconds, it is not done at every search."""


class Searcher:
    """One space, open for search. Threads may search at the same time.

    Its view of the archive (filter columns, index, samples) is refreshed after the database has changed.
    """

    def __init__(self, settings: Settings, store: SqlStore, entry: SpaceEntry, encoder: Encoder) -> None:
        """Open the index of a space of the archive; ``encoder`` is the encoder of that space."""
        self.store, self.entry, self.encoder, self.space = store, entry, encoder, entry.space
        self.judgements = store.judgements
        self.terms = Terms(encoder, settings)
        self._key, self._home = entry.key, settings.home
        self._weights = Path(settings.xclip).expanduser() if settings.xclip else None
        self._kind = settings.index_kind
        self._generations = Generations(settings.home / "index", entry.key, self.space.name, self.space.dim)
        self._gate = Gate()
        self._mirror = Mirror.of(settings, store, entry.key, self.space)
        here = partial(place, device=settings.index_device, kind=settings.index_kind)
        self._place = here if self._mirror is None else self._mirror.place
        self._refreshing = threading.Lock()
        self._due = 0.0
        self._covering = Covering(store, self._key, self._generations.coverage)
        self._check = RecallCheck(self._gate.shared)
        self._view = self._look()

    def write_generation(self) -> GenerationManifest:
        """Write a new generation of the index."""
        with self._refreshing, self._gate.alone():
            return self.live.write()

    def close(self) -> None:
        """Stop everything that was started."""
        self._check.close()
        self._covering.close()
        self.terms.close()
        if self._mirror is not None:
            self._mirror.close()

    def encode(self, query: Query, within: Within = None) -> Aspects:
        """The query's unit vectors by channel: the weighted sum of its terms'. Segments are taken from the collections ``within``.

        Raises:
            QueryError: terms that cancel out or that the space does not know, a file that cannot be read, an unknown segment.
        """
        terms = [(weight, self.aspects(term, within)) for weight, term in parts(query) if weight]
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

    def aspects(self, term: Term | Near, within: Within = None) -> Aspects:
        """The unit vectors of one term by channel, see ``encode``."""
        if isinstance(term, Term):
            return self.terms.encode(term)
        asked = np.array([term.segment], np.int64)
        found = self.store.vectors(self._key, self.space.dim, asked)
        is_seen = within is None or self.store.allowed(asked, Filter(within=within))[0]
        if term.segment not in found or not is_seen:
            raise QueryError(
                f"There is no segment {term.segment} in the space {self.space.name!r}.",
                remedy="Take a segment's number from the hits of a search.",
            )
        return {Channel.VISUAL: unit(found[term.segment])}

    @property
    def live(self) -> LiveIndex:
        """The current index."""
        return self._view.live

    @property
    def calibration(self) -> Calibration:
        """The calibration for searches that start now."""
        return self._view.calibration

    @property
    def complaint(self) -> str | None:
        """Why the calibration that was made for this archive cannot be used; None if it can."""
        return self._view.complaint

    def current(self, version: int) -> View:
        """The view of the archive. One thread refreshes; others use the stale view.

        ``version`` is the store's, read just before. While the archive grows without pause, refreshing takes at most a fifth of
        the time.
        """
        if (
            time.monotonic() >= self._due
            and self._state(version) != self._view.state
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

    def has_followed(self, version: int) -> bool:
        """Whether searches that start now know all of the database's first ``version`` writes."""
        return self._view.state[0] >= version

    def _state(self, version: int) -> tuple[int, int, int]:
        """What a view depends on: the version of the database, the written generations, and the calibration."""
        opened = self._generations.stamp() + (0 if self._mirror is None else self._mirror.epoch)
        return version, opened, stamp(self._home, self.space)

    def _look(self, before: View | None = None) -> View:
        """The view of the newest state. Of the view ``before``, only what has changed is read again."""
        state = self._state(self.store.version())
        view = self._look_at_segments(state, before)
        if before and before.state[2] == state[2]:
            self._check.follow(view.live, before.calibration.questions, self._kept_questions)
            return replace(view, calibration=before.calibration, complaint=before.complaint, fingerprint=before.fingerprint)
        calibration, complaint = load(self._home, self.space, self.encoder)
        self._check.follow(view.live, calibration.questions, self._kept_questions)
        print_ = fingerprint(self._home, self.space)
        return replace(view, calibration=calibration, complaint=complaint, fingerprint=print_, profiles={})

    def _kept_questions(self) -> Vectors | None:
        """Texts that were judged in this archive, as vectors (n, dim); None where nothing was, or the space reads no texts."""
        texts = [*self.judgements.questions()][:MANY_KEPT] if Modality.TEXT in self.space.accepts else []
        return (
            np.concatenate([self.terms.encode(Term(text, Modality.TEXT))[Channel.VISUAL][None] for text in texts])
            if texts
            else None
        )

    def note(self, asked: Sampled) -> None:
        """Have a question checked, perhaps: see ``RecallCheck``."""
        self._check.note(asked)

    def reached(self) -> list[Reached]:
        """The recall of lists, as far as it is known; nothing where everything is scanned."""
        return reached({kind: scan.effort for kind, scan in self.live.coded.items() if scan.effort is not None})

    def _look_at_segments(self, state: tuple[int, int, int], before: View | None) -> View:
        """Read what filters and samples need, and update the index. Of the view ``before``, only what has changed is read again.

        If a newer generation was written, it is loaded beside the current index and then replaces it.
        """
        if before and state[0] < before.state[0]:  # another database, or one set back
            before = None
        live, opened = before.live if before and before.state[1] == state[1] else None, before is None
        if before is None:
            live = self._live()
            before = self._kept(state, live)
        new, last = self.store.added(self._key, after=before.followed[0]) if before else (_NONE, 0)
        if before is None or len(new) > max(len(before.columns.ids), MANY_IDS):
            return self._look_at_all(state, live)
        more = self.store.rows(
            new[~among(new, before.columns.ids)]
        )  # before the index is brought up to date, which then knows all of these
        if live is None:
            live = self._live()
        else:
            live.refresh(self._gate.alone)
        until, removed, altered = self.store.removals(
            self._key, after=before.followed[1]
        )  # and this after it, which then has dropped no others
        followed = (last, until)
        with self._gate.shared():
            view = self._followed(before, state, live, followed, more, removed, altered)
        if opened and not self._is_true(view.columns):
            return self._look_at_all(state, live)
        self._covering.follow(state[0], len(view.columns.ids))
        return view

    def _live(self) -> LiveIndex:
        return LiveIndex(self.store, self._home, self.space, self._key, place=self._place, kind=self._kind)

    def _kept(self, state: tuple[int, int, int], live: LiveIndex) -> View | None:
        """The view of the state in which a generation was written, from the columns that it brought along; None without them."""
        with self._gate.shared():
            kept = live.kept()
            return View.of(state, live, *kept, self._covering) if kept else None

    def _is_true(self, columns: Columns) -> bool:
        """Whether a sample of the columns is as the database has it."""
        some = np.unique(np.linspace(0, len(columns.ids) - 1, min(SAMPLED_VECTORS, len(columns.ids)), dtype=np.intp))
        return self.store.rows(columns.ids[some]).same(columns.only(some))

    def _look_at_all(self, state: tuple[int, int, int], live: LiveIndex | None) -> View:
        """A view built from scratch, by reading everything that the space holds."""
        followed = self.store.sequences()
        columns = self.store.columns(self._key)  # before the index, see above
        if live is None:
            live = self._live()
        else:
            live.refresh(self._gate.alone)
        with self._gate.shared():
            held = live.index.holds(columns.ids)  # it may have dropped some since
            view = View.of(state, live, followed, columns if held.all() else columns.only(held), self._covering)
        self._covering.follow(state[0], len(columns.ids))
        return view

    def _followed(
        self, before: View, state: tuple[int, int, int], live: LiveIndex, followed: tuple[int, int], more: Columns, removed: Ids,
        altered: Ids,
    ) -> View:  # fmt: skip
        """The view after segments were added (``more``) or removed and assets changed in what filters read. Everything else is
        unchanged."""
        columns = before.columns
        at, now = (
            np.empty(0, np.intp),
            more.only(np.empty(0, np.intp)),
        )  # the rows of altered assets: where they stand, and what they are now
        if len(altered):
            at, now = np.sort(before.rows(altered)), self.store.columns(self._key, altered)
            now = now.only(live.index.holds(now.ids) & ~among(now.ids, more.ids))
        gone = among(removed, columns.ids).any() or among(removed, more.ids).any()
        newer = not len(more.ids) or not len(columns.ids) or more.ids[0] > columns.ids[-1]
        if newer and not gone and now.same(columns.only(at)):
            view = before.grown(state, live, followed, more)
            self._refilter(before, view, more, places=not len(altered))
            return view
        stays = ~among(columns.ids, removed)
        stays[at] = False
        every = columns.only(stays) + more.only(~among(more.ids, removed)) + now
        return View.of(state, live, followed, every.only(np.argsort(every.ids)), self._covering, before)

    def _refilter(self, before: View, view: View, more: Columns, *, places: bool) -> None:
        """Keep the remembered filter results in a grown view. ``places``: no file was moved, so results of filters by place stay
        valid too."""
        for (wanted, without), known in list(before.filtered.items()):
            stated = wanted.cameras or wanted.rights or wanted.areas
            if (
                wanted.tags
                or wanted.fields
                or stated
                or wanted.speech is not None
                or ((wanted.collections or wanted.under) and not places)
            ):
                continue
            try:
                found = self._let_through(more, wanted, without)
            except UnknownName:  # gone
                continue
            view.filtered[wanted, without] = {
                kind: known[kind].grow(found[kind]) if kind in known else Grown(found[kind])
                for kind in KINDS
                if kind in known or len(found[kind])
            }

    def finer(self, query: Query, shots: Sequence[int]) -> dict[int, float]:
        """X-CLIP similarities between a query's text and shots, by segment. Only shots whose frames the space keeps are included.

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

    def prepare(self, query: Query, asked: Aspects, view: View, wanted: Filter, without: tuple[int, ...]) -> SpaceScan:
        """The scan of a question in a ``view``: the scale of each kind for this question, and the ids that may be found."""
        modality, words = self.nature(query, view)
        targets = self.targets(view, wanted, without)
        spreads: dict[tuple[int, int], tuple[float, float]] = {}
        scales = {kind: self._scale(view, kind, vector_for(asked, kind), modality, spreads) for kind in targets}
        return SpaceScan(self, view, asked, scales, targets, modality, words)

    def _scale(
        self, view: View, kind: Kind, vector: Vector, asked: Modality, spreads: dict[tuple[int, int], tuple[float, float]]
    ) -> Scale:
        """The scale of a kind: from the impostor cohort, or from a sample of the archive if there is none. ``spreads`` caches
        what kinds share."""
        cohort, direction = view.calibration.cohort(kind), view.calibration.direction(asked, kind)
        slopes = (direction.slope, direction.offset) if direction else ()
        if cohort is None:
            return Scale.of(np.einsum("nd,d->n", view.samples[kind][1], vector), *slopes)
        key = (id(cohort), id(vector))
        spreads.setdefault(key, spread_of(cohort, vector))
        return Scale.at(*spreads[key], *slopes)

    def nature(self, query: Query, view: View) -> tuple[Modality, int]:
        """The two values of a query that its calibration needs: the modality of its heaviest term, and the number of words in its
        texts."""
        terms = [(weight, term) for weight, term in parts(query) if weight > 0] or list(parts(query))
        words = sum(
            len(str(term.content).split()) for _, term in terms if isinstance(term, Term) and term.modality is Modality.TEXT
        )
        heaviest = max(terms, key=lambda one: abs(one[0]))[1]
        if isinstance(heaviest, Term):
            return heaviest.modality, words
        at = np.searchsorted(view.columns.ids, heaviest.segment)
        known = at < len(view.columns.ids) and view.columns.ids[at] == heaviest.segment
        return (KINDS[view.columns.kinds[at]].content if known else Modality.IMAGE), words

    def unreadable(self, query: Query) -> bool:
        """Whether the query is one text that the encoder cannot read, so that its vector means nothing."""
        terms = [term.content for _, term in parts(query) if isinstance(term, Term)]
        text = terms[0] if len(terms) == 1 else None
        return isinstance(text, str) and isinstance(self.encoder, Calibrated) and self.encoder.unreadable(text) > MAX_UNREADABLE

    def profile(self, view: View, asked: Modality, kind: Kind) -> Profile | None:
        """How the archive's sample of a kind answers the cohort's questions. Made on first use."""
        key = (asked, kind)
        if key not in view.profiles:
            cohort, questions = view.calibration.cohort(kind), view.calibration.questions.get(asked)
            ids, vectors = view.samples[kind]
            if cohort is None or questions is None or not len(ids):
                view.profiles[key] = None
            else:
                view.profiles[key] = Profile.of(ids, vectors, cohort, questions)
        return view.profiles[key]

    def targets(self, view: View, wanted: Filter, without: tuple[int, ...]) -> dict[Kind, Ids]:
        """The segments that pass the filter, ascending, by kind. The same filter returns the same arrays."""
        key = (wanted, without)
        if (known := view.filtered.get(key)) is None:
            found = self._let_through(view.columns, wanted, without)
            known = {kind: Grown(ids) for kind, ids in found.items() if len(ids)}
            if len(view.filtered) >= MAX_FILTERS:
                view.filtered.clear()
            view.filtered[key] = known
        return {kind: grown.array for kind, grown in known.items()}

    def _let_through(self, columns: Columns, wanted: Filter, without: tuple[int, ...]) -> dict[Kind, Ids]:
        """The segments of ``columns`` that pass a filter, by kind."""
        mask = self.store.select(columns, wanted)
        mask &= ~np.isin(columns.assets, without)
        return {kind: columns.ids[mask & (columns.kinds == code)] for code, kind in enumerate(KINDS)}

    def allowed(self, ids: Ids, view: View, wanted: Filter, without: tuple[int, ...]) -> NDArray[np.bool_]:
        """A mask (n,) of the segments (n,) that may be found. The store is queried only for segments that this space does not
        hold."""
        mask = np.zeros(len(ids), np.bool_)
        for within in self.targets(view, wanted, without).values():
            mask |= among(ids, within)
        if len(others := np.flatnonzero(~among(ids, view.columns.ids))):
            mask[others] = self.store.allowed(ids[others], wanted, without)
        return mask

    def vectors(self, view: View, ids: Ids) -> Vectors:
        """The vectors (n, dim) of segments (n,), ascending, in a view."""
        with self._gate.shared():
            return view.live.index.reconstruct(ids)

    def reading(self) -> AbstractContextManager[None]:
        """Lock the index against changes while it is read. A thread inside must not enter again, and must not refresh a view."""
        return self._gate.shared()


@dataclass(frozen=True, slots=True)
class SpaceScan:
    """A question to one space, ready to run: its vectors, the scales of its scores, and the ids that may be found, by kind."""

    searcher: Searcher
    view: View
    asked: Aspects
    scales: dict[Kind, Scale]
    targets: dict[Kind, Ids]
    modality: Modality
    words: int
    _judged: dict[Kind, Judgement | None] = field(default_factory=dict)
    _alike: dict[int, Alike] = field(default_factory=dict)

    @property
    def space(self) -> Space:
        """The space that is searched."""
        return self.searcher.space

    @property
    def competitors(self) -> dict[Kind, int]:
        """The number of searchable segments of each kind."""
        return {kind: len(some) for kind, some in self.targets.items()}

    def direction(self, kind: Kind) -> Direction | None:
        """What is known of such questions to segments of a kind."""
        return self.view.calibration.direction(self.modality, kind)

    def judgements(self) -> list[Judgement]:
        """Whether the answer is there, by kind, of the kinds of which something is known. To be called inside ``Searcher.reading``."""
        return [one for kind in self.targets if (one := self._judgement(kind))]

    def _judgement(self, kind: Kind, best: tuple[Ids, NDArray[np.float32]] | None = None) -> Judgement | None:
        """Whether a kind holds the answer; ``best`` are its best segments, if they are known already."""
        if kind not in self._judged:
            self._judged[kind] = self._judge(kind, *(best or self._nearest(kind, BEST)))
        return self._judged[kind]

    def _judge(self, kind: Kind, ids: Ids, cosines: NDArray[np.float32]) -> Judgement | None:
        direction, profile = self.direction(kind), self.searcher.profile(self.view, self.modality, kind)
        if direction is None or profile is None or not len(ids):
            return None
        calibration, within, vector = self.view.calibration, self.targets[kind], vector_for(self.asked, kind)
        if id(vector) not in self._alike:
            self._alike[id(vector)] = alike(calibration, self.modality, vector)
        found = features(
            calibration, self.modality, kind, vector, cosines, self.view.live.index.reconstruct(ids[:BEST]), profile,
            among(profile.ids, within), len(within), self.words, self._alike[id(vector)],
        )  # fmt: skip
        return judge(direction, kind, found, len(within), self.words)

    def _nearest(self, kind: Kind, count: int) -> tuple[Ids, NDArray[np.float32]]:
        vector, within = vector_for(self.asked, kind), self.targets[kind]
        found = nearest(self.view.live.index, vector, count, within)
        if count >= RECALL_DEPTH:
            self.searcher.note(Sampled(kind, self.modality, vector, within, found[0][:RECALL_DEPTH]))
        return found

    def best(self, count: int) -> tuple[Ids, NDArray[np.float32], NDArray[np.float32]]:
        """The ``count`` best segments over all kinds, best first, ties by id: ids, scores in log-odds, cosines, each (n,).

        Call it inside ``Searcher.reading``, like ``score``.
        """
        ids, scores, cosines = [np.empty(0, np.int64)], [np.empty(0, np.float32)], [np.empty(0, np.float32)]
        for kind in self.targets:
            found, cosine = self._nearest(kind, count)
            self._judgement(kind, (found, cosine))
            ids.append(found)
            cosines.append(cosine)
            scores.append(self._comparable(kind, cosine))
        every, found = np.concatenate(scores), np.concatenate(ids)
        best = np.lexsort((found, -every))[:count]
        return found[best], every[best], np.concatenate(cosines)[best]

    def score(self, ids: Ids) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scores in log-odds and cosines (n,) of segments; NaN for segments that this space does not hold or that may not be
        found."""
        scores, cosines = np.full((2, len(ids)), np.nan, np.float32)
        held = self.view.live.index.holds(ids)  # some may have been deleted since the view was made
        for kind, within in self.targets.items():
            here = held & among(ids, within)
            if here.any():
                cosines[here] = similarities(self.view.live.index, vector_for(self.asked, kind), ids[here])
                scores[here] = self._comparable(kind, cosines[here])
        return scores, cosines

    def _comparable(self, kind: Kind, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn a kind's cosines (n,) into scores that are comparable across kinds. This is the only place where this is done."""
        return self.scales[kind].score(cosines) + np.float32(self.here(kind))

    def here(self, kind: Kind) -> float:
        """What it adds to the score of each segment of a kind that the kind holds the answer, or does not: in log-odds."""
        direction, judgement = self.direction(kind), self._judgement(kind)
        return direction.here * judgement.logit if direction and judgement else 0.0

    def vector(self, segment: int) -> Vector:
        """The vector (dim,) of a segment that the index holds."""
        return np.asarray(self.view.live.index.reconstruct(np.array([segment], np.int64))[0], np.float32)

    def alarm(self, kind: Kind, rate: float) -> float:
        """The cosine that a share ``rate``, 0..1, of unrelated content of a kind reaches: a quantile of the impostor cohort, or beyond it of the
        normal distribution with its mean and spread, whichever is higher. Without a cohort: of the usual spread in the archive."""
        cosines, deviations = (
            np.einsum("nd,d->n", self.unrelated(kind), vector_for(self.asked, kind)),
            NormalDist().inv_cdf(1 - rate),
        )
        if self.view.calibration.cohort(kind) is None:
            middle, spread = usual_of(cosines)
            return middle + deviations * spread
        normal = float(cosines.mean()) + deviations * max(float(cosines.std()), SMALLEST_SPREAD)
        return max(normal, float(np.quantile(cosines, 1 - rate)))

    def unrelated(self, kind: Kind) -> Vectors:
        """The contents (n, dim) that the scale of a kind rests on: the impostor cohort, or a sample of the archive."""
        cohort = self.view.calibration.cohort(kind)
        return self.view.samples[kind][1] if cohort is None else cohort
