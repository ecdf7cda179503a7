"""Motion without a model: whether turns, stops, climbs and descents of rides, recorded with the wavering of real receivers, are found by words.

Truth is what the generated rides do. A moment is right if its middle lies in such an event, or within the two seconds by which smoothing
spreads it. Beside the figures stands that of a ride as receivers without any error would record it.
"""

from __future__ import annotations

import datetime as dt
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from statistics import mean

from indexer.run import RunRequest, index
from search.encoders.series import SeriesEncoder
from search.query import Engine, Term
from search.settings import Settings
from search.types import Filter, Modality
from tests.bench.report import Figure
from tests.bench.truth.recorded_tracks import Ride, ride

RIDES, K, SPREAD, LEAST = 24, 10, 2.0, 0.9
QUESTIONS = {
    "turn left": ("left",), "turning right": ("right",), "turns": ("left", "right"), "stopping": ("stopped",), "climbing": ("climbing",),
    "going downhill": ("descending",), "links abbiegen": ("left",), "halten": ("stopped",), "bergauf": ("climbing",),
    "virage à droite": ("right",), "subida": ("climbing",),
}  # fmt: skip
"""Questions -> what they ask for."""


def run() -> Iterator[Figure]:
    for noise, least in ((1.0, LEAST), (2.0, None), (0.0, None)):
        found = ndcg(RIDES, noise)
        worst = min(found, key=lambda one: found[one])
        how = {1.0: "receivers' wavering", 2.0: "twice that", 0.0: "none"}[noise]
        yield Figure(f"nDCG@{K} of {len(found)} questions by words, {RIDES} rides, {how}", mean(found.values()), "", least=least)
        yield Figure(f'nDCG@{K} of the worst, "{worst}", {how}', found[worst], "")


def ndcg(rides: int, noise: float) -> dict[str, float]:
    """nDCG@10 of each question, in an archive of so many rides."""
    made = {f"{number}.gpx": ride(Random(number), noise=noise) for number in range(rides)}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, one) in enumerate(made.items()):
            Path(folder, name).write_text(one.gpx(dt.datetime(2024, 5, 1 + number % 28, 10, tzinfo=dt.UTC)), "utf-8")
        with tempfile.TemporaryDirectory() as home:
            settings, encoder = Settings(home=Path(home)), SeriesEncoder()
            index(settings, RunRequest([Path(folder)]), encoder=encoder)
            with Engine(settings, encoder=encoder) as engine:
                return {text: _gained(engine, text, kinds, made) for text, kinds in QUESTIONS.items()}


def _gained(engine: Engine, text: str, kinds: tuple[str, ...], made: dict[str, Ride]) -> float:
    hits = engine.search(Term(text, Modality.TEXT), Filter(modalities=(Modality.IMU,)), k=K).hits
    gains = []
    for hit in hits:
        assert hit.span is not None
        at = (hit.span.start + hit.span.end) / 2000
        events = made[Path(hit.segment.path).name].events
        gains.append(any(one.kind in kinds and one.begin - SPREAD <= at <= one.end + SPREAD for one in events))
    discounts = [1 / math.log2(rank + 2) for rank in range(K)]
    return sum(discount for discount, gain in zip(discounts, gains, strict=False) if gain) / sum(discounts)
