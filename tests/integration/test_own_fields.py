"""Own fields from tables, and what the command line and the API tell and filter by them."""

from __future__ import annotations

import json

import pytest

from indexer.own_fields import import_table
from search.errors import InputError
from search.store import Database, Fields, SqlStore

TABLE = "SourceFile,Model,ISO\npictures/red.png,Canon R5,100\n./pictures/blue.png,Canon R5,800\ntones/low.wav,,\npictures/none.png,X,1\n"


@pytest.fixture
def table(archive):
    file = archive / "fields.csv"
    file.write_text(TABLE)
    return file


def stored(settings, archive, name: str) -> dict[str, str]:
    database = Database(settings.database)
    path = str(archive / name)
    return Fields(database).of(SqlStore(database).assets_of([path])[path])


def test_a_table_gives_files_their_fields(indexed, archive, table):
    database = Database(indexed.database)
    dry = import_table(database, table, dry=True)
    assert Fields(database).names() == {}
    told = import_table(database, table)
    assert told == dry
    assert (told.rows, told.assets, told.fields, told.unknown, told.names) == (4, 3, ("Model", "ISO"), 1, ["pictures/none.png"])
    assert stored(indexed, archive, "pictures/red.png") == {"Model": "Canon R5", "ISO": "100"}
    assert stored(indexed, archive, "tones/low.wav") == {}
    table.write_text(TABLE.replace("Canon R5,100", ",200"))  # an empty cell takes the value away
    import_table(database, table, columns=["Model"])
    assert stored(indexed, archive, "pictures/red.png") == {"ISO": "100"}


def test_json_of_exiftool_and_semicolons_are_read(indexed, archive, table):
    database = Database(indexed.database)
    table.write_text(
        json.dumps(
            [{"SourceFile": str(archive / "pictures/red.png"), "ISO": 100, "Keywords": ["a", "b"], "Flash": False, "GPS": None}]
        )
    )
    import_table(database, table)
    assert stored(indexed, archive, "pictures/red.png") == {"ISO": "100", "Keywords": "a, b", "Flash": "no"}
    table.write_text('\ufefffile;Note\n"pictures/red.png";"a; b"\n', encoding="utf-8")
    import_table(database, table)
    assert stored(indexed, archive, "pictures/red.png")["Note"] == "a; b"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no rows"), (b"path,A\n", "no rows"), (b"A,B\n1,2\n", "No column"), (b"path,A\n1\n", "Line 2"), (b"path,A,A\nx,1,2\n", "twice"),
        (b'path,A\n"x,1\n', "no CSV"), (b"path,A\n\xff,1\n", "Line 2"), (b"path,A\nx,\0\n", "no text"), (b"path,9\nx,1\n", "cannot be named"),
        (b"path,A\nx," + b"y" * 1_001 + b"\n", None), (b"path\nx\n", "nothing but paths"), (b"[1]", "Entry 1"), (b"[{", "no JSON"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_says_why(indexed, table, content, told):
    table.write_bytes(content)
    if told is None:  # nothing is known of the file, and its values are not looked at
        assert import_table(Database(indexed.database), table).unknown == 1
        return
    with pytest.raises(InputError, match=told) as caught:
        import_table(Database(indexed.database), table)
    assert caught.value.remedy
    assert Fields(Database(indexed.database)).names() == {}


def test_a_value_that_is_too_long_is_refused_with_its_line(indexed, table):
    table.write_text("path,A\npictures/red.png," + "y" * 1_001 + "\n")
    with pytest.raises(InputError, match="Line 2"):
        import_table(Database(indexed.database), table)


def test_the_service_counts_and_filters(http, indexed, archive, table):
    import_table(Database(indexed.database), table)
    told = http.post("/v1/facets", json={}).json()
    counts = {one["name"]: {value["value"]: value["files"] for value in one["values"]} for one in told["facets"]}
    assert (told["files"], counts["modality"]) == (13, {"image": 8, "audio": 3, "text": 2})
    assert counts["folder"] == {"pictures": 8, "tones": 3, "texts": 2}
    assert counts["field.ISO"] == {"100": 1, "800": 1}
    assert str(archive) not in json.dumps(told)
    asked = {"facets": ["shape", "folder"], "targets": ["image"], "filter": {"fields": [{"name": "ISO", "value": "200.."}]}}
    assert http.post("/v1/facets", json=asked).json()["facets"] == [
        {"name": "shape", "values": [{"value": "landscape", "files": 1}], "more": 0},
        {"name": "folder", "values": [{"value": "pictures", "files": 1}], "more": 0},
    ]
    found = http.post("/v1/search", json={"query": [{"text": "red"}], "filter": asked["filter"]}).json()
    assert [hit["asset"]["name"] for hit in found["hits"]] == ["blue.png"]
    for wrong, near in (({"facets": ["shap"]}, "shape"), ({"filter": {"fields": [{"name": "ISSO", "value": "1"}]}}, "ISO")):
        problem = http.post("/v1/facets", json=wrong)
        assert (problem.status_code, near in problem.json()["remedy"]) == (422, True), problem.text


def test_files_are_marked_and_what_was_there_undoes_it(http):
    ids = {one["name"]: one["id"] for one in http.get("/v1/assets?limit=200").json()["assets"]}

    def mark(**values):
        return http.put(
            "/v1/fields/mark", json={"values": [{"asset": ids[f"{name}.png"], "value": value} for name, value in values.items()]}
        )

    def marked():
        told = http.post("/v1/facets", json={}).json()["facets"]
        return {value["value"]: value["files"] for one in told if one["name"] == "field.mark" for value in one["values"]}

    assert mark(red="relevant", blue="relevant").json() == {
        "values": [{"asset": ids["red.png"], "value": ""}, {"asset": ids["blue.png"], "value": ""}]
    }
    before = mark(red="to check", blue="").json()
    assert marked() == {"to check": 1}
    assert http.put("/v1/fields/mark", json=before).status_code == 200
    assert marked() == {"relevant": 2}
    for name, values, status in (
        ("9", [{"asset": ids["red.png"], "value": "x"}], 422), ("mark", [], 422), ("mark", [{"asset": 2**40, "value": "x"}], 404),
        ("mark", [{"asset": ids["red.png"], "value": "y" * 1_001}], 422),
    ):  # fmt: skip
        assert http.put(f"/v1/fields/{name}", json={"values": values}).status_code == status
    assert marked() == {"relevant": 2}


def test_the_client_counts(client):
    found = client.facets("modality", targets=["image"])
    assert {value.value: value.files for value in found.facets[0].values} == {"image": 8}
