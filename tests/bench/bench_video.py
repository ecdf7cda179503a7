"""Decoding a video into sampled shots, against decoding all of it: medians of both, taken in turn in one run.

    python tests/bench/bench_video.py /path/to/clips

Both run in this process on the same files, and decode the sound too where there is some. Processor time, for the sake
of busy machines; the ratio is the figure to keep.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av

from search.media.process import environment
from search.media.source import Limits, Source
from search.media.streams import read
from search.types import Needs

NEEDS = Needs(size=260, fit="crop", rate=16000, window_ms=10_000, characters=1000)
LIMITS = Limits(max_pixels=250_000_000, max_frames=32, memory=3 << 30)
ROUNDS = 7


def full(path: Path) -> int:
    with av.open(str(path)) as container:
        streams = [*container.streams.video[:1], *container.streams.audio[:1]]
        return sum(1 for _ in container.decode(*streams))


def shots(path: Path) -> int:
    with path.open("rb") as file:
        source = Source(str(path), file, path.stat().st_size, file.read(4096), path.suffix)
        return sum(1 for _ in read(source, NEEDS, LIMITS))


def seconds(work: Callable[[Path], int], path: Path) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    work(path)
    return time.perf_counter() - wall, time.process_time() - processor


def compare(clips: list[Path]) -> None:
    print(f"{'clip':36} {'full':>9} {'shots':>9}  ratio  (wall)")
    totals = [0.0] * 4
    for clip in clips:
        rounds = [(*seconds(full, clip), *seconds(shots, clip)) for _ in range(ROUNDS)]
        medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
        totals = [total + median for total, median in zip(totals, medians, strict=True)]
        show(clip.name, medians)
    show("all", totals)


def show(name: str, figures: list[float]) -> None:
    full_wall, full_cpu, shots_wall, shots_cpu = figures
    ratios = f"{full_cpu / shots_cpu:.2f}  ({full_wall / shots_wall:.2f})"
    print(f"{name:36} {full_cpu * 1e3:6.0f} ms {shots_cpu * 1e3:6.0f} ms   {ratios}")


def main() -> None:
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:  # give both sides what a decoding process has
        os.execve(sys.executable, [sys.executable, *sys.argv], environment())
    clips = sorted(path for path in Path(sys.argv[1]).iterdir() if path.suffix in (".mp4", ".mkv", ".webm", ".mov", ".avi"))
    compare(clips)


if __name__ == "__main__":
    main()
