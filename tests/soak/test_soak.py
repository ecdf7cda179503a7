"""The service for an hour (SENSORIUM_SOAK_SECONDS) of files that come and go, index jobs and searches: it must not grow.

A sample is taken after each round: resident memory of the service with its children between two jobs, file descriptors, threads.
The first sixth is warm-up. Growth is the median of the last quarter over that of the first quarter after the warm-up.
"""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil
import pytest

from search.api.client import Client
from tests.crash.media import Files

ROOT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("SENSORIUM_SOAK_SECONDS", "20"))
SEED = int(os.environ.get("SENSORIUM_SOAK_SEED", "1"))
STEADY = 200
"""Files that the archive keeps at: what is added is taken away again, so that only leaks grow."""
WORDS = ("red", "a blue picture", "a high tone", "number seven", "green or yellow", "white noise")


@dataclass(frozen=True)
class Sample:
    seconds: float
    memory: int
    descriptors: int
    threads: int


def sample(process: psutil.Process, began: float) -> Sample:
    family = [process, *process.children(recursive=True)]
    memory = sum(one.memory_info().rss for one in family)
    return Sample(time.monotonic() - began, memory, process.num_fds(), process.num_threads())


def growth(samples: list[Sample], name: str) -> float:
    """How much larger the last quarter is than the first one after the warm-up."""
    steady = [getattr(one, name) for one in samples if one.seconds > SECONDS / 6]
    quarter = max(1, len(steady) // 4)
    return statistics.median(steady[-quarter:]) / statistics.median(steady[:quarter]) - 1


@pytest.fixture
def serving(tmp_path):
    files = Files(tmp_path / "archive", Random(SEED))
    command = [sys.executable, "-m", "ui.cli", "serve", "--no-token", "--no-page", "--port", "0", "--root", str(files.folder)]
    env = os.environ | {"SENSORIUM_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        told = ""
        while process.poll() is None and not (found := re.search(r"http://[\d.]+:\d+", told)):
            told += process.stderr.readline()
        assert found, told
        yield files, found.group(), psutil.Process(process.pid)
        process.send_signal(signal.SIGTERM)
        assert "Traceback" not in process.stderr.read()


@pytest.mark.timeout(4 * SECONDS + 600)
def test_hours_of_work_leave_the_service_as_large_as_it_was(serving, record_property):
    files, address, process = serving
    random, samples, began, searched = Random(SEED), [], time.monotonic(), 0
    files.add(STEADY if SECONDS > 60 else 20)
    with Client(address) as client:
        while time.monotonic() - began < SECONDS or len(samples) < 4:
            job = client.index([files.folder.name], prune=True)
            while client.job(job.id).state in ("queued", "running"):
                searched += len([client.search(random.choice(WORDS), k=10) for _ in range(5)]) if samples else 0
                time.sleep(0.1)
            assert client.job(job.id).state == "done", client.job(job.id)
            for _ in range(40):
                answer = client.search(random.choice(WORDS), targets=random.choice(((), ["image"], ["text", "audio"])), k=10)
                assert answer.hits
                searched += 1
            samples.append(sample(process, began))
            for path in random.sample(files.paths(), 8):
                path.unlink()
            files.add(8)
    figures = {name: growth(samples, name) for name in ("memory", "descriptors", "threads")}
    report = f"{len(samples)} rounds, {searched} searches; {figures}; first {samples[0]}, last {samples[-1]}; seed {SEED}"
    record_property("soak", report)
    print(report)
    if trace := os.environ.get("SENSORIUM_SOAK_TRACE"):
        Path(trace).write_text("\n".join(map(repr, samples)) + "\n")
    long = SECONDS >= 600  # in a short one caches are still filling, and the pool still opens connections
    assert figures["memory"] < (0.05 if long else 0.25), report
    assert max(figures["descriptors"], figures["threads"]) < (0.1 if long else 0.5), report
