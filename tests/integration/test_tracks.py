"""Films with several sound tracks: each is heard, named with its hits, and a filter."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from indexer.run import RunRequest, index
from search import encoders
from search.api.app import create_app
from search.api.service import Service
from search.errors import UnknownName
from search.media.metadata import language_names
from search.query import Engine, Term
from search.types import Channel, Filter, Modality, track_of
from tests.fakes.encoder import PITCHES
from tests.fakes.partial import Shelf
from tests.media_samples import tone
from ui.cli import app

LOW = Term("low", Modality.TEXT)
RATE = 16_000


def film(path, tracks):
    """Sound tracks of (pitch, language, title)."""
    with av.open(str(path), "w") as container:
        streams = []
        for _, language, title in tracks:
            streams.append(stream := container.add_stream("pcm_s16le", rate=RATE, layout="mono"))
            stream.metadata.update({"language": language} | ({"title": title} if title else {}))
        for stream, (pitch, _, _) in zip(streams, tracks, strict=True):
            samples = (tone(PITCHES[pitch], 2, RATE) * 30_000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
            frame.sample_rate = RATE
            container.mux(stream.encode(frame))
            container.mux(stream.encode())


@pytest.fixture
def home(settings, encoder, tmp_path, monkeypatch):
    folder = tmp_path / "films"
    folder.mkdir()
    film(folder / "dub.mka", [("low", "eng", ""), ("middle", "ger", ""), ("high", "eng", "Director's commentary")])
    film(folder / "plain.mka", [("low", "ger", "")])
    monkeypatch.setattr(encoders, "load", Shelf(fake=encoder))
    monkeypatch.setenv("SENSORIUM_HOME", str(settings.home))
    index(settings, RunRequest([folder]), encoder=encoder)
    return settings


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("German", {("dub.mka", "sound track 2 (German)"), ("plain.mka", None)}),
        ("de", {("dub.mka", "sound track 2 (German)"), ("plain.mka", None)}),
        ("deu", {("dub.mka", "sound track 2 (German)"), ("plain.mka", None)}),
        ("COMMENTARY", {("dub.mka", "sound track 3 (Director's commentary, English)")}),
        ("en", {("dub.mka", None), ("dub.mka", "sound track 3 (Director's commentary, English)")}),
        ("1", {("dub.mka", None), ("plain.mka", None)}),
        ("2", {("dub.mka", "sound track 2 (German)")}),
    ],
)
def test_a_track_is_chosen_by_language_number_or_title(home, encoder, asked, found):
    with Engine(home, encoder=encoder) as engine:
        wanted = Filter(tracks=language_names.spelled([asked]))
        hits = engine.search(LOW, wanted, k=50, group="segment").hits
        assert {(hit.segment.path.rpartition("/")[2], hit.segment.track) for hit in hits} == found
        assert {hit.segment.channel for hit in hits} == {Channel.SOUND}


def test_a_track_that_no_file_has_is_told_with_those_that_are_there(home, encoder):
    with Engine(home, encoder=encoder) as engine, pytest.raises(UnknownName) as caught:
        engine.search(LOW, Filter(tracks=language_names.spelled(["French"])))
    assert "de" in caught.value.remedy
    assert "German" in caught.value.remedy


def test_command_line_and_api_filter_by_track_and_name_it_with_the_hit(home, encoder):
    done = CliRunner().invoke(app, ["search", "low", "--track", "german", "--group", "segment", "--json"])
    assert done.exit_code == 0, done.output
    told = {hit["asset"]["path"].rpartition("/")[2]: hit["evidence"]["track"] for hit in json.loads(done.stdout)["hits"]}
    assert told == {"dub.mka": "sound track 2 (German)", "plain.mka": None}
    shown = CliRunner().invoke(app, ["search", "low", "--track", "commentary"])
    assert "sound track 3" in shown.stdout
    refused = CliRunner().invoke(app, ["search", "low", "--track", "klingon"])
    assert refused.exit_code != 0

    service = Service(home, load=lambda _: encoder)
    with TestClient(create_app(service), base_url="http://localhost") as client:
        asked = {"query": [{"text": "low"}], "filter": {"tracks": ["Commentary"]}, "group": "segment"}
        (hit,) = client.post("/v1/search", json=asked).json()["hits"]
        assert hit["evidence"]["track"] == "sound track 3 (Director's commentary, English)"
        near = client.get(f"/v1/segments/{hit['segment']}").json()
        assert near["segment"]["track"] == hit["evidence"]["track"]
        assert client.post("/v1/search", json=asked | {"filter": {"tracks": ["x" * 5_000]}}).status_code == 422


@pytest.mark.parametrize(
    ("source", "track"),
    [
        (None, None), ("faster-whisper tiny.en", None), ("faster-whisper left channel model", None), ("left channel", "left channel"),
        ("sound track 2 (A, B), channel 4", "sound track 2 (A, B), channel 4"),
        ("faster-whisper tiny.en, sound track 2 (German)", "sound track 2 (German)"), ("faster-whisper tiny, right channel", "right channel"),
    ],
)  # fmt: skip
def test_the_track_of_a_source(source, track):
    assert track_of(source) == track
