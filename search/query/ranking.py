"""Ranking: sort the segments that answer a question, in an order that does not depend on how many are requested.

The list is built level by level. Each level looks at four times as many candidates as the level before, and adds the new ones.
Re-ranking works within a level, so its results depend on the question alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from search.query import fusion
from search.query.algebra import Query
from search.query.moments import Ranked
from search.query.preferences import SHOWN, Choices, Preference
from search.query.searcher import SpaceScan
from search.query.view import among
from search.store.sql import Columns
from search.store.words import WordQuery
from search.types import Ids

CANDIDATES_PER_SPACE = 250
"""Segments of the first level, of each space."""

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Question:
    """A query ready for ranking, in one state of the archive.

    It holds the query's text, if it is one text; the scans of the spaces that accept it; and what was found by words: segments
    ``found`` (n,), ascending, with scores in log-odds (n,). ``rows`` are the columns of segments that no scan knows. ``excluded``
    gives a mask (n,) of the segments (n,) that contain excluded words. ``word_limit``: so many were found that more may contain
    the words. ``names``: segments that are file names found by words. ``choices``: what somebody preferred among its hits.
    """

    version: int
    query: Query
    said: WordQuery | None
    scans: list[SpaceScan]
    found: Ids
    said_by_words: Scores
    rows: Columns
    excluded: Callable[[Ids], NDArray[np.bool_]] | None = None
    word_limit: bool = False
    names: tuple[str, ...] = ()
    choices: Choices | None = None

    @property
    def only_words(self) -> bool:
        """Whether the query requires a phrase, so that only texts are found."""
        return bool(self.said and self.said.must)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the indexes of its spaces unchanged during ranking. All searches lock the spaces in the same order, so that there
        is no deadlock."""
        with ExitStack() as stack:
            for scan in sorted(self.scans, key=lambda scan: scan.searcher.entry.key):
                stack.enter_context(scan.searcher.reading())
            yield


def levels(question: Question) -> Iterator[Ranked]:
    """All segments that answer, best first within each level. Segments with excluded words are left out."""
    seen, count = np.empty(0, np.int64), CANDIDATES_PER_SPACE
    while True:
        ranked = _candidates(question, count)
        more = len(ranked.ids) >= count
        new = ranked.only(~np.isin(ranked.ids, seen)) if len(seen) else ranked
        seen = np.concatenate([seen, new.ids])
        new = new.only(~question.excluded(new.ids)) if question.excluded else new
        yield new.only(~np.isin(new.ids, question.choices.farther)) if question.choices else new
        if not more:
            return
        count *= 4


def _candidates(question: Question, count: int) -> Ranked:
    """The ``count`` best segments, best first; ties are broken by id."""
    scans = question.scans
    if question.only_words:
        return _fused(question, question.found, count)
    if question.choices:
        near = [question.choices.candidates(at, count) for at in range(len(scans))]
        return _fused(question, np.unique(np.concatenate([question.found, *near])), count)
    if len(scans) == 1 and not len(question.found):
        ids, scores, cosines = scans[0].best(count)
        return Ranked(ids, scores, cosines, np.zeros(len(ids), np.intp))
    return _fused(question, np.unique(np.concatenate([question.found, *(scan.best(count)[0] for scan in scans)])), count)


def _fused(question: Question, ids: Ids, count: int) -> Ranked:
    """The ``count`` best of some segments (n,), sorted by all scores together."""
    known = scored(question, ids)
    return known.only(np.lexsort((known.ids, -known.scores))[:count])


def scored(question: Question, ids: Ids) -> Ranked:
    """Those of some segments (n,) that are searchable, in the given order.

    A score combines meaning and words. With several spaces, the scores in log-odds are added up; see ``fusion``.
    """
    shape = (len(ids), len(question.scans))
    columns, cosines = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
    for at, scan in enumerate(question.scans):
        columns[:, at], cosines[:, at] = scan.score(ids)
        if question.choices:
            columns[:, at] += question.choices.evidence(at, ids)
    words = np.full(len(ids), np.nan, np.float32)
    here = among(ids, question.found)
    words[here] = question.said_by_words[np.searchsorted(question.found, ids[here])]
    held = np.asarray(~np.isnan(columns).all(axis=1), np.bool_)
    found = here if question.only_words else held | here
    ids, columns, cosines, words, held = ids[found], columns[found], cosines[found], words[found], held[found]
    homes = np.full(len(ids), -1)
    if shape[1]:
        homes = np.where(held, np.argmax(np.where(np.isnan(columns), -np.inf, columns), axis=1), -1)
    raw = np.where(held, cosines[np.arange(len(ids)), homes], 0) if shape[1] else np.zeros(len(ids))
    meaning = fusion.by_score(columns) if shape[1] else np.full(len(ids), np.nan, np.float32)
    meaning[~held] = np.nan
    scores = _with_words(meaning, words) if len(question.found) else meaning
    return Ranked(ids, scores, raw.astype(np.float32), homes.astype(np.intp))


def _with_words(meaning: Scores, words: Scores) -> Scores:
    """Fuse scores by meaning (n,) and by words (n,) into one (n,). This is the only place where they are fused."""
    return fusion.by_words(meaning, words)


def preferred(question: Question, preferences: Sequence[Preference]) -> Question:
    """The question with what somebody preferred, one after the other, among the best segments that it then showed. To be called inside
    ``Question.reading``.

    Raises:
        QueryError: a segment is not among what is searched.
    """
    if not preferences:
        return question
    choices = Choices(question.scans)
    question = replace(question, choices=choices)
    for one in preferences:
        shown = next(levels(question)).ids
        choices.add(one, shown[shown != one.segment][:SHOWN])
    return question


class QuestionMomentData:
    """The data about a question's segments that moments need. ``given`` are scores that replace the computed ones, by id."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self.given: dict[int, float] = {}

    def rows(self, ids: Ids) -> Columns:
        """The columns of segments (n,), in their order."""
        parts, order, left = [], [], np.arange(len(ids))
        for columns in (*(scan.view.columns for scan in self._question.scans), self._question.rows):
            here = among(ids[left], columns.ids)
            parts.append(columns.only(np.searchsorted(columns.ids, ids[left[here]])))
            order.append(left[here])
            left = left[~here]
        every = parts[0]
        for part in parts[1:]:
            every = every + part if len(part.ids) else every
        return every.only(np.argsort(np.concatenate(order)))

    def of(self, assets: Ids) -> Columns:
        """The columns of the segments of assets (n,), ascending by segment."""
        own = self._question.rows
        parts: Sequence[Ids] = [scan.view.siblings(assets) for scan in self._question.scans]
        return self.rows(np.unique(np.concatenate([*parts, own.ids[np.isin(own.assets, assets)]])))

    def siblings(self, assets: Ids) -> tuple[Columns, Scores]:
        """The searchable segments of assets that have a span, and their scores (n,)."""
        rows = self.of(assets)
        known = scored(self._question, rows.ids[rows.units > 0])
        if self._question.excluded:
            known = known.only(~self._question.excluded(known.ids))
        scores = known.scores
        if self.given:
            scores = np.array(
                [self.given.get(id_, score) for id_, score in zip(known.ids.tolist(), scores, strict=True)], np.float32
            )
        return rows.only(np.searchsorted(rows.ids, known.ids)), scores
