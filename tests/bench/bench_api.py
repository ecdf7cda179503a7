"""The service's speed: overhead over the engine, thumbnails, memory while serving, fifty clients at once.

    python -m tests.bench.bench_api

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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
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
from search.store import Database, Intake
from search.store import tables as t
from search.types import Modality, Needs, Space

SEGMENTS, DIM, CLIENTS, EACH = 100_000, 512, 50, 20
WORDS = [f"word {number}" for number in range(64)]


class Wordy:
    """An encoder whose vectors are random, the same for the same text."""

    space = Space("bench", "bench", "bench", "1", DIM, frozenset(Modality))
    needs = Needs(size=32, fit="squash", rate=16_000, window_ms=5_000, characters=200)

    def encode(self, modality: Modality, batch: Sequence[object]) -> np.ndarray:
        rows = np.stack([np.random.default_rng(abs(hash(one)) % 2**32).normal(size=DIM) for one in batch]).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def fill(settings: Settings, folder: Path) -> None:
    """An archive of ``SEGMENTS`` segments, half of them pictures; the first pictures and one video of 500 MB are real files."""
    database = Database(settings.database)
    database.upgrade()
    intake = Intake(database)
    space, collection = intake.space(Wordy.space), intake.collection("default", [os.fsencode(folder)])
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
        connection.execute(insert(t.segment), [
            {"id": id_, "asset_id": id_, "channel": channel[modality(id_)], "ordinal": 0, "text": "Some words."} for id_ in ids
        ])  # fmt: skip
        connection.execute(
            insert(t.embedding), [{"space_id": space, "segment_id": id_, "vector": vectors[id_ - 1].tobytes()} for id_ in ids]
        )
    database.close()
    rebuild(settings)


def serve(settings: Settings, listening: socket.socket) -> None:
    app = create_app(Service(settings, load=Wordy))
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listening])


@contextlib.contextmanager
def service(settings: Settings) -> Iterator[tuple[str, psutil.Process]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = multiprocessing.get_context("fork").Process(target=serve, args=(settings, listening))
        process.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with httpx2.Client(base_url=address, timeout=60) as http:
            for word in WORDS:
                http.post("/v1/search", json=asked(word)).raise_for_status()
        try:
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


def overhead(settings: Settings, address: str) -> dict[str, float]:
    """The API's p50 less the engine's, both warm and one after the other."""
    with Engine(settings, encoder=Wordy()) as engine, httpx2.Client(base_url=address) as http:
        words = iter(WORDS * 100)
        for word in WORDS:
            engine.search(Term(word, Modality.TEXT), k=21)
        alone = timed(lambda: engine.search(Term(next(words), Modality.TEXT), k=21), 200)
        over = timed(lambda: http.post("/v1/search", json=asked(next(words))).raise_for_status(), 200)
    p50 = float(np.median(alone)), float(np.median(over))
    return {"engine_p50_ms": p50[0], "api_p50_ms": p50[1], "overhead_p50_ms": p50[1] - p50[0]}


def thumbnails(address: str) -> dict[str, float]:
    with httpx2.Client(base_url=address, timeout=60) as http:
        addresses = [f"/v1/assets/{number}/thumbnail" for number in range(1, 101)]
        first, again = iter(addresses), iter(addresses * 5)
        made = timed(lambda: http.get(next(first)).raise_for_status(), 100)
        kept = timed(lambda: http.get(next(again)).raise_for_status(), 500)
    return {"thumbnail_made_p50_ms": float(np.median(made)), "thumbnail_cached_p95_ms": float(np.quantile(kept, 0.95))}


def memory(address: str, process: psutil.Process) -> dict[str, float]:
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
    return {"memory_added_mb": max(peak - before, 0) / 1e6, "served_mb_per_second": size / 1e6 / seconds}


def crowd(address: str) -> dict[str, float]:
    """``CLIENTS`` threads, each with a connection of its own, all asking as fast as they can."""
    spent: list[float] = []
    errors: list[str] = []

    def client(number: int) -> None:
        with httpx2.Client(base_url=address, timeout=60) as http:
            for turn in range(EACH):
                began = time.perf_counter()
                try:
                    http.post("/v1/search", json=asked(WORDS[(number + turn) % len(WORDS)])).raise_for_status()
                except httpx2.HTTPError as error:
                    errors.append(str(error))
                spent.append((time.perf_counter() - began) * 1000)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    return {
        "crowd_errors": len(errors), "crowd_p50_ms": float(np.median(spent)), "crowd_p99_ms": float(np.quantile(spent, 0.99)),
        "crowd_searches_per_second": len(spent) / seconds,
    }  # fmt: skip


def main() -> None:
    """Measure, and print one JSON object."""
    os.environ.setdefault("PYTHONHASHSEED", "0")
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive"
        archive.mkdir()
        settings = replace(Settings(home=Path(folder) / "home"), roots=str(archive))
        fill(settings, archive)
        with service(settings) as (address, process):
            found = overhead(settings, address) | thumbnails(address) | memory(address, process) | crowd(address)
    print(json.dumps({name: round(value, 2) for name, value in found.items()}, indent=2))


if __name__ == "__main__":
    main()
