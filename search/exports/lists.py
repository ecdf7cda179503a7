"""Lists of excerpts: CSV, JSON, WebVTT, and W3C annotations with media fragments."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from search.exports.excerpt import Excerpt

COLUMNS = (
    "collection", "folder", "name", "start_ms", "end_ms", "modality", "format", "channel", "confidence", "text", "note", "source", "sha256", "asset",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(excerpts: Sequence[Excerpt]) -> str:
    """A table as RFC 4180 says, with a byte order mark for spreadsheets. What a spreadsheet would take for a formula begins with an apostrophe."""
    file = io.StringIO()
    write = csv.writer(file)
    write.writerow(COLUMNS)
    write.writerows([_cell(getattr(one, name)) for name in COLUMNS] for one in excerpts)
    return "\ufeff" + file.getvalue()


def _cell(value: object) -> object:
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def as_json(title: str, excerpts: Sequence[Excerpt]) -> str:
    """Everything that is known of each excerpt; frames as numbers, and the rate as a fraction."""
    return json.dumps({"title": title, "excerpts": [_told(one) for one in excerpts]}, ensure_ascii=False, indent=1)


def _told(one: Excerpt) -> dict[str, Any]:
    told = {field.name: getattr(one, field.name) for field in fields(one) if field.name != "clock"}
    if one.clock and one.timed:
        first, end = one.clock.span(*one.stretch)
        told |= {
            "rate": f"{one.clock.rate.numerator}/{one.clock.rate.denominator}", "first_frame": first, "end_frame": end,
            "timecode": one.clock.timecode(first), "end_timecode": one.clock.timecode(end),
        }  # fmt: skip
    return told


def as_vtt(excerpts: Sequence[Excerpt]) -> str:
    """Cues of one medium, in order of time (WebVTT)."""
    cues = []
    for number, one in enumerate(sorted(excerpts, key=lambda one: one.stretch), 1):
        start, end = one.stretch
        words = " ".join(_escaped(one.words or one.name).split())
        cues.append(f"{number}\n{_clock(start)} --> {_clock(max(end, start + 1))}\n{words}\n")
    return "WEBVTT\n\n" + "\n".join(cues)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(ms: int) -> str:
    seconds, rest = divmod(ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}"


def as_annotations(title: str, excerpts: Sequence[Excerpt]) -> str:
    """A page of annotations (W3C Web Annotation Data Model). A stretch is a media fragment in normal play time."""
    items = [
        {
            "id": f"urn:sha256:{one.sha256}#{number}", "type": "Annotation", "motivation": "commenting" if one.note else "highlighting",
            **({"body": {"type": "TextualBody", "value": one.words, "format": "text/plain"}} if one.words else {}),
            "target": _target(one),
        }
        for number, one in enumerate(excerpts, 1)
    ]  # fmt: skip
    page = {
        "@context": "http://www.w3.org/ns/anno.jsonld", "id": "urn:sensorium:export", "type": "AnnotationPage", "label": title, "items": items,
    }  # fmt: skip
    return json.dumps(page, ensure_ascii=False, indent=1)


def _target(one: Excerpt) -> dict[str, Any] | str:
    if not one.timed or one.start_ms is None:
        return one.source
    start, end = one.stretch
    selector = {
        "type": "FragmentSelector",
        "conformsTo": "http://www.w3.org/TR/media-frags/",
        "value": f"t={_npt(start)},{_npt(end)}",
    }
    return {"source": one.source, "selector": selector}


def _npt(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03}".rstrip("0").rstrip(".")
