"""Two hundred clients for two minutes over 100,000 segments while files are taken in: errors and times to answer.

``SENSORIUM_CROWD_CLIENTS`` and ``SENSORIUM_CROWD_SECONDS`` say otherwise.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from random import Random

import numpy as np

from indexer.run import RunRequest, index
from search.settings import Settings
from tests.bench.bench_api import WORDS, Wordy, asked, fill, service
from tests.bench.report import Figure
from tests.crash.media import Files

CLIENTS = int(os.environ.get("SENSORIUM_CROWD_CLIENTS", "200"))
SECONDS = float(os.environ.get("SENSORIUM_CROWD_SECONDS", "120"))
FULL = 429
"""The status by which a service says that its queue is full, and when to come back."""


class Crowd:
    """Clients that ask as fast as they are answered, each over a connection of its own; who is told to come back does so."""

    def __init__(self, address: str) -> None:
        self._host = address.removeprefix("http://")
        self._end = time.monotonic() + SECONDS
        self.spent: list[float] = []
        self.answers: Counter[int] = Counter()
        self.broken: Counter[str] = Counter()

    def ask(self, number: int) -> None:
        http, turn = HTTPConnection(self._host, timeout=60), 0
        while time.monotonic() < self._end:
            turn += 1
            body, began = json.dumps(asked(WORDS[(number + turn) % len(WORDS)])), time.perf_counter()
            try:
                http.request("POST", "/v1/search", body, {"Content-Type": "application/json"})
                answer = http.getresponse()
                answer.read()
            except OSError as error:
                self.broken[type(error).__name__] += 1
                http.close()
                continue
            self.spent.append((time.perf_counter() - began) * 1000)
            self.answers[answer.status] += 1
            if answer.status == FULL:
                time.sleep(float(answer.headers["Retry-After"]))
        http.close()


def ingest(settings: Settings, folder: Path, taken: Synchronized[int]) -> None:
    """Take files in, a few a run, until the bench ends this process."""
    files = Files(folder, Random(1))
    while True:
        files.add(10)
        taken.value += index(settings, RunRequest([folder]), encoder=Wordy()).progress.done


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive"
        archive.mkdir()
        settings = replace(Settings(home=Path(folder) / "home"), roots=str(archive))
        fill(settings, archive)
        processes = multiprocessing.get_context("spawn")
        taken = processes.Value("q", 0)
        with service(settings) as (address, _):
            ingesting = processes.Process(target=ingest, args=(settings, Path(folder) / "new", taken))
            ingesting.start()
            crowd = Crowd(address)
            threads = [threading.Thread(target=crowd.ask, args=(number,)) for number in range(CLIENTS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            ingesting.kill()
            ingesting.join()
    spent = np.array(crowd.spent)
    what = f"{CLIENTS} clients for {SECONDS:g} s, with an ingest"
    yield Figure(f"{what}: server errors", sum(count for status, count in crowd.answers.items() if status >= 500), "", most=0)
    yield Figure(f"{what}: broken connections", crowd.broken.total(), "", most=0)
    yield Figure(f"{what}: told to come back", crowd.answers[FULL], "")
    yield Figure(f"{what}: files taken in meanwhile", taken.value, "", least=1)
    yield Figure(f"{what}: answered", len(spent) / SECONDS, "searches a second")
    yield Figure(f"{what}: p50", float(np.median(spent)), "ms")
    yield Figure(f"{what}: p99", float(np.quantile(spent, 0.99)), "ms")
