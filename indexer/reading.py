"""Reading: what readers are to read is decoded and read, and the passages are embedded into every space that takes text in."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from indexer.pipeline import Progress
from indexer.scan import unchanged_since
from search.encoders import Encoder
from search.errors import MediaError, ModelMissing, SensoriumError
from search.media import DecodePool, sidecars
from search.readers import Reader
from search.store import Queue, Unit
from search.store.intake import path_of
from search.store.passages import Passages
from search.store.queue import BEAT_SECONDS, Read, ReadingQueue
from search.store.spaces import Entry
from search.types import Cut, Gap, Info, Modality, Passage

TEXTS = 64
"""Passages that are embedded, and committed, together."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where readers work: the decoding processes, how many assets are read at once, and what makes them stop."""

    pool: DecodePool
    threads: int
    stop: threading.Event


def read(desk: Desk, queue: ReadingQueue, reader: Reader, progress: Progress, report: Callable[[Progress], None]) -> None:
    """Work off what a reader is to read. One that fails on an asset goes on with the next; the ledger says why.

    Raises:
        ModelMissing: the reader's weights are not here.
    """
    over = threading.Event()
    threading.Thread(target=_beat, args=(queue, over), name="heartbeat", daemon=True).start()
    running: dict[Future[Read | MediaError], Unit] = {}
    try:
        with ThreadPoolExecutor(desk.threads, "read") as executor:
            while not desk.stop.is_set():
                for unit in queue.lease(desk.threads - len(running), suspect=not running) if len(running) < desk.threads else ():
                    running[executor.submit(_read, desk, reader, unit)] = unit
                if not running:
                    break
                done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    _end(queue, reader, running.pop(future), future, progress)
                report(progress)
    finally:
        over.set()
        queue.hand_back(list(running.values()))


def embed(
    passages: Passages, entry: Entry, encoder: Encoder, stop: threading.Event, report: Callable[[int], None], *, after: int = 0
) -> int:
    """Embed the passages with ids above ``after`` that a space takes in and does not hold yet; returns how many. Stopping loses nothing
    that was committed.
    """
    count = 0
    while not stop.is_set() and (some := passages.missing(entry.key, entry.kinds, TEXTS, after=after)):
        vectors = encoder.encode(Modality.TEXT, [text for _, text in some])
        passages.put(entry.key, [id_ for id_, _ in some], vectors)
        report(count := count + len(some))
    return count


def _read(desk: Desk, reader: Reader, unit: Unit) -> Read | MediaError:
    """What a reader makes of one asset; or why it makes nothing of it."""
    if not unchanged_since(unit.path, unit.size, unit.mtime_ns):
        return MediaError("vanished", "It is not what was scanned.")
    try:
        path = Path(path_of(unit.path))
        beside = (
            sidecars.fingerprint(path) if reader.needs.metadata else None
        )  # before: what changes meanwhile is noticed next time
        with closing(sidecars.decode(desk.pool, path, reader.needs)) as replies:
            info, *found = _heard(desk, reader, replies)
    except MediaError as error:
        return error
    except ModelMissing:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a reader raises: this asset's failure, and the next is read
        return MediaError("reader", f"{type(error).__name__}: {error}")
    passages = [one for one in found if isinstance(one, Passage) and one.text.strip()]
    return Read(unit, info, passages, [one for one in found if isinstance(one, Gap)], beside)


def _heard(desk: Desk, reader: Reader, replies: Iterator[Info | Cut | Gap]) -> Iterator[Any]:
    """What the decoder says an asset is, and then what a reader reads in it."""
    yield (info := cast("Info", next(replies)))  # a decoder says first what it is: the pool sees to that

    def cuts() -> Iterator[Cut | Gap]:
        for item in replies:
            if desk.stop.is_set():
                raise MediaError("vanished", "Reading was stopped.")
            if not isinstance(item, Info):
                yield item

    yield from reader.read(info, cuts())


def _end(queue: ReadingQueue, reader: Reader, unit: Unit, future: Future[Read | MediaError], progress: Progress) -> None:
    if (error := future.exception()) is not None:
        queue.hand_back([unit])
        raise error
    found = future.result()
    if isinstance(found, Read) and unchanged_since(unit.path, unit.size, unit.mtime_ns):
        progress.read += len(queue.keep([found], reader.name))
        progress.passages += len(found.passages)
    elif isinstance(found, Read) or found.reason == "vanished":
        if os.path.lexists(unit.path):
            queue.hand_back([unit])
        else:
            queue.forget(unit, gone=True)
    elif queue.fail(unit, found.reason, str(found)):
        progress.count_failure(found.reason)
    progress.current = path_of(unit.path)


def _beat(queue: Queue, over: threading.Event) -> None:
    while not over.wait(BEAT_SECONDS):
        with contextlib.suppress(SensoriumError):
            queue.beat()
