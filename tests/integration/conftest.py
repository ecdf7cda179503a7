"""The service over the small archive, in this process: called directly, or over a real socket."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import asdict, replace

import pytest
import uvicorn
from starlette.testclient import TestClient

from indexer import run
from indexer.job_process import job_of
from search.api.app import create_app
from search.api.client import Client
from search.api.service import Service
from search.settings import Settings
from tests.conftest import make_archive
from tests.fakes.encoder import FakeEncoder
from tests.waiting import LONG


@pytest.fixture(scope="session", autouse=True)
def counted_at_once():
    """What changes is counted the next time that somebody asks, however long counting took."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("search.api.seen._PAUSE_PER_COUNT", 0)
        yield


@pytest.fixture
def indexed(settings, archive, encoder):
    """Settings of a home whose archive is indexed, and whose root may be indexed again."""
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    return replace(settings, roots=str(archive))


@pytest.fixture
def runner(settings, archive, encoder):
    """Runs jobs in this process, with the fake encoder."""
    confined = replace(settings, roots=str(archive))

    def go(job, report, stop):
        def told(tally, done, scanning):
            report({"scanning": scanning, "scan": asdict(tally), "work": asdict(done)})

        run.index(confined, job_of(asdict(job), told), encoder=encoder)

    return go


@pytest.fixture
def start(encoder, runner):
    """Start services over settings; each is called through a test client and closed in the end."""
    with contextlib.ExitStack() as stack:

        def go(settings, **options) -> TestClient:
            service = Service(settings, **({"load": lambda _: encoder, "runner": runner, "patience": LONG} | options))
            client = stack.enter_context(
                TestClient(create_app(service), base_url="http://localhost", raise_server_exceptions=False)
            )
            client.service = service
            return client

        yield go


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A service over an archive that no test changes: made once for many questions."""
    folder, encoder = tmp_path_factory.mktemp("still"), FakeEncoder()
    settings = Settings(home=folder / "home", roots=str(make_archive(folder / "archive")))
    run.index(settings, run.RunRequest([folder / "archive"]), encoder=encoder)
    with TestClient(
        create_app(Service(settings, load=lambda _: encoder, runner=lambda *_: None, patience=LONG)), base_url="http://localhost"
    ) as client:
        client.settings = settings
        yield client


@pytest.fixture
def http(start, indexed) -> TestClient:
    return start(indexed)


@contextlib.contextmanager
def listening(service):
    """The service on a real socket of this machine; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        app = uvicorn.Server(uvicorn.Config(create_app(service), log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=app.run, kwargs={"sockets": [server]})
        thread.start()
        try:
            while not app.started and thread.is_alive():
                thread.join(0.01)
            yield server.getsockname()[1]
        finally:
            app.should_exit = True
            thread.join()


@pytest.fixture
def port(indexed, encoder, runner):
    with listening(Service(indexed, load=lambda _: encoder, runner=runner, patience=LONG)) as port:
        yield port


@pytest.fixture
def client(port):
    with Client(f"http://127.0.0.1:{port}") as client:
        yield client
