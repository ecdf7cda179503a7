"""Filters in words: what they mean, that they are told back, and what cannot be one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import InputError, UnknownName
from search.query.narrowing import in_words, is_key, narrowed_by
from search.types import Channel, DateSource, Filter, Modality, Shape


def made(*pairs) -> Filter:
    wanted = Filter()
    for key, value in pairs:
        wanted = narrowed_by(wanted, key, value)
    return wanted


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("in", "video,image", Filter(modalities=(Modality.VIDEO, Modality.IMAGE))), ("modality", "text", Filter(modalities=(Modality.TEXT,))),
        ("channel", "sound", Filter(channels=(Channel.SOUND,))), ("dated_by", "exif", Filter(dated_by=(DateSource.EXIF,))),
        ("shape", "square", Filter(shapes=(Shape.SQUARE,))), ("size", "0.1..1", Filter(smallest_bytes=100_000, largest_bytes=1_000_000)),
        ("size", "1000..", Filter(smallest_bytes=1_000_000_000)), ("pixels", "..0.5", Filter(most_pixels=500_000)),
        ("duration", "10..60", Filter(shortest_ms=10_000, longest_ms=60_000)), ("confidence", "0.9..", Filter(least_confidence=0.9)),
        ("date", "2024", Filter(since="2024-01-01", until="2024-12-31")), ("date", "2024-02", Filter(since="2024-02-01", until="2024-02-29")),
        ("date", "2023..", Filter(since="2023-01-01")), ("since", "2024-05", Filter(since="2024-05-01")),
        ("until", "2024-05", Filter(until="2024-05-31")), ("speech", "no", Filter(speech=False)),
        ("camera", "canon", Filter(cameras=("canon",))), ("rights", "CC BY", Filter(rights=("CC BY",))),
        ("place", "59.33,18.07,5", Filter(areas=((59.33, 18.07, 5.0),))), ("place", "-1,170,1,-170", Filter(areas=((-1.0, 170.0, 1.0, -170.0),))),
        ("field.Model", "Canon R5", Filter(fields=(("Model", "Canon R5"),))), ("folder", "/a", Filter(under=("/a",))),
    ],
)  # fmt: skip
def test_words_mean_filters(key, value, wanted):
    assert is_key(key)
    assert made((key, value)) == wanted
    assert made(*in_words(wanted)) == wanted


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("shap", "square", "shape"), ("shape", "sqare", "square"), ("in", "vdeo", "video"), ("size", "big", "size:1..10"),
        ("size", "5..1", "1..5"), ("size", "..", "size:1..10"), ("size", "-3..", "size:1..10"), ("size", "1e300..", "size:1..10"),
        ("since", "yesterday", "2024-05-31"), ("date", "2024-13", "2024-05-31"), ("date", "0000", "2024"), ("date", "2024..2023", "2023..2024"),
        ("speech", "perhaps", "yes or no"), ("tag", " ", "tag:"), ("field.9", "x", "letter"), ("duration", "nan..1", "seconds"),
    ],
)  # fmt: skip
def test_what_is_no_filter_says_what_to_write(key, value, told):
    with pytest.raises((InputError, UnknownName)) as caught:
        made((key, value))
    assert told in caught.value.remedy


texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).map(str.strip).filter(bool)
ranges = st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)).map(sorted)


@given(
    st.builds(
        lambda media, shapes, tags, size, length, speech, fields, languages: Filter(
            modalities=tuple(media), shapes=tuple(shapes), tags=tuple(tags), smallest_bytes=size[0], largest_bytes=size[1],
            shortest_ms=length[0], speech=speech, fields=tuple(fields), languages=tuple(languages),
        ),
        st.lists(st.sampled_from(Modality), unique=True), st.lists(st.sampled_from(Shape), unique=True), st.lists(texts, unique=True), ranges,
        ranges, st.none() | st.booleans(), st.lists(st.tuples(st.just("Model"), texts.filter(lambda one: ".." not in one)), unique=True),
        st.lists(st.sampled_from(["de", "en", "fr"]), unique=True),
    )
)  # fmt: skip
def test_every_filter_is_told_and_read_back(wanted):
    assert made(*in_words(wanted)) == wanted
