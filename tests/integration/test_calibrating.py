"""An archive calibrates itself by its labels: by the command, and in the background of a service."""

from __future__ import annotations

import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from indexer.run import RunRequest, index
from search import encoders
from search.errors import InputError
from search.query import Engine, Term
from search.query import calibrate as calibrating
from search.query.calibrate import MIN_QUESTIONS, due
from search.query.calibration import file_of
from search.types import Modality
from tests.fakes.encoder import COLOURS
from ui.cli import app

WORDS = ("square", "wall", "paper", "cloth", "tile", "flag", "door", "board")
SHADES = 6


@pytest.fixture
def pictured(settings, tmp_path, encoder):
    """Settings of a home with six pictures of each colour."""
    folder = tmp_path / "colours"
    folder.mkdir()
    for name, colour in COLOURS.items():
        for number in range(SHADES):
            Image.new("RGB", (40 + number, 40), colour).save(folder / f"{name}-{number}.png")
    index(settings, RunRequest([folder]), encoder=encoder)
    return settings


def judge_all(engine: Engine, words=WORDS) -> None:
    """Judge a question for each colour and word: its pictures are right."""
    for name in COLOURS:
        hits = engine.search(Term(name, Modality.TEXT), k=100, group="asset").hits
        right = [hit.segment.asset for hit in hits if f"/{name}-" in hit.segment.path]
        assert len(right) == SHADES
        for word in words:
            engine.judgements.put(f"{name} {word}", right, [])


def test_judgements_calibrate_a_space_that_brings_nothing(pictured, encoder, monkeypatch):
    monkeypatch.setattr(encoders, "load", lambda *_, **__: encoder)
    monkeypatch.setenv("SENSORIUM_HOME", str(pictured.home))
    with Engine(pictured, encoder=encoder) as engine:
        before = engine.search(Term("red square", Modality.TEXT))
        assert before.found is None
        assert before.hits[0].confidence is None
        judge_all(engine)
        done = CliRunner().invoke(app, ["spaces", "calibrate", "--json"])
        assert done.exit_code == 0, done.output
        (told,) = json.loads(done.stdout.splitlines()[-1])["directions"]
        assert (told["asked"], told["content"], told["present"]) == ("text", "image", len(COLOURS) * len(WORDS) // 2)
        assert told["error"] < 0.1
        after = engine.search(Term("red square", Modality.TEXT), k=SHADES)  # the engine that was open takes it up
        assert engine.searcher().calibration.made == "from the archive"
        assert after.state != before.state
        assert after.found.verdict == "yes"
        assert all(hit.confidence > 0.5 for hit in after.hits)
        assert engine.search(Term("zzqqxv blorptang", Modality.TEXT)).found.verdict != "yes"


def test_an_archive_without_labels_cannot_be_calibrated(pictured, encoder):
    with Engine(pictured, encoder=encoder) as engine, pytest.raises(InputError, match="nothing whose answer is known"):
        calibrating.calibrate(engine.searcher())


def test_a_service_calibrates_when_labels_have_come_and_not_again_until_there_are_many_more(
    start, pictured, encoder, monkeypatch
):
    http = start(pictured)
    service = http.service
    engine = service.engine()
    assert service.calibrating.look() == []
    judge_all(engine)
    assert due(engine.searcher())
    assert service.calibrating.look() == ["fake"]
    assert file_of(pictured.home, engine.space).exists()
    asked = {"query": [{"text": "red square"}]}
    assert http.post("/v1/search", json=asked).json()["found"]["verdict"] == "yes"
    assert engine.searcher().calibration.labels == len(COLOURS) * len(WORDS) * SHADES
    assert not due(engine.searcher())
    assert service.calibrating.look() == []
    judge_all(engine, ("sheet", "box", "hat", "car"))
    assert service.calibrating.look() == ["fake"]


def test_labels_that_tell_nothing_are_not_tried_over_and_over(start, pictured, encoder, monkeypatch):
    service = start(pictured).service
    engine, tried = service.engine(), []
    monkeypatch.setattr("search.api.calibrating.due", lambda _: MIN_QUESTIONS)

    def calibrate(searcher, progress):
        tried.append(searcher)
        raise InputError("nothing is known")

    monkeypatch.setattr("search.api.calibrating.calibrate", calibrate)
    assert service.calibrating.look() == service.calibrating.look() == []
    assert tried == [engine.searcher()]


def test_a_calibration_that_is_cut_off_leaves_the_one_before(start, pictured, encoder):
    service = start(pictured).service
    judge_all(service.engine())
    service.calibrating._closing.set()
    assert service.calibrating.look() == []
    assert not file_of(pictured.home, service.engine().space).exists()
