"""Uploads, index jobs and the door: what is cut, too big, hostile, outside the roots, twice, or from elsewhere."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx2
import pytest

from indexer import run
from indexer.scan import FolderScan
from search import readers
from search.api import index_jobs, media_files, uploads
from search.api.client import AsyncClient, Client
from search.api.service import Service
from search.errors import DiskFull, InputError, Refused, SensoriumError, ServiceAway, StoreError
from search.locks import Worker
from search.media.sandbox.process import Process
from search.models import Models
from search.store import Database, JobBook, Readers, SqlStore
from tests.integration.conftest import listening
from tests.integration.test_api_search import assert_problem, wait_for
from tests.waiting import LONG, until


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(settings, request):
    return settings if request.param == "sqlite" else replace(settings, database_url=request.getfixturevalue("postgres_url"))


def left(settings):
    return list((settings.home / "uploads").glob("*"))


def test_an_upload_is_known_by_what_it_is_and_can_be_forgotten(http, archive, settings):
    content = (archive / "pictures" / "red.png").read_bytes()
    answer = http.post("/v1/uploads?name=song.mp3", content=content, headers={"Content-Type": "audio/mpeg"})
    upload = answer.json()
    assert (answer.status_code, upload["modality"], upload["bytes"]) == (201, "image", len(content))
    assert http.get(f"/v1/uploads/{upload['id']}").json()["expires_at"] >= upload["expires_at"]
    assert http.delete(f"/v1/uploads/{upload['id']}").status_code == 204
    assert left(settings) == []
    assert_problem(http.get(f"/v1/uploads/{upload['id']}"), 404, "no-upload")


def test_links_that_leave_the_roots_are_neither_indexed_nor_served(start, indexed, archive, tmp_path, encoder):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "red.txt").write_text("A red secret.")
    (archive / "texts" / "way.txt").symlink_to(secret / "red.txt")
    (archive / "texts" / "folder").symlink_to(secret)
    (archive / "texts" / "inside.png").symlink_to(archive / "pictures" / "red.png")
    http = start(indexed)
    job = wait_for(http, post(http, "archive/texts").json()["id"])
    assert job["state"] == "done"
    assert http.get("/v1/assets", params={"name": "way"}).json()["assets"] == []
    assert http.get("/v1/assets", params={"name": "inside"}).json()["assets"] != []
    failures = http.get("/v1/failures").json()["failures"]
    assert {one["name"] for one in failures if "out of the roots" in one["detail"]} == {"way.txt", "folder"}
    run.index(indexed, run.RunRequest([archive]), encoder=encoder)  # the command line may follow links
    (asset,) = http.get("/v1/assets", params={"name": "way"}).json()["assets"]
    assert_problem(http.get(asset["links"]["media"]), 403, "outside-roots")


def test_a_link_that_is_exchanged_after_the_check_serves_nothing_else(start, indexed, archive, tmp_path, monkeypatch):
    path, secret = archive / "texts" / "sea.md", tmp_path / "secret.md"
    secret.write_bytes(b"S" * path.stat().st_size)
    http = start(indexed)
    (asset,) = http.get("/v1/assets", params={"name": "sea"}).json()["assets"]
    before = http.get(asset["links"]["media"]).content
    real = media_files.media_type

    def exchange(one):
        path.unlink()
        path.symlink_to(secret)
        return real(one)

    monkeypatch.setattr(media_files, "media_type", exchange)
    assert http.get(asset["links"]["media"]).content == before


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n" + b"\0" * 99, b"\0\1\2\3" * 99, b"#EXTM3U\n/etc/passwd\n", b"%!PS\n", b"<svg onload='x'/>", b"GIF89a"]
)  # fmt: skip
def test_a_hostile_upload_is_refused_and_leaves_nothing(still, content):
    assert_problem(still.post("/v1/uploads", content=content), 422, "media")
    assert left(still.settings) == []
    assert still.get("/livez").status_code == 200


def test_an_upload_that_is_too_large_is_refused_as_it_is_announced_and_as_it_comes(start, indexed):
    http = start(replace(indexed, upload_bytes=10_000))
    assert_problem(http.post("/v1/uploads", content=b"x" * 10_001), 413, "too-large")
    assert_problem(http.post("/v1/uploads", content=iter([b"x" * 6_000] * 2)), 413, "too-large")
    assert left(indexed) == []


def test_a_full_folder_of_uploads_is_told_and_searching_goes_on(start, indexed, archive):
    content = (archive / "tones" / "low.wav").read_bytes()
    http = start(replace(indexed, upload_quota=len(content) + 100))
    assert http.post("/v1/uploads", content=content).status_code == 201
    assert_problem(http.post("/v1/uploads", content=content), 507, "uploads-full")
    assert http.post("/v1/search", json={"query": [{"text": "red"}]}).status_code == 200


def test_a_full_disk_is_told_as_that(start, indexed, archive, monkeypatch):
    http = start(indexed)
    usage = shutil.disk_usage(indexed.home)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=uploads.MIN_FREE_BYTES - 1))
    answer = http.post("/v1/uploads", content=(archive / "tones" / "low.wav").read_bytes())
    assert_problem(answer, 507, "disk-full")
    assert "63 MB" in answer.json()["detail"]
    assert "upload_quota" not in answer.text


def test_a_form_with_a_file_is_taken_as_browsers_and_curl_send_it(http, archive):
    sent = (archive / "tones" / "low.wav").read_bytes()
    answer = http.post("/v1/uploads", files={"file": ("low.wav", sent, "audio/wav")}, data={"note": "x" * 5_000})
    assert (answer.status_code, answer.json()["modality"], answer.json()["bytes"]) == (201, "audio", len(sent))
    told = http.post("/v1/uploads", files={"file": ("flowers.md", b"# Red flowers\n\nin the garden")}).json()
    assert (told["modality"], told["bytes"]) == ("text", 28)  # by the name that the form tells


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x\r\n\r\n--x--"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"nothing of it"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\ntext\r\n--x--\r\n'),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"; filename="a.txt"\r\n\r\ncut'),
        ("multipart/form-data; boundary=x", 2 * b'--x\r\nContent-Disposition: form-data; name="a"; filename="a.txt"\r\n\r\nred\r\n' + b"--x--"),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 100 + b"\r\n"),
    ],
)  # fmt: skip
def test_a_form_that_holds_no_file_or_is_broken_is_refused_and_leaves_nothing(still, kind, body):
    assert_problem(still.post("/v1/uploads", content=body, headers={"Content-Type": kind}), 422, "form")
    assert left(still.settings) == []


def test_an_error_that_callers_cannot_mend_says_whose_it_is(start, indexed, monkeypatch):
    http = start(indexed)

    def fail(*_):
        raise StoreError("The database is damaged.", remedy="Run `sensorium doctor`.")

    monkeypatch.setattr(http.service.whole.catalogue, "assets", fail)
    answer = http.get("/v1/assets/1")
    assert_problem(answer, 503, "store")
    assert answer.json()["remedy"].startswith("Whoever runs the service: ")


def test_uploads_expire_unless_they_are_used(http, archive, settings):
    content = (archive / "pictures" / "red.png").read_bytes()
    used, unused = (http.post("/v1/uploads", content=content).json()["id"] for _ in range(2))
    old = time.time_ns() - 25 * 3600 * 10**9
    for file in left(settings):
        os.utime(file, ns=(old if unused in file.name else time.time_ns(), old))
    assert_problem(http.post("/v1/search", json={"query": [{"upload": unused}]}), 404, "no-upload")
    assert http.post("/v1/search", json={"query": [{"upload": used}]}).status_code == 200


def test_an_upload_that_is_cut_leaves_nothing(port, settings):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        head = f"POST /v1/uploads HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 100000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 5_000)
        until(lambda: left(settings))
    until(lambda: left(settings) == [])


def test_the_client_searches_uploads_and_reads(client, archive):
    found = client.search("blue", targets=["image"], k=1)
    asset = found.hits[0].asset
    assert asset.name == "blue.png"
    assert client.media(asset.id) == (archive / "pictures" / "blue.png").read_bytes()
    assert client.media(asset.id, range=(1, 4)) == b"PNG"
    assert client.thumbnail(asset.id, size=160)[:2] == b"\xff\xd8"
    upload = client.upload(archive / "tones" / "high.wav")
    assert client.search([{"upload": upload.id}], targets=["audio"], k=1).hits[0].asset.name == "high.wav"
    client.delete_upload(upload.id)
    with pytest.raises(Refused) as caught:
        client.get_upload(upload.id)
    assert (caught.value.status, caught.value.kind) == (404, "no-upload")
    assert caught.value.remedy
    assert client.asset(asset.id).segments == {"visual": 1}
    assert client.segment(found.hits[0].segment).segment.asset == asset.id
    assert [one.name for one in client.collections().roots] == ["archive"]
    assert client.failures().failures == []


def test_the_client_follows_a_job_to_its_end(client, archive):
    (archive / "texts" / "more.txt").write_text("A lighthouse.\n")
    (archive / "pictures" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    job = client.index(["archive"])
    states = [told.state for told in client.job_events(job.id)]
    assert states[-1] == "done"
    last = client.job(job.id)
    assert (last.progress.done, last.progress.failed, last.folders) == (1, 1, ["archive"])
    errors = client.job_errors(job.id)
    assert [(one.name, one.folder) for one in errors.failures] == [("bad.png", "pictures")]
    assert errors.reasons[0].remedy
    assert client.search("lighthouse", targets=["text"], k=1).hits[0].asset.name == "more.txt"
    assert client.jobs().jobs[0].id == job.id


def test_nobody_there_is_told_as_that():
    with Client("http://127.0.0.1:9") as client, pytest.raises(ServiceAway) as caught:
        client.status()
    assert "sensorium serve" in caught.value.remedy


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_the_awaiting_client_does_the_same(start, indexed, archive):
    http = start(indexed)
    async with AsyncClient("http://localhost", transport=httpx2.ASGITransport(http.app)) as client:
        assert (await client.search("red", targets=["image"], k=1)).hits[0].asset.name == "red.png"
        upload = await client.upload(archive / "tones" / "low.wav")
        assert upload.modality == "audio"
        job = await client.index(["archive"])
        assert [told.state async for told in client.job_events(job.id)][-1] == "done"
        with pytest.raises(Refused):
            await client.asset(424242)


@pytest.fixture
def held(encoder):
    """A runner whose jobs last until they are let go."""
    go = threading.Event()

    def runner(job, report, stop):
        report({"scanning": False, "scan": {"files": 9, "queued": 9}, "work": {"done": 3, "current": "/srv/secret/a.png"}})
        while not (go.is_set() or stop.wait(0.02)):
            pass

    runner.go = go
    return runner


def post(http, *paths, key=None, **options):
    headers = {"Idempotency-Key": key} if key else {}
    return http.post("/v1/index-jobs", json={"paths": list(paths), **options}, headers=headers)


def test_two_jobs_on_one_folder_are_one_too_many(start, indexed, held, archive):
    http = start(indexed, runner=held)
    first = post(http, str(archive))
    assert (first.status_code, first.headers["location"]) == (202, "/v1/index-jobs/1")
    for again in ("archive", "archive/texts", str(archive / "texs" / ".." / "texts")):
        second = post(http, again)
        problem = assert_problem(second, 409, "job-covers")
        assert "Job 1" in problem["detail"]
        assert second.headers["location"] == "/v1/index-jobs/1"
    told = http.get("/v1/status").json()["job"]
    assert (told["id"], told["progress"]["current"], told["progress"]["to_do"]) == (1, "a.png", 9)
    held.go.set()
    assert wait_for(http, 1)["state"] == "done"
    assert post(http, "archive").status_code == 202


def test_other_jobs_wait_their_turn_and_can_be_cancelled(start, indexed, held):
    http = start(indexed, runner=held)
    post(http, "archive/texts")
    assert post(http, "archive/tones").json()["state"] == "queued"
    assert http.post("/v1/index-jobs/2/cancel").json()["state"] == "cancelled"
    http.post("/v1/index-jobs/1/cancel")
    assert wait_for(http, 1)["state"] == "cancelled"
    assert http.post("/v1/index-jobs/1/cancel").json()["state"] == "cancelled"


def test_the_same_key_asks_once(start, indexed, held):
    http = start(indexed, runner=held)
    first, again = post(http, "archive", key="k1").json(), post(http, "archive", key="k1").json()
    assert first["id"] == again["id"]
    assert_problem(post(http, "archive/texts", key="k1"), 422, "idempotency-key")


def test_equal_keys_at_the_same_time_make_one_job_whichever_service_they_reach(start, indexed, held):
    services = [start(indexed, runner=held) for _ in range(2)]
    for key in ("a", "b", "c"):
        gate = threading.Barrier(4)
        asked = [partial(_at_once, gate, services[number % 2], key) for number in range(4)]
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda ask: ask(), asked))
        assert [answer.status_code for answer in answers] == [202] * 4, [answer.text for answer in answers]
        assert len({answer.json()["id"] for answer in answers}) == 1
        job = answers[0].json()["id"]
        services[0].post(f"/v1/index-jobs/{job}/cancel")
        assert wait_for(services[0], job)["state"] == "cancelled"


def _at_once(gate, service, key):
    gate.wait()
    return post(service, "archive", key=key)


def test_two_services_do_not_both_take_a_job_for_one_folder(start, indexed, held):
    services, gate = [start(indexed, runner=held) for _ in range(2)], threading.Barrier(2)

    def ask(number):
        gate.wait()
        return post(services[number], "archive").status_code

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(ask, range(2))) == [202, 409]


def test_assets_are_listed_by_a_part_of_their_name(start, indexed, archive, encoder):
    for name in (b"Gr\xc3\xbcn (1).TXT", b"odd-\xff.txt", b"50%_back\\slash.txt"):
        Path(os.fsdecode(os.fsencode(archive) + b"/" + name)).write_text("It is green.")
        Path(os.fsdecode(os.fsencode(archive) + b"/" + name)).write_text(f"It is green, says {name!r}.")
    run.index(indexed, run.RunRequest([archive]), encoder=encoder)
    http = start(indexed)
    for part, found in {
        "RED.p": 1,
        "grün": 1,
        "Grün (1)": 1,
        "odd-": 1,
        "50%_": 1,
        "k\\s": 1,
        "archive": 0,
        "x5c": 0,
        "303": 0,
        ".txt": 4,
    }.items():
        assert len(http.get("/v1/assets", params={"name": part}).json()["assets"]) == found, part


def test_a_folder_outside_the_roots_is_refused_in_every_spelling(start, indexed, held, archive, tmp_path):
    http = start(indexed, runner=held)
    (tmp_path / "secret").mkdir()
    (archive / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "archive-2").mkdir()
    for path in (
        "/etc", str(tmp_path / "secret"), f"{archive}/../secret", "archive/../secret", "archive/link", f"{archive}/link", "..", ".",
        f"{archive}-2", str(archive).upper(), "ARCHIVE", "unknown/root", "~", f"{archive}/link/../../secret", "/",
    ):  # fmt: skip
        problem = assert_problem(post(http, path), 403, "outside-roots")
        assert str(tmp_path) not in str(problem)
    problem = assert_problem(post(http, "archive/none"), 422, "not-there")
    assert str(tmp_path) not in str(problem)
    assert http.get("/v1/index-jobs").json()["jobs"] == []


def test_a_job_that_fails_says_why_without_paths(start, indexed, archive):
    def runner(job, report, stop):
        raise SensoriumError(f"{indexed.home}/x and {archive}/y went wrong.", remedy=f"Look at {archive}.")

    http = start(indexed, runner=runner)
    post(http, "archive")
    told = wait_for(http, 1)
    assert (told["state"], told["error"], told["remedy"]) == ("failed", "x and archive/y went wrong.", "Look at archive.")


def test_failures_are_tried_again_by_id_by_reason_and_never_twice_at_once(start, indexed, archive, runner, held):
    for name in ("one", "two"):
        (archive / f"{name}.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + name.encode() * 999)
    (archive / "empty.png").touch()
    http = start(indexed)
    post(http, "archive")
    assert wait_for(http, 1)["progress"]["failed"] == 3
    lines = http.get("/v1/failures").json()["failures"]
    one = next(line["id"] for line in lines if line["name"] == "one.mp4")

    answer = http.post("/v1/failures/retry", json={"failures": [one]}, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.headers["location"]) == (202, "/v1/index-jobs/2")
    assert http.post("/v1/failures/retry", json={"failures": [one]}, headers={"Idempotency-Key": "k"}).json()["id"] == 2
    told = wait_for(http, 2)
    assert (told["kind"], told["state"], told["progress"]["failed"], told["progress"]["files"]) == ("retry", "done", 1, 0)

    http.post("/v1/failures/retry", json={"reason": "truncated"})
    told = wait_for(http, 3)
    assert (told["reason"], told["progress"]["failed"]) == ("truncated", 2)
    assert_problem(http.post("/v1/failures/retry", json={"failures": [10**9]}), 404, "no-failure")
    assert_problem(http.post("/v1/failures/retry", json={"collection": "nope"}), 422, "unknown-name")


def test_failures_are_not_tried_again_twice_at_once(start, indexed, held):
    http = start(indexed, runner=held)
    http.post("/v1/failures/retry", json={})
    assert_problem(http.post("/v1/failures/retry", json={}), 409, "job-covers")


def test_a_job_that_the_end_of_the_service_interrupted_goes_on_at_the_next_start(indexed, encoder, runner, held):
    service = Service(indexed, load=lambda _: encoder, runner=held)
    with listening(service) as port, Client(f"http://127.0.0.1:{port}") as client:
        client.index(["archive"])
        until(lambda: client.job(1).state == "running")
    with listening(Service(indexed, load=lambda _: encoder, runner=runner)) as port, Client(f"http://127.0.0.1:{port}") as client:
        assert [told.state for told in client.job_events(1)][-1] == "done"


def test_a_job_that_was_cancelled_as_the_service_ended_does_not_go_on_at_the_next_start(indexed, encoder, runner):
    begun, stopping = threading.Event(), threading.Event()

    def slow_to_stop(job, report, stop):
        begun.set()
        stop.wait()
        stopping.wait()

    service = Service(indexed, load=lambda _: encoder, runner=slow_to_stop)
    with listening(service) as port, Client(f"http://127.0.0.1:{port}") as client:
        client.index(["archive"])
        assert begun.wait(LONG)
        client.cancel_job(1)
        threading.Timer(0.5, stopping.set).start()
    with listening(Service(indexed, load=lambda _: encoder, runner=runner)) as port, Client(f"http://127.0.0.1:{port}") as client:
        assert client.job(1).state == "cancelled"


def test_a_job_whose_end_cannot_be_written_down_is_taken_up_again_and_the_next_ones_run(start, indexed, archive, monkeypatch):
    monkeypatch.setattr(index_jobs, "RETRY_SECONDS", 0.1)
    real, full = JobBook.end, [True]

    def end(self, *args):
        if full:
            full.pop()
            raise DiskFull("There is no room.")
        return real(self, *args)

    monkeypatch.setattr(JobBook, "end", end)
    http = start(indexed)
    post(http, "archive/texts")
    post(http, "archive/pictures")
    assert wait_for(http, 1)["state"] == "done"
    assert wait_for(http, 2)["state"] == "done"
    assert full == []


def test_a_machine_runs_one_job_at_a_time_and_takes_up_those_of_a_service_that_died(start, indexed, archive, monkeypatch):
    monkeypatch.setattr(index_jobs, "QUEUE_POLL_SECONDS", 0.1)
    other = Worker(indexed.home)
    with closing(Database(indexed.database)) as database:  # before a service looks for jobs, too
        book = JobBook(database, other)
        job = book.add([str(archive / "texts")], "default", key=None, body="")
        assert book.begin(job.id)
    http = start(indexed)
    post(http, "archive/pictures")
    steps, enough, real_open, real_wait = [], threading.Event(), JobBook.open, threading.Event.wait

    def look(self):
        if self is http.service.jobs.book and threading.current_thread() is http.service.jobs._thread:  # nobody else who asks
            steps.append("look")
        return real_open(self)

    def wait(self, seconds=None):
        if self is http.service.jobs._wake:
            steps.append(seconds)
            if steps.count(0.1) == 5:
                enough.set()
        return real_wait(self, seconds)

    monkeypatch.setattr(threading.Event, "wait", wait)  # first: what is seen begins with a look
    monkeypatch.setattr(JobBook, "open", look)
    assert enough.wait(LONG)
    seen = list(steps)
    between = seen[seen.index("look") : len(seen) - seen[::-1].index(0.1)]
    assert between == ["look", 0.1] * (len(between) // 2)  # it waits for LOOK after each look
    assert [http.get(f"/v1/index-jobs/{id_}").json()["state"] for id_ in (job.id, 2)] == ["running", "queued"]
    other.close()
    assert wait_for(http, job.id)["state"] == "done"
    assert wait_for(http, 2)["state"] == "done"


def test_a_job_of_another_machine_is_left_alone_until_its_time_has_run_out(start, indexed, archive, monkeypatch):
    monkeypatch.setattr(index_jobs, "QUEUE_POLL_SECONDS", 0.1)
    monkeypatch.setattr("search.store.jobs.LEASE_MS", 1_500)
    elsewhere = Worker(indexed.home)
    elsewhere.place, elsewhere.name = "elsewhere-", "elsewhere-1"
    with closing(Database(indexed.database)) as database:
        book = JobBook(database, elsewhere)
        job = book.add([str(archive / "texts")], "default", key=None, body="")
        assert book.begin(job.id)
    http = start(indexed)
    post(http, "archive/pictures")
    assert wait_for(http, 2)["state"] == "done"
    assert wait_for(http, job.id)["state"] == "done"
    assert not JobBook(http.service.database, elsewhere).beat(job.id, {})


def test_a_job_is_told_of_and_cancelled_by_another_service(indexed, encoder, runner, monkeypatch):
    monkeypatch.setattr(index_jobs, "BEAT_SECONDS", 0.1)

    def until_stopped(job, report, stop):
        report({"scanning": False, "scan": {"files": 9, "queued": 9}, "work": {"done": 3}})
        stop.wait()

    one, two = (listening(Service(indexed, load=lambda _: encoder, runner=run)) for run in (until_stopped, runner))
    with one as here, two as there, Client(f"http://127.0.0.1:{here}") as client, Client(f"http://127.0.0.1:{there}") as other:
        job = client.index(["archive"])
        until(lambda: other.job(job.id).progress.done == 3)
        told = other.job(job.id)
        assert (told.state, told.progress.done) == ("running", 3)
        other.cancel_job(job.id)
        assert [told.state for told in client.job_events(job.id)][-1] == "cancelled"
        assert other.job(job.id).state == "cancelled"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "[::1", "sensorium.lan.evil"])
def test_a_foreign_host_name_is_refused(still, host):
    assert_problem(still.get("/v1/status", headers={"Host": host}), 421, "foreign-host")


def test_our_own_names_and_addresses_are_taken(start, indexed):
    http = start(replace(indexed, hosts="sensorium.lan, other.lan"))
    for host in ("localhost:1", "127.0.0.1:8571", "[::1]:8571", "10.0.0.7", "sensorium.lan:8571", "app.localhost"):
        assert http.get("/v1/status", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://localhost.evil", "http://localhost:9999"])
def test_another_sites_request_that_changes_something_is_refused(still, origin):
    body = {"query": [{"text": "red"}]}
    assert_problem(still.post("/v1/search", json=body, headers={"Origin": origin}), 403, "foreign-origin")
    assert_problem(still.post("/v1/search", json=body, headers={"Sec-Fetch-Site": "cross-site"}), 403, "foreign-origin")
    assert still.post("/v1/search", json=body, headers={"Origin": "http://localhost"}).status_code == 200


def test_metrics_count_by_route_and_probes_answer(still):
    still.get("/v1/assets/1")
    still.get("/v1/assets/2")
    told = still.get("/metrics").text
    assert 'sensorium_requests_total{method="GET",route="/assets/{id}",status="200"}' in told
    assert 'sensorium_segments{kind="image/visual"} 8.0' in told
    assert still.get("/livez").json() == {"live": True}
    assert still.get("/", follow_redirects=False).headers["location"] == "/v1/docs"
    assert still.get("/v1/docs").status_code == 200
    assert_problem(still.get("/v1/nothing"), 404, "not-found")
    assert_problem(still.put("/v1/search"), 405, "method-not-allowed")
    assert_problem(still.get("/v1/failures?collection=nope"), 422, "unknown-name")


@pytest.mark.parametrize("stage", ["hash", "decode"])
def test_a_link_that_is_exchanged_after_the_walk_is_not_read(settings, archive, tmp_path, encoder, monkeypatch, stage):
    """The walk sees a file under the root; what lies at its name when it is opened lies elsewhere, with the same size and time."""
    path, secret = archive / "texts" / "sea.md", tmp_path / "secret.md"
    secret.write_text("# The hush\n\nRed water as far as one can see.\n".ljust(path.stat().st_size, "."))
    os.utime(secret, ns=(path.stat().st_mtime_ns, path.stat().st_mtime_ns))
    assert secret.stat().st_size == path.stat().st_size

    def exchange() -> None:
        path.unlink(missing_ok=True)
        path.symlink_to(secret)

    kind, name = (FolderScan, "_hash") if stage == "hash" else (Process, "ask")
    real = getattr(kind, name)

    def late(self, first, *others):
        if str(path) in os.fsdecode(first.path if stage == "hash" else first):
            exchange()
        return real(self, first, *others)

    monkeypatch.setattr(kind, name, late)
    run.index(replace(settings, roots=str(archive)), run.RunRequest([archive], confined=True), encoder=encoder)
    with closing(Database(settings.database)) as database:
        told = [one for one in SqlStore(database).failures() if one.path == str(path)]
        assert any("out of the roots" in one.detail for one in told), told
        with database.reading() as connection:
            texts = connection.exec_driver_sql("SELECT text FROM segment WHERE text IS NOT NULL").scalars().all()
    assert not [text for text in texts if "hush" in text]


def test_subtitles_that_a_link_brings_from_elsewhere_are_not_read(settings, archive, tmp_path, encoder):
    secret = tmp_path / "secret.srt"
    secret.write_text("1\n00:00:00,000 --> 00:00:01,000\nThe hush\n")
    (archive / "tones" / "low.srt").symlink_to(secret)
    confined = replace(settings, roots=str(archive))
    with closing(Database(settings.database)) as database:
        database.upgrade()
        reader = readers.load("written", Models.of(settings), "cpu")
        Readers(database).add("written", reader.revision, sorted(reader.reads), sorted(reader.channels))
        for is_confined in (True, False):  # the command line may follow links
            run.index(confined, run.RunRequest([archive], confined=is_confined), encoder=encoder)
            with database.reading() as connection:
                texts = connection.exec_driver_sql("SELECT text FROM segment WHERE text IS NOT NULL").scalars().all()
            assert any("hush" in text for text in texts) is not is_confined
            if is_confined:
                os.utime(secret, ns=(1, 1))  # so that it is read again


def test_hard_links_are_one_file_with_two_names(start, indexed, archive, encoder):
    other = archive / "texts" / "again.png"
    os.link(archive / "pictures" / "red.png", other)
    before = encoder.encoded
    run.index(indexed, run.RunRequest([archive], confined=True), encoder=encoder)
    assert encoder.encoded == before
    http = start(indexed)
    (asset,) = http.get("/v1/assets", params={"name": "again"}).json()["assets"]
    places = http.get(f"/v1/assets/{asset['id']}").json()["locations"]
    assert {one["name"] for one in places} == {"red.png", "again.png"}
    other.unlink()
    assert http.get(asset["links"]["media"]).content == (archive / "pictures" / "red.png").read_bytes()


def test_links_in_a_circle_end_a_job_like_any_other(start, indexed, archive):
    (archive / "circle").symlink_to(archive, target_is_directory=True)
    (archive / "a.png").symlink_to(archive / "b.png")
    (archive / "b.png").symlink_to(archive / "a.png")
    http = start(indexed)
    assert wait_for(http, post(http, "archive").json()["id"])["state"] == "done"
    names = [one["name"] for one in http.get("/v1/failures").json()["failures"]]
    assert sorted(names) == ["a.png", "b.png"]
    assert len(http.get("/v1/assets?limit=200").json()["assets"]) == 13


def test_a_collection_of_a_name_that_cannot_be_is_refused_and_nothing_is_made(settings, archive, encoder):
    for name in ("n" * 4_096, "", "two\nlines", "\x1b[2J"):
        with pytest.raises(InputError, match="cannot be named"):
            run.index(settings, run.RunRequest([archive], name), encoder=encoder)
    with closing(Database(settings.database)) as database:
        assert SqlStore(database).collections() == {}
