"""One suite for every VectorIndex; then what only generations on disk can get wrong."""

from __future__ import annotations

import errno
import os
import random
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.errors import DiskFull, IndexDamaged
from search.index import FlatIndex, Generations, VectorIndex, flat, gpu
from search.index.coded import CodedScan
from search.index.ivf import IvfScan
from search.index.placed import PlacedIndex
from search.index.remote import Address, Mark, RemoteScan, RemoteVectors, connect
from tests.fakes.faiss_gpu import Card
from tests.fakes.index import FakeIndex

DIM = 16


def unit(count: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Settled(PlacedIndex):
    """Makes its scans again after every addition, so that the suite meets them and not the small part beside them."""

    def add(self, ids, vectors) -> None:
        super().add(ids, vectors)
        self.rebuild()


def everywhere(flat, ids, samples) -> IvfScan:
    """A scan of inverted lists that looks into all of them, and so is exact."""
    return IvfScan(flat, ids, samples, recall=1)


BUILDERS = {
    "fake": lambda dim, _: FakeIndex(dim),
    "flat": lambda dim, _: FlatIndex(dim),
    "ivf": lambda dim, _: Settled(FlatIndex(dim), everywhere),
    "ivf beside": lambda dim, _: PlacedIndex(FlatIndex(dim), everywhere),
    "coded": lambda dim, _: Settled(FlatIndex(dim), partial(CodedScan.made, recall=1)),
    "gpu, faked": lambda dim, card: Settled(FlatIndex(dim), card().flat),
    "gpu ivf, faked": lambda dim, card: Settled(FlatIndex(dim), card().ivf),
    "gpu": lambda dim, _: Settled(FlatIndex(dim), gpu.Gpu(0).flat),
    "milvus": None,
    "pgvector": None,
}


def kept(remote):
    """Makes scans of a server that keeps all of the index anew. The server goes all out, so that nothing is missed."""

    def make(flat, ids, samples) -> RemoteScan:
        remote.begin()
        remote.put(ids, np.full(len(ids), 3, np.int8), flat.reconstruct(ids))
        remote.settle(Mark(1, 1))
        return RemoteScan(remote, flat, ids, 3, samples, pytest.fail, recall=1)

    return make


@pytest.fixture
def server(request, unused):
    """Opens the vectors of a space on the server of a name."""
    opened = []

    def opener(name: str) -> RemoteVectors:
        if name == "milvus":
            address = Address.parse(request.getfixturevalue("milvus").url, "sqlite://")
        else:
            address = Address.parse("pgvector", request.getfixturevalue("pgvector_url"))
        opened.append(connect(address, unused, DIM))
        return opened[-1]

    yield opener
    for remote in opened:
        remote.drop()
        remote.close()


@pytest.fixture(params=BUILDERS)
def index(request, monkeypatch) -> VectorIndex:
    if request.param == "gpu" and not gpu.count():
        pytest.skip("no GPU here, or no faiss-gpu")
    if request.param in ("milvus", "pgvector"):
        return Settled(FlatIndex(DIM), kept(request.getfixturevalue("server")(request.param)))

    def card() -> gpu.Gpu:
        Card().install(monkeypatch)
        monkeypatch.setattr(gpu, "IvfScan", everywhere)
        return gpu.Gpu(0)

    return BUILDERS[request.param](DIM, card)


def test_it_is_a_vector_index(index):
    assert isinstance(index, VectorIndex)


def test_a_vector_finds_itself_first(index):
    vectors = unit(50)
    index.add(np.arange(100, 150), vectors)
    ids, scores = index.search(vectors, 3)
    assert ids[:, 0].tolist() == list(range(100, 150))
    assert np.allclose(scores[:, 0], 1, atol=2e-3)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_an_empty_index_answers_with_nothing(index):
    ids, scores = index.search(unit(2), 3)
    assert ids.tolist() == [[-1] * 3] * 2
    assert np.isneginf(scores).all()
    assert len(index) == 0


def test_asking_for_more_than_there_is_fills_up_with_nothing(index):
    index.add(np.array([7, 9]), unit(2))
    ids, scores = index.search(unit(1), 4)
    assert set(ids[0, :2]) == {7, 9}
    assert ids[0, 2:].tolist() == [-1, -1]
    assert np.isneginf(scores[0, 2:]).all()


def test_removed_ids_are_not_found(index):
    vectors = unit(20)
    index.add(np.arange(20), vectors)
    index.remove(np.array([3, 999]))
    assert 3 not in index.search(vectors[3:4], 20)[0]
    assert 3 not in index.ids()
    assert len(index) == 19


@pytest.mark.parametrize("allowed", [[], [5], [1, 5, 1000], list(range(0, 400, 2)), list(range(400))])
def test_only_allowed_ids_are_found_however_many_there_are(index, allowed):
    vectors = unit(400)
    index.add(np.arange(400), vectors)
    within = np.array(allowed, np.int64)
    ids, scores = index.search(vectors[:3], 5, within=within)
    expected = FakeIndex(DIM)
    expected.add(np.arange(400), vectors)
    wanted_ids, wanted_scores = expected.search(vectors[:3], 5, within=within)
    assert ids.tolist() == wanted_ids.tolist()
    assert np.allclose(scores[ids >= 0], wanted_scores[ids >= 0], atol=1e-3)


def test_a_filter_that_is_asked_again_is_answered_the_same_from_its_copy(monkeypatch):
    ids, rows = np.arange(10, 1010), unit(1000)
    whole, copied = FlatIndex(DIM), FlatIndex(DIM)
    for index in (whole, copied):
        index.add(ids, rows)
    within = ids[::2].copy()
    monkeypatch.setattr(flat, "MAX_COPIES_BYTES", 0)
    expected = [whole.search(rows[:3], 7, within=within) for _ in range(3)]
    monkeypatch.undo()
    for found, scores in [copied.search(rows[:3], 7, within=within) for _ in range(3)]:
        np.testing.assert_array_equal(found, expected[0][0])
        np.testing.assert_allclose(scores, expected[0][1], atol=1e-6)
    assert any(way.copy for way in copied._fresh._prepared.values())
    copied.remove(found[:, 0])
    assert not np.isin(copied.search(rows[:3], 7, within=within)[0], found[:, 0]).any()


def test_an_id_cannot_be_added_twice(index):
    index.add(np.array([1]), unit(1))
    with pytest.raises(ValueError, match="held"):
        index.add(np.array([1]), unit(1, seed=1))


def test_copies_are_what_was_added_up_to_float16(index):
    vectors = unit(10)
    index.add(np.arange(10), vectors)
    assert np.array_equal(index.reconstruct(np.array([4, 2])), vectors[[4, 2]].astype(np.float16).astype(np.float32))
    with pytest.raises(KeyError):
        index.reconstruct(np.array([99]))


@pytest.mark.parametrize("build", [FlatIndex, lambda dim: PlacedIndex(FlatIndex(dim), everywhere)], ids=["flat", "placed"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_sequence_of_changes_answers_like_brute_force(build, data):
    real, fake, pool = build(DIM), FakeIndex(DIM), unit(200)
    unused = list(range(200))
    for _ in range(data.draw(st.integers(1, 6))):
        some = np.array(sorted(data.draw(st.sets(st.sampled_from(range(200)), max_size=40))), np.int64)
        if data.draw(st.booleans()):
            fresh = np.array([id_ for id_ in some if id_ in unused], np.int64)
            unused = [id_ for id_ in unused if id_ not in set(fresh.tolist())]
            for index in (real, fake):
                index.add(fresh, pool[fresh])
        else:
            for index in (real, fake):
                index.remove(some)
            if isinstance(real, PlacedIndex) and data.draw(st.booleans()):
                real.rebuild()
        within = some if data.draw(st.booleans()) else None
        got, expected = real.search(pool[:4], 5, within=within), fake.search(pool[:4], 5, within=within)
        assert got[0].tolist() == expected[0].tolist()
        assert real.ids().tolist() == fake.ids().tolist()


@pytest.fixture
def generations(tmp_path):
    return Generations(tmp_path / "index", 1, "a space/1", DIM)


def filled(count: int = 30, seed: int = 0) -> FlatIndex:
    index = FlatIndex(DIM)
    index.add(np.arange(1, count + 1), unit(count, seed))
    return index


def test_a_generation_comes_back_as_it_was_written(generations):
    index = filled()
    index.remove(np.array([4]))
    written = generations.write(index, last_embedding=30, last_removal=1)
    manifest, loaded = generations.load()
    assert manifest == written == generations.current()
    assert (manifest.count, manifest.last_embedding, manifest.last_removal) == (29, 30, 1)
    assert loaded.ids().tolist() == index.ids().tolist()
    assert loaded.search(unit(5), 4)[0].tolist() == index.search(unit(5), 4)[0].tolist()


def test_a_loaded_generation_takes_changes(generations):
    generations.write(filled(), last_embedding=30, last_removal=0)
    _, loaded = generations.load()
    loaded.remove(np.array([1, 2]))
    loaded.add(np.array([31]), unit(1, seed=9))
    assert loaded.search(unit(1, seed=9), 1)[0].tolist() == [[31]]
    assert len(loaded) == 29


def test_no_generation_is_none(generations):
    assert generations.load() is None


def test_the_one_before_the_last_is_kept(generations, tmp_path):
    for number in range(4):
        generations.write(filled(number + 1), last_embedding=number, last_removal=0)
    assert sorted(path.name for path in tmp_path.glob("index/*/gen-*")) == ["gen-00000003", "gen-00000004"]
    assert generations.current().generation == 4


def test_what_killed_writers_left_is_removed_and_what_serves_stays(generations, tmp_path):
    generations.tidy()
    for number in range(3):
        generations.write(filled(number + 1), last_embedding=number, last_removal=0)
    generations.tidy()
    for name in (
        "gen-00000001",
        "gen-00000004",
        "tmp-00000004",
    ):  # killed before the former was dropped, before the new one served, amid it
        (generations.folder / name).mkdir()
    generations.tidy()
    assert sorted(path.name for path in tmp_path.glob("index/*/*-*")) == ["gen-00000002", "gen-00000003"]
    assert len(generations.load()[1]) == 3


@pytest.mark.parametrize("name", ["gen-*/vectors.faiss", "gen-*/ids.npy", "gen-*/manifest.json", "CURRENT"])
def test_no_flipped_or_missing_byte_is_ever_loaded(generations, tmp_path, name):
    generations.write(filled(), last_embedding=30, last_removal=0)
    file = next(tmp_path.glob(f"index/*/{name}"))
    whole, rng = file.read_bytes(), random.Random(name)
    reference = generations.load()[1].search(unit(3), 5)[0].tolist()
    for _ in range(40):
        at = rng.randrange(len(whole))
        if rng.random() < 0.5:
            file.write_bytes(whole[:at])
        else:
            file.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :])
        with pytest.raises(IndexDamaged):
            generations.load()
    file.write_bytes(whole)
    assert generations.load()[1].search(unit(3), 5)[0].tolist() == reference


def test_a_wrong_current_is_damage(generations, tmp_path):
    generations.write(filled(), last_embedding=30, last_removal=0)
    next(tmp_path.glob("index/*/CURRENT")).write_text("../../etc")
    with pytest.raises(IndexDamaged, match="CURRENT"):
        generations.load()


def test_another_dimension_is_damage(generations, tmp_path):
    generations.write(filled(), last_embedding=30, last_removal=0)
    with pytest.raises(IndexDamaged, match="dim"):
        Generations(tmp_path / "index", 1, "a space/1", DIM + 1).load()


@pytest.mark.parametrize("step", ["rename", "replace", "fsync", "mkdir"])
def test_a_kill_at_any_step_leaves_the_old_generation(generations, monkeypatch, step):
    generations.write(filled(10), last_embedding=10, last_removal=0)

    class Killed(BaseException):
        pass

    def die(*_args, **_kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        if step in {"rename", "mkdir"}:
            patch.setattr(f"pathlib.Path.{step}", die)
        else:
            patch.setattr(os, step, die)
        with pytest.raises(Killed):
            generations.write(filled(20), last_embedding=20, last_removal=0)
    assert len(generations.load()[1]) == 10
    generations.write(filled(20), last_embedding=20, last_removal=0)
    assert len(generations.load()[1]) == 20


def test_a_full_disk_leaves_the_old_generation_and_says_so(generations, monkeypatch, tmp_path):
    generations.write(filled(10), last_embedding=10, last_removal=0)

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskFull, match="No room"):
            generations.write(filled(20), last_embedding=20, last_removal=0)
    assert len(generations.load()[1]) == 10
    assert not list(tmp_path.glob("index/*/tmp-*"))
