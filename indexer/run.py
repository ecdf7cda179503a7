"""A run of the indexer: scan, work off the queue, tidy up, write a generation. Several may run on one home at the same time."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from indexer.delete import scrub, unscrubbed
from indexer.pipeline import Pipeline, Progress
from indexer.scan import Scan, Tally
from search import disk, encoders
from search.encoders import Encoder
from search.errors import DiskFull, InputError
from search.locks import Worker
from search.media import DecodePool
from search.models import Models
from search.query.live import LiveIndex
from search.settings import Settings
from search.store import Database, Intake, Queue, SqlStore
from search.store.intake import Again

LEAST_FREE = 64 << 20
"""Bytes that must be free under the home before a run starts."""

CHANGING, SETTLE = 3, 1.0
"""Files that change while they are read are read again this often in a run, after this many seconds."""

Report = Callable[[Tally, Progress, bool], None]


@dataclass(slots=True)
class Summary:
    """What a run did. ``removed`` counts assets that no file holds any more; ``generation`` is None if none was due."""

    scan: Tally
    progress: Progress
    removed: int = 0
    retried: int = 0
    generation: int | None = None
    stopped: bool = False
    seconds: float = 0.0
    collection: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """What a run is asked to do: scan ``paths`` into ``collection``; try failures again that ``retry`` names; forget missing files if ``prune``."""

    paths: Sequence[Path]
    collection: str = "default"
    retry: Again | None = None
    prune: bool = False
    report: Report = field(default=lambda *_: None)


class Indexer:
    """What a run holds: the database, the decoding processes, the encoder, and a place among the workers of the home."""

    def __init__(self, settings: Settings, encoder: Encoder, database: Database, pool: DecodePool, worker: Worker) -> None:
        self._settings, self._encoder, self._database, self._pool, self._worker = settings, encoder, database, pool, worker
        self.intake, self.store = Intake(database), SqlStore(database)
        self._space = self.intake.space(encoder.space)
        self._queue = Queue(database, self._space, worker.name)
        self._live: LiveIndex | None = None
        self._take_back()

    def retry(self, again: Again) -> tuple[int, dict[int, list[bytes]]]:
        """Queue failed units again: how many, and by collection the files that have to be scanned for it."""
        return self.intake.retry(self._space, again)

    def bring(self, collection: int, paths: Sequence[bytes], report: Report, scan: Tally, progress: Progress) -> bool:
        """Bring the archive up to date with files and folders, counting in ``scan`` and ``progress``; False when stopped by Ctrl-C."""
        for turn in range(CHANGING):
            if turn:
                time.sleep(SETTLE)  # somebody may still be writing
            changed = self._pass(collection, paths, report, scan, progress)
            if not changed:
                return changed is not None
            paths = changed
        for _ in paths:
            progress.count_failure("vanished")
        return True

    def missing(self, collection: int, paths: Sequence[bytes]) -> int:
        """Note that files and folders have gone; returns how many files that are."""
        return self.intake.end_scan(collection, self.intake.begin_scan(), paths)

    def tidy(self) -> tuple[int, int | None]:
        """Remove assets without files, and write a generation if one is due: how many, and its number."""
        removed = self.intake.drop_orphans()
        if self._live is None:
            self._live = LiveIndex(self.store, self._settings.home, self._encoder.space, self._space)
        else:
            self._live.refresh()
        written = self._live.write().generation if self._live.due() else None
        self._live.generations.tidy()
        if unscrubbed(self._settings.home):
            scrub(self._settings, self._database, self.store)
        return removed, written

    def _pass(
        self, collection: int, paths: Sequence[bytes], report: Report, tally: Tally, progress: Progress
    ) -> list[bytes] | None:
        """Scan in a thread of its own while the pipeline runs in this one; returns what changed meanwhile, None if stopped by Ctrl-C."""
        pipeline = Pipeline(self._settings, self._queue, self._encoder, self._pool, progress)
        scan = Scan(self.intake, collection, self._space, tally, stopped=lambda: pipeline.stopped)
        failed: list[BaseException] = []

        def scanning() -> None:
            try:
                scan.run(paths)
            except BaseException as error:  # noqa: BLE001 - raised again below, in the thread that can tell of it
                failed.append(error)
                pipeline.stop()

        thread = threading.Thread(target=scanning, name="scan", daemon=True)
        thread.start()
        interrupted = False
        try:
            pipeline.run(thread.is_alive, lambda now: report(tally, now, thread.is_alive()), self._take_back)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            pipeline.stop()
            thread.join()
        if failed:
            raise failed[0]
        return None if interrupted else pipeline.changed

    def _take_back(self) -> None:
        """Queue again what workers of this machine had leased when they died."""
        leasing = self._queue.leasing(self._worker.place)  # asked first: who comes to life afterwards is not among them
        self._queue.take_back(sorted(leasing - self._worker.living()))


@contextmanager
def indexer(settings: Settings, encoder: Encoder | None = None) -> Iterator[Indexer]:
    """An Indexer for the home of ``settings``.

    Raises:
        InputError: the home cannot be written to.
        DiskFull: there is no room to begin.
        NewerDatabase, ModelMissing: see the error tree.
    """
    home = settings.home
    try:
        home.mkdir(parents=True, exist_ok=True)
        worker = Worker(home)
    except OSError as error:
        if disk.full(error):
            raise DiskFull(f"There is no room left under {home}.", remedy="Free some space first.") from error
        raise InputError(f"{home} cannot be written to: {error}.", remedy="Choose another --home.") from error
    database = Database(settings.database)
    try:
        if (free := shutil.disk_usage(home).free) < LEAST_FREE:
            raise DiskFull(f"Only {free >> 20} MB are free under {home}.", remedy="Free some space first.")
        encoder = encoder or encoders.load(settings.space, Models.of(settings), settings.device)
        with DecodePool(settings, settings.decoders or settings.cores) as pool:  # comes up while the database is opened
            database.upgrade()
            yield Indexer(settings, encoder, database, pool, worker)
    finally:
        database.close()
        worker.close()


def index(settings: Settings, job: Job, *, encoder: Encoder | None = None) -> Summary:
    """Bring the archive up to date with the files.

    A second run over unchanged files decodes nothing; a killed run is gone on with. Ctrl-C ends it after what is being decoded.

    Raises:
        InputError: a path that is not there.
        NewerDatabase, ModelMissing, DiskFull: see the error tree; what was acknowledged stays.
    """
    began = time.monotonic()
    for path in job.paths:
        if not os.path.lexists(path):
            raise InputError(f"{path} is not there.", remedy="Check the path. Nothing was changed.")
    roots = [os.fsencode(os.path.abspath(path)) for path in job.paths]
    with indexer(settings, encoder) as running:
        summary = Summary(Tally(), Progress(), collection=job.collection)
        work: list[tuple[int, list[bytes]]] = []
        if roots:
            work.append((running.intake.collection(job.collection, roots), roots))
        if job.retry:
            summary.retried, unread = running.retry(job.retry)
            summary.retried += sum(map(len, unread.values()))
            work += unread.items()
        for collection, paths in work or [(0, [])]:  # without anything to scan, only the queue is worked off
            summary.stopped = summary.stopped or not running.bring(collection, paths, job.report, summary.scan, summary.progress)
        if job.prune and roots and not summary.stopped:
            running.intake.prune(work[0][0])
        summary.removed, summary.generation = running.tidy()
    summary.seconds = time.monotonic() - began
    return summary


def prune(settings: Settings, collection: str | None) -> tuple[int, int]:
    """Forget missing files; returns how many, and how many assets went with them."""
    database = Database(settings.database)
    try:
        database.check()
        store, intake = SqlStore(database), Intake(database)
        key = None if collection is None else store.collection(collection)
        return intake.prune(key), intake.drop_orphans()
    finally:
        database.close()


def rebuild(settings: Settings) -> dict[str, int]:
    """Write the index of every space again from SQL, without embedding anything; returns the segments in each."""
    database = Database(settings.database)
    try:
        database.check()
        store = SqlStore(database)
        written: dict[str, int] = {}
        for key, space in store.spaces():
            live = LiveIndex(store, settings.home, space, key, fresh=True)
            written[space.name] = live.write().count
        return written
    finally:
        database.close()
