"""Answers: sort a list of moments, cut one page out of it, and turn the page into hits with the data needed to show them."""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search import traces
from search.query.calibration import Calibration
from search.query.moments import Moment
from search.query.ranking import Question
from search.query.searcher import SpaceScan
from search.query.verdict import Judgement
from search.store import SqlStore
from search.store.folding import terms
from search.store.judgements import JudgedAsset
from search.store.sql import Columns
from search.store.words import TextIndex
from search.types import KINDS, WORDS, Channel, Estimate, Found, Hit, Kind, Modality, Segment, Sort, Verdict

WEAK_PROBABILITY = 0.05
"""The probability below which a hit is a weak match."""

HARDLY_PROBABILITY = 0.02
"""The probability of the best hit below which an answer is not called found."""

MIN_LETTERS = 4
"""The least number of letters in a question's words for a text with these words to count as an answer."""

_LEGIBLE = [code for code, kind in enumerate(KINDS) if kind.channel in WORDS]

_TEXTS = Kind(Modality.TEXT, Channel.TEXT)
_LITERAL_SLOPE, _LITERAL_OFFSET, _LITERAL_LINE, _LITERAL_DOUBT = 6.0, -3.0, 1.5, -1.0
"""The log-odds that a text answers, from the share of the question's words in it (slope and offset); their line and their doubt.
With all words it answers, with half of them it may."""

_NUMBERS = re.compile(r"(\d+)")


def state(question: Question) -> str:
    """An identifier for the archive state in which a question was ranked: the database, and the calibration of every space that was
    searched. It is the same in every service of the archive."""
    views = [(scan.searcher.entry.key, scan.view.state[0], scan.view.fingerprint) for scan in question.scans]
    return digest(question.version, views)


def digest(*values: object) -> str:
    """A short hash of values. It differs for values that print differently."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def in_order(segments: Sequence[tuple[int, str]], sort: Sort, store: SqlStore) -> list[int]:
    """The positions of segments (id, path), sorted by date, name or length of their files. Ties keep their order, best first."""
    if sort == "match":
        return list(range(len(segments)))
    ids = np.array([id_ for id_, _ in segments], np.int64)
    rows = store.rows(ids)
    by = rows.days if sort == "date" else rows.durations
    values = dict(zip(rows.ids.tolist(), by.tolist(), strict=True))
    keys: list[Any] = [natural(path) for _, path in segments] if sort == "name" else [-values.get(id_, -1) for id_, _ in segments]
    return sorted(range(len(segments)), key=keys.__getitem__)


def natural(path: str) -> tuple[list[tuple[int, int | str]], str]:
    """The sort key of a path: its file name, ignoring case and comparing numbers by value; then the path itself."""
    name = path.rsplit("/", 1)[-1].casefold()
    parts = [(0, int(part)) if part.isdecimal() else (1, part) for part in _NUMBERS.split(name) if part]
    return parts, path


def hits(
    moments: Sequence[tuple[int, Moment]], known: dict[int, Segment], question: Question, outlook: Outlook, words: TextIndex,
    judged: Sequence[JudgedAsset] = (),
) -> tuple[Hit, ...]:  # fmt: skip
    """Turn moments and their ranks into hits, with the words of the query marked in their texts. Moments whose segment is no
    longer ``known`` are left out."""
    said = {one.asset: one.right for one in judged}
    found = [
        _hit(rank, moment, known[moment.best], outlook, question.scans, said) for rank, moment in moments if moment.best in known
    ]
    texts = [hit.segment.text or "" for hit in found]
    marks = words.marks(question.said, texts) if question.said and any(texts) else [[] for _ in texts]
    return tuple(_marked(hit, some) for hit, some in zip(found, marks, strict=True))


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known about an answer as a whole, used to rate each of its hits.

    ``judgement`` says whether the answer is in the archive (None: nothing is known). ``segments`` is the number of segments that
    were searched. ``scans`` are the scans that searched by meaning.
    """

    judgement: Judgement | None
    segments: int
    scans: Sequence[SpaceScan]

    @property
    def words(self) -> int:
        """The number of words in the question."""
        return self.scans[0].words if self.scans else 0

    def chance(self, home: int, kind: Kind, score: float) -> float | None:
        """The probability that a hit is right; None if nothing is known."""
        found = self.chances(np.array([score], np.float32), self._calibration(home, kind))
        return None if found is None else float(found[0])

    def chances(self, scores: NDArray[np.float32], calibration: Calibration | None) -> NDArray[np.float64] | None:
        """The probabilities (n,) that hits with scores (n,) are right; None if nothing is known."""
        if calibration is None or self.judgement is None:
            return None
        return calibration.probability(scores, self.segments, self.words)

    def _calibration(self, home: int, kind: Kind) -> Calibration | None:
        """The calibration that gives a hit's probability. For a hit found by words alone it is that of the first space."""
        if not self.scans:
            return None
        scan = self.scans[max(home, 0)]
        known = home < 0 or scan.direction(kind) is not None
        return scan.view.calibration if known and scan.view.calibration.shared else None

    @property
    def found(self) -> Found | None:
        """Whether the archive contains what was asked for."""
        one = self.judgement
        if one is None:
            return None
        verdict: Verdict = "yes" if one.logit >= one.line else "unsure" if one.logit >= one.doubt else "no"
        return Found(verdict, _sigmoid(one.logit), _sigmoid(one.line), one.absent)

    def line(self) -> float | None:
        """The score from which on a hit is more than a weak match."""
        if self.judgement is None or not self.scans or not self.scans[0].view.calibration.shared:
            return None
        calibration = self.scans[0].view.calibration
        return math.log(WEAK_PROBABILITY / (1 - WEAK_PROBABILITY)) - calibration.addition(self.segments, self.words)

    def estimate(self, rows: Columns, scores: NDArray[np.float32], judged: Sequence[JudgedAsset] = ()) -> Estimate | None:
        """Estimate how many files are right from segments with these columns and scores (n,), best first. Judged files count as
        people judged them."""
        calibration = self.scans[0].view.calibration if self.scans else None
        every = self.chances(scores, calibration if calibration and calibration.shared else None)
        if every is None:
            return None
        first = np.sort(np.unique(rows.assets, return_index=True)[1])
        said = {one.asset: float(one.right) for one in judged}
        chances = np.array(
            [said.pop(asset, chance) for asset, chance in zip(rows.assets[first].tolist(), every[first], strict=True)]
        )
        chances = np.concatenate([chances, list(said.values())])  # judged files that are further down the list
        spread = 1.96 * math.sqrt(float((chances * (1 - chances)).sum()))
        expected, legible, sure = float(chances.sum()), np.isin(rows.kinds, _LEGIBLE), every >= 0.5
        at_least = chapman(set(rows.assets[sure & legible].tolist()), set(rows.assets[sure & ~legible].tolist()))
        return Estimate(expected, max(expected - spread, 0.0), min(expected + spread, float(len(chances))), at_least)


def chapman(some: set[int], others: set[int]) -> float | None:
    """A lower estimate of the number of right files, from what two channels found independently (Chapman 1951).

    None if the two sets have nothing in common. If the channels agree more often than by chance, the estimate is too small.
    """
    both = len(some & others)
    return (len(some) + 1) * (len(others) + 1) / (both + 1) - 1 if both else None


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-max(min(logit, 60.0), -60.0)))


def outlook(question: Question, judgements: Sequence[Judgement], segments: int, literal: float, best: float | None) -> Outlook:
    """The outlook of a question. Of several judgements it uses the one that is furthest above its line.

    ``literal`` is the share of the question's words, 0..1, that the best text contains. ``best`` is the score of the best hit: if
    that hit is unlikely to be right, the answer is not called found.
    """
    every = [*judgements]
    if literal:
        every.append(Judgement(_TEXTS, _LITERAL_SLOPE * literal + _LITERAL_OFFSET, _LITERAL_LINE, _LITERAL_DOUBT, 0))
    found = Outlook(max(every, key=lambda one: one.logit - one.line, default=None), segments, question.scans)
    chance = None if best is None else found.chance(0, _TEXTS, best)
    if found.judgement and chance is not None and chance < HARDLY_PROBABILITY and found.judgement.logit >= found.judgement.line:
        return replace(found, judgement=replace(found.judgement, logit=max(found.judgement.line - 0.01, found.judgement.doubt)))
    return found


def literal(question: Question, texts: Sequence[str]) -> float:
    """The largest share of a question's words, 0..1, that any of the texts contains. 0 if the words have too few letters to mean
    anything."""
    if question.said is None:
        return 0.0
    asked = set(terms(question.said.plain))
    telling = {term for term in asked if len(term) > 3} or asked
    if sum(map(len, telling)) < MIN_LETTERS:
        return 0.0
    return max((len(telling & set(terms(text))) / len(telling) for text in texts), default=0.0)


def competitors(scans: Sequence[SpaceScan]) -> dict[Kind, int]:
    """The number of searchable segments of each kind, in the space that holds most of them."""
    found: dict[Kind, int] = {}
    for scan in scans:
        for kind, count in scan.competitors.items():
            found[kind] = max(count, found.get(kind, 0))
    return found


def _hit(
    rank: int, moment: Moment, best: Segment, outlook: Outlook, scans: Sequence[SpaceScan], said: Mapping[int, bool]
) -> Hit:  # fmt: skip
    chance = outlook.chance(moment.home, Kind(best.modality, best.channel), moment.score)
    return Hit(
        rank=rank, score=moment.score, confidence=chance, cosine=moment.cosine,
        space=scans[moment.home].space.name if moment.home >= 0 else "", segment=best, span=moment.span,
        evidence=moment.evidence, stretch=moment.stretch, judged=said.get(best.asset), others=moment.others,
    )  # fmt: skip


def _marked(hit: Hit, marks: Sequence[tuple[int, int]]) -> Hit:
    """The hit with the words of the query marked in its text, and the time at which the first of them is heard."""
    span, detail = hit.span, hit.segment.detail
    starts = span.start if span and span.unit == "ms" else None
    if marks and detail:
        heard = (word.start_ms for word in detail.words if word.start_ms is not None and word.end > marks[0][0])
        starts = next(heard, starts)
    return replace(hit, marks=tuple(marks), starts_ms=starts)


class StageTimes:
    """Adds up milliseconds by stage."""

    def __init__(self) -> None:
        self._began = self._last = time.perf_counter()
        self._spent: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """Add the time since the last lap to a stage."""
        now = time.perf_counter()
        self._spent[stage] = self._spent.get(stage, 0.0) + (now - self._last) * 1000
        traces.lapsed(stage, now - self._last)
        self._last = now

    def total(self) -> dict[str, float]:
        """Milliseconds by stage, and in ``total``."""
        self._spent["total"] = (time.perf_counter() - self._began) * 1000
        return {stage: round(spent, 3) for stage, spent in self._spent.items()}
