"""File systems: which of them keep the numbers of their files, and whether one that was there is away."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

_UNLASTING = ("fuse", "cifs", "smb", "9p", "vfat", "exfat", "msdos", "drvfs", "vboxsf", "virtiofs", "davfs")
"""File systems that may number a file anew each time they are mounted. Beginnings of their names."""

_BITS = (1 << 63) - 1
"""What databases take of a number of 64 bits."""


def device(number: int) -> int:
    """A device's number as it is stored."""
    return number & _BITS


def inode(number: int, on: int) -> int | None:
    """A file's number as it is stored; None on a file system whose numbers do not last. ``on``: its device."""
    return None if on in _unlasting() else number & _BITS


def is_empty(root: bytes) -> bool:
    """Whether a folder is not there, or nothing is in it: as the place where a disk was mounted."""
    try:
        with os.scandir(root) as entries:
            return next(entries, None) is None
    except NotADirectoryError:
        return False
    except OSError:
        return True


def is_away(path: bytes, stored: int | None, roots: Iterable[bytes] = ()) -> bool:
    """Whether a file that is not there may well be where it was, on a file system that is not mounted.

    That is so where the root around it is gone or empty, or where its folder, or the nearest one around it that exists, lies on
    another device than ``stored``, on which the file was last met.
    """
    around = [root for root in roots if path.startswith(root.rstrip(b"/") + b"/")]
    if any(is_empty(root) for root in around):
        return True
    if stored is None:
        return False
    folder = os.path.dirname(path)
    while True:
        try:
            return device(os.stat(folder).st_dev) != stored
        except OSError:
            if folder in (b"/", b""):
                return False
            folder = os.path.dirname(folder)


@lru_cache(maxsize=1)
def _unlasting(mounts: str = "/proc/self/mountinfo") -> frozenset[int]:
    """The devices whose file systems number files anew."""
    try:
        lines = Path(mounts).read_bytes().split(b"\n")
    except OSError:
        return frozenset()
    found = set()
    for fields in (line.split(b" ") for line in lines):
        if b"-" not in fields[6:]:
            continue
        kind = fields[fields.index(b"-", 6) + 1].decode("ascii", "replace")
        major, _, minor = fields[2].partition(b":")
        if kind.startswith(_UNLASTING) and major.isdigit() and minor.isdigit():
            found.add(os.makedev(int(major), int(minor)))
    return frozenset(found)


def look_again() -> None:
    """Forget which file systems are mounted, as at the beginning of a scan."""
    _unlasting.cache_clear()
