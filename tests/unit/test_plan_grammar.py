"""Questions become steps by their grammar alone."""

from __future__ import annotations

import datetime

import pytest

from search.errors import QueryError
from search.planning.grammar import GrammarPlanner
from search.query import form
from tests.fakes.languages import SENTENCES

TODAY = datetime.date(2026, 11, 30)


def steps(question: str) -> list[str]:
    """The steps of a question, one a line: part, skill and form."""
    proposal = GrammarPlanner(lambda: TODAY).propose(question)
    return [f"{one.part} {one.skill} {one.form}".strip() for one in proposal.steps]


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("a dog barking, then a chainsaw", '0 then "a dog barking" > "a chainsaw"'),
        ("first a dog and then the sound of rain", '0 then "a dog" > rain @sound'),
        ("rain after a rooster", '0 then "a rooster" > rain'),
        ("a siren and within 2 minutes a crowd without a police car", '0 then "a siren" ~2m> "a crowd" -"police car"'),
        ("erst ein Hund, dann Regen", '0 then "ein Hund" > Regen'),
        ("une plage puis un chien", '0 then "une plage" > "un chien"'),
        ("un perro luego una playa", '0 then "un perro" > "una playa"'),
        ("a photo of a dog from May 2024", '0 picture "a dog" in:image channel:visual since:2024-05-01 until:2024-05-31'),
        ("videos of a crowd longer than 2 minutes since 2023", '0 words "a crowd" in:video duration:120.. since:2023-01-01'),
        ("a harbour before 2020", '0 words "a harbour" until:2019-12-31'),
        ("a harbour last week", '0 words "a harbour" since:2026-11-23 until:2026-11-29'),
        ("someone says hello in German", "0 speech hello channel:speech language:de"),
        ('a sign that says "way out"', '0 screen "\\"way out\\"" channel:ocr'),
        ("more like segment 17", "0 similar segment:17"),
        ("a man jumps while holding a ball", '0 words "a man jumps while holding a ball"'),
        ("a man, a woman and a dog", '0 words "a man, a woman and a dog"'),
        ('"then" is written on a wall', '0 words "\\"then\\" is written on a wall"'),
        ("without", "0 words without"),
    ],
)
def test_the_first_step_says_what_was_asked(question, first):
    assert steps(question)[0] == first


def test_what_must_not_be_there_is_a_step_of_its_own():
    assert steps("a film with a brown dog but without the sound of rain") == [
        '0 words "a brown dog" in:video',
        "0 without rain channel:sound",
    ]
    assert steps("ein Hund ohne Leine") == ['0 words "ein Hund"', "0 without Leine"]
    assert steps("une plage sans personne") == ['0 words "une plage"', "0 without personne"]


def test_what_is_seen_and_what_is_said_are_parts():
    asked = GrammarPlanner().propose('a boy on a swing is seen while someone says "good morning"')
    assert [(one.part, str(one.skill)) for one in asked.steps] == [
        (0, "picture"), (0, "words"), (1, "speech"), (1, "speech"), (1, "words"),
    ]  # fmt: skip
    assert asked.together
    assert [one.form for one in asked.steps if one.skill == "speech"] == [
        '"\\"good morning\\"" channel:speech',
        '"good morning" channel:speech',
    ]
    apart = GrammarPlanner().propose("a picture of a kite and a recording in which someone says kite")
    assert not apart.together
    assert [one.form for one in apart.steps if one.useful > 0.5] == [
        '"a kite" in:image channel:visual',
        "kite in:audio channel:speech",
    ]


def test_counting_asking_and_translating_are_offered():
    assert steps("how many photos of dogs are there?") == [
        "0 picture dogs in:image channel:visual", "0 words dogs in:image", "0 count",
    ]  # fmt: skip
    assert steps("what colour is the car?")[-1] == "0 ask what colour is the car?"
    assert steps("a greeting, translated to German") == ['0 words "a greeting"', "0 translate de"]


@pytest.mark.parametrize("question", ["", " ?! ", "x" * 3_000])
def test_what_says_nothing_is_refused(question):
    with pytest.raises(QueryError):
        GrammarPlanner().propose(question)


def test_every_step_can_be_read_back():
    """Sentences of many languages, quotes that are not closed, and signs of the text form."""
    odd = ['a "b, then c', "then then then", "a > b & c ^ 2 @sound *3", "segment:17 without 'x'", "–, – ohne –", "a:b:c then d:e"]
    for question in [*odd, *SENTENCES["English"], *SENTENCES["German"]]:
        for one in GrammarPlanner(lambda: TODAY).propose(question).steps:
            if one.skill not in ("filter", "count", "ask", "translate"):
                form.read(one.form)
