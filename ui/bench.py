"""Measures this machine: how fast the encoder runs on content that is ready, and how fast an index is scanned."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import numpy as np
from rich.table import Table

from search import encoders
from search.encoders import Content
from search.index import FlatIndex
from search.models import Models
from search.settings import Settings
from search.types import Modality
from ui import show

SEGMENTS = 100_000


def measure(settings: Settings, seconds: float) -> dict[str, Any]:
    """Items a second by medium, a thread a core, and the median milliseconds of a scan over 100,000 segments."""
    encoder = encoders.load(settings.space, Models.of(settings), settings.device)
    rng, threads = np.random.default_rng(0), settings.encoders or settings.cores
    size, samples = encoder.needs.size, encoder.needs.rate * encoder.needs.window_ms // 1000
    contents: dict[Modality, Content] = {
        Modality.IMAGE: rng.integers(0, 256, (size, size, 3), np.uint8),
        Modality.AUDIO: rng.uniform(-0.5, 0.5, samples).astype(np.float32),
        Modality.TEXT: "A dog runs along the beach after a ball while gulls circle overhead.",
    }
    rates = {str(modality): _rate(encoder, modality, content, threads, seconds) for modality, content in contents.items()}
    return {
        "space": encoder.space.name,
        "threads": threads,
        "encode_per_second": rates,
        "scan_ms": _scan(encoder.space.dim),
    }


def _rate(encoder: encoders.Encoder, modality: Modality, content: Content, threads: int, seconds: float) -> float:
    batch = [content] * 8
    encoder.encode(modality, batch)
    began, done = time.perf_counter(), 0
    with ThreadPoolExecutor(threads) as executor:
        while time.perf_counter() - began < seconds:
            list(executor.map(lambda _: encoder.encode(modality, batch), range(threads)))
            done += threads * len(batch)
    return round(done / (time.perf_counter() - began), 1)


def _scan(dim: int) -> float:
    vectors = np.random.default_rng(0).standard_normal((SEGMENTS, dim), np.float32)
    index = FlatIndex(dim)
    index.add(np.arange(1, SEGMENTS + 1), vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    return round(median(_timed(lambda: index.search(vectors[:1], 100)) for _ in range(11)), 2)


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def render(found: dict[str, Any]) -> None:
    """Print what was measured."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for medium, rate in found["encode_per_second"].items():
        table.add_row(f"encode {medium}", f"{rate} a second", f"{found['space']}, {found['threads']} threads")
    table.add_row("scan", f"{found['scan_ms']} ms", f"{SEGMENTS:,} segments")
    show.out.print(table)
