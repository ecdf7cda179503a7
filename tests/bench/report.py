"""What every benchmark shares: medians, the machine, the commit, and where the given data lies."""

from __future__ import annotations

import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "sample"
GIVEN = ROOT.parent / "shared" / "data"
"""Photographs, sounds and clips that stay out of the project; a benchmark that wants them is skipped, visibly, without them."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure: its value, and the bound that it should keep (``least`` or ``most``), if there is one."""

    name: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None

    @property
    def kept(self) -> bool:
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    def __str__(self) -> str:
        bound = (
            f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}" if self.most is not None else ""
        )
        return f"  {'' if self.kept else 'MISSED  '}{self.name}: {self.value:.4g} {self.unit}" + (f"  ({bound})" if bound else "")


class Skipped(Exception):
    """A benchmark that cannot run here; says why."""


class Memory:
    """Resident memory of this process and its children, sampled twice a second."""

    def __enter__(self) -> Memory:
        self._samples: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def peak_mb(self) -> float:
        return max(self._samples)

    @property
    def grown_mb(self) -> float:
        """The peak over what there was at the beginning."""
        return self.peak_mb - self._samples[0]

    @property
    def growth(self) -> float:
        """The peak of the second half of the time over that of the first."""
        half = len(self._samples) // 2
        return max(self._samples[half:]) / max(self._samples[:half])

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._ended.is_set():
            total = 0
            for process in (own, *own.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self._samples.append(total / 1e6)
            time.sleep(0.5)  # looking costs time itself


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def given(folder: str) -> Path:
    """A folder of the given data."""
    if not (GIVEN / folder).is_dir():
        raise Skipped(f"{GIVEN / folder} is not here")
    return GIVEN / folder


def machine() -> str:
    """Processor, cores, Python and commit, for the head of a report."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    git = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=ROOT, check=False)
    commit = git.stdout.strip() or "no commit"
    return f"{model}, {cores} cores, Python {platform.python_version()}, commit {commit}"
