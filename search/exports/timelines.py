"""Timelines of excerpts for editing programs: EDL (CMX 3600), OpenTimelineIO and FCPXML.

All count in whole frames of each medium's own rate, from its own start timecode.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from search.exports.excerpt import Excerpt
from search.exports.lists import located
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


def as_fcpxml(title: str, excerpts: Sequence[Excerpt]) -> str:
    """An event with a project for each frame rate (FCPXML 1.9): each time is a whole number of frames, written as a fraction of a second.

    Sound has no frames of its own and counts like an EDL does.
    """
    root = Element("fcpxml", version="1.9")
    resources = SubElement(root, "resources")
    event = SubElement(SubElement(root, "library"), "event", name=_xml(title))
    known: dict[str, str] = {}
    by_rate: dict[tuple[Fraction, bool], list[tuple[Excerpt, FrameClock]]] = {}
    for one in excerpts:
        if one.timed:
            clock = one.clock or SOUND
            by_rate.setdefault((clock.rate, clock.drop), []).append((one, clock))
    for number, ((rate, drop), some) in enumerate(by_rate.items(), 1):
        format_ = f"f{number}"
        SubElement(resources, "format", id=format_, frameDuration=_seconds(1, rate))
        name = _xml(title) if len(by_rate) == 1 else f"{_xml(title)} {round(float(rate), 3):g}{' drop' if drop else ''}"
        counts = "DF" if drop else "NDF"
        spans = [clock.span(*one.stretch) for one, clock in some]
        lasts = sum(end - first for first, end in spans)
        project = SubElement(event, "project", name=name)
        sequence = SubElement(project, "sequence", format=format_, duration=_seconds(lasts, rate), tcStart="0s", tcFormat=counts)
        spine, at = SubElement(sequence, "spine"), 0
        for (one, clock), (first, end) in zip(some, spans, strict=True):
            if one.sha256 not in known:
                known[one.sha256] = f"a{len(known) + 1}"
                _fcp_asset(resources, known[one.sha256], one, clock, format_)
            clip = SubElement(
                spine, "asset-clip", ref=known[one.sha256], name=_xml(one.name), offset=_seconds(at, rate), start=_seconds(clock.first + first, rate),
                duration=_seconds(end - first, rate), format=format_, tcFormat=counts,
            )  # fmt: skip
            if one.words:
                SubElement(clip, "note").text = _xml(one.words)
            at += end - first
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n{tostring(root, encoding="unicode")}\n'


def _fcp_asset(resources: Element, key: str, one: Excerpt, clock: FrameClock, format_: str) -> None:
    """A medium from its own start timecode to its end."""
    lasts = max(clock.frame(one.duration_ms or 0), clock.span(*one.stretch)[1])
    told = {
        "id": key, "name": _xml(one.name), "uid": one.sha256, "start": _seconds(clock.first, clock.rate), "duration": _seconds(lasts, clock.rate),
    }  # fmt: skip
    if one.modality is Modality.VIDEO:
        told |= {"hasVideo": "1", "format": format_}
    if one.audible:
        told |= {"hasAudio": "1", "audioSources": "1"}
    asset = SubElement(resources, "asset", told)
    SubElement(asset, "media-rep", kind="original-media", src=located(one.source))


def _seconds(frames: int, rate: Fraction) -> str:
    """Frames as seconds: ``1001/30000s``, ``3600s``."""
    time = frames / rate
    return f"{time.numerator}s" if time.denominator == 1 else f"{time.numerator}/{time.denominator}s"


def _xml(text: str) -> str:
    return _NO_XML.sub(" ", text)


_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold."""
