"""Imagined pictures: made by a small pipeline with the classes and files of real ones, picked, and fused with the words."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from indexer.run import RunRequest, index
from search.errors import InputError, ModelMissing, UnknownName
from search.models import Models
from search.ondemand import imagine
from search.ondemand.imagine import ImaginingStopped, Wish
from search.query import Engine, Term
from search.query.imagining import fused
from search.types import Modality
from tests.fakes.encoder import FakeEncoder
from tests.media_samples import picture
from tests.waiting import until
from ui.cli import app

pytest.importorskip("diffusers", reason="the extra imagine is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from tests.fakes import tiny_diffusion

    return tiny_diffusion.write(tmp_path_factory.mktemp("imagine") / "tiny")


@pytest.fixture(scope="module")
def imaginer(folder):
    return imagine.load(str(folder), Models(folder), "cpu")


def test_a_picture_depends_on_the_words_and_on_its_seed_alone(imaginer):
    assert imaginer.checked is False
    told = []
    both = list(imaginer.imagine(Wish.of("a red boat", seeds=(1, 2), steps=2), lambda *one: told.append(one)))
    (alone,) = imaginer.imagine(Wish.of("a red boat", seeds=(2,), steps=2))
    (other,) = imaginer.imagine(Wish.of("a dog", seeds=(2,), steps=2))
    first, second, third, fourth = (np.asarray(one.picture, int) for one in (*both, alone, other))
    assert (first.shape, [one.seed for one in both]) == ((32, 32, 3), [1, 2])
    assert (second == third).all()
    assert np.abs(first - second).max() > 50
    assert (second != fourth).any()
    assert told == [(0, 0.0), (0, 0.5), (0, 1.0), (1, 0.0), (1, 0.5), (1, 1.0)]


def test_a_picture_that_is_stopped_is_thrown_away(imaginer):
    made = []

    def report(number, done):
        if (number, done) == (1, 0.5):
            raise ImaginingStopped

    with pytest.raises(ImaginingStopped):
        made.extend(imaginer.imagine(Wish.of("a red boat", seeds=(1, 2), steps=2), report))
    assert len(list(imaginer.imagine(Wish.of("a red boat", seeds=(1,), steps=1)))) == 1


@pytest.mark.parametrize("wished", [
    {"text": "word " * 5_000}, {"text": " "}, {"text": "a", "count": 6}, {"text": "a", "count": 0}, {"text": "a", "seeds": (1, -1)}, {"text": "a", "steps": 51},
    {"text": "a", "side": 2048}, {"text": "a", "side": 100},
])  # fmt: skip
def test_wishes_have_bounds(wished):
    with pytest.raises(InputError):
        Wish.of(**wished)
    assert len(Wish.of("a boat").seeds) == 4


def test_what_could_run_code_or_is_no_such_pipeline_is_refused(folder, tmp_path):
    index_ = json.loads((folder / "model_index.json").read_text())
    for change, said in (
        ({"unet": ["my_unet", "UNet"]}, "would run code"), ({"_class_name": "WanPipeline"}, "none of diffusers'"), ({"_class_name": ["mine", "Pipe"]}, "none of diffusers'"),
        ({"_class_name": None}, "none of diffusers'"),
    ):  # fmt: skip
        shutil.copytree(folder, copy := tmp_path / "copy")
        (copy / "model_index.json").write_text(json.dumps(index_ | change))
        with pytest.raises(ModelMissing, match=said):
            imagine.load(str(copy), Models(tmp_path), "cpu")
        shutil.rmtree(copy)
    shutil.copytree(folder, copy := tmp_path / "copy")
    (copy / "unet" / "diffusers.py").write_text("raise SystemExit")
    with pytest.raises(ModelMissing, match="is code"):
        imagine.load(str(copy), Models(tmp_path), "cpu")
    (copy / "unet" / "diffusers.py").unlink()
    (copy / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(ModelMissing, match="is a pickle"):
        imagine.load(str(copy), Models(tmp_path), "cpu")
    with pytest.raises(ModelMissing, match="is not here") as missing:
        imagine.load("imagine:stabilityai/sd-turbo", Models(tmp_path), "cpu")
    assert (missing.value.exit_code, "sensorium models pull imagine:stabilityai/sd-turbo" in missing.value.remedy) == (5, True)
    with pytest.raises(UnknownName):
        imagine.load("seamless:a/b", Models(tmp_path), "cpu")
    with pytest.raises(InputError):
        imagine.load("", Models(tmp_path), "cpu")


@pytest.fixture
def pictured(settings, archive):
    index(settings, RunRequest([archive]), encoder=FakeEncoder())
    return settings


def test_words_keep_half_of_what_is_said(pictured, tmp_path):
    picture("blue").save(tmp_path / "blue.png")
    with Engine(pictured, encoder=FakeEncoder()) as engine:
        words = engine.search(Term("red", Modality.TEXT), k=10, group="asset")
        seen = engine.search(Term(tmp_path / "blue.png", Modality.IMAGE), k=10, group="asset")
        both = engine.imagined("red", [tmp_path / "blue.png"], k=10)
    names = [hit.segment.path.rsplit("/", 1)[1] for hit in both.hits]
    assert {"red.png", "blue.png"} <= set(names[:4])
    assert len({hit.segment.asset for hit in both.hits}) == len(both.hits)
    assert [hit.rank for hit in both.hits] == [*range(1, len(both.hits) + 1)]
    assert fused(words, [], 5) is words

    def sure(answer, chance):
        return dataclasses.replace(
            answer, hits=tuple(dataclasses.replace(hit, confidence=chance(hit)) for hit in answer.hits), more=False
        )

    one = fused(sure(words, lambda hit: 0.8), [sure(seen, lambda hit: 0.2), sure(seen, lambda hit: 0.4)], 1).hits[0]
    assert one.confidence == pytest.approx(0.5 * 0.8 + 0.5 * 0.3)


def test_the_command_searches_with_what_was_picked(pictured, folder, monkeypatch):
    monkeypatch.setattr("search.encoders.load", lambda *_, **__: FakeEncoder())
    asked = [
        "search",
        "red",
        "--imagine",
        str(folder),
        "--seeds",
        "5,6",
        "--steps",
        "1",
        "--home",
        str(pictured.home),
        "--json",
        "-k",
        "3",
    ]
    done = CliRunner().invoke(app, [*asked, "--pick", "2"], catch_exceptions=False)
    assert len(json.loads(done.stdout)["hits"]) == 3
    assert "no safety checker" in done.stderr
    assert "(seed 6)" in done.stderr
    for more, said in ((["--pick", "3"], "no imagined picture 3"), (["--rerank"], "does not go with")):
        assert said in str(CliRunner().invoke(app, [*asked, *more]).exception)


def test_the_service_imagines_tells_how_far_it_is_and_stops(pictured, folder, start):
    http = start(pictured)
    assert http.post("/v1/imaginings", json={"text": "red"}).json()["type"].endswith("no-imaginer")
    http = start(dataclasses.replace(pictured, imaginer=str(folder)))
    begun = http.post("/v1/imaginings", json={"text": "red", "seeds": [1, 2], "steps": 1})
    assert (begun.status_code, begun.json()["seeds"]) == (202, [1, 2])
    address = f"/v1/imaginings/{begun.json()['id']}"
    until(lambda: http.get(address).json()["state"] not in ("waiting", "running"))
    told = http.get(address).json()
    assert (told["state"], told["progress"], told["checked"], [one["seed"] for one in told["pictures"]]) == (
        "done",
        1.0,
        False,
        [1, 2],
    )
    uploads = [one["upload"] for one in told["pictures"]]
    found = http.post("/v1/search", json={"query": [{"text": "red"}], "imagined": uploads, "k": 4})
    assert len(found.json()["hits"]) == 4
    assert http.post("/v1/search", json={"query": [{"upload": uploads[0]}], "imagined": uploads}).status_code == 422
    assert http.get("/v1/assets").json()["assets"][0]["name"] != "1.png"
    assert http.delete(address).status_code == 204
    assert (http.get(address).status_code, http.get(f"/v1/uploads/{uploads[0]}").status_code) == (404, 404)
