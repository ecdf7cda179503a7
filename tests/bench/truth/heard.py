"""What windows of sound hold: how loud a tone is in them, how clear, and when it is heard."""

from __future__ import annotations

import numpy as np

from tests.bench.truth.archive import Asset, Part
from tests.bench.truth.case import TOLERANCE_MS, Tone
from tests.bench.truth.oracle import tone_times
from tests.bench.truth.recorder import RATE


def _heard(start: float, end: float, parts: list[Part]) -> list[np.ndarray]:
    """What windows of sound hold between two times, in seconds."""
    found = []
    for part in parts:
        if part.content is None or part.start is None:
            continue
        first, last = round((start - part.start / 1000) * RATE), round((end - part.start / 1000) * RATE)
        piece = part.content.reshape(-1)[max(first, 0) : max(last, 0)]
        if len(piece) > RATE // 20:
            found.append(piece)
    return found


def level(tone: Tone, parts: list[Part]) -> float:
    """How loud a tone is where it is loudest, in dB of full scale."""
    inner = (tone.end - tone.start) / 5
    best = 1e-6
    for piece in _heard(tone.start + inner, tone.end - inner, parts):
        window = np.hanning(len(piece))
        wave = np.exp(-2j * np.pi * tone.hertz * np.arange(len(piece)) / RATE)
        best = max(best, float(2 * abs((piece * window * wave).sum()) / window.sum()))
    return 20 * float(np.log10(best))


def clearness(tone: Tone, parts: list[Part]) -> float:
    """How much louder a tone is than everything else in the window where it is clearest, in dB."""
    best = -99.0
    inner = (tone.end - tone.start) / 5
    for piece in _heard(tone.start + inner, tone.end - inner, parts):
        wave = np.exp(-2j * np.pi * tone.hertz * np.arange(len(piece)) / RATE)
        power, all_of = 2 * abs((piece * wave).mean()) ** 2, float((piece.astype(np.float64) ** 2).mean())
        best = max(best, 10 * float(np.log10(max(power, 1e-12) / max(all_of - power, 1e-12))))
    return best


def loudness(parts: list[Part]) -> float:
    """Root mean square of what windows hold, in dB; where there are several of one time, the loudest counts."""
    return max(
        (
            10 * float(np.log10(max(float((part.content.astype(np.float64) ** 2).mean()), 1e-12)))
            for part in parts
            if part.content is not None
        ),
        default=-120.0,
    )


def onset(tone: tuple[float, float], asset: Asset) -> tuple[str, str, str, bool]:
    """When the tone of 1 kHz is heard: its first and last 10 ms."""
    parts = [part for part in asset.of("sound") if part.content is not None and part.start is not None]
    heard = [part.start / 1000 + at for part in parts for at in tone_times(part.content.reshape(-1), RATE)]  # type: ignore[operator, union-attr]
    if not heard:
        return "tone", f"{tone[0]:.2f}-{tone[1]:.2f} s", "not heard", False
    first, last = min(heard), max(heard) + 0.01
    right = abs(first - tone[0]) * 1000 <= TOLERANCE_MS and abs(last - tone[1]) * 1000 <= TOLERANCE_MS
    return "tone", f"{tone[0]:.2f}-{tone[1]:.2f} s", f"{first:.2f}-{last:.2f} s", right
