"""Questions that are saved under a name, and what is new to them, in the terminal and over HTTP."""

from __future__ import annotations

import json
import os

import pytest

from indexer import run
from tests.commands import forked
from tests.media_samples import picture


def test_a_saved_question_is_asked_for_what_is_new_over_http(start, indexed, archive, encoder):
    http = start(indexed)

    def new() -> list[str]:
        (question,) = http.get("/v1/saved").json()["questions"]
        until = http.get("/v1/saved").json()["last_segment"]
        asked = {"form": question["form"], "filter": {"after_segment": question["seen_until"]}, "group": "asset"}
        hits = http.post("/v1/search", json=asked).json()["hits"]
        assert http.put("/v1/saved/red%20things/seen", json={"until": until}).status_code == 200
        return [hit["asset"]["name"] for hit in hits]

    saved = http.put("/v1/saved/red%20things", json={"form": "red in:image"})
    assert saved.status_code == 200, saved.text
    assert saved.json()["asked_at"] is None
    assert new() == []
    picture("red").save(archive / "pictures" / "later.png")
    run.index(indexed, run.RunRequest([archive]), encoder=encoder)
    assert new() == ["later.png"]
    assert new() == []
    assert http.get("/v1/saved").json()["questions"][0]["asked_at"]
    assert http.delete("/v1/saved/red%20things").status_code == 204
    assert http.get("/v1/saved").json()["questions"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/v1/saved/a", {"form": "red in:nowhere"}, 422), ("PUT", "/v1/saved/a", {"form": "image:/etc/passwd"}, 422),
        ("PUT", "/v1/saved/a", {"form": " "}, 422), ("PUT", f"/v1/saved/{'n' * 201}", {"form": "red"}, 422),
        ("PUT", "/v1/saved/absent/seen", {"until": 1}, 422), ("PUT", "/v1/saved/a/seen", {"until": -1}, 422),
        ("DELETE", "/v1/saved/absent", None, 422),
    ],
)  # fmt: skip
def test_what_cannot_be_saved_or_found_is_told(still, method, path, body, status):
    answer = still.request(method, path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert still.get("/v1/saved").json()["questions"] == []


def test_the_terminal_saves_asks_and_forgets(tmp_path):
    folder, home = tmp_path / "archive", tmp_path / "home"
    folder.mkdir()
    picture("red").save(folder / "first.png")

    def sensorium(*argv: object):
        return forked(*argv, env=os.environ | {"SENSORIUM_HOME": str(home)})

    assert sensorium("index", folder).returncode == 0
    assert sensorium("saved", "add", "reds", "a red picture in:image").returncode == 0
    assert sensorium("saved", "run", "reds", "--new").returncode == 3
    assert "first.png" in sensorium("saved", "run", "reds").stdout
    picture("red", (90, 90)).save(folder / "second.png")
    assert sensorium("index", folder).returncode == 0
    told = json.loads(sensorium("saved", "run", "reds", "--new", "--json").stdout)
    assert [hit["asset"]["path"].rpartition("/")[2] for hit in told["hits"]] == ["second.png"]
    assert sensorium("saved", "run", "reds", "--new").returncode == 3
    assert "a red picture in:image" in sensorium("saved", "list").stdout
    wrong = sensorium("saved", "add", "bad", "red in:nowhere")
    assert wrong.returncode == 2
    assert "nowhere" in wrong.stderr
    assert sensorium("saved", "remove", "reds").returncode == 0
    absent = sensorium("saved", "run", "reds")
    assert absent.returncode == 2
    assert "reds" in absent.stderr
