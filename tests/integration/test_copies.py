"""Copies of pictures and films: found by fingerprints, listed, folded, and told with the times of both."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from sqlalchemy import delete
from typer.testing import CliRunner

from indexer import run
from search import encoders
from search.media import fingerprints
from search.query import Engine, Term
from search.query.alignment import stretches
from search.query.copies import groups
from search.store import Database, tables
from search.store.fingerprint_rows import FingerprintRows
from search.types import Channel, Filter, Modality
from tests.conftest import write_tone
from tests.fakes.partial import Shelf
from ui.cli import app

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
SEEN_OR_HEARD = (Channel.VISUAL, Channel.SOUND)
PICTURES = ("husky.jpg", "cow.jpg", "violin.tiff", "heron.gif")


def bits(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.bitwise_count(one ^ other).min())


def codes(picture: Image.Image) -> np.ndarray:
    return fingerprints.picture_codes(np.asarray(picture.convert("RGB").resize((64, 64)))[None])


def test_codes_survive_what_does_not_change_a_picture():
    with Image.open(SAMPLE / "images" / "husky.jpg") as file:
        husky = file.convert("RGB")
    width, height = husky.size
    boxed = Image.new("RGB", (width, height * 4 // 3))
    boxed.paste(husky, (0, height // 6))
    plain = codes(husky)
    assert bits(plain, codes(husky.resize((width // 3, height // 3)))) <= 2
    assert bits(plain, codes(boxed)) <= 4
    assert bits(fingerprints.mirrored(plain), codes(ImageOps.mirror(husky))) <= 2
    with Image.open(SAMPLE / "images" / "cow.jpg") as other:
        assert bits(plain, codes(other)) > 16
    assert codes(Image.new("RGB", (64, 48), (200, 30, 30))).tolist() == [int(fingerprints.FLAT)]


def test_codes_of_a_sound_are_those_of_a_part_of_it():
    rng = np.random.default_rng(0)
    noise = np.convolve(rng.standard_normal(16_000 * 6), np.ones(8) / 8, "same").astype(np.float32) * 0.1
    whole, part = fingerprints.sound_codes(noise, 16_000), fingerprints.sound_codes(noise[16_000 : 16_000 * 4] * 0.5, 16_000)
    assert (len(whole), len(part)) == (60, 30)
    assert np.bitwise_count(whole[10:36] ^ part[:26]).mean() < 2
    assert 10 < np.bitwise_count(whole[20:46] ^ part[:26]).mean() < 22
    assert not fingerprints.sound_codes(np.zeros(16_000, np.float32), 16_000).any()


def test_stretches_advance_together_and_noise_does_not():
    samples = np.arange(60) * 1_000
    here, there = samples[10:40], np.round(samples[10:40] * 0.96).astype(np.int64) + 5_000  # 4 % faster
    rng = np.random.default_rng(0)
    t = np.concatenate([here, rng.choice(samples, 40)])
    u = np.concatenate([there, rng.integers(0, 100_000, 40)])
    close = np.concatenate([np.full(30, 0.8), np.full(40, 0.5)])
    (found,) = stretches(t, u, close, samples)
    assert (found.start, found.end, found.other_start, found.other_end) == (10_000, 39_000, 14_600, 42_440)
    assert not list(stretches(t[30:], u[30:], close[30:], samples))


def test_what_hangs_together_is_one_group():
    assert groups([(1, 2), (3, 4), (2, 5), (7, 7)]) == [[1, 2, 5], [3, 4], [7]]


@pytest.fixture
def gallery(tmp_path):
    """Four photographs; of one a smaller mirrored copy, of one a copy between bars, of one the same bytes again."""
    folder = tmp_path / "gallery"
    folder.mkdir()
    for name in PICTURES:
        shutil.copy(next(SAMPLE.rglob(name)), folder / name)
    with Image.open(folder / "husky.jpg") as husky:
        ImageOps.mirror(husky.convert("RGB")).resize((husky.width // 2, husky.height // 2)).save(
            folder / "mirror.jpg", quality=50
        )
    with Image.open(folder / "cow.jpg") as file:
        cow = file.convert("RGB")
    boxed = Image.new("RGB", (cow.width, cow.height * 4 // 3))
    boxed.paste(cow, (0, cow.height // 6))
    boxed.save(folder / "boxed.jpg", quality=80)
    (folder / "again").mkdir()
    shutil.copy(folder / "heron.gif", folder / "again" / "heron.gif")
    return folder


def test_copies_of_pictures_are_listed_and_folded(settings, gallery, encoder, monkeypatch, start):
    run.index(settings, run.RunRequest([gallery]), encoder=encoder)
    with Engine(settings, encoder=encoder) as engine:
        found = engine.duplicates()
        paths = {
            one.id: [Path(place.path).name for place in one.locations] for one in engine.catalogue.assets(range(1, 20)).values()
        }
        named = sorted(sorted(name for asset in group for name in paths[asset]) for group in found.groups)
        assert (named, found.without) == (
            [["boxed.jpg", "cow.jpg"], ["heron.gif", "heron.gif"], ["husky.jpg", "mirror.jpg"]],
            0,
        )
        assert engine.duplicates(Filter(modalities=(Modality.AUDIO,))).groups == ()
        plain, folded = (engine.search(Term("white", Modality.TEXT), k=20, fold=fold).hits for fold in (False, True))
        assert len(plain) == len(folded) + 2
        assert sum(len(hit.others) for hit in folded) == 2
    monkeypatch.setattr(encoders, "load", Shelf(fake=encoder))
    told = CliRunner().invoke(app, ["duplicates", "--json", "--home", str(settings.home)])
    listed = json.loads(told.stdout)
    assert listed["frees"] == sum(group["frees"] for group in listed["groups"])
    mirror = next(group for group in listed["groups"] if any(file["path"].endswith("mirror.jpg") for file in group["files"]))
    assert [Path(file["path"]).name for file in mirror["files"]] == ["husky.jpg", "mirror.jpg"]  # the larger one is kept
    assert mirror["frees"] == (gallery / "mirror.jpg").stat().st_size
    http = start(settings)
    answer = http.post("/v1/duplicates", json={"limit": 2}).json()
    assert (len(answer["groups"]), answer["more"], answer["without"]) == (2, 1, 0)
    hits = http.post("/v1/search", json={"query": [{"text": "white"}], "fold": True, "k": 20}).json()["hits"]
    assert sum(len(hit["evidence"].get("others") or []) for hit in hits) == 2
    (gallery / "mirror.jpg").unlink()
    run.index(settings, run.RunRequest([gallery], prune=True), encoder=encoder)
    assert len(http.post("/v1/duplicates", json={}).json()["groups"]) == 2


def test_files_of_an_older_archive_are_read_again(settings, gallery, encoder, monkeypatch):
    run.index(settings, run.RunRequest([gallery]), encoder=encoder)
    write_tone(gallery / "low.wav", 220.0)
    run.index(settings, run.RunRequest([gallery]), encoder=encoder)
    with closing(Database(settings.database)) as database:
        rows = FingerprintRows(database)
        before = {
            channel: {row.segment: row.fingerprint.codes.tolist() for row in rows.after(channel, 0)[1]}
            for channel in SEEN_OR_HEARD
        }
        with database.writing() as connection:
            connection.execute(delete(tables.fingerprint))
        (gallery / "cow.jpg").unlink()
        monkeypatch.setattr(encoders, "load", Shelf(fake=encoder))
        told = CliRunner().invoke(app, ["duplicates", "--json", "--home", str(settings.home)])
        assert (len(json.loads(told.stdout)["groups"]), json.loads(told.stdout)["without"]) == (1, 7)  # those of the same bytes
        told = CliRunner().invoke(app, ["duplicates", "--read", "--json", "--home", str(settings.home)])
        assert (len(json.loads(told.stdout)["groups"]), json.loads(told.stdout)["without"]) == (2, 1)
        after = {
            channel: {row.segment: row.fingerprint.codes.tolist() for row in rows.after(channel, 0)[1]}
            for channel in SEEN_OR_HEARD
        }
    gone = set(before[Channel.VISUAL]) - set(after[Channel.VISUAL])
    assert len(gone) == 1  # the file that is no longer there
    assert after == {channel: {id_: codes for id_, codes in some.items() if id_ not in gone} for channel, some in before.items()}


def test_reuse_tells_where_a_stretch_lies_in_both(settings, shared, tmp_path, encoder, start):
    """An excerpt of a film, mirrored and cropped."""
    source, folder = shared / "clips" / "car-detection.mp4", tmp_path / "films"
    folder.mkdir()
    shutil.copy(source, folder / "source.mp4")
    edit = [
        "ffmpeg",
        "-v",
        "error",
        "-y",
        "-ss",
        "8",
        "-t",
        "12",
        "-i",
        source,
        "-an",
        "-vf",
        "hflip,crop=iw*0.94:ih*0.94",
        "-preset",
        "ultrafast",
        folder / "edit.mp4",
    ]
    subprocess.run(list(map(str, edit)), check=True, timeout=120)
    run.index(settings, run.RunRequest([folder]), encoder=encoder)
    http = start(settings)
    by = {one["name"]: one["id"] for one in http.get("/v1/assets").json()["assets"]}
    (used,) = http.get(f"/v1/assets/{by['edit.mp4']}/reuse").json()["used"]
    assert (used["asset"]["name"], used["channel"], used["mirrored"]) == ("source.mp4", "visual", True)
    assert used["span"]["start_ms"] <= 3_000
    assert used["span"]["end_ms"] >= 9_000
    assert abs((used["other"]["start_ms"] - used["span"]["start_ms"]) - 8_000) <= 1_000
    assert http.get("/v1/assets/999/reuse").status_code == 404
