"""Lists of excerpts: CSV, JSON, WebVTT, W3C annotations with media fragments, and IIIF manifests."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any
from urllib.parse import quote

from search import wire
from search.exports.excerpt import Excerpt
from search.types import Box, Modality, Thing

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
    told = {field.name: getattr(one, field.name) for field in fields(one) if field.name not in ("clock", "things")}
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
        cues.append(f"{number}\n{clock(start)} --> {clock(max(end, start + 1))}\n{words}\n")
    return "WEBVTT\n\n" + "\n".join(cues)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def clock(ms: int) -> str:
    """Milliseconds as ``00:01:02.345``."""
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
    start, end = one.stretch
    time = f"t={_npt(start)},{_npt(end)}" if one.timed and one.start_ms is not None else ""
    return _part(one.source, time, one.box)


def _part(source: str, time: str, box: Box | None) -> dict[str, Any] | str:
    """A medium, or a part of it as W3C media fragments name it."""
    fragment = "&".join(filter(None, (time, wire.box(box)["fragment"] if box else "")))
    if not fragment:
        return source
    selector = {"type": "FragmentSelector", "conformsTo": "http://www.w3.org/TR/media-frags/", "value": fragment}
    return {"source": source, "selector": selector}


def _shown(excerpts: Sequence[Excerpt]) -> list[tuple[Excerpt, Thing]]:
    """The things in excerpts, each once, with its medium."""
    return list({(one.sha256, thing): (one, thing) for one in excerpts for thing in one.things}.values())


def as_regions(title: str, excerpts: Sequence[Excerpt]) -> str:
    """Things as annotations (W3C Web Annotation Data Model): the label is a tag of a part of the picture, as a media fragment in percent."""
    items = [
        {
            "id": f"urn:sha256:{one.sha256}#thing-{number}", "type": "Annotation", "motivation": "tagging", "generator": thing.source,
            **({"confidence": thing.confidence} if thing.confidence is not None else {}),
            "body": {"type": "TextualBody", "value": thing.label, "format": "text/plain", "purpose": "tagging"},
            "target": _part(one.source, "" if thing.at_ms is None else f"t={_npt(thing.at_ms)}", thing.box),
        }
        for number, (one, thing) in enumerate(_shown(excerpts), 1)
    ]  # fmt: skip
    page = {
        "@context": ["http://www.w3.org/ns/anno.jsonld", {"confidence": "urn:sensorium:confidence"}], "id": "urn:sensorium:export",
        "type": "AnnotationPage", "label": title, "items": items,
    }  # fmt: skip
    return json.dumps(page, ensure_ascii=False, indent=1)


def as_coco(title: str, excerpts: Sequence[Excerpt]) -> tuple[str, dict[str, str]]:
    """Things as COCO has them, with boxes in pixels, and what is left out: pictures whose size is not known. A frame of a video is an image of its own,
    with its time in ``at_ms``."""
    shown = _shown(excerpts)
    left_out = {one.name: "COCO needs its size in pixels." for one, _ in shown if not (one.width and one.height)}
    shown = [(one, thing) for one, thing in shown if one.width and one.height]
    of = {(one.sha256, thing.at_ms): one for one, thing in shown}
    frames = {frame: number for number, frame in enumerate(of, 1)}
    labels = {label: number for number, label in enumerate(sorted({thing.label for _, thing in shown}), 1)}
    told = {
        "info": {"description": title},
        "images": [
            {
                "id": number, "file_name": of[frame].source, "width": of[frame].width, "height": of[frame].height, "sha256": frame[0],
                **({} if frame[1] is None else {"at_ms": frame[1]}),
            }
            for frame, number in frames.items()
        ],
        "categories": [{"id": number, "name": label} for label, number in labels.items()],
        "annotations": [
            {
                "id": number, "image_id": frames[one.sha256, thing.at_ms], "category_id": labels[thing.label],
                "bbox": (bbox := _pixels(one, thing)), "area": round(bbox[2] * bbox[3], 2), "iscrowd": 0, "source": thing.source,
                **({} if thing.confidence is None else {"score": thing.confidence}),
            }
            for number, (one, thing) in enumerate(shown, 1)
        ],
    }  # fmt: skip
    return json.dumps(told, ensure_ascii=False, indent=1), left_out


def _pixels(one: Excerpt, thing: Thing) -> list[float]:
    """A thing's box in pixels: left, top, width and height."""
    width, height = one.width or 0, one.height or 0
    return [round(side * scale / 100, 2) for side, scale in zip(thing.box, (width, height, width, height), strict=True)]


def _npt(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03}".rstrip("0").rstrip(".")


IIIF = "https://sensorium.invalid"
"""What names of manifests and canvases begin with: they are names that no address answers to, until somebody publishes them."""


def as_iiif(title: str, excerpts: Sequence[Excerpt]) -> tuple[str, dict[str, str]]:
    """A manifest (IIIF Presentation API 3.0) with a canvas for each medium, and an annotation for each stretch or note; and what it leaves out.

    Media are named by their paths or addresses. A canvas has to tell its size or length, so what has neither is left out.
    """
    by_medium: dict[str, list[Excerpt]] = {}
    left_out: dict[str, str] = {}
    for one in excerpts:
        if _extent(one):
            by_medium.setdefault(one.sha256, []).append(one)
        else:
            left_out[one.name] = "IIIF shows pictures, sound and video whose size or length is known."
    manifest = {
        "@context": "http://iiif.io/api/presentation/3/context.json", "id": f"{IIIF}/manifest/{hashlib.sha256(title.encode()).hexdigest()[:16]}",
        "type": "Manifest", "label": {"none": [title]}, "items": [_canvas(some) for some in by_medium.values()],
    }  # fmt: skip
    return json.dumps(manifest, ensure_ascii=False, indent=1), left_out


def _extent(one: Excerpt) -> dict[str, Any]:
    """The size in pixels and the length in seconds, as far as the medium has them."""
    size = {"width": one.width, "height": one.height} if one.width and one.height and one.modality is not Modality.AUDIO else {}
    return size | ({"duration": one.duration_ms / 1000} if one.timed and one.duration_ms else {}) if size or one.timed else {}


_IIIF_TYPES = {Modality.VIDEO: "Video", Modality.AUDIO: "Sound"}


def _canvas(some: Sequence[Excerpt]) -> dict[str, Any]:
    one = some[0]
    name = f"{IIIF}/canvas/{one.sha256}"
    body = {"id": located(one.source), "type": _IIIF_TYPES.get(one.modality, "Image"), **_extent(one)}
    painting = {"id": f"{name}/painting", "type": "Annotation", "motivation": "painting", "body": body, "target": name}
    told = [
        {
            "id": f"{name}/annotation/{number}", "type": "Annotation", "motivation": "commenting" if one.words else "highlighting",
            **({"body": {"type": "TextualBody", "value": one.words, "format": "text/plain"}} if one.words else {}),
            "target": f"{name}#t={_npt(one.stretch[0])},{_npt(one.stretch[1])}" if one.timed and one.start_ms is not None else name,
        }
        for number, one in enumerate(some, 1)
        if one.words or (one.timed and one.start_ms is not None)
    ]  # fmt: skip
    return {
        "id": name, "type": "Canvas", "label": {"none": [one.name]}, **_extent(one),
        "metadata": [{"label": {"none": ["SHA-256"]}, "value": {"none": [one.sha256]}}],
        "items": [{"id": f"{name}/page", "type": "AnnotationPage", "items": [painting]}],
        **({"annotations": [{"id": f"{name}/annotations", "type": "AnnotationPage", "items": told}]} if told else {}),
    }  # fmt: skip


def located(source: str) -> str:
    """A path as a URI: absolute ones begin with ``file://``, others stay relative."""
    return ("file://" if source.startswith("/") else "") + quote(source)
