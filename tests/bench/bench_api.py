"""The service's speed: overhead over the engine, thumbnails, memory while serving, fifty clients at once.

Serves 100,000 random segments of 512 dimensions from a process of its own, and calls it over loopback.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import socket
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import httpx2
import numpy as np
import psutil
import uvicorn
from PIL import Image
from sqlalchemy import insert

from indexer.run import rebuild
from search.api.app import create_app
from search.api.service import Service
from search.query import Engine, Term
from search.settings import Settings
from search.store import Database, Intake, Spaces
from search.store import tables as t
from search.types import MEDIA, Modality, Needs, Space
from tests.bench.report import Figure
from tests.waiting import until

SEGMENTS, DIM, CLIENTS, EACH = 100_000, 512, 50, 10
WORDS = [f"word {number}" for number in range(64)]


class Wordy:
    """An encoder whose vectors are random, the same for the same text."""

    space = Space("bench", "bench", "bench", "1", DIM, MEDIA)
    needs = Needs(size=32, fit="squash", rate=16_000, window_ms=5_000, characters=200)

    def encode(self, modality: Modality, batch: Sequence[object]) -> np.ndarray:
        rows = np.stack([np.random.default_rng(zlib.crc32(str(one).encode())).normal(size=DIM) for one in batch]).astype(
            np.float32
        )
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def fill(settings: Settings, folder: Path) -> None:
    """An archive of ``SEGMENTS`` segments, half of them pictures; the first pictures and one video of 500 MB are real files."""
    database = Database(settings.database)
    database.upgrade()
    intake = Intake(database)
    space, collection = (
        Spaces(database).add(Wordy.space, Wordy.space.name).key,
        intake.collection("default", [os.fsencode(folder)]),
    )
    for number in range(100):
        Image.effect_noise((1600, 1200), 60).convert("RGB").save(folder / f"{number}.jpg")
    with (folder / "large.mp4").open("wb") as file:
        file.truncate(500_000_000)
    files = sorted(folder.iterdir())
    vectors = np.random.default_rng(1).normal(size=(SEGMENTS, DIM)).astype(np.float32)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("<f2")
    ids = range(1, SEGMENTS + 1)

    def modality(id_: int) -> str:
        if id_ <= len(files):
            return "video" if files[id_ - 1].suffix == ".mp4" else "image"
        return "image" if id_ % 2 else "text"

    def place(id_: int) -> tuple[bytes, int, int]:
        if id_ > len(files):
            return os.fsencode(folder / f"gone-{id_}"), 1, 1
        stat = files[id_ - 1].stat()
        return os.fsencode(files[id_ - 1]), stat.st_size, stat.st_mtime_ns

    channel = {"image": "visual", "video": "visual", "text": "text"}
    form = {"image": "jpeg", "video": "mp4", "text": "txt"}
    with database.writing() as connection:
        connection.execute(insert(t.asset), [
            {"id": id_, "digest": id_.to_bytes(32, "big"), "size": 1, "modality": modality(id_), "format": form[modality(id_)],
             "width": 1600, "height": 1200, "day": 1, "created_at": 1} for id_ in ids
        ])  # fmt: skip
        connection.execute(insert(t.location), [
            {"collection_id": collection, "asset_id": id_, "path": path, "size": size, "mtime_ns": mtime, "state": "present", "seen": 1}
            for id_ in ids for path, size, mtime in [place(id_)]
        ])  # fmt: skip
        connection.execute(insert(t.unit), [
            {"asset_id": id_, "space_id": space, "state": "done", "attempts": 1, "updated_at": 1} for id_ in ids
        ])  # fmt: skip
        connection.execute(insert(t.segment), [
            {"id": id_, "asset_id": id_, "channel": channel[modality(id_)], "ordinal": 0, "text": "Some words."} for id_ in ids
        ])  # fmt: skip
        connection.execute(
            insert(t.embedding), [{"space_id": space, "segment_id": id_, "vector": vectors[id_ - 1].tobytes()} for id_ in ids]
        )
    database.close()
    rebuild(settings)


def serve(settings: Settings, port: int) -> None:
    uvicorn.run(create_app(Service(settings, load=lambda _: Wordy())), port=port, log_level="error")


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@contextlib.contextmanager
def service(settings: Settings) -> Iterator[tuple[str, psutil.Process]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(settings, port), daemon=True)
    process.start()
    address = f"http://127.0.0.1:{port}"
    try:
        until(lambda: not process.is_alive() or listens(port))
        with httpx2.Client(base_url=address, timeout=60) as http:
            for word in WORDS:  # from here on their vectors are cached
                http.post("/v1/search", json=asked(word)).raise_for_status()
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.join()


def asked(word: str) -> dict[str, object]:
    return {"query": [{"text": word}], "k": 20}


def timed(call: Callable[[], object], times: int) -> np.ndarray:
    """Milliseconds of each call."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        spent.append((time.perf_counter() - began) * 1000)
    return np.array(spent)


def overhead(settings: Settings, address: str) -> Iterator[Figure]:
    """The API's p50 less the engine's, both warm and one after the other."""
    with Engine(settings, encoder=Wordy()) as engine, httpx2.Client(base_url=address) as http:
        words = iter(WORDS * 100)
        for word in WORDS:
            engine.search(Term(word, Modality.TEXT), k=21)
        alone = timed(lambda: engine.search(Term(next(words), Modality.TEXT), k=21), 100)
        over = timed(lambda: http.post("/v1/search", json=asked(next(words))).raise_for_status(), 100)
    yield Figure("a search of the engine, p50", float(np.median(alone)), "ms")
    yield Figure("what the API adds, p50", float(np.median(over) - np.median(alone)), "ms", most=10)


def thumbnails(address: str) -> Iterator[Figure]:
    with httpx2.Client(base_url=address, timeout=60) as http:
        addresses = [f"/v1/assets/{number}/thumbnail" for number in range(1, 101)]
        first, again = iter(addresses), iter(addresses * 5)
        made = timed(lambda: http.get(next(first)).raise_for_status(), 100)
        kept = timed(lambda: http.get(next(again)).raise_for_status(), 500)
    yield Figure("a thumbnail, made, p50", float(np.median(made)), "ms")
    yield Figure("a thumbnail, kept, p95", float(np.quantile(kept, 0.95)), "ms", most=20)


def memory(address: str, process: psutil.Process) -> Iterator[Figure]:
    """Memory that serving 500 MB, whole and by ranges, added at its highest."""
    before, peak, done = process.memory_info().rss, 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began, size = time.perf_counter(), 0
    with httpx2.Client(base_url=address, timeout=60) as http:
        with http.stream("GET", "/v1/assets/101/media") as response:
            for piece in response.iter_bytes():
                size += len(piece)
        seconds = time.perf_counter() - began
        for start in range(0, 500_000_000, 50_000_000):
            with http.stream("GET", "/v1/assets/101/media", headers={"Range": f"bytes={start}-"}) as response:
                next(response.iter_bytes())
    done.set()
    watcher.join()
    assert size == 500_000_000
    yield Figure("memory added by serving 500 MB", max(peak - before, 0) / 1e6, "MB", most=20)
    yield Figure("served", size / 1e6 / seconds, "MB a second")


def crowd(address: str) -> Iterator[Figure]:
    """``CLIENTS`` threads, each with a connection of its own, all asking as fast as they can."""
    spent: list[float] = []
    errors: list[str] = []

    host = address.removeprefix("http://")

    def client(number: int) -> None:
        """By the standard library's plain client: the machine is the service's too."""
        http = HTTPConnection(host, timeout=60)
        for turn in range(EACH):
            body = json.dumps(asked(WORDS[(number + turn) % len(WORDS)]))
            began = time.perf_counter()
            http.request("POST", "/v1/search", body, {"Content-Type": "application/json"})
            answer = http.getresponse()
            answer.read()
            spent.append((time.perf_counter() - began) * 1000)
            if answer.status != 200:
                errors.append(answer.reason)
        http.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    yield Figure("fifty clients at once, errors", len(errors), "", most=0)
    yield Figure("fifty clients at once, p50", float(np.median(spent)), "ms")
    yield Figure("fifty clients at once, p99", float(np.quantile(spent, 0.99)), "ms", most=1000)
    yield Figure("fifty clients at once", len(spent) / seconds, "searches a second")


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive"
        archive.mkdir()
        settings = replace(Settings(home=Path(folder) / "home"), roots=str(archive))
        fill(settings, archive)
        with service(settings) as (address, process):
            yield from overhead(settings, address)
            yield from thumbnails(address)
            yield from memory(address, process)
            yield from crowd(address)
