"""An archive calibrates itself by its labels: by the command, and in the background of a service."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from PIL import Image
from typer.testing import CliRunner

from indexer.run import UNCALIBRATED, RunRequest, index
from search import encoders
from search.errors import InputError
from search.query import Engine, Term
from search.query import calibrate as calibrating
from search.query.calibrate import MIN_QUESTIONS, due
from search.query.calibration import NOTHING, file_of
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


def one_more(pictured, number: int) -> RunRequest:
    """A job with one new picture, as `sensorium index` runs it."""
    folder = pictured.home.parent / "colours"
    Image.new("RGB", (60 + number, 50), COLOURS["red"]).save(folder / f"more-{number}.png")
    return RunRequest([folder], calibrates=True)


def test_a_run_ends_with_calibrating_when_labels_have_come_and_not_again_until_there_are_many_more(pictured, encoder):
    assert index(pictured, one_more(pictured, 0), encoder=encoder).calibrated == []
    with Engine(pictured, encoder=encoder) as engine:
        judge_all(engine)
        assert index(pictured, replace(one_more(pictured, 1), calibrates=False), encoder=encoder).calibrated == []
        told = len(COLOURS) * len(WORDS) * SHADES
        sentence = f"The space fake was calibrated by {told} labels of the archive."
        assert index(pictured, one_more(pictured, 2), encoder=encoder).calibrated == [sentence]
        assert engine.search(Term("red square", Modality.TEXT)).found.verdict == "yes"
        assert engine.searcher().calibration.labels == told
    assert index(pictured, one_more(pictured, 3), encoder=encoder).calibrated == []


def test_the_command_tells_of_it_in_one_line(pictured, encoder, monkeypatch):
    monkeypatch.setattr(encoders, "load", lambda *_, **__: encoder)
    with Engine(pictured, encoder=encoder) as engine:
        judge_all(engine)
    (folder,) = one_more(pictured, 0).paths
    done = CliRunner().invoke(app, ["index", str(folder), "--home", str(pictured.home)])
    assert done.exit_code == 0, done.output
    told = [line for line in done.stderr.splitlines() if "calibrated" in line]
    assert told == [f"The space fake was calibrated by {len(COLOURS) * len(WORDS) * SHADES} labels of the archive."]


def test_a_run_that_is_stopped_while_it_calibrates_has_done_every_file_and_keeps_nothing(pictured, encoder, monkeypatch):
    with Engine(pictured, encoder=encoder) as engine:
        judge_all(engine)

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("indexer.recalibrate.calibrate", interrupted)
    done = index(pictured, one_more(pictured, 0), encoder=encoder)
    assert (done.progress.done, done.stopped, done.calibrated) == (1, False, [UNCALIBRATED])
    assert not file_of(pictured.home, encoder.space).exists()


def test_labels_without_an_answer_and_a_full_disk_do_not_fail_a_run(pictured, encoder, monkeypatch):
    monkeypatch.setattr("indexer.recalibrate.due", lambda _: MIN_QUESTIONS)
    assert index(pictured, one_more(pictured, 0), encoder=encoder).calibrated == []  # there is no label at all
    with Engine(pictured, encoder=encoder) as engine:
        judge_all(engine)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("indexer.recalibrate.kept.save", full)
    (told,) = index(pictured, one_more(pictured, 1), encoder=encoder).calibrated
    assert told == "The space fake could not be calibrated: [Errno 28] No space left on device"


def test_a_run_leaves_a_space_alone_that_brings_a_calibration(pictured, encoder, monkeypatch):
    monkeypatch.setattr("indexer.recalibrate.kept.brought", lambda *_: NOTHING)
    with Engine(pictured, encoder=encoder) as engine:
        judge_all(engine)
    assert index(pictured, one_more(pictured, 0), encoder=encoder).calibrated == []
    assert not file_of(pictured.home, encoder.space).exists()
