"""Plans over the timelines of films: what is useful and possible is done, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from search.errors import InputError
from search.planning.grammar import GrammarPlanner
from search.planning.plan import MAX_CALLS, carry_out
from search.planning.skills import PlanStep, Proposal, Skill
from search.query import form
from tests.unit.test_sequences import engine

__all__ = ["engine"]  # a fixture: colours are seen and pitches are heard


@pytest.fixture
def plan(engine, settings):
    def go(question, **options):
        proposal = question if isinstance(question, Proposal) else GrammarPlanner().propose(question)

        def stated(text):
            found = form.read(text)
            return found.query, found.filter

        return carry_out(engine, options.pop("settings", settings), str(question), proposal, stated, **options)

    return go


def files(found):
    return [hit.segment.path[3:-4] for hit in found.answer.hits]


def test_an_order_is_kept_and_where_there_is_none_its_parts_are_shown(plan):
    found = plan("high, then red")
    assert files(found) == ["apart", "between", "together"]
    assert found.answer.hits[0].steps
    assert [row.state for row in found.rows] == ["taken", "stopped", "stopped"]
    assert 2 < found.rows[0].gain <= 3
    found = plan("blue, then green")
    assert [row.state for row in found.rows] == ["taken", "taken", "taken"]
    assert set(files(found)[:2]) == {"apart", "between"}
    assert [hit.rank for hit in found.answer.hits] == list(range(1, len(found.answer.hits) + 1))


def test_what_must_not_be_there_comes_last(plan):
    assert {"between", "apart", "together", "late", "reversed"} == set(files(plan("red"))[:6])
    found = plan("red without green")
    assert files(found).index("between") >= 4
    assert [row.state for row in found.rows] == ["taken", "taken"]
    assert found.rows[1].gain is None


def test_parts_are_found_in_one_file_and_shown_where_they_are(plan):
    found = plan("blue is seen and the sound of high")
    assert files(found)[0] == "apart"
    assert [step.span.start for step in found.answer.hits[0].steps] == [60_000, 0]
    assert found.answer.hits[0].score > found.answer.hits[1].score


def test_parts_of_files_of_their_own_take_turns(plan):
    parts = PlanStep(Skill.PICTURE, "green channel:visual", 0.9), PlanStep(Skill.SOUND, "low channel:sound", 0.9, 1)
    assert files(plan(Proposal(parts, together=False)))[:2] == ["between", "sounds"]


def test_what_is_not_possible_is_told_and_not_asked(plan, settings):
    found = plan('someone says "red"')
    assert [row.state for row in found.rows] == ["impossible", "impossible", "taken"]
    assert found.rows[0].possible.value == 0
    assert "sensorium readers add speech" in found.rows[0].possible.remedy
    assert len(found.notes) == 2
    assert found.calls == 1
    assert plan("what is red?").rows[-1].state == "impossible"
    asked = plan("what is red?", settings=replace(settings, captioner="caption:fake"))
    assert (asked.rows[-1].state, asked.rows[-1].worth) == ("offered", 0.9)


def test_it_stops_where_the_next_step_would_add_less_than_one_moment(plan):
    ways = tuple(PlanStep(Skill.WORDS, "red", useful) for useful in (0.9, 0.8, 0.05))
    found = plan(Proposal(ways), k=10)
    assert found.rows[2].state == "stopped"
    assert 0 < found.rows[2].gain < 1
    assert "relevant moments" in found.stopped


def test_no_more_than_six_searches(plan):
    found = plan(Proposal(tuple(PlanStep(Skill.WORDS, f"red{number}", 0.9, number) for number in range(50))))
    assert found.calls == MAX_CALLS
    assert [row.state for row in found.rows].count("stopped") == 50 - MAX_CALLS


def test_steps_are_skipped_and_a_dry_run_takes_none(plan):
    found = plan("high, then red", skip=[1])
    assert [row.state for row in found.rows] == ["skipped", "taken", "taken"]
    dry = plan("high, then red", dry=True)
    assert (dry.answer, dry.calls, dry.rows[0].possible.value) == (None, 0, 1.0)
    assert dry.rows[0].gain == pytest.approx(9.0)


@pytest.mark.parametrize("options", [{"skip": [4]}, {"skip": [0]}, {"k": 0}])
def test_numbers_that_cannot_be_are_refused(plan, options):
    with pytest.raises(InputError):
        plan("high, then red", **options)


def test_a_plan_of_too_many_steps_is_refused(plan):
    with pytest.raises(InputError, match="51 steps"):
        plan(Proposal(tuple(PlanStep(Skill.WORDS, "red", 0.9) for _ in range(51))))
