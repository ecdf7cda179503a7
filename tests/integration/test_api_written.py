"""What models write on demand, over the API: asked of real loading code, on tiny models."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from indexer import run
from search import readers
from search.api.client import Client
from search.api.lazy_models import LazyModel
from search.api.service import Service
from search.errors import InputError, Problem
from search.store import Database, Readers
from search.types import Channel, Modality
from tests.conftest import write_tone
from tests.fakes import tiny_caption, tiny_seamless
from tests.fakes.reader import FakeReader
from tests.fakes.tiny_caption import QUESTION
from tests.integration.conftest import listening
from tests.waiting import LONG


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    return {
        "captioner": f"caption:{tiny_caption.write(place / 'vqa', 'blip-vqa')}",
        "translator": str(tiny_seamless.write(place / "seamless")),
        "device": "cpu",
    }


@pytest.fixture
def written(archive, models, start, indexed, settings, encoder):
    return start(replace(indexed, **models), patience=LONG)


@pytest.fixture
def archive(archive):
    (archive / "texts" / "dog.txt").write_text("red. water.")
    return archive


def asset(http, name: str) -> int:
    return http.get("/v1/assets", params={"name": name}).json()["assets"][0]["id"]


def segment(http, name: str) -> int:
    return http.get(f"/v1/assets/{asset(http, name)}/segments").json()["segments"][0]["id"]


def problem(response, status: int, kind: str) -> dict:
    assert response.status_code == status, response.text
    told = response.json()
    assert told["type"].endswith(f"/{kind}"), told
    assert told["remedy"]
    return told


def test_the_status_tells_what_no_reader_has_read(written):
    unread = {(one["channel"], one["why"]): one for one in written.get("/v1/status").json()["unread"]}
    assert set(unread) == {("speech", "none"), ("ocr", "none")}
    assert unread["speech", "none"]["duration_ms"] > 0


@pytest.mark.parametrize("colour", ["red", "green", "blue"])
def test_a_question_about_an_asset_is_answered_by_a_model_that_is_named(written, models, colour):
    told = written.post(f"/v1/assets/{asset(written, f'{colour}.png')}/ask", json={"question": QUESTION})
    assert told.status_code == 200, told.text
    found = told.json()
    assert (found["answer"], found["written_by"], found["frames_ms"]) == (colour, models["captioner"], [])
    assert 0 < found["confidence"] <= 1


def test_what_is_no_picture_and_what_is_not_there_cannot_be_asked_about(written):
    problem(written.post(f"/v1/assets/{asset(written, 'dog.txt')}/ask", json={"question": QUESTION}), 422, "input")
    problem(written.post("/v1/assets/9999/ask", json={"question": QUESTION}), 404, "no-asset")
    problem(written.post(f"/v1/assets/{asset(written, 'red.png')}/ask", json={"question": " "}), 422, "validation")


def test_a_file_that_changed_is_not_asked_about(written, archive):
    number = asset(written, "red.png")
    (archive / "pictures" / "red.png").unlink()
    problem(written.post(f"/v1/assets/{number}/ask", json={"question": QUESTION}), 410, "vanished")


def test_a_segment_is_translated_by_a_model_that_is_named(written, models):
    number = segment(written, "dog.txt")
    told = written.post(f"/v1/segments/{number}/translate", params={"to": "de"})
    assert told.status_code == 200, told.text
    found = told.json()
    assert found.pop("confidence") > 0.5
    assert found == {
        "text": "rot. wasser.", "language": "de", "translated_from": "en", "written_by": f"seamless:{models['translator']}"
    }  # fmt: skip
    told = written.post(f"/v1/segments/{number}/translate", params={"to": "French", "from": "en"}).json()
    assert told["text"] == "rouge. eau."
    assert (
        "German"
        in problem(written.post(f"/v1/segments/{number}/translate", params={"to": "germn"}), 422, "unknown-name")["remedy"]
    )
    problem(written.post("/v1/segments/9999/translate", params={"to": "de"}), 404, "no-segment")
    problem(written.post(f"/v1/segments/{segment(written, 'red.png')}/translate", params={"to": "de"}), 409, "no-text")


def test_the_status_says_what_models_there_are(written, http, models, indexed):
    told = written.get("/v1/status").json()
    assert (told["answers"], told["translates"], told["hears"]) == (models["captioner"], models["translator"], None)
    known = Readers(Database(indexed.database))
    known.add("written", "1", [Modality.AUDIO], [Channel.SPEECH])
    assert http.get("/v1/status").json()["hears"] is None  # it reads subtitles, and hears nothing
    known.add("speech:tiny.en", "1", [Modality.AUDIO], [Channel.SPEECH])
    told = http.get("/v1/status").json()
    assert (told["answers"], told["translates"], told["hears"]) == (None, None, "speech:tiny.en")


def test_segments_say_who_read_them_and_can_be_had_of_a_stretch_of_time(archive, settings, encoder, start, monkeypatch):
    write_tone(archive / "tones" / "long.wav", 300, seconds=12)
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    reader = FakeReader()
    monkeypatch.setattr(readers, "load", lambda *_: reader)
    Readers(Database(settings.database)).add(reader.name, reader.revision, [*reader.reads], [*reader.channels])
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    http = start(settings)
    number = asset(http, "long.wav")

    def spans(**asked) -> list[int]:
        told = http.get(f"/v1/assets/{number}/segments", params={"channel": "speech"} | asked).json()["segments"]
        assert {(one["source"], one["language"], one["confidence"], one["translated"]) for one in told} <= {
            ("fake", "en", 1.0, False)
        }
        return [one["span"]["start_ms"] for one in told]

    assert spans() == [0, 5_000, 10_000]
    assert spans(from_ms=5_000) == [5_000, 10_000]
    assert spans(until_ms=5_000) == [0]
    assert spans(from_ms=4_999, until_ms=5_001) == [0, 5_000]
    assert spans(from_ms=60_000) == []
    (text,) = http.get(f"/v1/assets/{asset(http, 'sea.md')}/segments", params={"from_ms": 1, "until_ms": 2}).json()["segments"]
    assert (text["source"], text["span"]) == (None, None)  # what has no times belongs to all of it


def test_without_models_it_is_said_how_to_set_them(http):
    told = problem(http.post(f"/v1/assets/{asset(http, 'red.png')}/ask", json={"question": QUESTION}), 409, "no-captioner")
    assert "SENSORIUM_CAPTIONER" in told["remedy"]
    told = problem(http.post(f"/v1/segments/{segment(http, 'sea.md')}/translate", params={"to": "de"}), 409, "no-translator")
    assert "SENSORIUM_TRANSLATOR" in told["remedy"]


def test_models_that_are_not_here_are_told_with_what_fetches_them(start, indexed):
    names = {"captioner": "caption:Salesforce/blip-vqa-base", "translator": "seamless:facebook/seamless-m4t-v2-large"}
    http = start(replace(indexed, **names))
    told = http.post(f"/v1/assets/{asset(http, 'red.png')}/ask", json={"question": QUESTION})
    assert "sensorium models pull caption:Salesforce/blip-vqa-base" in problem(told, 503, "model-missing")["remedy"]
    told = http.post(f"/v1/segments/{segment(http, 'sea.md')}/translate", params={"to": "de"})
    assert "sensorium models pull seamless:" in problem(told, 503, "model-missing")["remedy"]


def test_a_model_that_is_still_loading_is_asked_again_later(start, indexed, monkeypatch):
    held = threading.Event()

    def load(*_):
        held.wait(LONG)
        raise InputError("no model", remedy="none")

    monkeypatch.setattr("search.ondemand.ask.load", load)
    http = start(replace(indexed, captioner="caption:any/model"), patience=0.05)
    response = http.post(f"/v1/assets/{asset(http, 'red.png')}/ask", json={"question": QUESTION})
    problem(response, 503, "loading")
    assert response.headers["retry-after"] == "2"
    held.set()


def test_the_client_asks_and_translates(archive, indexed, models, encoder, runner):
    service = Service(replace(indexed, **models), load=lambda _: encoder, runner=runner, patience=LONG)
    with listening(service) as port, Client(f"http://127.0.0.1:{port}") as client:
        (red,) = client.assets(name="red.png").assets
        assert client.ask(red.id, QUESTION).answer == "red"
        (dog,) = client.assets(name="dog.txt").assets
        (words,) = client.segments(dog.id).segments
        assert client.translate(words.id, "de").text == "rot. wasser."


def test_a_model_is_loaded_once_and_one_that_failed_is_tried_again():
    loads = []

    def load():
        loads.append(1)
        if len(loads) == 1:
            raise InputError("not yet")
        return "model"

    held = LazyModel(load, patience=LONG, again=0.0)
    with pytest.raises(InputError, match="not yet"):
        held.get()
    assert {held.get() for _ in range(5)} == {"model"}
    assert len(loads) == 2
    stuck = LazyModel(lambda: threading.Event().wait(1), patience=0.01, again=10)
    with pytest.raises(Problem):
        stuck.get()
