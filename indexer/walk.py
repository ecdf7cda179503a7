"""Walking a folder: every file that may be media, with its size and time; loops, links and unreadable folders included."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from search.media import is_media
from search.store.intake import Sighting


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A path that could not be walked or read, and the operating system's word on why."""

    path: bytes
    why: str


OUTSIDE = "a link that leads out of the roots"
"""Why a file is not read: it lies elsewhere."""


def walk(root: bytes, within: Sequence[bytes] = ()) -> Iterator[Sighting | Obstacle]:
    """Every file under ``root`` that is named like media, in the order of names; a root that is a file is yielded whatever its name.

    Links are followed, each folder is entered once, so that loops end. Names that begin with a dot are passed over, as are pipes,
    sockets and devices. ``within``: real folders in which everything has to lie; a link that leads out of them is an obstacle.
    """
    if not inside(root, within):
        yield Obstacle(root, OUTSIDE)
        return
    try:
        status = os.stat(root)
    except OSError as error:
        yield Obstacle(root, error.strerror or str(error))
        return
    if stat.S_ISREG(status.st_mode):
        yield Sighting(root, status.st_size, status.st_mtime_ns)
        return
    entered = {(status.st_dev, status.st_ino)}
    folders = [root]
    while folders:
        below: list[bytes] = []
        yield from _list(folders.pop(), entered, below, within)
        folders.extend(reversed(below))


def inside(path: bytes, within: Sequence[bytes]) -> bool:
    """Whether what a path leads to lies in one of the real folders ``within``; without any, everything does."""
    real = os.path.realpath(path)
    return not within or any(real == folder or real.startswith(folder.rstrip(b"/") + b"/") for folder in within)


def _list(
    folder: bytes, entered: set[tuple[int, int]], below: list[bytes], within: Sequence[bytes]
) -> Iterator[Sighting | Obstacle]:
    try:
        with os.scandir(folder) as opened:
            entries = sorted(opened, key=lambda entry: entry.name)
    except OSError as error:
        yield Obstacle(folder, error.strerror or str(error))
        return
    for entry in entries:
        if entry.name.startswith(b"."):
            continue
        try:
            status = entry.stat()
        except OSError as error:
            nowhere = error.errno in (errno.ENOENT, errno.ELOOP)  # a link into nowhere, or to itself; else a disk that is away
            if is_media(os.fsdecode(entry.path)) or not nowhere:
                yield Obstacle(entry.path, error.strerror or str(error))
            continue
        if within and entry.is_symlink() and not inside(entry.path, within):
            if stat.S_ISDIR(status.st_mode) or is_media(os.fsdecode(entry.path)):
                yield Obstacle(entry.path, OUTSIDE)
            continue
        if stat.S_ISDIR(status.st_mode):
            if (identity := (status.st_dev, status.st_ino)) not in entered:
                entered.add(identity)
                below.append(entry.path)
        elif stat.S_ISREG(status.st_mode) and is_media(os.fsdecode(entry.path)):
            yield Sighting(entry.path, status.st_size, status.st_mtime_ns)
