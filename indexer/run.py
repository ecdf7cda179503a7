"""A run of the indexer: lock the home, scan, work off the queue, tidy up, write a generation."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from indexer.pipeline import Pipeline, Progress
from indexer.scan import Scan, Tally
from search import encoders
from search.encoders import Encoder
from search.errors import DiskFull, HomeLocked, InputError, UnknownName
from search.media import DecodePool
from search.query.live import LiveIndex
from search.settings import Settings
from search.store import Database, Intake, SqlStore

LEAST_FREE = 64 << 20
"""Bytes that must be free under the home before a run starts."""


@dataclass(slots=True)
class Summary:
    """What a run did. ``removed`` counts assets that no file holds any more; ``generation`` is None if none was written."""

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
    """What a run is asked to do: scan ``paths`` into ``collection``; queue failed units again if ``retry``; forget missing files if ``prune``."""

    paths: Sequence[Path]
    collection: str = "default"
    retry: bool = False
    retry_reason: str | None = None
    prune: bool = False
    report: Callable[[Tally, Progress, bool], None] = field(default=lambda *_: None)


@contextmanager
def writer(home: Path) -> Iterator[None]:
    """Hold the home's lock: one writer at a time.

    Raises:
        HomeLocked: another process holds it.
        InputError: the home cannot be written to.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / "writer.lock", timeout=0):
            (home / "writer.pid").write_text(str(os.getpid()))
            yield
    except Timeout:
        holder = _read(home / "writer.pid")
        raise HomeLocked(
            f"Another Sensorium (process {holder or 'unknown'}) is writing to {home}.",
            remedy="Wait until it is done, or use another --home. Searching goes on meanwhile.",
        ) from None
    except PermissionError as error:
        raise InputError(f"{home} cannot be written to: {error}.", remedy="Choose another --home.") from error


def index(settings: Settings, job: Job, *, encoder: Encoder | None = None) -> Summary:
    """Bring the archive up to date with the files.

    A second run over unchanged files decodes nothing; a killed run is gone on with. Ctrl-C ends it after what is being decoded.

    Raises:
        InputError: a path that is not there.
        HomeLocked, NewerDatabase, ModelMissing, DiskFull: see the error tree; what was acknowledged stays.
    """
    began = time.monotonic()
    for path in job.paths:
        if not os.path.lexists(path):
            raise InputError(f"{path} is not there.", remedy="Check the path. Nothing was changed.")
    with writer(settings.home):
        if (free := shutil.disk_usage(settings.home).free) < LEAST_FREE:
            raise DiskFull(f"Only {free >> 20} MB are free under {settings.home}.", remedy="Free some space first.")
        encoder = encoder or encoders.load(settings.space)
        database = Database(settings.database)
        try:
            with DecodePool(settings, settings.decoders or settings.cores) as pool:  # comes up while the database is opened
                database.upgrade()
                return _run(settings, job, encoder, database, pool, began)
        finally:
            database.close()


def _run(settings: Settings, job: Job, encoder: Encoder, database: Database, pool: DecodePool, began: float) -> Summary:
    intake, store = Intake(database), SqlStore(database)
    roots = [os.fsencode(os.path.abspath(path)) for path in job.paths]
    space = intake.space(encoder.space)
    collection = intake.collection(job.collection, roots)
    intake.release(space)
    retried = intake.retry(space, job.retry_reason) if job.retry else 0
    pipeline = Pipeline(settings, intake, encoder, space, pool)
    scan = Scan(intake, collection, space, stopped=lambda: pipeline.stopped)
    summary = Summary(scan.tally, pipeline.progress, retried=retried, collection=job.collection)
    summary.stopped = not _work(pipeline, scan, roots, job)
    if job.prune and not summary.stopped:
        intake.prune(collection)
    summary.removed = intake.drop_orphans()
    live = LiveIndex(store, settings.home, encoder.space, space)
    if live.damage or live.pending() or summary.removed:
        summary.generation = live.write().generation
    summary.seconds = time.monotonic() - began
    return summary


def _work(pipeline: Pipeline, scan: Scan, roots: Sequence[bytes], job: Job) -> bool:
    """Scan in a thread of its own while the pipeline runs in this one; False when it was stopped by Ctrl-C."""
    failed: list[BaseException] = []

    def scanning() -> None:
        try:
            scan.run(roots)
        except BaseException as error:  # noqa: BLE001 - raised again below, in the thread that can tell of it
            failed.append(error)
            pipeline.stop()

    thread = threading.Thread(target=scanning, name="scan", daemon=True)
    thread.start()
    interrupted = False
    try:
        pipeline.run(thread.is_alive, lambda progress: job.report(scan.tally, progress, thread.is_alive()))
    except KeyboardInterrupt:
        interrupted = True
    finally:
        pipeline.stop()
        thread.join()
    if failed:
        raise failed[0]
    return not interrupted


def prune(settings: Settings, collection: str | None) -> tuple[int, int]:
    """Forget missing files; returns how many, and how many assets went with them."""
    with writer(settings.home):
        database = Database(settings.database)
        try:
            database.check()
            store, intake = SqlStore(database), Intake(database)
            key = None
            if collection is not None:
                if collection not in (known := store.collections()):
                    raise UnknownName("collection", collection, known)
                key = intake.collection(collection, [])
            return intake.prune(key), intake.drop_orphans()
        finally:
            database.close()


def rebuild(settings: Settings) -> dict[str, int]:
    """Write the index of every space again from SQL, without embedding anything; returns the segments in each."""
    with writer(settings.home):
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


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
