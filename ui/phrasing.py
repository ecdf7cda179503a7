"""Numbers and names as people read them, in the language that is spoken: English in the terminal, the reader's on the page."""

from __future__ import annotations

import calendar
import datetime
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ui.i18n import decimal, mark, percent, plural, tr, whole

if TYPE_CHECKING:
    from search import types
    from search.api import schemas

MEDIA = {
    "image": mark("image"), "video": mark("video"), "audio": mark("sound"), "text": mark("text"),
    "depth": mark("depth picture"), "thermal": mark("thermal picture"), "imu": mark("motion recording"),
}  # fmt: skip
"""What people call the modalities."""

CHANNELS = {
    "visual": mark("picture"), "sound": mark("sound"), "text": mark("text"), "speech": mark("speech"), "ocr": mark("on-screen text"),
    "caption": mark("caption by a model"), "motion": mark("motion"),
}  # fmt: skip
"""What people call the channels."""

SKILLS = {
    "words": mark("anything like"), "picture": mark("seen"), "sound": mark("heard"), "speech": mark("said"), "screen": mark("on screen"),
    "then": mark("in this order"), "without": mark("without"), "filter": mark("only"), "similar": mark("like"), "region": mark("part of a picture"),
    "count": mark("count"), "ask": mark("ask a model"), "translate": mark("translate"), "stop": mark("stop"),
}  # fmt: skip
"""What people call the skills of a plan."""

_WORK = {
    "speech": mark("transcribing speech"), "ocr": mark("reading on-screen text"), "caption": mark("writing captions"),
    "written": mark("reading metadata and subtitles"),
}  # fmt: skip
_BANDS = ((0.5, 4, mark("strong")), (0.2, 3, mark("good")), (0.05, 2, mark("fair")), (0.0, 1, mark("weak")))
"""Minimum probability of a hit, its bars or dots, and its word. The one scale of a score, in the terminal and on the page."""

WEAK = 1
"""Bars of a weak match."""

WEAKER, NOTHING = mark("Weaker matches"), mark("No good match. Closest results:")

_COUNTED = (
    ("{count} image", "{count} images"), ("{count} video", "{count} videos"), ("{count} sound", "{count} sounds"), ("{count} text", "{count} texts"),
    ("{count} depth picture", "{count} depth pictures"), ("{count} thermal picture", "{count} thermal pictures"),
    ("{count} motion recording", "{count} motion recordings"), ("{count} file", "{count} files"), ("{count} moment", "{count} moments"),
    ("{count} segment", "{count} segments"), ("{count} hit", "{count} hits"), ("{count} byte", "{count} bytes"), ("{count} choice", "{count} choices"), ("{count} new find", "{count} new finds"),
    ("{count} right file", "{count} right files"), ("{count} vector", "{count} vectors"),
)  # fmt: skip
"""What the page counts, for the catalogues."""

STAGES = (
    mark("learning the lists of the index"), mark("filling the lists of the index"), mark("tuning the lists of the index"), mark("writing the index"),
)  # fmt: skip
"""What a run does with the index when all files are in, in the words of the indexer."""

_MONTHS = (
    mark("January"), mark("February"), mark("March"), mark("April"), mark("May"), mark("June"), mark("July"), mark("August"), mark("September"),
    mark("October"), mark("November"), mark("December"),
)  # fmt: skip
_SHORT = (
    mark("Jan"), mark("Feb"), mark("Mar"), mark("Apr"), mark("May"), mark("Jun"), mark("Jul"), mark("Aug"), mark("Sep"), mark("Oct"), mark("Nov"), mark("Dec"),
)  # fmt: skip


def count(number: int, noun: str) -> str:
    """``1 image``, ``1,204 images``."""
    return plural(f"{{count}} {noun}", f"{{count}} {noun}s", number)


def clock(ms: int) -> str:
    """Milliseconds as ``0:07.5``, ``12:30`` or ``1:02:03``; tenths only where there are any."""
    tenths = round(ms / 100)
    seconds, tenth = divmod(tenths, 10)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02}" if hours else str(minutes)
    return f"{head}:{seconds:02}" + (decimal(f".{tenth}") if tenth else "")


def position(latitude: float | None, longitude: float | None) -> str:
    """A place as ``59.329° N, 18.069° E``; empty if there is none."""
    if latitude is None or longitude is None:
        return ""
    north, east = (decimal(f"{round(abs(degrees), 3):g}") for degrees in (latitude, longitude))
    return ", ".join(
        (
            tr("{degrees}° N", degrees=north) if latitude >= 0 else tr("{degrees}° S", degrees=north),
            tr("{degrees}° E", degrees=east) if longitude >= 0 else tr("{degrees}° W", degrees=east),
        )
    )


def step_state(step: schemas.PlanRow) -> str:
    """What became of a step of a plan."""
    if step.state == "impossible":
        return f"{step.why} {step.remedy}".strip()
    if step.state == "taken":
        return "" if step.gain is None else tr("about {number} relevant", number=decimal(f"{step.gain:.1f}"))
    return {
        "skipped": tr("skipped"),
        "stopped": tr("not worth it") if step.gain is not None and step.gain < 1 else tr("not taken"),
        "offered": "",
    }[step.state]


def left(seconds: float) -> str:
    """A time to wait, roughly: ``4 s``, ``3 min``, ``2 h``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{round(seconds / 3600)} h"


def reading(reader: str) -> str:
    """What a reader is doing, by its name."""
    known = _WORK.get(reader.partition(":")[0])
    return tr(known) if known else tr("reading with {reader}", reader=reader)


def size(number: int) -> str:
    """Bytes as ``812 bytes``, ``1.4 MB``."""
    if number < 1000:
        return count(number, "byte")
    value = float(number)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 1000 or unit == "TB":
            break
    return f"{decimal(f'{value:.3g}')} {unit}"


def band(confidence: float | None, verdict: str | None = None) -> tuple[int, str]:
    """How well a hit matches: 1 to 4 bars and a word; 0 and no word where nothing is known. If the verdict is no, every match is weak."""
    if confidence is None:
        return 0, ""
    if verdict == "no":
        return WEAK, tr("weak")
    return next((bars, tr(word)) for least, bars, word in _BANDS if confidence >= least)


def estimate(found: types.Estimate | schemas.Estimate) -> str:
    """How many files match, as a sentence without its full stop."""
    low, expected, high = (round(number) for number in (found.low, found.expected, found.high))
    told = tr("About {files}", files=count(expected, "file")) if expected else tr("Probably none")
    told += f", {tr('{low} to {high}', low=whole(low), high=whole(high))}" if high > max(expected, 1) else ""
    return told + (f"; {tr('at least {number}', number=whole(round(found.at_least)))}" if found.at_least else "")


def review(found: types.Review | schemas.Review) -> str:
    """What people said of a question's files, as a sentence without its full stop."""
    told = tr("{files} judged, {right} right", files=count(found.judged, "file"), right=whole(found.right))
    if found.left_at_most is None or found.population is None:
        return told
    told += "; " + tr(
        "{sampled} of {population} were drawn at random: at most {files} left", sampled=whole(found.sampled), population=whole(found.population),
        files=count(found.left_at_most, "right file"),
    )  # fmt: skip
    return told + (f", {tr('at least {share} found', share=percent(found.recall_at_least))}" if found.recall_at_least else "")


def unseen(coverage: types.Coverage | schemas.Coverage) -> str:
    """What of the archive a search cannot see, as a sentence without its full stop; empty where it can see all."""
    parts = []
    if coverage.seen < coverage.files:
        parts.append(tr("{seen} of {files} searchable", seen=whole(coverage.seen), files=count(coverage.files, "file")))
    if coverage.waiting:
        parts.append(tr("{number} waiting", number=whole(coverage.waiting)))
    if coverage.failed:
        parts.append(tr("{number} failed", number=whole(coverage.failed)))
    if coverage.unsampled_ms:
        parts.append(tr("{length} of sound and video not searchable", length=clock(coverage.unsampled_ms)))
    if coverage.away:
        parts.append(tr("{files} away: the folder or disk is not there", files=count(coverage.away, "file")))
    if coverage.unread:
        parts.append(tr("no reader for {files}", files=suffixes(coverage.unread)))
    parts += [
        tr("{files} without {what}", files=count(number, "file"), what=tr(what)) for what, number in coverage.without.items()
    ]
    return ", ".join(parts)


def on_map(files: int, missing: int) -> str:
    """How many files a map shows, as a sentence."""
    if not missing:
        return tr("All {files} are on the map.", files=count(files, "file"))
    return plural(
        "Of {files}, {count} is not on the map.", "Of {files}, {count} are not on the map.", missing, files=count(files, "file")
    )


def suffixes(counts: Mapping[str, int], most: int = 6) -> str:
    """Counts of files by suffix: ``3 .nef, 2 .psd, 4 others``."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{whole(number)} {suffix or tr('without a suffix')}" for suffix, number in ranked[:most]]
    rest = sum(number for _, number in ranked[most:])
    return ", ".join([*parts, *([tr("{number} others", number=whole(rest))] if rest else [])])


def burst(others: int) -> str:
    """What stands beside a photograph that stands for others of its burst."""
    return tr("+{number} alike", number=others)


def ended(limit: int) -> str:
    """That a list of hits ends because of a maximum, and what to do about it."""
    return tr("Only the first {hits} can be listed. Narrow the search with filters to see others.", hits=count(limit, "hit"))


def wordless(channel: str, why: str, assets: int, duration_ms: int) -> tuple[str, str]:
    """What no reader has read, as a sentence, and what to do about it."""
    length = f" ({clock(duration_ms)})" if duration_ms else ""
    told, reader = (
        (plural("{count} file has subtitles that are not read{length}.", "{count} files have subtitles that are not read{length}.", assets, length=length), "written")
        if why == "subtitles"
        else (plural("{count} file has on-screen text that is not read{length}.", "{count} files have on-screen text that is not read{length}.", assets, length=length), "ocr")
        if channel == "ocr"
        else (plural("{count} file has speech that is not transcribed{length}.", "{count} files have speech that is not transcribed{length}.", assets, length=length), "speech:base")
    )  # fmt: skip
    remedy = {
        "waiting": tr("The reader has not come to it yet. Run `sensorium index` to continue."),
        "failed": tr("The reader failed. `sensorium failures` says why; `sensorium retry` tries again."),
    }.get(why, tr("Add a reader: `sensorium readers add {reader}`.", reader=reader))
    return told, remedy


def day(moment: datetime.datetime | datetime.date) -> str:
    """``24 Nov 2026``."""
    return tr("{day} {month} {year}", day=moment.day, month=tr(_SHORT[moment.month - 1]), year=moment.year)


def month(told: str) -> str:
    """``May`` of ``2024-05``."""
    return tr(_MONTHS[int(told[-2:]) - 1])


def last_day(told: str) -> str:
    """The last day of a month: ``2024-05-31`` of ``2024-05``."""
    year, number = map(int, told.split("-"))
    return f"{told}-{calendar.monthrange(year, number)[1]}"


def lengths(low: float | None, high: float | None) -> str:
    """A range of lengths in seconds: ``under 10 s``, ``10 s to 1 min``, ``over 30 min``."""
    told = ["" if end is None else decimal(f"{end:g} s" if end < 60 else f"{end / 60:g} min") for end in (low, high)]
    if all(told):
        return tr("{low} to {high}", low=told[0], high=told[1])
    return tr("Under {length}", length=told[1]) if told[1] else tr("Over {length}", length=told[0])


def taken(date: schemas.Date) -> str:
    """When something was taken, as people say it: ``14 Jul 2019``, ``June 1972``, ``1972``, ``14 or 15 Jul 2019``."""
    first, last, written = date.first, date.last, date.written or ""
    if first == last:
        return day(first)
    if len(written) == 4:
        return written
    if len(written) == 7:
        return tr("{month} {year}", month=tr(_MONTHS[first.month - 1]), year=first.year)
    if (first.year, first.month) == (last.year, last.month):
        return tr("{day} or {date}", day=first.day, date=day(last))
    return tr("{date} or {other}", date=day(first), other=day(last))


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
