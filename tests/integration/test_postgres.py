"""The way of a file and of a query with everything in PostgreSQL."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import closing
from dataclasses import replace

import pytest

from indexer import run
from search import readers
from search.api.service import Service
from search.errors import StoreError
from search.models import Models
from search.query import Engine, Term
from search.store import Database, Readers, SqlStore
from search.types import Channel, Filter, Modality
from tests.fakes.reader import FakeReader


@pytest.fixture
def settings(settings, postgres_url):
    return replace(settings, database_url=postgres_url)


def best(settings, encoder, words: str) -> list[str]:
    with Engine(settings, encoder=encoder) as engine:
        return [hit.segment.path.rsplit("/", 1)[1] for hit in engine.search(Term(words, Modality.TEXT), k=3).hits]


def test_an_archive_in_postgresql_is_indexed_found_and_pruned(settings, archive, encoder):
    job = run.RunRequest([archive], prune=True)
    assert run.index(settings, job, encoder=encoder).progress.done == 13
    assert run.index(settings, job, encoder=encoder).progress.done == 0
    assert best(settings, encoder, "red")[0] in {"red.png", "flowers.txt"}
    shutil.rmtree(archive / "pictures")
    assert run.index(settings, job, encoder=encoder).removed == 8
    assert "red.png" not in best(settings, encoder, "red")
    database = Database(settings.database)
    assert SqlStore(database).counts()["units"] == {"done": 5}
    database.close()


def test_readers_read_into_postgresql_and_their_words_are_found(settings, archive, encoder, monkeypatch):
    real = readers.load
    monkeypatch.setattr(readers, "load", lambda name, *rest: FakeReader() if name == "fake" else real(name, *rest))
    (archive / "tones" / "low.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nA foghorn in the harbour\n")
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    database = Database(settings.database)
    store = Readers(database)
    assert {one.why for one in store.unread()} == {"none"}
    for reader in (FakeReader(), real("written", Models.of(settings), "cpu")):
        store.add(reader.name, reader.revision, sorted(reader.reads), sorted(reader.channels))
    assert run.index(settings, run.RunRequest([archive]), encoder=encoder).progress.passages > 0
    assert store.unread() == store.unread_files() == []
    with Engine(settings, encoder=encoder) as engine:
        heard = engine.search(Term('"foghorn"', Modality.TEXT), Filter(channels=(Channel.SPEECH,)), k=1).hits
        assert [hit.segment.path.rsplit("/", 1)[1] for hit in heard] == ["low.wav"]
        (archive / "tones" / "low.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nA siren in the fog\n")
        run.index(settings, run.RunRequest([archive]), encoder=encoder)
        assert not engine.search(Term('"foghorn"', Modality.TEXT), Filter(modalities=(Modality.AUDIO,)), k=1).hits
        assert engine.search(Term('"siren in the fog"', Modality.TEXT), Filter(modalities=(Modality.AUDIO,)), k=1).hits
    store.remove("fake")
    assert {one.channel for one in store.unread()} == {Channel.SPEECH, Channel.OCR}
    database.close()


def test_the_service_answers_from_postgresql(start, settings, archive, encoder):
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    http = start(replace(settings, roots=str(archive)))
    found = http.post("/v1/search", json={"query": [{"text": "blue"}], "targets": ["image"], "k": 1})
    assert found.json()["hits"][0]["asset"]["name"] == "blue.png"
    for address in ("/v1/assets", "/v1/collections", "/v1/failures", "/v1/index-jobs", "/v1/status"):
        assert http.get(address).status_code == 200, address


def connections(settings) -> int:
    """How many others are connected to the database."""
    with closing(Database(settings.database)) as database, database.reading() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()"
        return connection.exec_driver_sql(query).scalar_one()


def test_a_service_that_is_closed_while_it_loads_leaves_no_connection(settings, archive, encoder):
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    loading, closed = threading.Event(), threading.Event()

    def load(_):
        loading.set()
        closed.wait(60)
        return encoder

    service = Service(settings, load=load)
    service.start()
    assert loading.wait(60)
    service.close()
    closed.set()
    assert service._loaded.wait(60)
    assert service.generation() is None  # no engine was opened behind our back
    until = time.monotonic() + 60
    while connections(settings) and time.monotonic() < until:
        time.sleep(0.05)  # the server notices the end of a connection a moment later
    assert connections(settings) == 0


def test_a_connection_that_is_in_use_as_its_database_is_closed_ends_when_it_comes_back(settings):
    database = Database(settings.database)
    database.upgrade()
    with database.reading() as connection:
        database.close()
        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1
        driver = connection.connection.driver_connection
    assert driver.closed


def test_an_engine_that_cannot_open_leaves_no_connection(settings, encoder):
    with closing(Database(settings.database)) as database:
        database.upgrade()
    with pytest.raises(StoreError):
        Engine(settings, encoder=encoder)
    until = time.monotonic() + 60
    while connections(settings) and time.monotonic() < until:
        time.sleep(0.05)
    assert connections(settings) == 0
