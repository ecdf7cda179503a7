"""Measures this machine: how fast the encoder runs on content that is ready, how fast files are indexed, how fast an index is scanned."""

from __future__ import annotations

import resource
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.table import Table

from search import encoders
from search.encoders import Content, Encoder
from search.errors import InputError
from search.index import FlatIndex
from search.models import Models
from search.settings import Settings
from search.store import Database
from search.store.spaces import encoder_name
from search.types import Modality, Needs, Vectors
from ui import show

BENCH_SEGMENTS = 100_000

FRAMES = 4
"""Frames of the shot with which video is measured."""

BUSY = 0.5
"""A stage binds when it is busy for at least this share of the time."""

UNITS = {Modality.IMAGE: "images", Modality.VIDEO: "frames", Modality.AUDIO: "audio_seconds", Modality.TEXT: "texts"}


def measure(settings: Settings, seconds: float) -> dict[str, Any]:
    """Items a second by medium, a thread a core, and the median milliseconds of a scan over 100,000 segments."""
    encoder, threads = (
        encoders.load(encoder_name(Database(settings.database), settings.space), Models.of(settings), settings.device),
        _threads(settings),
    )
    chosen = (Modality.IMAGE, Modality.AUDIO, Modality.TEXT)
    contents = {modality: content for modality, content in samples(encoder.needs).items() if modality in chosen}
    rates = {str(modality): _rate(encoder, modality, content, threads, seconds, 8) for modality, content in contents.items()}
    return {
        "space": encoder.space.name,
        "threads": threads,
        "encode_per_second": rates,
        "scan_ms": _scan(encoder.space.dim),
    }


def samples(needs: Needs) -> dict[Modality, Content]:
    """One content of each everyday medium as an encoder wants it: noise, and a sentence."""
    rng = np.random.default_rng(0)
    return {
        Modality.IMAGE: rng.integers(0, 256, (needs.size, needs.size, 3), np.uint8),
        Modality.VIDEO: rng.integers(0, 256, (FRAMES, needs.size, needs.size, 3), np.uint8),
        Modality.AUDIO: rng.uniform(-0.5, 0.5, needs.rate * needs.window_ms // 1000).astype(np.float32),
        Modality.TEXT: "A dog runs along the beach after a ball while gulls circle overhead.",
    }


def warm(encoder: Encoder) -> None:
    """Run everything once: a long run pays for the loading of graphs once."""
    for modality, content in samples(encoder.needs).items():
        if modality in encoder.space.accepts:
            encoder.encode(modality, [content])


def encode(settings: Settings, seconds: float, gflops: float | None = None) -> dict[str, Any]:
    """What the encoder does a second of each medium that it accepts, on content that is ready, and on what.

    On a GPU also ``of_matmul``: the share of the rate that the card's own matrix products would allow, at ``gflops`` for an image, which
    are counted where they are not given.
    """
    encoder = encoders.load(encoder_name(Database(settings.database), settings.space), Models.of(settings), settings.device)
    return _encode(encoder, settings, seconds) | _of_card(encoder, settings, seconds, gflops)


def _encode(encoder: Encoder, settings: Settings, seconds: float) -> dict[str, Any]:
    runner = getattr(encoder, "_runner", None)
    return {
        "space": encoder.space.name,
        "device": str(runner.device) if runner else "cpu",
        "precision": str(runner.dtype).removeprefix("torch.") if runner else "as exported",
        "batch": encoder.needs.batch,
        "threads": _threads(settings),
        "per_second": _rates(encoder, settings, seconds, encoder.space.accepts),
    }


def _rates(encoder: Encoder, settings: Settings, seconds: float, chosen: Collection[Modality]) -> dict[str, float]:
    """What an encoder does a second of some media, by unit."""
    rates: dict[str, float] = {}
    for modality, content in samples(encoder.needs).items():
        if modality in chosen:
            rate = _rate(encoder, modality, content, _threads(settings), seconds, encoder.needs.batch)
            rates[UNITS[modality]] = round(rate * _weight(modality, content, encoder.needs.rate), 1)
    return rates


def _of_card(encoder: Encoder, settings: Settings, seconds: float, gflops: float | None) -> dict[str, Any]:
    """What a GPU's matrix products would allow, and how much of it an encoder reaches; nothing on a CPU."""
    runner = getattr(encoder, "_runner", None)
    if runner is None or not runner.on_gpu or Modality.IMAGE not in encoder.space.accepts:
        return {}
    from search.encoders.device import flops, matmul_rate

    picture = samples(encoder.needs)[Modality.IMAGE]
    each = gflops * 1e9 if gflops else flops(lambda: encoder.encode(Modality.IMAGE, [picture]))
    card = matmul_rate(runner.device)
    rate = _rate(encoder, Modality.IMAGE, picture, _threads(settings), seconds, encoder.needs.batch)
    return {
        "gflops_per_image": round(each / 1e9, 2),
        "gflops_by": "given" if gflops else "counted",
        "matmul_tflops": round(card / 1e12, 1),
        "of_matmul": round(rate * each / card, 3),
    }


def ingest(settings: Settings, path: Path, seconds: float, report: Any) -> dict[str, Any]:  # noqa: ANN401 - indexer.run's
    """Index a folder into a home that is dropped again: what was done a second from end to end, and how busy the stages were.

    ``of_encoder`` is the share of the rate that the encoder alone would have reached on the same mix of media, measured before and after.
    ``stages`` tells of decoding, encoding, and everything else (scanning, hashing, writing) the ``seconds`` that they took, how many
    run at once (``lanes``), and the files a second that they would allow if they had their cores for themselves (``limit``). Seconds are
    of the processor; of an encoder on a GPU, by the clock. ``cores`` has the same for all stages together on the cores that there
    are. ``busy`` are the shares of the whole time for which stages were busy, and ``binds`` the stage with the lowest limit, or
    ``neither`` if it was idle most of the time.

    Raises:
        InputError: there is nothing at ``path``, or nothing in it that can be searched.
    """
    from indexer.run import RunRequest, index

    if not path.exists():
        raise InputError(f"{path} is not there.", remedy="Check the path.")
    encoder = encoders.load(encoder_name(Database(settings.database), settings.space), Models.of(settings), settings.device)
    found, counting = _encode(encoder, settings, seconds), Counting(encoder)
    with tempfile.TemporaryDirectory() as home:
        own = replace(settings, home=Path(home), database_url="")
        before, own_before = _children(), time.process_time()
        summary = index(own, RunRequest([path], report=report), encoder=counting)
        decoding, parent = _children() - before, time.process_time() - own_before
    if not counting.done:
        raise InputError(f"Nothing in {path} could be indexed.", remedy="Name a folder with images, sound, video or text.")
    took, done = summary.seconds, {UNITS[modality]: done for modality, done in counting.done.items()}
    after = _rates(encoder, settings, seconds, counting.done)
    alone = {unit: (rate + after.get(unit, rate)) / 2 for unit, rate in found["per_second"].items()}
    files, encoding = summary.progress.done, counting.seconds
    stages = {
        "decode": _stage(decoding, settings.decoders or settings.cores, files),
        "encode": _stage(encoding, found["threads"], files),
        "store": _stage(max(parent - counting.processor, 0.0), 1, files),
    }
    busy = {name: round(stage["seconds"] / took / stage["lanes"], 3) for name, stage in stages.items()}
    most = min(stages, key=lambda name: stages[name]["limit"])
    return found | {
        "per_second": {unit: round(count / took, 1) for unit, count in done.items()},
        "encoder_per_second": {unit: round(rate, 1) for unit, rate in alone.items()},
        "of_encoder": round(sum(count / alone[unit] for unit, count in done.items()) / took, 3),
        "files": summary.progress.done,
        "failed": summary.progress.failed + summary.scan.rejected,
        "seconds": round(took, 2),
        "stages": stages,
        "cores": _stage(decoding + parent, settings.cores, files),
        "busy": busy,
        "binds": most if busy[most] >= BUSY else "neither",
    }


def _stage(seconds: float, lanes: int, files: int) -> dict[str, float]:
    """What a stage of indexing took in all its lanes, and the files a second that it allows."""
    return {"seconds": round(seconds, 3), "lanes": lanes, "limit": round(files * lanes / max(seconds, 1e-3), 1)}


class Counting:
    """An encoder that counts what another one does: ``done`` in the units of each medium, in ``seconds`` over all threads.

    Of an encoder on a processor these are the ``processor`` seconds, which other programs do not lengthen.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self.space, self.needs = encoder, encoder.space, encoder.needs
        self._counting = threading.Lock()
        self.done: dict[Modality, float] = {}
        self.seconds = self.processor = 0.0
        self._on_processor = not getattr(getattr(encoder, "_runner", None), "on_gpu", False)

    def encode(self, modality: Modality, batch: Sequence[Content]) -> Vectors:
        """What the other one makes of it."""
        began, used = time.perf_counter(), time.thread_time()
        vectors = self._encoder.encode(modality, batch)
        took, used = time.perf_counter() - began, time.thread_time() - used
        weight = sum(_weight(modality, content, self.needs.rate) for content in batch)
        with self._counting:
            self.done[modality] = self.done.get(modality, 0.0) + weight
            self.seconds += used if self._on_processor else took
            self.processor += used
        return vectors


def _weight(modality: Modality, content: Content, rate: int) -> float:
    """How many images, frames, seconds of sound or texts a content is."""
    return len(content) / rate if modality is Modality.AUDIO else len(content) if modality is Modality.VIDEO else 1.0


def _children() -> float:
    """Processor seconds of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _threads(settings: Settings) -> int:
    return settings.encoders or settings.cores


def _rate(encoder: Encoder, modality: Modality, content: Content, threads: int, seconds: float, size: int) -> float:
    """Contents a second, in batches of ``size`` from so many threads."""
    batch = [content] * size
    encoder.encode(modality, batch)
    began, done = time.perf_counter(), 0
    with ThreadPoolExecutor(threads) as executor:
        while time.perf_counter() - began < seconds:
            list(executor.map(lambda _: encoder.encode(modality, batch), range(threads)))
            done += threads * len(batch)
    return round(done / (time.perf_counter() - began), 1)


def _scan(dim: int) -> float:
    vectors = np.random.default_rng(0).standard_normal((BENCH_SEGMENTS, dim), np.float32)
    index = FlatIndex(dim)
    index.add(np.arange(1, BENCH_SEGMENTS + 1), vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
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
    table.add_row("scan", f"{found['scan_ms']} ms", f"{BENCH_SEGMENTS:,} segments")
    show.out.print(table)


def render_rates(found: dict[str, Any]) -> None:
    """Print what ``encode`` or ``ingest`` measured."""
    table = Table(box=None, pad_edge=False, show_header=False)
    how = f"{found['space']} on {found['device']} ({found['precision']}), batch {found['batch']}, {found['threads']} threads"
    for unit, rate in found.get("encoder_per_second", {}).items():
        table.add_row(f"encoder alone, {_said(unit)}", f"{rate} a second", "")
    for unit, rate in found["per_second"].items():
        table.add_row(_said(unit), f"{rate} a second", "")
    if "of_matmul" in found:
        by = f"{found['matmul_tflops']} TFLOP/s in bfloat16, {found['gflops_per_image']} GFLOP an image ({found['gflops_by']})"
        table.add_row("of the card's matrix products", f"{found['of_matmul']:.0%}", by)
    if "busy" in found:
        table.add_row(
            "of the encoder's own rate", f"{found['of_encoder']:.0%}", f"{found['files']} files in {found['seconds']} s"
        )
        for name, stage in found["stages"].items():
            told = f"{stage['seconds']} s in {stage['lanes']} at once, busy {found['busy'][name]:.0%}"
            table.add_row(f"{name} alone", f"{stage['limit']} files a second", told)
        table.add_row(
            "all on the cores that there are", f"{found['cores']['limit']} files a second", f"{found['cores']['lanes']} cores"
        )
        table.add_row("binds", found["binds"], "")
    show.out.print(table)
    show.out.print(f"[dim]{how}[/]", highlight=False)


def _said(unit: str) -> str:
    return unit.replace("_", " ")
