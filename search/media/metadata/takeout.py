"""The JSON that Google Takeout writes beside each exported photograph and film, with time and place."""

from __future__ import annotations

import json
from typing import Any

from search.errors import MediaError
from search.media.metadata import circumstances, dates
from search.types import DateSource, Info, Modality, Stamp

MAX_BYTES = 1 << 20
"""Longest JSON that is read, in bytes: Takeout's have some hundreds."""


def info(raw: bytes) -> Info:
    """The date and the position in such a file.

    Raises:
        MediaError: ``unsupported``, it is not one of Takeout's.
    """
    try:
        told = json.loads(raw) if len(raw) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not any(name in told for name in ("photoTakenTime", "creationTime", "geoData")):
        raise MediaError("unsupported", "neither subtitles nor XMP nor Takeout's JSON")
    text = dates.unix_seconds(_of(told, "photoTakenTime", "timestamp"))
    stamps = (Stamp(DateSource.TAKEOUT, text),) if text else ()
    places = ((_of(told, name, "latitude"), _of(told, name, "longitude")) for name in ("geoDataExif", "geoData"))
    position = next((found for one, two in places if (found := circumstances.position(_degrees(one), _degrees(two)))), None)
    return Info(Modality.TEXT, "json", stamps=stamps, position=position)


def _of(told: dict[str, Any], *names: str) -> Any:  # noqa: ANN401 - JSON
    for name in names:
        told = told.get(name) if isinstance(told, dict) else None  # type: ignore[assignment]
    return told


def _degrees(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 180 else None
