"""Decoding in confined processes, against the very same without confinement.

Both pools are there at once and take turns, photograph by photograph and clip by clip, so that a machine whose speed drifts
does not decide. What a file costs is the time until its last cut is here, as the parent sees it: medians of the rounds are summed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from unittest.mock import patch

from search.media import DecodePool
from search.settings import Settings
from search.types import Needs
from tests.bench.report import SAMPLE, Figure, given, seconds

NEEDS = Needs(size=260, fit="squash", rate=16_000, window_ms=5_000, characters=1_000)
MOST = 1.1
ROUNDS = 5


def run() -> Iterator[Figure]:
    settings = Settings(home=Path("/nonexistent"))
    yield Figure("starting a decoder", 1000 * _starting(settings, "search.media.sandbox.child"), "ms")
    yield Figure("starting one without confinement", 1000 * _starting(settings, "tests.bench.unconfined"), "ms")
    for what, files in _files():
        with _pool(settings, "search.media.sandbox.child") as confined, _pool(settings, "tests.bench.unconfined") as free:
            with_it, without = _rounds((confined, free), files)
        yield Figure(f"{what} decoded", len(files) / with_it, "a second, by one decoder")
        yield Figure(f"{what}, time confined over time unconfined", with_it / without, "", most=MOST)


def _files() -> Iterator[tuple[str, Sequence[Path]]]:
    yield "photos", sorted((given("flickr8k") / "images").iterdir())[:300]
    yield "sounds", sorted((given("esc10") / "clips").iterdir())[:60]
    yield "videos", sorted((SAMPLE / "videos").iterdir())
    yield "texts", sorted((SAMPLE / "texts").iterdir())


def _pool(settings: Settings, child: str) -> DecodePool:
    with patch("search.media.sandbox.process._CHILD", child):
        return DecodePool(settings, 1)


def _starting(settings: Settings, child: str) -> float:
    """From nothing to the first decoded file."""

    def start() -> None:
        with _pool(settings, child) as pool:
            list(pool.decode(SAMPLE / "texts" / "bread-recipe.txt", NEEDS))

    return median(seconds(start) for _ in range(ROUNDS))


def _rounds(pools: tuple[DecodePool, DecodePool], files: Sequence[Path]) -> tuple[float, float]:
    """Seconds that all files take in each pool."""
    taken: dict[tuple[int, Path], list[float]] = {}
    for turn in range(ROUNDS + 1):
        for file in files:
            for number in (turn % 2, 1 - turn % 2):
                spent = seconds(lambda: list(pools[number].decode(file, NEEDS)))  # noqa: B023 - called at once
                if turn:  # the first round warms up
                    taken.setdefault((number, file), []).append(spent)
    first, second = (sum(median(taken[number, file]) for file in files) for number in (0, 1))
    return first, second
