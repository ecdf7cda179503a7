"""Answers with evidence: what the moments that a search found say, and what a model answers of each. Never an answer without a moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from search.errors import InputError, MediaError
from search.ondemand.ask import Answered
from search.query.answers import WEAK_PROBABILITY
from search.types import Answer, Coverage, Hit, Modality

MAX_MOMENTS = 3
"""Moments that a model is asked about, and that are told, at most."""

CANNOT = "This cannot be answered from what was searched."


@dataclass(frozen=True, slots=True)
class MomentClaim:
    """What rests on one moment: the text that it says, or what a model answered of it; None: it was found, and says nothing."""

    hit: Hit
    said: str | None = None
    answered: Answered | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Claims, the likeliest moment first; none: the question cannot be answered from what was searched, of which ``coverage`` tells."""

    claims: tuple[MomentClaim, ...]
    coverage: Coverage


def evidence(found: Answer, ask: Callable[[Hit], Answered] | None = None) -> Evidence:
    """The evidence in an answer. ``ask`` asks a model about the moment of a hit; None: none is installed.

    Weak matches are no evidence, nor is anything where the archive is not likely to have an answer. A moment that the model cannot see, or
    has no answer for, is told without one.
    """
    if found.found and found.found.verdict == "no":
        return Evidence((), found.coverage)
    likely = [hit for hit in found.hits if hit.confidence is not None and hit.confidence >= WEAK_PROBABILITY]
    return Evidence(tuple(MomentClaim(hit, hit.segment.text, _asked(hit, ask)) for hit in likely[:MAX_MOMENTS]), found.coverage)


def _asked(hit: Hit, ask: Callable[[Hit], Answered] | None) -> Answered | None:
    if ask is None or hit.segment.modality not in (Modality.IMAGE, Modality.VIDEO):
        return None
    try:
        return ask(hit)
    except (InputError, MediaError):  # nothing is to be seen there
        return None
