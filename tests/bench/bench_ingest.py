"""Indexing photographs and sounds, against the encoder alone on content that is decoded already.

Both run in one process, with as many threads, on the same files; the encoder alone runs before and after the indexing, and
the mean of the two counts, so that a machine whose speed drifts does not decide. Memory is the sum over the process and its decoders.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from indexer.run import RunRequest, index
from search import encoders
from search.encoders import Content
from search.media import DecodePool
from search.settings import Settings
from search.types import Cut, Modality
from tests.bench.report import Figure, Memory, given, seconds
from ui.bench import warm

PHOTOS, SOUNDS = 2_000, 100
MOST_MEMORY_MB = 1_200


def run() -> Iterator[Figure]:
    photos = sorted((given("flickr8k") / "images").iterdir())[:PHOTOS]
    memory = yield from _compare("photos", photos, photos[:400], Modality.IMAGE)
    yield Figure("peak memory over 2,000 photos", memory.peak_mb, "MB", most=MOST_MEMORY_MB)
    yield Figure("peak memory, second half of the run over the first", memory.growth, "", most=1.1)
    sounds = sorted((given("esc10") / "clips").iterdir())[:SOUNDS]
    yield from _compare("sounds", sounds, sounds, Modality.AUDIO)


def _compare(what: str, files: Sequence[Path], some: Sequence[Path], modality: Modality) -> Generator[Figure, None, Memory]:
    """The rate of indexing against that of the encoder alone, and against what decoding and encoding take of the processor."""
    decoding, before = _alone(some, modality)
    memory, rate = _index(files)
    _, after = _alone(some, modality)
    alone = (before + after) / 2
    yield Figure(f"{what} indexed", rate, "a second")
    yield Figure(f"{what}, of the rate of the encoder alone", rate / alone, "")
    cores = Settings(home=Path("/nonexistent")).cores
    room = rate * (decoding / cores + 1 / alone)
    yield Figure(f"{what}, of the rate that decoding and encoding leave room for", room, "", least=0.75)
    return memory


def _index(files: Sequence[Path]) -> tuple[Memory, float]:
    """Index files into a home of their own, the encoder being loaded: memory, files a second."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "archive")
        archive.mkdir()
        for file in files:
            (archive / file.name).symlink_to(file)
        settings = Settings(home=Path(folder, "home"))
        encoder = encoders.load("pocket")
        warm(encoder)
        with Memory() as memory:
            took = seconds(lambda: index(settings, RunRequest([archive]), encoder=encoder))
        return memory, len(files) / took


def _alone(files: Sequence[Path], modality: Modality) -> tuple[float, float]:
    """Seconds to decode a file in one process; files a second of the encoder alone, a thread a core, on batches of eight."""
    settings, encoder = Settings(home=Path("/nonexistent")), encoders.load("pocket")
    warm(encoder)
    contents: list[Content] = []
    with DecodePool(settings, 1) as pool:
        list(pool.decode(files[0], encoder.needs))
        began = time.perf_counter()
        for file in files:
            contents += [item.content for item in pool.decode(file, encoder.needs) if isinstance(item, Cut)]
        decoding = (time.perf_counter() - began) / len(files)
    rest = iter(contents)
    batches = list(iter(lambda: list(islice(rest, 8)), []))
    with ThreadPoolExecutor(settings.cores) as executor:
        took = seconds(lambda: list(executor.map(lambda batch: encoder.encode(modality, batch), batches)))
    return decoding, len(files) / took
