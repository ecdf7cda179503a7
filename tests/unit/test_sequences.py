"""Patterns over the timelines of files, asked of an engine: colours are seen and pitches are heard."""

from __future__ import annotations

import numpy as np
import pytest

from search.errors import InputError, QueryError
from search.query import Engine, Link, Near, Step, Term, Then, sequences
from search.query.algebra import MAX_STEPS
from search.store import Database, Finished, Intake, Queue, Spaces
from search.store.intake import Sighting
from search.types import Channel, Cut, Filter, Info, Modality, Span
from tests.fakes.encoder import FakeEncoder

FILMS = {
    "/a/apart.mp4": ["high:0:5", "red:10:15", "blue:60:65"],
    "/a/between.mp4": ["high:0:5", "green:6:9", "red:10:15"],
    "/a/reversed.mp4": ["red:0:5", "high:10:15"],
    "/a/late.mp4": ["high:0:5", "red:100:105"],
    "/a/together.mp4": ["high:0:10", "red:5:15", "red:20:25"],
    "/a/sounds.mp4": [f"{pitch}:{n}:{n + 1}" for n, pitch in enumerate(["low", "middle"] * 8)],
    "/a/filler.mp4": [f"{colour}:{n}:{n + 1}" for n, colour in enumerate(["white", "black", "cyan", "magenta", "yellow"] * 8)],
}
PITCHES = {"low", "middle", "high"}


@pytest.fixture
def engine(settings):
    database, encoder = Database(settings.database), FakeEncoder()
    database.upgrade()
    space, intake = Spaces(database).add(encoder.space, "fake"), Intake(database)
    key = intake.collection("a", [b"/a"])
    for number, (path, segments) in enumerate(FILMS.items(), 1):
        intake.put_files(key, intake.begin_scan(), [space.key], [(Sighting(path.encode(), 10, 1), number.to_bytes(32, "big"))])
        cuts, words = [], []
        for one in segments:
            word, start, end = one.split(":")
            heard = word in PITCHES
            span = Span(int(start) * 1000, int(end) * 1000)
            cuts.append(
                Cut(
                    Channel.SOUND if heard else Channel.VISUAL,
                    Modality.AUDIO if heard else Modality.VIDEO,
                    span,
                    np.empty(0, np.uint8),
                )
            )
            words.append(word)
        queue = Queue(database, space.key, "one")
        for unit in queue.lease(9):
            queue.put([Finished(unit, Info(Modality.VIDEO, "mp4", 4, 3, 200_000), cuts, encoder.encode(Modality.TEXT, words))])
    database.close()
    with Engine(settings, encoder=encoder) as engine:
        yield engine


def text(words: str) -> Term:
    return Term(words, Modality.TEXT)


def found(engine, *steps, wanted=None, **options) -> dict[str, tuple[int, int]]:
    """The stretches in seconds by file."""
    answer = engine.search(Then(steps), wanted or Filter(), k=50, **options)
    for hit in answer.hits:
        assert hit.span.start == min(step.span.start for step in hit.steps)
        assert hit.evidence == tuple(step.segment for step in hit.steps)
        assert all(0 < step.chance <= 1 for step in hit.steps)
    assert [hit.score for hit in answer.hits] == sorted((hit.score for hit in answer.hits), reverse=True)
    return {hit.segment.path[3:-4]: (hit.span.start // 1000, hit.span.end // 1000) for hit in reversed(answer.hits)}


def test_one_follows_another_within_a_gap(engine):
    then = Step(text("high")), Step(text("red"))
    assert found(engine, *then) == {"apart": (0, 15), "between": (0, 15), "together": (0, 25)}
    assert found(engine, then[0], Step(text("red"), link=Link(most_ms=100_000))) == {
        "apart": (0, 15), "between": (0, 15), "together": (0, 25), "late": (0, 105),
    }  # fmt: skip
    assert found(engine, then[0], Step(text("red"), link=Link(least_ms=60_000, most_ms=200_000))) == {"late": (0, 105)}


def test_something_is_absent_between(engine):
    assert found(engine, Step(text("high")), Step(text("red"), without=(text("green"),))) == {
        "apart": (0, 15),
        "together": (0, 25),
    }


def test_both_at_once(engine):
    assert found(engine, Step(text("high")), Step(text("red"), link=Link(together=True))) == {"together": (0, 15)}


def test_repetition_and_three_steps(engine):
    assert found(engine, Step(text("red"), times=2)) == {"together": (5, 25)}
    assert found(engine, Step(text("high")), Step(text("red")), Step(text("blue"), link=Link(most_ms=60_000))) == {
        "apart": (0, 65)
    }


def test_channels_segments_and_filters(engine):
    first = engine.search(text("high"), k=1).hits[0].segment
    assert first.channel == Channel.SOUND
    assert "apart" in found(engine, Step(Near(first.id)), Step(text("red")))
    assert found(engine, Step(text("high"), channels=(Channel.VISUAL,)), Step(text("red"))) == {}
    assert found(engine, Step(text("high")), Step(text("red")), wanted=Filter(under=("/a/between.mp4",))) == {"between": (0, 15)}
    with pytest.raises(QueryError, match="looked for in visual"):
        found(engine, Step(text("high"), channels=(Channel.VISUAL,)), Step(text("red")), wanted=Filter(channels=(Channel.SOUND,)))


def test_pages_do_not_repeat(engine):
    pattern = Then((Step(text("high")), Step(text("red"))))
    pages = [engine.search(pattern, k=1, offset=offset) for offset in range(3)]
    assert [page.more for page in pages] == [True, True, False]
    assert len({page.hits[0].segment.path for page in pages}) == 3
    assert len({page.state for page in pages}) == 1
    assert [page.hits[0].rank for page in pages] == [1, 2, 3]


def test_no_more_files_are_looked_at_than_hold_what_is_wanted(engine, monkeypatch):
    patterns = [
        Then((Step(text("high")), Step(text("red"), link=Link(most_ms=200_000)))),
        Then((Step(text("red")), Step(text("blue"), link=Link(most_ms=100_000)))),
        Then((Step(text("low")), Step(text("middle"), without=(text("red"),)))),
    ]
    whole = [engine.search(pattern, k=50).hits for pattern in patterns]
    looked, look = list[int](), sequences._Asked.look
    monkeypatch.setattr(sequences, "FILES_AT_ONCE", 1)
    monkeypatch.setattr(sequences._Asked, "look", lambda self, assets: looked.append(len(assets)) or look(self, assets))
    for pattern, hits in zip(patterns, whole, strict=True):
        for k in range(1, len(hits) + 1):
            some = engine.search(pattern, k=k)
            assert [(hit.span, hit.segment.id) for hit in some.hits] == [(hit.span, hit.segment.id) for hit in hits[:k]]
            assert some.more == (k < len(hits))
    looked.clear()
    engine.search(patterns[2], k=1)
    assert sum(looked) < 3 * len(FILMS)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Then((Step(text("a")),)), "1 step"), (lambda: Then((Step(text("a"), times=50),)), f"2 to {MAX_STEPS}"),
        (lambda: Then((Step(text("a")), Step(text("b"), times=0))), "less than once"), (lambda: Link(least_ms=5_000, most_ms=1_000), "before it begins"),
        (lambda: Link(least_ms=-1), "cannot be"), (lambda: Link(most_ms=10**10), "cannot be"),
        (lambda: Then((Step(text("a"), without=(text("b"),)), Step(text("c")))), "first step"),
    ],
)  # fmt: skip
def test_patterns_that_cannot_be(make, told):
    with pytest.raises(InputError) as caught:
        make()
    assert told in f"{caught.value} {caught.value.remedy}"
    assert caught.value.remedy


def test_a_pattern_is_no_question_of_words(engine):
    with pytest.raises(QueryError, match="pattern"):
        engine.search(Then((Step(text("high")), Step(text("red")))), words=True)
