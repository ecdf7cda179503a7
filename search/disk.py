"""Durable and private writes: syncing, atomic replacement, permissions, and whether the disk is full."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

HOME = ("id", "workers", "index", "cache", "objects", "uploads", "models", "deleting", "token", "calibration", "towers", "maps")
"""Files and folders of a home besides its database."""

DATABASE = "sensorium.db"
"""How the names of the database's files begin."""


def sync(path: Path) -> None:
    """Make a file's content, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace(file: Path, content: bytes) -> None:
    """Write a file atomically: after a kill or a power cut it has either the old or the new content."""
    new = file.with_name(f".{file.name}.new")
    with new.open("wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    new.replace(file)
    sync(file.parent)


def make_private(home: Path) -> None:
    """Create a home that only its owner may enter. For an existing home, remove the permissions of others.

    Raises:
        OSError: it cannot be made.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    protect(home)


def protect(home: Path) -> None:
    """Remove the permissions of others in a home: folders become 0700, files 0600. A folder that also holds other things keeps
    its mode."""
    for path in exposed(home):
        with suppress(OSError):  # another user's, or a file system without modes
            path.chmod(0o700 if path.is_dir() else 0o600)


def exposed(home: Path) -> list[Path]:
    """Files and folders of a home that others may read or enter."""
    return [path for path in _own(home) if _mode(path) & 0o077]


def _own(home: Path) -> Iterator[Path]:
    try:
        names = os.listdir(home)
    except OSError:
        return
    ours = [name for name in names if name in HOME or name.startswith(DATABASE)]
    if ours and len(ours) == len(names):
        yield home
    yield from (home / name for name in ours if not (home / name).is_symlink())


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0


def is_read_only(path: Path) -> bool:
    """Whether a path can be read but not written."""
    return path.exists() and not os.access(path, os.W_OK)


def full(error: OSError) -> bool:
    """Whether an operating system error means that the disk is full."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}
