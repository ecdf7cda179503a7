"""Scanning: compare what the walk meets with the store. New and changed files are hashed and queued. Files are read again if
something beside them has changed."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from indexer import mounts
from indexer.exclude import Exclusions
from indexer.walk import Excluded, Met, Obstacle, Unnamed, listed, sighting_of, walk
from search.errors import MediaError, ObjectsAway
from search.folders import is_address
from search.media import HEAD_BYTES, is_media_inside, is_readerless, opening, suffix_of
from search.media.metadata import dating, sidecars
from search.media.objects import FETCHES, Objects, Stored
from search.store import Intake, Readers
from search.store.asset_dates import Dates
from search.store.intake import KnownPath, Passing, Sighting, path_of

LOOKUPS_PER_TRANSACTION = 1_024
"""Files looked up in one transaction."""

FILES_PER_COMMIT = 256
"""Files hashed, and recorded, in one transaction."""

MARKS_PER_COMMIT = 8_192
"""Unchanged files that are marked as met in one transaction: it asks for a lock and waits for the disk."""

MAX_CHANGES = 3
"""An object that changes as often while it is fetched is left to the next scan."""

ROOM_SHARE = 8
"""What is fetched of object storage is recorded at the latest at this share of what is kept of it."""

ROOM_POLL_SECONDS = 0.5
"""Seconds between two looks whether what was fetched has been decoded."""

_GONE = (
    errno.ENOENT, errno.EIO, errno.ENXIO, errno.ENODEV, errno.ENOTCONN, errno.ESTALE, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT,
)  # fmt: skip
"""Errors that mean that a file's disk or host is gone. They say nothing about the file itself."""

Item = TypeVar("Item")


@dataclass(slots=True)
class Tally:
    """What a scan met, in files. ``queued`` counts the new contents among them.

    ``away`` are files whose folder or file system is not there, ``away_roots`` the scanned roots for which this is so.
    ``excluded`` are files and folders that were left out. ``passed`` counts, by suffix, the files that no reader takes.
    """

    files: int = 0
    unchanged: int = 0
    new: int = 0
    changed: int = 0
    queued: int = 0
    missing: int = 0
    rejected: int = 0
    hashed_bytes: int = 0
    away: int = 0
    away_roots: int = 0
    excluded: int = 0
    passed: dict[str, int] = field(default_factory=dict)

    def look_again(self, before: Tally) -> None:
        """Reset the counts of what a repeated scan will meet again. What was already taken in stays counted."""
        self.files, self.unchanged, self.rejected = before.files, before.unchanged, before.rejected
        self.away_roots, self.excluded, self.passed = before.away_roots, before.excluded, before.passed


class FolderScan:
    """One scan of a collection's roots, for all spaces that take it in."""

    def __init__(
        self, intake: Intake, readers: Readers, dates: Dates, collection: int, spaces: Sequence[int], tally: Tally,
        exclusions: Exclusions, objects: Objects, *, stopped: Callable[[], bool], within: Sequence[bytes] = (),
    ) -> None:  # fmt: skip
        """``tally`` is updated. ``within``: the real folders that links may not lead out of; none: links may lead anywhere."""
        self._intake, self._readers, self._dates, self._within = intake, readers, dates, within
        self._collection, self._spaces, self._exclusions, self._stopped = collection, spaces, exclusions, stopped
        self._objects = objects
        self._number = intake.begin_scan()
        self._reads = bool(readers.all())
        self._met: list[tuple[KnownPath, Sighting]] = []
        """Unchanged files that are not marked as met yet."""
        self._copies: list[bytes] = []
        """Duplicate locations, rechecked if the first is gone."""
        self._unread: list[bytes] = []
        """Paths that could not be read."""
        self._devices: set[int | None] = set()
        """File systems on which this scan met known files. Files missing from these are not away."""
        self.tally = tally

    def run(self, roots: Sequence[bytes]) -> None:
        """Scan files and folders, then mark what was not met in the folders as missing. Stops between batches when told to.

        A root that held files and is now absent or empty is away; its files keep their state.
        """
        mounts.look_again()
        there: list[bytes] = []
        away: list[bytes] = []
        for root in roots:
            emptied = self._is_empty(root) and self._intake.holds(self._collection, root)
            (away if emptied else there).append(root)
        self.tally.away_roots += len(away)
        met = chain.from_iterable(map(self._walk, there))
        for batch in _batches(met, LOOKUPS_PER_TRANSACTION):
            if self._stopped():
                break
            self.tally.excluded += sum(isinstance(item, Excluded) for item in batch)
            for item in batch:
                if isinstance(item, Obstacle):
                    self._obstruct(item)
            self._take([item for item in batch if isinstance(item, Sighting)])
            self._look_inside([item.sighting for item in batch if isinstance(item, Unnamed)])
        self._mark()
        if self._stopped():
            return
        folders = [root for root in there if root not in self._unread and (is_address(root) or os.path.isdir(root))]
        self._end(folders, self._unread, lambda path, device: self._is_away(path, device, folders))
        self._end(away, [], lambda _path, _device: True)
        for copies in _batches(self._copies, FILES_PER_COMMIT):
            self._look_beside(copies)

    def _walk(self, root: bytes) -> Iterator[Met]:
        if is_address(root):
            return listed(root, self._objects, self._exclusions, self._within)
        return walk(root, self._exclusions, self._within)

    def _is_empty(self, root: bytes) -> bool:
        """Whether a root is absent or empty."""
        if not is_address(root):
            return not os.path.isfile(root) and mounts.is_empty(root)
        try:
            return self._objects.is_empty(root)
        except ObjectsAway:
            return True

    def _end(self, roots: Sequence[bytes], unread: Sequence[bytes], is_away: Callable[[bytes, int | None], bool]) -> None:
        if roots:
            missing, _ = self._intake.end_scan(self._collection, self._number, roots, unread=unread, is_away=is_away)
            self.tally.missing += missing
            self.tally.away = self._intake.away(self._collection)

    def _is_away(self, path: bytes, device: int | None, roots: Sequence[bytes]) -> bool:
        """Whether a file that was not met is away: its root is now empty, or its file system is not mounted."""
        return mounts.is_away(path, None if device in self._devices else device, roots)

    def _obstruct(self, obstacle: Obstacle) -> None:
        """Record a path that could not be read. It and everything below it keep their state."""
        self._unread.append(obstacle.path)
        known = self._intake.known(self._collection, [obstacle.path]).get(obstacle.path)
        if known is not None and known.asset is not None:
            self.tally.rejected += 1
        elif is_address(obstacle.path) or os.path.lexists(obstacle.path):  # else it was deleted during the walk
            self._reject(Sighting(obstacle.path, 0, 0), "unreadable", f"It cannot be opened: {obstacle.why}.")

    def _take(self, sightings: Sequence[Sighting]) -> None:
        """Look files up in the store, and take in those that are new or may have changed."""
        if not sightings:
            return
        known = self._intake.known(self._collection, [sighting.path for sighting in sightings])
        same: list[tuple[KnownPath, Sighting]] = []
        rest: list[Sighting] = []
        for sighting in sightings:
            before = known.get(sighting.path)
            if before is not None and before.state == "present":
                self._devices.add(before.device)
            if before is not None and before.looks_like(sighting) and (before.asset is not None or not sighting.size):
                same.append((before, sighting))
            else:
                rest.append(sighting)
        self.tally.files += len(sightings)
        self._meet(same)
        for some in self._commits(rest):
            self._hash_and_put(some, known)

    def _commits(self, sightings: Sequence[Sighting]) -> Iterator[list[Sighting]]:
        """Files that are recorded together: of object storage no more than a part of what is kept of it."""
        some, weight = list[Sighting](), 0
        for sighting in sightings:
            some.append(sighting)
            weight += sighting.size if is_address(sighting.path) else 0
            if len(some) == FILES_PER_COMMIT or weight > self._objects.bound // ROOM_SHARE:
                yield some
                some, weight = [], 0
        if some:
            yield some

    def _hash_and_put(self, sightings: Sequence[Sighting], known: Mapping[bytes, KnownPath]) -> None:
        same: list[tuple[KnownPath, Sighting]] = []
        files: list[tuple[Sighting, bytes]] = []
        touched: list[int] = []
        changed = 0
        fetched = self._fetched([sighting for sighting in sightings if is_address(sighting.path) and sighting.size])
        for met in sightings:
            if self._stopped():
                break
            before = known.get(met.path)
            sighting, digest = fetched.get(met.path) or (met, None)
            if not sighting.size:
                self._reject(sighting, "empty", "The file has no bytes.")
            elif digest is None and (is_address(met.path) or (digest := self._hash(met, before)) is None):
                continue
            elif before is not None and digest == before.digest and before.mtime_ns == sighting.mtime_ns:
                same.append((before, sighting))
            else:
                files.append((sighting, digest))
                if before is not None and before.asset is not None and digest == before.digest:
                    touched.append(before.asset)
                changed += before is not None
        self._meet(same)
        if files:
            self.tally.queued += self._intake.put_files(self._collection, self._number, self._spaces, files)
            self.tally.changed += changed
            self.tally.new += len(files) - changed
        if touched:
            self._dates.again(touched)  # they may be dated by the time of their last change
        paths = [sighting.path for sighting, _ in files]
        self._copies += self._look_beside(paths)
        placed = self._dates.at(self._collection, paths) if paths else []
        self._look_for_dates([(one.asset, one.path, one.beside) for one in placed])

    def _meet(self, unchanged: Sequence[tuple[KnownPath, Sighting]]) -> None:
        """Record unchanged files, and check the files beside them."""
        self.tally.unchanged += len(unchanged)
        self._met += unchanged
        if len(self._met) >= MARKS_PER_COMMIT or any(before.state != "present" for before, _ in unchanged):
            self._mark()
        self._copies += self._look_beside([sighting.path for _, sighting in unchanged])
        self._look_for_dates(
            [
                (before.asset, sighting.path, before.dates_beside)
                for before, sighting in unchanged
                if before.asset and before.dated
            ]
        )

    def _mark(self) -> None:
        """Mark the unchanged files as met."""
        if self._met:
            self._intake.seen(self._number, self._met)
            self._met = []

    def _look_inside(self, sightings: Sequence[Sighting]) -> None:
        """Take files whose first bytes are those of media, whatever their name. The others are passed over and counted, but for those
        beside media that give their dates.

        A file is opened for this once, and then again only after it has changed.
        """
        if not sightings:
            return
        paths = [sighting.path for sighting in sightings]
        known, passed = self._intake.known(self._collection, paths), self._intake.passed(self._collection, paths)
        media: list[Sighting] = []
        fresh: list[Passing] = []
        still: list[bytes] = []
        suffixes: Counter[str] = Counter()
        for sighting in sightings:
            before = passed.get(sighting.path)
            if sighting.path in known:
                media.append(sighting)
            elif dating.belongs(path_of(sighting.path)):
                continue  # read with the file that it dates
            elif before is not None and (before.size, before.mtime_ns) == (sighting.size, sighting.mtime_ns):
                still.append(sighting.path)
                suffixes[before.suffix] += 1
            elif self._is_media(sighting):
                media.append(sighting)
            else:
                name = path_of(sighting.path)
                fresh.append(Passing(sighting.path, sighting.size, sighting.mtime_ns, suffix_of(name), is_readerless(name)))
                suffixes[fresh[-1].suffix] += 1
        if still:
            self._intake.still_passed(self._collection, self._number, still)
        if fresh:
            self._intake.pass_over(self._collection, self._number, fresh)
        self.tally.passed = dict(
            Counter(self.tally.passed) + suffixes
        )  # a new object, since the reporting thread may be reading the old one
        self._take(media)

    def _is_media(self, sighting: Sighting) -> bool:
        """Whether the first bytes of a file are those of media."""
        if not is_address(sighting.path):
            return is_media_by_content(sighting.path)
        if is_readerless(path_of(sighting.path)) or not sighting.size:
            return False
        try:
            stored = Stored(sighting.path, sighting.size, sighting.mtime_ns, sighting.inode or 0)
            return is_media_inside(self._objects.head(stored, HEAD_BYTES))
        except MediaError:  # it has changed since: the next scan looks again
            return False

    def _look_for_dates(self, dated: Sequence[tuple[int, bytes, str | None]]) -> None:
        """Date assets again if the files beside theirs that may give a date have another fingerprint than stored."""
        now = dating.fingerprints([path_of(path) for _, path, _ in dated])
        if again := [asset for (asset, _, told), found in zip(dated, now, strict=True) if found != (told or "")]:
            self._dates.again(again)

    def _look_beside(self, paths: Sequence[bytes]) -> list[bytes]:
        """Read assets again whose sidecars were added, changed or removed. Returns those paths whose assets are read at another
        location."""
        read = self._readers.beside(self._collection, paths) if self._reads and paths else []
        changed = [one.reading for one in read if one.here and sidecars.fingerprint(Path(path_of(one.path))) != one.told]
        if changed:
            self._readers.again(changed)
        return [one.path for one in read if not one.here]

    def _fetched(self, sightings: Sequence[Sighting]) -> dict[bytes, tuple[Sighting, bytes]]:
        """Objects as they were fetched, with the digests of their bytes. One that was deleted, or keeps changing, is left out.

        What was fetched is to be decoded before newer objects take its place, so this waits for those that work on it, if any do.
        """
        if not sightings:
            return {}
        while self._spaces and not self._stopped():
            waiting, worked_on = self._intake.unended_bytes(self._spaces[0])
            if not worked_on or waiting <= self._objects.bound // 2:
                break
            time.sleep(ROOM_POLL_SECONDS)
        with ThreadPoolExecutor(FETCHES, "fetch") as threads:
            found = list(threads.map(self._fetch, sightings))
        done = {sighting.path: (sighting, digest) for sighting, digest in filter(None, found)}
        self.tally.hashed_bytes += sum(sighting.size for sighting, _ in done.values())
        return done

    def _fetch(self, sighting: Sighting) -> tuple[Sighting, bytes] | None:
        stored: Stored | None = Stored(sighting.path, sighting.size, sighting.mtime_ns, sighting.inode or 0)
        for _ in range(MAX_CHANGES):
            if stored is None or self._stopped():
                return None
            try:
                digest = self._objects.fetch(stored)
            except MediaError:  # it has changed since it was listed
                stored = self._objects.look(sighting.path)
                continue
            return sighting_of(stored), digest
        self._unread.append(sighting.path)
        return None

    def _hash(self, sighting: Sighting, before: KnownPath | None) -> bytes | None:
        try:
            with open(sighting.path, "rb", opener=_opener) as file:
                if opening.leads_out(file.fileno(), Path(path_of(sighting.path)), self._within):  # since the walk looked
                    self._reject(sighting, "unreadable", f"It cannot be opened: {opening.OUTSIDE}.")
                    return None
                digest = hashlib.file_digest(file, "sha256").digest()
        except OSError as error:
            if error.errno in _GONE and before is not None and before.asset is not None:
                if error.errno != errno.ENOENT:  # else the end of the scan decides whether it is missing or away
                    self._unread.append(sighting.path)
                return None
            self._reject(sighting, "unreadable", f"It cannot be opened: {error.strerror}.")
            return None
        self.tally.hashed_bytes += sighting.size
        return digest

    def _reject(self, sighting: Sighting, reason: str, detail: str) -> None:
        self.tally.rejected += 1
        self._intake.reject_file(self._collection, self._number, sighting, reason, detail)


def _opener(path: str, _: int) -> int:
    return os.open(path, opening.FLAGS)


def is_media_by_content(path: bytes) -> bool:
    """Whether a file without a media file name has the first bytes of media."""
    name = path_of(path)
    if is_readerless(name):
        return False
    try:
        with opening.opened(Path(name)) as file:
            return is_media_inside(opening.head(file, HEAD_BYTES))
    except MediaError:
        return False


def unchanged_since(path: bytes, size: int, mtime_ns: int) -> bool:
    """Whether a file is still as the scan met it. Of an object this is known when it is fetched, by its digest."""
    if is_address(path):
        return True
    try:
        status = os.stat(path)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (size, mtime_ns)


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
