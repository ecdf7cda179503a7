"""Re-ranking a thousand shots of ten frames by a text of 32 words, the frames being at hand; X-CLIP without weights, as it is used."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import numpy as np

from search.query.xclip import XClip
from tests.bench.report import Figure, seconds

SHOTS, FRAMES, WORDS, DIM = 1_000, 10, 32, 512


def run() -> Iterator[Figure]:
    rng = np.random.default_rng(0)
    words, model = rng.standard_normal((WORDS, DIM), np.float32), XClip()
    shots = [rng.standard_normal((FRAMES, DIM), np.float32) for _ in range(SHOTS)]
    taken = median(seconds(lambda: model.similarities(words, shots)) for _ in range(21))
    yield Figure("comparing 1,000 shots with a text", taken * 1000, "ms", most=100)
