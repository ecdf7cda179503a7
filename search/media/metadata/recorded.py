"""When and where sound or film was recorded, from the tags of its container and tracks."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

import av

from search.media.metadata import circumstances, container_tags, dates, xmp
from search.media.metadata.circumstances import Told
from search.types import MAX_IDENTIFIER, DateSource, Stamp

MAX_TRACKS = 8
"""Tracks whose tags are looked at."""
_RECORDED = (
    "com.apple.quicktime.creationdate", "date_recorded", "date-recorded", "recording_date", "originaldate", "date_digitized", "wm/encodingtime",
)  # fmt: skip
"""Tags with the recording date, most precise first; QuickTime's includes its zone."""
_DATE, _CREATED = ("date", "year", "tdor", "tory", "icrd"), ("creation_time", "modification_date", "date_encoded")
_QUICKTIME = ("mov", "mp4")
_MAKERS = ("com.apple.quicktime.make", "com.android.manufacturer", "make", "manufacturer")
_MODELS = ("com.apple.quicktime.model", "com.android.model", "model", "camera_model_name")
_RIGHTS = ("copyright", "com.apple.quicktime.copyright", "wm/copyright", "license")
_PLACES = ("com.apple.quicktime.location.iso6709", "location", "location-eng")
_ISO6709 = re.compile(r"\s*([+-]\d{2}(?:\.\d+)?)([+-]\d{3}(?:\.\d+)?)")
"""Latitude and longitude in degrees (ISO 6709, as cameras write it)."""


def tags(container: av.container.InputContainer) -> list[dict[str, str]]:
    """The tags of a container, and of its first tracks, with lower-case names."""
    every = [container.metadata, *(stream.metadata for stream in islice(iter(container.streams), MAX_TRACKS))]
    return [{name.lower(): value for name, value in some.items()} for some in every]


def told(every: Sequence[Mapping[str, str]], form: str) -> Told:
    """What tags tell, of the container first, then of its tracks; ``form``: the container's format."""
    written = Told()
    for some in every[:1]:
        if raw := some.get("xmp"):
            with contextlib.suppress(Exception):
                written = xmp.told(raw.encode("utf-8", "surrogateescape"))
    first = [
        next((some[name] for some in every for name in names if some.get(name)), "") for names in (_MAKERS, _MODELS, _RIGHTS)
    ]
    maker, model, rights = container_tags.mended(*first)
    tagged = Told(stamps(every, form), position(every), circumstances.camera(maker, model), circumstances.notice(rights))
    found = circumstances.either([written, tagged])
    return replace(found, stamps=dates.distinct(found.stamps))


def stamps(told: Sequence[Mapping[str, str]], form: str) -> tuple[Stamp, ...]:
    """The dates in tags, of the container first, then of its tracks; ``form``: the container's format.

    In BWF, ``date`` is a day and ``creation_time`` the time of that day.
    """
    now = dt.datetime.now(dt.UTC)
    found: list[Stamp] = []
    for names in (_RECORDED, _DATE, _CREATED):
        for some in told:
            found += [Stamp(DateSource.TAGS, text) for name in names if (text := _text(name, some, form, now))]
    return dates.distinct(found)


def taken_with(tags: Mapping[str, str]) -> str | None:
    """What an iPhone writes into a film and into the photograph that it takes with it, from tags with lower-case names."""
    told = tags.get("com.apple.quicktime.content.identifier", "").strip()
    return told if told.isascii() and told.isprintable() and 0 < len(told) <= MAX_IDENTIFIER else None


def position(told: Sequence[Mapping[str, str]]) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, if there is a tag with them."""
    for some in told:
        for name in _PLACES:
            found = _ISO6709.match(some.get(name, ""))
            if found and (place := circumstances.position(float(found[1]), float(found[2]))):
                return place
    return None


def _text(name: str, some: Mapping[str, str], form: str, now: dt.datetime) -> str | None:
    written = some.get(name, "")
    if (
        name == "date"
        and (time := some.get("creation_time", ""))
        and len(time) == 8
        and (text := dates.normal(f"{written}T{time}"))
    ):
        return text
    if name in _CREATED and form in _QUICKTIME:
        return dates.quicktime(written, now)
    return dates.normal(written)
