"""Queries: calibration, moments, and what the engine makes of an archive."""

from __future__ import annotations

import dataclasses
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import event

from indexer.run import RunRequest, index
from search.errors import InputError, QueryError, StoreError, UnknownName
from search.query import Blend, Engine, Near, Term
from search.query.calibration import Scale
from search.query.moments import Ranked, Timeline, gather
from search.store.sql import Columns
from search.types import Filter, Modality, Span

TEXT = Modality.TEXT


def words(text: str) -> Term:
    return Term(text, TEXT)


def names(answer) -> list[str]:
    return [Path(hit.segment.path).stem for hit in answer.hits]


@pytest.fixture
def engine(settings, archive, encoder):
    index(settings, RunRequest([archive]), encoder=encoder)
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
    assert set(answer.timings_ms) == {"words", "encode", "filter", "scan", "judge", "hydrate", "mark", "total"}
    assert answer.timings_ms["total"] >= answer.timings_ms["scan"] > 0


def test_scores_fall_and_nothing_is_told_of_probabilities_without_a_calibration(engine):
    hits = engine.search(words("red"), k=10).hits
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    assert {h.confidence for h in hits} == {None}


def test_what_is_indexed_meanwhile_is_found_at_once(engine, settings, archive, encoder):
    Image.new("RGB", (8, 8), (254, 0, 2)).save(archive / "pictures" / "scarlet.png")
    index(settings, RunRequest([archive]), encoder=encoder)
    assert "scarlet" in names(engine.search(words("red"), k=2))


def test_what_vanished_is_not_found(engine, settings, archive, encoder):
    (archive / "pictures" / "red.png").unlink()
    index(settings, RunRequest([archive]), encoder=encoder)
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


class Around:
    """Segments of made-up files: (id, start, end, score), by file and channel."""

    def __init__(self, *files, channel: int = 2, unit: int = 1) -> None:
        rows = [(*row, asset, channel) for asset, file in enumerate(files, 1) for row in file]
        ids, starts, ends, scores, assets, kinds = (np.array(column) for column in zip(*rows, strict=True))
        none = np.full(len(ids), -1, np.int64)
        self.columns = Columns(
            ids,
            assets,
            kinds.astype(np.int8),
            none,
            none.astype(np.int32),
            none.astype(np.int32),
            none.astype(np.int8),
            starts,
            ends,
            np.full(len(ids), unit, np.int8),
            none,
            none.astype(np.int32),
            none.astype(np.int32),
            none,
            none.astype(np.float32),
        )
        self.scores = scores.astype(np.float32)

    def rows(self, ids):
        return self.columns.only(np.searchsorted(self.columns.ids, ids))

    def siblings(self, assets):
        mask = np.isin(self.columns.assets, assets)
        return self.columns.only(mask), self.scores[mask]

    def level(self) -> Ranked:
        order = np.lexsort((self.columns.ids, -self.scores))
        ids = self.columns.ids[order]
        return Ranked(ids, self.scores[order], self.scores[order] / 10, np.zeros(len(ids), np.intp))

    def moments(self, group="moment"):
        return list(gather([self.level()], group, self))


def found(*files, group="moment", **options):
    return [(one.best, one.span, one.evidence) for one in Around(*files, **options).moments(group)]


def test_neighbours_merge_into_a_moment_with_start_and_end():
    assert found([(1, 0, 10, 4.2), (2, 10, 20, 5.0), (3, 20, 30, 4.5)]) == [(2, Span(0, 30), (1, 2, 3))]


def test_a_moment_goes_on_over_a_short_weak_middle_and_ends_where_it_does_not_get_good_again():
    weak = [(1, 0, 5_000, 5.0), (2, 5_000, 10_000, 0.0), (3, 10_000, 15_000, 4.9), (4, 15_000, 20_000, 0.1)]
    assert found(weak) == [(1, Span(0, 15_000), (1, 2, 3)), (4, Span(15_000, 20_000), (4,))]


def test_a_long_weak_middle_is_not_bridged():
    long = [(1, 0, 5_000, 5.0), (2, 5_000, 12_000, 0.0), (3, 12_000, 19_000, 0.0), (4, 19_000, 24_000, 4.9)]
    assert [span for _, span, _ in found(long)][:2] == [Span(0, 5_000), Span(19_000, 24_000)]


@pytest.mark.parametrize("other", [(9, 20, 30, 3.9), (9, 2_000, 3_000, 5.0)], ids=["much weaker", "far away"])
def test_what_is_no_neighbour_stays_apart(other):
    assert len(found([(2, 10, 20, 5.0), other])) == 2


def test_other_files_stay_apart():
    assert len(found([(2, 10, 20, 5.0)], [(9, 20, 30, 5.0)])) == 2


def test_letters_are_no_milliseconds():
    assert len(found([(1, 0, 100, 5.0), (2, 104, 200, 5.0)], unit=2)) == 1
    assert len(found([(1, 0, 100, 5.0), (2, 150, 200, 5.0)], unit=2)) == 2


def test_the_pages_of_a_picture_are_one_hit_the_best_of_them():
    pages = [(1, 0, 0, 3.0), (2, 0, 0, 5.0), (3, 0, 0, 4.0)]
    assert found(pages, [(9, 0, 0, 4.5)], channel=0, unit=0) == [(2, None, (2,)), (9, None, (9,))]
    assert [best for best, *_ in found(pages, channel=0, unit=0, group="segment")] == [2, 3, 1]
    assert len(found(pages, channel=10, unit=0)) == 3  # what is written on each page


def test_a_static_hour_is_one_hit_with_a_best_part():
    hour = [(n + 1, n * 5_000, n * 5_000 + 5_000, 3.5 if n == 400 else 3.0) for n in range(720)]
    (moment,) = Around(hour).moments()
    assert (moment.best, moment.span, moment.stretch) == (401, Span(2_000_000, 2_060_000), Span(0, 3_600_000))
    assert moment.evidence == tuple(range(401, 413))


def test_the_best_part_grows_to_the_better_side():
    hour = [(n + 1, n * 5_000, n * 5_000 + 5_000, 3.0 + (n in range(395, 400)) * 0.3 + (n == 400) * 0.5) for n in range(720)]
    (moment,) = Around(hour).moments()
    assert moment.span == Span(1_975_000, 2_035_000)


def test_grouping_by_asset_keeps_the_best_and_by_segment_everything():
    file = [(2, 0, 10, 5.0), (3, 10, 20, 4.9), (4, 90_000, 99_000, 4.8)]
    assert [best for best, _, _ in found(file, group="asset")] == [2]
    assert [evidence for _, _, evidence in found(file, group="segment")] == [(2,), (3,), (4,)]
    assert len(found(file)) == 2


@given(
    st.lists(st.tuples(st.integers(1, 9_000), st.integers(0, 2_000), st.integers(0, 40)), min_size=1, max_size=60),
    st.integers(1, 20),
)
def test_moments_do_not_depend_on_how_many_are_wanted_and_share_no_segment(rows, wanted):
    """However the segments are shared out among levels, and whenever the caller stops."""
    starts = np.cumsum([gap for _, gap, _ in rows])
    around = Around(
        [
            (n + 1, int(at), int(at) + length, score / 10)
            for n, (at, (length, _, score)) in enumerate(zip(starts, rows, strict=True))
        ]
    )
    level, whole = around.level(), around.moments()
    parts = (level.only(slice(at, at + wanted)) for at in range(0, len(rows), wanted))
    assert list(islice(gather(parts, "moment", around), wanted)) == whole[:wanted]
    held = [id_ for moment in whole if moment.stretch is None for id_ in moment.evidence]
    assert len(held) == len(set(held))


def test_many_segments_of_few_files_cost_no_more_than_sorting_them(monkeypatch):
    """Three files of 3,000 segments, of which every other one is weak: each segment is looked at a few times."""
    looks = []
    taken = Timeline.taken
    monkeypatch.setattr(Timeline, "taken", lambda self, at: looks.append(1) or taken(self, at))
    files = [[(f * 3_000 + n + 1, n * 20_000, n * 20_000 + 20_000, 5.0 * (n % 2)) for n in range(3_000)] for f in range(3)]
    began = time.process_time()
    assert len(Around(*files).moments()) == 9_000
    assert len(looks) == 9_000
    assert time.process_time() - began < 3  # it took six seconds when each hit was compared with all before it


def test_a_scale_makes_kinds_with_other_means_and_widths_comparable():
    rng = np.random.default_rng(0)
    near, far = (rng.normal(mean, width, 1000).astype(np.float32) for mean, width in ((0.7, 0.05), (0.1, 0.1)))
    three = [Scale.of(sample, 1.0, 0.0).score(np.array([mean + 3 * width], np.float32))[0] for sample, mean, width in
             ((near, 0.7, 0.05), (far, 0.1, 0.1))]  # fmt: skip
    assert three == pytest.approx([3, 3], abs=0.3)


def test_the_right_answers_in_a_small_sample_do_not_raise_the_bar():
    crowd = np.full(20, 0.1, np.float32) + np.random.default_rng(0).normal(0, 0.02, 20).astype(np.float32)
    alone = Scale.of(crowd).score(np.array([0.6], np.float32))[0]
    among = Scale.of(np.append(crowd, [0.6, 0.62, 0.58]).astype(np.float32)).score(np.array([0.6], np.float32))[0]
    assert among > 0.7 * alone


def test_the_number_of_changes_is_read_once_a_search(engine, monkeypatch):
    reads = []
    version = engine.store.version
    monkeypatch.setattr(engine.store, "version", lambda: reads.append(1) or version())
    for asked in (Term("red", Modality.TEXT), Near(engine.search(Term("red", Modality.TEXT)).hits[0].segment.id)):
        reads.clear()
        engine.search(asked)
        assert len(reads) == 1


def test_a_search_holds_one_connection_at_a_time(engine, archive, monkeypatch):
    """Sixteen searches at once would otherwise wait for each other, each with one connection in hand."""
    monkeypatch.setattr(engine, "_legible", lambda _: True)
    held: list[int] = []
    for name, change in (("checkout", 1), ("checkin", -1)):
        event.listen(engine._database.engine, name, lambda *_, change=change: held.append(sum(held[-1:]) + change))
    view = engine.searcher().current(engine.store.version())
    monkeypatch.setattr(
        type(view), "columns", view.columns.only(view.columns.ids < 0), raising=False
    )  # what words find is asked of the store
    for wanted in (Filter(), Filter(under=(str(archive),)), Filter(collections=("default",))):
        assert engine.search(words("red flowers"), wanted, words=True).hits
    assert max(held) == 1
