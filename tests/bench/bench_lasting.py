"""Memory of the service over 2,000 queries by text, image, sound and video: how much it grows with each of them, once it is warm.

``SENSORIUM_LASTING_QUERIES`` says how many.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import psutil

from search.api.client import Client
from tests.bench.report import ROOT, SAMPLE, Figure
from tests.waiting import until

QUERIES = int(os.environ.get("SENSORIUM_LASTING_QUERIES", "2000"))
WARM, SAMPLES = 0.25, 100
"""The share of queries that warms the service up, and how often memory is looked at."""
ADDRESS = r"http://[\d.]+:\d+"
SUBJECTS = ("a dog", "a red car", "the sea", "a trumpet", "rain", "a crowd", "snow", "a recipe", "a bird", "an old house")
PLACES = ("at night", "in the sun", "on a table", "far away", "from above", "in a city", "with people", "in black and white")


def ask(client: Client, random: Random, number: int) -> None:
    """One query, mixed from text and files; of the files, one in four is another one each time, by a byte at its end."""
    words = f"{random.choice(SUBJECTS)} {random.choice(PLACES)} {random.randint(0, 99)}"
    folder = (None, "images", "sounds", "videos")[number % 4]
    if folder is None:
        client.search(words, k=20)
        return
    file = random.choice([*(SAMPLE / folder).iterdir()])
    content = file.read_bytes() + bytes(random.random() < 0.25)
    upload = client.upload(content, name=file.name)
    client.search([{"upload": upload.id}, *([{"text": words, "weight": 0.5}] if random.random() < 0.5 else [])], k=20)
    client.delete_upload(upload.id)


def memory(process: psutil.Process) -> float:
    """Resident MB of the service alone: its decoders come and go."""
    return process.memory_info().rss / 1e6


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"SENSORIUM_HOME": f"{folder}/home"}
        subprocess.run([sys.executable, "-m", "ui.cli", "index", str(SAMPLE)], cwd=ROOT, env=env, check=True, capture_output=True)
        command = [sys.executable, "-m", "ui.cli", "serve", "--no-token", "--no-page", "--port", "0"]
        with (Path(folder) / "log").open("w+") as log, subprocess.Popen(command, cwd=ROOT, env=env, stderr=log) as serving:
            try:
                samples = measured(serving, Path(log.name))
            finally:
                serving.terminate()
    at, seen = np.array(samples).T
    slope = np.polyfit(at, seen, 1)[0]
    quarter = max(1, len(seen) // 4)
    grown = float(np.median(seen[-quarter:]) / np.median(seen[:quarter]) - 1)
    yield Figure(f"the service after {QUERIES} mixed queries", float(seen[-1]), "MB")
    yield Figure("slope once it is warm", float(slope * 1000), "MB per 1,000 queries")
    yield Figure("last quarter over the first, once it is warm", 100 * grown, "%", most=5)


def measured(serving: subprocess.Popen[bytes], log: Path) -> list[tuple[int, float]]:
    """Ask, and look at the memory: (queries, MB) once the service is warm."""
    until(lambda: serving.poll() is not None or re.search(ADDRESS, log.read_text()), log.read_text)
    address = re.search(ADDRESS, log.read_text())
    assert address, log.read_text()
    process, random, samples = psutil.Process(serving.pid), Random(1), []
    with Client(address.group()) as client:
        for number in range(QUERIES):
            ask(client, random, number)
            if number >= WARM * QUERIES and not number % max(1, QUERIES // SAMPLES):
                samples.append((number, memory(process)))
    return samples
