"""Numbers and names as people read them."""

from __future__ import annotations

import calendar
import datetime
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search import types
    from search.api import schemas

MEDIA = {
    "image": "image", "video": "video", "audio": "sound", "text": "text",
    "depth": "depth picture", "thermal": "thermal picture", "imu": "motion recording",
}  # fmt: skip
"""What people call the modalities."""

CHANNELS = {
    "visual": "picture", "sound": "sound", "text": "text", "speech": "speech", "ocr": "on-screen text", "caption": "caption by a model",
    "motion": "motion",
}  # fmt: skip
"""What people call the channels."""

SKILLS = {
    "words": "anything like", "picture": "seen", "sound": "heard", "speech": "said", "screen": "on screen", "then": "in this order", "without": "without",
    "filter": "only", "similar": "like", "region": "part of a picture", "count": "count", "ask": "ask a model", "translate": "translate", "stop": "stop",
}  # fmt: skip
"""What people call the skills of a plan."""

_WORK = {
    "speech": "transcribing speech", "ocr": "reading on-screen text", "caption": "writing captions",
    "written": "reading metadata and subtitles",
}  # fmt: skip
_BANDS = ((0.5, 4, "strong"), (0.2, 3, "good"), (0.05, 2, "fair"), (0.0, 1, "weak"))
"""Minimum probability of a hit, its bars or dots, and its word. The one scale of a score, in the terminal and on the page."""

WEAK = 1
"""Bars of a weak match."""

WEAKER, NOTHING = "Weaker matches", "No good match. Closest results:"


def count(number: int, noun: str) -> str:
    """``1 image``, ``1,204 images``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def clock(ms: int) -> str:
    """Milliseconds as ``0:07.5``, ``12:30`` or ``1:02:03``; tenths only where there are any."""
    tenths = round(ms / 100)
    seconds, tenth = divmod(tenths, 10)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02}" if hours else str(minutes)
    return f"{head}:{seconds:02}" + (f".{tenth}" if tenth else "")


def step_state(step: schemas.PlanRow) -> str:
    """What became of a step of a plan."""
    if step.state == "impossible":
        return f"{step.why} {step.remedy}".strip()
    if step.state == "taken":
        return "" if step.gain is None else f"about {step.gain:.1f} relevant"
    return {
        "skipped": "skipped",
        "stopped": "not worth it" if step.gain is not None and step.gain < 1 else "not taken",
        "offered": "",
    }[step.state]


def left(seconds: float) -> str:
    """A time to wait, roughly: ``4 s``, ``3 min``, ``2 h``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{round(seconds / 3600)} h"


def reading(reader: str) -> str:
    """What a reader is doing, by its name."""
    return _WORK.get(reader.partition(":")[0], f"reading with {reader}")


def size(number: int) -> str:
    """Bytes as ``812 bytes``, ``1.4 MB``."""
    if number < 1000:
        return count(number, "byte")
    value = float(number)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 1000 or unit == "TB":
            break
    return f"{value:.3g} {unit}"


def band(confidence: float | None, verdict: str | None = None) -> tuple[int, str]:
    """How well a hit matches: 1 to 4 bars and a word; 0 and no word where nothing is known. If the verdict is no, every match is weak."""
    if confidence is None:
        return 0, ""
    if verdict == "no":
        return WEAK, "weak"
    return next((bars, word) for least, bars, word in _BANDS if confidence >= least)


def estimate(found: types.Estimate | schemas.Estimate) -> str:
    """How many files match, as a sentence without its full stop."""
    low, expected, high = (round(number) for number in (found.low, found.expected, found.high))
    told = f"About {count(expected, 'file')}" if expected else "Probably none"
    told += f", {low:,} to {high:,}" if high > max(expected, 1) else ""
    return told + (f"; at least {round(found.at_least):,}" if found.at_least else "")


def review(found: types.Review | schemas.Review) -> str:
    """What people said of a question's files, as a sentence without its full stop."""
    told = f"{count(found.judged, 'file')} judged, {found.right:,} right"
    if found.left_at_most is None or found.population is None:
        return told
    told += f"; {found.sampled:,} of {found.population:,} were drawn at random: at most {count(found.left_at_most, 'right file')} left"
    return told + (f", at least {found.recall_at_least:.0%} found" if found.recall_at_least else "")


def unseen(coverage: types.Coverage | schemas.Coverage) -> str:
    """What of the archive a search cannot see, as a sentence without its full stop; empty where it can see all."""
    parts = [f"{coverage.seen:,} of {count(coverage.files, 'file')} searchable"] if coverage.seen < coverage.files else []
    parts += [f"{number:,} {what}" for what in ("waiting", "failed") if (number := getattr(coverage, what))]
    if coverage.unsampled_ms:
        parts.append(f"{clock(coverage.unsampled_ms)} of sound and video not searchable")
    if coverage.away:
        parts.append(f"{count(coverage.away, 'file')} away: the folder or disk is not there")
    if coverage.unread:
        parts.append("no reader for " + suffixes(coverage.unread))
    parts += [f"{count(number, 'file')} without {what}" for what, number in coverage.without.items()]
    return ", ".join(parts)


def suffixes(counts: Mapping[str, int], most: int = 6) -> str:
    """Counts of files by suffix: ``3 .nef, 2 .psd, 4 others``."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{number:,} {suffix or 'without a suffix'}" for suffix, number in ranked[:most]]
    rest = sum(number for _, number in ranked[most:])
    return ", ".join([*parts, *([f"{rest:,} others"] if rest else [])])


def burst(others: int) -> str:
    """What stands beside a photograph that stands for others of its burst."""
    return f"+{others} alike"


def ended(limit: int) -> str:
    """That a list of hits ends because of a maximum, and what to do about it."""
    return f"Only the first {count(limit, 'hit')} can be listed. Narrow the search with filters to see others."


def wordless(channel: str, why: str, assets: int, duration_ms: int) -> tuple[str, str]:
    """What no reader has read, as a sentence, and what to do about it."""
    length = f" ({clock(duration_ms)})" if duration_ms else ""
    have = f"{count(assets, 'file')} {'has' if assets == 1 else 'have'}"
    what, reader = (
        ("subtitles that are not read", "written") if why == "subtitles"
        else ("on-screen text that is not read", "ocr") if channel == "ocr"
        else ("speech that is not transcribed", "speech:base")
    )  # fmt: skip
    remedy = {
        "waiting": "The reader has not come to it yet. Run `sensorium index` to continue.",
        "failed": "The reader failed. `sensorium failures` says why; `sensorium retry` tries again.",
    }.get(why, f"Add a reader: `sensorium readers add {reader}`.")
    return f"{have} {what}{length}.", remedy


def day(moment: datetime.datetime | datetime.date) -> str:
    """``24 Nov 2026``."""
    return f"{moment.day} {moment:%b %Y}"


def month(told: str) -> str:
    """``May`` of ``2024-05``."""
    return f"{datetime.date.fromisoformat(f'{told}-01'):%B}"


def last_day(told: str) -> str:
    """The last day of a month: ``2024-05-31`` of ``2024-05``."""
    year, number = map(int, told.split("-"))
    return f"{told}-{calendar.monthrange(year, number)[1]}"


def lengths(low: float | None, high: float | None) -> str:
    """A range of lengths in seconds: ``under 10 s``, ``10 s to 1 min``, ``over 30 min``."""
    told = ["" if end is None else f"{end:g} s" if end < 60 else f"{end / 60:g} min" for end in (low, high)]
    return f"{told[0]} to {told[1]}" if all(told) else f"Under {told[1]}" if told[1] else f"Over {told[0]}"


def taken(date: schemas.Date) -> str:
    """When something was taken, as people say it: ``14 Jul 2019``, ``June 1972``, ``1972``, ``14 or 15 Jul 2019``."""
    first, last, written = date.first, date.last, date.written or ""
    if first == last:
        return day(first)
    if len(written) == 4:
        return written
    if len(written) == 7:
        return f"{first:%B %Y}"
    return (
        f"{first.day} or {day(last)}" if (first.year, first.month) == (last.year, last.month) else f"{day(first)} or {day(last)}"
    )


def plain(text: str) -> str:
    """A text that Markdown leaves as it is: names of files are no markup."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~$:&])", r"\\\1", text)


def place(box: Sequence[float]) -> str:
    """Where a part of a picture lies: ``top left (11 %, 4 %, 33 % wide, 33 % high)``, from left, top, width and height in percent."""
    left, top, width, height = box
    across, down = left + width / 2, top + height / 2
    named = ("top", "middle", "bottom")[min(int(down * 3 / 100), 2)], ("left", "centre", "right")[min(int(across * 3 / 100), 2)]
    where = "centre" if named == ("middle", "centre") else " ".join(named)
    return f"{where} ({left:.0f} %, {top:.0f} %, {width:.0f} % wide, {height:.0f} % high)"
