"""A run of the indexer: scan, process the queue, clean up, write a generation. Several runs may work on one home at the same
time."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial, wraps
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from indexer import mounts
from indexer.delete import drop_strangers, scrub, unscrubbed
from indexer.exclude import Exclusions
from indexer.pipeline import Pipeline, Progress
from indexer.reading import ReadingContext, check_revision, embed, read
from indexer.recalibrate import recalibrate
from indexer.redate import redate
from indexer.scan import FolderScan, Tally
from search import disk, encoders, readers, traces
from search.encoders import Encoder
from search.errors import DatabaseAway, DiskFull, InputError, ModelMissing, ObjectsAway, ReaderHangs, SensoriumError, VectorsAway
from search.folders import absolute, is_address, listed, real
from search.index.ivf import Tell
from search.live import LiveIndex
from search.locks import Worker
from search.media import DecodePool
from search.media.objects import Objects
from search.mirror import mirrored
from search.models import Models
from search.query.calibration import brought
from search.query.view import COUNTED_AT_ONCE, Covering
from search.readers import Reader
from search.settings import Settings
from search.store import Database, Intake, Passages, Queue, Readers, Spaces, SqlStore
from search.store.asset_dates import Dates
from search.store.intake import Again
from search.store.names import Names
from search.store.reading_queue import ReadingQueue
from search.store.readings import ReaderEntry
from search.store.spaces import SpaceEntry, matches
from search.zones import Zones

if TYPE_CHECKING:
    from indexer.cluster import Cluster

NAMES_PER_COMMIT = 256
"""Assets whose names are written in one transaction."""

MIN_FREE_BYTES = 64 << 20
"""Bytes that must be free under the home before a run starts."""

MAX_REREADS, SETTLE_SECONDS = 3, 1.0
"""How often in a run a file that changes during reading is read again, and after how many seconds."""

OUTAGE_SECONDS = 600.0
"""How long a run waits for a database that has gone away to come back."""

QUEUE_POLL_SECONDS = 0.2
"""Seconds between two checks whether a scan has queued anything."""

UNCALIBRATED = "Every file is done. Calibrating was stopped, and nothing of it was kept. To do it: sensorium spaces calibrate"
"""What is told if Ctrl-C came at the very end of a run."""

Report = Callable[[Tally, Progress, bool], None]

Given = ParamSpec("Given")
Found = TypeVar("Found")


def _outlasting(step: Callable[Concatenate[Indexer, Given], Found]) -> Callable[Concatenate[Indexer, Given], Found]:
    """Decorator: repeat a step of a run after an outage of the database. What the step has committed is not done again."""

    @wraps(step)
    def outlasting(self: Indexer, /, *args: Given.args, **kwargs: Given.kwargs) -> Found:
        while True:
            try:
                return step(self, *args, **kwargs)
            except DatabaseAway as error:
                self._outlast(error)

    return outlasting


@dataclass(slots=True)
class Summary:
    """The result of a run.

    ``removed`` counts assets that no file holds any more. ``generation`` is None if none was due. ``absent``: spaces and readers
    that wait, with the reason. ``kept_away``: files that should have been forgotten but were kept because they are away.
    ``calibrated``: sentences about the spaces that were calibrated.
    """

    scan: Tally
    progress: Progress
    removed: int = 0
    retried: int = 0
    generation: int | None = None
    stopped: bool = False
    seconds: float = 0.0
    collection: str = ""
    absent: dict[str, SensoriumError] = field(default_factory=dict)
    kept_away: int = 0
    calibrated: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The task of a run: scan ``paths`` into ``collection``; retry the failures in ``retry``; forget missing files if ``prune``,
    and with ``yes`` also those that are away.

    ``exclude`` are gitignore patterns of what to leave out, in addition to the setting's.

    ``spaces``: work only on these; none: all. ``lingers``: when nothing is left to do, wait for what others find, until
    interrupted. ``confined``: read nothing outside the configured roots and those of collections, not even through links.
    ``calibrates``: at the end, calibrate the spaces that have many new labels.
    """

    paths: Sequence[Path]
    collection: str = "default"
    retry: Again | None = None
    prune: bool = False
    spaces: Sequence[str] = ()
    report: Report = field(default=lambda *_: None)
    lingers: bool = False
    exclude: Sequence[str] = ()
    yes: bool = False
    confined: bool = False
    calibrates: bool = False


class SpaceRun:
    """The work of a run for one space: its queue, its index, and its encoder, which is loaded when there is something to encode."""

    def __init__(self, entry: SpaceEntry, queue: Queue, load: Callable[[str], Encoder]) -> None:
        self.entry, self.queue, self._load = entry, queue, load
        self.live: LiveIndex | None = None
        self.embedded = 0
        """The id up to which the space has vectors of all passages."""

    @property
    def loaded(self) -> bool:
        """Whether the space's encoder was needed."""
        return "encoder" in vars(self)

    @cached_property
    def encoder(self) -> Encoder:
        """The space's encoder.

        Raises:
            ModelMissing: it is not here.
            InputError: it is not the one that made the space's vectors.
        """
        encoder = self._load(self.entry.encoder)
        matches(self.entry, encoder.space)
        return encoder


@dataclass(frozen=True, slots=True)
class _ReaderRun:
    """The work of a run for one reader."""

    entry: ReaderEntry
    queue: ReadingQueue


class Indexer:
    """The state of a run: the database, the decoding processes, one ``SpaceRun`` per space, and its entry among the workers of the home."""

    def __init__(
        self, settings: Settings, entries: Callable[[], Sequence[SpaceEntry]], load: Callable[[str], Encoder], database: Database, pool: DecodePool,
        worker: Worker, exclude: Sequence[str] = (), patience: float = OUTAGE_SECONDS, stop: threading.Event | None = None,
        cluster: Cluster | None = None,
    ) -> None:  # fmt: skip
        """``entries`` returns the spaces of the run; it is called again when the archive has changed. If the database goes away,
        the run waits for ``patience`` seconds or until ``stop``. A ``cluster`` decodes, encodes and reads in place of this process."""
        self._patience, self._stop, self._cluster = patience, stop, cluster
        self.exclusions = Exclusions.of(settings.exclude, exclude)
        self._settings, self._database, self._pool, self._worker = settings, database, pool, worker
        self.intake, self.store, self.readers = Intake(database), SqlStore(database), Readers(database)
        self.dates, self._zones, self._names = Dates(database), Zones.of(settings.timezone), Names(database)
        self.spaces, self._load, self._entries = Spaces(database), load, entries
        self.space_runs: list[SpaceRun] = []
        self.reader_runs: list[_ReaderRun] = []
        self.absent: dict[str, SensoriumError] = {}
        """Spaces and readers that wait because their model is not installed, with the reason."""
        self._followed = self._filled = self._tidied = -1
        """The changes (``SqlStore.version``) after which spaces and readers were those of the archive, readers had all that they are to read, and
        no asset was without a file."""
        self._within: Sequence[bytes] = ()
        self._follow()
        self._take_back()

    def confine(self) -> None:
        """From now on read only inside the roots that are configured or that collections have at this moment."""
        known = [root for roots in self.store.collections().values() for root in roots]
        self._within = [os.fsencode(real(root)) for root in (*listed(self._settings.roots), *known)] or [b"/\0"]
        self._pool.within = self._within

    @_outlasting
    def collection(self, name: str, roots: Sequence[bytes]) -> int:
        """The key of a collection with these roots added; the collection is made if there is none."""
        return self.intake.collection(name, roots)

    @_outlasting
    def retry(self, again: Again) -> tuple[int, dict[int, list[bytes]]]:
        """Requeue failed units. Returns how many, and by collection the files that must be scanned for it."""
        return self.intake.retry([space_run.entry.key for space_run in self.space_runs], again)

    def bring(
        self, collection: int, paths: Sequence[bytes], report: Report, scan: Tally, progress: Progress, *, lingers: bool = False
    ) -> bool:
        """Bring the archive up to date with files and folders, counting in ``scan`` and ``progress``. False if stopped by Ctrl-C.

        With ``lingers`` it continues with what others queue, until it is stopped.
        """
        work: dict[int, Sequence[bytes]] = {collection: paths}
        for turn in range(MAX_REREADS):
            if turn:
                time.sleep(SETTLE_SECONDS)  # the file may still be being written
            changed = defaultdict[int, list[bytes]](list)
            for key, some in work.items():
                found = self._pass_on(key, some, report, scan, progress, lingers)
                if found is None:
                    return False
                for owner, path in found:  # what was queued before may be of other collections
                    changed[owner].append(path)
            if not changed:
                return True
            work = dict(changed)
        for _ in chain.from_iterable(work.values()):
            progress.count_failure("vanished")
        return True

    @_outlasting
    def missing(self, collection: int, paths: Sequence[bytes]) -> int:
        """Record that files and folders are gone. Returns the number of files."""
        return self.intake.end_scan(collection, self.intake.begin_scan(), paths, is_away=mounts.is_away)[0]

    @_outlasting
    def away(self, collection: int) -> int:
        """How many files of a collection are away."""
        return self.intake.away(collection)

    @_outlasting
    def prune(self, collection: int, *, away: bool = False) -> None:
        """Forget missing files; with ``away`` also those that are away."""
        self.intake.prune(collection, away=away)

    @_outlasting
    def tidy(self, tell: Tell = lambda *_: None) -> tuple[int, int | None]:
        """Remove assets without files and what dropped spaces left, and write generations that are due. Returns the number of assets, and the number of the
        first space's generation. ``tell`` is told how far the writing is."""
        self._follow()
        version = self.store.version()
        removed = 0 if version == self._tidied else self.intake.drop_orphans()
        self._tidied = version
        written = [self._tidy(space_run, tell) for space_run in self.space_runs]
        drop_strangers(self._settings.home, self.store)
        if unscrubbed(self._settings.home):
            scrub(self._settings, self._database, self.store)
        return removed, written[0] if written else None

    def calibrate(self) -> list[str]:
        """Calibrate the spaces that are due and whose encoder was needed in this run. Returns what happened, in sentences."""
        known = [space_run for space_run in self.space_runs if space_run.loaded]
        told = (recalibrate(self._settings, one.entry.space, one.encoder) for one in known)
        return [sentence for sentence in told if sentence]

    def _tidy(self, space_run: SpaceRun, tell: Tell) -> int | None:
        if space_run.live is None:
            of = space_run.entry
            space_run.live = LiveIndex(self.store, self._settings.home, of.space, of.key, kind=self._settings.index_kind)
        else:
            space_run.live.refresh()
        written = self._write(space_run.live, space_run, tell) if space_run.live.due() else None
        space_run.live.generations.tidy()
        if (count := len(space_run.live.index)) > COUNTED_AT_ONCE:  # here, so that searches need not
            Covering(self.store, space_run.entry.key, space_run.live.generations.coverage).follow(self.store.version(), count)
        with mirrored(self._settings, self.store, space_run.entry.key, space_run.entry.space) as mirror:
            try:
                if mirror is not None:
                    mirror.follow(patience=self._patience)
            except VectorsAway as error:  # everything is indexed, and found without it
                self.absent[f"{mirror.address.name if mirror else ''} for {space_run.entry.name}"] = error
        return written

    def _write(self, live: LiveIndex, space_run: SpaceRun, tell: Tell) -> int:
        """Write a generation; lists are tuned on the questions that the encoder brings, if it was needed in this run."""
        brought_along = brought(space_run.entry.space, space_run.encoder) if space_run.loaded else None
        questions = brought_along.questions if brought_along else {}
        return live.write(questions, tell).generation

    def _outlast(self, error: DatabaseAway) -> None:
        """Wait until the database is back, and return this worker's leases. Raises ``error`` if that takes too long."""
        until = time.monotonic() + self._patience
        while self._database.wait(until - time.monotonic(), self._stop):
            try:
                for queue in self._queues():
                    queue.hand_all_back()
            except DatabaseAway:
                continue
            return
        raise error

    def _pass_on(
        self, collection: int, paths: Sequence[bytes], report: Report, tally: Tally, progress: Progress, lingers: bool
    ) -> list[tuple[int, bytes]] | None:
        """A pass, repeated after each outage of the database. What was taken in before the outage counts once."""
        taken = 0
        while True:
            before = replace(tally)
            try:
                changed = self._pass(collection, paths, report, tally, progress, lingers)
            except DatabaseAway as error:
                taken += tally.new + tally.changed - before.new - before.changed
                tally.look_again(before)
                self._outlast(error)
            else:
                tally.unchanged -= min(taken, tally.unchanged - before.unchanged)
                return changed

    def _pass(
        self, collection: int, paths: Sequence[bytes], report: Report, tally: Tally, progress: Progress, lingers: bool
    ) -> list[tuple[int, bytes]] | None:
        """Scan in a separate thread while the first space's pipeline runs in this one; then run the other spaces.

        Returns the files that changed during the pass, with their collections; None if stopped by Ctrl-C.
        """
        stop = threading.Event()
        self._follow()
        takers = [space_run.entry.key for space_run in self.space_runs if self._takes(space_run, collection)]
        scan = FolderScan(
            self.intake, self.readers, self.dates, collection, takers, tally, self.exclusions, self._pool.objects, stopped=stop.is_set, within=self._within
        )  # fmt: skip
        failed: list[BaseException] = []
        trace = traces.here()

        def scanning() -> None:
            try:
                with traces.span("scan", trace):
                    scan.run(paths)
                if lingers:
                    stop.wait()
            except BaseException as error:  # noqa: BLE001 - raised again below, in the thread that can tell of it
                failed.append(error)
                stop.set()

        thread = threading.Thread(target=scanning, name="scan", daemon=True)
        thread.start()
        changed: list[tuple[int, bytes]] = []
        interrupted = False
        try:
            done: set[int] = set()
            while space_run := next((space_run for space_run in self.space_runs if space_run.entry.key not in done), None):
                if done:
                    thread.join()
                    self._follow()  # a space that was added in the meantime is processed too
                    space_run = next((space_run for space_run in self.space_runs if space_run.entry.key not in done), space_run)
                done.add(space_run.entry.key)
                changed += self._work(space_run, thread, stop, progress, lambda now: report(tally, now, thread.is_alive()))
            thread.join()
            while not stop.is_set() and self._names.write(NAMES_PER_COMMIT):
                report(tally, progress, False)
            redate(self.dates, self._pool, self._zones, stop, lambda: report(tally, progress, False))
            changed += self._read(stop, progress, lambda now: report(tally, now, False))
        except KeyboardInterrupt:
            interrupted = True
        finally:
            stop.set()
            thread.join()
        if failed:
            raise failed[0]
        return None if interrupted else changed

    def _work(
        self, space_run: SpaceRun, scan: threading.Thread, stop: threading.Event, progress: Progress, report: Callable[[Progress], None]
    ) -> list[tuple[int, bytes]]:  # fmt: skip
        """Process a space's queue. Returns the files that changed during this, with their collections. A space whose model is not installed keeps its
        queue, unless it is the only space."""
        space_run.queue.skip(space_run.entry.modalities)
        if not scan.is_alive() and not space_run.queue.waiting():
            return []
        while scan.is_alive() and not space_run.queue.left():  # a scan that meets nothing new needs no encoder
            report(progress)
            scan.join(QUEUE_POLL_SECONDS)
        if not space_run.queue.left():
            return []
        try:
            encoder = space_run.encoder
        except (ModelMissing, InputError) as error:
            if len(self.space_runs) == 1:
                raise
            self.absent[space_run.entry.name] = error
            return []
        elsewhere = {modality for other in self.space_runs if other is not space_run for modality in other.entry.modalities}
        if self._cluster is not None:
            return self._cluster.work(
                space_run.queue, space_run.entry, progress, stop, scan.is_alive, report, self._take_back, elsewhere, self._roots()
            )
        pipeline = Pipeline(
            self._settings, space_run.queue, encoder, space_run.entry.kinds, self._pool, progress, stop, elsewhere, self._roots()
        )
        pipeline.run(scan.is_alive, report, self._take_back)
        return pipeline.changed

    def _roots(self) -> list[bytes]:
        return [os.fsencode(root) for roots in self.store.collections().values() for root in roots]

    def _read(self, stop: threading.Event, progress: Progress, report: Callable[[Progress], None]) -> list[tuple[int, bytes]]:
        """Let the readers read what waits for them, and embed what they read. A reader whose model is not installed keeps its
        queue. Returns the files that are not what was scanned, with their collections."""
        changed: list[tuple[int, bytes]] = []
        place = ReadingContext(self._pool, self._settings.readers or self._settings.cores, stop, self._roots())
        version = self.store.version()
        for reader_run in self.reader_runs:
            if version != self._filled:
                self.readers.fill(reader_run.entry)
            if stop.is_set() or not reader_run.queue.waiting():
                continue
            try:
                if self._cluster is None:
                    changed += read(place, reader_run.queue, self._reader(reader_run.entry), progress, report)
                else:
                    changed += self._cluster.work(
                        reader_run.queue,
                        reader_run.entry,
                        progress,
                        stop,
                        lambda: False,
                        report,
                        self._take_back,
                        roots=place.roots,
                    )
            except (ModelMissing, InputError, ReaderHangs) as error:
                self.absent[reader_run.entry.name] = error
        passages = Passages(self._database)
        self._filled, last = version, passages.last()
        for space_run in self.space_runs:
            if space_run.entry.name in self.absent:
                continue
            if passages.missing(space_run.entry.key, space_run.entry.kinds, 1, after=space_run.embedded):
                embed(passages, space_run.entry, space_run.encoder, stop, lambda _: report(progress), after=space_run.embedded)
            space_run.embedded = space_run.embedded if stop.is_set() else last
        return changed

    def _reader(self, entry: ReaderEntry) -> Reader:
        reader = readers.load(entry.name, Models.of(self._settings), self._settings.device, entry.labels)
        check_revision(entry, reader)
        return reader

    def _follow(self) -> None:
        """Take in the archive's current spaces and readers, and queue for each new space what it lacks."""
        if (version := self.store.version()) == self._followed:
            return
        database, name, place = self._database, self._worker.name, self._worker.place
        have, space_runs = {space_run.entry.key: space_run for space_run in self.space_runs}, []
        for entry in self._entries():
            space_run = have.get(entry.key)
            if space_run is None:
                space_run = SpaceRun(entry, Queue(database, entry.key, name, place), self._load)
                self.spaces.fill(entry)
            space_run.entry = entry
            space_runs.append(space_run)
        self.space_runs = space_runs
        self.reader_runs = [_ReaderRun(entry, ReadingQueue(database, entry.key, name, place)) for entry in self.readers.all()]
        self._followed = version

    def _takes(self, space_run: SpaceRun, collection: int) -> bool:
        names = space_run.entry.collections
        return not names or collection in self.intake.keys(names)

    def _queues(self) -> list[Queue]:
        return [*(space_run.queue for space_run in self.space_runs), *(reader_run.queue for reader_run in self.reader_runs)]

    def _take_back(self) -> None:
        """Requeue what dead workers on this machine had leased."""
        for queue in self._queues():
            leasing = queue.leasing(self._worker.place)  # asked first, so that workers started later are not among them
            queue.take_back(sorted(leasing - self._worker.living()))


@contextmanager
def indexer(
    settings: Settings, encoder: Encoder | None = None, spaces: Sequence[str] = (), exclude: Sequence[str] = (),
    patience: float = OUTAGE_SECONDS, stop: threading.Event | None = None, cluster: Cluster | None = None,
) -> Iterator[Indexer]:  # fmt: skip
    """An Indexer for the home of ``settings``: for all of its spaces, the named ones, or that of ``encoder`` alone.

    For ``patience``, ``stop`` and ``cluster`` see ``Indexer``. A database that cannot be reached yet is waited for as long.

    Raises:
        DatabaseAway: that took too long.
        InputError: the home cannot be written to.
        UnknownName: a space that is not there.
        DiskFull: there is no room to begin.
        NewerDatabase, ModelMissing: see the error tree.
    """
    home = settings.home
    try:
        disk.make_private(home)
        worker = Worker(home)
    except OSError as error:
        if disk.full(error):
            raise DiskFull(f"There is no room left under {home}.", remedy="Free some space first.") from error
        raise InputError(f"{home} cannot be written to: {error}.", remedy="Choose another --home.") from error
    database = Database(settings.database)
    try:
        if (free := shutil.disk_usage(home).free) < MIN_FREE_BYTES:
            raise DiskFull(f"Only {free >> 20} MB are free under {home}.", remedy="Free some space first.")
        with DecodePool(
            settings, 1 if cluster else settings.decoders or settings.cores
        ) as pool:  # starts while the database is being opened
            database.attend(patience, stop)
            database.upgrade()
            loader, known = _Loader(settings, encoder), Spaces(database)
            known.renew()
            entries = partial(_entries, settings, known, loader, spaces)
            yield Indexer(settings, entries, loader, database, pool, worker, exclude, patience, stop, cluster)
    finally:
        database.close()
        worker.close()


class _Loader:
    """Loads encoders by name, each once. A given encoder counts as loaded."""

    def __init__(self, settings: Settings, given: Encoder | None) -> None:
        self._settings, self.given = settings, given
        self._loaded = {given.space.name: given} if given else {}

    def __call__(self, name: str) -> Encoder:
        if name not in self._loaded:
            self._loaded[name] = encoders.load(name, Models.of(self._settings), self._settings.device)
        return self._loaded[name]


def _entries(settings: Settings, spaces: Spaces, load: _Loader, names: Sequence[str]) -> list[SpaceEntry]:
    """The spaces of a run, the default first. The first run on an archive makes its first space."""
    if load.given:
        return [spaces.add(load.given.space, load.given.space.name)]
    entries = spaces.all()
    if not entries:
        name = settings.space or "pocket"
        return [spaces.add(load(name).space, name)]
    if names:
        return [spaces.find(name) for name in names]
    return sorted(entries, key=lambda entry: not entry.default)


def index(settings: Settings, job: RunRequest, *, encoder: Encoder | None = None, cluster: Cluster | None = None) -> Summary:
    """Bring the archive up to date with the files. A ``cluster`` decodes, encodes and reads in place of this process.

    A second run over unchanged files decodes nothing. A run continues where a killed one stopped. Ctrl-C ends it after the files
    being decoded.

    Raises:
        InputError: a path that is not there.
        ObjectsAway: object storage does not answer, or refuses us.
        NewerDatabase, ModelMissing, DiskFull, ClusterAway: see the error tree; what was acknowledged stays.
    """
    began = time.monotonic()
    roots = [os.fsencode(absolute(path)) for path in job.paths]
    objects = Objects(settings)
    gone = {root: why for root in roots if (why := _absent(root, objects)) is not None}
    if gone and (unknown := _never_there(settings, job.collection, list(gone))) is not None:
        raise gone[unknown]
    with (
        traces.span("ingest"),
        indexer(settings, encoder, job.spaces, job.exclude, OUTAGE_SECONDS, cluster=cluster) as running,
    ):
        summary = Summary(Tally(), Progress(), collection=job.collection)
        if job.confined:
            running.confine()
        work: list[tuple[int, list[bytes]]] = []
        if roots:
            work.append((running.collection(job.collection, roots), roots))
        if job.retry:
            summary.retried, unread = running.retry(job.retry)
            summary.retried += sum(map(len, unread.values()))
            work += unread.items()
        for collection, paths in work or [(0, [])]:  # without anything to scan, only the queue is worked off
            summary.stopped = summary.stopped or not running.bring(
                collection, paths, job.report, summary.scan, summary.progress, lingers=job.lingers
            )
        if job.prune and roots and not summary.stopped:
            summary.kept_away = 0 if job.yes else running.away(work[0][0])
            if not summary.kept_away:
                running.prune(work[0][0], away=job.yes)
        summary.removed, summary.generation = running.tidy(_stages(summary, _quiet if summary.stopped else job.report))
        summary.progress.stage = ""
        if job.calibrates and not summary.stopped:
            try:
                summary.calibrated = running.calibrate()
            except KeyboardInterrupt:
                summary.calibrated = [UNCALIBRATED]
        summary.absent = running.absent
    summary.seconds = time.monotonic() - began
    return summary


def _quiet(*_: object) -> None:
    """Reports nothing: a run that was stopped ends without a word."""


def _stages(summary: Summary, report: Report) -> Tell:
    """Reports how far the writing of the index is."""
    began: dict[str, float] = {}

    def tell(stage: str, done: int, of: int) -> None:
        now, progress = time.monotonic(), summary.progress
        progress.stage, progress.stage_done, progress.stage_of = stage, done, of
        progress.stage_seconds = now - began.setdefault(stage, now)
        report(summary.scan, progress, False)

    return tell


def _absent(root: bytes, objects: Objects) -> SensoriumError | None:
    """Why there is nothing at a root; None: there is.

    Raises:
        InputError: it is in object storage, which cannot be asked.
    """
    if not is_address(root):
        here = os.path.lexists(root)
        return None if here else InputError(f"{os.fsdecode(root)} is not there.", remedy="Check the path. Nothing was changed.")
    try:
        empty = objects.is_empty(root)
    except ObjectsAway as error:
        return error
    return InputError(f"{os.fsdecode(root)} holds nothing.", remedy="Check its name.") if empty else None


def _never_there(settings: Settings, collection: str, roots: Sequence[bytes]) -> bytes | None:
    """The first absent root of which an existing archive holds no files; None if it holds some of each."""
    database = Database(settings.database)
    try:
        database.attend(OUTAGE_SECONDS)
        if not database.exists():
            return roots[0]
        database.upgrade()
        store, intake = SqlStore(database), Intake(database)
        if collection not in store.collections():
            return roots[0]
        key = store.collection(collection)
        return next((root for root in roots if not intake.holds(key, root)), None)
    finally:
        database.close()


def prune(settings: Settings, collection: str | None, *, away: bool = False) -> tuple[int, int]:
    """Forget missing files. Returns how many, and how many assets were removed with them. ``away``: also files whose folder is
    away.

    Raises:
        InputError: files are away, and ``away`` is not set.
    """
    database = Database(settings.database)
    try:
        database.check()
        store, intake = SqlStore(database), Intake(database)
        key = None if collection is None else store.collection(collection)
        if not away and (kept := intake.away(key)):
            message, remedy = kept_away(kept, store.away())
            raise InputError(message, remedy=remedy)
        return intake.prune(key, away=away), intake.drop_orphans()
    finally:
        database.close()


def kept_away(files: int, roots: Mapping[str, int]) -> tuple[str, str]:
    """The message and the remedy when files are kept because they are away."""
    where = ", ".join(roots) or "their folders"
    return (
        f"Nothing was forgotten: {files} files are away, since {where} cannot be reached or is empty.",
        "Mount it and index it again; or say --yes to forget these files too.",
    )


def rebuild(settings: Settings) -> dict[str, int]:
    """Write the index of every space again from SQL, without embedding anything, and what a server keeps of it. Returns the number
    of segments in each.

    Raises:
        VectorsAway: that server cannot be reached.
    """
    database = Database(settings.database)
    try:
        database.check()
        store = SqlStore(database)
        written: dict[str, int] = {}
        for key, space in store.spaces():
            live = LiveIndex(store, settings.home, space, key, fresh=True, kind=settings.index_kind)
            written[space.name] = live.write().count
            with mirrored(settings, store, key, space) as mirror:
                if mirror is not None:
                    mirror.follow(anew=True, patience=OUTAGE_SECONDS)
        return written
    finally:
        database.close()
