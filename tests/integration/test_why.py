"""Why a hit was found: what its terms, spaces and words gave adds up to its score."""

from __future__ import annotations

import io
import json
import wave

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from search import encoders
from search.errors import QueryError
from search.query import Blend, Engine, Near, Step, Term, Then
from search.types import Channel, Filter, Modality
from tests.fakes.partial import Shelf
from tests.fakes.regional import Regional
from ui.cli import app

RED, BLUE, LOW = (Term(word, Modality.TEXT) for word in ("red", "blue", "low"))


@pytest.fixture
def engine(indexed, encoder):
    with Engine(indexed, encoder=encoder) as engine:
        yield engine


@pytest.mark.parametrize("query", [RED, Blend(((1.0, RED), (0.6, BLUE), (-0.4, LOW))), Blend(((1.0, Near(1)), (0.5, RED)))])
def test_evidence_adds_up_to_the_score(engine, query):
    hits = engine.search(query, k=20).hits
    whys = engine.why(query, [hit.segment.id for hit in hits])
    for before, hit, why in zip((None, *hits), hits, whys, strict=False):
        assert why.score == pytest.approx(hit.score, abs=1e-4)
        (space,) = why.spaces
        assert space.cosine == pytest.approx(hit.cosine, abs=1e-5) or hit.cosine == 0
        assert space.evidence == pytest.approx(space.start + space.kind + sum(one.evidence for one in space.terms))
        assert why.meaning == pytest.approx(space.evidence)
        both = why.meaning if why.words is None else (why.meaning + why.words) / 2**0.5
        assert why.score == pytest.approx({"meaning": why.meaning, "words": why.words, "both": both}[why.by], abs=1e-4)
        assert (why.above and why.above.lacks) == (before and pytest.approx(max(before.score - hit.score, 0), abs=1e-4))


def test_a_hit_says_what_would_lift_it(engine):
    """The blue picture lacks red: more weight for blue lifts it."""
    query = Blend(((1.0, RED), (0.5, BLUE)))
    first, second = engine.search(query, Filter(modalities=(Modality.IMAGE,)), k=2).hits
    assert [hit.segment.path.rsplit("/", 1)[1] for hit in (first, second)] == ["red.png", "blue.png"]
    _, why = engine.why(query, [first.segment.id, second.segment.id], Filter(modalities=(Modality.IMAGE,)))
    assert (why.above.segment, why.above.heavier) == (first.segment.id, "blue")
    assert why.above.cosine == pytest.approx(first.cosine, abs=1e-3)  # of one kind, so what the first has would do


def test_words_that_match_are_named(engine):
    query = Term("red flowers", Modality.TEXT)
    hit = next(hit for hit in engine.search(query).hits if hit.segment.modality is Modality.TEXT)
    (why,) = engine.why(query, [hit.segment.id])
    assert (why.by in ("words", "both"), why.matched) == (True, ("Red", "flowers"))
    assert [one.channel for one in why.channels] == [Channel.TEXT]


def test_what_cannot_be_explained_says_why(engine):
    red = next(hit.segment.id for hit in engine.search(RED).hits if hit.segment.modality is Modality.IMAGE)
    with pytest.raises(QueryError, match="not among what was searched"):
        engine.why(RED, [red], Filter(modalities=(Modality.AUDIO,)))
    with pytest.raises(QueryError, match="explained by its steps"):
        engine.why(Then((Step(RED), Step(BLUE))), [red])


def test_the_service_shows_maps_and_what_the_encoder_saw(start, indexed, archive):
    regional = Regional()
    http = start(indexed, load=lambda _: regional)
    search = {"query": [{"text": "red"}]}
    hits = http.post("/v1/search", json=search).json()["hits"]
    by = {hit["asset"]["name"]: hit["segment"] for hit in hits}
    asked = {"search": search, "segments": [by["red.png"], by["low.wav"]], "map": True}
    picture, sound = http.post("/v1/why", json=asked).json()["whys"]
    assert len(picture["map"]) == len(regional.windows)
    assert max(one["share"] for one in picture["map"]) == 1.0
    assert (sound["map"], sound["channels"][0]["channel"]) == ([], "sound")
    assert [(one["start_ms"], one["end_ms"]) for one in sound["channels"][0]["strip"]] == [(0, 2000)]
    seen = http.get(f"/v1/segments/{by['red.png']}/encoded")
    assert seen.headers["content-type"] == "image/png"
    assert np.asarray(Image.open(io.BytesIO(seen.content))).reshape(-1, 3).tolist() == [[255, 0, 0]] * 32 * 32
    heard = http.get(f"/v1/segments/{by['low.wav']}/encoded")
    with wave.open(io.BytesIO(heard.content)) as file:
        assert (file.getframerate(), file.getnframes()) == (16_000, 32_000)
    assert http.get(f"/v1/segments/{by['flowers.txt']}/encoded").text == "Red flowers stand in the garden."
    assert http.post("/v1/why", json={"search": {"form": "red > blue"}, "segments": [1]}).status_code == 422
    assert http.get("/v1/segments/9999/encoded").status_code == 404
    (archive / "pictures" / "red.png").unlink()
    assert http.get(f"/v1/segments/{by['red.png']}/encoded").status_code == 410
    assert http.post("/v1/why", json=asked).json()["whys"][0]["map"] == []


def test_the_command_line_says_why(indexed, encoder, monkeypatch):
    monkeypatch.setattr(encoders, "load", Shelf(fake=encoder))
    run, home = CliRunner(), ["--home", str(indexed.home)]
    told = run.invoke(app, ["search", "red", "--not", "blue", "--why", "--json", "-k", "2", *home])
    assert told.exit_code == 0, told.output
    first, second = (hit["why"] for hit in json.loads(told.stdout)["hits"])
    assert [one["term"] for one in first["spaces"][0]["terms"]] == ["red", "blue"]
    assert (first["above"], second["above"]["segment"]) == (None, first["segment"])
    assert "the hit above has" in run.invoke(app, ["search", "red", "--not", "blue", "--why", "-k", "2", *home]).stdout
    refused = run.invoke(app, ["search", "--form", "red > blue", "--why", *home])
    assert (refused.exit_code, "a pattern" in str(refused.exception)) == (1, True)
