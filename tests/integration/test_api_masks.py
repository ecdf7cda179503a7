"""What is pointed at in a picture: masks, cut-outs, and searching with them."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from indexer import run
from search.api.client import Client
from tests.fakes.encoder import COLOURS
from tests.integration.test_api_search import assert_problem
from tests.media_samples import films

HEIGHT, WIDTH = 240, 400


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A red disc on green and yellow noise, and where the disc is."""
    down, across = np.mgrid[:HEIGHT, :WIDTH]
    thing = (across - 120) ** 2 + (down - 100) ** 2 < 50**2
    rng = np.random.default_rng(0)
    ground = np.where(rng.random((HEIGHT, WIDTH, 1)) < 0.5, COLOURS["green"], COLOURS["yellow"])
    pixels = np.where(thing[..., None], COLOURS["red"], ground) * 0.8 + rng.integers(0, 40, (HEIGHT, WIDTH, 3))
    return pixels.astype(np.uint8), thing


def sent(http, pixels: np.ndarray, name: str = "a.png", **options) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, name.rpartition(".")[2].replace("jpg", "jpeg"), **options)
    return http.post(f"/v1/uploads?name={name}", content=file.getvalue()).json()["id"]


def unpacked(mask: dict) -> np.ndarray:
    height, width = mask["size"]
    values = np.arange(len(mask["counts"])) % 2
    return np.repeat(values, mask["counts"]).reshape(width, height).T.astype(bool)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


CLICK, BOX = {"on": [{"x": 30, "y": 42}]}, {"box": {"left": 15, "top": 18, "width": 31, "height": 48}}
ELSEWHERE = {"on": [{"x": 30, "y": 42}, {"x": 25, "y": 40}], "beside": [{"x": 80, "y": 80}, {"x": 80, "y": 20}]}


def test_a_click_a_scribble_and_a_box_give_the_thing_as_a_mask_and_as_what_to_search_with(still):
    pixels, thing = scene()
    upload = sent(still, pixels)
    for pointed in (CLICK, BOX, ELSEWHERE, CLICK | BOX):
        found = still.post("/v1/segment", json={"upload": upload} | pointed).json()
        mask = unpacked(found["mask"])
        whole = np.asarray(Image.fromarray(thing).resize(mask.shape[::-1]))
        assert overlap(mask, whole) > 0.9, pointed
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["png"].partition(",")[2]))))
        assert np.array_equal(shown, mask)
        assert abs(found["box"]["left"] - 17.5) < 2
        assert abs(found["box"]["height"] - 100 * 100 / HEIGHT) < 4
        assert abs(found["share"] - thing.mean()) < 0.02
        assert found["source"] == "grabcut"
        again = still.post("/v1/segment", json={"upload": upload} | pointed).json()
        assert again["mask"] == found["mask"]
    assert found["form"] == f"upload:{found['upload']['id']}"
    asked = {"targets": ["image"], "k": 1}
    assert still.post("/v1/search", json=asked | {"form": found["form"]}).json()["hits"][0]["asset"]["name"] == "red.png"
    whole = still.post("/v1/search", json=asked | {"query": [{"upload": upload}]}).json()["hits"][0]["asset"]["name"]
    assert whole in ("green.png", "yellow.png")


def test_a_part_is_searched_with_as_it_is(still):
    pixels, _ = scene()
    turned = Image.Exif()
    turned[0x0112] = 6
    upload = sent(still, np.rot90(pixels), "a.jpg", exif=turned, quality=95)
    inside = {"left": 22, "top": 30, "width": 15, "height": 20}
    made = still.post("/v1/segment", json={"upload": upload, "box": inside, "cut": "box"}).json()
    assert (made["source"], made["mask"], made["box"]["left"], round(made["share"], 4)) == ("box", None, 22, 0.03)
    ways = [{"query": [{"upload": upload, "box": inside}]}, {"query": [{"upload": made["upload"]["id"]}]},
            {"form": f"upload:{upload}#xywh=percent:22,30,15,20"}]  # fmt: skip
    for way in ways:
        answer = still.post("/v1/search", json={"targets": ["image"], "k": 1} | way).json()
        assert answer["hits"][0]["asset"]["name"] == "red.png", way
    picture = still.get("/v1/assets?name=blue.png").json()["assets"][0]["segment"]
    asked = {"query": [{"segment": picture, "box": inside}], "targets": ["text"], "k": 1}
    assert still.post("/v1/search", json=asked).json()["hits"][0]["asset"]["name"] == "sea.md"


def test_what_cannot_be_pointed_at_is_said(still):
    pixels, _ = scene()
    upload = sent(still, pixels)
    text, blue = (still.get(f"/v1/assets?name={name}").json()["assets"][0]["id"] for name in ("sea.md", "blue.png"))

    def ask(**asked):
        return still.post("/v1/segment", json=asked)

    assert_problem(ask(asset=blue, **CLICK), 422, "no-thing")
    assert_problem(ask(asset=blue, **BOX), 422, "no-thing")
    assert_problem(ask(asset=text, **CLICK), 422, "pictureless")
    assert_problem(ask(segment=10**9, **CLICK), 404, "no-segment")
    assert_problem(ask(upload="0" * 32, **CLICK), 404, "no-upload")
    invalid = [
        CLICK, {"upload": upload}, {"upload": upload, "asset": blue} | CLICK, {"upload": upload, "on": [{"x": 101, "y": 5}]},
        {"upload": upload, "box": {"left": 90, "top": 0, "width": 20, "height": 5}}, {"upload": upload, "cut": "box"} | CLICK,
        {"upload": upload, "box": {"left": 9, "top": 0, "width": 0, "height": 5}}, {"upload": upload, "on": CLICK["on"] * 1001},
    ]  # fmt: skip
    for asked in invalid:
        assert ask(**asked).status_code == 422, asked
    assert still.post("/v1/search", json={"query": [{"text": "red", "box": BOX["box"]}]}).status_code == 422


@pytest.mark.parametrize("size", [(400, 20), (20, 400), (1, 1), (3, 900)])
def test_odd_shapes_are_cut_or_refused(still, size):
    rng = np.random.default_rng(1)
    upload = sent(still, rng.integers(0, 255, (*size, 3), np.uint8))
    answer = still.post("/v1/segment", json={"upload": upload, "on": [{"x": 100, "y": 100}]})
    assert answer.status_code in (200, 422)
    if answer.status_code == 200:
        assert unpacked(answer.json()["mask"])[-1, -1]


def test_into_a_film_one_points_at_a_time(start, settings, tmp_path, encoder):
    folder = tmp_path / "films"
    folder.mkdir()
    films(folder)
    run.index(settings, run.RunRequest([folder]), encoder=encoder)
    http = start(settings)
    film = next(one for one in http.get("/v1/assets?modality=video").json()["assets"] if one["duration_ms"])
    with Client("http://localhost", token="t", transport=http._transport) as client:
        for at in ({"asset": film["id"], "at_ms": 10**9}, {"segment": film["segment"]}):
            made = client.mask(box=(10, 20, 50, 40), cut="box", **at)
            assert (made.source, made.upload.modality) == ("box", "image")
            with Image.open(http.service.uploads.find(made.upload.id).path) as part:
                assert abs(part.width / part.height - 5 * film["width"] / (4 * film["height"])) < 0.1


class Corner:
    """A model to which everything that is pointed at is the upper left quarter; nothing, where the picture is black."""

    name = "mask:/models/corner"

    def __init__(self) -> None:
        self.asked = []

    def mask(self, key, look, prompt):
        picture = look()
        self.asked.append((key, picture.shape, prompt))
        mask = np.zeros(picture.shape[:2], np.uint8)
        mask[: mask.shape[0] // 2, : mask.shape[1] // 2] = picture.any()
        return picture, mask, 0.8


def test_a_model_that_is_set_is_asked_and_one_that_is_missing_is_told(start, indexed, monkeypatch):
    made = Corner()
    monkeypatch.setattr("search.api.service.masking.load", lambda *_: made)
    http = start(replace(indexed, masker="mask:/models/corner"))
    upload = sent(http, scene()[0])
    found = http.post("/v1/segment", json={"upload": upload} | ELSEWHERE).json()
    assert (found["source"].startswith("mask:"), found["confidence"], found["share"]) == (True, 0.8, 0.25)
    assert [round(found["box"][side]) for side in ("left", "top", "width", "height")] == [0, 0, 50, 50]
    blue = http.get("/v1/assets?name=blue.png").json()["assets"][0]
    assert http.post("/v1/segment", json={"asset": blue["id"]} | BOX).json()["share"] == 0.25
    (key, shape, prompt), (other, _, _) = made.asked
    assert key == (upload, ())
    assert other == (http.get("/v1/assets?name=blue.png").json()["assets"][0]["sha256"], ())
    assert abs(shape[1] / shape[0] - WIDTH / HEIGHT) < 0.02
    assert (prompt.on, prompt.beside, prompt.box) == (((30, 42), (25, 40)), ((80, 80), (80, 20)), None)
    assert_problem(
        http.post("/v1/segment", json={"upload": sent(http, np.zeros((40, 60, 3), np.uint8))} | CLICK), 422, "no-thing"
    )
    assert http.get("/v1/status").json()["masks"].startswith("mask:")
    monkeypatch.undo()
    missing = start(replace(indexed, masker="mask:/nowhere"))
    refused = missing.post("/v1/segment", json={"upload": sent(missing, scene()[0])} | CLICK)
    assert refused.status_code == 503
    assert "There is no model" in refused.json()["detail"]
