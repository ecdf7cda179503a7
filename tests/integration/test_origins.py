"""What files state of their making, as people meet it: indexed, filtered, shown by the service and in the terminal."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from indexer import run
from tests.commands import Ran, forked
from tests.signed import created, picture, signed

pytest.importorskip("c2pa", reason="the extra provenance is not installed")


@pytest.fixture
def stated(archive):
    """A generated picture, a captured one, and one of which nothing is stated."""
    for name, content in {
        "dream.jpg": signed(picture((3, 200, 3)), created("trainedAlgorithmicMedia"))[0],
        "shot.jpg": signed(picture((200, 3, 3)), created("digitalCapture"))[0],
        "plain.jpg": picture((3, 3, 200)),
    }.items():
        (archive / "pictures" / name).write_bytes(content)
    return archive


def test_origins_are_kept_filtered_and_told(start, indexed, stated, encoder):
    run.index(indexed, run.RunRequest([stated]), encoder=encoder)
    http = start(indexed)

    def names(origins: list[str]) -> list[str]:
        asked = {"query": [{"text": "red"}], "targets": ["image"], "filter": {"origins": origins}, "group": "asset"}
        answer = http.post("/v1/search", json=asked)
        assert answer.status_code == 200, answer.text
        return sorted(hit["asset"]["name"] if isinstance(hit["asset"], dict) else hit["name"] for hit in answer.json()["hits"])

    assert names(["generated"]) == ["dream.jpg"]
    assert names(["generated", "captured"]) == ["dream.jpg", "shot.jpg"]
    assert names(["edited"]) == []
    assert http.post("/v1/search", json={"query": [{"text": "red"}], "filter": {"origins": ["made up"]}}).status_code == 422
    counted = http.post("/v1/facets", json={"facets": ["origin"]}).json()["facets"]
    assert {one["value"]: one["files"] for one in counted[0]["values"]} == {"generated": 1, "captured": 1}
    known = {one["name"]: one["id"] for one in http.get("/v1/assets?limit=200").json()["assets"]}
    detail = http.get(f"/v1/assets/{known['dream.jpg']}").json()["provenance"]
    assert (detail["origin"], detail["credentials"]) == ("generated", "valid")
    assert http.get(f"/v1/assets/{known['plain.jpg']}").json()["provenance"] is None
    report = http.get(f"/v1/assets/{known['dream.jpg']}/provenance").json()
    assert report["claim"]["sources"] == ["trainedAlgorithmicMedia"]
    assert report["provenance"] == detail


def test_the_terminal_tells_what_a_file_states(tmp_path):
    file = tmp_path / "dream.jpg"
    content = signed(picture((3, 200, 3)), created("trainedAlgorithmicMedia"), title="a dream")[0]
    file.write_bytes(content)
    home = tmp_path / "home"

    def told(*more: str, of: Path = file) -> Ran:
        return forked("provenance", of, *more, env=os.environ | {"SENSORIUM_HOME": str(home)})

    assert told().returncode == 0, told().stderr
    assert "Made by a model, as it states." in told().stdout
    assert "  a dream: signed by Newsroom, with sample-maker 1.0 (created, trainedAlgorithmicMedia)" in told().stdout
    found = json.loads(told("--json").stdout)
    assert (found["provenance"]["origin"], found["provenance"]["credentials"]) == ("generated", "valid")
    file.write_bytes(picture())
    assert "Content credentials: none." in told().stdout
    assert told(of=tmp_path / "absent.jpg").returncode != 0
