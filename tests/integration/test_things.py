"""Things in pictures: found by a reader that looks for labels, kept, counted, filtered by and told, and gone with their file or reader."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
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
from search.errors import InputError, ModelMissing, UnknownName
from search.query import Engine, Term
from search.query.form import read, written
from search.store import Database, Readers
from search.store.things import Things
from search.types import Channel, Cut, Filter, Modality, Needs, Thing
from tests.fakes.encoder import COLOURS
from tests.fakes.partial import Shelf
from tests.media_samples import films
from tests.waiting import LONG
from ui.cli import app

SPOTS = {
    "two": [("red", 5, 10), ("red", 60, 10)],
    "beside": [("red", 5, 20), ("blue", 60, 20)],
    "under": [("blue", 40, 4), ("green", 40, 40)],
    "none": [],
}
"""Squares of 10 pixels in pictures of 100 by 60, by picture: colour, left and top."""


class Spotter:
    """Finds squares of the colours that it is told to look for."""

    channels, reads = frozenset[Channel](), frozenset({Modality.IMAGE, Modality.VIDEO})
    needs = Needs(size=100, fit="pad", rate=0)

    def __init__(self, name: str, labels=("red", "blue", "green"), *, absent: bool = False) -> None:
        self.name, self.labels, self.absent, self.revision = name, labels, absent, "+".join(labels)

    def read(self, info, cuts):
        if self.absent:
            raise ModelMissing("The detector is not here.", remedy="Fetch it.")
        for cut in cuts:
            if isinstance(cut, Cut) and cut.channel is Channel.VISUAL:
                frame = cut.content[len(cut.content) // 2] if cut.content.ndim == 4 else cut.content
                shown = frame[(100 - 60) // 2 : (100 + 60) // 2]
                for label in self.labels:
                    near = (np.abs(shown.astype(int) - COLOURS[label]).max(axis=2) < 40).astype(np.uint8)
                    for x, y, width, height, _ in cv2.connectedComponentsWithStats(near)[2][1:]:
                        box = (float(x), y / 0.6, float(width), height / 0.6)
                        yield Thing(label, box, 0.75, cut.span, cut.span and cut.span.start, self.name)


@pytest.fixture
def pictures(tmp_path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, spots in SPOTS.items():
        pixels = np.full((60, 100, 3), 255, np.uint8)
        for colour, left, top in spots:
            pixels[top : top + 10, left : left + 10] = COLOURS[colour]
        Image.fromarray(pixels).save(folder / f"{name}.png")
    (folder / "red.txt").write_text("Red flowers.\n")
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def home(settings, request, pictures, encoder, monkeypatch):
    opened, init = [], Database.__init__
    monkeypatch.setattr(Database, "__init__", lambda self, url: opened.append(self) or init(self, url))
    if request.param == "postgresql":
        settings = replace(settings, database_url=request.getfixturevalue("postgres_url"))
    index(settings, RunRequest([pictures]), encoder=encoder)
    monkeypatch.setattr(readers, "load", lambda name, _, __, labels: Spotter(name, labels))
    monkeypatch.setattr(encoders, "load", Shelf(fake=encoder))
    monkeypatch.setenv("SENSORIUM_HOME", str(settings.home))
    monkeypatch.setenv("SENSORIUM_DATABASE_URL", settings.database_url)
    yield settings
    for database in opened:
        database.close()


only_sqlite = pytest.mark.parametrize("home", ["sqlite"], indirect=True)


def run(*arguments: str, code: int = 0):
    done = CliRunner().invoke(app, list(arguments))
    if code == 0 and done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done


def add(labels: str = "red,blue,green", *options: str) -> dict:
    return json.loads(run("readers", "add", "detect:fake", "--labels", labels, "--json", *options).stdout.splitlines()[-1])


def fits(engine: Engine, *things: str, **more) -> set[str]:
    answer = engine.search(Term("white", Modality.TEXT), Filter(things=things, **more), k=50)
    return {Path(hit.segment.path).stem for hit in answer.hits}


def test_files_are_found_by_what_is_in_them_how_often_and_where(home, encoder):
    assert add()["passages"] == 6
    with Engine(home, encoder=encoder) as engine:
        assert fits(engine, "red") == {"two", "beside"}
        assert fits(engine, "2.. red") == fits(engine, "2 Red") == {"two"}
        assert fits(engine, "red left of blue") == fits(engine, "red", "blue") == {"beside"}
        assert fits(engine, "red right of blue") == set()
        assert fits(engine, "blue above green") == {"under"}
        with pytest.raises(UnknownName, match="blue"):  # to whom nothing of it is to be seen
            fits(engine, "blue", within=("elsewhere",))
        with pytest.raises(UnknownName, match="yellow"):
            fits(engine, "yellow")
        with pytest.raises(InputError, match="none"):
            fits(engine, "0 red")
        answer = engine.search(Term("white", Modality.TEXT), Filter(things=("red",)))
        assert "4 of 4 pictures and videos were looked at" in answer.notes[0]
        (facet,) = engine.facets(names=["thing"]).facets
        assert [(one.value, one.files) for one in facet.values] == [("blue", 2), ("red", 2), ("green", 1)]
    assert all(check.ok for check in verify(home, deep=True))


@only_sqlite
def test_the_command_line_and_the_text_form_say_the_same(home):
    add()
    asked = ("white", "--json", "-k", "9")

    def names(*options: str) -> list[str]:
        return sorted(Path(hit["asset"]["path"]).stem for hit in json.loads(run("search", *asked, *options).stdout)["hits"])

    assert names("--thing", "red") == names("--where", "thing:red") == ["beside", "two"]
    assert names("--thing", "red", "--thing", "2.. red") == ["two"]
    formed = read('white thing:"red left of blue" thing:red')
    assert formed.filter.things == ("red left of blue", "red")
    assert read(written(formed)) == formed
    assert "looked at for things" in run("search", "white", "--thing", "red").output


@only_sqlite
def test_over_http_the_regions_of_an_asset_and_the_filter(home, encoder):
    add()
    service = Service(home, load=lambda _: encoder, runner=lambda *_: None, patience=LONG)
    with (
        TestClient(create_app(service), base_url="http://localhost") as http,
        Client("http://localhost", token="t", transport=http._transport) as client,
    ):
        (hit,) = client.search("white", filter={"things": ["red left of blue"]}).hits
        told = client.regions(hit.asset.id)
        assert told.more == 0
        assert client.asset(hit.asset.id).things == {"blue": 1, "red": 1}
        assert [(one.label, one.source, one.confidence, one.at_ms) for one in told.regions] == [
            ("red", "detect:fake", 0.75, None), ("blue", "detect:fake", 0.75, None)
        ]  # fmt: skip
        assert told.regions[0].box.fragment == "xywh=percent:5,33.33,10,16.67"
        assert len(client.regions(hit.asset.id, limit=1).regions) == client.regions(hit.asset.id, limit=1).more == 1
        assert http.get("/v1/assets/999/regions").status_code == 404
        refused = http.post("/v1/search", json={"query": [{"text": "white"}], "filter": {"things": ["yellow"]}})
        assert refused.status_code == 422
        assert "yellow" in refused.json()["detail"]


@only_sqlite
def test_labels_are_kept_with_the_reader_and_others_are_looked_for_anew(home, pictures, encoder, tmp_path):
    add("red")
    database = Database(home.database)
    assert Things(database).labels() == {"red": 2}
    assert json.loads(run("readers", "add", "detect:fake", "--json").stdout.splitlines()[-1])["passages"] == 3
    Image.fromarray(np.asarray(Image.open(pictures / "two.png"))[:, ::-1]).save(pictures / "turned.png")
    index(home, RunRequest([pictures]), encoder=encoder)
    assert Things(database).labels() == {"red": 3}
    file = tmp_path / "labels.txt"
    file.write_text("\ufeffblue\n\n  green \n", "utf-8")
    assert add(str(file))["passages"] == 3
    assert Things(database).labels() == {"blue": 2, "green": 1}
    assert Readers(database).find("detect:fake").labels == ("blue", "green")
    assert "no label" in str(run("readers", "add", "detect:fake", "--labels", " , ", code=1).exception)


@only_sqlite
def test_without_its_model_the_code_is_5_and_the_rest_goes_on(home, monkeypatch, encoder):
    monkeypatch.setattr(readers, "load", lambda name, *_: Spotter(name, ("red",), absent=True))
    assert run("readers", "add", "detect:fake", "--labels", "red", code=1).exception.exit_code == 5
    with Engine(home, encoder=encoder) as engine:
        assert engine.search(Term("white", Modality.TEXT)).hits


@only_sqlite
def test_things_go_with_their_file_and_with_their_reader_and_losses_are_mended(home, pictures, encoder):
    add()
    database = Database(home.database)
    things = Things(database)
    things.put({int(asset): [Thing("red", (1, 2, 3, 4))] for asset in things.assets("2 red")})
    (two,) = things.assets("2 red")  # what somebody said is not added up with what was found
    assert [one.source for one in things.of([int(two)])[int(two)]] == ["imported", "detect:fake", "detect:fake"]
    (pictures / "beside.png").unlink()
    index(home, RunRequest([pictures], prune=True), encoder=encoder)
    assert things.labels() == {"blue": 1, "green": 1, "red": 1}
    with database.writing() as connection:
        connection.execute(sa.text("DELETE FROM thing WHERE label = 'green'"))
    assert [check.name for check in verify(home) if not check.ok] == ["every reading holds its passages"]
    list(repair(home))
    index(home, RunRequest(()), encoder=encoder)
    assert things.labels() == {"blue": 1, "green": 1, "red": 1}
    run("readers", "remove", "detect:fake", "--yes")
    assert things.labels() == {"red": 1}  # which was imported


@only_sqlite
def test_of_a_film_each_shot_is_looked_at(home, tmp_path, encoder):
    folder = tmp_path / "films"
    folder.mkdir()
    films(folder)
    index(home, RunRequest([folder]), encoder=encoder)
    add()
    database = Database(home.database)
    with database.reading() as connection:
        videos = connection.execute(sa.text("SELECT id FROM asset WHERE modality = 'video'")).scalars().all()
    seen = [one for some in Things(database).of(videos).values() for one in some]
    assert seen
    assert all(one.span and one.at_ms == one.span.start for one in seen)


@only_sqlite
def test_what_goes_out_as_coco_comes_in_again(home, pictures, tmp_path):
    add("red,blue")
    answer, file = tmp_path / "answer.json", tmp_path / "out.zip"
    answer.write_text(run("search", "white", "--json", "-k", "9", "--thing", "red").stdout)
    run("export", str(answer), "--format", "coco", "--to", str(file))
    with zipfile.ZipFile(file) as archive:
        labels = tmp_path / "labels.json"
        labels.write_bytes(archive.read("out.coco.json"))
    run("readers", "remove", "detect:fake", "--yes")
    told = json.loads(run("things", "import", str(labels), "--json").stdout)
    assert (told["assets"], told["things"], told["skipped"], told["unknown"]) == (2, 4, 0, 0)
    things = Things(Database(home.database))
    assert things.labels() == {"red": 2, "blue": 1}
    (beside,) = things.assets("red left of blue")
    assert {(one.label, tuple(round(side, 1) for side in one.box), one.source) for one in things.of([int(beside)])[int(beside)]} == {
        ("blue", (60, 33.3, 10, 16.7), "imported"), ("red", (5, 33.3, 10, 16.7), "imported")
    }  # fmt: skip
    crowd = json.loads(labels.read_text())
    crowd["annotations"][0]["iscrowd"] = 1
    crowd["annotations"][1]["bbox"] = [200, 10, 5, 5]
    crowd["images"] = [one | {"file_name": Path(one["file_name"]).name, "width": None} for one in crowd["images"]]
    crowd["images"].append({"id": 99, "file_name": "nowhere.png"})
    labels.write_text(json.dumps(crowd))
    again = run("things", "import", str(labels), "--pictures", str(pictures), "--json", code=4)
    told = json.loads(again.stdout)
    assert (told["assets"], told["things"], told["skipped"], told["unknown"]) == (2, 2, 2, 1)
    assert json.loads(run("things", "list", "--json").stdout) == things.labels()


@only_sqlite
def test_labels_of_yolo_come_in_by_box_and_by_outline(home, pictures):
    labels = pictures / "labels"
    labels.mkdir()
    (pictures / "images").symlink_to(pictures)
    (pictures / "data.yaml").write_text("path: .\nnames:\n  0: red\n  1: traffic light\n")
    (labels / "two.txt").write_text("0 0.1 0.25 0.1 0.1667\n1 0.6 0.2 0.7 0.2 0.7 0.5 0.6 0.5\n0 0.5 0.5 0 0.2\n\n")
    (labels / "none.txt").write_text("")
    dry = json.loads(run("things", "import", str(pictures), "--dry-run", "--json").stdout)
    assert (dry["assets"], dry["things"], dry["skipped"]) == (2, 2, 1)
    things = Things(Database(home.database))
    assert things.labels() == {}
    run("things", "import", str(pictures))
    assert things.labels() == {"red": 1, "traffic light": 1}
    (two,) = things.assets("red left of traffic light")
    assert [(one.label, [round(side) for side in one.box]) for one in things.of([int(two)])[int(two)]] == [
        ("red", [5, 17, 10, 17]), ("traffic light", [60, 20, 10, 30])
    ]  # fmt: skip
    for bad, told in (("7 0 0 1 1", "no label"), ("0 1 2", "2 numbers"), ("-1 0 0 1 1", "no label")):
        (labels / "none.txt").write_text(bad)
        assert told in str(run("things", "import", str(pictures), code=1).exception)
    (pictures / "data.yaml").unlink()
    assert "classes" in str(run("things", "import", str(pictures), code=1).exception)
    (pictures / "bad.json").write_text('{"images": []}')
    assert "no COCO file" in str(run("things", "import", str(pictures / "bad.json"), code=1).exception)
