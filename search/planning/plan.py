"""Plans: which steps are worth taking, taking them, and putting together what they find.

A step is rated by SayCan's rule (Ahn et al. 2022, "Do As I Can, Not As I Say"): how *useful* it is for the question, times how
*possible* it is here. What is possible is measured from the archive: whether there is a space or reader for what the step looks
at, the share of files that it covers, and, once the step has been taken, the calibrated chance that it has found something.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np

from search.errors import InputError, QueryError
from search.planning.skills import SEARCHES, PlanStep, Proposal, Skill
from search.query import Engine, Query, Then
from search.settings import Settings
from search.store.readings import READABLE
from search.types import Answer, Channel, Filter, Hit, StepFound

MAX_CALLS = 6
"""Searches of a plan, at most."""

MAX_PLAN_STEPS = 50
"""Steps of a plan, at most."""

DEPTH = 300
"""Hits of a step that are put together with those of the others."""

ABSENT = 1e-3
"""The chance that a file answers a part of the question that did not find it, where everything that could be found was looked at."""

WORTH_TAKING = 1.0
"""The relevant moments that a step should be able to add to those that are shown."""

State: TypeAlias = Literal["taken", "skipped", "impossible", "stopped", "offered"]
"""What became of a step. ``offered``: a person may take it, for what was found."""

Stated = Callable[[str], "tuple[Query | Then, Filter]"]
"""Reads a question in the text form."""


@dataclass(frozen=True, slots=True)
class Possible:
    """How possible a step is here. ``coverage`` is the share of files, 0..1, that hold what it looks at and can be searched; 0: none can,
    ``why`` not, and the ``remedy``. ``chance``, 0..1, is the calibrated chance that the archive has an answer, ``recall`` the least
    share of right files that is known by judgements, and ``ms`` the milliseconds that it took. None: not known, or not taken yet."""

    coverage: float
    chance: float | None = None
    recall: float | None = None
    ms: float | None = None
    why: str = ""
    remedy: str = ""

    @property
    def value(self) -> float:
        """The coverage, times the chance where it is known."""
        return self.coverage * (1.0 if self.chance is None else self.chance)


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A step of a plan, and what became of it. ``gain`` is how many more relevant moments are expected among those that are shown: of a
    step that was taken, measured by their chances; of one that was not, at most."""

    step: PlanStep
    possible: Possible
    state: State
    gain: float | None = None

    @property
    def worth(self) -> float:
        """Useful times possible."""
        return self.step.useful * self.possible.value


@dataclass(frozen=True, slots=True)
class Plan:
    """A question with its steps, in the order in which they were considered, and their answer; None: none could be taken.

    ``calls`` is the number of searches. ``stopped`` says why no more steps were taken."""

    question: str
    rows: tuple[PlanRow, ...]
    together: bool
    calls: int
    stopped: str
    answer: Answer | None = None
    notes: tuple[str, ...] = ()


def carry_out(
    engine: Engine, settings: Settings, question: str, proposal: Proposal, stated: Stated, *, k: int = 10, skip: Sequence[int] = (), dry: bool = False
) -> Plan:  # fmt: skip
    """Take the steps of a proposal, the most worthwhile first, until the next would add less than one relevant moment to the ``k`` that
    are shown. ``stated`` reads their questions. ``skip`` are the numbers of steps, from 1, that are not taken. ``dry``: none is.

    Raises:
        InputError: too many steps, a number that no step has, or ``k`` out of range.
        QueryError: a step cannot be read or asked.
    """
    _check(proposal, skip, k)
    return _Run(engine, settings, proposal, stated, k, frozenset(skip), dry).plan(question)


def _check(proposal: Proposal, skip: Sequence[int], k: int) -> None:
    count = len(proposal.steps)
    if not 1 <= count <= MAX_PLAN_STEPS:
        raise InputError(f"The plan has {count} steps.", remedy=f"Give 1 to {MAX_PLAN_STEPS}.")
    if wrong := [number for number in skip if not 1 <= number <= count]:
        raise InputError(f"The plan has no step {wrong[0]}.", remedy=f"Its steps are numbered 1 to {count}.")
    if not 1 <= k <= DEPTH:
        raise InputError(f"k is {k}.", remedy=f"k lies between 1 and {DEPTH}.")


@dataclass(slots=True)
class _Part:
    """What was found for one part of a question: by file the best chance and its hit, and the files in which something is that must not be."""

    hits: list[tuple[bool, float, Hit]] = field(default_factory=list)
    best: dict[int, tuple[float, Hit]] = field(default_factory=dict)
    absent: dict[int, float] = field(default_factory=dict)
    least: float = ABSENT

    def add(self, step: PlanStep, answer: Answer) -> None:
        for hit in answer.hits:
            chance, asset = step.useful * chance_of(hit), hit.segment.asset
            self.hits.append((step.skill is Skill.THEN, chance, hit))
            if asset not in self.best or chance > self.best[asset][0]:
                self.best[asset] = chance, hit
        if answer.more and answer.hits:  # further down they are as likely as the last one, at most
            self.least = max(self.least, step.useful * chance_of(answer.hits[-1]))

    def leave_out(self, hits: Sequence[Hit]) -> None:
        for hit in hits:
            asset = hit.segment.asset
            self.absent[asset] = max(self.absent.get(asset, 0.0), chance_of(hit))

    def chance(self, asset: int) -> float:
        found = self.best[asset][0] if asset in self.best else self.least
        return found * (1 - self.absent.get(asset, 0.0))


class _Run:
    """Takes the steps of one plan."""

    def __init__(
        self, engine: Engine, settings: Settings, proposal: Proposal, stated: Stated, k: int, skip: frozenset[int], dry: bool
    ) -> None:  # fmt: skip
        self.engine, self.settings, self.k, self.skip, self.dry = engine, settings, k, skip, dry
        self.steps, self.together = proposal.steps, proposal.together
        self.read = {number: stated(one.form) for number, one in enumerate(self.steps, 1) if one.skill in SEARCHES}
        self.unread: Mapping[Channel, int] | None = None
        searched = [(number, one) for number, one in enumerate(self.steps, 1) if one.skill in SEARCHES]
        self.by_file = any(one.skill is Skill.WITHOUT for _, one in searched) or len({one.part for _, one in searched}) > 1
        self.parts: dict[int, _Part] = {}
        self.rows: dict[int, PlanRow] = {}
        self.answers: list[Answer] = []
        self.stopped = ""

    def plan(self, question: str) -> Plan:
        possible = {number: self._possible(number) for number in self.read}
        order = sorted(self.read, key=lambda number: -self.steps[number - 1].useful * possible[number].coverage)
        needed = [*dict.fromkeys(self._first_ways(order, possible))]
        for number in needed + [one for one in order if one not in needed]:
            self._consider(number, possible[number], needed=number in needed)
        for number, step in enumerate(self.steps, 1):
            if number not in self.rows:
                self.rows[number] = self._other(number, step)
        hits = self._together_hits()[: self.k]
        answer = None
        if self.answers:
            found = self.answers[0]
            answer = replace(
                found, hits=tuple(replace(hit, rank=rank) for rank, hit in enumerate(hits, 1)), more=False, limit=None,
                found=found.found if len(self.answers) == 1 else None, notes=tuple(dict.fromkeys(note for one in self.answers for note in one.notes)),
                timings_ms={"total": round(sum(one.timings_ms.get("total", 0.0) for one in self.answers), 3)},
                searched=max(one.searched for one in self.answers), line=found.line if len(self.answers) == 1 else None,
            )  # fmt: skip
        rows = tuple(self.rows[number] for number in sorted(self.rows))
        notes = [
            f"{row.step.form}: {row.possible.why}" for row in rows if row.state == "impossible" and row.step.skill in SEARCHES
        ]
        return Plan(question, rows, self.together, len(self.answers), self.stopped, answer, tuple(notes))

    def _first_ways(self, order: Sequence[int], possible: Mapping[int, Possible]) -> list[int]:
        """The steps that an answer needs: the best way to find each part, and what must be left out."""
        found: dict[int, int] = {}
        for number in order:
            step = self.steps[number - 1]
            if step.skill is not Skill.WITHOUT and number not in self.skip and possible[number].coverage:
                found.setdefault(step.part, number)
        absent = [number for number in order if self.steps[number - 1].skill is Skill.WITHOUT]
        return [*found.values(), *absent]

    def _consider(self, number: int, possible: Possible, *, needed: bool) -> None:
        """Take a step, if it is worth it."""
        step = self.steps[number - 1]
        missing = 1 - max((row.worth for row in self.rows.values() if _same(row, step)), default=0.0)
        gain = step.useful * possible.coverage * missing * max(self.k - self._relevant(), 0.0)
        if number in self.skip or not possible.coverage:
            state: State = "skipped" if number in self.skip else "impossible"
            self.rows[number] = PlanRow(step, possible, state)
        elif self.dry:
            self.rows[number] = PlanRow(step, possible, "offered", None if step.skill is Skill.WITHOUT else gain)
        elif len(self.answers) >= MAX_CALLS:
            self.stopped = self.stopped or f"{MAX_CALLS} searches were made."
            self.rows[number] = PlanRow(step, possible, "stopped", gain)
        elif not needed and gain < WORTH_TAKING:
            self.stopped = self.stopped or f"The next step could add at most {gain:.1f} relevant moments."
            self.rows[number] = PlanRow(step, possible, "stopped", gain)
        else:
            self.rows[number] = self._taken(number, possible)

    def _taken(self, number: int, possible: Possible) -> PlanRow:
        step, (query, wanted) = self.steps[number - 1], self.read[number]
        before = self._relevant()
        if step.skill is Skill.REGION and not isinstance(query, Then):
            answer = self.engine.regions(query, wanted, k=DEPTH, group="asset" if self.by_file else "moment")
        else:
            answer = self.engine.search(query, wanted, k=DEPTH, group="asset" if self.by_file else "moment", closest=True)
        self.answers.append(answer)
        part = self.parts.setdefault(step.part, _Part())
        if step.skill is Skill.WITHOUT:
            part.leave_out(answer.hits)
        else:
            part.add(step, answer)
        best = max(map(chance_of, answer.hits), default=0.0)
        possible = replace(
            possible, chance=answer.found.probability if answer.found and answer.hits else best, ms=answer.timings_ms.get("total"),
            recall=answer.review.recall_at_least if answer.review else None,
        )  # fmt: skip
        return PlanRow(step, possible, "taken", None if step.skill is Skill.WITHOUT else max(self._relevant() - before, 0.0))

    def _other(self, number: int, step: PlanStep) -> PlanRow:
        """A step that is no search."""
        if number in self.skip:
            return PlanRow(step, Possible(1.0), "skipped")
        model = {Skill.ASK: self.settings.captioner, Skill.TRANSLATE: self.settings.translator}.get(step.skill, "-")
        if not model:
            name = "captioner" if step.skill is Skill.ASK else "translator"
            return PlanRow(step, Possible(0.0, why="No model for it is set.", remedy=f"Set {name} to a model."), "impossible")
        return PlanRow(
            step, Possible(1.0), "offered" if step.skill in (Skill.ASK, Skill.TRANSLATE) or not self.answers else "taken"
        )

    # what is possible

    def _possible(self, number: int) -> Possible:
        """The share of the files that hold what a step looks at which can be searched: of a pattern, that of its weakest step."""
        query, wanted = self.read[number]
        steps = query.steps if isinstance(query, Then) else ()
        wants = [replace(wanted, channels=one.channels or wanted.channels) for one in steps] or [wanted]
        try:
            return min((self._held(one) for one in wants), key=lambda one: one.coverage)
        except QueryError as error:
            return Possible(0.0, why=str(error), remedy=error.remedy)

    def _held(self, wanted: Filter) -> Possible:
        searcher = self.engine.searcher()
        view = searcher.current(self.engine.follow())
        held = searcher.targets(view, wanted, ())
        if not held:
            reader = next((one for one in wanted.channels if one in READABLE), None)
            if reader is None:
                return Possible(0.0, why="The archive holds nothing like this.", remedy="Remove filters, or index more files.")
            name = "speech:base" if reader is Channel.SPEECH else "ocr"
            return Possible(
                0.0, why="Nothing that was read is here.", remedy=f"Have the files read: sensorium readers add {name}"
            )
        counted = view.seen(wanted)
        share = counted.seen / counted.files if counted.files else 1.0
        if wanted.channels and all(one in READABLE for one in wanted.channels):
            here = {
                int(one)
                for ids in held.values()
                for one in np.unique(view.columns.assets[np.searchsorted(view.columns.ids, ids)])
            }
            unread = sum(self._unread(wanted).get(one, 0) for one in wanted.channels)
            share *= len(here) / (len(here) + unread)
        return Possible(share)

    def _unread(self, wanted: Filter) -> Mapping[Channel, int]:
        """The number of files whose speech or on-screen text no reader has read, by channel."""
        if self.unread is None:
            counted: dict[Channel, int] = {}
            for one in self.engine.unread(wanted.within):
                counted[one.channel] = counted.get(one.channel, 0) + one.assets
            self.unread = counted
        return self.unread

    # what was found

    def _relevant(self) -> float:
        """How many of the moments that are shown are expected to be relevant."""
        if self.by_file:
            return sum(sorted((self._joined(asset) for asset in self._assets()), reverse=True)[: self.k])
        hits = self._moments()[: self.k]
        return sum(chance for chance, _ in hits)

    def _assets(self) -> list[int]:
        return sorted({asset for part in self.parts.values() for asset in part.best})

    def _joined(self, asset: int) -> float:
        """The chance that a file answers: of parts that are asked of one file, all of them; else the best."""
        chances = [part.chance(asset) for part in self.parts.values()]
        return float(np.prod(chances)) if self.together else max(chances)

    def _moments(self) -> list[tuple[float, Hit]]:
        """The moments of a question of one part, likeliest first; of those that overlap the likeliest. What keeps an order that the
        question asks for comes before a part of it."""
        kept: list[tuple[float, Hit]] = []
        by_asset: dict[int, list[Hit]] = {}
        every = [one for part in self.parts.values() for one in part.hits]
        for _, chance, hit in sorted(every, key=lambda one: (not one[0], -one[1])):
            others = by_asset.setdefault(hit.segment.asset, [])
            if not any(_overlap(hit, one) for one in others):
                others.append(hit)
                kept.append((chance, hit))
        return kept

    def _together_hits(self) -> list[Hit]:
        """The hits of all steps as one list, best first."""
        if not self.by_file:
            return [replace(hit, confidence=None if hit.confidence is None else chance) for chance, hit in self._moments()]
        if self.together:
            order = sorted(self._assets(), key=lambda asset: (-self._joined(asset), asset))
            return [self._whole(asset) for asset in order]
        lists = []
        for part in self.parts.values():
            best = sorted(part.best, key=lambda asset, part=part: (-part.chance(asset), asset))  # type: ignore[misc]
            lists.append([part.best[asset][1] for asset in best])
        taken: dict[int, Hit] = {}
        for place in range(max(map(len, lists), default=0)):
            for one in lists:
                if place < len(one):
                    taken.setdefault(one[place].segment.asset, one[place])
        return list(taken.values())

    def _whole(self, asset: int) -> Hit:
        """A file as one hit, with where each part of the question was found in it."""
        found = [part.best[asset] for part in self.parts.values() if asset in part.best]
        chance = self._joined(asset)
        steps = tuple(
            StepFound(hit.segment.id, hit.segment.channel, hit.span, min(chance_of(hit), 1.0))
            for _, hit in found
            if hit.span is not None and hit.span.unit == "ms"
        )
        score = float(np.log(max(chance, 1e-12)) - np.log1p(-min(chance, 1 - 1e-12)))
        first = found[0][1]
        calibrated = all(hit.confidence is not None for _, hit in found)
        return replace(
            first, score=score, confidence=chance if calibrated else None, steps=steps if len(found) > 1 and len(steps) > 1 else first.steps,
            evidence=tuple(dict.fromkeys(one for _, hit in found for one in hit.evidence)),
        )  # fmt: skip


def chance_of(hit: Hit) -> float:
    """The probability that a hit is right, or its score as log-odds where there is no calibration."""
    return float(1 / (1 + np.exp(-np.clip(hit.score, -60, 60)))) if hit.confidence is None else hit.confidence


def _same(row: PlanRow, step: PlanStep) -> bool:
    """Whether a step that was taken is another way to find the same part."""
    return row.state == "taken" and row.step.part == step.part and Skill.WITHOUT not in (row.step.skill, step.skill)


def _overlap(one: Hit, other: Hit) -> bool:
    """Whether two hits of a file show the same moment."""
    if one.span is None or other.span is None or one.span.unit != other.span.unit:
        return one.segment.id == other.segment.id or (one.span is None and other.span is None)
    return one.span.start < other.span.end and other.span.start < one.span.end
