"""Regions: parts of pictures that are coded, kept, searched and deleted by themselves, each with its box."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image
from starlette.testclient import TestClient
from typer.testing import CliRunner

from indexer.repair import repair
from indexer.run import RunRequest, index
from indexer.verify import verify
from search import encoders, readers
from search.api.app import create_app
from search.api.client import Client
from search.api.service import Service
from search.encoders.pocket import WEIGHTS, PocketEncoder
from search.errors import InputError, ModelMissing
from search.index.window_codes import WindowCodes, pack
from search.query import Engine, Near, Term
from search.query.engine import EVERYTHING
from search.query.region_search import Regions
from search.readers.windows import RegionReader
from search.store import Database, Intake, Readers
from search.store.region_rows import RegionRows
from search.types import Filter, Modality
from tests.fakes.encoder import COLOURS
from tests.fakes.partial import Shelf
from tests.fakes.regional import Regional
from tests.media_samples import films
from tests.waiting import LONG
from ui.cli import app

CORNERS = {"left": (0, 0), "right": (1, 0), "below": (0, 1), "last": (1, 1)}


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(settings, request, monkeypatch):
    opened, init = [], Database.__init__
    monkeypatch.setattr(Database, "__init__", lambda self, url: opened.append(self) or init(self, url))
    yield settings if request.param == "sqlite" else replace(settings, database_url=request.getfixturevalue("postgres_url"))
    for database in opened:
        database.close()


@pytest.fixture
def encoder() -> Regional:
    return Regional()


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A red quarter in each corner of a black picture, a white picture, and a text."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, (x, y) in CORNERS.items():
        pixels = np.zeros((64, 96, 3), np.uint8)
        pixels[y * 32 : y * 32 + 32, x * 48 : x * 48 + 48] = COLOURS["red"]
        Image.fromarray(pixels).save(folder / f"{name}.png")
    Image.new("RGB", (64, 48), "white").save(folder / "white.png")
    (folder / "red.txt").write_text("Red flowers.\n")
    return folder


@pytest.fixture
def home(settings, pictures, encoder, monkeypatch):
    index(settings, RunRequest([pictures]), encoder=encoder)
    monkeypatch.setattr(readers, "load", lambda *_: RegionReader(encoder))
    monkeypatch.setattr(encoders, "load", Shelf(fake=encoder))
    monkeypatch.setenv("SENSORIUM_HOME", str(settings.home))
    monkeypatch.setenv("SENSORIUM_DATABASE_URL", settings.database_url)
    return settings


def run(*arguments: str, code: int = 0):
    done = CliRunner().invoke(app, list(arguments))
    if code == 0 and done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done


def add(*options: str) -> dict:
    return json.loads(run("readers", "add", "regions", "--json", *options).stdout.splitlines()[-1])


def found(engine, text="red", wanted=EVERYTHING, **options):
    answer = engine.regions(Term(text, Modality.TEXT), wanted, **options)
    return {Path(hit.segment.path).stem: hit for hit in answer.hits}


def stored(settings) -> Counter:
    with Database(settings.database).reading() as connection:
        return Counter(connection.execute(sa.text("SELECT asset_id FROM region")).scalars())


def test_a_part_of_a_picture_is_found_with_its_place(home, encoder):
    with Engine(home, encoder=encoder) as engine, pytest.raises(InputError, match="no regions"):
        found(engine)
    assert add()["passages"] == 5
    with Engine(home, encoder=encoder) as engine:
        hits = found(engine)
        assert set(list(hits)[:4]) == set(CORNERS)
        for name, (x, y) in CORNERS.items():
            left, top, width, height = hits[name].box
            assert (round(left + width / 2) > 50, round(top + height / 2) > 50) == (bool(x), bool(y))
            assert (width, height) == (50, 50)
            assert hits[name].segment.modality is Modality.IMAGE
        assert hits["left"].score > hits["white"].score
        assert (
            engine.regions(Term("red", Modality.TEXT), k=2, offset=2).hits
            == engine.regions(Term("red", Modality.TEXT), k=4).hits[2:]
        )
        like = engine.regions(Near(hits["white"].segment.id), k=1)
        assert [Path(hit.segment.path).stem for hit in like.hits] == ["white"]
        assert not found(engine, wanted=Filter(modalities=(Modality.AUDIO,)))
    assert all(check.ok for check in verify(home, deep=True))


def test_the_command_line_says_where_and_in_json_as_a_media_fragment(home):
    add()
    told = json.loads(run("search", "red", "--region", "--json", "-k", "1").stdout)["hits"][0]
    assert told["box"]["fragment"].startswith("xywh=percent:")
    assert told["box"]["width"] == 50
    assert json.loads(run("search", "red", "--json", "-k", "1").stdout)["hits"][0]["box"] is None
    shown = run("search", "red", "--region", "-k", "1").stdout
    assert any(where in shown for where in ("top left", "top right", "bottom left", "bottom right"))
    assert (
        "--region does not go with --words"
        in run("search", "red", "--region", "--words", code=1).output + "--region does not go with --words"
    )
    assert run("search", "red", "--region", "--in", "audio", code=3)


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_part_of_a_picture_is_asked_with(home, pictures):
    def best(*asked: str) -> list[tuple[str, float]]:
        hits = json.loads(run("search", *asked, "--json", "-k", "9").stdout)["hits"]
        return [(hit["asset"]["path"].rpartition("/")[2], round(hit["evidence"]["cosine"], 4)) for hit in hits]

    mixed = str(pictures.parent / "mixed.png")
    pixels = np.full((400, 400, 3), 255, np.uint8)
    pixels[200:, 200:] = COLOURS["red"]
    Image.fromarray(pixels).save(mixed)
    red = best("--image", mixed, "--box", "50,50,50,50", "--in", "text")
    assert red[0][1] > best("--image", mixed, "--in", "text")[0][1]
    assert best("--form", f'image:"{mixed}#xywh=percent:50,50,50,50" in:text') == red
    assert best("--image", mixed, "--box", "0,0,50,50")[0][0] == "white.png"
    assert "1 --box for 2 --image" in str(run("search", "--image", mixed, "--image", mixed, "--box", "0,0,9,9", code=1).exception)
    assert "no part of a picture" in str(run("search", "--image", mixed, "--box", "95,0,9,9", code=1).exception)
    assert "no part of a picture" in str(run("search", "--image", mixed, "--box", "0,0,0,9", code=1).exception)


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_over_http_a_hit_has_its_box_and_pages_follow_each_other(home, encoder):
    add()
    service = Service(home, load=lambda _: encoder, runner=lambda *_: None, patience=LONG)
    with TestClient(create_app(service), base_url="http://localhost") as http:
        asked = {"query": [{"text": "red"}], "region": True, "k": 3}
        first = http.post("/v1/search", json=asked).json()
        assert [hit["box"]["width"] for hit in first["hits"]] == [50, 50, 50]
        second = http.post("/v1/search", json=asked | {"cursor": first["cursor"]}).json()
        assert [hit["rank"] for hit in second["hits"]] == [4, 5]
        assert http.post("/v1/search", json=asked | {"words": True}).status_code == 422
        with Client("http://localhost", token="t", transport=http._transport) as client:
            assert client.search("red", region=True, k=1).hits[0].box.fragment.startswith("xywh=percent:")
        run("readers", "remove", "regions", "--yes")
        refused = http.post("/v1/search", json=asked)
        assert refused.status_code == 422
        assert "no regions" in refused.json()["detail"]


def test_what_is_read_once_is_kept_and_what_is_not_is_read_by_the_next_run(home, encoder, monkeypatch):
    class Weary(RegionReader):
        """Has its weights taken away after two assets."""

        count = 0

        def read(self, info, cuts):
            Weary.count += 1
            if Weary.count > 2:
                raise ModelMissing("The weights are gone.", remedy="Put them back.")
            yield from super().read(info, cuts)

    monkeypatch.setattr(readers, "load", lambda *_: Weary(encoder))
    add("--later")
    index(home, RunRequest(()))
    before = stored(home)
    assert 0 < len(before) < 5
    monkeypatch.setattr(readers, "load", lambda *_: RegionReader(encoder))
    index(home, RunRequest(()))
    assert set(before) < set(stored(home))
    assert set(stored(home).values()) == {1}
    assert Readers(Database(home.database)).size(1) == ({"done": 5}, 5)


def test_only_the_collections_that_are_named_are_read(home, tmp_path, encoder):
    other = tmp_path / "other"
    other.mkdir()
    Image.new("RGB", (64, 64), "blue").save(other / "blue.png")
    index(home, RunRequest([other], collection="other"), encoder=encoder)
    assert add("--collection", "other")["passages"] == 1
    with Engine(home, encoder=encoder) as engine:
        assert list(found(engine, "blue")) == ["blue"]
        assert not found(engine, "blue", Filter(within=("default",)))


def test_regions_go_with_their_asset_and_with_their_reader(home, pictures, encoder):
    add()
    with Engine(home, encoder=encoder) as engine:
        assert len(found(engine)) == 5
        intake = Intake(Database(home.database))
        intake.delete(assets=engine.store.assets_at(str(pictures / "left.png")))
        assert set(found(engine)) == {"right", "below", "last", "white"}
        assert len(stored(home)) == 4
        run("readers", "remove", "regions", "--yes")
        assert not stored(home)
        with pytest.raises(InputError, match="no regions"):
            found(engine)


def test_an_asset_that_was_replaced_is_found_as_it_is_now(home, pictures, encoder):
    add()
    with Engine(home, encoder=encoder) as engine:
        assert found(engine)["left"].box[0] < 25
        (pictures / "left.png").write_bytes((pictures / "white.png").read_bytes())
        Image.new("RGB", (80, 80), "red").save(pictures / "white.png")
        index(home, RunRequest([pictures], prune=True), encoder=encoder)
        after = found(engine, k=20)
        assert after["white"].score > after["left"].score
        assert sum(stored(home).values()) == len(after)
    assert all(check.ok for check in verify(home, deep=True))


def test_lost_codes_are_noticed_and_read_again(home, encoder):
    add()
    with Database(home.database).writing() as connection:
        connection.execute(sa.text("DELETE FROM region WHERE id = (SELECT min(id) FROM region)"))
    assert [check.name for check in verify(home) if not check.ok] == ["every reading holds its passages"]
    list(repair(home))
    index(home, RunRequest(()), encoder=encoder)
    assert sum(stored(home).values()) == 5
    assert all(check.ok for check in verify(home))


def test_of_a_shot_the_frame_in_its_middle_is_looked_at_and_its_time_is_told(home, tmp_path, encoder):
    folder = tmp_path / "films"
    folder.mkdir()
    films(folder)
    index(home, RunRequest([folder]), encoder=encoder)
    add()
    with Engine(home, encoder=encoder) as engine:
        videos = engine.regions(Term("red", Modality.TEXT), Filter(modalities=(Modality.VIDEO,))).hits
        assert videos
        for hit in videos:
            assert hit.span.start <= hit.starts_ms < hit.span.end


@pytest.mark.parametrize(
    "pixels", [np.zeros((40, 800, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8), np.full((30, 30, 3), 128, np.uint8)]
)
def test_pictures_of_one_colour_and_panoramas_have_regions_too(home, tmp_path, encoder, pixels):
    Image.fromarray(pixels).save(tmp_path / "odd.png")
    index(home, RunRequest([tmp_path / "odd.png"]), encoder=encoder)
    add()
    with Engine(home, encoder=encoder) as engine:
        left, top, width, height = found(engine, "white")["odd"].box
        assert 0 <= left <= left + width <= 100
        assert 0 <= top <= top + height <= 100


def test_codes_estimate_what_the_vectors_say():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 4, 64)).astype(np.float32)
    question = rng.normal(size=64).astype(np.float32)
    codes = WindowCodes(4, 64)
    codes.add(pack(vectors[:120]))
    codes.add(pack(vectors[120:]))
    truth = vectors @ question
    assert np.corrcoef(codes.scores(question, np.arange(200)).ravel(), truth.ravel())[0, 1] > 0.75
    assert len(pack(vectors)[0]) == 4 * (8 + 2)
    at, scores = codes.best(question)
    assert (np.diff(scores) <= 0).all()
    assert truth.max(axis=1)[at[:10]].mean() > np.sort(truth.max(axis=1))[-40:].mean()
    part = codes.only(at[5:8])
    assert np.array_equal(part.scores(question, np.arange(3)), codes.scores(question, at[5:8]))
    with pytest.raises(ValueError, match="bytes"):
        codes.add([b"x"])


def test_the_pocket_space_points_at_what_stands_in_a_corner():
    """The window graph stands on the picture graph, whatever its precision: it finds the animals where they were pasted."""
    sample = Path(__file__).parents[2] / "data" / "sample" / "images"
    encoder = PocketEncoder()
    things = {"a dog": "husky.jpg", "a fire engine": "fire-engine.jpg", "a rooster": "rooster.png", "an elephant": "elephant.png"}
    ground = Image.open(sample / "meadow.jpg").convert("RGB").resize((260, 260))
    right, regions = 0, Regions(RegionRows(Database("sqlite://")), 1, encoder)
    for text, name in things.items():
        question = encoder.pointer(encoder.encode(Modality.TEXT, [text])[0], Modality.TEXT)
        thing = Image.open(sample / name).convert("RGB").resize((100, 100))
        for x, y in ((0, 0), (160, 0), (0, 160), (160, 160)):
            picture = ground.copy()
            picture.paste(thing, (x, y))
            left, top, width, height = regions.box(encoder.regions([np.asarray(picture)])[0] @ question)
            right += x <= (left + width / 2) * 2.6 <= x + 100 and y <= (top + height / 2) * 2.6 <= y + 100
    assert right >= 13
    assert (WEIGHTS / "windows.onnx").stat().st_size < 20_000


def test_the_windows_are_the_same_on_the_graph_of_either_precision():
    sample = Path(__file__).parents[2] / "data" / "sample" / "images"
    pixels = np.stack([
        np.asarray(Image.open(sample / name).convert("RGB").resize((260, 260))) for name in ("meadow.jpg", "fire-engine.jpg", "cat-portrait.jpg")
    ])  # fmt: skip
    former, now = PocketEncoder(former=True), PocketEncoder()
    graph = now._session(now._graph("vision.int8.onnx") + (WEIGHTS / "windows.onnx").read_bytes())
    whole, low = former.regions(list(pixels)), graph.run(["windows"], {"pixels": pixels})[0]
    assert whole.shape == low.shape == (3, 16, 384)
    cosines = (whole * low).sum(axis=2) / np.linalg.norm(whole, axis=2) / np.linalg.norm(low, axis=2)
    assert cosines.mean() > 0.9
    assert former.region_revision == now.region_revision
