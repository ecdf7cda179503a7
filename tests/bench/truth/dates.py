"""Files that tell in some way on which day they were made; each was copied on another."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from tests.bench.truth.case import Case, Dated
from tests.bench.truth.drawing import drawn, ffmpeg, master

COPIED = 1764504000
"""When all were copied: 30 November 2025, seconds since 1970."""
DAY = "2019-07-14"
TAKEN = "2019:07:14 12:20:56"


def cases() -> Iterator[Case]:
    for number, (name, make, day) in enumerate(_files()):
        yield Case(name, "dates", partial(_aged, make=make, number=5000 + number), Dated(day))


def _files() -> Iterator[tuple[str, Callable[[Path, Path], object], str]]:
    yield "exif-original.jpg", _tagged(f"-DateTimeOriginal={TAKEN}"), DAY
    yield "exif-digitized.jpg", _tagged(f"-CreateDate={TAKEN}"), DAY
    yield "exif-datetime.jpg", _tagged(f"-ModifyDate={TAKEN}"), DAY
    yield "xmp-inside.jpg", _tagged(f"-XMP-exif:DateTimeOriginal={TAKEN}", f"-XMP-photoshop:DateCreated={TAKEN}"), DAY
    yield "iptc-inside.jpg", _tagged("-IPTC:DateCreated=2019:07:14"), DAY
    yield "xmp-beside.jpg", _beside(".jpg.xmp", f"-XMP-exif:DateTimeOriginal={TAKEN}"), DAY
    yield "scan-corrected.jpg", _scan, "1972-06-20"
    yield "IMG-20170203-WA0026.jpg", lambda *_: None, "2017-02-03"
    yield "takeout.jpg", _takeout, "2017-02-03"
    yield "evening-utc-offset.jpg", _tagged("-DateTimeOriginal=2019:07:14 23:30:00", "-OffsetTimeOriginal=-08:00"), DAY
    yield "png-text.png", _png, DAY
    yield "evening-in-california.mp4", _film("creation_time=2019-07-15T06:30:00Z", "location=+37.7749-122.4194/"), DAY
    yield "morning-in-tokyo.mp4", _film("creation_time=2019-07-13T21:30:00Z", "location=+35.6762+139.6503/"), DAY
    yield "recorded.mkv", _film("DATE_RECORDED=2019-07-14"), DAY
    yield "date.mp4", _film("date=2019-07-14"), DAY
    yield "year-only.mp4", _film("date=1965"), "1965"
    yield "digitised-tape.mp4", _film("creation_time=1965-03-01T12:00:00Z"), "1965-03-01"
    yield (
        "broadcast.wav",
        _sound("-write_bext", "1", "-metadata", "origination_date=2019-07-14", "-metadata", "origination_time=12:20:56"),
        DAY,
    )
    yield "id3.mp3", _sound("-metadata", "date=2019-07-14"), DAY
    yield "vorbis.flac", _sound("-metadata", "date=2019-07-14"), DAY
    yield "dated.html", _html, DAY


def _aged(path: Path, scraps: Path, *, make: Callable[[Path, Path], object], number: int) -> None:
    if path.suffix in (".jpg", ".png"):
        Image.fromarray(drawn(number % 4000, number)).save(path)
    make(path, scraps)
    for beside in path.parent.iterdir():
        os.utime(beside, (COPIED, COPIED))


def _exiftool(*arguments: object) -> None:
    subprocess.run(["exiftool", "-q", "-overwrite_original", *map(str, arguments)], check=True, capture_output=True)


def _tagged(*tags: str) -> Callable[[Path, Path], None]:
    return lambda path, _: _exiftool(*tags, path)


def _beside(suffix: str, *tags: str) -> Callable[[Path, Path], None]:
    return lambda path, _: _exiftool("-o", path.with_suffix(suffix), *tags)


def _scan(path: Path, scraps: Path) -> None:
    """The scanner wrote the day of the scan; the archivist wrote the day of the picture beside it."""
    _exiftool("-AllDates=2024:01:05 10:00:00", path)
    _exiftool(
        "-o", path.with_suffix(".xmp"), "-XMP-exif:DateTimeOriginal=1972:06:20 00:00:00", "-XMP-photoshop:DateCreated=1972:06:20"
    )


def _takeout(path: Path, _: Path) -> None:
    path.with_name(f"{path.name}.supplemental-metadata.json").write_text(
        json.dumps({"title": path.name, "photoTakenTime": {"timestamp": "1486157417"}})
    )


def _png(path: Path, _: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Creation Time", "2019-07-14T12:20:56")
    Image.open(path).save(path, pnginfo=info)


def _film(*tags: str) -> Callable[[Path, Path], None]:
    def make(path: Path, scraps: Path) -> None:
        metadata = [part for tag in tags for part in ("-metadata", tag)]
        ffmpeg("-i", master(scraps, 50, (0,)), "-c:v", "libx264", "-pix_fmt", "yuv420p", "-map_metadata", "-1", *metadata, path)

    return make


def _sound(*arguments: str) -> Callable[[Path, Path], None]:
    def make(path: Path, scraps: Path) -> None:
        raw = scraps / "dated.raw"
        raw.write_bytes((0.2 * np.sin(np.arange(96000) / (8 + len(path.name)))).astype("<f4").tobytes())
        ffmpeg("-f", "f32le", "-ar", 48000, "-ac", 1, "-i", raw, *arguments, path)

    return make


def _html(path: Path, _: Path) -> None:
    path.write_text(
        '<html><head><title>Report</title><meta name="date" content="2019-07-14"></head><body><p>A report about the harbour of that summer, in July.</p></body></html>\n'
    )
