"""Calibrations: scales, probabilities, verdicts, and the file that they travel in."""

from __future__ import annotations

import io
import json
import math
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import InputError
from search.query.answers import chapman
from search.query.calibration import (
    MAX_WORDS,
    Calibration,
    Direction,
    Scale,
    file_of,
    forget,
    line_class,
    load,
    log_words,
    pack,
    save,
    spread_of,
    unpack,
    word_scores,
    znorm,
)
from search.query.verdict import Profile, alike, features, judge
from search.types import Channel, Kind, Modality, Space

DIM = 16
IMAGES, SHOTS = Kind(Modality.IMAGE, Channel.VISUAL), Kind(Modality.VIDEO, Channel.VISUAL)
TEXT, IMAGE = Modality.TEXT, Modality.IMAGE
VERDICT = {"": -1.0, "z1": 0.5, "near": 2.0}
DIRECTION = Direction(
    1.2,
    -4.0,
    0.3,
    VERDICT,
    (1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
    (-1.0, -2.0, -3.0, -4.0, -5.0, -6.0),
    100,
    200,
    0.25,
    0.04,
    ((0.05, 0.04, 90), (0.95, 0.9, 10)),
)


def units(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def calibration() -> Calibration:
    return Calibration(
        {IMAGE: units(60, 1), TEXT: units(50, 2)}, {TEXT: units(80, 3), IMAGE: units(40, 4)}, {(TEXT, IMAGE): DIRECTION},
        parts=((0, 8), (8, 16)), wording=(8, 16), shared={"offset": -1.0, "log_segments": -1.5, "log_words": 0.2}, made="a test",
    )  # fmt: skip


def changed(content: bytes, **arrays: np.ndarray | None) -> bytes:
    """The file with other arrays in it, or without some."""
    with np.load(io.BytesIO(content)) as file:
        held = {name: file[name] for name in file.files}
    held |= {name.replace("__", "/"): array for name, array in arrays.items()}
    file = io.BytesIO()
    np.savez(file, **{name: array for name, array in held.items() if array is not None})
    return file.getvalue()


def with_head(content: bytes, **values: object) -> bytes:
    with np.load(io.BytesIO(content)) as file:
        head = json.loads(file["head"].tobytes())
    return changed(content, head=np.frombuffer(json.dumps(head | values).encode(), np.uint8))


def with_direction(content: bytes, **values: object) -> bytes:
    with np.load(io.BytesIO(content)) as file:
        directions = json.loads(file["head"].tobytes())["directions"]
    return with_head(content, directions=[directions[0] | values])


def test_a_calibration_comes_back_from_its_file():
    made = calibration()
    content = pack(made)
    read = unpack(content, DIM)
    assert read.directions == made.directions
    assert (read.parts, read.wording, read.shared, read.made) == (made.parts, made.wording, made.shared, made.made)
    for some, others in ((made.contents, read.contents), (made.questions, read.questions)):
        assert some.keys() == others.keys()
        for modality, vectors in some.items():
            assert np.linalg.norm(others[modality], axis=1) == pytest.approx(1, abs=1e-6)
            assert (vectors * others[modality]).sum(axis=1).min() > 0.999
    assert pack(made) == content, "the same calibration gives the same bytes"
    assert read.digest != unpack(pack(replace(made, made="another")), DIM).digest


def test_a_cohort_of_nothing_comes_back_too():
    read = unpack(pack(Calibration({}, {}, {}, made="nothing")), DIM)
    assert (read.contents, read.questions, read.directions, read.wording) == ({}, {}, {}, None)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_half_a_file_is_refused(share):
    content = pack(calibration())
    with pytest.raises(InputError, match="calibration cannot be used"):
        unpack(content[: int(share * len(content))], DIM)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        b"not a calibration at all",
        b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
        bytes(5_000),
    ],
)
def test_what_is_no_calibration_is_refused(content):
    with pytest.raises(InputError, match="calibration cannot be used"):
        unpack(content, DIM)


def damages() -> dict[str, bytes]:
    whole = pack(calibration())
    nan = np.full((60, 1), np.nan, np.float32)
    return {
        "no head": changed(whole, head=None),
        "a head that is no JSON": changed(whole, head=np.frombuffer(b"{]", np.uint8)),
        "a head that is a list": changed(whole, head=np.frombuffer(b"[]", np.uint8)),
        "a head nested too deep": changed(whole, head=np.frombuffer(b"[" * 100_000, np.uint8)),
        "another format": with_head(whole, format=99),
        "no directions": with_head(whole, directions=None),
        "parts that are words": with_head(whole, parts=[["a", "b"]]),
        "shared weights that are words": with_head(whole, shared={"offset": "much"}),
        "an unknown modality asked": with_direction(whole, asked="smell"),
        "a direction without a slope": with_direction(whole, slope=None),
        "a slope of zero": with_direction(whole, slope=0.0),
        "a slope that goes down": with_direction(whole, slope=-1.0),
        "a weight that is no number": with_direction(whole, verdict={"": float("nan")}),
        "an endless line": with_direction(whole, lines=[1.0, float("inf"), 1.0]),
        "a line too few": with_direction(whole, lines=[1.0, 2.0]),
        "a field too many": with_direction(whole, colour="red"),
        "bins of one number": with_direction(whole, bins=[[0.5]]),
        "a scale that is missing": changed(whole, contents__image__scale=None),
        "a scale that is no number": changed(whole, contents__image__scale=nan),
        "an unknown modality": changed(whole, contents__smell=np.ones((3, DIM), np.int8), contents__smell__scale=np.ones((3, 1), np.float32)),
        "an unknown set": changed(whole, answers__text=np.ones((3, DIM), np.int8), answers__text__scale=np.ones((3, 1), np.float32)),
        "vectors in a row": changed(whole, contents__image=np.ones(DIM, np.int8), contents__image__scale=np.ones(1, np.float32)),
        "one vector": changed(whole, contents__image=np.ones((1, DIM), np.int8), contents__image__scale=np.ones((1, 1), np.float32)),
        "pickled vectors": changed(whole, contents__image=np.array([None, {}], object)),
    }  # fmt: skip


@pytest.mark.parametrize("damage", sorted(damages()))
def test_every_damage_is_told(damage):
    with pytest.raises(InputError, match=r"The calibration cannot be used: .+") as refused:
        unpack(damages()[damage], DIM)
    assert "spaces calibrate" in str(refused.value.remedy)


def test_a_byte_that_has_changed_is_harmless_or_told():
    content, rng = bytearray(pack(calibration())), np.random.default_rng(0)
    for at in [*range(200), *range(len(content) - 1_000, len(content)), *rng.integers(0, len(content), 300)]:
        before = content[at]
        content[at] ^= int(rng.integers(1, 256))
        with suppress(InputError):  # anything else that is raised fails the test
            assert unpack(bytes(content), DIM).contents.keys() <= set(Modality)
        content[at] = before


def test_a_calibration_forgets_what_was_deleted_and_goes_where_it_cannot(tmp_path):
    space = Space("some", "fake", "", "1", DIM, frozenset({TEXT}))
    drawn = replace(calibration(), segments={IMAGE: np.arange(60), TEXT: np.arange(100, 150)})
    save(tmp_path, space, drawn)
    present = np.setdiff1d(np.arange(150), [3, 4, 149])
    forget(tmp_path, space, present)
    kept = load(tmp_path, space, None)[0]
    assert kept.segments[IMAGE].tolist() == [*range(3), *range(5, 60)]
    np.testing.assert_allclose(kept.contents[IMAGE], np.delete(units(60, 1), [3, 4], 0), atol=0.01)
    assert (len(kept.contents[TEXT]), kept.directions) == (49, drawn.directions)
    forget(tmp_path, space, present[:20])  # too few are left to tell how unrelated contents score
    assert not file_of(tmp_path, space).exists()
    for made in (b"damaged", pack(calibration())):  # the second does not know what its rows were drawn from
        file_of(tmp_path, space).write_bytes(made)
        forget(tmp_path, space, present)
        assert not file_of(tmp_path, space).exists()
    save(tmp_path, space, replace(calibration(), made="built in, measured by the archive"))
    forget(tmp_path, space, present)
    assert len(load(tmp_path, space, None)[0].contents[IMAGE]) == 60


def test_a_calibration_of_another_space_is_refused():
    with pytest.raises(InputError, match=r"has the shape \(60, 16\), not \(n, 768\)"):
        unpack(pack(calibration()), 768)


def test_an_archives_own_calibration_comes_first_and_a_damaged_one_is_told(tmp_path):
    space = Space("some", "fake", "", "1", DIM, frozenset({TEXT}))

    class Encoder:
        def calibration(self) -> bytes:
            return pack(calibration())

    brought, complaint = load(tmp_path, space, Encoder())
    assert (brought.made, complaint) == ("a test", None)
    own = file_of(tmp_path, space)
    own.parent.mkdir()
    own.write_bytes(pack(replace(calibration(), made="for this archive")))
    assert load(tmp_path, space, Encoder())[0].made == "for this archive"
    own.write_bytes(b"damaged")
    brought, complaint = load(tmp_path, space, Encoder())
    assert brought.made == "a test"
    assert str(own) in (complaint or "")
    assert load(tmp_path, Space("some", "fake", "", "2", DIM, frozenset({TEXT})), object())[0].directions == {}


@given(
    st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=30), st.integers(0, 10**9), st.integers(0, 10_000),
)  # fmt: skip
def test_probability_rises_with_the_score(scores, segments, words):
    ordered = np.sort(np.array(scores, np.float32))
    chances = calibration().probability(ordered, segments, words)
    assert (np.diff(chances) >= 0).all()
    assert ((chances >= 0) & (chances <= 1)).all()


def test_scores_far_out_have_a_probability_without_a_warning():
    with np.errstate(all="raise"):
        assert calibration().probability(np.array([-1e6, 1e6], np.float32), 100, 3) == pytest.approx([0, 1])


def test_a_probability_is_the_logistic_of_the_score_and_what_all_hits_share():
    expected = 1 / (1 + math.exp(-(2.0 - 1.0 - 1.5 * 2 + 0.2 * math.log(5))))
    assert calibration().probability(np.array([2.0], np.float32), 100, 5)[0] == pytest.approx(expected)


def test_a_question_longer_than_any_that_was_fitted_on_counts_as_long_as_these():
    assert log_words(0) == log_words(1) == 0
    assert log_words(3) < log_words(MAX_WORDS) == log_words(1_000)
    assert calibration().addition(100, MAX_WORDS) == calibration().addition(100, 1_000)


def test_the_scale_of_a_sample_is_blind_to_its_best_answers():
    rng = np.random.default_rng(0)
    noise = rng.normal(0.1, 0.05, 40).astype(np.float32)
    alone, beside = Scale.of(noise), Scale.of(np.concatenate([noise, np.full(3, 0.6, np.float32)]))
    for cosine in (0.1, 0.3, 0.6):
        few, many = (float(scale.score(np.array([cosine], np.float32))[0]) for scale in (alone, beside))
        assert abs(few - many) < 0.25 * max(few, 1) + 0.5


def test_scales_of_one_segment_and_of_equal_ones_are_finite():
    for cosines in ([0.3], [0.3] * 500, [0.0, 0.0]):
        scale = Scale.of(np.array(cosines, np.float32))
        assert scale.width > 0
        assert np.isfinite(scale.score(np.array([-1.0, 0.3, 1.0], np.float32))).all()
    same = np.repeat(units(1), 9, axis=0)
    assert np.isfinite(znorm(np.array([0.5, 1.0], np.float32), same, same[0])).all()


def test_the_z_norm_counts_standard_deviations_above_the_cohort():
    cohort, vector = units(5_000, 5), units(1, 6)[0]
    mean, spread = spread_of(cohort, vector)
    assert (mean, spread) == pytest.approx((0, 1 / math.sqrt(DIM)), abs=0.02)
    assert znorm(np.array([mean + 3 * spread], np.float32), cohort, vector) == pytest.approx([3], abs=1e-4)


def test_shots_are_known_by_what_is_known_of_pictures():
    known = calibration()
    assert known.direction(TEXT, SHOTS) is known.direction(TEXT, IMAGES) is DIRECTION
    assert known.cohort(SHOTS) is known.contents[IMAGE]
    assert known.direction(Modality.AUDIO, IMAGES) is None
    assert known.cohort(Kind(Modality.AUDIO, Channel.SOUND)) is None


@pytest.mark.parametrize(("segments", "line"), [(0, 1.0), (1, 1.0), (10, 1.0), (11, 2.0), (100, 2.0), (101, 3.0), (10**9, 3.0)])
@pytest.mark.parametrize(("words", "more"), [(0, 0), (1, 0), (7, 0), (8, 3), (1_000, 3)])
def test_each_size_of_an_archive_and_each_length_of_a_question_has_its_line(segments, line, words, more):
    one = judge(DIRECTION, IMAGES, {}, segments, words)
    assert one is not None
    assert (one.line, one.doubt) == (line + more, -line - more)
    assert line_class(segments, words) == line + more - 1


def test_a_file_in_which_all_questions_of_a_size_share_a_line_is_read():
    with np.load(io.BytesIO(pack(calibration()))) as file:
        head = json.loads(file["head"].tobytes())
    for one in head["directions"]:
        one["lines"], one["doubts"] = one["lines"][:3], one["doubts"][:3]
    older = changed(pack(calibration()), head=np.frombuffer(json.dumps(head).encode(), np.uint8))
    direction = unpack(older, DIM).directions[TEXT, IMAGE]
    assert direction.lines == (1.0, 2.0, 3.0) * 2
    assert direction.doubts == (-1.0, -2.0, -3.0) * 2


def test_a_judgement_adds_up_the_features_that_it_knows_and_no_others():
    one = judge(DIRECTION, IMAGES, {"z1": 3.0, "near": 0.5, "something else": 1e9}, 5, 3)
    assert one is not None
    assert one.logit == pytest.approx(-1.0 + 1.5 + 1.0)
    assert judge(replace(DIRECTION, verdict={}), IMAGES, {"z1": 3.0}, 5, 3) is None


def told(
    known: Calibration, vector: np.ndarray, vectors: np.ndarray, allowed: np.ndarray | None = None, words: int = 3
) -> dict[str, float]:
    profile = Profile.of(np.arange(len(vectors)), vectors, known.contents[IMAGE], known.questions[TEXT])
    cosines = vectors @ vector
    best = np.argsort(-cosines)[:10]
    mask = np.ones(len(profile.ids), bool) if allowed is None else allowed
    near = alike(known, TEXT, vector)
    return features(known, TEXT, IMAGES, vector, cosines[best], vectors[best[:5]], profile, mask, len(vectors), words, near)


@pytest.mark.parametrize("count", [1, 2, 5, 700])
def test_features_are_finite_however_few_segments_there_are(count):
    known = calibration()
    for vectors in (units(count, 8), np.repeat(units(1, 8), count, axis=0)):
        found = told(known, units(1, 9)[0], vectors)
        assert np.isfinite(list(found.values())).all()
        assert np.isfinite(list(told(known, np.zeros(DIM, np.float32), vectors, words=0).values())).all()


def test_features_look_only_at_what_may_be_found():
    known, vector = calibration(), units(1, 9)[0]
    vectors = np.concatenate([units(50, 8), np.repeat(vector[None], 5, axis=0)])
    allowed = np.arange(55) < 50
    assert told(known, vector, vectors)["share2"] > told(known, vector, vectors, allowed)["share2"] + 1
    assert np.isfinite(list(told(known, vector, vectors, np.zeros(55, bool)).values())).all()


def test_an_answer_raises_what_tells_of_it():
    known, vector = calibration(), units(1, 9)[0]
    without, beside = told(known, vector, units(50, 8)), told(known, vector, np.concatenate([units(50, 8), vector[None]]))
    for name in ("z1", "z5", "t1", "t5", "share2", "part0", "part1"):
        assert beside[name] > without[name], name


def test_words_are_worth_more_the_less_likely_they_stand_there_by_chance():
    scores = word_scores(np.array([0.0, 1.0, 10.0, 500.0]))
    assert (np.diff(scores) > 0).all()
    assert np.isfinite(scores).all()


def test_chapman_estimates_from_two_channels_and_says_nothing_where_they_share_nothing():
    assert chapman({1, 2, 3}, {4, 5}) is None
    assert chapman({1, 2}, {1, 2}) == 2
    assert chapman(set(range(10)), set(range(5, 15))) == pytest.approx(11 * 11 / 6 - 1)
