"""Several spaces, tags and re-ranking over the line."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from indexer.run import RunRequest, index
from indexer.tag import tag
from search import encoders
from search.api.client import Client
from search.errors import Refused
from search.store import Database, Spaces
from search.types import MEDIA
from tests.fakes.partial import PICTURES, SOUNDS, Grained, Partial, Shelf
from tests.integration.conftest import listening
from tests.integration.test_api_search import ask, assert_problem, names
from tests.media_samples import films
from tests.waiting import LONG, until


@pytest.fixture
def shelf(monkeypatch):
    shelf = Shelf(
        whole=Partial("whole", MEDIA), ears=Partial("ears", SOUNDS, twist=5), grained=Grained("grained", PICTURES, twist=2)
    )  # fmt: skip
    monkeypatch.setattr(encoders, "load", shelf)
    return shelf


@pytest.fixture
def home(settings, archive, shelf):
    """An archive with three spaces, ``whole`` being the default."""
    films(archive / "films")
    index(replace(settings, space="whole"), RunRequest([archive]))
    spaces = Spaces(Database(settings.database))
    for name in ("ears", "grained"):
        spaces.fill(spaces.add(shelf.encoders[name].space, name))
    index(settings, RunRequest(()))
    return replace(settings, roots=str(archive))


@pytest.fixture
def http(start, home, shelf):
    return start(home, load=shelf)


def spaces_of(response) -> set[str]:
    assert response.status_code == 200, response.text
    return {hit["space"] for hit in response.json()["hits"]}


def test_a_search_names_its_spaces_or_the_default_answers(http):
    assert spaces_of(ask(http, {"text": "low"})) == {"whole"}
    assert spaces_of(ask(http, {"text": "low"}, spaces=["ears"])) == {"ears"}
    assert spaces_of(ask(http, {"text": "low"}, spaces=["all"])) <= {"whole", "ears", "grained"}
    assert spaces_of(ask(http, {"text": "low"}, spaces=["whole", "ears"])) <= {"whole", "ears"}
    assert_problem(ask(http, {"text": "low"}, spaces=["nose"]), 422, "unknown-name")


def test_a_file_that_one_space_does_not_know_is_asked_in_the_others(http, archive):
    import base64

    tone = {"audio": base64.b64encode((archive / "tones" / "low.wav").read_bytes()).decode()}
    assert spaces_of(ask(http, tone, spaces=["grained", "ears"])) == {"ears"}
    refused = ask(http, tone, spaces=["grained"])
    assert refused.status_code == 422, refused.text
    assert "knows no audio" in refused.json()["detail"]


def test_the_status_lists_spaces(http):
    told = {one["name"]: one for one in http.get("/v1/status").json()["spaces"]}
    assert {name: one["default"] for name, one in told.items()} == {"whole": True, "ears": False, "grained": False}
    assert "image" not in told["ears"]["accepts"]


def test_a_space_whose_model_still_loads_says_so_and_the_default_answers(start, home, shelf):
    may = threading.Event()

    def slow(name, *_, **__):
        if name != "whole":
            may.wait(LONG)
        return shelf.encoders[name]

    http = start(home, load=slow, patience=0.1)
    until(lambda: http.get("/v1/status").json()["engine"] == "ready")
    assert_problem(ask(http, {"text": "low"}, spaces=["ears"]), 503, "loading")
    assert spaces_of(ask(http, {"text": "low"})) == {"whole"}
    may.set()
    until(lambda: ask(http, {"text": "low"}, spaces=["ears"]).status_code != 503)
    assert spaces_of(ask(http, {"text": "low"}, spaces=["ears"])) == {"ears"}


def test_a_switch_of_the_default_is_followed_without_a_pause(http, home):
    assert spaces_of(ask(http, {"text": "low"})) == {"whole"}
    Spaces(Database(home.database)).switch("ears")
    seen = until(lambda: spaces_of(ask(http, {"text": "low"})) - {"whole"})
    assert seen == {"ears"}
    assert http.get("/v1/collections").status_code == 200


def test_shots_are_reranked_on_demand(http):
    plain = ask(http, {"text": "red"}, targets=["video"], spaces=["grained"], group="segment")
    finer = ask(http, {"text": "red"}, targets=["video"], spaces=["grained"], group="segment", rerank=True)
    assert len(names(plain)) == 6
    assert sorted(names(plain)) == sorted(names(finer))
    assert "rerank" in finer.json()["timings_ms"]
    refused = ask(http, {"text": "red"}, rerank=True)
    assert refused.status_code == 422
    assert "words and frames" in refused.json()["detail"]


def test_tags_filter_and_are_shown(http, home):
    tag(home, ["red", "blue"], space="whole")
    found = ask(http, {"text": "anything"}, filter={"tags": ["red"]}, k=50)
    assert "red.png" in names(found)
    assert "blue.png" not in names(found)
    asset = found.json()["hits"][0]["asset"]["id"]
    assert "red" in {one["name"] for one in http.get(f"/v1/assets/{asset}").json()["tags"]}
    assert set(http.get("/v1/collections").json()["tags"]) == {"red", "blue"}
    assert_problem(ask(http, {"text": "anything"}, filter={"tags": ["rad"]}), 422, "unknown-name")


def test_the_client_takes_spaces_and_tags(home, shelf):
    from search.api.service import Service

    with listening(Service(home, load=shelf, runner=lambda *_: None)) as port, Client(f"http://127.0.0.1:{port}") as client:
        assert {hit.space for hit in client.search("low", spaces=["ears"]).hits} == {"ears"}
        with pytest.raises(Refused, match="nose"):
            client.search("low", spaces=["nose"])
