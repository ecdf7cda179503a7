"""Filters in words: ``size:1..10`` or ``shape:portrait``, as facets tell their values, and back.

A key is the name of a facet, or one of ``since``, ``until``, ``track`` and ``field.NAME``. ``in`` is short for ``modality``,
``folder`` another word for ``under``, and ``month`` for ``date``. Durations are in seconds, sizes in megabytes, pixels in millions.
"""

from __future__ import annotations

import calendar
import datetime
import math
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, cast

from search.errors import InputError, UnknownName
from search.media.metadata import language_names
from search.query.facets import FIELD
from search.store.fields import bounds_of, checked_field
from search.types import Area, Channel, DateSource, Filter, Modality, Origin, Shape

_ALIASES = {"modality": "in", "folder": "under", "month": "date"}
_LISTS: dict[str, tuple[str, type[StrEnum] | None]] = {
    "in": ("modalities", Modality), "channel": ("channels", Channel), "dated_by": ("dated_by", DateSource), "shape": ("shapes", Shape),
    "collection": ("collections", None), "under": ("under", None), "tag": ("tags", None), "track": ("tracks", None),
    "language": ("languages", None), "origin": ("origins", Origin), "camera": ("cameras", None), "rights": ("rights", None), "thing": ("things", None),
}  # fmt: skip
"""Keys that may be given several times, one of whose values is enough (of things, all must fit): the part of the filter, and what its values are."""
_DAY = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")


@dataclass(frozen=True, slots=True)
class _Range:
    """A key with a range ``low..high``: the two parts of the filter, and what one of its numbers is in the filter's unit."""

    low: str
    high: str
    unit: float
    whole: bool = True

    def stored(self, number: float) -> float:
        return round(number * self.unit) if self.whole else number


_RANGES = {
    "duration": _Range("shortest_ms", "longest_ms", 1_000), "size": _Range("smallest_bytes", "largest_bytes", 1e6),
    "pixels": _Range("fewest_pixels", "most_pixels", 1e6), "confidence": _Range("least_confidence", "most_confidence", 1, whole=False),
}  # fmt: skip

KEYS = (*_LISTS, *_RANGES, "date", "since", "until", "place", "speech")
"""What a filter in words can begin with, besides ``field.NAME``."""


def is_key(word: str) -> bool:
    """Whether a word names a part of a filter."""
    return word in KEYS or word in _ALIASES or (word.startswith(FIELD) and len(word) > len(FIELD))


def narrowed_by(wanted: Filter, key: str, value: str) -> Filter:
    """A filter that a key and a value narrow further.

    Raises:
        UnknownName: there is no such key, or no such medium, channel, source or shape; near ones are listed.
        InputError: a value that the key cannot have.
    """
    key, value = _ALIASES.get(key, key), value.strip()
    if not value:
        raise InputError(f"The filter {key!r} has no value.", remedy=f"Write it like {key}:{_EXAMPLES.get(key, 'value')}.")
    if key.startswith(FIELD):
        bounds_of(value)
        return replace(wanted, fields=_added(wanted.fields, (checked_field(key.removeprefix(FIELD)), value)))
    if key in _LISTS:
        name, kind = _LISTS[key]
        known = getattr(wanted, name)
        for one in value.split(",") if kind else [value]:
            known = _added(known, one.strip() if kind is None else _member(key, kind, one.strip()))
        if key == "track":
            known = language_names.spelled(known)
        return replace(wanted, **{name: known})
    if key in _RANGES:
        return replace(wanted, **_ends(key, value))
    if key in ("since", "until"):
        day = day_of(value, last=key == "until")
        return replace(wanted, since=day) if key == "since" else replace(wanted, until=day)
    if key == "date":
        first, dots, last = value.partition("..")
        since = day_of(first, last=False) if first or not dots else None
        until = day_of(last if dots else first, last=True) if last or not dots else None
        if since is None and until is None:
            raise _unfit(key, value)
        if since and until and since > until:
            raise InputError(f"The dates {value!r} end before they begin.", remedy=f"Write date:{last}..{first}.")
        return replace(wanted, since=since, until=until)
    if key == "place":
        return replace(wanted, areas=_added(wanted.areas, area_of(value)))
    if key == "speech":
        if value not in ("yes", "no"):
            raise _unfit(key, value)
        return replace(wanted, speech=value == "yes")
    raise UnknownName("filter", key, [*KEYS, *_ALIASES, FIELD + "NAME"])


def in_words(wanted: Filter) -> list[tuple[str, str]]:
    """The keys and values that make a filter, in a fixed order. ``narrowed_by`` with each of them, from an empty filter, gives it
    back, but for ``within``."""
    found: list[tuple[str, str]] = []
    for key, (name, _) in _LISTS.items():
        found += [(key, str(one)) for one in getattr(wanted, name)]
    for key, ends in _RANGES.items():
        low, high = (getattr(wanted, name) for name in (ends.low, ends.high))
        if low is not None or high is not None:
            found.append((key, "..".join("" if end is None else _number(end / ends.unit) for end in (low, high))))
    found += [(key, day) for key, day in (("since", wanted.since), ("until", wanted.until)) if day is not None]
    found += [("place", ",".join(_number(float(one)) for one in area)) for area in wanted.areas]
    if wanted.speech is not None:
        found.append(("speech", "yes" if wanted.speech else "no"))
    return found + [(FIELD + name, value) for name, value in wanted.fields]


def area_of(text: str) -> Area:
    """An area in words: latitude, longitude and kilometres, or the southern, western, northern and eastern edge in degrees.

    Raises:
        InputError: it is neither, or lies off the Earth.
    """
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise _unfit("place", text) from None
    if len(numbers) not in (3, 4) or not all(map(math.isfinite, numbers)):
        raise _unfit("place", text)
    corners = [numbers[:2], numbers[2:]] if len(numbers) == 4 else [numbers[:2]]
    if any(abs(latitude) > 90 or abs(longitude) > 180 for latitude, longitude in corners):
        raise InputError(
            f"{text!r} does not lie on the Earth.", remedy="Latitudes are -90 to 90 degrees, longitudes -180 to 180."
        )
    if numbers[2] < 0 if len(numbers) == 3 else numbers[0] > numbers[2]:
        raise InputError(f"{text!r} is empty.", remedy="Write LATITUDE,LONGITUDE,KILOMETRES or SOUTH,WEST,NORTH,EAST.")
    return cast("Area", numbers)


def day_of(text: str, *, last: bool) -> str:
    """The first or the last day of a day, month or year: ``2024-05`` is 2024-05-01, or 2024-05-31.

    Raises:
        InputError: it is none of these.
    """
    found = _DAY.fullmatch(text.strip())
    try:
        year, month, day = (int(part) if part else 0 for part in found.groups()) if found else (0, 0, 0)
        month = month or (12 if last else 1)
        day = day or (calendar.monthrange(year, month)[1] if last else 1)
        return datetime.date(year, month, day).isoformat()
    except ValueError:
        raise InputError(f"{text!r} is not a date.", remedy="Write a day, month or year: 2024-05-31, 2024-05 or 2024.") from None


def _added(known: tuple[Any, ...], one: Any) -> tuple[Any, ...]:  # noqa: ANN401 - values of any part of a filter
    return known if one in known else (*known, one)


def _member(key: str, kind: type[StrEnum], value: str) -> StrEnum:
    try:
        return kind(value)
    except ValueError:
        raise UnknownName(
            {"in": "modality", "dated_by": "source of dates"}.get(key, key), value, [str(one) for one in kind]
        ) from None


def _ends(key: str, value: str) -> dict[str, Any]:
    """The parts of a filter that a range sets."""
    ends, bounds = _RANGES[key], bounds_of(value)
    if bounds is None or min(bounds[0] if bounds[0] > -_MOST else 0, bounds[1]) < 0:
        raise _unfit(key, value)
    if any(_MOST < abs(bound) < float("inf") for bound in bounds):
        raise _unfit(key, value)
    given = {ends.low: bounds[0], ends.high: bounds[1]}
    return {name: ends.stored(bound) for name, bound in given.items() if abs(bound) <= _MOST}


_MOST = 1e9
"""The largest number of a range."""


def _unfit(key: str, value: str) -> InputError:
    return InputError(f"{value!r} does not fit the filter {key!r}.", remedy=f"Write it like {key}:{_EXAMPLES[key]}.")


_EXAMPLES = {
    "in": "video", "channel": "sound", "dated_by": "exif", "shape": "portrait", "collection": "default", "under": "2024/harbour",
    "tag": "dog", "origin": "generated", "thing": '"2.. person near bicycle"', "track": "de", "language": "de", "duration": "10..60 (seconds)", "size": "1..10 (megabytes)",
    "pixels": "2.. (millions)", "confidence": "0.7..", "date": "2024-05 or 2023..2024", "since": "2024-05", "until": "2024-05-31",
    "camera": "canon", "rights": "CC BY", "place": "59.33,18.07,5 (latitude, longitude, kilometres) or 59,18,60,19 (south, west, north, east)",
    "speech": "yes or no",
}  # fmt: skip


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")
