"""Answers rest on moments that were found, or there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from search.errors import InputError
from search.ondemand.ask import Answered
from search.ondemand.evidence import MAX_MOMENTS, evidence
from search.types import Answer, Channel, Coverage, Found, Hit, Modality, Segment, Span

COVERAGE = Coverage(files=4, seen=3, failed=1)


def hit(number: int, confidence: float | None, modality: Modality = Modality.VIDEO, text: str | None = None) -> Hit:
    channel = Channel.TEXT if text else Channel.VISUAL
    segment = Segment(number, number, modality, channel, Span(0, 2_000), f"/a/{number}", text=text)
    return Hit(number, 0.0, confidence, 0.3, "fake", segment, segment.span)


def answer(*hits: Hit, verdict: str | None = "yes") -> Answer:
    return Answer(hits, 1, 9, COVERAGE, found=Found(verdict, 0.9, 0.5, 10) if verdict else None)


def test_each_claim_has_its_moment_and_weak_matches_are_none():
    asked = []

    def ask(one):
        asked.append(one.segment.id)
        if one.segment.id == 2:
            raise InputError("Nothing is to be seen in it.")
        return Answered("red", 0.8, "caption:fake")

    found = evidence(
        answer(hit(1, 0.9), hit(2, 0.8), hit(3, 0.7, Modality.TEXT, "The car is red."), hit(4, 0.6), hit(5, 0.01)), ask
    )
    assert [claim.hit.segment.id for claim in found.claims] == [1, 2, 3]
    assert [claim.answered.text if claim.answered else None for claim in found.claims] == ["red", None, None]
    assert found.claims[2].said == "The car is red."
    assert asked == [1, 2]
    assert len(found.claims) == MAX_MOMENTS


@pytest.mark.parametrize(
    "found",
    [answer(), answer(hit(1, 0.9), verdict="no"), answer(hit(1, 0.01), verdict=None), answer(hit(1, None))],
    ids=["nothing", "not here", "weak", "unknown"],
)
def test_without_evidence_there_is_no_answer_and_what_was_searched_is_told(found):
    told = evidence(found, lambda _: Answered("red", 0.9, "caption:fake"))
    assert told.claims == ()
    assert replace(told.coverage) == COVERAGE


def test_without_a_model_the_moments_say_what_they_say():
    (claim,) = evidence(answer(hit(3, 0.7, Modality.TEXT, "The car is red."))).claims
    assert (claim.said, claim.answered) == ("The car is red.", None)
