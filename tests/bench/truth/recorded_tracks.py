"""Tracks as receivers record them, with what truly happens in them: rides that go straight, turn, stop, climb and descend."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from random import Random

METRES = math.radians(6_371_008.8)
"""Metres of a degree of latitude."""

KINDS = ("left", "right", "stopped", "climbing", "descending")
"""What happens, by the names of the features that tell it."""


@dataclass(frozen=True)
class Event:
    """What happens from ``begin`` to ``end``, in seconds."""

    kind: str
    begin: float
    end: float


@dataclass(frozen=True)
class Ride:
    """A track: seconds, latitude, longitude and height of each point as recorded, and what happens in it."""

    points: tuple[tuple[float, float, float, float], ...]
    events: tuple[Event, ...]

    def gpx(self, start: dt.datetime) -> str:
        """The ride as a GPX file that begins at ``start``."""
        rows = "".join(
            f'<trkpt lat="{lat:.7f}" lon="{lon:.7f}"><ele>{up:.1f}</ele><time>{(start + dt.timedelta(seconds=at)).isoformat()}</time></trkpt>\n'
            for at, lat, lon, up in self.points
        )
        return f'<?xml version="1.0"?>\n<gpx version="1.1" creator="r" xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>\n{rows}</trkseg></trk></gpx>'


def ride(chance: Random, *, parts: int = 16, noise: float = 1.0) -> Ride:
    """A ride of so many parts, each followed by a stretch straight on. Positions waver by a metre at each point, and by three
    in the course of a minute; heights by one and a half, and by four in two minutes, times ``noise``."""
    east = north = up = at = 0.0
    course, speed = chance.uniform(0, 2 * math.pi), chance.uniform(4, 12)
    cruise = speed
    truth, events = list[tuple[float, float, float]](), list[Event]()

    def go(seconds: float, turn: float = 0.0, climb: float = 0.0, towards: float | None = None) -> None:
        nonlocal east, north, up, at, course, speed
        first = speed
        for step in range(round(seconds)):
            speed = first if towards is None else first + (towards - first) * (step + 1) / seconds
            course += turn
            east, north, up, at = east + speed * math.cos(course), north + speed * math.sin(course), up + climb, at + 1
            truth.append((east, north, up))

    go(10)
    for _ in range(parts):
        kind, begin = chance.choice(KINDS), at
        if kind in ("left", "right"):
            seconds = chance.randint(4, 8)
            go(seconds, math.radians(chance.uniform(70, 110)) / seconds * (1 if kind == "left" else -1))
        elif kind == "stopped":
            go(4, towards=0.0)
            go(chance.randint(6, 30))
            go(4, towards=cruise)
        else:
            go(chance.randint(20, 50), climb=chance.uniform(0.4, 1.0) * (1 if kind == "climbing" else -1))
        events.append(Event(kind, begin, at))
        go(chance.randint(12, 30))
    drift = [0.0, 0.0, 0.0]
    points = []
    for second, place in enumerate(truth):
        for axis, (deviation, minutes) in enumerate(((3.0, 1.0), (3.0, 1.0), (4.0, 2.0))):
            kept = math.exp(-1 / (60 * minutes))
            drift[axis] = kept * drift[axis] + math.sqrt(1 - kept**2) * chance.gauss(0, deviation)
        seen = [value + noise * (drift[axis] + chance.gauss(0, 1.5 if axis == 2 else 1.0)) for axis, value in enumerate(place)]
        lat = 47.0 + seen[1] / METRES
        points.append((float(second), lat, 8.0 + seen[0] / METRES / math.cos(math.radians(47.0)), 500.0 + seen[2]))
    return Ride(tuple(points), tuple(events))
