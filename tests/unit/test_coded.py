"""Lists of one-bit codes: what they find, how hard they have to look, and that nothing is answered by them before that is known."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from indexer.pipeline import Progress
from indexer.scan import Tally
from search.api.metrics import Figures, Metrics
from search.errors import IndexDamaged
from search.index import FlatIndex, Generations, choice, place
from search.index.coded import CodedLists, CodedScan, Effort
from search.index.ivf import FILLING, LEARNING, MIN_RECALL, TUNING
from search.live import WRITING, LiveIndex
from search.query import Engine, Term
from search.query.recall_check import RecallCheck, Sampled, direction
from search.settings import Settings
from search.store import Database, Spaces, SqlStore
from search.types import KINDS, Filter, Modality
from tests.bench.bench_million import fill
from tests.fakes.encoder import FakeEncoder
from tests.waiting import until
from ui import show
from ui.status import gather, render

DIM = 32
COUNT = 4_000


def clustered(count: int, seed: int, dim: int = DIM, *, apart: bool = False) -> np.ndarray:
    """Unit rows around 40 centres; ``apart``: away from them, as texts lie apart from pictures."""
    centres, rng = np.random.default_rng(0).standard_normal((40, dim)), np.random.default_rng(seed)
    rows = centres[rng.integers(0, 40, count)] + 0.7 * rng.standard_normal((count, dim))
    rows[:, 0] += 4 * apart
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def flat() -> FlatIndex:
    return written(np.arange(1, COUNT + 1), clustered(COUNT, 1))


def written(ids: np.ndarray, vectors: np.ndarray) -> FlatIndex:
    """An index as it comes from a generation."""
    index = FlatIndex(DIM)
    index.add(ids, vectors)
    return FlatIndex(DIM, *index.compact())


@pytest.fixture(scope="module")
def lists(flat) -> CodedLists:
    return CodedLists.learned(flat, flat.ids())


def recall(index, queries: np.ndarray, **options) -> float:
    truth = index.flat.search(queries, 10, **options)[0]
    found = [index.search(query[None], 10, **options)[0][0] for query in queries]
    return float(np.mean([np.isin(one, some).mean() for one, some in zip(truth, found, strict=True)]))


def tuned(flat: FlatIndex, lists: CodedLists) -> CodedScan:
    scan = CodedScan(flat, lists)
    scan.tune({"text": clustered(100, 3, apart=True), "image": clustered(100, 4)})
    return scan


def test_every_direction_is_found_as_well_as_is_wanted(flat, lists):
    scan = tuned(flat, lists)
    assert scan.effort.enough
    assert scan.effort.probes < scan.lists
    index = place(flat, coded=lambda: [scan], device="cpu")
    assert recall(index, clustered(100, 5, apart=True)) >= MIN_RECALL - 0.02
    assert recall(index, clustered(100, 6)) >= MIN_RECALL - 0.02
    assert recall(index, clustered(100, 6), within=np.arange(1, COUNT, 5)) >= MIN_RECALL - 0.02


def test_what_a_narrow_filter_leaves_is_scanned_exactly(flat, lists):
    scan = CodedScan(flat, lists, Effort(2, 1, 2))  # hardly looks
    index = place(flat, coded=lambda: [scan], device="cpu")
    queries = clustered(50, 7)
    assert recall(index, queries) < 0.95
    for step in (100, 1000):
        assert recall(index, queries, within=np.arange(1, COUNT, step)) == 1


def test_lists_answer_nothing_before_it_is_known_what_they_find(flat, lists):
    scan = CodedScan(flat, lists)
    index = place(flat, coded=lambda: [scan], device="cpu")
    queries = clustered(50, 8)
    assert recall(index, queries) == 1
    scan.effort = Effort(2, 1, 2, {"image": 0.99})
    assert recall(index, queries) < 0.95
    scan.directions = frozenset({"image", "text"})
    assert recall(index, queries) == 1
    scan.directions, scan.effort = frozenset({"image"}), Effort(2, 1, 2, {"image": 0.94})
    assert recall(index, queries) == 1


def test_after_nine_tenths_were_replaced_lists_are_as_good_as_new_ones():
    index = FlatIndex(DIM)
    index.add(np.arange(1, COUNT + 1), clustered(COUNT, 1))
    lists = CodedLists.learned(index, index.ids())
    for part in range(9):
        index.remove(np.arange(1 + part * COUNT // 10, 1 + (part + 1) * COUNT // 10))
        index.add(COUNT + part * COUNT // 10 + np.arange(1, 1 + COUNT // 10), clustered(COUNT // 10, 20 + part))
        lists.follow(index, index.ids())
    fresh = CodedLists.learned(index, index.ids())
    assert lists.ids.tolist() == index.ids().tolist()
    samples = {"text": clustered(100, 3, apart=True), "image": clustered(100, 4)}
    old, new = CodedScan(index, lists), CodedScan(index, fresh)
    old.tune(samples)
    new.tune(samples)
    assert old.probes <= 2 * new.probes
    for name, reached in new.effort.recall.items():
        assert old.effort.recall[name] >= reached - 0.05


class Home:
    """An archive of pictures, of which 100 are enough for lists."""

    def __init__(self, folder: Path) -> None:
        self.settings, self.encoder = Settings(home=folder), FakeEncoder()
        folder.mkdir()
        self.vectors = clustered(1_500, 1, self.encoder.space.dim)
        fill(self.settings, self.encoder, iter([self.vectors]))
        self.database = Database(self.settings.database)
        self.store, self.entry = SqlStore(self.database), Spaces(self.database).find()
        self.generations = Generations(folder / "index", self.entry.key, self.entry.space.name, self.entry.space.dim)

    def live(self, **options) -> LiveIndex:
        return LiveIndex(self.store, self.settings.home, self.entry.space, self.entry.key, **options)

    def questions(self) -> dict[Modality, np.ndarray]:
        return {Modality.TEXT: clustered(60, 3, self.encoder.space.dim, apart=True)}


@pytest.fixture
def home(tmp_path, monkeypatch) -> Iterator[Home]:
    monkeypatch.setattr(choice, "MAX_EXACT_VECTORS", 100)
    home = Home(tmp_path / "home")
    yield home
    home.database.close()


def test_a_generation_brings_its_lists_along(home):
    home.live(fresh=True).write(home.questions())
    live = home.live(place=place)
    (scan,) = live.coded.values()
    assert live.damage is None
    assert {"text", "image"} <= {*scan.effort.recall}
    assert scan.ready
    within, queries = live.index.ids(), home.questions()[Modality.TEXT]
    assert recall(live.index, queries, within=within) >= MIN_RECALL - 0.02
    centroids = scan._lists.ivf.quantizer.reconstruct_n(0, 3)
    home.store._database.close()
    live.index.remove(within[:3])
    assert not np.isin(live.index.search(queries, 10, within=within)[0], within[:3]).any()
    again = home.live()
    again.write(home.questions())  # with the lists that were learned before
    (later,) = home.generations.lists(home.generations.current()).values()
    assert np.array_equal(later.ivf.quantizer.reconstruct_n(0, 3), centroids)


def test_writing_tells_how_far_it_is(home, monkeypatch):
    monkeypatch.setattr("search.index.ivf.VECTORS_AT_ONCE", 1_000)
    told = []
    home.live(fresh=True).write(home.questions(), lambda *one: told.append(one))
    assert told == [(LEARNING, 0, 0), (FILLING, 0, 1_500), (FILLING, 1_000, 1_500), (TUNING, 0, 0), (WRITING, 0, 0)]
    with show.indexing(as_json=False, quiet=True) as report:
        report(Tally(), Progress(stage=FILLING, stage_done=1_000, stage_of=1_500), False)
        (task,) = report._bar.tasks
    assert (task.description, task.completed, task.total) == (FILLING, 1_000, 1_500)


def test_lists_that_were_altered_are_refused(home):
    home.live(fresh=True).write(home.questions())
    manifest = home.generations.current()
    file = home.generations.folder / f"gen-{manifest.generation:08d}" / "lists-0.faiss"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(IndexDamaged, match="lists-0"):
        home.generations.load()
    live = home.live(place=place)
    assert live.damage is not None
    assert not live.coded
    assert len(live.index) == len(home.vectors)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"generation": 1, "kinds": {"0": {"probes": -1}}}', '{"generation": 1, "kinds": {"0": []}}']
)
def test_efforts_that_mean_nothing_are_measured_again(home, content):
    home.live(fresh=True).write(home.questions())
    (home.generations.folder / "effort.json").write_text(content)
    live = home.live(place=place)
    assert [scan.effort for scan in live.coded.values()] == [None]
    queries = home.questions()[Modality.TEXT]
    assert recall(live.index, queries, within=live.index.ids()) == 1


def test_questions_of_people_show_that_lists_are_looked_at_too_little(home, monkeypatch, caplog):
    monkeypatch.setattr("search.query.recall_check.FIRST_PAUSE", 0.0)
    monkeypatch.setattr("search.query.recall_check.PATIENCE", 0)
    home.live(fresh=True).write(home.questions())
    live = home.live(place=place)
    (scan,) = live.coded.values()
    scan.effort = Effort(1, 1, 1, scan.effort.recall, scan.effort.questions)
    check = RecallCheck(nullcontext)
    check.follow(live, home.questions(), lambda: None)
    within = live.index.ids()
    try:
        for vector in clustered(64, 9, home.encoder.space.dim):
            found = live.index.search(vector[None], 10, within=within)[0][0]
            check.note(Sampled(KINDS[0], Modality.IMAGE, vector, within, found))
            until(lambda: not check._asked)
        until(lambda: scan.effort.probes > 1)
    finally:
        check.close()
    recalled, count = scan.effort.asked["image"]
    assert recalled < MIN_RECALL
    assert count == 32
    assert scan.effort.least == scan.effort.probes
    assert "lists found" in caplog.text
    assert json.loads((home.generations.folder / "effort.json").read_text())["kinds"]["0"]["probes"] == scan.effort.probes


def test_a_check_beside_searches_finds_what_a_search_finds(home, monkeypatch):
    monkeypatch.setattr("search.index.flat.ROWS_APART", 200)
    home.live(fresh=True).write()
    live = home.live()
    queries, within = home.questions()[Modality.TEXT], live.index.ids()[::2]
    ids, scores = live.exact(queries, 10, within)
    wanted, expected = live.index.search(queries, 10, within=within)
    assert ids.tolist() == wanted.tolist()
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    if sys.platform == "linux":
        assert live._flat._base.mapped
    np.testing.assert_array_equal(live.index.reconstruct(within[:5]), home.live(fresh=True).index.reconstruct(within[:5]))


def test_how_directions_are_called():
    assert [direction(Modality.TEXT, share) for share in (1, 0.5, 0.3, 0.2)] == ["text", "text 50%", "text 50%", "text 20%"]


def test_a_search_is_answered_by_lists_and_tells_how_well(home, capsys):
    home.live(fresh=True).write()  # without questions of texts
    with Engine(home.settings, encoder=home.encoder) as engine:
        found = engine.search(Term("red", Modality.TEXT), Filter(modalities=(Modality.IMAGE,)), k=5, group="segment")
        assert len(found.hits) == 5
        reached = engine.searcher().reached()
        assert {(str(one.kind), one.asked) for one in reached} == {("image/visual", "image")}
        assert min(one.recall for one in reached) >= MIN_RECALL
    (told,) = gather(home.settings)["recall"]
    assert (told["kind"], told["asked"], told["real"]) == ("image/visual", "image", False)
    metrics = Metrics().render(Figures({}, 1, True, 0, 0, [told])).decode()
    assert f'sensorium_recall_at_10{{asked="image",kind="image/visual",on="samples",space="fake"}} {told["recall"]}' in metrics
    found = {**gather(home.settings), "recall": [{**told, "recall": 0.9}]}
    render(found)
    assert "0.900 by image in image/visual of fake" in capsys.readouterr().out
