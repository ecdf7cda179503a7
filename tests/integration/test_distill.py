"""Text towers: what a small one keeps of the model that it was fitted to, and that it answers where this is not here."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from indexer.delete import drop_strangers
from indexer.run import RunRequest, index
from search import encoders
from search.encoders import text_tower
from search.encoders.text_tower import TextTower, sentences_of
from search.errors import InputError, ModelMissing, QueryError
from search.query import Engine, Term
from search.query import distill as distilling
from search.store import Database, Spaces, SqlStore
from search.types import Modality
from tests.fakes.encoder import COLOURS, FakeEncoder

COUNT = 300


class Teacher(FakeEncoder):
    """Knows the colour in a sentence; stands for a model that is not always here."""

    def __init__(self) -> None:
        super().__init__()
        self.space = replace(self.space, name="large", revision="7")


@pytest.fixture
def captions(archive, tmp_path):
    """Five pictures of each colour, and sentences with a colour, of which each tells of one of them."""
    rng = np.random.default_rng(0)
    things = ("flower", "car", "house", "bird", "ball", "door", "shirt", "boat")
    lines = []
    for number in range(COUNT):
        colour = list(COLOURS)[number % len(COLOURS)]
        path = archive / "pictures" / f"{colour}-{number % 5}.png"
        if not path.exists():
            Image.new("RGB", (64, 48 + number), COLOURS[colour]).save(path)
        lines.append(json.dumps({"text": f"a {colour} {rng.choice(things)} {number}", "path": str(path)}))
    (tmp_path / "captions.jsonl").write_text("\n".join(lines))
    return tmp_path / "captions.jsonl"


def test_a_tower_keeps_recall_and_answers_where_the_model_is_not_here(settings, archive, captions, monkeypatch):
    teacher, real = Teacher(), encoders.load
    index(settings, RunRequest([archive]), encoder=teacher)
    monkeypatch.setattr(encoders, "load", lambda name, *_, **__: real(name) if name == "pocket" else teacher)
    made = distilling.distill(settings, "large", distilling.read(captions))
    assert made.fitted + made.measured <= COUNT
    assert made.teacher == 1.0
    assert made.kept > 0.8
    monkeypatch.undo()

    def gone(name):
        raise ModelMissing(f"{name} is not here")

    with Engine(settings, load=gone) as engine:
        best = engine.search(Term("a red flower", Modality.TEXT), k=1).hits[0]
        assert "/red" in best.segment.path
        with pytest.raises(QueryError, match="knows no image"):
            engine.search(Term(archive / "pictures" / "red.png", Modality.IMAGE))
    entry = Spaces(Database(settings.database)).find("large")
    assert text_tower.find(settings.home, replace(entry.space, revision="8")) is None
    assert text_tower.find(settings.home, entry.space) is not None
    made.file.write_bytes(made.file.read_bytes()[:-200])
    assert text_tower.find(settings.home, entry.space) is None
    (settings.home / text_tower.FOLDER / "other.npz").write_bytes(b"")
    drop_strangers(settings.home, SqlStore(Database(settings.database)))
    assert [file.name for file in (settings.home / text_tower.FOLDER).iterdir()] == [made.file.name]


def test_captions_that_are_none_and_too_few_are_refused(tmp_path):
    for content, said in (("", "holds no captions"), ('{"caption": 1}', "Line 1"), ('a\n{"text"', "Line 2")):
        (tmp_path / "captions.txt").write_text(content)
        with pytest.raises(InputError, match=said):
            distilling.read(tmp_path / "captions.txt")
    with pytest.raises(InputError, match="cannot be read"):
        distilling.read(tmp_path / "none.txt")
    base = encoders.load("pocket")
    sentences = sentences_of(base, ["a dog", "a cat"])
    with pytest.raises(InputError, match="too few"):
        TextTower.fit(base.space, sentences, sentences, base)
