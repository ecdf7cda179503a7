"""The text form of questions: what it means, that it is read back to the same value, and what errors point at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import QueryError
from search.query import Blend, Link, Near, Step, Term, Then
from search.query.form import Formed, FormError, negation, read, written
from search.types import Channel, Filter, Modality, Shape


def text(words: str) -> Term:
    return Term(words, Modality.TEXT)


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (
            'siren ~30s> crowd -"police car" in:video since:2024-05',
            Formed(
                Then((Step(text("siren")), Step(text("crowd"), link=Link(most_ms=30_000), without=(text("police car"),)))),
                Filter(modalities=(Modality.VIDEO,), since="2024-05-01"),
            ),
        ),
        ("fire engine", Formed(text("fire engine"))), ('"a > b"', Formed(text("a > b"))), ("well-known place", Formed(text("well-known place"))),
        ("beach +rain^0.7 -people", Formed(Blend(((1.0, text("beach")), (0.7, text("rain")), (-0.5, text("people")))))),
        ("a ~5s..2m> b & c", Formed(Then((Step(text("a")), Step(text("b"), link=Link(least_ms=5_000, most_ms=120_000)), Step(text("c"), link=Link(together=True)))))),
        ("bark@sound*3", Formed(Then((Step(text("bark"), (Channel.SOUND,), times=3),)))),
        ("image:photo.jpg > segment:17", Formed(Then((Step(Term(Path("photo.jpg"), Modality.IMAGE)), Step(Near(17)))))),
        ("image:photo.jpg#xywh=percent:25,40,30,20.5", Formed(Term(Path("photo.jpg"), Modality.IMAGE, box=(25, 40, 30, 20.5)))),
        ("siren@sound", Formed(text("siren"), Filter(channels=(Channel.SOUND,)))),
        ('boat field.Model:"Canon R5" shape:portrait', Formed(text("boat"), Filter(fields=(("Model", "Canon R5"),), shapes=(Shape.PORTRAIT,)))),
        (r'"say \"hi\" \\ there"', Formed(text('say "hi" \\ there'))),
    ],
)  # fmt: skip
def test_what_it_means(form, value):
    assert read(form) == value
    assert read(written(value)) == value


@pytest.mark.parametrize(
    ("form", "at", "told"),
    [
        ("siren ~30> crowd", 6, "~30s>"), ("siren ~9s..2s> crowd", 6, "Exchange"), ("> crowd", 0, "siren > crowd"), ("siren >", 7, "fire engine"),
        ('siren > "crowd', 8, "Close it"), ("siren colr:red", 6, "quotes"), ("siren shpe:portrait", 6, "shape"), ("siren shape:sqare", 12, "square"),
        ('"a" "b"', 4, "+"), ("siren^many", 5, "0 to 100"), ("siren@smell", 5, "sound"), ("siren*x", 5, "bark*3"), ("siren -", 7, "fire engine"),
        ("siren -shape:square", 6, "sign"), ("segment:x", 8, "segment:17"), ('siren ""', 6, "fire engine"), ("siren*50", 0, "2 to 12"), ("", 0, "siren"),
        ("siren since:soon", 12, "2024-05-31"), ("upload:abc", 0, "image:photo.jpg"), ("siren > crowd -police^2", 6, "^"), ("a" * 4_001, 4_000, "4,000"),
        ("siren -police > crowd", 0, "later step"), ("image: > b", 0, "image:name"),
        ("siren +image:a.jpg#xywh=percent:90,0,30,30", 7, "25,40,30,20"), ("audio:a.wav#xywh=percent:0,0,30,30", 0, "without the box"),
    ],
)  # fmt: skip
def test_errors_point_at_the_character_and_say_what_to_write(form, at, told):
    with pytest.raises(FormError) as caught:
        read(form)
    assert caught.value.at == at, caught.value
    assert f"Character {at + 1}:" in str(caught.value)
    assert told in caught.value.remedy, caught.value.remedy


texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12).filter(str.strip).map(text)
files = st.sampled_from(["a.jpg", "my photo.jpg", '"q".png', "/x/ä.jpg"]).map(lambda name: Term(Path(name), Modality.IMAGE))
crops = st.builds(
    lambda file, left, top, width, height: replace(file, box=(left, top, width, height)),
    files, *[st.floats(0, 50)] * 2, *[st.floats(1e-7, 50)] * 2,
)  # fmt: skip
terms = texts | files | crops | st.builds(Near, st.integers(1, 10**9))
weights = st.floats(0, 100, allow_nan=False)
links = st.just(Link(together=True)) | st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)).map(
    lambda ends: Link(least_ms=min(ends), most_ms=max(ends))
)
channels = st.lists(st.sampled_from(Channel), unique=True, max_size=2).map(tuple)
sums = st.builds(
    lambda first, others, less: Blend((first, *others, *((-weight, term) for weight, term in less))),
    st.tuples(st.floats(0.1, 100), terms), st.lists(st.tuples(weights, terms), min_size=1, max_size=2),
    st.lists(st.tuples(st.floats(0.1, 100), terms), max_size=2),
)  # fmt: skip
steps = st.builds(Step, terms, channels, links, st.lists(terms, max_size=2).map(tuple), st.integers(1, 3))
patterns = st.lists(steps, min_size=2, max_size=4).map(
    lambda some: Then((Step(some[0].query, some[0].channels, times=some[0].times), *some[1:]))
)
filters = st.builds(
    lambda media, shapes, tags, speech: Filter(modalities=tuple(media), shapes=tuple(shapes), tags=tuple(tags), speech=speech),
    st.lists(st.sampled_from(Modality), unique=True), st.lists(st.sampled_from(Shape), unique=True),
    st.lists(texts.map(lambda one: str(one.content).strip()), unique=True, max_size=2), st.none() | st.booleans(),
)  # fmt: skip


@given(st.builds(Formed, terms | sums | patterns, filters))
def test_every_value_is_written_and_read_back(value):
    assert read(written(value)) == value


def place_of(form: str) -> int | None:
    """The character at which a text cannot be read; None: it can, and is written and read back."""
    try:
        found = read(form)
    except FormError as error:
        return error.at if error.remedy else -1
    assert read(written(found)) == found
    return None


@given(st.text(max_size=40) | st.text('a "~>&+-^@*:.3s', max_size=20))
def test_any_text_is_read_or_refused_with_its_place(form):
    at = place_of(form)
    assert at is None or 0 <= at <= len(form)


def test_what_the_form_cannot_say():
    with pytest.raises(QueryError):
        written(Formed(Then((Step(Blend(((1.0, text("a")), (-1.0, text("b"))))), Step(text("c"))))))
    with pytest.raises(QueryError):
        written(Formed(Blend(((-1.0, text("a")),))))


@pytest.mark.parametrize(
    ("question", "form"),
    [
        ("a beach without people", '"a beach" -people'), ("horses but not any riders.", "horses -riders"), ("Strand ohne Menschen", "Strand -Menschen"),
        ("a dog", None), ("people without", None), ("nothing but the truth", None), ('"without people"', None),
    ],
)  # fmt: skip
def test_a_negation_in_words_is_told_as_a_form(question, form):
    assert negation(question) == form
    if form:
        assert read(form).query.parts[-1][0] == -0.5
