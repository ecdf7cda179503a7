"""Tracks from their files to hits, the films they belong to, and what is told over time."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from random import Random

import av
import numpy as np
import pytest

from indexer.run import RunRequest, index
from search import encoders
from search.encoders.series import SeriesEncoder, named, strengths
from search.errors import QueryError
from search.query import Blend, Engine, Near, Term
from search.store import Catalogue, Database, Spaces
from search.store.catalogue import AssetFilter
from search.types import Filter, Modality
from tests.bench.bench_series import ndcg
from tests.bench.truth.recorded_tracks import ride
from tests.fakes.encoder import FakeEncoder

START = dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)
TRACKS = Filter(modalities=(Modality.IMU,))


def asked(text: str) -> Term:
    return Term(text, Modality.TEXT)


def test_turns_stops_and_climbs_are_found_by_words():
    found = ndcg(6, noise=1.0)
    assert min(found.values()) > 0.75
    assert np.mean(list(found.values())) > 0.9


@pytest.mark.parametrize(("text", "wanted"), [
    ("Turn left!", {"left": True}), ("turning left, then climbing", {"left": True, "climbing": True}), ("a red flower", {}),
    ("climbing without stopping", {"climbing": True, "stopped": False}), ("biegt links ab", {"left": True}), ("à gauche", {"left": True}),
])  # fmt: skip
def test_words_name_features(text, wanted):
    assert named(text) == wanted
    assert SeriesEncoder().unreadable(text) == (not wanted)


def test_a_cosine_is_the_strength_of_what_is_named():
    encoder = SeriesEncoder()
    velocity = np.tile(np.float32([[6.0], [0.0], [0.25]]), (1, 20))
    vector = encoder.encode(Modality.IMU, [velocity])[0]
    told = strengths(velocity)
    assert told["climbing"] == pytest.approx(0.5)
    assert (told["stopped"], told["turning"], told["straight"]) == (0, 0, 1)
    cosine = float(vector @ encoder.encode(Modality.TEXT, ["climbing"])[0])
    assert cosine == pytest.approx(0.5 / np.sqrt((len(vector) - 2) / 2), abs=1e-6)
    turn = np.zeros((6, 2000), np.float32)
    turn[2], turn[5] = 9.8, np.radians(18)  # flat, 90 degrees in five seconds, seen from above against the clock
    told = strengths(turn)
    assert (told["left"] > 0.99, told["right"], "climbing" in told) == (True, 0, False)


@pytest.fixture
def archive(tmp_path):
    folder = tmp_path / "rides"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.gpx").write_text(ride(Random(number + 2), parts=8).gpx(START + dt.timedelta(days=number)))
    return folder


def test_by_example_by_words_and_where_the_default_space_takes_no_tracks(settings, archive):
    index(settings, RunRequest([archive]), encoder=FakeEncoder())
    encoder = SeriesEncoder()
    entry = Spaces(Database(settings.database)).add(encoder.space, "series")
    assert [str(kind) for kind in entry.kinds] == ["imu/motion"]
    assert index(settings, RunRequest([archive]), encoder=encoder).progress.done == 2
    with Engine(settings, encoder=FakeEncoder(), load=encoders.load) as engine:
        best = engine.search(asked("turn left"), TRACKS, k=1).hits[0]
        assert best.space == "series"
        alike = engine.search(Near(best.segment.id), TRACKS, k=5, without=[best.segment.id]).hits
        assert len(alike) == 5
        both = engine.search(Blend(((1.0, asked("turning")), (-0.5, asked("turn left")))), TRACKS, k=1).hits[0]
        assert both.segment.id != best.segment.id
        whole = engine.search(Term(archive / "1.gpx", Modality.IMU), TRACKS, k=3)
        assert len(whole.hits) == 3
        assert not engine.search(asked("turn left"), Filter(modalities=(Modality.IMAGE,)), k=1).hits
        with pytest.raises(QueryError, match="no image"):
            engine.search(Term(archive / "1.gpx", Modality.IMAGE), TRACKS)


def test_a_film_that_was_taken_meanwhile_is_told_and_what_happens_over_time(settings, archive, start):
    with av.open(archive / "film.mp4", "w") as film:
        film.metadata["creation_time"] = (START + dt.timedelta(seconds=60)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        stream = film.add_stream("mpeg4", rate=10, width=64, height=48, pix_fmt="yuv420p")
        for _ in range(50):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8))))
        film.mux(stream.encode())
    index(settings, RunRequest([archive]), encoder=Both())
    catalogue = Catalogue(Database(settings.database))
    track = next(one for one in catalogue.page(AssetFilter(), before=None, limit=10) if one.location.path.endswith("0.gpx"))
    (found,) = catalogue.films_of(track)
    assert (Path(found[0].location.path).name, found[1]) == ("film.mp4", 60_000)
    http = start(settings)
    told = http.get(f"/v1/assets/{track.id}/motion").json()
    assert [(one["asset"]["name"], one["offset_ms"]) for one in told["films"]] == [("film.mp4", 60_000)]
    assert {"turning", "stopped", "climbing"} <= {one["name"] for one in told["features"]}
    assert all(0 <= strength <= 1 for one in told["stretches"] for strength in one["features"].values())
    assert "way" not in told["stretches"][0] or told["stretches"][0]["way"] is None
    assert http.get(f"/v1/assets/{track.id}/media").status_code == 403
    assert http.get(f"/v1/assets/{found[0].id}/motion").status_code == 422


class Both(FakeEncoder):
    """Takes tracks as well, which are all the same to it."""

    def __init__(self) -> None:
        super().__init__()
        self.space = type(self.space)("both", "fake", "fake", "1", self.space.dim, frozenset(Modality))

    def encode(self, modality, batch):
        if modality is not Modality.IMU:
            return super().encode(modality, batch)
        rows = np.zeros((len(batch), self.space.dim), np.float32)
        rows[:, 0] = 1
        return rows
