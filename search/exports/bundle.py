"""A bundle: the files of one export, with a manifest of their hashes and of those of the media."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import BinaryIO, Final

from search.errors import InputError, MediaError, Problem
from search.exports import lists, timelines
from search.exports.excerpt import Excerpt
from search.media.contact_sheet import SheetCell, contact_sheet
from search.types import Modality

FORMATS: Final = (
    "csv",
    "json",
    "vtt",
    "annotations",
    "regions",
    "coco",
    "iiif",
    "edl",
    "otio",
    "fcpxml",
    "sheet",
    "pictures",
    "clips",
)
TIMED: Final = ("vtt", "edl", "otio", "fcpxml", "clips")
"""Formats that tell of sound and video alone."""
SEEN: Final = (Modality.IMAGE, Modality.VIDEO, Modality.DEPTH, Modality.THERMAL)
"""What has pictures."""
FRAMED: Final = ("json", "edl", "otio", "fcpxml")
"""Formats that count frames."""
THINGS: Final = ("regions", "coco")
"""Formats that tell of things in pictures."""
MANIFEST = "manifest.json"

Cutter = Callable[[Excerpt], tuple[str, bytes]]
"""Cuts an excerpt, or gives its picture: the suffix of its file, and its bytes."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in a bundle, so that the same export has the same bytes but for its manifest."""


def bundle(
    file: BinaryIO, format: str, title: str, excerpts: Sequence[Excerpt], cut: Cutter | None = None, *, left_out: Mapping[str, str] | None = None,  # noqa: A002
) -> None:  # fmt: skip
    """Write an export into ``file`` as a ZIP archive. ``cut`` is called for ``clips``, which it cuts, and for ``sheet`` and ``pictures``, to which it gives pictures; the manifest tells what was ``left_out`` and why.

    Raises:
        InputError: there is nothing that this format can tell of, or the format is not known.
    """
    made, missed = [], dict(left_out or {})
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files(format, title, excerpts, cut, missed):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
            made.append({"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})
        archive.writestr(zipfile.ZipInfo(MANIFEST, _EPOCH), manifest(format, title, made, excerpts, missed), zipfile.ZIP_DEFLATED)


def files(
    format: str, title: str, excerpts: Sequence[Excerpt], cut: Cutter | None = None, missed: dict[str, str] | None = None  # noqa: A002
) -> Iterator[tuple[str, bytes]]:  # fmt: skip
    """The files of an export, by name; raises as ``bundle`` does. Clips that cannot be cut are noted in ``missed``, with why."""
    name = slug(title)
    timed = [one for one in excerpts if one.timed]
    seen = [one for one in excerpts if one.modality in SEEN]
    if format not in FORMATS:
        raise InputError(f"There is no export {format!r}.", remedy=f"Choose one of {', '.join(FORMATS)}.")
    if not excerpts or (format in TIMED and not timed):
        raise InputError(
            "There is nothing to export." if not excerpts else f"None of it is sound or video, which {format} is made of.",
            remedy="Choose moments of sound or video; or export as csv, json, annotations, iiif or sheet.",
        )
    if format == "pictures" and not seen:
        raise InputError(
            "Nothing of it has a picture.", remedy="Choose pictures or moments of video; or export in another format."
        )
    if format in THINGS and not any(one.things for one in excerpts):
        raise InputError(
            "Nothing is known of things in these pictures.",
            remedy="Have them looked for: sensorium readers add detect:MODEL --labels …",
        )
    if format == "csv":
        yield f"{name}.csv", lists.as_csv(excerpts).encode()
    elif format == "json":
        yield f"{name}.json", lists.as_json(title, excerpts).encode()
    elif format == "annotations":
        yield f"{name}.jsonld", lists.as_annotations(title, excerpts).encode()
    elif format == "regions":
        yield f"{name}.regions.jsonld", lists.as_regions(title, excerpts).encode()
    elif format == "coco":
        told, without = lists.as_coco(title, excerpts)
        if missed is not None:
            missed |= without
        yield f"{name}.coco.json", told.encode()
    elif format == "otio":
        yield f"{name}.otio", timelines.as_otio(title, excerpts).encode()
    elif format == "fcpxml":
        yield f"{name}.fcpxml", timelines.as_fcpxml(title, excerpts).encode()
    elif format == "iiif":
        told, without = lists.as_iiif(title, excerpts)
        if missed is not None:
            missed |= without
        yield f"{name}.iiif.json", told.encode()
    elif format == "sheet":
        yield f"{name}.pdf", contact_sheet(title, [_cell(one, cut) for one in excerpts])
    elif format == "edl":
        for rate, text in timelines.as_edls(title, excerpts).items():
            yield f"{name}-{rate}.edl", text.encode("ascii", "replace")
    elif format == "vtt":
        yield from _subtitles(timed)
    elif cut is not None:
        for number, one in enumerate(seen if format == "pictures" else timed, 1):
            try:
                suffix, content = cut(one)
            except (MediaError, Problem) as error:
                if missed is None:
                    raise
                missed[f"{number:03} {one.name}"] = str(error)
                continue
            yield f"{number:03}-{slug(one.name)}.{suffix}", content


def _cell(one: Excerpt, picture: Cutter | None) -> SheetCell:
    """What a contact sheet shows of an excerpt; where there is no picture, its words."""
    content = None
    with suppress(MediaError, Problem):
        content = picture(one)[1] if picture else None
    when = "" if one.start_ms is None or not one.timed else f"{lists.clock(one.stretch[0])} – {lists.clock(one.stretch[1])}"
    return SheetCell(content, one.name, when, " ".join(one.words.split()))


def _subtitles(timed: Sequence[Excerpt]) -> Iterator[tuple[str, bytes]]:
    """A file of cues for each medium, all with names of their own."""
    by_medium: dict[str, list[Excerpt]] = {}
    for one in timed:
        by_medium.setdefault(one.sha256, []).append(one)
    for number, some in enumerate(by_medium.values(), 1):
        yield f"{number:03}-{slug(some[0].name)}.vtt", lists.as_vtt(some).encode()


def manifest(
    format: str, title: str, made: Sequence[dict[str, object]], excerpts: Sequence[Excerpt], left_out: Mapping[str, str]  # noqa: A002
) -> str:  # fmt: skip
    """What an export holds, and the media that it is of, each with its SHA-256."""
    media = {
        one.sha256: {
            "name": one.name,
            "folder": one.folder,
            "collection": one.collection,
            "bytes": one.size,
            "sha256": one.sha256,
        }
        for one in excerpts
    }
    told = {
        "program": f"sensorium {version('sensorium')}", "made_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "title": title, "format": format, "files": list(made), "media": list(media.values()),
        "left_out": [{"name": name, "why": why} for name, why in left_out.items()],
    }  # fmt: skip
    return json.dumps(told, ensure_ascii=False, indent=1)


def slug(title: str) -> str:
    """A title as the name of a file: letters, digits and hyphens of any script, at most sixty."""
    return re.sub(r"[^\w.-]+", "-", title).strip("-._")[:60] or "export"


def zipped(
    format: str, title: str, excerpts: Sequence[Excerpt], cut: Cutter | None = None, *, left_out: Mapping[str, str] | None = None,  # noqa: A002
) -> bytes:  # fmt: skip
    """``bundle`` in memory."""
    file = io.BytesIO()
    bundle(file, format, title, excerpts, cut, left_out=left_out)
    return file.getvalue()
