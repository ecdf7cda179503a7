"""Ordered patterns: find the files in which one step follows another, and where.

The rarest step decides which files are looked at: of each step the best segments are taken, and the step of which the fewest are
likely names the files. In these files every segment of every step is scored, so within them the answer is exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.errors import QueryError
from search.query.algebra import Query, Then
from search.query.answers import competitors
from search.query.moments import Ranked
from search.query.ranking import CANDIDATES_PER_SPACE, Question, QuestionMomentData, levels
from search.query.timeline_match import LEAST, MOST_OCCURRENCES, Occurrences, TimelineMatch, matches
from search.store.sql import UNITS, Columns
from search.types import KINDS, Channel, Ids, Span, StepFound

MAX_FILES = 250
"""Files that are looked at for a pattern: those of the best segments of its rarest step."""

FILES_AT_ONCE = 32
"""Files that are looked at together, those first that may hold the likeliest matches."""

CLOSEST = 0.1
"""The share of a step's best probability from which on a segment counts, where the closest matches are wanted."""

_ROUNDING = 1e-4
"""The largest relative difference between the probabilities that two ways of scoring give a segment."""

_MS = UNITS.index("ms")

LIMITED = f"Many files may match: those of the {MAX_FILES} likeliest of the rarest step were looked at."
"""What is told where not every file was looked at."""

Asked = tuple[Query, tuple[Channel, ...]]


@dataclass(frozen=True, slots=True)
class SequenceFound:
    """A match: the file, where its steps were found, and the probability, 0..1, that all of them are right."""

    asset: int
    steps: tuple[StepFound, ...]
    chance: float

    @property
    def span(self) -> Span:
        """The moment that spans the match."""
        return Span(min(one.span.start for one in self.steps), max(one.span.end for one in self.steps))

    @property
    def score(self) -> float:
        """The probability as log-odds."""
        chance = min(max(self.chance, 1e-12), 1 - 1e-12)
        return math.log(chance / (1 - chance))


@dataclass(frozen=True, slots=True)
class Sequences:
    """Everything that matches a pattern, likeliest first. ``questions`` are those of its steps, the rarest first; ``limited``: more files
    or segments might have matched than were looked at."""

    found: list[SequenceFound]
    questions: list[Question]
    limited: bool


class _Asked:
    """A query of a pattern, in some channels: what it finds, and where in some files."""

    def __init__(self, question: Question, closest: bool) -> None:
        self.question = question
        with question.reading():
            self.first: Ranked = next(levels(question))
        self._around = QuestionMomentData(question)
        self._segments = sum(competitors(question.scans).values()) if question.scans else len(question.found)
        self.chances = self.chances_of(self.first.scores)
        best = float(self.chances.max(initial=0.0))
        self.least = min(LEAST, CLOSEST * best) if closest else LEAST
        self.places: dict[int, Occurrences] = {}
        self.kinds: dict[int, int] = {}

    def chances_of(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probabilities (n,) of scores (n,): from the calibration, or the score itself as log-odds where there is none."""
        scan = self.question.scans[0] if self.question.scans else None
        if scan is not None and scan.view.calibration.shared:
            return scan.view.calibration.probability(scores, self._segments, scan.words)
        return np.asarray(1 / (1 + np.exp(-np.clip(scores.astype(np.float64), -60, 60))), np.float64)

    @property
    def likely(self) -> int:
        """The number of its best segments that count."""
        return int(np.count_nonzero(self.chances >= self.least))

    def assets(self) -> tuple[Ids, bool]:
        """The files of its best segments, best first (n,), and whether there may be more."""
        rows = self._around.rows(self.first.ids[self.chances >= self.least])
        timed = rows.assets[rows.units == _MS]
        _, first = np.unique(timed, return_index=True)
        more = len(self.first.ids) >= CANDIDATES_PER_SPACE and self.likely == len(self.first.ids)
        return np.asarray(timed[np.sort(first)][:MAX_FILES], np.int64), more or len(first) > MAX_FILES

    def bounds(self, assets: Ids) -> NDArray[np.float64]:
        """The highest probability (n,) that a segment of each file (n,) may have: that of its best segment, or if it has none among the
        best ones, at most that of the last of these."""
        whole = len(self.first.ids) < CANDIDATES_PER_SPACE
        found = np.full(len(assets), 0.0 if whole else float(self.chances.min(initial=1.0)))
        rows, order = self._around.rows(self.first.ids), np.argsort(assets)
        at = np.searchsorted(assets[order], rows.assets)
        here = (at < len(assets)) & (assets[order][np.minimum(at, len(assets) - 1)] == rows.assets)
        np.maximum.at(found, order[at[here]], self.chances[here])
        return np.asarray(np.clip(found, 1e-12, 1.0), np.float64)

    def look(self, assets: Ids) -> None:
        """Find where it occurs in some files more."""
        with self.question.reading():
            rows, scores = self._around.siblings(assets)
        timed = rows.units == _MS
        columns, chances = rows.only(timed), self.chances_of(scores[timed])
        order = np.argsort(columns.assets, kind="stable")
        columns, chances = columns.only(order), chances[order]
        self.kinds |= dict(zip(columns.ids.tolist(), columns.kinds.tolist(), strict=True))
        known, first = np.unique(columns.assets, return_index=True)
        if not len(known):
            return
        for asset, part in zip(known.tolist(), np.split(np.arange(len(chances)), first[1:]), strict=True):
            self.places[asset] = _occurrences(columns, chances, part)


def _occurrences(columns: Columns, chances: NDArray[np.float64], rows: NDArray[np.intp]) -> Occurrences:
    return Occurrences(columns.ids[rows], columns.starts[rows], columns.ends[rows], np.clip(chances[rows], 1e-12, 1.0))


_NOWHERE = Occurrences(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))


def find(
    pattern: Then, ask: Callable[[Query, tuple[Channel, ...]], Question], *, closest: bool = False, want: int | None = None
) -> Sequences:
    """All matches of a pattern; with ``want``, at least so many of the likeliest, if there are. ``ask`` prepares the question of a query
    that is seen or heard in some channels. ``closest``: where no segment is a likely occurrence of a step, those count that come close
    to its best one.

    Raises:
        QueryError: see ``ask``.
    """
    known: dict[Asked, _Asked] = {}

    def asked(query: Query, channels: tuple[Channel, ...] = ()) -> _Asked:
        if (query, channels) not in known:
            known[query, channels] = _Asked(ask(query, channels), closest)
        return known[query, channels]

    order = pattern.links
    steps = [asked(step.query, step.channels) for step, _, _ in order]
    rarest = min(steps, key=lambda one: one.likely)
    assets, limited = rarest.assets()
    absent = [[asked(one) for one in without] for _, _, without in order]
    bounds = np.prod([step.bounds(assets) for step in steps], axis=0) if len(assets) else np.empty(0)
    likeliest = np.lexsort((assets, -bounds))
    found: list[SequenceFound] = []
    for start in range(0, len(assets), FILES_AT_ONCE):
        some = likeliest[start : start + FILES_AT_ONCE]
        if want is not None and len(found) >= want and found[want - 1].chance > bounds[some[0]] * (1 + _ROUNDING):
            break  # no other file can hold a likelier one
        for one in known.values():
            one.look(assets[some])
        for asset in assets[some].tolist():
            places = [step.places.get(asset, _NOWHERE) for step in steps]
            if any(not len(one.ids) for one in places):
                continue
            limited |= any(
                np.count_nonzero(one.chances >= step.least) > MOST_OCCURRENCES for step, one in zip(steps, places, strict=True)
            )
            without = [_together([one.places[asset] for one in some if asset in one.places]) for some in absent[1:]]
            every = matches(places, [link for _, link, _ in order[1:]], without, [step.least for step in steps])
            found += [SequenceFound(asset, _steps(steps, places, one), math.exp(one.log_chance)) for one in every]
        found.sort(key=lambda one: (-one.chance, one.asset, one.span.start))
    return Sequences(found, [rarest.question, *(one.question for one in known.values() if one is not rarest)], limited)


def _together(some: Sequence[Occurrences]) -> Occurrences | None:
    """Everything that must be absent, as one; None: nothing."""
    if not some:
        return None
    return Occurrences(*(np.concatenate([getattr(one, name) for one in some]) for name in ("ids", "starts", "ends", "chances")))


def _steps(steps: Sequence[_Asked], places: Sequence[Occurrences], match: TimelineMatch) -> tuple[StepFound, ...]:
    return tuple(
        StepFound(
            int(place.ids[at]), KINDS[step.kinds[int(place.ids[at])]].channel, Span(int(place.starts[at]), int(place.ends[at])),
            float(place.chances[at]),
        )
        for step, place, at in zip(steps, places, match.at, strict=True)
    )  # fmt: skip


def narrowest(given: Sequence[Channel], step: Sequence[Channel]) -> tuple[Channel, ...]:
    """The channels of a step under a filter.

    Raises:
        QueryError: the filter lets none of the step's through.
    """
    both = tuple(one for one in step if not given or one in given)
    if step and not both:
        raise QueryError(
            f"A step is looked for in {', '.join(step)}, and the filter lets only {', '.join(given)} through.",
            remedy="Take the filter on channels away.",
        )
    return both or tuple(given)
