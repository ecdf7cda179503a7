"""Many requests at once: each kind of work waits for its own kind alone, and a full queue says so."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from search.api import guard
from search.api.turns import Turns
from tests.integration.test_api_search import assert_problem

QUESTION = {"query": [{"text": "red"}]}


def waits(turns: Turns, count: int) -> None:
    """Wait until so many wait for their turn."""
    for _ in range(6_000):
        if turns._limiter.statistics().tasks_waiting >= count:
            return
        time.sleep(0.01)
    pytest.fail("the queue does not fill up")


@pytest.fixture
def stuck(http, monkeypatch):
    """A service that makes no picture until it is told to."""
    go, keep = threading.Event(), http.service.thumbnails.keep

    def slowly(wanted, source) -> None:
        assert go.wait(120)
        keep(wanted, source)

    monkeypatch.setattr(http.service.thumbnails, "keep", slowly)
    yield go
    go.set()


def test_sixty_thumbnails_hold_up_nothing_else(http, stuck):
    images = [one["id"] for one in http.get("/v1/assets", params={"modality": "image"}).json()["assets"]]
    http.post("/v1/search", json=QUESTION)  # the engine is there
    with ThreadPoolExecutor(60) as browsers:
        answers = [
            browsers.submit(http.get, f"/v1/assets/{images[n % len(images)]}/thumbnail", params={"size": 16}) for n in range(60)
        ]
        waits(http.service.picturing, 60 - http.service.settings.cores)
        for path in ("/livez", "/readyz", "/metrics", "/v1/status", "/v1/collections"):
            assert http.get(path).status_code == 200, path
        assert http.post("/v1/search", json=QUESTION).json()["hits"]
        assert not any(answer.done() for answer in answers)
        stuck.set()
        assert {answer.result(120).status_code for answer in answers} == {200}
    again = http.get(f"/v1/assets/{images[0]}/thumbnail", params={"size": 16})
    assert again.headers["content-type"] == "image/jpeg"


def test_what_was_made_before_waits_for_nothing(http, stuck):
    first, second, *_ = [one["id"] for one in http.get("/v1/assets", params={"modality": "image"}).json()["assets"]]
    stuck.set()
    assert http.get(f"/v1/assets/{first}/thumbnail").status_code == 200
    stuck.clear()
    cores = http.service.settings.cores
    with ThreadPoolExecutor(cores + 1) as browsers:
        waiting = [browsers.submit(http.get, f"/v1/assets/{second}/thumbnail") for _ in range(cores + 1)]
        waits(http.service.picturing, 1)
        assert http.get(f"/v1/assets/{first}/thumbnail").status_code == 200
        stuck.set()
        assert {one.result(120).status_code for one in waiting} == {200}


def test_a_full_queue_says_when_to_come_again(http, stuck, monkeypatch):
    service = http.service
    monkeypatch.setattr(service.picturing, "_queue", 1)
    image = http.get("/v1/assets", params={"modality": "image"}).json()["assets"][0]["id"]
    with ThreadPoolExecutor(service.settings.cores + 1) as browsers:
        waiting = [browsers.submit(http.get, f"/v1/assets/{image}/thumbnail") for _ in range(service.settings.cores + 1)]
        waits(service.picturing, 1)
        refused = http.get(f"/v1/assets/{image}/thumbnail")
        assert_problem(refused, 429, "busy")
        assert int(refused.headers["retry-after"]) > 0
        assert "pictures" in refused.json()["detail"]
        stuck.set()
        assert {one.result(120).status_code for one in waiting} == {200}


def test_searches_and_uploads_have_queues_of_their_own(http, monkeypatch):
    service = http.service
    monkeypatch.setattr(service.searching, "_queue", 0)
    assert_problem(http.post("/v1/search", json=QUESTION), 429, "busy")
    assert http.get("/v1/status").status_code == 200
    monkeypatch.setattr(service.decoding, "_queue", 0)
    assert_problem(http.post("/v1/uploads", params={"name": "a.txt"}, content=b"some words"), 429, "busy")
    assert not list((service.settings.home / "uploads").glob("*")), "nothing of what was refused stays"
    assert http.get("/v1/problems/busy").json()["status"] == 429


def test_probes_need_none_of_the_threads_that_requests_wait_for(http):
    """Whatever holds every thread of the service, it is known to be alive."""
    go, held = threading.Event(), threading.Semaphore(0)

    def hold(_: object = None) -> dict[str, int]:
        held.release()
        assert go.wait(120)
        return {}

    service = http.service
    service.whole.labels.names, before = hold, service.whole.labels.names
    with ThreadPoolExecutor(40) as others:
        blocked = [others.submit(http.get, "/v1/collections") for _ in range(40)]  # as many as there are threads
        for _ in blocked:
            assert held.acquire(timeout=120)
        for path in ("/livez", "/readyz", "/metrics"):
            assert http.get(path).status_code == 200
        go.set()
        assert {one.result(120).status_code for one in blocked} == {200}
    service.whole.labels.names = before


def test_bodies_are_counted_as_they_come(http, monkeypatch):
    sent: list[int] = []

    def pieces(count: int):
        for _ in range(count):
            sent.append(1 << 20)
            yield b" " * (1 << 20)

    assert_problem(http.post("/v1/search", content=pieces(30)), 413, "too-large")
    refused = http.post("/v1/search", content=b" " * (1 << 20), headers={"Content-Length": str(25 << 20)})
    assert_problem(refused, 413, "too-large")
    monkeypatch.setattr(guard, "MAX_BODIES_BYTES", 1 << 20)
    busy = http.post("/v1/search", content=b" " * (2 << 20))
    assert_problem(busy, 429, "busy")
    assert int(busy.headers["retry-after"]) > 0
    for _ in range(3):  # what was refused or answered is not counted any more
        assert http.post("/v1/search", json=QUESTION | {"cursor": "x" * 400_000}).status_code == 422
    assert http.post("/v1/search", json=QUESTION).status_code == 200
