"""What a track or a recording of motion tells over time: the strength of its features, and the way that it takes."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from search.encoders.series import SeriesEncoder, strengths
from search.media import DecodePool
from search.media.opening import Held
from search.types import TRACK_RATE, Cut

MAX_STRETCHES = 600
"""The most stretches of a strip; of a longer recording, neighbours are put together."""

_TRACK_ROWS = 3


@dataclass(frozen=True, slots=True)
class MotionStretch:
    """A part of a recording, in milliseconds: the features that it tells, each 0 to 1, and the way at its end, in metres east and
    north of where the track begins; None: it is no track."""

    start_ms: int
    end_ms: int
    features: dict[str, float]
    way: tuple[float, float] | None


def strip(pool: DecodePool, file: Path | Held) -> list[MotionStretch]:
    """The stretches of a recording, in order. Where a track was interrupted, its way goes on from where it was.

    Raises:
        MediaError: the file cannot be decoded.
    """
    found, east, north = list[MotionStretch](), 0.0, 0.0
    with closing(pool.decode(file, SeriesEncoder().needs)) as replies:
        for cut in replies:
            if isinstance(cut, Cut) and cut.span and not isinstance(cut.content, str):
                content = np.asarray(cut.content, np.float32)
                way = None
                if len(content) == _TRACK_ROWS:
                    east, north = (at + float(row.sum()) / TRACK_RATE for at, row in zip((east, north), content, strict=False))
                    way = (east, north)
                found.append(MotionStretch(cut.span.start, cut.span.end, strengths(content), way))
    return _thinned(found)


def _thinned(found: list[MotionStretch]) -> list[MotionStretch]:
    """At most ``MAX_STRETCHES``: of neighbours that are put together, each feature is as strong as in the strongest."""
    each = -(-len(found) // MAX_STRETCHES) or 1
    groups = (found[at : at + each] for at in range(0, len(found), each))
    return [
        MotionStretch(
            some[0].start_ms, some[-1].end_ms,
            {name: max(one.features.get(name, 0.0) for one in some) for name in some[0].features}, some[-1].way,
        )
        for some in groups
    ]  # fmt: skip
