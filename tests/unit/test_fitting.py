"""Fitting: logistic models, split-conformal lines, and what a calibration makes of questions whose answers are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from search.query.calibration import Calibration
from search.query.fitting import FALSE_SHARE, FEWEST, NEAR_MISS, THINNED, Archive, Case, conformal, fit, logistic, reliability
from search.query.verdict import judge
from search.types import Channel, Kind, Modality

DIM = 32
IMAGES, SOUNDS = Kind(Modality.IMAGE, Channel.VISUAL), Kind(Modality.AUDIO, Channel.SOUND)
TEXT = Modality.TEXT


def units(rng: np.random.Generator, count: int) -> np.ndarray:
    vectors = rng.standard_normal((count, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def cohort(rng: np.random.Generator) -> Calibration:
    return Calibration({Modality.IMAGE: units(rng, 200), Modality.AUDIO: units(rng, 200)}, {TEXT: units(rng, 200)}, {})


def cases(
    rng: np.random.Generator, calibration: Calibration, count: int, kind: Kind = IMAGES, nearness: float = 1.5
) -> list[Case]:
    """Questions to archives of 5 to 200 segments, of which every other holds one right answer: the question with noise."""
    made = []
    for number in range(count):
        question, vectors = units(rng, 1)[0], units(rng, int(rng.choice([5, 50, 200])))
        if number % 2:
            right = nearness * question + units(rng, 1)[0]
            vectors[0] = right / np.linalg.norm(right)
        archive = Archive.of(calibration, kind, vectors)
        made.append(Case(archive, TEXT, question, 3, frozenset({0} if number % 2 else ()), foreign=True))
    return made


def passing(calibration: Calibration, some: list[Case]) -> tuple[float, float]:
    """The share of questions that are called found, of those whose answer is there and of the others."""
    from search.query import fitting

    table = fitting._table(calibration, some)
    direction = calibration.directions[TEXT, some[0].archive.kind.content]
    found = np.zeros(len(some), bool)
    for at, (row, case) in enumerate(zip(table.features, some, strict=True)):
        one = judge(direction, case.archive.kind, dict(zip(table.names, row, strict=True)), len(case.archive.vectors), case.words)
        assert one is not None
        found[at] = one.logit > one.line
    return float(found[table.present == 1].mean()), float(found[table.present == 0].mean())


@pytest.mark.parametrize("count", [19, 40, 99, 500])
def test_a_conformal_bound_is_passed_by_no_more_than_its_share(count):
    rng = np.random.default_rng(count)
    passed = []
    for _ in range(4_000):
        scores = rng.gumbel(size=count + 1)
        passed.append(scores[-1] > conformal(scores[:-1], 0.05))
    assert np.mean(passed) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 4_000)
    assert np.mean(passed) >= 0.05 - 1 / (count + 1) - 3 * math.sqrt(0.05 * 0.95 / 4_000), "a line this high keeps nothing"


def test_a_conformal_bound_counts_the_new_score_among_the_others():
    assert conformal(np.arange(99.0), 0.05) == 94  # the 95th of 99: ceil(100 * 0.95)
    assert conformal(np.arange(19.0), 0.05) == 18
    assert conformal(np.arange(5.0), 0.05) == 4, "of too few the largest is the most that can be had"


def test_a_logistic_model_finds_known_weights():
    rng = np.random.default_rng(1)
    x = rng.normal([5.0, -300.0, 0.0], [1.0, 100.0, 0.01], (60_000, 3))
    weights = np.array([2.0, 0.8, 0.01, -90.0])
    y = (rng.random(len(x)) < 1 / (1 + np.exp(-(weights[0] + x @ weights[1:])))).astype(float)
    assert logistic(x, y, np.ones(len(x))) == pytest.approx(weights, rel=0.08, abs=0.25)


def test_a_logistic_model_stays_finite_where_classes_are_apart_and_a_feature_is_constant():
    x = np.column_stack([np.linspace(-1, 1, 40), np.full(40, 7.0)])
    beta = logistic(x, (x[:, 0] > 0).astype(float), np.ones(40))
    assert np.isfinite(beta).all()
    assert beta[1] > 1


def test_a_case_that_counts_twice_is_worth_two():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(200, 2)), (rng.random(200) < 0.4).astype(float)
    twice = logistic(np.concatenate([x, x[:50]]), np.concatenate([y, y[:50]]), np.ones(250), ridge=0)
    assert logistic(x, y, np.where(np.arange(200) < 50, 2.0, 1.0), ridge=0) == pytest.approx(twice, abs=1e-6)


def test_the_expected_calibration_error_is_the_mean_distance_of_chance_and_share():
    error, bins = reliability(np.array([0.05] * 10 + [0.95] * 30), np.array([0.0] * 10 + [1.0] * 24 + [0.0] * 6))
    assert bins == (pytest.approx((0.05, 0.0, 10)), pytest.approx((0.95, 0.8, 30)))
    assert error == pytest.approx((10 * 0.05 + 30 * 0.15) / 40)
    assert reliability(np.array([1.0]), np.array([1.0]))[0] == 0


def test_the_calibration_error_counts_hits_by_their_weight():
    chances, right = np.array([0.05, 0.05, 0.95]), np.array([0.0, 1.0, 1.0])
    error, bins = reliability(chances, right, np.array([3.0, 1.0, 4.0]))
    assert bins == (pytest.approx((0.05, 0.25, 2)), pytest.approx((0.95, 1.0, 1)))
    assert error == pytest.approx((4 * 0.2 + 4 * 0.05) / 8)
    assert reliability(chances, right, np.array([1.0, 0.0, 0.0])) == (pytest.approx(0.05), ((0.05, 0.0, 1),))


def test_probabilities_take_a_third_of_the_questions_to_have_an_answer_however_many_of_either_were_asked():
    """Asking more questions that nothing answers does not make a hit less probable."""
    rng = np.random.default_rng(9)
    calibration = cohort(rng)
    some = cases(rng, calibration, 300)
    made = [fit(calibration, [*some, *more]) for more in ([], 5 * [case for case in some if not case.right])]
    chances = []
    for one in made:
        direction = one.directions[TEXT, Modality.IMAGE]
        scores = np.array([direction.slope * z + direction.here * 1.0 + direction.offset for z in (2.0, 4.0)], np.float32)
        chances.append(one.probability(scores, 50, 3))
    assert chances[0] == pytest.approx(chances[1], abs=0.05)


def test_a_question_some_of_whose_answers_were_taken_away_counts_a_fifth():
    rng = np.random.default_rng(10)
    calibration = cohort(rng)
    (there,) = cases(rng, calibration, 2)[1:]
    assert [one.weight for one in (there, replace(there, thinned=True))] == [1.0, THINNED]
    assert replace(there, right=frozenset(), foreign=False).weight == NEAR_MISS
    plain, hidden = cases(rng, calibration, 200), cases(rng, calibration, 200, nearness=0.3)
    thinned = [replace(case, thinned=bool(case.right)) for case in hidden]
    kept = [passing(fit(calibration, [*plain, *some]), cases(rng, calibration, 400))[0] for some in (hidden, thinned)]
    assert kept[1] >= kept[0]


def test_what_was_fitted_tells_new_questions_apart_and_keeps_its_line():
    rng = np.random.default_rng(3)
    calibration = cohort(rng)
    fitted = fit(calibration, cases(rng, calibration, 600))
    kept, false = passing(fitted, cases(rng, calibration, 1_000))
    assert kept > 0.6
    assert (
        false <= FALSE_SHARE + 3 * math.sqrt(FALSE_SHARE * (1 - FALSE_SHARE) / 500) + 0.02
    )  # and what the model has learned by heart
    direction = fitted.directions[TEXT, Modality.IMAGE]
    assert (direction.present, direction.absent) == (300, 300)
    assert direction.error is not None
    assert direction.error < 0.05
    assert all(doubt <= line for doubt, line in zip(direction.doubts, direction.lines, strict=True))


def test_where_an_answer_is_like_anything_else_nothing_is_called_found_for_it():
    rng = np.random.default_rng(4)
    calibration = cohort(rng)
    fitted = fit(calibration, cases(rng, calibration, 400, nearness=0.0))
    kept, false = passing(fitted, cases(rng, calibration, 600, nearness=0.0))
    assert kept < 0.15
    assert false < 0.15


def test_probabilities_of_two_directions_hold_on_one_scale():
    """Answers are plain in one and hidden in the other: a hit's chance says so."""
    rng = np.random.default_rng(5)
    calibration = cohort(rng)
    fitted = fit(calibration, [*cases(rng, calibration, 400), *cases(rng, calibration, 400, SOUNDS, nearness=0.7)])
    assert set(fitted.directions) == {(TEXT, Modality.IMAGE), (TEXT, Modality.AUDIO)}
    for direction in fitted.directions.values():
        assert direction.slope > 0
        assert direction.here >= 0
        assert direction.error is not None
        assert direction.error < 0.05


def test_a_direction_with_too_few_questions_is_left_out():
    rng = np.random.default_rng(6)
    calibration = cohort(rng)
    few = cases(rng, calibration, 2 * FEWEST - 2)
    assert fit(calibration, few).directions == {}
    assert fit(calibration, few).shared == {}
    one_sided = [case for case in cases(rng, calibration, 100) if case.right]
    assert fit(calibration, one_sided).directions == {}
    assert fit(calibration, []).directions == {}


def test_the_same_cases_give_the_same_calibration():
    made = [
        fit(calibration, cases(np.random.default_rng(8), calibration, 120))
        for calibration in [cohort(np.random.default_rng(7))] * 2
    ]
    assert made[0].directions == made[1].directions
    assert made[0].shared == made[1].shared
