"""Like hits do not stand together, and the best one stays first."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from search.query.diversity import RELEVANCE, diverse


def unit(*rows) -> np.ndarray:
    vectors = np.array(rows, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def test_a_copy_of_the_best_hit_gives_way_to_something_else():
    scores = np.array([3.0, 2.9, 2.8, 0.0], np.float32)
    assert diverse(scores, unit([1, 0], [1, 0.01], [0, 1], [0, 1])) == [0, 2, 1, 3]
    assert diverse(scores, unit([1, 0], [0, 1], [0, -1], [-1, 0])) == [0, 1, 2, 3]
    assert diverse(np.empty(0, np.float32), np.empty((0, 2), np.float32)) == []
    assert diverse(np.ones(2, np.float32), np.zeros((2, 2), np.float32)) == [0, 1]


@given(st.lists(st.tuples(st.floats(-5, 5, width=32), st.floats(0, 6, width=32)), min_size=1, max_size=8))
def test_each_place_is_taken_by_what_is_worth_most(hits):
    hits.sort(reverse=True)
    scores = np.array([score for score, _ in hits], np.float32)
    vectors = unit(*([np.cos(angle), np.sin(angle)] for _, angle in hits))
    order = diverse(scores, vectors)
    assert sorted(order) == list(range(len(hits)))
    assert order[0] == 0
    match = (scores - scores.min()) / (np.ptp(scores) or 1) if np.ptp(scores) else np.ones(len(scores))
    for place in range(1, len(order)):
        before = order[:place]
        worth = [
            RELEVANCE * match[at] - (1 - RELEVANCE) * max(0.0, *(float(vectors[at] @ vectors[one]) for one in before))
            for at in order[place:]
        ]
        assert worth[0] >= max(worth) - 1e-5
