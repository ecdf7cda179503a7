"""Motion: tracks, and tables of acceleration and rotation readings, resampled and cut into windows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from search.errors import MediaError
from search.media.decode import tracks
from search.media.sniff import extra_of
from search.media.source import Found, Limits, Source
from search.types import IMU_RATE, Channel, Cut, Gap, Info, Modality, Needs, Span

MAX_LINES = 1_000_000
"""What is read of a table: more than 40 minutes at ``IMU_RATE``."""
MIN_WINDOW_MS = 250
"""A window shorter than this is dropped, unless it is the only one."""
_HOLE = 0.5
"""Readings farther apart than this, in seconds, are not interpolated: a new window begins."""
_BLOCK, _LINE, _PREAMBLE = 10_000, 4_096, 50
"""Lines read at once, bytes of the longest, and lines in which the columns have to be named."""
_ROUNDING = 1e-3
"""The allowed error of a time, as a share of the distance between readings: times since 1970 are written with limited precision."""
_LARGEST, _LAST = 1e6, 1e12
"""The largest plausible reading, and the latest plausible time, in seconds."""

if not extra_of(".fit"):
    from search.media.decode import sport_tracks

_AXES = r"[\W_]*([xyz])(?:[\W_].*)?"
_TIME = re.compile(r"(?:timestamp|time|ts|t|elapsed|seconds|sec)(?:[\W_]*(s|ms|us|µs|ns))?\W*")
_READING = {
    "a": re.compile(r"(?:linear_acceleration|acceleration|accelerometer|accel|accl|acc|a_rs_s|a)" + _AXES),
    "g": re.compile(r"(?:angular_velocity|angular_rate|rotation_rate|gyroscope|gyro|gyr|omega|w_rs_s|w|g)" + _AXES),
}
_COLUMNS = ("ax", "ay", "az", "gx", "gy", "gz")
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_SLOWEST = 0.5
"""No motion sensor has this many seconds between two readings. A time unit that implies it is too large."""

Table: TypeAlias = NDArray[np.float64]
"""Time in seconds and six readings, (7, readings)."""


@dataclass(frozen=True, slots=True)
class Header:
    """Which column holds what: the time, then the readings in the order of ``Cut``; or those of ``positions``. ``unit``: of the time,
    in seconds; None: not stated."""

    columns: tuple[int, ...]
    delimiter: str
    unit: float | None
    positions: dict[str, int] | None = None


def read(source: Source, needs: Needs, limits: Limits) -> Iterator[Found]:  # noqa: ARG001 - nothing here can grow beyond its limit
    """Cut a table with the columns t, ax, ay, az, gx, gy, gz (in any order, and by other common names) into windows (6,
    readings).

    Tracks, and tables of time, latitude and longitude, become velocities: see ``tracks.cut``.

    Acceleration is in m/s², rotation in rad/s. Time is in the unit that its column names, else in the unit for which the rate of
    readings is plausible. Lines that are not numbers, or whose time does not increase, are skipped, with a line in the ledger.

    Raises:
        MediaError: ``undecodable``, no such columns, or no readings that follow each other; ``no_content``, no lines;
            ``unsupported``, the package that reads FIT is not installed.
    """
    if source.head[8:12] == b".FIT":
        if extra_of(".fit"):
            raise MediaError("unsupported", "FIT is read by the package fitdecode: pip install 'sensorium[fit]'")
        yield from sport_tracks.read(source.file, needs)
        return
    if source.suffix == ".gpx" or tracks.is_gpx(source.head):
        yield from tracks.gpx(source.file, needs)
        return
    header = _header(source.file)
    if header.positions:
        yield from tracks.table(_lines(source.file), header.positions, header.delimiter, header.unit, needs)
        return
    table, count = _table(source.file, header)
    if not count:
        raise MediaError("no_content", "the table has no readings")
    table = _ordered(table, header.unit)
    readings = table.shape[1]
    if readings < 2:
        raise MediaError("undecodable", f"of {count} lines no two hold numbers and follow each other in time")
    yield Info(Modality.IMU, "csv", duration_ms=max(1, round((table[0, -1] - table[0, 0]) * 1000)))
    yield from _windows(table, max(1, IMU_RATE * needs.window_ms // 1000))
    if readings < count:
        yield Gap("not_sampled", f"{count - readings} of {count} lines hold no numbers, or a time that does not go forward")
    if source.file.read(1):
        yield Gap("not_sampled", f"only the first {MAX_LINES} lines were read")


def _header(file: BinaryIO) -> Header:
    for raw in islice(_lines(file), _PREAMBLE):
        line = raw.decode("utf-8-sig", "replace").strip().lstrip("#").lower()
        delimiter = max(",;\t", key=line.count)
        names = [name.strip(" \"'") for name in line.split(delimiter)]
        found: dict[str, int] = {}
        unit = None
        for at, name in enumerate(names):
            if "t" not in found and (time := _TIME.fullmatch(name)):
                found["t"], unit = at, _SECONDS.get(time[1] or "")
            for kind, pattern in _READING.items():
                if reading := pattern.fullmatch(name):
                    found.setdefault(kind + reading[1], at)
        if found.keys() >= {"t", *_COLUMNS}:
            return Header(tuple(found[name] for name in ("t", *_COLUMNS)), delimiter, unit)
        if positions := tracks.table_columns(names):
            return Header((), delimiter, unit, positions)
    raise MediaError("undecodable", "no line names the columns t, ax, ay, az, gx, gy and gz, or time, latitude and longitude")


def _table(file: BinaryIO, header: Header) -> tuple[Table, int]:
    """The readable rows, and the number of lines that are not empty."""
    parts, count, looked_at = [np.empty((0, 7))], 0, 0
    while looked_at < MAX_LINES and (block := list(islice(_lines(file), _BLOCK))):
        looked_at += len(block)
        lines = [text for raw in block if (text := raw.decode("utf-8", "replace").strip())]
        count += len(lines)
        if lines:
            parts.append(_numbers(lines, header))
    return np.concatenate(parts).T, count


def _numbers(lines: Sequence[str], header: Header) -> NDArray[np.float64]:
    """Rows (lines, 7); lines that are not numbers become NaN."""
    try:
        return np.loadtxt(lines, delimiter=header.delimiter, usecols=header.columns, ndmin=2, comments=None)
    except ValueError:  # one at a time takes ten times as long
        return np.array([_row(line, header) for line in lines])


def _row(line: str, header: Header) -> list[float]:
    fields = line.split(header.delimiter)
    try:
        return [float(fields[at]) for at in header.columns]
    except (ValueError, IndexError):
        return [np.nan] * len(header.columns)


def _ordered(table: Table, unit: float | None) -> Table:
    """The rows that are finite and increasing in time, with time in seconds."""
    with np.errstate(all="ignore"):
        table = table[:, np.isfinite(table).all(0) & (np.abs(table[1:]) <= _LARGEST).all(0)]
        steps = np.abs(np.diff(table[0]))
        step = float(np.median(steps[steps > 0])) if steps.any() else 0.0
    if unit is None:
        unit = next((one for one in (1.0, 1e-3, 1e-6) if step * one < _SLOWEST), 1e-9)
    table = np.concatenate([table[:1] * unit, table[1:]])
    table = table[:, np.abs(table[0]) <= _LAST]
    before = np.maximum.accumulate(np.concatenate([[-np.inf], table[0]]))[:-1]
    return np.ascontiguousarray(table[:, table[0] > before])


def _windows(table: Table, length: int) -> Iterator[Cut]:
    """Windows of at most ``length`` readings. No time is lost between them except in holes."""
    start, emitted = table[0, 0], False
    for run in np.split(table, np.flatnonzero(np.diff(table[0]) > _HOLE) + 1, axis=1):
        count = int((run[0, -1] - run[0, 0]) * IMU_RATE + _ROUNDING) + 1
        for at in range(0, count, length):
            readings = min(length, count - at)
            if emitted and readings * 1000 < MIN_WINDOW_MS * IMU_RATE:
                continue
            emitted = True
            times = run[0, 0] + (at + np.arange(readings)) / IMU_RATE
            content = np.stack([np.interp(times, run[0], axis) for axis in run[1:]]).astype(np.float32)
            begin = round((times[0] - start) * 1000)
            span = Span(begin, max(begin + 1, round(begin + readings * 1000 / IMU_RATE)))
            yield Cut(Channel.MOTION, Modality.IMU, span, content)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines; those that are too long come in pieces, which are not rows of numbers."""
    while line := file.readline(_LINE):
        yield line
