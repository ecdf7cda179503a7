"""Scanning: what the walk meets is compared with the store; new and changed files are hashed and queued, and read again those beside which
something has changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from indexer.walk import Obstacle, walk
from search.media import is_media, sidecars
from search.store import Intake, Readers
from search.store.intake import Sighting, path_of

BATCH = 256
"""Files looked up, and recorded, in one transaction."""

Item = TypeVar("Item")


@dataclass(slots=True)
class Tally:
    """What a scan met, in files. ``queued`` counts the new contents among them."""

    files: int = 0
    unchanged: int = 0
    new: int = 0
    changed: int = 0
    queued: int = 0
    missing: int = 0
    rejected: int = 0
    hashed_bytes: int = 0


class Scan:
    """One scan of a collection's roots, for all spaces that take it in."""

    def __init__(
        self, intake: Intake, readers: Readers, collection: int, spaces: Sequence[int], tally: Tally, *, stopped: Callable[[], bool],
        within: Sequence[bytes] = (),
    ) -> None:  # fmt: skip
        """``tally`` is counted up. ``within``: the real folders that links may not lead out of; none: they may lead anywhere."""
        self._within = within
        self._intake, self._readers, self._collection, self._spaces, self._stopped = intake, readers, collection, spaces, stopped
        self._number = intake.begin_scan()
        self._copies: list[bytes] = []
        """Files whose asset was read at another place, unless that turns out to be missing."""
        self.tally = tally

    def run(self, roots: Sequence[bytes]) -> None:
        """Scan files and folders, then mark as missing what was not met in the folders. Stops between batches when told to."""
        met = chain.from_iterable(walk(root, self._within) for root in roots)
        away: set[bytes] = set()
        for batch in _batches(met, BATCH):
            if self._stopped():
                return
            for obstacle in (item for item in batch if isinstance(item, Obstacle)):
                away.add(obstacle.path)
                self._reject(Sighting(obstacle.path, 0, 0), "unreadable", f"It cannot be opened: {obstacle.why}.")
            self._take([item for item in batch if isinstance(item, Sighting)])
        folders = [root for root in roots if root not in away and os.path.isdir(root)]  # not those whose disk is not there today
        if folders and not self._stopped():
            unread = [path for path in away if os.path.isdir(path) or not is_media(os.fsdecode(path))]
            self.tally.missing += self._intake.end_scan(self._collection, self._number, folders, unread=unread)
        for copies in _batches(self._copies, BATCH):
            self._look_beside(copies)

    def _take(self, sightings: Sequence[Sighting]) -> None:
        known = self._intake.known(self._collection, [sighting.path for sighting in sightings])
        unchanged, files = [], []
        for sighting in sightings:
            if self._stopped():
                break
            before = known.get(sighting.path)
            same = before is not None and (before.size, before.mtime_ns) == (sighting.size, sighting.mtime_ns)
            if before is not None and same and (before.asset is not None or not sighting.size):
                unchanged.append(before)
            elif not sighting.size:
                self._reject(sighting, "empty", "The file has no bytes.")
            elif (digest := self._hash(sighting)) is not None:
                files.append((sighting, digest))
                self.tally.changed += before is not None
                self.tally.new += before is None
        self.tally.files += len(sightings)
        self.tally.unchanged += len(unchanged)
        if unchanged:
            self._intake.seen(self._number, unchanged)
        if files:
            self.tally.queued += self._intake.put_files(self._collection, self._number, self._spaces, files)
        self._copies += self._look_beside([sighting.path for sighting in sightings])

    def _look_beside(self, paths: Sequence[bytes]) -> list[bytes]:
        """Have assets read again whose sidecars have come, changed or gone; returns those of the paths whose assets are read elsewhere."""
        read = self._readers.beside(self._collection, paths)
        changed = [one.reading for one in read if one.here and sidecars.fingerprint(Path(path_of(one.path))) != one.told]
        if changed:
            self._readers.again(changed)
        return [one.path for one in read if not one.here]

    def _hash(self, sighting: Sighting) -> bytes | None:
        try:
            with open(sighting.path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
        except OSError as error:
            self._reject(sighting, "unreadable", f"It cannot be opened: {error.strerror}.")
            return None
        self.tally.hashed_bytes += sighting.size
        return digest

    def _reject(self, sighting: Sighting, reason: str, detail: str) -> None:
        self.tally.rejected += 1
        self._intake.reject_file(self._collection, self._number, sighting, reason, detail)


def unchanged_since(path: bytes, size: int, mtime_ns: int) -> bool:
    """Whether a file still is what the scan met."""
    try:
        status = os.stat(path)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (size, mtime_ns)


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
