"""Where an index is scanned: the device that is named, and answers that stay right whatever becomes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from indexer.run import RunRequest
from indexer.run import index as run
from search.errors import InputError, UnknownName
from search.index import FlatIndex, choice, gpu, place
from search.index.ivf import IvfScan
from search.index.placed import PlacedIndex
from search.query import Engine, Term
from search.types import Modality
from tests.fakes.faiss_gpu import Card

DIM = 32


def clustered(count: int, seed: int) -> np.ndarray:
    """Unit rows around 50 centres, as embeddings lie."""
    centres, rng = np.random.default_rng(0).standard_normal((50, DIM)), np.random.default_rng(seed)
    rows = centres[rng.integers(0, 50, count)] + 0.7 * rng.standard_normal((count, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def filled(count: int = 6000) -> FlatIndex:
    index = FlatIndex(DIM)
    index.add(np.arange(1, count + 1), clustered(count, 1))
    return index


def recall(index, queries: np.ndarray, **options) -> float:
    truth = index.flat.search(queries, 10, **options)[0]
    found = index.search(queries, 10, **options)[0]
    return float(np.mean([np.isin(one, some).mean() for one, some in zip(truth, found, strict=True)]))


@pytest.fixture
def card(monkeypatch) -> Card:
    card = Card()
    card.install(monkeypatch)
    return card


@pytest.fixture
def lists(monkeypatch) -> None:
    monkeypatch.setattr(choice, "MAX_EXACT_VECTORS", 1000)


def test_without_a_gpu_the_exact_index_itself_answers():
    index = filled(10)
    assert place(index, device="cpu") is index
    if not gpu.count():
        assert place(index) is index


def test_a_device_that_is_not_there_is_named_with_those_that_are(card):
    with pytest.raises(InputError, match="'cuda:7'") as caught:
        place(filled(10), device="cuda:7")
    assert caught.value.exit_code == 2
    assert "auto, cpu, cuda:0" in caught.value.remedy


def test_without_the_gpu_build_a_gpu_is_refused_with_what_it_takes():
    if gpu.count():
        pytest.skip("there is a GPU here")
    for device in ("cuda", "cuda:0", "tpu"):
        with pytest.raises(InputError, match="faiss-gpu-cu12"):
            place(filled(10), device=device)


def test_an_unknown_kind_is_refused_with_those_that_are_known():
    with pytest.raises(UnknownName, match="flt"):
        place(filled(10), kind="flt")


def test_small_archives_are_scanned_exactly_though_lists_are_asked_for():
    index = filled(10)
    assert place(index, device="cpu", kind="ivf") is index


def test_lists_find_nearly_what_the_exact_scan_finds(lists):
    index = place(filled(), device="cpu", kind="ivf")
    (scan,) = index.scans
    assert scan.probes < scan.lists / 4
    assert recall(index, clustered(200, 2)) >= 0.95


def test_lists_find_nearly_everything_under_a_filter_too(lists):
    index = place(filled(), device="cpu", kind="ivf")
    assert recall(index, clustered(200, 2), within=np.arange(1, 6001, 9)) >= 0.95


def test_texts_that_look_for_pictures_are_measured_as_such(lists):
    """Texts lie apart from pictures, so that the lists nearest to them say little: more of them have to be looked at."""
    apart = np.zeros(DIM, np.float32)
    apart[0] = 4
    texts = clustered(3000, 3) + apart
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    index = filled(3000)
    index.add(np.arange(3001, 6001), texts)
    kinds = [np.arange(1, 3001), np.arange(3001, 6001)]
    placed = place(index, lambda: kinds, device="cpu", kind="ivf")
    pictures, _ = placed.scans
    assert min(pictures.recall) >= 0.95
    assert pictures.probes > IvfScan(index, kinds[0], [index.reconstruct(kinds[0][:256])]).probes
    assert recall(placed, texts[::10], within=kinds[0]) >= 0.94


def test_a_gpu_finds_what_the_cpu_finds(card):
    index = place(filled(), lambda: [np.arange(1, 4001)])
    queries = clustered(50, 2)
    for within in (None, np.arange(1, 4001), np.arange(1, 6001, 2), np.arange(1, 6001, 400), np.array([5, 4500])):
        ids, scores = index.search(queries, 20, within=within)
        wanted, expected = index.flat.search(queries, 20, within=within)
        np.testing.assert_allclose(scores, expected, atol=1e-6)
        np.testing.assert_array_equal(ids, wanted)
    assert card.searches > 0


def test_a_filter_that_lets_through_the_worst_alone_is_answered_by_the_cpu(card):
    index, query = place(filled()), clustered(1, 2)
    worst = np.sort(index.flat.search(query, 6000)[0][0][-600:])
    np.testing.assert_array_equal(index.search(query, 5, within=worst)[0], index.flat.search(query, 5, within=worst)[0])
    assert not index.lost


def test_more_than_a_gpu_sorts_is_answered_by_the_cpu(card):
    index, query = place(filled()), clustered(2, 2)
    np.testing.assert_array_equal(index.search(query, 3000)[0], index.flat.search(query, 3000)[0])
    assert card.searches == 0


def test_what_is_added_and_removed_later_counts_at_once(card):
    index, more = place(filled()), clustered(5, 9)
    index.add(np.arange(6001, 6006), more)
    assert index.search(more, 1)[0][:, 0].tolist() == list(range(6001, 6006))
    index.remove(np.array([6001, 17]))
    found = index.search(np.concatenate([more[:1], index.flat.reconstruct(np.array([18]))]), 50)[0]
    assert not np.isin(found, [6001, 17]).any()
    assert len(index) == 6003
    index.rebuild()
    assert index.search(more[1:], 1)[0][:, 0].tolist() == list(range(6002, 6006))


@pytest.mark.parametrize("kind", ["exact", "ivf"])
def test_a_gpu_without_room_leaves_the_cpu_to_answer_and_says_so(monkeypatch, caplog, lists, kind):
    Card(room=1000).install(monkeypatch)
    index, queries = place(filled(), kind=kind), clustered(3, 2)
    np.testing.assert_array_equal(index.search(queries, 5)[0], index.flat.search(queries, 5)[0])
    assert "from the CPU" in caplog.text
    assert "out of memory" in caplog.text


def test_a_gpu_that_goes_away_leaves_the_cpu_to_answer_and_says_so_once(card, caplog):
    index, queries = place(filled()), clustered(3, 2)
    card.gone = True
    for _ in range(3):
        np.testing.assert_array_equal(index.search(queries, 5)[0], index.flat.search(queries, 5)[0])
    assert caplog.text.count("from the CPU") == 1
    index.add(np.array([7000]), clustered(1, 8))
    assert index.search(clustered(1, 8), 1)[0].tolist() == [[7000]]


def test_lists_on_a_gpu_find_nearly_everything(card, lists):
    index = place(filled(), kind="ivf")
    assert recall(index, clustered(200, 2)) >= 0.95
    assert recall(index, clustered(200, 2), within=np.arange(1, 6001, 2)) >= 0.95
    assert card.searches > 0


def test_the_engine_answers_the_same_from_a_gpu(card, settings, archive, encoder):
    run(settings, RunRequest([archive]), encoder=encoder)
    found = []
    for device in ("cpu", "auto"):
        with Engine(replace(settings, index_device=device), encoder=encoder) as engine:
            answer = engine.search(Term("red", Modality.TEXT))
            found.append([(hit.segment.id, round(hit.cosine, 4)) for hit in answer.hits])
            if device == "auto":
                (archive / "texts" / "more.txt").write_text("Red boats on red water.\n")
                run(settings, RunRequest([archive]), encoder=encoder)
                assert any("more.txt" in hit.segment.path for hit in engine.search(Term("red boats", Modality.TEXT)).hits)
    assert found[0] == found[1]
    assert card.searches > 0


def test_the_engine_refuses_a_device_that_is_not_there(settings, archive, encoder):
    run(settings, RunRequest([archive]), encoder=encoder)
    with pytest.raises(InputError, match="'cuda:99'"):
        Engine(replace(settings, index_device="cuda:99"), encoder=encoder)


@pytest.mark.skipif(not gpu.count(), reason="no GPU here, or no faiss-gpu")
def test_a_real_gpu_finds_what_the_cpu_finds_apart_from_ties():
    index, queries = PlacedIndex(filled(), gpu.Gpu(0).flat), clustered(50, 2)
    np.testing.assert_allclose(index.search(queries, 10)[1], index.flat.search(queries, 10)[1], atol=2e-3)
    assert recall(index, queries) > 0.99
