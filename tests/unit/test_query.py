"""Queries: calibration, moments, and what the engine makes of an archive."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.run import Job, index
from search.errors import InputError, QueryError, StoreError, UnknownName
from search.query import Blend, Engine, Near, Term
from search.query.calibration import Scale, confidence
from search.query.moments import merge
from search.types import Channel, Filter, Modality, Segment, Span

TEXT = Modality.TEXT


def words(text: str) -> Term:
    return Term(text, TEXT)


def names(answer) -> list[str]:
    return [Path(hit.segment.path).stem for hit in answer.hits]


@pytest.fixture
def engine(settings, archive, encoder):
    index(settings, Job([archive]), encoder=encoder)
    with Engine(settings, encoder=encoder) as engine:
        yield engine


def test_each_medium_finds_each_medium(engine, archive):
    pictures, tones = archive / "pictures", archive / "tones"
    for query, target, expected in (
        (words("blue"), Modality.IMAGE, "blue"),
        (words("high"), Modality.AUDIO, "high"),
        (words("red flowers"), TEXT, "flowers"),
        (Term(pictures / "red.png", Modality.IMAGE), Modality.IMAGE, "red"),
        (Term(pictures / "blue.png", Modality.IMAGE), TEXT, "sea"),
        (Term(tones / "low.wav", Modality.AUDIO), Modality.AUDIO, "low"),
    ):
        assert names(engine.search(query, Filter(modalities=(target,)), k=1)) == [expected]


def test_media_asked_for_together_do_not_drown_each_other(engine):
    """The fake's cosines of words with words are far below those with pictures, and still the right text comes beside it."""
    assert set(names(engine.search(words("blue water as far as one can see"), k=3))) >= {"blue", "sea"}


def test_terms_add_up_and_subtract(engine):
    both = engine.search(Blend(((1.0, words("red")), (1.0, words("blue")))), Filter(modalities=(Modality.IMAGE,)), k=2)
    assert set(names(both)) == {"red", "blue"}
    without = engine.search(Blend(((1.0, words("red")), (1.0, words("blue")), (-0.9, words("red")))), k=1)
    assert names(without) == ["blue"]


def test_terms_that_cancel_out_are_refused(engine):
    with pytest.raises(QueryError, match="cancel"):
        engine.search(Blend(((1.0, words("red")), (-1.0, words("red")))))


@pytest.mark.parametrize("make", [lambda: Blend(()), lambda: Blend(((0.0, Term("x", TEXT)),)), lambda: Term("  ", TEXT)])
def test_a_query_without_terms_is_refused(make):
    with pytest.raises(QueryError):
        make()


def test_a_segment_finds_itself_and_can_be_left_out(engine):
    (hit,) = engine.search(words("green"), k=1).hits
    again = engine.search(Near(hit.segment.id), k=2)
    assert again.hits[0].segment.id == hit.segment.id
    assert hit.segment.id not in [h.segment.id for h in engine.search(Near(hit.segment.id), without=[hit.segment.asset]).hits]


def test_an_unknown_segment_is_refused(engine):
    with pytest.raises(QueryError, match="424242"):
        engine.search(Near(424242))


def test_a_query_file_of_another_modality_is_refused_with_the_right_option(engine, archive):
    with pytest.raises(QueryError, match="not a sound but an image") as caught:
        engine.search(Term(archive / "pictures" / "red.png", Modality.AUDIO))
    assert "--image" in caught.value.remedy


@pytest.mark.parametrize("content", [None, b"", b"nonsense" * 99])
def test_a_query_file_that_cannot_be_read_is_named(engine, tmp_path, content):
    file = tmp_path / "query.png"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(QueryError, match=r"query\.png"):
        engine.search(Term(file, Modality.IMAGE))


def test_a_text_that_names_a_file_is_still_a_text(engine, archive):
    assert engine.search(words(str(archive / "pictures" / "red.png")), k=1).hits


def test_pages_follow_each_other(engine):
    whole = engine.search(words("red"), k=6)
    parts = [engine.search(words("red"), k=2, offset=offset) for offset in (0, 2, 4)]
    assert [h.segment.id for h in whole.hits] == [h.segment.id for part in parts for h in part.hits]
    assert [h.rank for part in parts for h in part.hits] == [1, 2, 3, 4, 5, 6]
    assert engine.search(words("red"), k=5, offset=1000).hits == ()


@pytest.mark.parametrize(("k", "offset"), [(0, 0), (-1, 0), (10**6, 0), (1, -1)])
def test_impossible_pages_are_refused(engine, k, offset):
    with pytest.raises(InputError):
        engine.search(words("red"), k=k, offset=offset)


def test_filters_restrict(engine, archive):
    under = Filter(under=(str(archive / "tones"),))
    assert set(names(engine.search(words("red"), under))) == {"low", "middle", "high"}
    assert engine.search(words("red"), Filter(modalities=(Modality.VIDEO,))).hits == ()
    with pytest.raises(UnknownName):
        engine.search(words("red"), Filter(collections=("nowhere",)))


def test_an_answer_says_where_its_time_went(engine):
    answer = engine.search(words("red"))
    assert answer.searched == 13
    assert set(answer.timings_ms) == {"words", "encode", "filter", "scan", "hydrate", "mark", "total"}
    assert answer.timings_ms["total"] >= answer.timings_ms["scan"] > 0


def test_scores_fall_and_confidence_with_them(engine):
    hits = engine.search(words("red"), Filter(modalities=(Modality.IMAGE,)), k=8).hits
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    assert hits[0].confidence > 0.9 > 0.5 > hits[-1].confidence


def test_what_is_indexed_meanwhile_is_found_at_once(engine, settings, archive, encoder):
    Image.new("RGB", (8, 8), (254, 0, 2)).save(archive / "pictures" / "scarlet.png")
    index(settings, Job([archive]), encoder=encoder)
    assert "scarlet" in names(engine.search(words("red"), k=2))


def test_what_vanished_is_not_found(engine, settings, archive, encoder):
    (archive / "pictures" / "red.png").unlink()
    index(settings, Job([archive]), encoder=encoder)
    assert "red" not in names(engine.search(words("red"), k=13))


def test_a_damaged_generation_is_noticed_and_answers_stay_right(engine, settings, encoder):
    file = next((settings.home / "index").glob("*/gen-*/vectors.faiss"))
    content = bytearray(file.read_bytes())
    content[-5] ^= 0x40
    file.write_bytes(content)
    with Engine(settings, encoder=encoder) as other:
        assert other.live.damage is not None
        assert names(other.search(words("green"), k=1)) == ["green"]


def test_an_empty_home_says_how_to_fill_it(settings, encoder):
    with pytest.raises(StoreError) as caught:
        Engine(settings, encoder=encoder)
    assert "sensorium index" in caught.value.remedy
    assert not settings.home.exists()


def test_another_revision_of_a_space_is_another_space(engine, settings, encoder):
    encoder.space = dataclasses.replace(encoder.space, revision="2")
    with pytest.raises(StoreError, match="Nothing is indexed"):
        Engine(settings, encoder=encoder)


def segment(id_: int, start: int, end: int, *, asset: int = 1, channel: Channel = Channel.VISUAL) -> Segment:
    return Segment(id_, asset, Modality.VIDEO, channel, "/v", Span(start, end), None)


def test_neighbours_merge_into_a_moment_with_start_and_end():
    found = [(segment(2, 10, 20), 5.0, 0.5), (segment(3, 20, 30), 4.5, 0.4), (segment(1, 0, 10), 4.2, 0.4)]
    (moment,) = merge(found, "moment")
    assert moment.span == Span(0, 30)
    assert moment.evidence == [2, 3, 1]
    assert moment.score == 5.0


@pytest.mark.parametrize(
    "other",
    [
        (segment(9, 20, 30), 3.9, 0.4),  # much weaker
        (segment(9, 2000, 3000), 5.0, 0.4),  # far away
        (segment(9, 20, 30, asset=2), 5.0, 0.4),
        (segment(9, 20, 30, channel=Channel.SOUND), 5.0, 0.4),
    ],
)
def test_what_is_no_neighbour_stays_apart(other):
    assert len(merge([(segment(2, 10, 20), 5.0, 0.5), other], "moment")) == 2


def test_grouping_by_asset_keeps_the_best_and_by_segment_everything():
    found = [(segment(2, 0, 10), 5.0, 0.5), (segment(3, 10, 20), 4.9, 0.4), (segment(4, 90000, 99000), 4.8, 0.4)]
    assert [moment.best.id for moment in merge(found, "asset")] == [2]
    assert len(merge(found, "segment")) == 3
    assert len(merge(found, "moment")) == 2


def test_a_scale_makes_kinds_with_other_means_and_widths_comparable():
    rng = np.random.default_rng(0)
    near, far = (rng.normal(mean, width, 1000).astype(np.float32) for mean, width in ((0.7, 0.05), (0.1, 0.1)))
    three = [Scale.of(sample).score(np.array([mean + 3 * width], np.float32))[0] for sample, mean, width in
             ((near, 0.7, 0.05), (far, 0.1, 0.1))]  # fmt: skip
    assert three == pytest.approx([3, 3], abs=0.3)


def test_the_right_answers_in_a_small_sample_do_not_raise_the_bar():
    crowd = np.full(20, 0.1, np.float32) + np.random.default_rng(0).normal(0, 0.02, 20).astype(np.float32)
    alone = Scale.of(crowd).score(np.array([0.6], np.float32))[0]
    among = Scale.of(np.append(crowd, [0.6, 0.62, 0.58]).astype(np.float32)).score(np.array([0.6], np.float32))[0]
    assert among > 0.7 * alone


def test_confidence_falls_with_the_number_of_rivals():
    values = [confidence(3.0, rivals) for rivals in (1, 10, 1000, 10**6)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.99
    assert values[-1] < 0.01
    assert confidence(-50.0, 10**6) == 0.0


def test_the_number_of_changes_is_read_once_a_search(engine, monkeypatch):
    reads = []
    version = engine.store.version
    monkeypatch.setattr(engine.store, "version", lambda: reads.append(1) or version())
    for asked in (Term("red", Modality.TEXT), Near(engine.search(Term("red", Modality.TEXT)).hits[0].segment.id)):
        reads.clear()
        engine.search(asked)
        assert len(reads) == 1
