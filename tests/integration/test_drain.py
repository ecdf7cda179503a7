"""The end of a service: requests are finished within the grace, and what is not by then is told so."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn

from search.api.app import create_app
from search.api.client import Client
from search.api.service import Service
from search.errors import ServiceAway
from ui.serve import LAST_SECONDS, _Server


class Serving:
    """A service on a socket, that is told to end as a signal would."""

    def __init__(self, service: Service, grace: float):
        self.service, self.settings = service, service.settings
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        config = uvicorn.Config(create_app(service), log_level="error", timeout_graceful_shutdown=int(grace) + LAST_SECONDS)
        self.server = _Server(config, service.drain, grace)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self._listening]})
        self.thread.start()
        while not self.server.started and self.thread.is_alive():
            self.thread.join(0.01)

    def end(self) -> None:
        """Begin to end, and wait until no new connection is taken."""
        self.server.should_exit = True
        while not self.service.drain.begun:
            time.sleep(0.01)

    def left(self) -> list[str]:
        return [path.name for path in (self.settings.home / "uploads").glob("*")]


@pytest.fixture
def serving(indexed, encoder, runner):
    made = []

    def go(grace: float, **options) -> Serving:
        made.append(Serving(Service(indexed, **({"load": lambda _: encoder, "runner": runner} | options)), grace))
        return made[-1]

    yield go
    for one in made:
        one.server.should_exit = True
        one.thread.join()


@contextmanager
def uploading(served: Serving, content: bytes):
    """An upload of which half has been sent."""
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        head = f"POST /v1/uploads HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nContent-Length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content[: len(content) // 2])
        while not served.left():
            time.sleep(0.01)
        yield connection


def answer_of(connection) -> tuple[int, dict[str, str], dict]:
    told = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = told.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, json.loads(body)


def test_an_upload_is_finished_after_the_service_was_told_to_end(serving, archive):
    served, content = serving(60), (archive / "pictures" / "red.png").read_bytes()
    with uploading(served, content) as connection:
        served.end()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", served.port)).close()
        connection.sendall(content[len(content) // 2 :])
        status, _, upload = answer_of(connection)
    assert (status, upload["modality"]) == (201, "image")
    served.thread.join(60)
    assert not served.thread.is_alive()


def test_an_upload_that_outlasts_the_grace_is_told_to_come_again_and_leaves_nothing(serving):
    served = serving(0.5)
    with uploading(served, b"x" * 100_000) as connection:
        served.end()
        status, headers, problem = answer_of(connection)
    assert (status, problem["type"], headers["retry-after"]) == (503, "/v1/problems/ending", "5")
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-content-type-options"] == "nosniff"
    served.thread.join(60)
    assert served.left() == []


def test_a_request_whose_thread_hangs_is_told_so_at_once_when_the_grace_is_over(serving, monkeypatch):
    served, release, entered = serving(0.3), threading.Event(), threading.Event()
    monkeypatch.setattr(served.service.whole, "counts", lambda: (entered.set(), release.wait(60))[1])
    try:
        with socket.create_connection(("127.0.0.1", served.port)) as connection:
            connection.sendall(f"GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode())
            assert entered.wait(60)
            served.end()
            status, _, problem = answer_of(connection)
        assert (status, problem["type"]) == (503, "/v1/problems/ending")
    finally:
        release.set()


def test_the_events_of_a_job_end_with_the_service_and_say_that_the_job_has_not(serving):
    def until_stopped(job, report, stop):
        stop.wait()

    served = serving(60, runner=until_stopped)
    with Client(f"http://127.0.0.1:{served.port}") as client:
        events = client.job_events(client.index(["archive"]).id)
        assert next(events).state in {"queued", "running"}
        served.end()
        with pytest.raises(ServiceAway, match="goes on"):
            list(events)
    served.thread.join(60)  # long before the grace is over
    assert not served.thread.is_alive()
