"""Reading: what readers are to read is decoded and read, and the passages are embedded into every space that takes text in."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

from indexer import mounts
from indexer.pipeline import Progress
from indexer.scan import unchanged_since
from search.encoders import Encoder
from search.errors import DatabaseAway, MediaError, ModelMissing, ReaderHangs, SensoriumError
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

RECOUNT = 1.0
"""Seconds between two looks at how much is left to read."""

HANGS_SECONDS = 1_800.0
"""A reader hangs that asks for nothing more and says nothing for this long: half a minute of speech takes the largest model two on a laptop."""

LEAVE_SECONDS = 30.0
"""How long is waited for readings that are to end: until their readers ask for the next cut."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where readers work: the decoding processes, how many assets are read at once, and what makes them stop."""

    pool: DecodePool
    threads: int
    stop: threading.Event


@dataclass(eq=False, slots=True)
class _Reading:
    """An asset that is being read, until it is ``over`` for whatever reason. ``since``: when its reader took over; None while a decoder works.
    ``share``: how much of it was read, 0..1.
    """

    unit: Unit
    over: threading.Event
    harvest: Future[Read | MediaError] = field(default_factory=Future)
    since: float | None = None
    share: float = 0.0

    @property
    def silent(self) -> float:
        """Seconds that have passed since the reader was last heard of."""
        since = self.since
        return 0.0 if since is None else time.monotonic() - since


def read(desk: Desk, queue: ReadingQueue, reader: Reader, progress: Progress, report: Callable[[Progress], None]) -> None:
    """Work off what a reader is to read. One that fails on an asset goes on with the next; the ledger says why.

    Raises:
        ModelMissing: the reader's weights are not here.
        ReaderHangs: it has given no sign of life for long.
    """
    over = threading.Event()
    threading.Thread(target=_beat, args=(queue, over), name="heartbeat", daemon=True).start()
    work: SimpleQueue[_Reading | None] = SimpleQueue()
    for _ in range(desk.threads):  # daemons: one that hangs must not keep the process from ending, as an executor's would
        threading.Thread(target=_work, args=(desk, reader, work), name="read", daemon=True).start()
    running: dict[Future[Read | MediaError], _Reading] = {}
    progress.reader, progress.to_read, progress.behind = reader.name, queue.left(), 0.0
    began = counted = time.monotonic()
    try:
        while not desk.stop.is_set():
            for unit in queue.lease(desk.threads - len(running), suspect=not running) if len(running) < desk.threads else ():
                reading = _Reading(unit, over)
                running[reading.harvest] = reading
                work.put(reading)
            if not running:
                break
            done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                _end(queue, reader, running.pop(future).unit, future, progress)
            longest = max(running.values(), key=lambda reading: reading.silent, default=None)
            if longest is not None and longest.silent > HANGS_SECONDS:
                del running[longest.harvest]  # the others may but wait for it
                raise _hanging(queue, reader, longest, progress)
            progress.current = path_of(next(iter(running.values())).unit.path) if running else progress.current
            if (now := time.monotonic()) - counted >= RECOUNT:
                counted, left = now, queue.left()  # others may work on it too
                progress.seconds = now - began
                progress.behind = max(progress.to_read - left, 0) + sum(reading.share for reading in running.values())
            report(progress)
    finally:
        over.set()
        progress.reader = ""
        for _ in range(desk.threads):
            work.put(None)
        wait(running, LEAVE_SECONDS)
        with contextlib.suppress(DatabaseAway):  # what broke it off is to be told; leases fall back by themselves
            queue.hand_back([reading.unit for reading in running.values()])


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


def _work(desk: Desk, reader: Reader, work: SimpleQueue[_Reading | None]) -> None:
    while (reading := work.get()) is not None:
        try:
            reading.harvest.set_result(_read(desk, reader, reading))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for it
            reading.harvest.set_exception(error)


def _hanging(queue: ReadingQueue, reader: Reader, reading: _Reading, progress: Progress) -> ReaderHangs:
    """End a reading that hangs; returns what is to be raised, since its thread cannot be ended, and may hold what others wait for."""
    told = f"{reader.name} has given no sign of life for {reading.silent / 60:.0f} minutes"
    if queue.fail(reading.unit, "reader", f"{told}."):
        progress.count_failure("reader")
    return ReaderHangs(
        f"{told}, on {path_of(reading.unit.path)}.",
        remedy="That file is in the ledger now. Run the same command again for the others.",
    )


def _read(desk: Desk, reader: Reader, reading: _Reading) -> Read | MediaError:
    """What a reader makes of one asset; or why it makes nothing of it."""
    unit = reading.unit
    if not unchanged_since(unit.path, unit.size, unit.mtime_ns):
        return MediaError("vanished", "It is not what was scanned.")
    try:
        path = Path(path_of(unit.path))
        beside = (
            sidecars.fingerprint(path) if reader.needs.metadata else None
        )  # before: what changes meanwhile is noticed next time
        with closing(sidecars.decode(desk.pool, path, reader.needs)) as replies:
            found = list(_heard(desk, reader, replies, reading))
    except MediaError as error:
        return error
    except ModelMissing:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a reader raises: this asset's failure, and the next is read
        return MediaError("reader", f"{type(error).__name__}: {error}")
    info = [one for one in found if isinstance(one, Info)][-1]
    passages = [one for one in found if isinstance(one, Passage) and one.text.strip()]
    return Read(unit, info, passages, [one for one in found if isinstance(one, Gap)], beside)


def _heard(desk: Desk, reader: Reader, replies: Iterator[Info | Cut | Gap], reading: _Reading) -> Iterator[Any]:
    """What the decoder says an asset is, and then what a reader reads in it."""
    yield (info := cast("Info", next(replies)))  # a decoder says first what it is: the pool sees to that
    lasted: list[Info] = []

    def cuts() -> Iterator[Cut | Gap]:
        reading.since = None
        for item in replies:
            if desk.stop.is_set() or reading.over.is_set():
                raise MediaError("vanished", "Reading was stopped.")
            if not isinstance(item, Info):
                if item.span and item.span.unit == "ms" and info.duration_ms:
                    reading.share = min(item.span.start / info.duration_ms, 1.0)
                reading.since = time.monotonic()
                yield item
                reading.since = None
            else:
                lasted.append(item)
        reading.since = time.monotonic()

    reading.since = time.monotonic()
    for found in reader.read(info, cuts()):
        reading.since = time.monotonic()
        yield found
    yield from lasted
    reading.since = None


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
            queue.forget(unit, gone=True, away=mounts.is_away(unit.path, unit.device))
    elif queue.fail(unit, found.reason, str(found)):
        progress.count_failure(found.reason)


def _beat(queue: Queue, over: threading.Event) -> None:
    while not over.wait(BEAT_SECONDS):
        with contextlib.suppress(SensoriumError):
            queue.beat()
