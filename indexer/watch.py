"""Watching: keep an archive up to date with folders, as files are added, changed, moved and deleted."""

from __future__ import annotations

import math
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import watchfiles

from indexer import mounts
from indexer.pipeline import Progress
from indexer.run import Indexer, RunRequest, indexer
from indexer.scan import Tally, is_media_by_content
from indexer.walk import Met, Unnamed, walk
from search.encoders import Encoder
from search.errors import DatabaseAway, DiskFull, InputError
from search.folders import absolute, is_address
from search.media import is_media
from search.media.metadata import dating, sidecars
from search.settings import Settings
from search.store.intake import Sighting

SETTLE_POLL_SECONDS = 0.25
"""Seconds between two looks at what may have settled."""

RESCAN_SECONDS = 3600.0
"""Seconds between full scans of the folders. They find changes that the system did not report."""

POLL_SECONDS = 10.0
"""Seconds between two scans of folders that do not report changes."""

FULL_DISK_SECONDS = 30.0
"""Seconds between two tries while the disk is full."""

CALIBRATE_SECONDS = 300.0
"""Seconds between two looks at whether a space is to be calibrated."""

_REMOTE = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "fuse", "virtiofs", "vboxsf", "drvfs", "lustre", "davfs", "ncp")
"""File systems that other machines may change without this one being notified. Beginnings of their names."""

_ESCAPED = re.compile(rb"\\([0-3][0-7]{2})")
"""Octal escapes of white space in the list of mounts."""


@dataclass(frozen=True, slots=True)
class Round:
    """The result of one batch of changes: the counts of a run, and the ``missing`` files among the changes."""

    scan: Tally
    progress: Progress
    missing: int = 0


@dataclass(frozen=True, slots=True)
class WatchCallbacks:
    """Callbacks: ``round`` gets the result of each batch of changes, ``note`` any other message as a sentence."""

    round: Callable[[Round], None] = lambda _: None
    note: Callable[[str], None] = lambda _: None


def watch(
    settings: Settings, job: RunRequest, events: WatchCallbacks, *, settle: float = 2.0, polling: bool = False,
    stop: threading.Event | None = None, encoder: Encoder | None = None,
) -> None:  # fmt: skip
    """Index the folders of ``job``, then keep following changes in them until interrupted or ``stop`` is set.

    A file is read once it has not changed for ``settle`` seconds. ``polling`` scans repeatedly instead of waiting for
    notifications; it is chosen automatically for network mounts. The watch waits out a full disk and a database that is away.

    Raises:
        InputError: a path that does not exist or is no folder.
        NewerDatabase, ModelMissing: see the error tree.
    """
    for path in job.paths:
        if is_address(absolute(path)):
            raise InputError(
                "Object storage tells of no changes, so it cannot be watched.", remedy="Run `sensorium index` on it now and then."
            )
        if not path.is_dir():
            raise InputError(f"{path} is not a folder.", remedy="Name folders to watch; single files are for `sensorium index`.")
    roots = [os.fsencode(os.path.abspath(path)) for path in job.paths]
    stop = stop or threading.Event()
    with indexer(settings, encoder, exclude=job.exclude, patience=math.inf, stop=stop) as running:
        watching = _Watching(running, job, roots, settle, events)
        for changes in _changes(job.paths, events, stop, polling=polling or any(map(is_remote, job.paths))):
            watching.note(os.fsencode(name) for _, name in changes)
            if not watching.work(stop):
                return


class _Watching:
    """Changes that are not processed yet."""

    def __init__(self, running: Indexer, job: RunRequest, roots: Sequence[bytes], settle: float, events: WatchCallbacks) -> None:
        self._running, self._job, self._roots, self._settle, self._events = running, job, roots, settle, events
        self._collection = running.collection(job.collection, roots)
        self._identities = {root: _identity(root) for root in roots}
        self._unsettled: dict[bytes, tuple[float, object]] = {}
        self._scanned, self._calibrated = -RESCAN_SECONDS, -CALIBRATE_SECONDS

    def note(self, paths: Iterable[bytes]) -> None:
        """Record changes."""
        for path in filter(self._concerns, paths):
            moved_here = (
                _files(walk(path, self._running.exclusions)) if os.path.isdir(path) else ()
            )  # whole: nothing is told of the files in it
            for one in (path, *moved_here):
                self._unsettled[one] = time.monotonic(), _looks(one)

    def work(self, stop: threading.Event) -> bool:
        """Process changes that have settled. False if stopped by Ctrl-C."""
        now = time.monotonic()
        if now - self._scanned >= RESCAN_SECONDS:
            self._scanned = now
            return self._bring([path for root in self._roots for path in self._whole(root)], [], stop)
        settled = [path for path in list(self._unsettled) if self._has_settled(path, now)]
        for path in settled:
            del self._unsettled[path]
        gone = [path for path in settled if not os.path.lexists(path) and self._is_there(path)]
        files = [path for path in settled if os.path.lexists(path) and not os.path.isdir(path) and _is_media(path)]
        files += [path for path in _owners(settled) if path not in files and path not in self._unsettled]
        return self._bring(files, gone, stop) if files or gone else True

    def _bring(self, paths: list[bytes], gone: list[bytes], stop: threading.Event) -> bool:
        scan, progress = Tally(), Progress()
        while not stop.is_set():
            try:
                missing = self._running.missing(self._collection, gone) if gone else 0
                going_on = self._running.bring(self._collection, paths, self._job.report, scan, progress)
                if self._job.prune:
                    self._running.prune(self._collection)
                self._running.tidy()
            except DiskFull as error:
                self._events.note(f"{error} Trying again every {FULL_DISK_SECONDS:.0f} seconds.")
                stop.wait(FULL_DISK_SECONDS)
            except DatabaseAway:  # and watching was to stop before it came back
                if not stop.is_set():
                    raise
            else:
                self._events.round(Round(scan, progress, missing + scan.missing))
                return going_on and self._calibrate()
        return False

    def _calibrate(self) -> bool:
        """Calibrate the spaces that are due, at most once in some minutes. False if stopped by Ctrl-C."""
        if self._job.calibrates and time.monotonic() - self._calibrated >= CALIBRATE_SECONDS:
            try:
                for sentence in self._running.calibrate():
                    self._events.note(sentence)
            except KeyboardInterrupt:
                return False
            self._calibrated = time.monotonic()
        return True

    def _concerns(self, path: bytes) -> bool:
        """Whether a change may concern media or their sidecars: the path is under a root and not left out."""
        root = next((root for root in self._roots if path.startswith(root.rstrip(b"/") + b"/")), None)
        return root is not None and not self._running.exclusions.leaves_out_below(path, root, folder=os.path.isdir(path))

    def _has_settled(self, path: bytes, now: float) -> bool:
        since, before = self._unsettled[path]
        if (looks := _looks(path)) != before:
            self._unsettled[path] = now, looks
            return False
        return now - since >= self._settle

    def _whole(self, root: bytes) -> list[bytes]:
        """What to scan at a root. If another folder is now in its place, its files only: then files that are not met do not
        become missing."""
        if _identity(root) in (None, self._identities[root]) or mounts.is_empty(root):
            return [root]
        return [path for path in _files(walk(root, self._running.exclusions)) if _is_media(path)]

    def _is_there(self, path: bytes) -> bool:
        """Whether the folder of a deleted file is still the watched one. If not, its disk may be away, and nothing counts as
        deleted."""
        root = next(root for root in self._roots if path.startswith(root.rstrip(b"/") + b"/"))
        return _identity(root) == self._identities[root]


def is_remote(path: Path, mounts: str = "/proc/self/mounts") -> bool:
    """Whether a folder is on a file system that others may change without this machine being notified."""
    try:
        lines = Path(mounts).read_bytes().split(b"\n")  # the only thing that ends a line here: names may hold the others
    except OSError:
        return False
    real, best, kind = os.fsencode(os.path.realpath(path)), b"", b""
    for _, where, what, *_ in (line.split(b" ") for line in lines if line.count(b" ") > 1):
        mount = _ESCAPED.sub(lambda digits: bytes([int(digits[1], 8)]), where)
        if len(mount) >= len(best) and (real == mount or real.startswith(mount.rstrip(b"/") + b"/")):
            best, kind = mount, what
    return kind.decode("ascii", "replace").startswith(_REMOTE)


def _changes(
    paths: Sequence[Path], events: WatchCallbacks, stop: threading.Event, *, polling: bool
) -> Iterator[set[watchfiles.main.FileChange]]:  # fmt: skip
    """Changes that the system reports, and an empty set several times a second. Without notifications, by scanning repeatedly."""
    follow = partial(
        watchfiles.watch, *paths, watch_filter=None, step=50, debounce=200, rust_timeout=int(SETTLE_POLL_SECONDS * 1000), yield_on_timeout=True,
        stop_event=stop, ignore_permission_denied=True,
    )  # fmt: skip
    if not polling:
        try:
            yield from follow(force_polling=False)
        except OSError as error:
            events.note(
                f"The system cannot watch all of it ({error}): the folders are looked through every {POLL_SECONDS:.0f} seconds."
            )
        else:
            return
    yield from follow(force_polling=True, poll_delay_ms=int(POLL_SECONDS * 1000))


def _files(met: Iterable[Met]) -> list[bytes]:
    """The files met by a walk that may be media."""
    return [
        item.path if isinstance(item, Sighting) else item.sighting.path for item in met if isinstance(item, Sighting | Unnamed)
    ]


def _is_media(path: bytes) -> bool:
    """Whether a file has a media file name or, if not, the first bytes of media."""
    return is_media(os.fsdecode(path)) or is_media_by_content(path)


def _owners(paths: Iterable[bytes]) -> list[bytes]:
    """The files to which the sidecars among the paths belong, each once."""
    names = map(os.fsdecode, paths)
    found = [owner for name in names if sidecars.is_sidecar(name) for owner in sidecars.owners(Path(name))]
    found += [owner for name in names for owner in dating.owners(Path(name))]
    return [path for path in dict.fromkeys(map(os.fsencode, found)) if os.path.isfile(path)]


def _looks(path: bytes) -> tuple[int, int, int] | None:
    """Size and times of a file; None if it does not exist."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (0, 0, 0) if stat.S_ISDIR(found.st_mode) else (found.st_size, found.st_mtime_ns, found.st_ino)


def _identity(root: bytes) -> tuple[int, int] | None:
    try:
        found = os.stat(root)
    except OSError:
        return None
    return found.st_dev, found.st_ino
