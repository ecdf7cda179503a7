"""Tracks in FIT, the format of sports watches and cycle computers, through fitdecode."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import BinaryIO

import fitdecode

from search.errors import MediaError
from search.media.decode import tracks
from search.media.source import Found
from search.types import Needs

_SEMICIRCLES = 2**31 / 180
"""FIT's unit of angles in a degree."""


def read(file: BinaryIO, needs: Needs) -> Iterator[Found]:
    """The track in a FIT file, see ``tracks.cut``. Of a damaged file, what comes before the damage counts.

    Raises:
        MediaError: ``undecodable``, it is not FIT; else as ``tracks.cut`` does.
    """
    points: list[tuple[float, float, float, float]] = []
    try:
        with fitdecode.FitReader(file, check_crc=fitdecode.CrcCheck.DISABLED) as frames:
            for frame in frames:
                if frame.frame_type != fitdecode.FIT_FRAME_DATA or frame.name != "record":
                    continue
                names = ("timestamp", "position_lat", "position_long", "enhanced_altitude", "altitude")
                time, lat, lon, *heights = (frame.get_value(name, fallback=None) for name in names)
                if not isinstance(time, dt.datetime) or lat is None or lon is None:
                    continue
                up = next((one for one in heights if one is not None), None)
                points.append((time.timestamp(), lat / _SEMICIRCLES, lon / _SEMICIRCLES, tracks.number(up)))
                if len(points) == tracks.MAX_POINTS:
                    break
    except fitdecode.FitError as error:
        if not points:
            raise MediaError("undecodable", f"it is not valid FIT: {error}") from error
    yield from tracks.cut(points, "fit", needs, whole=len(points) < tracks.MAX_POINTS)
