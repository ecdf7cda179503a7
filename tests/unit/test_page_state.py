"""The page's address, and numbers as people read them."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui import phrasing
from ui.page.state import MAX_HITS, Piece, State

label = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=30).map(str.strip)
weight = st.integers(-20, 20).map(lambda tenths: tenths / 10)
piece = st.one_of(
    st.builds(Piece, st.just("text"), label.filter(bool), weight),
    st.builds(Piece, st.just("upload"), st.text("0123456789abcdef", min_size=32, max_size=32), weight, st.sampled_from(["image", "audio", "video"]), label),
    st.builds(Piece, st.just("segment"), st.integers(1, 10**9).map(str), weight, st.sampled_from(["image", "audio", "video", "text"]), label),
)  # fmt: skip
state = st.builds(
    State, view=st.sampled_from(["search", "library"]), text=label, pieces=st.lists(piece, max_size=4).map(tuple),
    targets=st.sampled_from([(), ("image",), ("image", "audio")]), channels=st.sampled_from([(), ("sound",)]),
    collections=st.lists(label.filter(bool), max_size=2).map(tuple), tags=st.lists(label.filter(bool), max_size=2).map(tuple),
    spaces=st.lists(label.filter(bool), max_size=2).map(tuple), under=label, track=label, since=st.dates().map(str), until=st.just(""), dated_by=st.sampled_from([(), ("file",), ("exif", "name")]),
    shortest=st.one_of(st.none(), st.integers(1, 900).map(float)), longest=st.none(), group=st.sampled_from(["files", "moments"]),
    count=st.sampled_from([60, MAX_HITS]), opened=st.one_of(st.none(), st.integers(1, 10**9)), words=st.booleans(), spoken=st.booleans(),
    preferred=st.lists(st.integers(1, 10**9), max_size=3, unique=True).map(lambda some: tuple(one * (-1) ** one for one in some)),
    languages=st.sampled_from([(), ("de", "en")]), origins=st.sampled_from([(), ("edited",)]), sort=st.sampled_from(["", "date", "size"]), lanes=st.booleans(),
    fields=st.sampled_from([(), (("Model", "Canon: R5"), ("ISO", "100..800"))]),
    region=st.booleans(),
)  # fmt: skip


@given(state)
def test_an_address_says_the_whole_state(given_state):
    held = replace(
        given_state,
        words=given_state.words and given_state.alone == "text",
        spoken=given_state.spoken and given_state.alone == "sound",
        region=given_state.regional,
    )
    assert State.read(given_state.params()) == held
    assert State.link(given_state.href()) == held


@given(
    st.dictionaries(
        st.sampled_from(
            ["q", "with", "in", "open", "shortest", "since", "dated", "group", "view", "more", "words", "spoken", "region"]
        ),
        st.lists(st.text(max_size=40), max_size=3),
    )
)
def test_a_mangled_address_still_opens(params):
    read = State.read(params)
    assert read.count % 60 == 0
    assert 60 <= read.count <= MAX_HITS
    assert all(piece.kind in ("text", "upload", "segment") for piece in read.pieces)


def test_a_question_becomes_the_request_of_the_api():
    asked = State.link(
        "?q=a+dog&with=upload~"
        + "0" * 32
        + "~-0.5~image~cat.jpg&with=segment~7~2~video~pets&in=audio&shortest=1.5&under=2024&tag=a+cat&space=photos"
    )
    assert asked.request() == {
        "query": [{"text": "a dog"}, {"upload": "0" * 32, "weight": -0.5}, {"segment": 7, "weight": 2.0}], "targets": ("audio",),
        "channels": (), "filter": {"tags": ["a cat"], "under": "2024", "shortest_ms": 1500}, "group": "moment", "k": 60, "spaces": ("photos",),
        "words": False, "spoken": False,
    }  # fmt: skip


SOUND, PICTURE = (f"upload~{'0' * 32}~1~{medium}~one" for medium in ("audio", "image"))


@pytest.mark.parametrize(
    ("link", "words", "spoken"),
    [
        ("?q=a+dog&words=1&spoken=1", True, False),
        ("?with=text~2~a+dog&words=1", True, False),
        (f"?with={SOUND}&words=1&spoken=1", False, True),
        (f"?with={PICTURE}&spoken=1", False, False),
        (f"?with={SOUND}&with={SOUND}&spoken=1", False, False),
        (f"?q=a+dog&with={SOUND}&words=1&spoken=1", False, False),
        ("?with=segment~7~1~audio~rain&spoken=1", False, False),
        (f"?with={SOUND}&spoken=yes", False, False),
        ("?q=a+dog", False, False),
    ],
)
def test_words_alone_are_asked_of_one_text_and_what_is_said_of_one_sound(link, words, spoken):
    asked = State.link(link)
    assert (asked.request()["words"], asked.request()["spoken"]) == (words, spoken)
    assert ("words" in asked.params(), "spoken" in asked.params()) == (words, spoken)
    assert asked.narrowed == words


def test_all_media_chosen_is_no_restriction():
    assert State.link("?in=image,video,audio,text,imu").targets == ()
    assert State.link("?in=image,video,audio,text").targets == ("image", "video", "audio", "text")


@pytest.mark.parametrize(
    ("ms", "told"), [(0, "0:00"), (7_540, "0:07.5"), (7_960, "0:08"), (61_000, "1:01"), (3_723_000, "1:02:03")]
)
def test_times(ms, told):
    assert phrasing.clock(ms) == told


@pytest.mark.parametrize(
    ("number", "told"), [(1, "1 byte"), (812, "812 bytes"), (1_400_000, "1.4 MB"), (999_999_999_999_999, "1e+03 TB")]
)
def test_sizes(number, told):
    assert phrasing.size(number) == told


@pytest.mark.parametrize(
    ("sure", "told"), [(1.0, (4, "strong")), (0.3, (3, "good")), (0.1, (2, "fair")), (0.0, (1, "weak")), (None, (0, ""))]
)
def test_bands(sure, told):
    assert phrasing.band(sure) == told


def test_every_match_is_weak_where_the_verdict_is_no():
    assert phrasing.band(0.9, "no") == (phrasing.WEAK, "weak")
    assert phrasing.band(0.9, "unsure") == (4, "strong")


def test_names_are_no_markup():
    assert phrasing.plain("*a* [b](c) :red[d] `e` $f$") == r"\*a\* \[b\]\(c\) \:red\[d\] \`e\` \$f\$"


def test_days_and_waits():
    assert phrasing.day(datetime.date(2026, 11, 24)) == "24 Nov 2026"
    assert [phrasing.left(seconds) for seconds in (0.2, 80, 600, 9000)] == ["1 s", "80 s", "10 min", "2 h"]


def test_a_plan_is_part_of_the_address_and_what_makes_no_sense_is_left_out():
    read = State.link("?q=a+dog+without+a+cat&plan=1&skip=2,x,99,-1")
    assert (read.plan, read.skip) == (True, (2,))
    assert State.link(read.href()) == read
    assert read.plan_request()["question"] == "a dog without a cat"
    assert "plan" not in replace(read, text="=dog > cat").params()
