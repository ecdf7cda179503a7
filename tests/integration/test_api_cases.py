"""Cases and exports over HTTP: collected in an order, shared, changed by two people, and handed on with hashes."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from xml.etree import ElementTree

import pytest

from search.store import Database
from search.store.cases import Cases, Exhibit


def ids(client) -> dict[str, dict]:
    return {one["name"]: one for one in client.get("/v1/assets", params={"limit": 50}).json()["assets"]}


def body(case: dict, **changes) -> dict:
    """What makes a case what it was, with changes."""
    kept = ("sha256", "start_ms", "end_ms", "note", "question")
    exhibits = [{name: one[name] for name in kept} for one in case["exhibits"]]
    return {"version": case["version"], "name": case["name"], "note": case["note"], "exhibits": exhibits} | changes


def unpacked(answer) -> dict[str, bytes]:
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_case_is_collected_ordered_noted_and_taken_back(start, indexed):
    client = start(indexed)
    assets = ids(client)
    case = client.post("/v1/cases", json={"name": "Harbour"}).json()
    assert client.post("/v1/cases", json={"name": "Harbour"}).status_code == 422
    moments = [
        {"asset": assets["red.png"]["id"], "question": "?q=red"},
        {"asset": assets["low.wav"]["id"], "start_ms": 500, "end_ms": 1500},
    ]
    case = client.post(f"/v1/cases/{case['id']}/exhibits", json={"exhibits": moments}).json()
    again = client.post(f"/v1/cases/{case['id']}/exhibits", json={"exhibits": moments[:1]}).json()
    assert [(one["name"], one["start_ms"], one["question"]) for one in again["exhibits"]] == [
        ("red.png", None, "?q=red"),
        ("low.wav", 500, ""),
    ]
    assert again["exhibits"][1]["links"]["moment"].endswith("#t=0.5,1.5")

    turned = body(again)
    turned["exhibits"] = [turned["exhibits"][1] | {"note": "hum"}, turned["exhibits"][0]]
    after = client.put(f"/v1/cases/{case['id']}", json=turned).json()
    assert [(one["name"], one["note"]) for one in after["exhibits"]] == [("low.wav", "hum"), ("red.png", "")]
    assert client.put(f"/v1/cases/{case['id']}", json=turned).json()["type"].endswith("/changed-meanwhile")
    undone = client.put(f"/v1/cases/{case['id']}", json=body(again, version=after["version"])).json()
    assert [one["added_at"] for one in undone["exhibits"]] == [one["added_at"] for one in again["exhibits"]]
    assert [(one["name"], one["count"]) for one in client.get("/v1/cases").json()["cases"]] == [("Harbour", 2)]
    assert client.delete(f"/v1/cases/{case['id']}").status_code == 204
    assert client.get(f"/v1/cases/{case['id']}").json()["type"].endswith("/no-case")


def test_an_exhibit_whose_medium_is_gone_stays_and_can_still_be_ordered(start, indexed):
    client = start(indexed)
    id_ = client.post("/v1/cases", json={"name": "Gone"}).json()["id"]
    Cases(Database(indexed.database)).add(id_, [Exhibit("ab" * 32, "old.mp4", 0, 40)])
    client.post(f"/v1/cases/{id_}/exhibits", json={"exhibits": [{"asset": ids(client)["red.png"]["id"]}]})
    case = client.get(f"/v1/cases/{id_}").json()
    assert [(one["name"], one["asset"] is None, one["links"] is None) for one in case["exhibits"]] == [
        ("old.mp4", True, True),
        ("red.png", False, False),
    ]
    turned = body(case)
    turned["exhibits"].reverse()
    assert [one["name"] for one in client.put(f"/v1/cases/{id_}", json=turned).json()["exhibits"]] == ["red.png", "old.mp4"]
    strange = {"exhibits": [{"sha256": "cd" * 32}]}
    assert client.post(f"/v1/cases/{id_}/exhibits", json=strange).json()["type"].endswith("/no-asset")


@pytest.mark.parametrize(
    "sent",
    [{"exhibits": [{}]}, {"exhibits": [{"asset": 1, "start_ms": 5}]}, {"exhibits": [{"asset": 1, "start_ms": 5, "end_ms": 1}]}],
)
def test_an_exhibit_that_cannot_be_is_told(still, sent):
    assert still.post("/v1/cases/1/exhibits", json=sent).status_code == 422


def test_what_was_found_is_exported_with_the_hash_of_every_file_and_medium(still):
    found = {"query": [{"text": "low tone"}], "targets": ["audio"], "k": 2}
    files = unpacked(still.post("/v1/exports", json={"format": "otio", "title": "Tones", "search": found}))
    manifest = json.loads(files["manifest.json"])
    assert [(one["name"], one["sha256"]) for one in manifest["files"]] == [
        ("Tones.otio", hashlib.sha256(files["Tones.otio"]).hexdigest())
    ]
    assert {one["sha256"] for one in manifest["media"]} <= {
        still.get(f"/v1/assets/{one['id']}").json()["sha256"] for one in ids(still).values()
    }
    (track,) = json.loads(files["Tones.otio"])["tracks"]["children"]
    assert [clip["source_range"]["duration"]["value"] for clip in track["children"]] == [2000, 2000]


def test_clips_are_cut_sheets_and_manifests_are_made_and_what_cannot_be_is_left_out_and_told(start, indexed):
    pdfium = pytest.importorskip("pypdfium2")
    client = start(indexed)
    assets = ids(client)
    moments = [{"asset": assets["low.wav"]["id"], "start_ms": 500, "end_ms": 1500}, {"asset": 2**40}]
    files = unpacked(client.post("/v1/exports", json={"format": "clips", "title": "All", "moments": moments}))
    assert files["001-low.wav.flac"].startswith(b"fLaC")
    assert [one["name"] for one in json.loads(files["manifest.json"])["left_out"]] == [f"asset {2**40}"]
    both = [{"asset": assets[name]["id"]} for name in ("red.png", "low.wav")]
    sheet = unpacked(client.post("/v1/exports", json={"format": "sheet", "title": "All", "moments": both}))["All.pdf"]
    shown = pdfium.PdfDocument(sheet)[0].render(scale=2).to_pil().convert("RGB")
    tile = shown.crop((80, 170, 330, 320)).resize((1, 1)).getpixel((0, 0))
    assert tile[0] > tile[1] + 60  # the red picture stands first
    manifest = json.loads(
        unpacked(client.post("/v1/exports", json={"format": "iiif", "title": "All", "moments": both}))["All.iiif.json"]
    )
    assert [sorted(one.keys() & {"width", "height", "duration"}) for one in manifest["items"]] == [
        ["height", "width"],
        ["duration"],
    ]
    project = unpacked(client.post("/v1/exports", json={"format": "fcpxml", "title": "All", "moments": both}))["All.fcpxml"]
    (clip,) = ElementTree.fromstring(project).iter("asset-clip")
    assert (clip.get("name"), clip.get("start"), clip.get("duration")) == ("low.wav", "0s", "2s")
    picture = [{"asset": assets["red.png"]["id"]}]
    assert (
        "sound or video"
        in client.post("/v1/exports", json={"format": "edl", "title": "All", "moments": picture}).json()["detail"]
    )
    assert client.post("/v1/exports", json={"format": "csv"}).status_code == 422
