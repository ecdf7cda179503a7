"""Decoding a video into sampled shots and windows of sound, against the plain way: decode all of it with PyAV, and take a picture a second.

Both run in one process on the same files, in turn, on one thread, make pictures of the same size, and decode the sound where there is
some. The median of the rounds' processor time counts, for the sake of busy machines.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import av

from search.media.decode.streams import read
from search.media.sandbox.process import environment
from search.media.source import Limits, Source
from search.types import Needs
from tests.bench.report import ROOT, Figure, given

NEEDS = Needs(size=260, fit="squash", rate=16_000, window_ms=5_000, characters=1_000)
LIMITS = Limits(max_pixels=250_000_000, max_frames=32, memory=3 << 30, formats=())
SUFFIXES = {".mp4", ".mkv", ".webm", ".mov", ".avi"}
ROUNDS = 5


def run() -> Iterator[Figure]:
    """Measured in a process that has the environment of a decoder."""
    command = [sys.executable, "-m", "tests.bench.bench_video", str(given("clips"))]
    done = subprocess.run(command, env=environment(), cwd=ROOT, stdout=subprocess.PIPE, check=True)
    ratios: dict[str, float] = json.loads(done.stdout)
    whole = ratios.pop("all")
    for clip, ratio in ratios.items():
        yield Figure(clip, ratio, "times the plain way")
    yield Figure("all clips", whole, "times the plain way", least=1.6)


def plain(path: Path) -> int:
    with av.open(str(path)) as container:
        for stream in container.streams.video[:1]:
            stream.thread_count = 1
        due, pictures = 0.0, []
        for frame in container.decode(*container.streams.video[:1], *container.streams.audio[:1]):
            if isinstance(frame, av.VideoFrame) and frame.time is not None and frame.time >= due:
                pictures.append(frame.to_ndarray(format="rgb24", width=NEEDS.size, height=NEEDS.size))
                due += 1.0
        return len(pictures)


def shots(path: Path) -> int:
    with path.open("rb") as file:
        source = Source(file, path.stat().st_size, file.read(4096), path.suffix)
        file.seek(0)
        return sum(1 for _ in read(source, NEEDS, LIMITS))


def _seconds(work: Callable[[Path], int], path: Path) -> float:
    began = time.process_time()
    work(path)
    return time.process_time() - began


def main() -> None:
    ratios, totals = {}, [0.0, 0.0]
    for clip in sorted(path for path in Path(sys.argv[1]).iterdir() if path.suffix in SUFFIXES):
        rounds = [(_seconds(plain, clip), _seconds(shots, clip)) for _ in range(ROUNDS)]
        whole, sampled = (median(column) for column in zip(*rounds, strict=True))
        ratios[clip.name] = whole / sampled
        totals = [totals[0] + whole, totals[1] + sampled]
    json.dump(ratios | {"all": totals[0] / totals[1]}, sys.stdout)


if __name__ == "__main__":
    main()
