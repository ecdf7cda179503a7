"""Judgements, samples that are drawn, and how many right files may be left."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer import run
from search.errors import InputError
from search.query import Engine, Term
from search.query.judging import judge, review, sample, scope_of
from search.query.stopping import Draw, at_most, drawn, order
from search.store.judgements import MAX_QUESTION_CHARACTERS, JudgedAsset
from search.types import Filter, Modality

QUESTION, EVERYTHING = "a red square", Filter()


@pytest.fixture
def engine(settings, archive, encoder):
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    with Engine(settings, encoder=encoder) as engine:
        yield engine


@pytest.mark.parametrize(("population", "sampled"), [(6, 2), (7, 3), (5, 5), (4, 0)])
def test_the_bound_on_what_is_left_holds_for_nineteen_of_twenty_samples(population, sampled):
    """Counted out: of all samples of a population with a known number of right files, at most one in twenty gives a bound below it."""
    for held in range(population + 1):
        files = [number < held for number in range(population)]
        seen = [sum(some) for some in combinations(files, sampled)]
        missed = sum(at_most(population, sampled, right) < held for right in seen)
        assert missed / len(seen) <= 0.05 + 1e-12


@given(st.integers(1, 10_000), st.integers(0, 200), st.integers(0, 200))
def test_the_bound_lies_between_what_is_known_and_what_can_be(population, sampled, right):
    sampled = min(sampled, population)
    right = min(right, sampled)
    assert right <= at_most(population, sampled, right) <= population - (sampled - right)


def test_the_bound_of_a_large_population_is_the_rule_of_three():
    assert at_most(1_000_000, 300, 0) == pytest.approx(1_000_000 * 3 / 300, rel=0.01)  # Hanley and Lippman-Hand 1983


def test_a_whole_population_leaves_nothing():
    assert Draw(40, 40, 7).left_at_most == 0


def test_a_random_order_is_the_same_every_time_differs_by_question_and_is_even():
    assets = np.arange(1, 2001)
    first = order(QUESTION, assets)
    assert sorted(first.tolist()) == assets.tolist()
    assert np.array_equal(first, order("a  red square ", assets))
    assert not np.array_equal(first, order("a blue square", assets))
    assert np.array_equal(order(QUESTION, assets[500:]), first[np.isin(first, assets[500:])])  # whoever else is there
    assert 900 < first[:200].mean() < 1100


def test_draws_that_follow_each_other_are_one_sample_and_others_are_not():
    scope = scope_of(EVERYTHING)
    one = [JudgedAsset(1, False, 100, scope), JudgedAsset(2, True, 100, scope), JudgedAsset(3, False, 98, scope)]
    assert drawn(one, scope) == Draw(100, 3, 1)
    assert drawn(one, "another filter") is None
    between = [*one, JudgedAsset(9, True), JudgedAsset(4, False, 96, scope)]  # not 97: something was judged otherwise
    assert drawn(between, scope) == Draw(96, 1, 0)
    assert drawn([*one, JudgedAsset(9, True), JudgedAsset(8, False)], scope) == Draw(100, 3, 1, later=1)


def test_what_was_judged_is_known_and_the_latest_word_counts(engine):
    judgements, assets = engine.judgements, every_asset(engine)
    judgements.put("a red  square", assets[:2], assets[2:3])
    judgements.put(QUESTION, [], assets[1:2])
    assert judgements.of(" a red square") == [
        JudgedAsset(assets[0], True),
        JudgedAsset(assets[1], False),
        JudgedAsset(assets[2], False),
    ]
    assert list(judgements.questions()) == [QUESTION]
    assert judgements.count() == 3
    assert review(judgements.of(QUESTION), EVERYTHING).right == 1
    assert judgements.forget(QUESTION, assets[:1]) == 1
    assert judgements.forget(QUESTION) == 2
    assert review(judgements.of(QUESTION), EVERYTHING) is None


@pytest.mark.parametrize(
    ("question", "right", "wrong", "told"),
    [
        ("", [1], [], "0 characters"), ("x" * (MAX_QUESTION_CHARACTERS + 1), [1], [], "501 characters"), ("x", [1], [1], "right and wrong"),
        ("x", [99], [], "no file 99"),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_refused(engine, question, right, wrong, told):
    with pytest.raises(InputError, match=told):
        engine.judgements.put(question, right, wrong)
    assert engine.judgements.count() == 0


def test_a_sample_is_judged_whole_or_not_at_all(engine):
    searcher, judgements, assets = engine.searcher(), engine.judgements, every_asset(engine)
    first = sample(searcher, judgements, QUESTION, EVERYTHING, 2)
    assert first.population == len(assets)
    chosen = first.assets.tolist()
    assert sample(searcher, judgements, QUESTION, EVERYTHING, 2).assets.tolist() == chosen
    other = next(asset for asset in assets if asset not in chosen)
    for wrong in ([chosen[1]], [chosen[0], other], []):
        with pytest.raises(InputError, match="drawn last"):
            judge(searcher, judgements, QUESTION, [], wrong, EVERYTHING, of_sample=True)
    judge(searcher, judgements, QUESTION, chosen[:1], chosen[1:], EVERYTHING, of_sample=True)
    again = sample(searcher, judgements, QUESTION, EVERYTHING, len(assets))
    assert again.population == len(assets) - 2
    assert set(again.assets.tolist()).isdisjoint(chosen)
    judge(searcher, judgements, QUESTION, [], again.assets.tolist(), EVERYTHING, of_sample=True)
    known = review(judgements.of(QUESTION), EVERYTHING)
    assert (known.judged, known.right, known.sampled, known.population) == (len(assets), 1, len(assets), len(assets))
    assert (known.left_at_most, known.recall_at_least) == (0, 1.0)
    assert len(sample(searcher, judgements, QUESTION, EVERYTHING, 5).assets) == 0


def test_a_sample_stays_under_its_filter(engine):
    searcher, judgements = engine.searcher(), engine.judgements
    images = Filter(modalities=(Modality.IMAGE,))
    drawn_ones = sample(searcher, judgements, QUESTION, images, 1)
    kinds = {one.modality for one in engine.store.segments(drawn_ones.segments.tolist()).values()}
    assert kinds == {Modality.IMAGE}
    judge(searcher, judgements, QUESTION, [], drawn_ones.assets.tolist(), images, of_sample=True)
    assert review(judgements.of(QUESTION), images).sampled == 1
    assert review(judgements.of(QUESTION), EVERYTHING).population is None


@pytest.mark.parametrize("count", [0, -1, 1001])
def test_samples_of_no_size_are_refused(engine, count):
    with pytest.raises(InputError, match="drawn"):
        sample(engine.searcher(), engine.judgements, QUESTION, EVERYTHING, count)


def test_a_file_that_is_forgotten_takes_its_judgements_along(engine, settings, archive, encoder):
    hit = engine.search(Term("red", Modality.TEXT), k=1).hits[0]
    engine.judgements.put("red", [hit.segment.asset], [])
    Path(hit.segment.path).unlink()
    run.index(settings, run.RunRequest([archive], prune=True), encoder=encoder)
    assert engine.judgements.count() == 0


def test_an_answer_shows_what_was_judged(engine):
    answer = engine.search(Term("red", Modality.TEXT), k=50)
    right, wrong = answer.hits[0].segment, answer.hits[-1].segment
    engine.judgements.put("red", [right.asset], [wrong.asset])
    again = engine.search(Term("red", Modality.TEXT), k=50)
    judged = {hit.segment.asset: hit.judged for hit in again.hits}
    assert judged[right.asset] is True
    assert judged[wrong.asset] is False
    assert set(judged.values()) == {True, False, None}
    assert (again.review.judged, again.review.right) == (2, 1)
    assert engine.search(Term("blue", Modality.TEXT)).review is None
    assert [hit.segment.id for hit in again.hits] == [hit.segment.id for hit in answer.hits]


def every_asset(engine: Engine) -> list[int]:
    return sorted({hit.segment.asset for hit in engine.search(Term("red", Modality.TEXT), k=200, group="asset").hits})
