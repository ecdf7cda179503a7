"""Standing questions tell a webhook or a program what comes, and nothing that hangs holds up anything else."""

from __future__ import annotations

import base64
import hmac
import http.server
import json
import socket
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from indexer import run
from search import encoders, readers
from search.api import fetch
from search.errors import InputError, Problem
from search.query import Engine, Term
from search.store import Database, Readers
from search.store.passages import Passages
from search.store.saved import SavedQuestions
from search.types import Filter, Modality
from tests.fakes.partial import Shelf
from tests.fakes.reader import FakeReader
from tests.media_samples import picture
from tests.waiting import until
from ui.cli import app


@pytest.fixture
def listener():
    """A web server of this machine that keeps what it is told, and answers with its ``status``."""
    told: list[dict[str, object]] = []

    class Listener(http.server.BaseHTTPRequestHandler):
        status = 204
        signed = None

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.append(json.loads(body))
            Listener.signed = fetch.signature(body, "key", int(self.headers["webhook-timestamp"] or 0)), dict(self.headers)
            self.send_response(Listener.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Listener) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/alarm", told, Listener
        server.shutdown()
        thread.join()


def test_a_standing_question_tells_what_comes_once(start, indexed, archive, encoder, listener):
    url, told, server = listener
    http = start(indexed)
    look = http.service.standing.look
    saved = http.put("/v1/saved/reds", json={"form": "red in:image", "false_alarms": 0.05, "webhook": url})
    assert (saved.status_code, saved.json()["webhook"], saved.json()["failure"]) == (200, url, None)
    assert look() == []
    picture("red").save(archive / "pictures" / "later.png")
    picture("blue").save(archive / "pictures" / "sky.png")
    run.index(indexed, run.RunRequest([archive]), encoder=encoder)
    server.status = 500
    (alarm,) = look()
    assert "status 500" in alarm.failure
    assert "status 500" in http.get("/v1/saved").json()["questions"][0]["failure"]
    assert look() == []  # it waits before it tells again
    server.status = 204
    http.service.standing._pauses.clear()
    news = http.get("/v1/saved/reds/new").json()
    (alarm,) = look()
    assert news["segments"] == [hit.segment.id for hit in alarm.hits]
    assert http.put("/v1/saved/reds/seen", json={"until": news["until"]}).status_code == 200
    assert http.get("/v1/saved/reds/new").json()["segments"] == []
    assert [hit.segment.path.rsplit("/", 1)[1] for hit in alarm.hits] == ["later.png"]
    assert [hit["asset"]["name"] for hit in told[-1]["hits"]] == ["later.png"]
    assert (told[-1]["name"], told[-1]["form"], "path" in told[-1]["hits"][0]["asset"]) == ("reds", "red in:image", True)
    assert look() == []
    assert http.get("/v1/saved").json()["questions"][0]["failure"] is None
    for webhook in ("http://example.org/", "ftp://127.0.0.1/", "https://user:secret@example.org/", "file:///etc/passwd"):
        asked = {"form": "red", "false_alarms": 0.01, "webhook": webhook}
        assert http.put("/v1/saved/bad", json=asked).json()["type"].endswith("/webhook")
    assert http.put("/v1/saved/bad", json={"form": "red", "webhook": url}).status_code == 422
    assert http.put("/v1/saved/plain", json={"form": "red"}).status_code == 200
    assert http.get("/v1/saved/plain/new").status_code == 422


def test_the_end_of_a_job_is_told_and_signed(start, indexed, listener):
    url, told, server = listener
    http = start(replace(indexed, job_webhook=url, webhook_secret="key"))
    job = http.post("/v1/index-jobs", json={"paths": ["archive"], "collection": "default"}).json()
    expected, headers = until(lambda: server.signed)
    assert (told[0]["type"], told[0]["id"], told[0]["kind"], told[0]["error"]) == ("job.done", job["id"], "index", None)
    assert {name: headers[name] for name in expected} == expected
    assert expected["webhook-signature"].startswith("v1,")


def test_signatures_are_those_of_standard_webhooks():
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    told = fetch.signature(body, secret, 1614265330)
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    expected = hmac.new(key, f"{told['webhook-id']}.1614265330.".encode() + body, "sha256").digest()
    assert told["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"
    assert fetch.signature(body, secret, 1614265399)["webhook-id"] == told["webhook-id"]
    assert fetch.signature(body, "", 1) == {}
    with pytest.raises(InputError, match="not base64"):
        fetch.signature(body, "whsec_!", 1)


def test_what_is_embedded_late_is_told_and_nothing_twice(start, indexed, archive, encoder, monkeypatch):
    """Passages of a reader are segments before they have vectors: until then they are found by their words alone."""
    monkeypatch.setattr(readers, "load", lambda *_: FakeReader())
    look = (http := start(indexed)).service.standing.look
    for name, form in (("meant", "red +red@ocr"), ("worded", "red@ocr"), ("seen", "red@visual")):
        assert http.put(f"/v1/saved/{name}", json={"form": form, "false_alarms": 0.05}).status_code == 200
    assert look() == []
    picture("red").save(archive / "pictures" / "later.png")
    database = Database(indexed.database)
    Readers(database).add("fake", "1", sorted(FakeReader.reads), sorted(FakeReader.channels))
    with monkeypatch.context() as patched:
        patched.setattr(run, "embed", lambda *_, **__: 0)
        run.index(indexed, run.RunRequest([archive]), encoder=encoder)
    told = {one.name: {hit.segment.path.rsplit("/", 1)[1] for hit in one.hits} for one in look()}
    assert "later.png" in told["seen"]
    assert "later.png" in told["worded"]
    assert "meant" not in told
    assert look() == []
    run.index(indexed, run.RunRequest([archive]), encoder=encoder)
    assert {one.name: {hit.segment.path.rsplit("/", 1)[1] for hit in one.hits} for one in look()} == {"meant": told["worded"]}
    assert look() == []
    assert {(one.told, one.told_until) for one in SavedQuestions(database).all()} == {((), Passages(database).last())}


def test_a_webhook_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(fetch, "POST_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(Problem, match="cannot be told"):
            fetch.post(f"http://127.0.0.1:{silent.getsockname()[1]}/", b"{}")
        assert time.monotonic() - began < 30
    with pytest.raises(Problem, match="not on the public internet"):
        fetch.post("https://127.0.0.1/", b"{}")


def test_a_program_is_told(indexed, archive, encoder, monkeypatch, tmp_path):
    monkeypatch.setattr(encoders, "load", Shelf(fake=encoder))
    home, kept = ["--home", str(indexed.home)], tmp_path / "kept.json"
    program = tmp_path / "keep.py"
    program.write_text(f"import sys\nopen({str(kept)!r}, 'wb').write(sys.stdin.buffer.read())\n")
    runner = CliRunner()
    add = ["saved", "add", "reds", "red in:image", "--false-alarms", "0.05", "--command", f"{sys.executable} {program}", *home]
    assert runner.invoke(app, add).exit_code == 0
    picture("red").save(archive / "pictures" / "later.png")
    run.index(indexed, run.RunRequest([archive]), encoder=encoder)
    told = runner.invoke(app, ["saved", "tell", *home])
    assert (told.exit_code, told.stdout.strip()) == (0, "reds: 1 hit")
    assert [hit["asset"]["path"].rsplit("/", 1)[1] for hit in json.loads(kept.read_text())["hits"]] == ["later.png"]
    failing = [*add[:-4], "--command", f"{sys.executable} -c 1/0", *home]
    assert runner.invoke(app, failing).exit_code == 0
    picture("red").save(archive / "pictures" / "third.png", dpi=(90, 90))
    run.index(indexed, run.RunRequest([archive]), encoder=encoder)
    assert runner.invoke(app, ["saved", "tell", *home]).exit_code == 1


def test_of_unrelated_content_no_more_is_told_than_was_chosen(settings, archive):
    """The line of a rate lets about that share of the impostor cohort through, which it is made from, and rises with the rate."""
    from search.encoders.pocket import PocketEncoder

    run.index(settings, run.RunRequest([archive / "pictures"]), encoder=PocketEncoder())
    with Engine(settings) as engine:
        question = engine._question(Term("a fire engine", Modality.TEXT), Filter(), (), (), words=None, clock=_Clock())
        (scan,) = question.scans
        kind = next(iter(scan.targets))
        cosines = scan.unrelated(kind) @ scan.asked["visual"]
        shares = [float((cosines >= scan.alarm(kind, rate)).mean()) for rate in (0.1, 0.01, 0.001)]
        assert shares[0] <= 0.1
        assert shares[1] <= 0.01
        assert shares[2] <= 2 / len(cosines)
        assert np.all(np.diff([scan.alarm(kind, rate) for rate in (0.1, 0.01, 0.001, 1e-6)]) > 0)


class _Clock:
    def lap(self, _: str) -> None:
        pass
