"""Copies: how surely edits of the given films are traced to them, what fingerprints cost an ingest, and how fast a film is looked up.

Each film of eight seconds or more is edited in eight ways. A stretch that is told is right if it is of the same film, and the times of both
sides fit the edit. Two films that were never edited into each other must have nothing in common.
"""

from __future__ import annotations

import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from indexer.run import RunRequest, index
from search.media import fingerprints
from search.query import Engine
from search.query.copies import FRAME_BITS, Used, _aligned, _Codes
from search.settings import Settings
from search.store.catalogue import Asset
from search.types import Channel
from tests.bench.report import ROOT, Figure, Skipped, seconds

LEAST_SECONDS, OFF_MS = 8.0, 1_500
HOURS, FRAMES_AN_HOUR = 100, 3_600

EDITS: dict[str, list[str]] = {
    "recompressed": ["-vf", "scale=iw/2:-2", "-crf", "34"],
    "cropped": ["-vf", "crop=iw*0.9:ih*0.9"],
    "mirrored": ["-vf", "hflip"],
    "letterboxed": ["-vf", "pad=iw:ih*1.33:0:(oh-ih)/2"],
    "excerpt": ["CUT"],
    "intro": ["-vf", "tpad=start_duration=3:color=black", "-af", "adelay=3000:all=1"],
    "faster": ["-vf", "setpts=PTS*24/25", "-an"],
    "cropped-excerpt": ["CUT", "-vf", "crop=iw*0.92:ih*0.92", "-crf", "30"],
}


def run() -> Iterator[Figure]:
    given = ROOT.parent / "shared" / "data" / "clips"
    if not given.is_dir():
        raise Skipped("the given films are not in ../shared/data")
    with tempfile.TemporaryDirectory() as folder:
        films = Path(folder, "films")
        films.mkdir()
        begins = {film.stem: round(_length(film) * 300) for film in given.iterdir() if _length(film) >= LEAST_SECONDS}
        for film in sorted(given.iterdir()):
            (films / f"{film.stem}.original{film.suffix}").write_bytes(film.read_bytes())
            if film.stem in begins:
                _edit(film, films, begins[film.stem] / 1_000)
        settings = Settings(home=Path(folder, "home"))
        yield _indexed(settings, films)
        with Engine(settings) as engine:
            yield from _traced(engine, begins)
    yield _lookup()


def _length(film: Path) -> float:
    asked = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(film)]
    return float(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)


def _edit(film: Path, folder: Path, at: float) -> None:
    for name, options in EDITS.items():
        cut = ["-ss", f"{at:.3f}", "-t", "15"] if "CUT" in options else []
        rest = [one for one in options if one != "CUT"]
        made = [
            "ffmpeg",
            "-v",
            "error",
            *cut,
            "-i",
            str(film),
            *rest,
            "-preset",
            "ultrafast",
            "-threads",
            "1",
            str(folder / f"{film.stem}.{name}.mp4"),
        ]
        subprocess.run(made, check=True)


def _traced(engine: Engine, begins: dict[str, int]) -> Iterator[Figure]:
    assets = {one.id: one for one in engine.catalogue.assets(range(1, 1_000)).values()}
    told = right = wanted = found = 0
    for one in assets.values():
        stem, edit = _named(one)
        used = engine.reuse(one.id)
        told += len(used)
        right += sum(_fits(use, edit, _named(assets[use.asset]), stem, begins) for use in used)
        if edit != "original":
            for channel in (Channel.VISUAL, Channel.SOUND):
                if channel is Channel.SOUND and (edit == "faster" or stem != "applausing"):  # the only given film with sound
                    continue
                wanted += 1
                found += any(
                    use.channel is channel
                    and _named(assets[use.asset]) == (stem, "original")
                    and _fits(use, edit, (stem, "original"), stem, begins)
                    for use in used
                )
    yield Figure("stretches that are told and right", right / max(told, 1), f"of {told}", least=0.98)
    yield Figure("edits that are traced to their film", found / max(wanted, 1), f"of {wanted}", least=0.95)


def _named(asset: Asset) -> tuple[str, str]:
    stem, edit, _ = Path(asset.location.path).name.split(".")
    return stem, edit


def _fits(use: Used, edit: str, other: tuple[str, str], stem: str, begins: dict[str, int]) -> bool:
    """Whether a stretch is of the same film, and the same moments of it."""
    if other[0] != stem or stem not in begins:
        return False
    here, there = (_original(edit, begins[stem], span.start) for edit, span in ((edit, use.span), (other[1], use.other)))
    return abs(here - there) <= OFF_MS


def _original(edit: str, begins: int, ms: int) -> float:
    """Where a moment of an edit lies in the film."""
    if "excerpt" in edit:
        return ms + begins
    return ms - 3_000 if edit == "intro" else ms * 25 / 24 if edit == "faster" else ms


def _indexed(settings: Settings, films: Path) -> Figure:
    """Index the films; the share of its processor time, decoding included, that fingerprints take."""
    spent, lock, made = 0.0, threading.Lock(), fingerprints.codes_of

    def timed(*given: Any) -> Any:
        nonlocal spent
        began = time.thread_time()
        try:
            return made(*given)
        finally:
            with lock:
                spent += time.thread_time() - began

    before = _processor()
    fingerprints.codes_of = timed
    try:
        index(settings, RunRequest([films]))
    finally:
        fingerprints.codes_of = made
    return Figure("fingerprints, as a share of an ingest", spent / (_processor() - before), "", most=0.03)


def _processor() -> float:
    """Processor time of this process, and of its children that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def _lookup() -> Figure:
    """A minute of film among a hundred hours of others, without its vectors."""
    rng, count = np.random.default_rng(0), HOURS * FRAMES_AN_HOUR
    theirs = _Codes(
        np.arange(count), np.arange(count) // FRAMES_AN_HOUR, np.arange(count) % FRAMES_AN_HOUR * 1_000, rng.integers(0, 256, (count, 8)).astype(np.uint8)
    )  # fmt: skip
    mine = theirs.only(np.arange(7_000, 7_060))
    took = median(seconds(lambda: list(_aligned(mine, theirs, Channel.VISUAL, FRAME_BITS))) for _ in range(3))
    return Figure(f"a minute looked up in {HOURS} hours, p50", 1_000 * took, "ms", most=1_000)
