"""Timelines of excerpts for editing programs: EDL (CMX 3600) and OpenTimelineIO.

Both count in whole frames of each medium's own rate, from its own start timecode.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

from search.exports.excerpt import Excerpt
from search.exports.timecode import FrameClock
from search.types import Modality

SOUND = FrameClock(Fraction(25))
"""How sound is counted in an EDL, which has no other time than frames."""

MILLISECONDS = FrameClock(Fraction(1000))
"""How sound is counted where any rate will do."""

_REEL = 8
_MOST_EVENTS = 999


def as_edls(title: str, excerpts: Sequence[Excerpt]) -> dict[str, str]:
    """EDLs by the ends of their names. An EDL counts in one rate and has 999 events, so there is one for each rate, and for each 999 excerpts.

    Their record side begins at 01:00:00:00, as is usual.
    """
    by_rate: dict[FrameClock, list[tuple[Excerpt, FrameClock]]] = {}
    for one in excerpts:
        if one.timed:
            clock = one.clock or SOUND
            by_rate.setdefault(FrameClock(clock.rate, 0, clock.drop), []).append((one, clock))
    found: dict[str, str] = {}
    for counted, some in by_rate.items():
        for part in range(0, len(some), _MOST_EVENTS):
            rate = counted.rate
            name = f"{rate.numerator}" if rate.denominator == 1 else f"{round(float(rate), 3):g}"
            more = f"-{part // _MOST_EVENTS + 1}" if len(some) > _MOST_EVENTS else ""
            found[f"{name}{'-drop' if counted.drop else ''}{more}"] = _edl(title, some[part : part + _MOST_EVENTS], counted)
    return found


def _edl(title: str, some: Sequence[tuple[Excerpt, FrameClock]], counted: FrameClock) -> str:
    record = FrameClock.told(counted.rate, "01:00:00;00" if counted.drop else "01:00:00:00")
    lines = [f"TITLE: {_line(title)[:70]}", f"FCM: {'DROP' if counted.drop else 'NON-DROP'} FRAME", ""]
    reels: dict[str, str] = {}
    at = 0
    for number, (one, clock) in enumerate(some, 1):
        reel = reels.setdefault(one.sha256, _reel(one.name, reels))
        first, end = clock.span(*one.stretch)
        kind = "A" if one.modality is Modality.AUDIO else "V"
        times = (clock.timecode(first), clock.timecode(end), record.timecode(at), record.timecode(at + end - first))
        lines.append(f"{number:03}  {reel:<8} {kind:<5} C        {' '.join(times)}")
        lines.append(f"* FROM CLIP NAME: {_line(one.name)}")
        lines.append(f"* SOURCE FILE: {_line(one.source)}")
        if one.words:
            lines.append(f"* COMMENT: {_line(one.words)[:200]}")
        at += end - first
    return "\r\n".join([*lines, ""])


def _reel(name: str, taken: dict[str, str]) -> str:
    """A name of a reel: at most eight letters and digits, each medium's own."""
    base = re.sub(r"[^A-Z0-9]", "", PurePosixPath(name).stem.upper())[:_REEL] or "REEL"
    reel, number = base, 2
    while reel in taken.values():
        reel, number = f"{base[: _REEL - len(str(number))]}{number}", number + 1
    return reel


def _line(text: str) -> str:
    return " ".join(text.split())


def as_otio(title: str, excerpts: Sequence[Excerpt]) -> str:
    """A timeline with a track for each medium (OpenTimelineIO, schema Clip.2): times are whole frames, counted from each medium's own start."""
    tracks: list[dict[str, Any]] = []
    for modality, kind in ((Modality.VIDEO, "Video"), (Modality.AUDIO, "Audio")):
        clips = [_clip(one) for one in excerpts if one.modality is modality]
        if clips:
            tracks.append(
                {"OTIO_SCHEMA": "Track.1", "name": kind, "kind": kind, "children": clips, "source_range": None, "metadata": {}}
            )
    stack: dict[str, Any] = {"OTIO_SCHEMA": "Stack.1", "name": "tracks", "children": tracks, "source_range": None, "metadata": {}}
    timeline = {"OTIO_SCHEMA": "Timeline.1", "name": title, "global_start_time": None, "tracks": stack, "metadata": {}}
    return json.dumps(timeline, ensure_ascii=False, indent=1)


def _clip(one: Excerpt) -> dict[str, Any]:
    clock = one.clock or MILLISECONDS
    first, end = clock.span(*one.stretch)
    available = None if not one.duration_ms else _range(clock, 0, max(end, clock.frame(one.duration_ms)))
    reference = {
        "OTIO_SCHEMA": "ExternalReference.1", "name": one.name, "target_url": one.source, "available_range": available,
        "metadata": {"sensorium": {"sha256": one.sha256}},
    }  # fmt: skip
    about = {"sha256": one.sha256, "note": one.note, "text": one.text, "start_ms": one.stretch[0], "end_ms": one.stretch[1]}
    return {
        "OTIO_SCHEMA": "Clip.2", "name": one.name, "source_range": _range(clock, first, end), "active_media_reference_key": "DEFAULT_MEDIA",
        "media_references": {"DEFAULT_MEDIA": reference}, "metadata": {"sensorium": about},
    }  # fmt: skip


def _range(clock: FrameClock, first: int, end: int) -> dict[str, Any]:
    return {
        "OTIO_SCHEMA": "TimeRange.1", "start_time": _time(clock, clock.first + first), "duration": _time(clock, end - first),
    }  # fmt: skip


def _time(clock: FrameClock, value: int) -> dict[str, Any]:
    return {"OTIO_SCHEMA": "RationalTime.1", "rate": float(clock.rate), "value": float(value)}
