"""What a plan consists of: steps, each with a skill and a question in the text form."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Skill(StrEnum):
    """What a step of a plan does."""

    WORDS = "words"
    PICTURE = "picture"
    SOUND = "sound"
    SPEECH = "speech"
    SCREEN = "screen"
    THEN = "then"
    WITHOUT = "without"
    FILTER = "filter"
    SIMILAR = "similar"
    REGION = "region"
    COUNT = "count"
    ASK = "ask"
    TRANSLATE = "translate"
    STOP = "stop"


SEARCHES = frozenset({
    Skill.WORDS, Skill.PICTURE, Skill.SOUND, Skill.SPEECH, Skill.SCREEN, Skill.THEN, Skill.SIMILAR, Skill.REGION, Skill.WITHOUT,
})  # fmt: skip
"""Skills that search the archive. The others are read from what was found, or are run by a person."""


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step. ``form`` is its question in the text form (``search/query/form.py``); of ``ask`` it is the question to a model, of
    ``translate`` the language.

    ``useful`` is how likely, 0..1, what it finds answers the question. Steps of the same ``part`` are different ways to find one
    part of the question; what several parts ask for must all be found.
    """

    skill: Skill
    form: str
    useful: float
    part: int = 0


@dataclass(frozen=True, slots=True)
class Proposal:
    """The steps that a question may take, most useful first within each part. ``together``: the parts are asked of one file; else each
    has files of its own."""

    steps: tuple[PlanStep, ...]
    together: bool = True

    @property
    def several(self) -> bool:
        """Whether one search cannot say it: it has several parts, an order, or something that must not be there."""
        return bool({one.skill for one in self.steps} & {Skill.THEN, Skill.WITHOUT}) or len({one.part for one in self.steps}) > 1


class Planner(Protocol):
    """Breaks a question into steps."""

    def propose(self, question: str) -> Proposal:
        """The steps that a question may take.

        Raises:
            QueryError: there is nothing in it to search for.
        """
        ...
