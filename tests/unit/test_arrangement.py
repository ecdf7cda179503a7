"""Filters by things: how they are read, and which pictures fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import InputError, UnknownName
from search.store import arrangement
from search.store.arrangement import RELATIONS, Arrangement

KNOWN = ("dog", "car", "Person", "traffic light", "chair near window", "3 wheeler")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("DOG", Arrangement("dog")), ("3.. person", Arrangement("Person", 3)), ("at least 3 person", Arrangement("Person", 3)),
        ("2 traffic light", Arrangement("traffic light", 2, 2)), ("..4 car", Arrangement("car", 1, 4)), ("2..4 car", Arrangement("car", 2, 4)),
        ("dog left of car", Arrangement("dog", how="left of", other="car")),
        ("2..  person  NEAR traffic light", Arrangement("Person", 2, how="near", other="traffic light")),
        ("chair near window", Arrangement("chair near window")), ("3 wheeler", Arrangement("3 wheeler")),
    ],
)  # fmt: skip
def test_a_filter_is_read_with_the_labels_that_are_known(text, meant):
    assert Arrangement.read(text, KNOWN) == meant


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("cat", UnknownName, "cat"),
        ("dog left of cat", UnknownName, "cat"),
        ("0 dog", InputError, "none"),
        ("4..2 dog", InputError, "none"),
    ],
)
def test_what_cannot_be_told_is_refused(text, error, told):
    with pytest.raises(error, match=told):
        Arrangement.read(text, KNOWN)


BOXES = {
    "a": (10, 10, 20, 20),
    "beside": (25, 12, 20, 20),
    "far": (70, 70, 20, 20),
    "within": (12, 12, 10, 10),
    "across": (15, 10, 20, 20),
}


@pytest.mark.parametrize(
    ("how", "one", "other", "so"),
    [
        ("left of", "a", "beside", True), ("left of", "beside", "a", False), ("left of", "a", "across", False), ("right of", "beside", "a", True),
        ("above", "a", "far", True), ("above", "far", "a", False), ("below", "far", "a", True), ("above", "a", "beside", False),
        ("inside", "within", "a", True), ("inside", "a", "within", False), ("inside", "beside", "a", False), ("near", "a", "beside", True),
        ("near", "a", "far", False), ("larger than", "a", "within", True), ("larger than", "a", "beside", False),
    ],
)  # fmt: skip
def test_a_relation_is_one_of_boxes(how, one, other, so):
    first, second = (np.array([BOXES[name]], np.float32) for name in (one, other))
    assert RELATIONS[how](first, second).tolist() == [so]


sides = st.tuples(st.integers(0, 3), st.sampled_from(["dog", "car"]), *(st.integers(0, 40),) * 2, *(st.integers(1, 60),) * 2)


@given(st.lists(sides, max_size=30), st.sampled_from(sorted(RELATIONS)), st.sampled_from(["dog", "car"]), st.integers(1, 3))
def test_pictures_are_those_that_a_plain_count_finds(rows, how, other, least):
    rows.sort(key=lambda row: row[0])
    frames, labels = np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.str_)
    boxes = np.array([row[2:] for row in rows], np.float32).reshape(-1, 4)

    def so(one: int, two: int) -> bool:
        return one != two and bool(RELATIONS[how](boxes[one : one + 1], boxes[two : two + 1])[0])

    wanted = []
    for frame in range(4):
        here = [at for at, row in enumerate(rows) if row[0] == frame]
        found = [at for at in here if rows[at][1] == "dog" and any(rows[two][1] == other and so(at, two) for two in here)]
        wanted += [frame] * (len(found) >= least)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrangement, "_PAIRS", 7)
        assert Arrangement("dog", least, how=how, other=other).frames(frames, labels, boxes).tolist() == wanted
