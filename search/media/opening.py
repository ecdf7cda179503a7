"""Opening files of an archive safely."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from search.errors import MediaError


@dataclass(frozen=True, slots=True)
class Held:
    """A file that is open already, read from its start: what was checked is what is read. ``path`` tells its name and suffix
    alone."""

    path: Path
    descriptor: int

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name


OUTSIDE = "a link that leads out of the roots"

FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
"""How files are opened: never waiting, as for a named pipe."""


def leads_out(file: int, path: Path, within: Sequence[bytes]) -> bool:
    """Whether an opened file lies in none of the real folders ``within``, wherever the name ``path`` leads by now. Without folders,
    none does."""
    if not within:
        return False
    try:
        real = os.fsencode(os.readlink(f"/proc/self/fd/{file}"))
    except OSError:  # not every system tells it
        real = os.fsencode(os.path.realpath(path))
    return not any(real == folder or real.startswith(folder.rstrip(b"/") + b"/") for folder in within)


@contextlib.contextmanager
def opened(path: Path | Held, within: Sequence[bytes] = ()) -> Iterator[int]:
    """The descriptor of a regular file, which must lie in one of the real folders ``within`` if there are any.

    Raises:
        MediaError: ``vanished``, ``unreadable``.
    """
    if isinstance(path, Held):
        os.lseek(path.descriptor, 0, os.SEEK_SET)
        yield path.descriptor
        return
    try:
        descriptor = os.open(path, FLAGS)
    except FileNotFoundError as error:
        raise MediaError("vanished", "the file is no longer there") from error
    except (OSError, ValueError) as error:
        raise MediaError("unreadable", getattr(error, "strerror", None) or "cannot be opened") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise MediaError("unreadable", "not a regular file")
        if leads_out(descriptor, path, within):
            raise MediaError("unreadable", OUTSIDE)
        yield descriptor
    finally:
        os.close(descriptor)


def head(file: int, length: int) -> bytes:
    """The first bytes of an opened file. Its read position does not change.

    Raises:
        MediaError: ``unreadable``, as on a failing disk.
    """
    try:
        return os.pread(file, length, 0)
    except OSError as error:
        raise MediaError("unreadable", error.strerror or "cannot be read") from error
