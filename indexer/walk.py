"""Walking a folder: every file in it, with its size and times. Handles loops, links and unreadable folders."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from indexer import mounts
from indexer.exclude import NO_MEDIA, Exclusions
from search.media import is_media, opening
from search.media.objects import Objects, Stored
from search.store.intake import Sighting

_NO_MEDIA = os.fsencode(NO_MEDIA)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A path that could not be walked or read, with the operating system's reason."""

    path: bytes
    why: str


@dataclass(frozen=True, slots=True)
class Excluded:
    """A file, or a folder with everything in it, that was left out."""

    path: bytes


@dataclass(frozen=True, slots=True)
class Unnamed:
    """A file without a media file name. Its first bytes decide whether it is media."""

    sighting: Sighting


Met = Sighting | Obstacle | Excluded | Unnamed


def walk(root: bytes, exclusions: Exclusions | None = None, within: Sequence[bytes] = ()) -> Iterator[Met]:
    """Every file under ``root``, sorted by name. A root that is a file is yielded as media, whatever its name.

    Links are followed. Each folder is entered once, so that loops end. Pipes, sockets and devices are skipped. ``within``: real
    folders that everything must be in; a link that leads out of them is an obstacle.
    """
    if not inside(root, within):
        yield Obstacle(root, opening.OUTSIDE)
        return
    try:
        status = os.stat(root)
    except OSError as error:
        yield Obstacle(root, error.strerror or str(error))
        return
    if stat.S_ISREG(status.st_mode):
        yield sighting(root, status)
        return
    exclusions = exclusions or Exclusions()
    entered = {(status.st_dev, status.st_ino)}
    folders = [root]
    while folders:
        below: list[bytes] = []
        yield from _list(folders.pop(), root, exclusions, entered, below, within)
        folders.extend(reversed(below))


def listed(root: bytes, objects: Objects, exclusions: Exclusions, within: Sequence[bytes] = ()) -> Iterator[Met]:
    """Every object at or below an address, as ``walk`` yields files.

    Raises:
        ObjectsAway: the storage does not answer.
    """
    if within and not any(root == place or root.startswith(place.rstrip(b"/") + b"/") for place in within):
        yield Obstacle(root, "it is outside of the roots")
        return
    for stored in objects.list(root):
        met = sighting_of(stored)
        if stored.path != root and exclusions.leaves_out_below(stored.path, root, folder=False):
            yield Excluded(stored.path)
        elif stored.path == root or is_media(os.fsdecode(stored.path)):
            yield met
        else:
            yield Unnamed(met)


def sighting_of(stored: Stored) -> Sighting:
    """An object as a file: its tag stands for the inode."""
    return Sighting(stored.path, stored.size, stored.mtime_ns, None, stored.tag, None)


def inside(path: bytes, within: Sequence[bytes]) -> bool:
    """Whether the target of a path is in one of the real folders ``within``; if there are none, always True."""
    real = os.path.realpath(path)
    return not within or any(real == folder or real.startswith(folder.rstrip(b"/") + b"/") for folder in within)


def sighting(path: bytes, status: os.stat_result) -> Sighting:
    """A file as the walk met it."""
    return Sighting(
        path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, mounts.inode(status.st_ino, status.st_dev),
        mounts.device(status.st_dev),
    )  # fmt: skip


def _list(
    folder: bytes, root: bytes, exclusions: Exclusions, entered: set[tuple[int, int]], below: list[bytes], within: Sequence[bytes]
) -> Iterator[Met]:  # fmt: skip
    try:
        with os.scandir(folder) as opened:
            entries = sorted(opened, key=lambda entry: entry.name)
    except OSError as error:
        yield Obstacle(folder, error.strerror or str(error))
        return
    if exclusions.heeds_no_media and folder != root and any(entry.name == _NO_MEDIA for entry in entries):
        yield Excluded(folder)
        return
    for entry in entries:
        try:
            status = entry.stat()
        except OSError as error:
            if exclusions.leaves_out(entry.path, root, folder=False):
                continue
            nowhere = error.errno in (errno.ENOENT, errno.ELOOP)  # a link into nowhere, or to itself; else a disk that is away
            if is_media(os.fsdecode(entry.path)) or not nowhere:
                yield Obstacle(entry.path, error.strerror or str(error))
            continue
        is_folder = stat.S_ISDIR(status.st_mode)
        if exclusions.leaves_out(entry.path, root, folder=is_folder):
            yield Excluded(entry.path)
        elif within and entry.is_symlink() and not inside(entry.path, within):
            if is_folder or is_media(os.fsdecode(entry.path)):
                yield Obstacle(entry.path, opening.OUTSIDE)
        elif is_folder:
            if (identity := (status.st_dev, status.st_ino)) not in entered:
                entered.add(identity)
                below.append(entry.path)
        elif stat.S_ISREG(status.st_mode):
            met = sighting(entry.path, status)
            yield met if is_media(os.fsdecode(entry.path)) else Unnamed(met)
