"""Searching 100,000 segments: the engine, against the sum of what it cannot do without, encoding the words and scanning the vectors; and what
following a change adds.

The archive is made up: vectors around random centres, as many assets as segments, written to the tables as the indexer writes them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from search import encoders
from search.index import FlatIndex
from search.query import Engine, Term
from search.settings import Settings
from search.store import Database, Finished, Intake, Queue, Spaces
from search.store.intake import Sighting
from search.types import Channel, Cut, Info, Modality, Vectors
from tests.bench.report import Figure, seconds

SEGMENTS, ROUNDS, FOLLOWED = 100_000, 101, 9
_NOTHING = np.empty(0, np.uint8)


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder, "home"))
        encoder = encoders.load("pocket")
        vectors = make(settings, encoder, SEGMENTS)
        with Engine(settings, encoder=encoder) as engine:
            engine.write_generation()
        opening = seconds(lambda: Engine(settings, encoder=encoder).close())
        yield Figure("opening an archive of 100,000 segments", opening, "s", most=10)
        with Engine(settings, encoder=encoder) as engine:
            yield from _compare(engine, encoder, vectors)
            yield _follow(engine, settings, encoder)


def make(settings: Settings, encoder: encoders.Encoder, count: int) -> Vectors:
    """Fill an archive with ``count`` pictures of one segment; returns their vectors (count, dim)."""
    rng = np.random.default_rng(0)
    dim = encoder.space.dim
    centres = rng.standard_normal((200, dim), np.float32)
    vectors = centres[rng.integers(0, len(centres), count)] + rng.standard_normal((count, dim), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    database = Database(settings.database)
    database.upgrade()
    intake = Intake(database)
    space, collection = Spaces(database).add(encoder.space, encoder.space.name).key, intake.collection("made-up", [b"/made-up"])
    info, cut = Info(Modality.IMAGE, "jpeg", 640, 480), Cut(Channel.VISUAL, Modality.IMAGE, None, _NOTHING)
    for start in range(0, count, 5_000):
        some = range(start, min(start + 5_000, count))
        files = [(Sighting(b"/made-up/%06d.jpg" % n, 1, 0), n.to_bytes(32, "big")) for n in some]
        for batch in (files[at : at + 500] for at in range(0, len(files), 500)):
            intake.put_files(collection, 1, [space], batch)
        work = Queue(database, space, "bench")
        units = work.lease(len(files))
        work.put([Finished(unit, info, [cut], vectors[unit.asset - 1][None]) for unit in units])
    database.close()
    return vectors


def _follow(engine: Engine, settings: Settings, encoder: encoders.Encoder) -> Figure:
    """What one new file adds to the first answer after it."""

    def ask(number: float) -> float:
        return seconds(lambda: engine.search(Term(f"a dog of the colour number {number} on a beach", Modality.TEXT), k=10))

    database = Database(settings.database)
    intake, space = Intake(database), Spaces(database).find()
    ratios = []
    for number in range(1_000, 1_000 + FOLLOWED):
        before = median(ask(number + part / 4) for part in (1, 2, 3))
        file = Sighting(b"/made-up/new%d.jpg" % number, 1, 0), number.to_bytes(32, "little")
        intake.put_files(intake.collection("made-up", []), 1, [space.key], [file])
        work = Queue(database, space.key, "bench")
        info, cut = Info(Modality.IMAGE, "jpeg", 640, 480), Cut(Channel.VISUAL, Modality.IMAGE, None, _NOTHING)
        work.put([Finished(unit, info, [cut], np.eye(1, encoder.space.dim, dtype=np.float32)) for unit in work.lease(1)])
        time.sleep(1)  # while the archive grows without pause, a view is not made anew for each answer
        ratios.append(ask(number) / before)
    database.close()
    return Figure("the first answer after one new file, over that before it, p50", median(ratios), "", most=1.3)


def _compare(engine: Engine, encoder: encoders.Encoder, vectors: Vectors) -> Iterator[Figure]:
    """Each round asks new words, so that nothing is remembered; the parts are timed in the same rounds."""
    index = FlatIndex(encoder.space.dim)
    index.add(np.arange(1, len(vectors) + 1), vectors)
    whole, encoding, scanning = [], [], []
    for number in range(ROUNDS):
        words = f"a dog of the colour number {number} on a beach"
        whole.append(seconds(lambda words=words: engine.search(Term(words, Modality.TEXT), k=10)))
        words += "?"
        encoding.append(seconds(lambda words=words: encoder.encode(Modality.TEXT, [words])))
        query = encoder.encode(Modality.TEXT, [words])
        scanning.append(seconds(lambda query=query: index.search(query, 40)))
    parts = [e + s for e, s in zip(encoding, scanning, strict=True)]
    yield Figure("engine, warm, p50", 1000 * median(whole), "ms")
    yield Figure("encoding the words, p50", 1000 * median(encoding), "ms")
    yield Figure("scanning, p50", 1000 * median(scanning), "ms")
    yield Figure("engine over encoding and scanning, p50", median(whole) / median(parts), "", most=1.3)
