"""Tracks: positions over time from GPX, FIT, tables and the telemetry of drones, as velocities cut into windows."""

from __future__ import annotations

import codecs
import datetime as dt
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO, TypeAlias
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from search.errors import MediaError
from search.media.metadata import dates
from search.media.source import Found
from search.types import TRACK_RATE, Channel, Cut, DateSource, Gap, Info, Modality, Needs, Span, Stamp

MAX_POINTS = 1_000_000
"""What is read of a track: eleven days at a point a second."""
MAX_HOLES = 20
"""Stretches without positions that the ledger names."""

_HOLE = 30.0
"""Points farther apart than this, in seconds, are not joined: receivers that record only changes let ten seconds pass."""
_FASTEST = 400.0
"""No track is faster, in m/s: between two points that would be, nothing is joined."""
_SMOOTH_ALONG, _SMOOTH_UP = 1.5, 6.0
"""Standard deviations of the Gaussians, in seconds, by which positions and heights are smoothed: receivers are three times as sure of a
position as of a height."""
_METRES = math.radians(6_371_008.8)
"""Metres of a degree of latitude, on a sphere."""
_SINCE_1970 = 1e8
"""From this many seconds on, a number is a time since 1970."""
_SLOWEST = 300.0
"""No track has this many seconds between two points. A unit that implies it is too large."""
_PIECE = 1 << 16
_MAX_TITLE = 200

Points: TypeAlias = "NDArray[np.float64]"
"""Time in seconds, latitude and longitude in degrees, height in metres or NaN, (4, points)."""

_COLUMNS = {
    "time": re.compile(r"(?:timestamp|time|datetime|date_time|utc|t|elapsed|seconds|sec)(?:[\W_]*(?:utc|s|ms|us|µs|ns))?\W*"),
    "lat": re.compile(r"(?:gps[\W_]*)?lat(?:itude)?\b.*"),
    "lon": re.compile(r"(?:gps[\W_]*)?(?:lon|lng|long)(?:gitude)?\b.*"),
    "up": re.compile(r"(?:gps[\W_]*)?(?:alt(?:itude)?|ele(?:vation)?|height)\b.*"),
}
_CUED = {
    "lat": re.compile(r"latitude\s*[:=]?\s*(-?\d{1,2}\.\d+)", re.IGNORECASE),
    "lon": re.compile(r"longt?itude\s*[:=]?\s*(-?\d{1,3}\.\d+)", re.IGNORECASE),  # DJI once wrote longtitude
    "up": re.compile(r"(?:abs_alt|altitude)\s*[:=]?\s*(-?\d+(?:\.\d+)?)", re.IGNORECASE),
}
_CUED_GPS = re.compile(r"GPS\s*\(\s*(-?\d+\.\d+)\s*,\s*(-?\d+\.\d+)\s*,", re.IGNORECASE)
_CUED_CLOCK = re.compile(r"\d{4}[-.]\d\d[-.]\d\d \d\d:\d\d:\d\d")


def gpx(file: BinaryIO, needs: Needs) -> Iterator[Found]:
    """The track in a GPX file, see ``cut``. A time without a zone is in UTC, as GPX says.

    Raises:
        MediaError: ``undecodable``, it is not XML, or declares entities; else as ``cut`` does.
    """
    reader = _GpxReader()
    while reader.room and reader.feed(piece := file.read(_PIECE)) and piece:
        pass
    yield from cut(reader.points, "gpx", needs, reader.title, whole=reader.room)


class _GpxReader:
    """Reads the points of tracks as they come: a tree of a million points would take gigabytes. Expat reads no other file, and every
    declaration of an entity is refused."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float, float, float]] = []
        self.title, self._path = "", list[str]()
        self._at, self._time, self._up = ("", ""), "", ""
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler, self._parser.EndElementHandler = self._start, self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.EntityDeclHandler = self._refuse

    @property
    def room(self) -> bool:
        return len(self.points) < MAX_POINTS

    def feed(self, piece: bytes) -> bool:
        """Read a piece, at last an empty one. Returns whether more can be read: of a damaged file, what came before counts."""
        try:
            self._parser.Parse(piece, not piece)
        except expat.ExpatError as error:
            if not self.points:
                raise MediaError("undecodable", f"it is not valid GPX: {error}") from error
            return False
        return True

    def _refuse(self, *_: object) -> None:
        raise MediaError("undecodable", "it declares entities, as no recorder does")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        self._path.append(name)
        if name == "trkpt":
            self._at, self._time, self._up = (attributes.get("lat", ""), attributes.get("lon", "")), "", ""

    def _text(self, text: str) -> None:
        at = self._path[-2:]
        if at == ["trkpt", "time"]:
            self._time += text
        elif at == ["trkpt", "ele"]:
            self._up += text
        elif at in (["trk", "name"], ["metadata", "name"]) and len(self.title) < _MAX_TITLE:
            self.title += text

    def _end(self, _: str) -> None:
        if self._path.pop() == "trkpt" and self.room:
            self.points.append((_clock(self._time), number(self._at[0]), number(self._at[1]), number(self._up)))


def table_columns(names: Sequence[str]) -> dict[str, int] | None:
    """Which of a table's columns hold time, latitude, longitude and, if there is one, height; None: it is no table of positions."""
    found: dict[str, int] = {}
    for at, name in enumerate(names):
        for what, pattern in _COLUMNS.items():
            if pattern.fullmatch(name):
                found.setdefault(what, at)
    return found if found.keys() >= {"time", "lat", "lon"} else None


def table(
    lines: Iterable[bytes], columns: dict[str, int], delimiter: str, unit: float | None, needs: Needs
) -> Iterator[Found]:  # fmt: skip
    """The track in the lines of a table, see ``cut``. Times are dates, or numbers in a ``unit`` (seconds), else in the one that their size
    implies."""
    points: list[tuple[float, float, float, float]] = []
    whole, count = True, 0
    for line in islice(lines, MAX_POINTS + 1):
        if count >= MAX_POINTS:
            whole = False
            break
        if not line.strip():
            continue
        count += 1
        fields = [one.strip(" \"'\r\n") for one in line.decode("utf-8", "replace").split(delimiter)]
        try:
            written = fields[columns["time"]]
            time = number(written)
            time = _clock(written) if math.isnan(time) else time
            up = number(fields[columns["up"]]) if "up" in columns else math.nan
            points.append((time, number(fields[columns["lat"]]), number(fields[columns["lon"]]), up))
        except IndexError:
            points.append((math.nan,) * 4)
    times = np.array([one[0] for one in points])
    unit = unit or _unit(times[np.isfinite(times)])
    yield from cut([(time * unit, lat, lon, up) for time, lat, lon, up in points], "gps.csv", needs, whole=whole)


def cued(cues: Iterable[tuple[int, int, str]], needs: Needs) -> Iterator[Found]:
    """The track in the cues of a drone's telemetry, see ``cut``: begin and end in milliseconds, and what they say. Times count from the
    first frame of its film.

    Raises:
        MediaError: ``no_content``, they tell no positions.
    """
    points: list[tuple[float, float, float, float]] = []
    clock = None
    for begin, _, text in islice(cues, MAX_POINTS):
        lat, lon, up = (number(found[1]) if (found := pattern.search(text)) else math.nan for pattern in _CUED.values())
        if math.isnan(lat) and (older := _CUED_GPS.search(text)):
            lon, lat = number(older[1]), number(older[2])
        if not (math.isnan(lat) or math.isnan(lon) or lat == lon == 0):  # 0, 0: the drone had no position yet
            points.append((begin / 1000, lat, lon, up))
            clock = clock or _CUED_CLOCK.search(text)
    if not points:
        raise MediaError("no_content", "it holds telemetry of a camera, and neither words nor positions")
    stamps = dates.stamps(DateSource.TAGS, clock[0].replace(".", "-") if clock else None)
    yield from cut(points, "srt", needs, stamps=stamps, start=0.0)


def cut(
    points: Sequence[tuple[float, float, float, float]], form: str, needs: Needs, title: str = "", *, stamps: Sequence[Stamp] = (),
    start: float | None = None, whole: bool = True,
) -> Iterator[Found]:  # fmt: skip
    """A track as windows of velocity (3, readings): see ``Cut``. Points are time in seconds, latitude, longitude and height.

    Positions are smoothed, since receivers waver, and joined across at most ``_HOLE`` seconds. Times count from the first point, or from
    ``start``. Points that are no numbers, lie nowhere, or whose time does not go forward are skipped, with a line in the ledger; so
    are stretches without positions.

    Raises:
        MediaError: ``no_content``, no points; ``undecodable``, none have times, or no two follow each other.
    """
    if not points:
        raise MediaError("no_content", "the track has no points")
    known = np.array(points, np.float64).T
    if not np.isfinite(known[0]).any():
        raise MediaError("undecodable", "its points have no times; a route that nobody has recorded cannot be cut")
    track = _ordered(known)
    if track.shape[1] < 2:
        raise MediaError("undecodable", f"of {len(points)} points no two hold positions and follow each other in time")
    begins, ends = float(track[0, 0]), float(track[0, -1])
    if start is None and begins > _SINCE_1970:
        stamps = dates.stamps(DateSource.TAGS, dt.datetime.fromtimestamp(begins, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    start = begins if start is None else start
    yield Info(
        Modality.IMU, form, duration_ms=max(1, round((ends - start) * 1000)), stamps=tuple(stamps), title=" ".join(title.split()) or None,
        position=(float(track[1, 0]), (float(track[2, 0]) + 180) % 360 - 180),
    )  # fmt: skip
    holes = []
    for before, run in _runs(track):
        if before is not None:
            holes.append(Span(round((before - start) * 1000), round((float(run[0, 0]) - start) * 1000)))
        yield from _windows(run, start, max(1, TRACK_RATE * needs.window_ms // 1000))
    for hole in holes[:MAX_HOLES]:
        yield Gap("not_sampled", f"no positions for {(hole.end - hole.start) / 1000:.0f} s", hole)
    if len(holes) > MAX_HOLES:
        yield Gap("not_sampled", f"{len(holes) - MAX_HOLES} further stretches hold no positions")
    if track.shape[1] < len(points):
        skipped = len(points) - track.shape[1]
        yield Gap("not_sampled", f"{skipped} of {len(points)} points hold no position, or a time that does not go forward")
    if not whole:
        yield Gap("not_sampled", f"only the first {MAX_POINTS} points were read")


def _ordered(points: Points) -> Points:
    """The points that lie somewhere and go forward in time. Longitudes go on beyond 180 where a track crosses that line."""
    with np.errstate(invalid="ignore"):
        somewhere = np.isfinite(points[:3]).all(0) & (np.abs(points[1]) <= 90) & (np.abs(points[2]) <= 180)
    points = points[:, somewhere]
    before = np.maximum.accumulate(np.concatenate([[-np.inf], points[0]]))[:-1]
    points = points[:, points[0] > before]
    if points.shape[1]:
        points[2] = np.unwrap(points[2], period=360)
    return points


def _runs(track: Points) -> Iterator[tuple[float | None, Points]]:
    """The stretches of a track in which positions follow each other, each with the time at which the one before ended."""
    time = np.diff(track[0])
    metres = np.hypot(np.diff(track[1]), np.diff(track[2]) * np.cos(np.radians(track[1, 1:]))) * _METRES
    breaks = np.flatnonzero((time > _HOLE) | (metres > _FASTEST * np.maximum(time, 1))) + 1
    before = None
    for run in np.split(track, breaks, axis=1):
        if run.shape[1] >= 2:
            yield before, run
        before = float(run[0, -1])


def _windows(run: Points, start: float, length: int) -> Iterator[Cut]:
    count = max(2, int((run[0, -1] - run[0, 0]) * TRACK_RATE) + 1)
    times = run[0, 0] + np.arange(count) / TRACK_RATE
    lat, lon = (_smooth(np.interp(times, run[0], axis), _SMOOTH_ALONG) for axis in run[1:3])
    level = np.isfinite(run[3])
    up = _smooth(np.interp(times, run[0, level], run[3, level]), _SMOOTH_UP) if level.any() else np.full(count, np.nan)
    east, north = np.gradient(lon) * np.cos(np.radians(lat)) * _METRES, np.gradient(lat) * _METRES
    velocity = (np.stack([east, north, np.gradient(up)]) * TRACK_RATE).astype(np.float32)
    for at in range(0, count, length):
        content = velocity[:, at : at + length]
        if at and content.shape[1] < 2:
            break
        begin = round((times[at] - start) * 1000)
        yield Cut(Channel.MOTION, Modality.IMU, Span(max(begin, 0), begin + round(content.shape[1] * 1000 / TRACK_RATE)), content)


def _smooth(values: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """Values at ``TRACK_RATE`` smoothed by a Gaussian. Beyond the ends they go on as they came, turned about the last one."""
    reach = min(math.ceil(3 * seconds * TRACK_RATE), len(values) - 1)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (seconds * TRACK_RATE)) ** 2)
    first, last = 2 * values[0] - values[reach:0:-1], 2 * values[-1] - values[-2 : -2 - reach : -1]
    return np.convolve(np.concatenate([first, values, last]), weights / weights.sum(), "valid")


def _unit(times: NDArray[np.float64]) -> float:
    """The unit of numbers that are times, in seconds."""
    if not len(times):
        return 1.0
    steps = np.abs(np.diff(times))
    step = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    latest = float(np.abs(times).max())
    return next((unit for unit in (1.0, 1e-3, 1e-6) if step * unit < _SLOWEST and latest * unit < 1e11), 1e-9)


def _clock(text: str) -> float:
    """A written moment in seconds since 1970, in UTC unless it says otherwise; NaN if it is none."""
    try:
        moment = dt.datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError):
        return math.nan


def number(value: Any) -> float:  # noqa: ANN401 - a text or a number, or neither
    """A number as it is written; NaN if it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def is_gpx(head: bytes) -> bool:
    """Whether a file begins like GPX."""
    head = head.removeprefix(codecs.BOM_UTF8).lstrip()
    return head.startswith(b"<") and re.search(rb"<(?:\w+:)?gpx[\s>]", head) is not None
