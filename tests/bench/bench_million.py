"""A million segments: opening the archive, searching it, and the memory that it takes, in a process of its own.

The vectors are those of the given pictures, spread (``spread``) and written straight into the tables. ``SENSORIUM_MILLION_SEGMENTS`` says how many.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
from PIL import Image

from search import encoders
from search.live import LiveIndex
from search.query import Engine, Term
from search.query.calibration import brought
from search.settings import Settings
from search.store import Database, Intake, Spaces, SqlStore
from search.types import Modality, Vectors
from tests.bench.report import ROOT, Figure, given, seconds

SEGMENTS = int(os.environ.get("SENSORIUM_MILLION_SEGMENTS", "1000000"))
QUESTIONS, REAL, NEIGHBOURS, AT_ONCE = 200, 2_000, 32, 20_000


def spread(real: Vectors, count: int, seed: int = 0) -> Iterator[Vectors]:
    """``count`` vectors (m, dim) in batches, made of real ones (n, dim) of one modality.

    Each lies between a real vector and one of its nearest neighbours, moved by a third of the difference of two others. So means, covariance and
    density stay those of the modality, and with them the gap to other modalities.
    """
    rng = np.random.default_rng(seed)
    near = np.argpartition(-(real @ real.T), NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    for start in range(0, count, AT_ONCE):
        size = min(AT_ONCE, count - start)
        first, other, another = rng.integers(0, len(real), (3, size))
        second, part = near[first, rng.integers(0, NEIGHBOURS, size)], rng.random((size, 1), np.float32)
        rows = part * real[first] + (1 - part) * real[second] + (real[other] - real[another]) / 3
        yield rows / np.linalg.norm(rows, axis=1, keepdims=True)


def captions() -> list[str]:
    """Captions of the given pictures, in a fixed random order."""
    with (given("flickr8k") / "captions.csv").open(encoding="utf-8") as file:
        found = [row["caption"] for row in csv.DictReader(file)]
    return [found[at] for at in np.random.default_rng(0).permutation(len(found))]


def pictures(encoder: encoders.Encoder, count: int) -> Vectors:
    """Vectors (count, dim) of the first given pictures."""
    files, size = sorted((given("flickr8k") / "images").iterdir())[:count], (encoder.needs.size, encoder.needs.size)
    batches = (files[start : start + 8] for start in range(0, len(files), 8))
    read = (
        [np.asarray(Image.open(file).convert("RGB").resize(size, Image.Resampling.BICUBIC)) for file in some] for some in batches
    )
    return np.concatenate([encoder.encode(Modality.IMAGE, batch) for batch in read])


def fill(settings: Settings, encoder: encoders.Encoder, batches: Iterator[Vectors]) -> None:
    """An archive of pictures of one segment each, with these vectors."""
    database = Database(settings.database)
    database.upgrade()
    space = Spaces(database).add(encoder.space, encoder.space.name).key
    collection, first = Intake(database).collection("made-up", [b"/made-up"]), 1
    for batch in batches:
        ids = range(first, first + len(batch))
        rows = {
            "asset (id, digest, size, modality, format, width, height, day, dated_by, created_at)":
                [(n, n.to_bytes(32, "big"), 1, "image", "jpeg", 640, 480, n % 9_000, "file", 1) for n in ids],
            "location (collection_id, asset_id, path, size, mtime_ns, state, seen)":
                [(collection, n, b"/made-up/%03d/%07d.jpg" % (n // 10_000, n), 1, 1, "present", 1) for n in ids],
            "segment (id, asset_id, channel, ordinal)": [(n, n, "visual", 0) for n in ids],
            "unit (asset_id, space_id, state, attempts, updated_at)": [(n, space, "done", 1, 1) for n in ids],
            "embedding (space_id, segment_id, vector)":
                [(space, n, row.tobytes()) for n, row in zip(ids, batch.astype("<f2"), strict=True)],
        }  # fmt: skip
        with database.writing() as connection:
            for table, values in rows.items():
                connection.exec_driver_sql(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values[0]))})", values)
            connection.exec_driver_sql(
                "DELETE FROM renamed"
            )  # names of files take as much room again, and are not what is measured
        first += len(batch)
    database.close()


def run() -> Iterator[Figure]:
    encoder = encoders.load("pocket")
    real = pictures(encoder, REAL)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder, "home"))
        settings.home.mkdir()
        fill(settings, encoder, spread(real, SEGMENTS))
        database = Database(settings.database)
        entry = Spaces(database).find()
        live = LiveIndex(SqlStore(database), settings.home, entry.space, entry.key, fresh=True)
        began = time.process_time()
        live.write(calibrated.questions if (calibrated := brought(entry.space, encoder)) else {})
        yield Figure(
            f"lists over {SEGMENTS:,} segments: learned, filled and tuned, processor time", time.process_time() - began, "s"
        )
        database.close()
        command = [sys.executable, "-m", "tests.bench.bench_million", str(settings.home)]
        told = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    yield Figure(f"opening an archive of {SEGMENTS:,} segments", told["opening"], "s", most=1.54)
    yield Figure("the same, processor time", told["opening_processor"], "s")
    yield Figure("a search, p50", told["p50"], "ms", most=8.1)
    yield Figure("resident memory after opening and searching", told["resident"], "MB", most=1_000)
    for name, recall in told["recall"].items():
        yield Figure(f"recall@10 of lists, {name}", recall, "", least=0.95)


def measured_here(home: Path) -> dict[str, Any]:
    """What opening and searching an archive takes in this process."""
    encoder = encoders.load("pocket")
    began, spent = time.perf_counter(), time.process_time()
    with Engine(Settings(home=home), encoder=encoder) as engine:
        opening, processor = time.perf_counter() - began, time.process_time() - spent
        texts = [Term(text, Modality.TEXT) for text in captions()[:QUESTIONS]]
        spans = [seconds(lambda text=text: engine.search(text, k=10)) for text in texts]
        recall = {one.asked: one.recall for one in engine.searcher().reached() if not one.real}
        resident = psutil.Process().memory_info().rss / 1e6
    return {
        "opening": opening,
        "opening_processor": processor,
        "p50": 1000 * median(spans),
        "resident": resident,
        "recall": recall,
    }


if __name__ == "__main__":
    print(json.dumps(measured_here(Path(sys.argv[1]))))
