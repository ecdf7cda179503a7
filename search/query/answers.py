"""Answers: a list of moments is put in order, cut, and becomes hits with what a person needs to recognise them."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from search.query.calibration import confidence
from search.query.moments import Moment
from search.query.ranking import Question
from search.query.searcher import Scan
from search.store import SqlStore
from search.store.words import TextIndex
from search.types import Hit, Kind, Segment, Sort

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
    moments: Sequence[tuple[int, Moment]], known: dict[int, Segment], question: Question, competitors: dict[Kind, int], words: TextIndex
) -> tuple[Hit, ...]:  # fmt: skip
    """Moments with their ranks as hits, what was asked for marked in their texts. Those whose segment is not ``known`` any more are left out."""
    found = [
        _hit(rank, moment, known[moment.best], competitors, question.scans) for rank, moment in moments if moment.best in known
    ]
    texts = [hit.segment.text or "" for hit in found]
    marks = words.marks(question.said, texts) if question.said and any(texts) else [[] for _ in texts]
    return tuple(_marked(hit, some) for hit, some in zip(found, marks, strict=True))


def competitors(scans: Sequence[Scan]) -> dict[Kind, int]:
    """How many segments of each kind may be found, in the space that holds most of them."""
    found: dict[Kind, int] = {}
    for scan in scans:
        for kind, count in scan.competitors.items():
            found[kind] = max(count, found.get(kind, 0))
    return found


def _hit(rank: int, moment: Moment, best: Segment, competitors: dict[Kind, int], scans: Sequence[Scan]) -> Hit:
    among = competitors.get(Kind(best.modality, best.channel), 1)
    return Hit(
        rank=rank, score=moment.score, confidence=confidence(moment.score, among), cosine=moment.cosine,
        space=scans[moment.home].space.name if moment.home >= 0 else "", segment=best, span=moment.span,
        evidence=moment.evidence, stretch=moment.stretch,
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
