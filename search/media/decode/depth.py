"""Depth: pictures that hold the distance of everything."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from search.media.decode import grey
from search.media.decode.grey import Plane
from search.media.source import Found, Limits, Source
from search.types import NEAREST_METRES, Modality, Needs

_MILLIMETRES = 1000


def read(source: Source, needs: Needs, limits: Limits) -> Iterator[Found]:
    """Decode a picture of depth; yields and raises as ``grey.read``."""
    return grey.read(source, needs, limits, Modality.DEPTH, nearness)


def nearness(values: Plane, mode: str) -> Plane:
    """Convert depth to inverse depth in [0, 1]: ``NEAREST_METRES`` metres and less are 1, twice as far is half. 0 means unknown to
    sensors, and stays 0.

    Inverse depth is what models take (disparity), and it has the finest steps near the camera. Integers of 16 and 32 bits are
    millimetres, as from the Kinect, RealSense and telephones; floating point is metres. Bytes have too small a range for either.
    They are taken to be inverse depth already, white being near, as depth estimators draw it.
    """
    if mode == "L":
        return values / np.float32(255)
    metres = values if mode == "F" else values / _MILLIMETRES
    seen = metres > 0
    return np.where(seen, NEAREST_METRES / np.maximum(metres, NEAREST_METRES), 0).astype(np.float32)
