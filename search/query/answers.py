"""Answers: a list of moments is put in order, cut, and becomes hits with what a person needs to recognise them."""

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

from search.query.calibration import Calibration
from search.query.moments import Moment
from search.query.ranking import Question
from search.query.searcher import Scan
from search.query.verdict import Judgement
from search.store import SqlStore
from search.store.folding import terms
from search.store.judgements import Judged
from search.store.sql import Columns
from search.store.words import TextIndex
from search.types import KINDS, WORDS, Channel, Estimate, Found, Hit, Kind, Modality, Segment, Sort, Verdict

WEAK = 0.05
"""The probability below which a hit is a weak match."""

HARDLY = 0.02
"""The probability of the best hit below which an answer is not called found."""

FEWEST_LETTERS = 4
"""Letters that the words of a question need for a text that holds them to count as an answer to it."""

_LEGIBLE = [code for code, kind in enumerate(KINDS) if kind.channel in WORDS]

_TEXTS = Kind(Modality.TEXT, Channel.TEXT)
_LITERAL_SLOPE, _LITERAL_OFFSET, _LITERAL_LINE, _LITERAL_DOUBT = 6.0, -3.0, 1.5, -1.0
"""A text that holds all words of a question answers it, one that holds half of them may."""

_NUMBERS = re.compile(r"(\d+)")


def state(question: Question) -> str:
    """A name for the state of the archive in which a question was ranked: of the database, and of every index that was searched."""
    views = [(scan.searcher.entry.key, scan.view.state, scan.view.live.generation) for scan in question.scans]
    return digest(question.version, views)


def digest(*values: object) -> str:
    """A short name for values that print alike only if they are."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def in_order(segments: Sequence[tuple[int, str]], sort: Sort, store: SqlStore) -> list[int]:
    """The positions of segments (id, path), best first, by date, name or length of their files; equals stay best first."""
    if sort == "match":
        return list(range(len(segments)))
    ids = np.array([id_ for id_, _ in segments], np.int64)
    rows = store.rows(ids)
    by = rows.days if sort == "date" else rows.durations
    values = dict(zip(rows.ids.tolist(), by.tolist(), strict=True))
    keys: list[Any] = [natural(path) for _, path in segments] if sort == "name" else [-values.get(id_, -1) for id_, _ in segments]
    return sorted(range(len(segments)), key=keys.__getitem__)


def natural(path: str) -> tuple[list[tuple[int, int | str]], str]:
    """What a path is sorted by: its name, capitals like small letters and numbers by their value, then the path itself."""
    name = path.rsplit("/", 1)[-1].casefold()
    parts = [(0, int(part)) if part.isdecimal() else (1, part) for part in _NUMBERS.split(name) if part]
    return parts, path


def hits(
    moments: Sequence[tuple[int, Moment]], known: dict[int, Segment], question: Question, outlook: Outlook, words: TextIndex,
    judged: Sequence[Judged] = (),
) -> tuple[Hit, ...]:  # fmt: skip
    """Moments with their ranks as hits, what was asked for marked in their texts. Those whose segment is not ``known`` any more are left out."""
    said = {one.asset: one.right for one in judged}
    found = [
        _hit(rank, moment, known[moment.best], outlook, question.scans, said) for rank, moment in moments if moment.best in known
    ]
    texts = [hit.segment.text or "" for hit in found]
    marks = words.marks(question.said, texts) if question.said and any(texts) else [[] for _ in texts]
    return tuple(_marked(hit, some) for hit, some in zip(found, marks, strict=True))


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a question's answer as a whole says of each of its hits: whether what is asked for is here, ``judgement``, None where nothing is known; among how
    many ``segments``; and by which ``scans`` its meaning was looked for."""

    judgement: Judgement | None
    segments: int
    scans: Sequence[Scan]

    @property
    def words(self) -> int:
        """How many words the question has."""
        return self.scans[0].words if self.scans else 0

    def chance(self, home: int, kind: Kind, score: float) -> float | None:
        """The probability that a hit is right; None where nothing is known."""
        found = self.chances(np.array([score], np.float32), self._calibration(home, kind))
        return None if found is None else float(found[0])

    def chances(self, scores: NDArray[np.float32], calibration: Calibration | None) -> NDArray[np.float64] | None:
        """The probabilities (n,) that hits with scores (n,) are right; None where nothing is known."""
        if calibration is None or self.judgement is None:
            return None
        return calibration.probability(scores, self.segments, self.words)

    def _calibration(self, home: int, kind: Kind) -> Calibration | None:
        """What tells the probability of a hit; of what words alone found, what does so for the first space."""
        if not self.scans:
            return None
        scan = self.scans[max(home, 0)]
        known = home < 0 or scan.direction(kind) is not None
        return scan.view.calibration if known and scan.view.calibration.shared else None

    @property
    def found(self) -> Found | None:
        """Whether what was asked for is here."""
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
        return math.log(WEAK / (1 - WEAK)) - calibration.addition(self.segments, self.words)

    def estimate(self, rows: Columns, scores: NDArray[np.float32], judged: Sequence[Judged] = ()) -> Estimate | None:
        """How many files are right, by the scores (n,) of segments with these columns, best first; of those that were judged it is known."""
        calibration = self.scans[0].view.calibration if self.scans else None
        every = self.chances(scores, calibration if calibration and calibration.shared else None)
        if every is None:
            return None
        first = np.sort(np.unique(rows.assets, return_index=True)[1])
        said = {one.asset: float(one.right) for one in judged}
        chances = np.array(
            [said.pop(asset, chance) for asset, chance in zip(rows.assets[first].tolist(), every[first], strict=True)]
        )
        chances = np.concatenate([chances, list(said.values())])  # those that were judged and stand further down
        spread = 1.96 * math.sqrt(float((chances * (1 - chances)).sum()))
        expected, legible, sure = float(chances.sum()), np.isin(rows.kinds, _LEGIBLE), every >= 0.5
        at_least = chapman(set(rows.assets[sure & legible].tolist()), set(rows.assets[sure & ~legible].tolist()))
        return Estimate(expected, max(expected - spread, 0.0), min(expected + spread, float(len(chances))), at_least)


def chapman(some: set[int], others: set[int]) -> float | None:
    """How many there are at least, from what two channels found on their own (Chapman 1951); None where they have nothing in common. Channels that find
    the same more often than by chance make it too small."""
    both = len(some & others)
    return (len(some) + 1) * (len(others) + 1) / (both + 1) - 1 if both else None


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-max(min(logit, 60.0), -60.0)))


def outlook(question: Question, judgements: Sequence[Judgement], segments: int, literal: float, best: float | None) -> Outlook:
    """The outlook of a question: its best judgement by how far it lies above its line. ``literal`` is the share of its words, 0..1, that the best text
    holds; ``best`` the score of the best hit: where that is hardly likely to be right, the answer is not called found."""
    every = [*judgements]
    if literal:
        every.append(Judgement(_TEXTS, _LITERAL_SLOPE * literal + _LITERAL_OFFSET, _LITERAL_LINE, _LITERAL_DOUBT, 0))
    found = Outlook(max(every, key=lambda one: one.logit - one.line, default=None), segments, question.scans)
    chance = None if best is None else found.chance(0, _TEXTS, best)
    if found.judgement and chance is not None and chance < HARDLY and found.judgement.logit >= found.judgement.line:
        return replace(found, judgement=replace(found.judgement, logit=max(found.judgement.line - 0.01, found.judgement.doubt)))
    return found


def literal(question: Question, texts: Sequence[str]) -> float:
    """The share of a question's words, 0..1, that one of some texts holds; 0 where the words have too few letters to mean anything."""
    if question.said is None:
        return 0.0
    asked = set(terms(question.said.plain))
    telling = {term for term in asked if len(term) > 3} or asked
    if sum(map(len, telling)) < FEWEST_LETTERS:
        return 0.0
    return max((len(telling & set(terms(text))) / len(telling) for text in texts), default=0.0)


def competitors(scans: Sequence[Scan]) -> dict[Kind, int]:
    """How many segments of each kind may be found, in the space that holds most of them."""
    found: dict[Kind, int] = {}
    for scan in scans:
        for kind, count in scan.competitors.items():
            found[kind] = max(count, found.get(kind, 0))
    return found


def _hit(
    rank: int, moment: Moment, best: Segment, outlook: Outlook, scans: Sequence[Scan], said: Mapping[int, bool]
) -> Hit:  # fmt: skip
    chance = outlook.chance(moment.home, Kind(best.modality, best.channel), moment.score)
    return Hit(
        rank=rank, score=moment.score, confidence=chance, cosine=moment.cosine,
        space=scans[moment.home].space.name if moment.home >= 0 else "", segment=best, span=moment.span,
        evidence=moment.evidence, stretch=moment.stretch, judged=said.get(best.asset), others=moment.others,
    )  # fmt: skip


def _marked(hit: Hit, marks: Sequence[tuple[int, int]]) -> Hit:
    """The hit with what was asked for marked in its text, and when the first of it is said."""
    span, detail = hit.span, hit.segment.detail
    starts = span.start if span and span.unit == "ms" else None
    if marks and detail:
        heard = (word.start_ms for word in detail.words if word.start_ms is not None and word.end > marks[0][0])
        starts = next(heard, starts)
    return replace(hit, marks=tuple(marks), starts_ms=starts)


class Clock:
    """Adds up milliseconds by stage."""

    def __init__(self) -> None:
        self._began = self._last = time.perf_counter()
        self._spent: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """What was spent since the last lap goes to a stage."""
        now = time.perf_counter()
        self._spent[stage] = self._spent.get(stage, 0.0) + (now - self._last) * 1000
        self._last = now

    def total(self) -> dict[str, float]:
        """Milliseconds by stage, and in ``total``."""
        self._spent["total"] = (time.perf_counter() - self._began) * 1000
        return {stage: round(spent, 3) for stage, spent in self._spent.items()}
