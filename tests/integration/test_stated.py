"""What files state of camera, rights and place, from the file to the answer; and who is told where something was made."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from PIL import Image
from sqlalchemy import update

from indexer import run
from search.query import Engine
from search.query.narrowing import narrowed_by
from search.store import Database
from search.store.tables import asset
from search.types import Filter
from tests.media_samples import picture

SIDECAR = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="57,42.5N" exif:GPSLongitude="11,58.5E">
<dc:rights>CC BY 4.0</dc:rights></rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.fixture
def stated(settings, archive, encoder):
    """Settings of an archive of two photographs: one states camera and place, of the other a file beside it states rights and place."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "EOS R5"
    exif.get_ifd(0x8825).update({1: "N", 2: (59.0, 19.0, 45.0), 3: "E", 4: (18.0, 4.0, 7.0)})
    picture("red").save(archive / "pictures" / "stockholm.jpg", exif=exif)
    picture("blue").save(archive / "pictures" / "harbour.jpg")
    (archive / "pictures" / "harbour.xmp").write_text(SIDECAR)
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    return settings


def facets(settings, encoder) -> dict[str, dict[str, int]]:
    with Engine(settings, encoder=encoder) as engine:
        found = engine.facets(Filter(), ["camera", "rights", "place"])
    return {one.name: {value.value: value.files for value in one.values} for one in found.facets}


STATED = {"camera": {"Canon EOS R5": 1}, "rights": {"CC BY 4.0": 1}, "place": {"57,11,58,12": 1, "59,18,60,19": 1}}


def test_an_archive_of_an_older_version_is_looked_at_once(stated, archive, encoder):
    assert facets(stated, encoder) == STATED
    with Database(stated.database).writing() as connection:
        connection.execute(update(asset).values(camera=None, rights=None, latitude=None, longitude=None))
    assert facets(stated, encoder) == {"camera": {}, "rights": {}, "place": {}}
    before = encoder.encoded
    run.index(stated, run.RunRequest([archive]), encoder=encoder)
    assert facets(stated, encoder) == STATED
    assert encoder.encoded == before
    with Engine(stated, encoder=encoder) as engine:
        for value, name in (
            ("place:59.33,18.07,5", "stockholm.jpg"),
            ("rights:cc by", "harbour.jpg"),
            ("camera:canon", "stockholm.jpg"),
        ):
            found, _ = engine.browse(narrowed_by(Filter(), *value.split(":", 1)))
            (segment,) = engine.store.segments([*found.values()]).values()
            assert segment.path.endswith(name)


def test_the_api_tells_places_only_where_the_setting_shows_positions(start, stated):
    def told(settings) -> tuple[dict[str, int], list[str], dict[str, object]]:
        http = start(settings)
        answer = http.post("/v1/facets", json={"facets": ["place", "camera"]}).json()
        names = {one["name"]: {value["value"]: value["files"] for value in one["values"]} for one in answer["facets"]}
        assert names["camera"] == STATED["camera"]
        found = http.post("/v1/browse", json={"filter": {"places": ["59.33,18.07,5"]}}).json()["assets"]
        formed = http.post("/v1/search", json={"form": "red place:59.33,18.07,5", "group": "asset"}).json()["hits"]
        assert [one["asset"]["name"] for one in formed] == [one["name"] for one in found]
        (photograph,) = http.post("/v1/browse", json={"filter": {"cameras": ["canon"]}}).json()["assets"]
        detail = http.get(f"/v1/assets/{photograph['id']}").json()
        assert (detail["camera"], detail["rights"]) == ("Canon EOS R5", None)
        return names["place"], [one["name"] for one in found], {name: detail[name] for name in ("latitude", "longitude")}

    assert told(stated) == ({}, [], {"latitude": None, "longitude": None})
    shown = told(replace(stated, show_positions="default"))
    assert shown[:2] == (STATED["place"], ["stockholm.jpg"])
    assert json.dumps(shown[2]) == '{"latitude": 59.3291667, "longitude": 18.0686111}'
    http = start(stated)
    for wrong in ("59,18", "north", "91,0,1", "1,2,-3", "nan,0,1"):
        refused = http.post("/v1/browse", json={"filter": {"places": [wrong]}})
        assert refused.status_code == 422, refused.text
