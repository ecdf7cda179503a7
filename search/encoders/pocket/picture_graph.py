"""Which of the two picture graphs of the pocket space runs on this machine: int8, or float32 where int8 is not faster.

Both stand on the same weights, and their vectors may stand side by side in one archive (MODEL_CARD.md). On a processor without
instructions for 8-bit products int8 may be slower, or overflow and change the vectors. So both graphs are timed on the same
pictures at first use, and their vectors compared. What came of it is remembered for the machine in the cache of the home, and by
the process.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from search import disk

FASTER = 1.1
"""How many times the rate of float32 int8 must reach."""

ALIKE = 0.995
"""The least mean cosine between vectors of both graphs. For the pictures below it is .9993, and .987 where 8-bit products overflow,
as on processors with AVX2 and no more (with VNNI sums have 32 bits)."""

FILE = "picture_graph.json"

PICTURES, ROUNDS = 2, 3
"""Pictures in a run, and runs of each graph, of which the fastest counts."""

Graphs = Callable[[str], ort.InferenceSession]
"""Loads the graph of a precision."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What was measured on this machine: pictures a second of one core in each precision, and the mean cosine between both."""

    int8: float
    fp32: float
    cosine: float

    @property
    def precision(self) -> str:
        """``int8`` or ``fp32``."""
        return "int8" if self.int8 >= FASTER * self.fp32 and self.cosine >= ALIKE else "fp32"

    def __str__(self) -> str:
        """What was chosen, and why."""
        measured = f"int8 {self.int8:.0f} pictures a core-second, fp32 {self.fp32:.0f}, cosine {self.cosine:.3f}"
        return f"pictures in {self.precision}: {measured}"


_known: dict[str, Choice] = {}
"""What this process has measured or read."""


def chosen(size: int, weights: str, load: Graphs, cache: Path | None = None) -> Choice:
    """The choice for this machine, measured if it is not remembered in the folder ``cache``.

    ``size`` is the side of pictures, ``weights`` tells the graphs from others. A home that is not there is not made.
    """
    key = hashlib.sha256(f"{weights} {ort.__version__} {_processor()}".encode()).hexdigest()[:16]
    remembered = _read(cache / FILE) if cache else {}
    if key not in _known:
        _known[key] = remembered[key] if key in remembered else measure(size, load)
    if cache and key not in remembered:
        with contextlib.suppress(OSError):  # then the next process measures again
            cache.mkdir(mode=0o700, exist_ok=True)
            every = remembered | {key: _known[key]}
            disk.replace(cache / FILE, json.dumps({name: asdict(one) for name, one in every.items()}).encode())
    return _known[key]


def measure(size: int, load: Graphs) -> Choice:
    """Time both graphs in turns, by the processor time of this thread, on pictures of sharp edges and noise: what is near the end
    of the range is where products overflow."""
    pictures = np.stack([_picture(size, seed) for seed in range(PICTURES)])
    graphs = {precision: load(precision) for precision in ("int8", "fp32")}
    vectors: dict[str, NDArray[np.float32]] = {}
    seconds = dict.fromkeys(graphs, float("inf"))
    for _ in range(ROUNDS):
        for precision, graph in graphs.items():
            began = time.thread_time()
            vectors[precision] = graph.run(None, {"pixels": pictures})[0]
            seconds[precision] = min(seconds[precision], max(time.thread_time() - began, 1e-6))
    cosine = float((vectors["int8"] * vectors["fp32"]).sum(axis=1).mean())
    return Choice(PICTURES / seconds["int8"], PICTURES / seconds["fp32"], cosine)


def _picture(size: int, seed: int) -> NDArray[np.uint8]:
    rng, at = np.random.default_rng(seed), np.linspace(0, 12, size)
    edges = np.sign(np.sin(np.outer(at * rng.uniform(0.2, 1), at * rng.uniform(0.2, 1))))
    picture = 128 + 127 * edges[..., None] * rng.uniform(-1, 1, 3) + rng.normal(0, 60, (size, size, 3))
    return picture.clip(0, 255).astype(np.uint8)


def _read(file: Path) -> dict[str, Choice]:
    """What is remembered; nothing if the file is not there or not ours."""
    try:
        return {
            str(key): Choice(**{name: float(value) for name, value in one.items()})
            for key, one in json.loads(file.read_bytes()).items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _processor() -> str:
    """The processor's name and instructions, which decide the rates."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    return f"{platform.machine()} {platform.processor()}"
