"""Ranking: the segments that answer a question, in an order that does not depend on how many of them are wanted.

The order is made level by level: each level looks at four times as many candidates as the one before, and adds those that are new. So
what is fused by rank, or re-ranked, is so within a set of candidates that only the question decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.query import fusion
from search.query.algebra import Query
from search.query.moments import Ranked
from search.query.searcher import Scan
from search.query.view import among
from search.store.sql import Columns
from search.store.words import Words
from search.types import Ids

CANDIDATES = 250
"""Segments of the first level, of each space."""

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Question:
    """A query ready to be ranked, in one state of the archive: the text that it is, if it is one, the scans of the spaces that know it, and what
    its words found: segments ``found`` (n,), ascending, and what their words say, in standard deviations (n,).

    ``rows`` are the columns of those that no scan knows. ``excluded`` tells which segments (n,) hold what must not occur, a mask (n,). ``word_limit``: so
    many were found that more may hold the words. ``names``: those of files that were found by them.
    """

    version: int
    query: Query
    said: Words | None
    scans: list[Scan]
    found: Ids
    said_by_words: Scores
    rows: Columns
    excluded: Callable[[Ids], NDArray[np.bool_]] | None = None
    word_limit: bool = False
    names: tuple[str, ...] = ()

    @property
    def only_words(self) -> bool:
        """Whether a phrase must occur, so that nothing else is found."""
        return bool(self.said and self.said.must)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While it is ranked: no index of its spaces changes. They are entered in one order, so that searches never wait for each other in a circle."""
        with ExitStack() as stack:
            for scan in sorted(self.scans, key=lambda scan: scan.searcher.entry.key):
                stack.enter_context(scan.searcher.reading())
            yield


def levels(question: Question) -> Iterator[Ranked]:
    """Every segment that answers, best first within each level; what must not occur is left out."""
    seen, count = np.empty(0, np.int64), CANDIDATES
    while True:
        ranked = _candidates(question, count)
        more = len(ranked.ids) >= count
        new = ranked.only(~np.isin(ranked.ids, seen)) if len(seen) else ranked
        seen = np.concatenate([seen, new.ids])
        yield new.only(~question.excluded(new.ids)) if question.excluded else new
        if not more:
            return
        count *= 4


def _candidates(question: Question, count: int) -> Ranked:
    """The ``count`` best segments, best first, equals by id."""
    scans = question.scans
    if question.only_words:
        return _fused(question, question.found, count)
    if len(scans) == 1 and not len(question.found):
        ids, scores, cosines = scans[0].best(count)
        return Ranked(ids, scores, cosines, np.zeros(len(ids), np.intp))
    return _fused(question, np.unique(np.concatenate([question.found, *(scan.best(count)[0] for scan in scans)])), count)


def _fused(question: Question, ids: Ids, count: int) -> Ranked:
    """Some segments (n,) in the order of all that is known of them, the ``count`` best."""
    known, columns = _scored(question, ids)
    by_rank = len(question.scans) > 1 and not len(question.found) and not all(scan.calibrated for scan in question.scans)
    fused = fusion.by_rank(columns) if by_rank and len(known.ids) else known.scores
    return known.only(np.lexsort((known.ids, -fused))[:count])


def _scored(question: Question, ids: Ids) -> tuple[Ranked, Scores]:
    """Those of some segments (n,) that may be found, in the order given, and their scores by space (m, spaces), NaN for none.

    A score is what meaning and words say together. Of several spaces the standardised scores are added up, or the best one is
    shown where a space holds too little for that, see ``fusion``.
    """
    shape = (len(ids), len(question.scans))
    columns, cosines = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
    for at, scan in enumerate(question.scans):
        columns[:, at], cosines[:, at] = scan.score(ids)
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
    meaning = _meaning(question, columns, homes)
    scores = _with_words(meaning, words) if len(question.found) else meaning
    return Ranked(ids, scores, raw.astype(np.float32), homes.astype(np.intp)), columns


def _meaning(question: Question, columns: Scores, homes: NDArray[np.intp]) -> Scores:
    """What meaning says of segments (n,), from their scores by space (n, spaces); NaN where no space holds one."""
    held = homes >= 0
    if not columns.shape[1]:
        return np.full(len(columns), np.nan, np.float32)
    if len(question.found) or all(scan.calibrated for scan in question.scans):
        return np.where(held, fusion.by_score(columns), np.nan).astype(np.float32)
    return columns[np.arange(len(columns)), homes]


def _with_words(meaning: Scores, words: Scores) -> Scores:
    """What meaning and what words say of segments, both (n,), as one (n,): the one place where they are fused."""
    return fusion.by_words(meaning, words)


class Surroundings:
    """What moments need to know of a question's segments. ``given`` are scores that take the place of their own, by id."""

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

    def siblings(self, assets: Ids) -> tuple[Columns, Scores]:
        """The segments of assets that may be found and have a span, and their scores (n,)."""
        own = self._question.rows
        parts: Sequence[Ids] = [scan.view.siblings(assets) for scan in self._question.scans]
        rows = self.rows(np.unique(np.concatenate([*parts, own.ids[np.isin(own.assets, assets)]])))
        known, _ = _scored(self._question, rows.ids[rows.units > 0])
        if self._question.excluded:
            known = known.only(~self._question.excluded(known.ids))
        scores = known.scores
        if self.given:
            scores = np.array(
                [self.given.get(id_, score) for id_, score in zip(known.ids.tolist(), scores, strict=True)], np.float32
            )
        return rows.only(np.searchsorted(rows.ids, known.ids)), scores
