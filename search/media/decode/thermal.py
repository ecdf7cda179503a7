"""Heat: pictures of infrared radiation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from search.media.decode import grey
from search.media.decode.grey import Plane
from search.media.source import Found, Limits, Source
from search.types import Modality, Needs

_COLD, _HOT = 1, 99
"""Percentiles of a picture that become 0 and 1, so that a dead pixel or the sun does not take the contrast from the rest."""


def read(source: Source, needs: Needs, limits: Limits) -> Iterator[Found]:
    """Decode a picture of heat; yields and raises as ``grey.read``."""
    return grey.read(source, needs, limits, Modality.THERMAL, warmth)


def warmth(values: Plane, mode: str) -> Plane:
    """Values to [0, 1], hot being 1.

    Bytes are taken as they are: the camera has chosen their range. Deeper values are counts of a sensor, or degrees, of which each
    camera has its own: the coldest hundredth of the picture becomes 0, and the hottest 1. What shows no difference is 0.
    """
    if mode == "L":
        return values / np.float32(255)
    cold, hot = np.percentile(values, (_COLD, _HOT)).tolist()
    return ((values - np.float32(cold)) / np.float32(max(hot - cold, 1e-9))).clip(0, 1)
