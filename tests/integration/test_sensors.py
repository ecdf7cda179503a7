"""Depth, heat and motion from their files to hits, pictures and uploads; and what becomes of them where the encoder takes none."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from indexer.run import RunRequest, index
from indexer.verify import verify
from search.query import Engine, Term
from search.store import Database, SqlStore
from search.types import Channel, Filter, Modality, Vectors
from tests.fakes.encoder import DIM, FakeEncoder


class SensingEncoder(FakeEncoder):
    """A fake that takes everything: of what sensors see and feel, the average tells."""

    def __init__(self) -> None:
        super().__init__()
        self.space = type(self.space)("fake", "fake", "fake", "1", DIM, frozenset(Modality))

    def encode(self, modality: Modality, batch) -> Vectors:
        if modality not in (Modality.DEPTH, Modality.THERMAL, Modality.IMU):
            return super().encode(modality, batch)
        rows = np.full((len(batch), DIM), 0.01, np.float32)
        for row, content in zip(rows, batch, strict=True):
            assert content.dtype == np.float32
            row[-1], row[-2] = 1, content.mean()
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def archive(tmp_path):
    """A photo with its depth, thermal pictures in a folder of theirs, and a walk."""
    folder = tmp_path / "archive"
    (folder / "thermal").mkdir(parents=True)
    Image.new("RGB", (64, 48), "red").save(folder / "room.jpg")
    Image.fromarray(np.full((48, 64), 1000, np.uint16)).save(folder / "room.depth.png")
    Image.fromarray(np.full((48, 64), 8000, np.uint16)).save(folder / "far.depth.png")
    Image.fromarray(np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))).save(folder / "thermal" / "dog.png")
    Image.new("RGB", (64, 48), "blue").save(folder / "thermal" / "photo.png")
    rows = "".join(f"{n * 10},{n % 3},0,9.8,0,0,0\n" for n in range(1200))
    (folder / "walk.imu.csv").write_text("t,ax,ay,az,gx,gy,gz\n" + rows)
    (folder / "notes.csv").write_text("a,b\n1,2\n")
    return folder


@pytest.fixture
def encoder():
    return SensingEncoder()


def counts(settings):
    database = Database(settings.database)
    try:
        return SqlStore(database).counts()
    finally:
        database.close()


def test_they_are_indexed_and_found(settings, archive, encoder):
    summary = index(settings, RunRequest([archive]), encoder=encoder)
    assert (summary.progress.done, summary.progress.failed) == (6, 0)
    assert counts(settings)["assets"] == {"image": 2, "depth": 2, "thermal": 1, "imu": 1}
    assert counts(settings)["segments"]["imu/motion"] == 3
    assert all(check.ok for check in verify(settings, deep=True))
    with Engine(settings, encoder=encoder) as engine:
        for name, modality in (
            ("far.depth.png", "depth"),
            ("room.depth.png", "depth"),
            ("thermal/dog.png", "thermal"),
            ("walk.imu.csv", "imu"),
        ):
            term = Term(archive / name, Modality(modality))
            best = engine.search(term, Filter(modalities=(Modality(modality),)), k=3).hits[0]
            assert best.segment.path == str(archive / name)
        assert {hit.segment.channel for hit in engine.search(term, Filter(channels=(Channel.MOTION,))).hits} == {Channel.MOTION}
        assert engine.search(Term("red", Modality.TEXT), k=1).hits[0].segment.path.endswith("room.jpg")


def test_where_the_encoder_takes_none_the_ledger_says_so(settings, archive):
    summary = index(settings, RunRequest([archive]), encoder=FakeEncoder())
    assert (summary.progress.done, summary.progress.failed) == (2, 4)
    database = Database(settings.database)
    failures = SqlStore(database).failures()
    database.close()
    assert {failure.reason for failure in failures} == {"unsupported"}
    assert any("takes no imu" in failure.detail for failure in failures)


def test_depth_and_heat_have_grey_pictures_and_motion_none(settings, archive, encoder, start):
    index(settings, RunRequest([archive]), encoder=encoder)
    http = start(settings)
    assets = {one["name"]: one for one in http.get("/v1/assets").json()["assets"]}
    for name, brightness in (("room.depth.png", 128), ("dog.png", 128)):
        answer = http.get(assets[name]["links"]["thumbnail"])
        picture = Image.open(io.BytesIO(answer.content))
        assert (answer.status_code, picture.size) == (200, (320, 240))
        assert picture.getpixel((160, 120)) == pytest.approx((brightness,) * 3, abs=6)
    links = assets["walk.imu.csv"]["links"]
    assert (links["thumbnail"], links["preview"]) == (None, None)
    assert http.get(f"/v1/assets/{assets['walk.imu.csv']['id']}/thumbnail").status_code == 404
    assert http.get(links["media"]).headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(("name", "modality"), [
    ("far.depth.png", "depth"), ("walk.imu.csv", "imu"), ("thermal/photo.png", "image"), ("thermal/dog.png", "image"),
])  # fmt: skip
def test_an_upload_is_what_its_name_and_its_content_say(settings, archive, encoder, start, name, modality):
    index(settings, RunRequest([archive]), encoder=encoder)
    http = start(settings)
    sent = http.post("/v1/uploads", params={"name": name}, content=(archive / name).read_bytes()).json()
    assert sent["modality"] == modality
    hits = http.post("/v1/search", json={"query": [{"upload": sent["id"]}], "targets": [modality], "k": 1}).json()["hits"]
    assert hits[0]["asset"]["modality"] == modality
