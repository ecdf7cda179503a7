"""The database goes away and comes back: what runs goes on by itself, what is asked meanwhile is told so, and one line tells of it."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from indexer import run
from indexer import watch as watching
from indexer.job_process import job_of
from search.api import index_jobs
from search.errors import DatabaseAway
from search.settings import Settings
from search.store import Database, SqlStore
from tests.fakes.encoder import FakeEncoder
from tests.integration.test_api_search import assert_problem, wait_for
from tests.integration.test_watch import folder, picture, watched
from tests.integration.test_workers import Slow, assert_whole, pictures
from tests.postgres import Server, programs, server
from tests.processes import PROCESSES
from tests.waiting import LONG, until

__all__ = ["folder"]  # a fixture


@pytest.fixture(scope="module")
def mortal():
    """A server that the tests here end and start again."""
    if programs() is None:
        pytest.skip("no PostgreSQL server is installed: apt-get install postgresql")
    with server() as running:
        yield running


@pytest.fixture
def settings(settings, mortal: Server) -> Settings:
    return replace(settings, database_url=mortal.database())


@pytest.fixture(autouse=True)
def told(caplog):
    """The lines of the log: each is one line, and tells of nothing but the database."""
    caplog.set_level(logging.WARNING)
    yield caplog
    for record in caplog.records:
        assert record.exc_info is None, record
        assert "\n" not in record.getMessage()
        assert "database" in record.getMessage().lower(), record


class Watcher:
    """A report of a run that restarts the server when so many files are done."""

    def __init__(self, mortal: Server, marks: dict[int, str], told=None):
        """With ``told``, the server stays away until the log of this process tells of it: a batch may take longer than a restart."""
        self.mortal, self.marks, self.told, self.threads = mortal, dict(marks), told, []

    def __call__(self, tally, progress, scanning):
        for done, mode in list(self.marks.items()):
            if progress.done >= done and not any(thread.is_alive() for thread in self.threads):
                del self.marks[done]
                gone = threading.Event()
                thread = threading.Thread(target=self.restart, args=(mode, gone))
                thread.start()  # the run goes on, and meets it wherever it is
                self.threads.append(thread)
                if self.told is not None:
                    assert gone.wait(LONG)  # or the run might end before the server does

    def restart(self, mode: str, gone: threading.Event) -> None:
        if self.told is None:
            self.mortal.restart(mode, 1.0)
            return
        before = told_of(self.told, "cannot be reached")
        self.mortal.stop(mode)
        gone.set()
        try:
            until(lambda: told_of(self.told, "cannot be reached") > before)
        finally:
            self.mortal.start()


def told_of(told, what: str) -> int:
    """How many lines of the log say something."""
    return sum(what in record.getMessage() for record in told.records)


def other_worker(settings: Settings, folder: Path, began, code) -> None:
    found = run.index(settings, run.RunRequest([folder], report=lambda *_: began.set()), encoder=Slow())
    code.value = found.progress.done


def test_two_workers_go_on_after_restarts_and_nothing_is_lost_or_done_twice(settings, mortal, tmp_path, told):
    pictures(tmp_path / "archive", 40, 1)
    run.index(settings, run.RunRequest([]), encoder=Slow())  # the tables are there
    began, done = PROCESSES.Event(), PROCESSES.Value("i", -1)
    other = PROCESSES.Process(target=other_worker, args=(settings, tmp_path / "archive", began, done))
    report = Watcher(mortal, {2: "fast", 6: "immediate"}, told)
    other.start()
    assert began.wait(LONG)  # a worker that has never reached the database does not wait for it
    try:
        found = run.index(settings, run.RunRequest([tmp_path / "archive"], report=report), encoder=Slow())
        other.join()
    finally:
        for thread in report.threads:
            thread.join()
    assert (report.marks, other.exitcode) == ({}, 0)
    assert found.scan.files == 40
    assert found.scan.new + found.scan.unchanged == 40
    assert_whole(settings, 40)
    with closing(Database(settings.database)) as database, database.reading() as connection:
        assert connection.exec_driver_sql("SELECT max(attempts) FROM unit").scalar() == 1  # none was counted twice
    assert told_of(told, "cannot be reached") == 2
    assert told_of(told, "database is back") == 2


def test_what_a_run_took_in_before_an_outage_is_counted_once(settings, mortal, tmp_path, monkeypatch):
    monkeypatch.setattr("indexer.scan.FILES_PER_COMMIT", 5)
    pictures(tmp_path / "archive", 40, 1)
    found = run.index(settings, run.RunRequest([tmp_path / "archive"], report=Watcher(mortal, {4: "fast"})), encoder=Slow())
    assert (found.scan.files, found.scan.new, found.scan.unchanged, found.progress.done) == (40, 40, 0, 40)
    again = run.index(settings, run.RunRequest([tmp_path / "archive"]), encoder=Slow())
    assert (again.scan.files, again.scan.new, again.scan.unchanged, again.progress.done) == (40, 0, 40, 0)


def test_a_run_gives_up_when_the_database_stays_away(settings, mortal, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "OUTAGE_SECONDS", 1.0)
    pictures(tmp_path / "archive", 20, 1)
    stopped = []

    def report(tally, progress, scanning):
        if not stopped:
            stopped.append(mortal.stop("fast"))

    try:
        with pytest.raises(DatabaseAway, match="cannot be reached"):
            run.index(settings, run.RunRequest([tmp_path / "archive"], report=report), encoder=Slow())
    finally:
        mortal.start()
    assert run.index(settings, run.RunRequest([tmp_path / "archive"]), encoder=FakeEncoder()).scan.files == 20
    assert_whole(settings, 20)


def test_watching_goes_on_after_a_restart(settings, mortal, folder):
    with watched(settings, folder) as found:
        mortal.stop("immediate")
        picture(folder / "second.png", 2)  # comes while the database is away
        time.sleep(1)
        mortal.start()
        found.wait_for("first.png", "second.png")  # in which round is open: one that the outage cut off may have embedded it


def test_watching_can_be_ended_while_the_database_is_away(settings, mortal, folder, told):
    stop, began = threading.Event(), threading.Event()
    events = watching.WatchCallbacks(lambda _: began.set())
    thread = threading.Thread(
        target=watching.watch,
        args=(settings, run.RunRequest([folder]), events),
        kwargs={"settle": 0.1, "stop": stop, "encoder": FakeEncoder()},
    )
    thread.start()
    assert began.wait(60)
    mortal.stop("fast")
    try:
        picture(folder / "second.png", 2)
        while not told.records:
            time.sleep(0.05)
        stop.set()
        thread.join(60)
        assert not thread.is_alive()
    finally:
        mortal.start()


def test_the_service_and_its_job_go_on_after_a_restart(start, settings, mortal, archive, tmp_path):
    encoder = FakeEncoder()
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    pictures(tmp_path / "more", 20, 1)
    settings = replace(settings, roots=f"{archive}:{tmp_path / 'more'}")
    watcher = Watcher(mortal, {3: "fast"})

    def runner(job, report, stop):
        run.index(settings, job_of({"paths": job.paths, "collection": job.collection, "kind": job.kind, "retry": False, "prune": False}, watcher), encoder=Slow())  # fmt: skip

    http = start(settings, runner=runner)
    with ThreadsOfSearches(http) as searches:
        job = http.post("/v1/index-jobs", json={"paths": ["more"]}).json()
        ended = wait_in_spite(http, job["id"])
    for thread in watcher.threads:
        thread.join()
    assert (ended["state"], watcher.marks) == ("done", {})
    assert set(searches.answers) <= {200, 503}
    assert [http.post("/v1/search", json={"query": [{"text": "red"}]}).status_code for _ in range(20)] == [200] * 20
    with closing(Database(settings.database)) as database:
        assert SqlStore(database).counts()["units"] == {"done": 33}


def wait_in_spite(http, job: int) -> dict:
    """How a job ended, whatever is answered meanwhile."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        told = http.get(f"/v1/index-jobs/{job}").json()
        if told.get("state") not in (None, "queued", "running"):
            return told
        time.sleep(0.1)
    raise AssertionError(told)


class ThreadsOfSearches:
    """Searches that go on all the time, so that connections are in use when they break."""

    def __init__(self, http):
        self._http, self._over, self.answers = http, threading.Event(), []

    def __enter__(self):
        self._threads = [threading.Thread(target=self._go) for _ in range(3)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _go(self):
        while not self._over.is_set():
            answer = self._http.post("/v1/search", json={"query": [{"text": "red"}]})
            self.answers.append(answer.status_code)
            if answer.status_code == 503:
                assert_problem(answer, 503, "database-away")
            self._over.wait(0.02)


def test_while_the_database_is_away_the_probes_say_so_and_every_answer_is_a_problem(start, settings, mortal, archive, told):
    run.index(settings, run.RunRequest([archive]), encoder=FakeEncoder())
    http = start(replace(settings, roots=str(archive)))
    assert http.post("/v1/search", json={"query": [{"text": "red"}]}).status_code == 200
    assert "sensorium_database_up 1.0" in http.get("/metrics").text
    mortal.stop("fast")
    try:
        assert http.get("/livez").status_code == 200
        ready = http.get("/readyz")
        assert (ready.status_code, ready.json()) == (503, {"ready": False, "engine": "failed"})
        metrics = http.get("/metrics")
        assert metrics.status_code == 200
        assert "sensorium_database_up 0.0" in metrics.text
        assert 'sensorium_segments{kind="image/visual"} 8.0' in metrics.text  # as last counted
        for address in (
            "/v1/status",
            "/v1/assets",
            "/v1/collections",
            "/v1/assets/1/media",
            "/v1/assets/1/thumbnail",
            "/v1/index-jobs",
        ):
            answer = http.get(address)
            assert_problem(answer, 503, "database-away")
            assert answer.headers["retry-after"] == "5"
        assert_problem(http.post("/v1/search", json={"query": [{"text": "red"}]}), 503, "database-away")
        assert_problem(http.post("/v1/index-jobs", json={"paths": ["archive"]}), 503, "database-away")
    finally:
        mortal.start()
    assert http.get("/readyz").json() == {"ready": True, "engine": "ready"}
    until(lambda: http.post("/v1/search", json={"query": [{"text": "red"}]}).status_code == 200 and len(told.records) > 1)
    gone, back = (record.getMessage() for record in told.records)
    assert "cannot be reached" in gone
    assert "database is back" in back


def test_a_job_that_gave_up_waiting_is_taken_up_again(start, settings, archive, runner, monkeypatch):
    monkeypatch.setattr(index_jobs, "QUEUE_POLL_SECONDS", 0.1)
    tries = []

    def once_in_vain(job, report, stop):
        tries.append(job.id)
        if len(tries) == 1:
            raise DatabaseAway("The database cannot be reached.")
        runner(job, report, stop)

    http = start(replace(settings, roots=str(archive)), runner=once_in_vain)
    job = http.post("/v1/index-jobs", json={"paths": ["archive"]}).json()
    assert wait_for(http, job["id"])["state"] == "done"
    assert tries == [job["id"]] * 2


def test_a_url_that_says_how_long_to_wait_is_believed(settings):
    for named in ("", "&connect_timeout=3"):
        with closing(Database(settings.database + named)) as database, database.reading() as connection:
            told = connection.connection.driver_connection.info.get_parameters()
            assert told["connect_timeout"] == ("3" if named else "10")


def test_a_service_that_starts_while_the_database_is_away_says_so_and_becomes_ready(start, settings, mortal, archive, told):
    encoder = FakeEncoder()
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    mortal.stop("fast")
    try:
        http = start(settings, load=lambda _: encoder)
        assert_problem(http.get("/v1/status"), 503, "database-away")
        assert_problem(http.post("/v1/search", json={"query": [{"text": "red"}]}), 503, "database-away")
        assert http.get("/v1/assets").headers["retry-after"]
        ready = http.get("/readyz")
        assert (ready.status_code, ready.json()["engine"]) == (503, "failed")
        assert http.get("/livez").status_code == 200
        assert http.get("/metrics").status_code == 200
    finally:
        mortal.start()
    until(lambda: http.get("/readyz").status_code == 200, "the service is ready")
    assert http.post("/v1/search", json={"query": [{"text": "red"}]}).json()["hits"]
    job = http.post("/v1/index-jobs", json={"paths": [str(archive)]})
    assert job.status_code in (202, 403), job.text  # jobs are taken


def test_a_service_that_starts_while_the_database_is_away_can_be_ended(start, settings, mortal):
    mortal.stop("fast")
    try:
        http = start(settings)
        http.service.close()
    finally:
        mortal.start()


def test_a_service_that_finds_a_newer_database_once_it_is_there_says_so(start, settings, mortal, archive, told):
    run.index(settings, run.RunRequest([archive]), encoder=FakeEncoder())
    with closing(Database(settings.database)) as database, database.writing(quiet=True) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    mortal.stop("fast")
    try:
        http = start(settings)
    finally:
        mortal.start()
    until(lambda: any("newer" in record.getMessage() or "9999" in record.getMessage() for record in told.records), "it is told")
    assert_problem(http.post("/v1/search", json={"query": [{"text": "red"}]}), 503, "newer-database")


def test_a_run_that_starts_while_the_database_is_away_waits_and_says_so(settings, mortal, tmp_path, told):
    pictures(tmp_path / "archive", 3, 1)
    found: list[run.Summary] = []
    mortal.stop("fast")
    thread = threading.Thread(
        target=lambda: found.append(run.index(settings, run.RunRequest([tmp_path / "archive"]), encoder=FakeEncoder()))
    )
    try:
        thread.start()
        until(lambda: any("cannot be reached" in record.getMessage() for record in told.records), "it is told")
        assert not found
    finally:
        mortal.start()
    thread.join()
    assert found[0].progress.done == 3
    assert_whole(settings, 3)


def test_a_run_gives_up_when_the_database_does_not_come(settings, mortal, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "OUTAGE_SECONDS", 1.0)
    mortal.stop("fast")
    try:
        for path in (tmp_path, tmp_path / "gone"):
            with pytest.raises(DatabaseAway, match="cannot be reached"):
                run.index(settings, run.RunRequest([path]), encoder=FakeEncoder())
    finally:
        mortal.start()
