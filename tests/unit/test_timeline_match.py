"""Ordered patterns over random timelines, against a matcher that tries every combination."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.query.algebra import Link
from search.query.timeline_match import LEAST, PRESENT, Occurrences, matches

CHANCES = (0.02, 0.1, 0.3, 0.49, 0.5, 0.8, 0.99)


def line(*segments) -> Occurrences:
    """Segments (start, end, chance)."""
    starts, ends, chances = (
        (np.array(column, float) for column in zip(*segments, strict=True)) if segments else ([np.empty(0)] * 3)
    )
    return Occurrences(np.arange(len(segments)), starts.astype(np.int64), ends.astype(np.int64), chances)


def brute(steps, links, absent):
    """The best match for each last segment, by trying everything; then those that overlap no better one."""
    best = {}
    for at in itertools.product(*(range(len(step.ids)) for step in steps)):
        chosen = [(int(step.starts[n]), int(step.ends[n]), float(step.chances[n])) for step, n in zip(steps, at, strict=True)]
        if any(chance < LEAST for *_, chance in chosen) or not all(map(fits, chosen, chosen[1:], links, absent)):
            continue
        told = sum(math.log(chance) for *_, chance in chosen)
        if told > best.get(at[-1], (-math.inf,))[0]:
            best[at[-1]] = told, at
    return {end: told for end, (told, _) in best.items()}


def fits(before, after, link, absent) -> bool:
    if link.together:
        low, high = max(before[0], after[0]), min(before[1], after[1])
        if low >= high:
            return False
    else:
        low, high = before[1], after[0]
        if not link.least_ms <= high - low <= link.most_ms:
            return False
    if absent is None:
        return True
    for start, end, chance in zip(absent.starts.tolist(), absent.ends.tolist(), absent.chances.tolist(), strict=True):
        if chance >= PRESENT and any(start <= moment < end for moment in range(low, high)):
            return False
    return True


segments = st.tuples(st.integers(0, 20), st.integers(1, 6), st.sampled_from(CHANCES)).map(
    lambda one: (one[0], one[0] + one[1], one[2])
)
timelines = st.lists(segments, max_size=6).map(lambda some: line(*some))
gaps = st.builds(lambda low, more: Link(least_ms=low, most_ms=low + more), st.integers(0, 5), st.integers(0, 12))
patterns = st.integers(1, 4).flatmap(
    lambda count: st.tuples(
        st.lists(timelines, min_size=count, max_size=count),
        st.lists(gaps | st.just(Link(together=True)), min_size=count - 1, max_size=count - 1),
        st.lists(st.none() | timelines, min_size=count - 1, max_size=count - 1),
    )
)


@given(patterns)
def test_matches_are_those_of_a_matcher_that_tries_everything(pattern):
    steps, links, absent = pattern
    found, known = matches(steps, links, absent), brute(steps, links, absent)
    assert bool(found) == bool(known)
    if found:
        assert found[0].log_chance == pytest.approx(max(known.values()))
    for one in found:
        chosen = [(int(step.starts[n]), int(step.ends[n]), float(step.chances[n])) for step, n in zip(steps, one.at, strict=True)]
        assert all(map(fits, chosen, chosen[1:], links, absent))
        assert one.log_chance == pytest.approx(known[one.at[-1]])
        assert (one.start, one.end) == (min(start for start, *_ in chosen), max(end for _, end, _ in chosen))
    assert all(a.end <= b.start or b.end <= a.start for a, b in itertools.combinations(found, 2))
    assert [one.log_chance for one in found] == sorted((one.log_chance for one in found), reverse=True)


def test_a_siren_and_within_half_a_minute_a_crowd_with_no_police_car_between():
    siren, crowd = line((0, 5_000, 0.9), (60_000, 65_000, 0.6)), line((20_000, 25_000, 0.8), (70_000, 75_000, 0.7))
    then = [Link(most_ms=30_000)]
    assert [one.at for one in matches([siren, crowd], then, [None])] == [(0, 0), (1, 1)]
    police = line((10_000, 15_000, 0.9))
    assert [one.at for one in matches([siren, crowd], then, [police])] == [(1, 1)]
    assert [one.at for one in matches([siren, crowd], then, [line((10_000, 15_000, 0.4))])] == [(0, 0), (1, 1)]
    assert matches([siren, crowd], [Link(together=True)], [None]) == []
    assert [(one.start, one.end) for one in matches([siren, crowd], [Link(least_ms=10_000)], [None])] == [(0, 25_000)]
