"""Reading: decode and read what waits for a reader, and embed the passages into every space that accepts text."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

from indexer.pipeline import Progress, beating, put_aside
from indexer.scan import unchanged_since
from search.encoders import Encoder
from search.errors import DatabaseAway, DiskFull, InputError, MediaError, ModelMissing, ObjectsAway, ReaderHangs
from search.folders import is_address
from search.media import DecodePool
from search.media.metadata import sidecars
from search.readers import Reader
from search.store import Queue, Unit
from search.store.intake import path_of
from search.store.passages import Passages
from search.store.queue import LARGE_BYTES
from search.store.reading_queue import Read, ReadingQueue
from search.store.readings import ReaderEntry
from search.store.spaces import SpaceEntry
from search.types import Cut, Gap, Info, Modality, Passage, PictureCodes, Thing

PASSAGES_PER_COMMIT = 64
"""Passages that are embedded, and committed, together."""

RECOUNT_SECONDS = 1.0
"""Seconds between two looks at how much is left to read."""

HANGS_SECONDS = 1_800.0
"""A reader that is silent for this long hangs. (The largest model takes two minutes on a laptop for half a minute of speech.)"""

LEAVE_SECONDS = 30.0
"""How long to wait for readings that must end; they end when their readers ask for the next cut."""


@dataclass(frozen=True, slots=True)
class ReadingContext:
    """The environment of readers: the decoding processes, how many assets are read at once, the event that stops them, and the
    roots of the collections."""

    pool: DecodePool
    threads: int
    stop: threading.Event
    roots: Sequence[bytes]


@dataclass(eq=False, slots=True)
class _Reading:
    """An asset being read, until it is ``over`` for any reason.

    ``since``: when its reader took over; None while a decoder works. ``share``: the part of it that was read, 0..1.
    """

    unit: Unit
    over: threading.Event
    harvest: Future[Read | MediaError] = field(default_factory=Future)
    since: float | None = None
    share: float = 0.0

    @property
    def silent(self) -> float:
        """Seconds since the reader last gave a sign of life."""
        since = self.since
        return 0.0 if since is None else time.monotonic() - since


def read(
    context: ReadingContext, queue: ReadingQueue, reader: Reader, progress: Progress, report: Callable[[Progress], None]
) -> list[tuple[int, bytes]]:
    """Process a reader's queue. If the reader fails on an asset, the ledger gets the reason and the next asset is read.

    Returns the files that are not what was scanned, each with the key of its collection: they must be scanned again.

    Raises:
        ModelMissing: the reader's weights are not here.
        ReaderHangs: it has given no sign of life for too long.
    """
    over = threading.Event()
    threading.Thread(target=beating, args=(queue, over), name="heartbeat", daemon=True).start()
    work: SimpleQueue[_Reading | None] = SimpleQueue()
    for _ in range(context.threads):  # daemons: a hanging one must not keep the process alive, as an executor's thread would
        threading.Thread(target=_work, args=(context, reader, work), name="read", daemon=True).start()
    running: dict[Future[Read | MediaError], _Reading] = {}
    changed: list[tuple[int, bytes]] = []
    count = counting(queue, reader.name, progress)
    try:
        while not context.stop.is_set():
            crowded = sum(one.unit.size >= LARGE_BYTES for one in running.values()) >= context.threads - 1
            free = context.threads - len(running)
            for unit in queue.lease(free, large=0 if crowded else None, suspect=not running) if free else ():
                reading = _Reading(unit, over)
                running[reading.harvest] = reading
                work.put(reading)
            if not running:
                break
            done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                changed += _end(context, queue, reader, running.pop(future).unit, future, progress)
            longest = max(running.values(), key=lambda reading: reading.silent, default=None)
            if longest is not None and longest.silent > HANGS_SECONDS:
                del running[longest.harvest]  # others may be blocked on it
                raise _hanging(queue, reader, longest, progress)
            progress.current = path_of(next(iter(running.values())).unit.path) if running else progress.current
            count(sum(reading.share for reading in running.values()))
            report(progress)
    finally:
        over.set()
        progress.reader = ""
        for _ in range(context.threads):
            work.put(None)
        wait(running, LEAVE_SECONDS)
        with contextlib.suppress(DatabaseAway):  # report the original error instead; leases time out by themselves
            queue.hand_back([reading.unit for reading in running.values()])
    return changed


def embed(
    passages: Passages,
    entry: SpaceEntry,
    encoder: Encoder,
    stop: threading.Event,
    report: Callable[[int], None],
    *,
    after: int = 0,
) -> int:
    """Embed the passages with ids above ``after`` that a space takes in and has no vectors of. Returns how many.

    Committed vectors survive a stop.
    """
    count = 0
    while not stop.is_set() and (some := passages.missing(entry.key, entry.kinds, PASSAGES_PER_COMMIT, after=after)):
        vectors = encoder.encode(Modality.TEXT, [text for _, text in some])
        passages.put(entry.key, [id_ for id_, _ in some], vectors)
        report(count := count + len(some))
    return count


def counting(queue: Queue, name: str, progress: Progress) -> Callable[[float], None]:
    """A function that brings ``progress`` of a reader up to date, now and then. It is told how much of what is being read is done, in assets."""
    progress.reader, progress.to_read, progress.behind = name, queue.left(), 0.0
    began = time.monotonic()
    counted = [began]

    def count(shares: float) -> None:
        if (now := time.monotonic()) - counted[0] >= RECOUNT_SECONDS:
            counted[0], left = now, queue.left()  # others may work on it too
            progress.seconds = now - began
            progress.behind = max(progress.to_read - left, 0) + shares

    return count


def check_revision(entry: ReaderEntry, reader: Reader) -> None:
    """Check that a reader is the one with which the archive was read so far.

    Raises:
        InputError: it is not.
    """
    if reader.revision != entry.revision:
        raise InputError(
            f"The reader {entry.name} was added with revision {entry.revision}, and here has revision {reader.revision}.",
            remedy=f"To read everything again with it: sensorium readers add {entry.name}",
        )


def _work(context: ReadingContext, reader: Reader, work: SimpleQueue[_Reading | None]) -> None:
    while (reading := work.get()) is not None:
        try:
            reading.harvest.set_result(_read(context, reader, reading))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for it
            reading.harvest.set_exception(error)


def _hanging(queue: ReadingQueue, reader: Reader, reading: _Reading, progress: Progress) -> ReaderHangs:
    """End a reading that hangs, and return the error to raise. Its thread cannot be ended and may hold locks that others wait
    for."""
    told = f"{reader.name} has given no sign of life for {reading.silent / 60:.0f} minutes"
    if queue.fail(reading.unit, "reader", f"{told}."):
        progress.count_failure("reader")
    return ReaderHangs(
        f"{told}, on {path_of(reading.unit.path)}.",
        remedy="That file is in the ledger now. Run the same command again for the others.",
    )


def _read(context: ReadingContext, reader: Reader, reading: _Reading) -> Read | MediaError:
    """A reader's result for one asset, or the reason why there is none."""
    unit = reading.unit
    if not unchanged_since(unit.path, unit.size, unit.mtime_ns):
        return MediaError("vanished", "It is not what was scanned.")
    try:
        path = Path(path_of(unit.path))
        beside = (
            sidecars.fingerprint(path) if reader.needs.metadata else None
        )  # before: what changes meanwhile is noticed next time
        with (
            context.pool.source(unit.path, unit.digest, unit.size) as source,
            closing(sidecars.decode(context.pool, source, reader.needs)) as replies,
        ):
            found = list(_heard(context, reader, replies, reading))
    except MediaError as error:
        return error
    except (ModelMissing, ObjectsAway, DiskFull):
        raise
    except Exception as error:  # noqa: BLE001 - any error of a reader fails this asset only, and the next is read
        return MediaError("reader", f"{type(error).__name__}: {error}")
    info = [one for one in found if isinstance(one, Info)][-1]
    passages = [one for one in found if isinstance(one, Passage) and one.text.strip()]
    pictures, things = [one for one in found if isinstance(one, PictureCodes)], [one for one in found if isinstance(one, Thing)]
    return Read(unit, info, passages, [one for one in found if isinstance(one, Gap)], beside, pictures, things)


def _heard(context: ReadingContext, reader: Reader, replies: Iterator[Info | Cut | Gap], reading: _Reading) -> Iterator[Any]:
    """First the decoder's info on the asset, then what the reader reads in it."""
    yield (info := cast("Info", next(replies)))  # the first reply is always the Info; the pool ensures it
    lasted: list[Info] = []

    def cuts() -> Iterator[Cut | Gap]:
        reading.since = None
        for item in replies:
            if context.stop.is_set() or reading.over.is_set():
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


def _end(
    context: ReadingContext,
    queue: ReadingQueue,
    reader: Reader,
    unit: Unit,
    future: Future[Read | MediaError],
    progress: Progress,
) -> list[tuple[int, bytes]]:
    """End a reading. Returns its file, with the key of its collection, if it has changed since it was scanned."""
    if (error := future.exception()) is not None:
        queue.hand_back([unit])
        raise error
    found = future.result()
    stale = is_address(unit.path) and isinstance(found, MediaError) and found.reason == "vanished" and not context.stop.is_set()
    if stale or not unchanged_since(unit.path, unit.size, unit.mtime_ns):
        return [(unit.collection, unit.path)] if put_aside(queue, unit, context.roots, context.pool.objects) else []
    if isinstance(found, Read):
        progress.read += len(queue.keep([found], reader.name))
        progress.passages += found.count
    elif found.reason == "vanished":
        queue.hand_back([unit])
    elif queue.fail(unit, found.reason, str(found)):
        progress.count_failure(found.reason)
    return []
