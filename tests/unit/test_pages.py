"""Pages of a search: whatever is asked, and whatever happens meanwhile, they neither repeat nor lose a hit of one state of the archive."""

from __future__ import annotations

import dataclasses
import itertools
import threading

import numpy as np
import pytest

from search.errors import InputError
from search.index import FlatIndex
from search.index.nearest import nearest
from search.index.placed import PlacedIndex, ScanLost
from search.query import Engine, Term
from search.query.ranking import CANDIDATES_PER_SPACE
from search.query.searcher import Searcher
from search.store import Database, Finished, Intake, Queue, Spaces
from search.store.intake import Sighting
from search.types import Channel, Cut, Filter, Info, Modality, Span
from tests.fakes.encoder import FakeEncoder

RED = Term("red", Modality.TEXT)
IMAGES, VIDEOS = Filter(modalities=(Modality.IMAGE,)), Filter(modalities=(Modality.VIDEO,))
EQUAL = 300
_NOTHING = np.empty(0, np.uint8)


class Archive:
    """An archive that is written to the tables as the indexer writes it, in as many spaces as are named."""

    def __init__(self, settings, *names: str) -> None:
        self.settings = settings
        self.database = Database(settings.database)
        self.database.upgrade()
        self.encoders = {name: FakeEncoder() for name in names}
        for name, encoder in self.encoders.items():
            encoder.space = dataclasses.replace(encoder.space, name=name)
        self.keys = {name: Spaces(self.database).add(one.space, name).key for name, one in self.encoders.items()}
        self.intake = Intake(self.database)
        self.collection = self.intake.collection("made-up", [b"/made-up"])
        self._count = itertools.count(1)

    def add(self, modality: Modality, cuts, vectors, *, name: str = "%04d", duration: int | None = None) -> None:
        """A file of each of some lists of cuts, with their vectors (cuts, dim) in every space."""
        numbers = [next(self._count) for _ in cuts]
        files = [(Sighting(b"/made-up/" + (name % n).encode(), 1, 0), n.to_bytes(32, "big")) for n in numbers]
        self.intake.put_files(self.collection, 1, list(self.keys.values()), files)
        for key in self.keys.values():
            work = Queue(self.database, key, "test")
            units = work.lease(len(files))
            info = Info(modality, "made-up", duration_ms=duration)
            work.put([Finished(unit, info, some, rows) for unit, some, rows in zip(units, cuts, vectors, strict=True)])

    def engine(self) -> Engine:
        return Engine(self.settings, load=self.encoders.__getitem__)


def rows(count: int, *, seed: int | None = None) -> np.ndarray:
    """As many equal vectors near "red", or, with a seed, different ones, each (1, dim)."""
    rng = np.random.default_rng(seed)
    vectors = np.tile(FakeEncoder().encode(Modality.TEXT, ["red"]), (count, 1))
    vectors = vectors + (0 if seed is None else 0.3 * rng.standard_normal(vectors.shape)) + 0.2 * np.eye(vectors.shape[1])[5]
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)[:, None]


def pictures(archive: Archive, count: int, seed: int | None = None) -> None:
    archive.add(Modality.IMAGE, [[Cut(Channel.VISUAL, Modality.IMAGE, None, _NOTHING)]] * count, rows(count, seed=seed))


def texts(archive: Archive, count: int) -> None:
    cuts = [[Cut(Channel.TEXT, Modality.TEXT, Span(0, 20, "char"), f"red {n % 7} fox {n}")] for n in range(count)]
    archive.add(Modality.TEXT, cuts, rows(count, seed=2))


def ids(answer) -> list[int]:
    return [hit.segment.id for hit in answer.hits]


def paged(engine: Engine, page: int, **options) -> list[int]:
    """All hits, ``page`` at a time."""
    found, more = [], True
    while more:
        answer = engine.search(RED, k=page, offset=len(found), **options)
        found, more = found + ids(answer), answer.more
    return found


def assert_pages_hold(engine: Engine, count: int, **options) -> None:
    whole = ids(engine.search(RED, k=1_000, **options))
    assert len(whole) == len(set(whole)) == count
    for page in (7, 30, 299):
        assert paged(engine, page, **options) == whole


@pytest.fixture
def one(settings):
    return Archive(settings, "one")


@pytest.fixture
def two(settings):
    return Archive(settings, "one", "two")


@pytest.mark.parametrize("group", ["moment", "asset", "segment"])
def test_pages_over_equal_segments_repeat_and_lose_none(one, group):
    pictures(one, EQUAL)
    with one.engine() as engine:
        assert_pages_hold(engine, EQUAL, group=group)
        assert ids(engine.search(RED, k=EQUAL)) == sorted(ids(engine.search(RED, k=EQUAL)))


def test_pages_go_on_beyond_the_first_level_of_candidates(one):
    pictures(one, 2 * CANDIDATES_PER_SPACE + 20, seed=1)
    with one.engine() as engine:
        assert_pages_hold(engine, 2 * CANDIDATES_PER_SPACE + 20)


def test_pages_hold_with_words_and_without_what_is_excluded(one):
    pictures(one, 200)
    texts(one, 150)
    with one.engine() as engine:
        assert_pages_hold(engine, 350)
        for asked, count in (('"fox"', 150), ("red -fox", 200), ('"red 3"', 21)):
            term = Term(asked, Modality.TEXT)
            pages = [id_ for offset in range(0, count, 9) for id_ in ids(engine.search(term, k=9, offset=offset))]
            assert pages == ids(engine.search(term, k=1_000))
            assert len(pages) == len(set(pages)) == count
        assert len(engine.search(RED, k=1_000, words=True).hits) == 150


@pytest.mark.parametrize("calibrated", [True, False])
def test_pages_hold_over_several_spaces(two, calibrated):
    pictures(two, EQUAL, seed=1)
    if not calibrated:  # a single sound says too little of how sounds score, so that ranks are fused
        two.add(Modality.AUDIO, [[Cut(Channel.SOUND, Modality.AUDIO, None, _NOTHING)]], rows(1))
    with two.engine() as engine:
        assert engine.search(RED, spaces=["all"]).searched == EQUAL + (not calibrated)
        assert_pages_hold(engine, EQUAL + (not calibrated), spaces=["all"])


def test_pages_hold_when_shots_are_put_in_another_order(one, monkeypatch):
    shots = [[Cut(Channel.VISUAL, Modality.VIDEO, Span(0, 5_000), _NOTHING)] for _ in range(EQUAL)]
    one.add(Modality.VIDEO, shots, rows(EQUAL, seed=3), duration=5_000)
    monkeypatch.setattr(Searcher, "finer", lambda self, query, shots: {shot: float(shot * 7919 % 1_009) for shot in shots})
    with one.engine() as engine:
        assert ids(engine.search(RED, k=EQUAL, rerank=True)) != ids(engine.search(RED, k=EQUAL))
        assert_pages_hold(engine, EQUAL, rerank=True)


def test_moments_are_the_same_on_every_page(one):
    shots = [Cut(Channel.VISUAL, Modality.VIDEO, Span(n * 5_000, n * 5_000 + 5_000), _NOTHING) for n in range(400)]
    for seed in (4, 5):
        one.add(Modality.VIDEO, [shots], [rows(400, seed=seed)[:, 0]], duration=2_000_000)
    with one.engine() as engine:
        whole = engine.search(RED, k=1_000).hits
        evidence = [id_ for hit in whole if hit.stretch is None for id_ in hit.evidence]
        assert len(evidence) == len(set(evidence))
        for k in (1, 3, 10):
            few = [hit for offset in range(0, 30, k) for hit in engine.search(RED, k=k, offset=offset).hits][:30]
            assert [(hit.span, hit.evidence) for hit in few] == [(hit.span, hit.evidence) for hit in whole[:30]]


def test_the_end_of_a_list_says_whether_it_is_one(one):
    pictures(one, 40)
    with one.engine() as engine:
        assert [engine.search(RED, k=k).more for k in (39, 40, 41, 1_000)] == [True, False, False, False]
        assert engine.search(RED, k=40).limit is None
        with pytest.raises(InputError) as caught:
            engine.search(RED, k=100, offset=9_950)
    assert "1000" in caught.value.remedy
    assert "10000" in caught.value.remedy


def test_a_list_that_ends_at_a_maximum_says_so(one, monkeypatch):
    monkeypatch.setattr("search.query.engine.MAX_DEPTH", 20)
    monkeypatch.setattr("search.query.engine.MAX_HITS", 30)
    pictures(one, 40)
    with one.engine() as engine:
        assert [(answer.more, answer.limit) for answer in (engine.search(RED, k=10), engine.search(RED, k=10, offset=10))] == [
            (True, None), (False, 20)
        ]  # fmt: skip
        monkeypatch.setattr("search.query.engine.MAX_DEPTH", 60)
        assert engine.search(RED, k=30, sort="name").limit == 30
    texts(one, 40)
    with one.engine() as engine:
        assert engine.search(RED, k=30, words=True).limit == 30


def test_hits_are_sorted_by_name_length_and_date_before_they_are_cut(one):
    for number, (name, seconds) in enumerate([("b10-%d", 5), ("B9-%d", 20), ("a1-%d", 10)]):
        cut = Cut(Channel.VISUAL, Modality.VIDEO, Span(0, 4_000), _NOTHING)
        one.add(Modality.VIDEO, [[cut]], rows(1, seed=number), name=name, duration=seconds * 1_000)
    pictures(one, 1)

    def named(**options):
        return [hit.segment.path.rpartition("/")[2].partition("-")[0] for hit in engine.search(RED, **options).hits]

    with one.engine() as engine:
        assert named(sort="name", wanted=VIDEOS) == ["a1", "B9", "b10"]
        assert named(sort="length")[:3] == ["B9", "a1", "b10"]
        assert [named(sort="length", k=1, offset=at)[0] for at in range(3)] == ["B9", "a1", "b10"]
        best = engine.search(RED, VIDEOS)
        assert len(named(sort="name", wanted=VIDEOS, line=best.hits[1].score)) == 2


def test_a_state_is_of_what_was_asked_and_changes_with_the_archive(one):
    pictures(one, 10)
    with one.engine() as engine:
        before = engine.search(RED).state
        assert engine.search(RED, offset=5).state == before
        pictures(one, 1)
        assert engine.search(RED).state != before
        engine.write_generation()
        assert engine.search(RED).state == engine.search(RED, k=3).state


def test_a_deletion_between_two_steps_of_a_search_is_no_error(two, monkeypatch):
    """One of two spaces has taken in the deletion, the other not."""
    pictures(two, 60, seed=1)
    with two.engine() as engine:
        every = ids(engine.search(RED, spaces=["all"], k=100))
        listed = Engine._listed

        def meanwhile(self, *args, **options):
            two.intake.delete(assets=[1])
            searcher = self.searcher("two")
            searcher.current(self.store.version())
            return listed(self, *args, **options)

        monkeypatch.setattr(Engine, "_listed", meanwhile)
        answer = engine.search(RED, spaces=["all"], k=100)
    gone = set(every) - set(ids(answer))
    assert len(gone) == 1
    assert all(hit.segment.asset != 1 for hit in answer.hits)


def test_a_space_that_is_dropped_during_a_search_is_no_error(two):
    pictures(two, 60, seed=1)
    with two.engine() as engine:
        engine.search(RED, spaces=["all"])
        searcher = engine.searcher("two")
        Spaces(two.database).drop("two")
        view = searcher.current(engine.store.version())
        assert view.covering.latest == {}
        assert len(engine.search(RED, spaces=["all"], k=100).hits) == 60


def test_searches_beside_writers_never_raise(two):
    pictures(two, 60, seed=1)
    wrong, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            try:
                found = ids(engine.search(RED, spaces=["all"], k=200))
                if len(found) != len(set(found)):
                    wrong.append(found)
            except Exception as error:
                wrong.append(error)
                raise

    with two.engine() as engine:
        engine.search(RED, spaces=["all"])
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for asset in range(1, 13):
            two.intake.delete(assets=[asset])
            pictures(two, 2, seed=asset)
            engine.follow()
        stop.set()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert len(engine.search(RED, spaces=["all"], k=200).hits) == 72


@pytest.mark.parametrize("count", [1, 10, 31, 100])
def test_the_nearest_of_many_equals_come_by_id_however_many_are_asked_for(count):
    index = FlatIndex(32)
    vectors = np.tile(rows(1)[0], (EQUAL, 1))
    index.add(np.arange(1, EQUAL + 1), vectors)
    found, _ = nearest(index, vectors[0], count, np.arange(1, EQUAL + 1))
    assert found.tolist() == list(range(1, count + 1))


def test_a_scan_that_is_lost_beside_a_search_leaves_its_answer_whole():
    """The scan is lost by another search just after this one has seen that it is there."""
    flat = FlatIndex(32)
    flat.add(np.arange(1, 51), rows(50, seed=1)[:, 0])

    class Lost:
        most, selects = 50, True

        def search(self, queries, k, share, allowed):
            raise ScanLost("gone")

    index = PlacedIndex(flat, lambda *_: Lost())
    scan = index._scan

    def beside(*args):
        index._lose(ScanLost("gone"))
        return scan(*args)

    index._scan = beside
    found, _ = index.search(rows(1)[0], 10)
    assert (found >= 0).all()
    assert index.lost
