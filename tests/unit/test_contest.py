"""Contests: a client of DRES 2, against a small fake of the part of its API that it calls."""

from __future__ import annotations

import json

import httpx2
import pytest
from typer.testing import CliRunner

from indexer.run import RunRequest, index
from search.api import contest
from search.api.contest import Contest, Submitted
from search.errors import InputError, SensoriumError
from search.query import Engine
from search.types import Filter, Modality
from ui.cli import app

ADDRESS = "https://vbs.example.org"


class FakeDres:
    """Answers as DRES 2.0 does: sessions in the query, problems as ``{"status": false, "description": …}``."""

    def __init__(self) -> None:
        self.submissions: list[tuple[str, dict]] = []
        self.sessions: set[str] = set()
        self.evaluations = [
            {"id": "e1", "name": "Trial", "status": "TERMINATED"},
            {"id": "e2", "name": "VBS 2026", "status": "ACTIVE"},
        ]

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path, session = request.url.path.removeprefix("/api/v2"), request.url.params.get("session")
        if (request.method, path) == ("POST", "/login"):
            if json.loads(request.content) != {"username": "team", "password": "secret"}:
                return httpx2.Response(401, json={"status": False, "description": "Invalid credentials."})
            self.sessions.add("s1")
            return httpx2.Response(200, json={"id": "u", "username": "team", "role": "PARTICIPANT", "sessionId": "s1"})
        if session not in self.sessions:
            return httpx2.Response(401, json={"status": False, "description": "Unauthorized request!"})
        if path == "/logout":
            self.sessions.discard(session)
            return httpx2.Response(200, json={"status": True, "description": "Logged out"})
        if path == "/client/evaluation/list":
            return httpx2.Response(200, json=self.evaluations)
        if request.method == "POST" and path.startswith("/submit/"):
            body = json.loads(request.content)
            self.submissions.append((path.rpartition("/")[2], body))
            if body["answerSets"][0].get("taskName") == "over":
                return httpx2.Response(412, json={"status": False, "description": "Task is not running."})
            right = body["answerSets"][0]["answers"][0].get("mediaItemName") == "garden"
            return httpx2.Response(
                200, json={"status": True, "submission": "CORRECT" if right else "WRONG", "description": "Noted."}
            )
        return httpx2.Response(404, json={"status": False, "description": "Not found."})


@pytest.fixture
def dres(monkeypatch):
    fake = FakeDres()
    real, network = httpx2.Client, httpx2.MockTransport(fake)
    monkeypatch.setattr(contest.httpx2, "Client", lambda transport, **given: real(transport=transport or network, **given))
    return fake


def test_a_moment_is_submitted_to_the_contest_that_runs(dres):
    with Contest(f"{ADDRESS}/", "team", "secret") as session:
        assert [one.name for one in session.evaluations()] == ["Trial", "VBS 2026"]
        running = session.running()
        assert running.id == "e2"
        assert session.submit(running.id, "garden", start_ms=1000, end_ms=2500, collection="v3c") == Submitted(
            "CORRECT", "Noted."
        )
        assert session.submit("e2", text="a red car", task="kis 3").verdict == "WRONG"
        with pytest.raises(SensoriumError, match=r"412. Task is not running"):
            session.submit("e2", "garden", task="over")
        with pytest.raises(InputError, match="no contest Trail"):
            session.running("Trail")
        dres.evaluations[0]["status"] = "ACTIVE"
        with pytest.raises(InputError, match="2 contests run"):
            session.running()
    assert dres.sessions == set()
    media = {"mediaItemName": "garden", "mediaItemCollectionName": "v3c", "start": 1000, "end": 2500}
    assert dres.submissions[0] == ("e2", {"answerSets": [{"answers": [media]}]})
    assert dres.submissions[1] == ("e2", {"answerSets": [{"taskName": "kis 3", "answers": [{"text": "a red car"}]}]})


def test_who_is_not_let_in_and_what_is_no_such_server_is_said(dres):
    with pytest.raises(InputError, match="Invalid credentials"):
        Contest(ADDRESS, "team", "wrong")
    with pytest.raises(InputError, match="no address"):
        Contest("vbs.example.org", "team", "secret")
    page = httpx2.MockTransport(lambda _: httpx2.Response(200, text="<html>"))
    with pytest.raises(SensoriumError, match="answered 200"):
        Contest(ADDRESS, "team", "secret", transport=page)


def test_the_command_submits_a_segment_by_the_name_of_its_file(dres, settings, archive, encoder, monkeypatch):
    index(settings, RunRequest([archive]), encoder=encoder)
    with Engine(settings, encoder=encoder) as engine:
        sounds, _ = engine.browse(Filter(modalities=(Modality.AUDIO,)))
        segment = engine.store.segments([next(iter(sounds.values()))])[next(iter(sounds.values()))]
    monkeypatch.setenv("SENSORIUM_DRES_PASSWORD", "secret")
    told = CliRunner().invoke(
        app, ["dres", ADDRESS, "--user", "team", "--segment", str(segment.id), "--home", str(settings.home)]
    )
    assert (told.exit_code, told.stdout) == (0, "Wrong. Noted.\n"), told.output
    (answer,) = dres.submissions[-1][1]["answerSets"][0]["answers"]
    assert (answer["mediaItemName"], answer["start"], answer["end"]) == (
        segment.path.rpartition("/")[2].rpartition(".")[0],
        segment.span.start,
        segment.span.end,
    )
    assert json.loads(CliRunner().invoke(app, ["dres", ADDRESS, "--user", "team", "--json"]).stdout)[1]["status"] == "ACTIVE"
