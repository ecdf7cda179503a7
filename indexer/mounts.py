"""File systems: which of them have stable inode numbers, and whether one is no longer mounted."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from search.folders import is_address

_UNLASTING = ("fuse", "cifs", "smb", "9p", "vfat", "exfat", "msdos", "drvfs", "vboxsf", "virtiofs", "davfs")
"""File systems that may number a file anew each time they are mounted. Beginnings of their names."""

_BITS = (1 << 63) - 1
"""The bits of a 64-bit number that databases accept."""


def device(number: int) -> int:
    """A device number in its stored form."""
    return number & _BITS


def inode(number: int, on: int) -> int | None:
    """An inode number in its stored form; None on a file system whose numbers are not stable. ``on``: its device."""
    return None if on in _unlasting() else number & _BITS


def is_empty(root: bytes) -> bool:
    """Whether a folder is absent or empty, like a mount point without its disk."""
    try:
        with os.scandir(root) as entries:
            return next(entries, None) is None
    except NotADirectoryError:
        return False
    except OSError:
        return True


def is_away(path: bytes, stored: int | None, roots: Iterable[bytes] = ()) -> bool:
    """Whether an absent file probably still exists, on a file system that is not mounted.

    That is so if the root above it is absent or empty. It is also so if the nearest existing folder above it is on another device
    than ``stored``, on which the file was last met. An object is not: its storage was asked.
    """
    if is_address(path):
        return False
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
    """The devices whose file systems do not have stable inode numbers."""
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
    """Clear the cache of mounted file systems, as at the beginning of a scan."""
    _unlasting.cache_clear()
