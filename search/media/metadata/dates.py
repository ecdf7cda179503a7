"""Dates as people, cameras and programs write them, in one form; and the choice of the one date of an asset."""

from __future__ import annotations

import calendar
import datetime as dt
import os
import re
from collections.abc import Callable, Iterable, Sequence
from email.utils import parsedate_to_datetime

from search.types import Dated, DateSource, Stamp

MAX_STAMPS = 32
"""Dates of one file that are looked at."""
MAX_CHARACTERS = 40
"""Characters of a written date that are looked at."""

STAMP = re.compile(r"\d{4}(?:-\d\d(?:-\d\d(?:T\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII)
"""The form of ``Stamp.text``."""

_EARLIEST_YEAR = 1400
_EPOCHS = ("1904-01-01", "1970-01-01")
"""Days on which clocks begin to count. They mean that a program knew no date and wrote zero."""
_ZONES_REACH = dt.timedelta(hours=12)
"""How far local time may lie from UTC to each side. The few zones beyond (Tonga, New Zealand in summer) may be a day off."""
_EPOCH_1904_SECONDS = 2_082_844_800
"""Seconds from 1904-01-01, where QuickTime's clock begins, to 1970-01-01."""

_WRITTEN = re.compile(
    r"(?:D:)?(?P<year>\d{4})(?:[-:./ ]?(?P<month>\d\d)(?:[-:./ ]?(?P<day>\d\d)"
    r"(?:[T ]+(?P<hour>\d\d):?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,]\d+)?)?\s*(?P<zone>Z|UTC|[+-]\d\d[:']?\d\d'?)?)?)?)?",
    re.ASCII,
)
_PDF = re.compile(r"D:(\d{8})(\d{2})(\d{2})(\d{2})?(.*)", re.DOTALL)


def normal(written: str) -> str | None:
    """A date in the form of ``Stamp.text``, as precise as it is given; None if it is not a valid date.

    Accepts ISO 8601, EXIF (``2019:07:14 12:20:56``), PDF (``D:20190714122056+02'00'``), and the dates of mail.
    """
    written = written.strip("\0 \t\r\n")[:MAX_CHARACTERS]
    if pdf := _PDF.fullmatch(written):
        written = f"{pdf[1]}T{pdf[2]}{pdf[3]}{pdf[4] or '00'}{pdf[5]}"
    found = _WRITTEN.fullmatch(written)
    if found is None:
        return _of_mail(written)
    year, month, day = (found[name] or "" for name in ("year", "month", "day"))
    if int(year) < _EARLIEST_YEAR:
        return None
    if not 1 <= int(month or 0) <= 12:
        return year if int(month or 0) == 0 and not int(day or 0) else None
    if not int(day or 0):
        return f"{year}-{month}"
    if int(day) > calendar.monthrange(int(year), int(month))[1]:
        return None
    date = f"{year}-{month}-{day}"
    if found["hour"] is None:
        return date
    time = f"{found['hour']}:{found['minute']}:{found['second'] or '00'}"
    if int(found["hour"]) > 23 or int(found["minute"]) > 59 or int(found["second"] or 0) > 60:
        return date
    time = time.replace(":60", ":59")  # a leap second
    return f"{date}T{time}{_offset(found['zone'] or '')}"


def stamps(source: DateSource, *written: str | None) -> list[Stamp]:
    """Those of several values that are dates, in order."""
    texts = (normal(one) for one in written if one)
    return [Stamp(source, text) for text in texts if text is not None]


def quicktime(written: str, now: dt.datetime) -> str | None:
    """The creation time of a QuickTime or MP4 file, in UTC, from FFmpeg's output.

    FFmpeg treats times before 1970 as counted from 1970 instead of 1904, and so returns 2031 for 1965.
    """
    text = normal(written)
    if text is None or "T" not in text:
        return text
    moment = _moment(text)
    if moment > now + dt.timedelta(days=1):
        moment -= dt.timedelta(seconds=_EPOCH_1904_SECONDS)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def span(text: str) -> tuple[dt.date, dt.date]:
    """The first and the last day that a date in the form of ``Stamp.text`` may mean. A date in UTC may have been written in any
    zone."""
    year, month, day = int(text[:4]), int(text[5:7] or 0), int(text[8:10] or 0)
    if text.endswith("Z") and "T" in text:
        moment = _moment(text)
        last = moment + _ZONES_REACH - dt.timedelta(seconds=1)
        return (moment - _ZONES_REACH).date(), max(last, moment).date()
    if not month:
        return dt.date(year, 1, 1), dt.date(year, 12, 31)
    if not day:
        return dt.date(year, month, 1), dt.date(year, month, calendar.monthrange(year, month)[1])
    date = dt.date(year, month, day)
    return date, date


def resolve(
    found: Iterable[Stamp], now: dt.datetime, zone: Callable[[], dt.tzinfo | None] = lambda: None
) -> Dated | None:  # fmt: skip
    """The date of an asset: that of the most trusted source whose date is not in the future. None if there is no date.

    A less trusted date makes a partial one more precise if it lies within it. ``zone`` gives the time zone for times in UTC.
    """
    usable = [stamp for stamp in found if _may_be(stamp, now)]
    usable.sort(key=lambda stamp: _RANKS[stamp.source])  # stable: a source's own order stays
    if not usable:
        return None
    best = usable[0]
    text = _local(best.text, zone)
    for other in usable[1:]:
        finer = _local(other.text, zone)
        if len(finer) > len(text) and len(text) <= 7 and _within(finer, text) and other.source is not DateSource.CHANGED:
            text = finer
    first, last = (_days(day) for day in span(text))
    return Dated(first, last, best.source, text)


def of_copy(mtime_ns: int, now: dt.datetime, zone: dt.tzinfo | None) -> Dated:
    """The date of a file for which only the time of its last change is known. No date if that is zero or in the future."""
    if 0 <= mtime_ns < 86_400_000_000_000:  # a program that knew no time wrote zero
        return Dated(None, None, DateSource.FILE)
    try:
        moment = dt.datetime.fromtimestamp(mtime_ns / 1e9, dt.UTC)
        if moment > now + dt.timedelta(days=1):
            return Dated(None, None, DateSource.FILE)
        local = moment.astimezone(zone or dt.UTC)
    except (OverflowError, OSError, ValueError):
        return Dated(None, None, DateSource.FILE)
    day = _days(local.date())
    return Dated(day, day, DateSource.FILE, local.replace(microsecond=0, tzinfo=None).isoformat())


def in_name(path: str, now: dt.datetime) -> list[Stamp]:
    """The date in a file's name or, if that has none, in its folder's: ``IMG_20190714_122056``, ``2019-07-14 Harbour``,
    ``2019/07/14``."""
    folder, name = os.path.split(path)
    for part in (os.path.splitext(name)[0], os.path.basename(folder)):
        if (text := _in_words(part)) and span(text)[0] <= now.date() + dt.timedelta(days=1):
            return [Stamp(DateSource.NAME, text)]
    nested = _NESTED.search(folder + "/")
    text = normal("-".join(part for part in nested.groups() if part)) if nested else None
    return [Stamp(DateSource.NAME, text)] if text and span(text)[0] <= now.date() else []


def unix_seconds(told: object) -> str | None:
    """A count of seconds from 1970 as a date in UTC; None if it is not one."""
    try:
        moment = dt.datetime.fromtimestamp(int(str(told)), dt.UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment.year >= _EARLIEST_YEAR else None


_RANKS = {source: rank for rank, source in enumerate(DateSource)}

_IN_NAME = re.compile(
    r"(?<!\d)(?P<year>1[89]\d\d|20\d\d)(?P<mark>[-_. :]?)(?P<month>0[1-9]|1[0-2])(?P=mark)(?P<day>0[1-9]|[12]\d|3[01])"
    r"(?:(?:[-_T. ]|[ ,_]+at[ _]|-WA\d+)?(?P<hour>[01]\d|2[0-3])[-_.:h]?(?P<minute>[0-5]\d)(?:[-_.:m]?(?P<second>[0-5]\d))?)?(?![\d]{5})"
)
_MILLISECONDS = re.compile(r"(?:FB_IMG_|^)(1[0-9]{12})(?!\d)")
"""Facebook and some phones name a file after the milliseconds from 1970."""
_NESTED = re.compile(r"/(1[89]\d\d|20\d\d)(?:/(0[1-9]|1[0-2])(?:/(0[1-9]|[12]\d|3[01]))?)?/$")


def _in_words(name: str) -> str | None:
    for found in _IN_NAME.finditer(name):
        date = f"{found['year']}-{found['month']}-{found['day']}"
        time = f"T{found['hour']}:{found['minute']}:{found['second'] or '00'}" if found["hour"] else ""
        if text := normal(date + time):
            return text
    if counted := _MILLISECONDS.search(name):
        return unix_seconds(counted[1][:-3])
    return None


def _of_mail(written: str) -> str | None:
    """A date as RFC 5322 writes it: ``Sun, 14 Jul 2019 12:20:56 +0200``."""
    try:
        moment = parsedate_to_datetime(written)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return normal(moment.isoformat()) if moment.year >= _EARLIEST_YEAR else None


def _offset(zone: str) -> str:
    """An offset as ``+02:00`` or ``Z``; empty if no place has it."""
    digits = re.sub(r"\D", "", zone)
    if zone in ("Z", "UTC"):
        return "Z"
    if len(digits) != 4 or int(digits[:2]) > 14 or int(digits[2:]) > 59:
        return ""
    return f"{zone[0]}{digits[:2]}:{digits[2:]}"


def _moment(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _local(text: str, zone: Callable[[], dt.tzinfo | None]) -> str:
    """A date in UTC, converted to local time if the zone is known; any other date unchanged. Exactly midnight means a day without
    a time."""
    if not text.endswith("Z") or "T" not in text:
        return text
    if text.endswith("T00:00:00Z"):
        return text[:10]
    try:
        local = zone()
        return text if local is None else _moment(text).astimezone(local).isoformat()
    except (OverflowError, ValueError):
        return text


def _may_be(stamp: Stamp, now: dt.datetime) -> bool:
    """Whether a date is not in the future, and not the zero of a clock."""
    try:
        first, _ = span(stamp.text)
    except (ValueError, OverflowError):
        return False
    zero = len(stamp.text) > 10 and stamp.text[:10] in _EPOCHS
    return not zero and first <= (now + _ZONES_REACH).date()


def _within(finer: str, coarse: str) -> bool:
    (first, last), (from_, until) = span(finer), span(coarse)
    return from_ <= first and last <= until


def _days(date: dt.date) -> int:
    return (date - dt.date(1970, 1, 1)).days


def distinct(found: Sequence[Stamp]) -> tuple[Stamp, ...]:
    """The distinct dates, at most ``MAX_STAMPS``."""
    return tuple(dict.fromkeys(found))[:MAX_STAMPS]
