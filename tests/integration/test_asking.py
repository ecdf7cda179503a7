"""Questions in the text form, as the service, the client, the page and the command line take them."""

from __future__ import annotations

import json
import wave

import numpy as np
import pytest
from typer.testing import CliRunner

from search import encoders
from search.errors import QueryError
from search.query import Engine, Term
from search.query.preferences import Preference
from search.types import Filter, Modality
from tests.fakes.partial import Shelf
from ui.cli import app
from ui.page.state import State

QUESTION = Term("garden", Modality.TEXT)


@pytest.fixture
def recording(archive):
    """Five seconds of a low tone, then five of a high one."""
    times = np.arange(5 * 16_000) / 16_000
    samples = np.concatenate([0.5 * np.sin(2 * np.pi * pitch * times) for pitch in (220, 3520)])
    with wave.open(str(archive / "tones" / "both.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def test_the_service_answers_a_pattern(recording, http):
    found = http.post("/v1/search", json={"form": "low > high@sound in:audio", "k": 5}).json()
    (hit,) = found["hits"]
    assert (hit["asset"]["name"], hit["span"]) == ("both.wav", {"start_ms": 0, "end_ms": 10_000})
    assert [step["span"]["start_ms"] for step in hit["steps"]] == [0, 5_000]
    assert {step["channel"] for step in hit["steps"]} == {"sound"}
    assert http.post("/v1/search", json={"form": "high > low"}).json()["hits"] == []


def test_the_service_reads_terms_filters_and_uploads(http, archive):
    first = http.post("/v1/search", json={"form": "red in:image under:pictures -blue", "k": 1}).json()["hits"][0]
    assert first["asset"]["name"] == "red.png"
    upload = http.post("/v1/uploads", content=(archive / "tones" / "low.wav").read_bytes()).json()["id"]
    assert (
        http.post("/v1/search", json={"form": f"upload:{upload} in:audio", "k": 1}).json()["hits"][0]["asset"]["name"]
        == "low.wav"
    )
    for form, told in (("image:/etc/passwd", "by their names"), ("red under:/etc", "relative"), ("red >", "Character 6")):
        problem = http.post("/v1/search", json={"form": form})
        assert (problem.status_code, told in problem.json()["detail"]) == (422, True), problem.text
    for body in ({}, {"form": "red", "query": [{"text": "red"}]}):
        assert http.post("/v1/search", json=body).status_code == 422
    hint = http.post("/v1/search", json={"query": [{"text": "red without blue"}]}).json()["notes"]
    assert any("red -blue" in note for note in hint)


def test_like_hits_do_not_stand_together(http):
    asked = {"query": [{"text": "red"}], "targets": ["image"], "k": 8}
    plain, diverse = (http.post("/v1/search", json=asked | more).json()["hits"] for more in ({}, {"diverse": True}))
    assert diverse[0]["segment"] == plain[0]["segment"]
    assert sorted(hit["segment"] for hit in diverse) == sorted(hit["segment"] for hit in plain)
    assert [hit["rank"] for hit in diverse] == list(range(1, 9))
    pages = [http.post("/v1/search", json=asked | {"diverse": True, "k": 3}).json()]
    pages.append(http.post("/v1/search", json=asked | {"diverse": True, "k": 5, "cursor": pages[0]["cursor"]}).json())
    assert [hit["segment"] for page in pages for hit in page["hits"]] == [hit["segment"] for hit in diverse]


def test_the_service_contrasts(http):
    told = http.post("/v1/contrast", json={"these": {"targets": ["text"]}, "those": {"targets": ["image"]}}).json()
    assert (told["these"], told["those"], told["tags"], told["limited"]) == (2, 8, [], False)
    assert told["these_pictures"] == []
    sides = {"these": {"targets": ["image"]}, "those": {"targets": ["image", "text"]}}
    both = http.post("/v1/contrast", json=sides).json()
    assert len({one["asset"] for one in both["these_pictures"]}) == len(both["those_pictures"]) == 6
    assert both["these_pictures"][0]["name"].endswith(".png")
    assert http.post("/v1/contrast", json={"these": {}}).status_code == 422


def test_the_service_and_the_command_line_show_a_map(http, indexed, encoder, monkeypatch):
    missing = http.get("/v1/map")
    assert (missing.status_code, missing.json()["type"].rpartition("/")[2]) == (404, "no-map")
    monkeypatch.setattr(encoders, "load", Shelf(fake=encoder))
    run, home = CliRunner(), ["--home", str(indexed.home)]
    assert run.invoke(app, ["map", *home]).exit_code == 1
    told = json.loads(run.invoke(app, ["map", "--make", "--where", "in:image", "--json", *home]).stdout)
    assert (told["files"], len(told["points"]), {one["modality"] for one in told["points"]}) == (8, 8, {"image"})
    shown = http.get("/v1/map").json()
    count = http.get("/v1/status").json()["assets"]
    assert (shown["files"], len(shown["assets"])) == (sum(count.values()), sum(count.values()))
    assert len({len(shown[name]) for name in ("assets", "segments", "media", "x", "y", "areas")}) == 1
    assert all(0 <= at <= 10_000 for at in (*shown["x"], *shown["y"]))
    assert [one["files"] for one in shown["named"]] == [len(shown["assets"])]
    job = http.post("/v1/map")
    assert (job.status_code, job.json()["kind"]) == (202, "map")


def test_the_page_asks_in_the_form_behind_an_equals_sign():
    asked = State(text="= low > high")
    assert (asked.request()["form"], asked.request()["query"], asked.question, asked.alone) == ("low > high", [], "", "")
    assert "form" not in State(text="low > high").request()
    assert State.link(asked.href()) == asked


def test_the_command_line_asks_in_the_form(recording, indexed, encoder, monkeypatch):
    monkeypatch.setattr(encoders, "load", Shelf(fake=encoder))
    run, home = CliRunner(), ["--home", str(indexed.home)]
    told = run.invoke(app, ["search", "--form", "low > high", "--json", *home])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["hits"][0]["span"] == {"start_ms": 0, "end_ms": 10_000}
    shown = run.invoke(app, ["search", "--form", "low > high", *home])
    assert "0:00 – 0:05 sound" in shown.stdout
    counted = run.invoke(app, ["facets", "shape", "--where", "in:image", "--json", *home])
    assert json.loads(counted.stdout)["facets"] == [{"name": "shape", "values": [{"value": "landscape", "files": 8}], "more": 0}]
    assert "landscape 8" in run.invoke(app, ["facets", "shape", *home]).stdout


def test_what_is_preferred_ranks_what_is_like_it_higher(indexed, encoder, start):
    """A question that fits nothing: whoever prefers red gets what is red, and of what is farther nothing more."""
    with Engine(indexed, encoder=encoder) as engine:
        everything = Filter(modalities=(Modality.IMAGE,))
        names = {hit.segment.id: hit.segment.path.rsplit("/", 1)[1] for hit in engine.search(QUESTION, everything, k=20).hits}
        by = {name: id_ for id_, name in names.items()}
        nearer = engine.search(QUESTION, everything, k=20, preferences=[Preference(by["blue.png"])]).hits
        assert names[nearer[0].segment.id] == "blue.png"
        assert len(nearer) == len(names)
        farther = engine.search(
            QUESTION, everything, k=20, preferences=[Preference(by["blue.png"]), Preference(by["red.png"], nearer=False)]
        ).hits
        assert by["red.png"] not in [hit.segment.id for hit in farther]
        (why,) = engine.why(QUESTION, [by["blue.png"]], everything, preferences=[Preference(by["blue.png"])])
        assert why.spaces[0].preferences > 0
        assert why.score == pytest.approx(nearer[0].score, abs=1e-4)
        with pytest.raises(QueryError, match="no segment 999"):
            engine.search(QUESTION, everything, preferences=[Preference(999)])
    http = start(indexed)
    asked = {"query": [{"text": "garden"}], "targets": ["image"], "k": 3}
    first = http.post("/v1/search", json=asked | {"preferences": [{"segment": by["blue.png"]}]}).json()
    assert first["hits"][0]["asset"]["name"] == "blue.png"
    more = http.post("/v1/search", json=asked | {"preferences": [{"segment": by["blue.png"]}], "cursor": first["cursor"]}).json()
    assert not {hit["segment"] for hit in first["hits"]} & {hit["segment"] for hit in more["hits"]}
    assert http.post("/v1/search", json={"form": "low > high", "preferences": [{"segment": 1}]}).status_code == 422


def test_a_link_of_the_page_carries_what_is_preferred():
    state = State.link("?q=a+dog&prefer=17,-40,17")
    assert state.preferred == (-40, 17)
    assert State.link(state.href()) == state
    assert state.request()["preferences"] == [{"segment": 40, "nearer": False}, {"segment": 17, "nearer": True}]
