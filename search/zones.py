"""Time zones: the zone for times in UTC. Files without a zone follow the setting ``timezone``."""

from __future__ import annotations

import contextlib
import datetime as dt
import difflib
import zoneinfo
from dataclasses import dataclass
from typing import Any

from pathspec import GitIgnoreSpec

from search.errors import InputError


@dataclass(frozen=True, slots=True)
class Zones:
    """The time zones of an archive: rules for paths (None: all paths). The first rule that fits counts."""

    rules: tuple[tuple[GitIgnoreSpec | None, str], ...] = ()

    @classmethod
    def of(cls, setting: str) -> Zones:
        """Parse the setting ``timezone``, such as ``Europe/Berlin`` or ``*tokyo*=Asia/Tokyo,Europe/Berlin``.

        Raises:
            InputError: a zone that does not exist, or an invalid pattern.
        """
        rules = []
        for rule in filter(None, (part.strip() for part in setting.split(","))):
            pattern, _, name = rule.rpartition("=")
            _known(name.strip())
            try:
                spec = GitIgnoreSpec.from_lines([pattern]) if pattern.strip() else None
            except ValueError as error:
                raise InputError(f"Setting timezone has the pattern {pattern!r}, which cannot be read: {error}.") from error
            rules.append((spec, name.strip()))
        return cls(tuple(rules))

    def name(self, path: str) -> str | None:
        """The zone name that the setting has for a file; None if it has none."""
        return next((name for spec, name in self.rules if spec is None or spec.match_file(path.lstrip("/"))), None)


def at(position: tuple[float, float]) -> str | None:
    """The zone name at a latitude and longitude in degrees. None without the extra ``zones``, or if the place has none."""
    latitude, longitude = position
    if not (abs(latitude) <= 90 and abs(longitude) <= 180) or (latitude == 0 and longitude == 0):
        return None
    finder = _finder()
    return (finder.get_tz(longitude, latitude) or None) if finder else None


def zone(name: str | None) -> dt.tzinfo | None:
    """A zone by its name; None if there is none."""
    if name is None:
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _finder() -> Any:  # noqa: ANN401 - it has no types
    with contextlib.suppress(ImportError):
        import tzfpy

        return tzfpy
    return None


def _known(name: str) -> None:
    if zone(name) is None:
        near = difflib.get_close_matches(name, sorted(zoneinfo.available_timezones()), n=3)
        raise InputError(
            f"Setting timezone names the zone {name!r}, which does not exist.",
            remedy=f"Did you mean {', '.join(near)}?" if near else "Write it like Europe/Berlin.",
        )
