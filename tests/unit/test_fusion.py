"""Fusing the scores of several spaces."""

from __future__ import annotations

import numpy as np
import pytest

from search.query.calibration import word_scores
from search.query.fusion import by_score, by_words

NONE = np.nan


def test_scores_add_up_as_stouffer_says_and_one_alone_stays_as_it_is():
    scores = np.array([[2.0, 2.0], [2.0, NONE], [NONE, 3.0], [-1.0, 1.0]], np.float32)
    assert np.allclose(by_score(scores), [4 / np.sqrt(2), 2, 3, 0])


def test_of_unrelated_segments_the_fused_score_is_standard_normal_again():
    scores = np.random.default_rng(1).standard_normal((20_000, 3)).astype(np.float32)
    scores[:7_000, 2] = NONE
    scores[:2_000, 1] = NONE
    fused = by_score(scores)
    for part in (fused[:2_000], fused[2_000:7_000], fused[7_000:]):
        assert abs(part.std() - 1) < 0.05
        assert abs(part.mean()) < 0.05


def test_agreement_beats_a_single_voice():
    scores = np.array([[3.0, 3.0], [3.5, 0.0], [NONE, 3.5]], np.float32)
    assert by_score(scores).argmax() == 0


def test_the_more_unlikely_a_chance_match_is_the_more_it_says():
    far = word_scores(np.array([0, 1e-12, 0.1, 1, 5, 20, 100, 600], np.float64))
    assert far.tolist() == sorted(far.tolist())
    assert far[0] < 0 < far[4]


def test_words_and_meaning_are_strongest_together_and_neither_is_weakened_by_the_other():
    meaning = np.array([3.0, 3.0, NONE, 3.0, 0.1], np.float32)
    words = np.array([NONE, 3.0, 3.0, 0.1, 5.0], np.float32)
    assert by_words(meaning, words) == pytest.approx([3, 6 / np.sqrt(2), 3, 3, 5], abs=0.01)
