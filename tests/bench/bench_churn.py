"""Lists after nine tenths of their vectors were replaced, a tenth at a time, beside lists that were learned anew from the same vectors."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from statistics import median

import numpy as np

from search import encoders
from search.index import FlatIndex
from search.index.coded import CodedLists, CodedScan
from search.query.calibration import brought
from search.types import Modality, Vectors
from tests.bench.bench_million import REAL, pictures, spread
from tests.bench.report import Figure

COUNT = int(os.environ.get("SENSORIUM_CHURN_VECTORS", "100000"))
ROUNDS, FOUND = 5, 10


def run() -> Iterator[Figure]:
    encoder = encoders.load("pocket")
    calibrated = brought(encoder.space, encoder)
    assert calibrated is not None
    text = calibrated.questions[Modality.TEXT]
    real = pictures(encoder, REAL)
    flat = FlatIndex(encoder.space.dim)
    _add(flat, 1, spread(real, COUNT))
    lists, tenth = CodedLists.learned(flat, flat.ids()), COUNT // 10
    for part in range(9):
        flat.remove(np.arange(1 + part * tenth, 1 + (part + 1) * tenth))
        _add(flat, 1 + COUNT + part * tenth, spread(real, tenth, seed=1 + part))
        lists.follow(flat, flat.ids())
    scans = {"replaced": CodedScan(flat, lists), "learned anew": CodedScan(flat, CodedLists.learned(flat, flat.ids()))}
    tuned, asked = text[: len(text) // 2], text[len(text) // 2 :]
    for scan in scans.values():
        scan.tune({"text": tuned})
    truth = flat.search_apart(asked, FOUND, flat.ids())[0]
    times: dict[str, list[float]] = {name: [] for name in scans}
    recall = {}
    for _ in range(ROUNDS):  # side by side
        for name, scan in scans.items():
            began = time.process_time()
            rows = np.concatenate([scan.search(one[None], FOUND, 1.0, None)[1] for one in asked])
            times[name].append(time.process_time() - began)
            found = zip(scan.ids[rows], truth, strict=True)
            recall[name] = float(np.mean([np.isin(theirs, ours).mean() for ours, theirs in found]))
    for name in scans:
        yield Figure(f"recall@10 of texts over {COUNT:,} vectors, lists {name}", recall[name], "", least=0.95)
    old, new = (len(asked) / median(times[name]) for name in scans)
    yield Figure("questions a core-second: replaced, over learned anew", old / new, "", least=0.95)
    yield Figure("questions a core-second, learned anew", new, "1/s")


def _add(flat: FlatIndex, first: int, batches: Iterator[Vectors]) -> None:
    for batch in batches:
        flat.add(np.arange(first, first + len(batch)), batch)
        first += len(batch)
