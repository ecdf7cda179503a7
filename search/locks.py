"""Locks between processes, on files. The system releases them when a process dies for any reason."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

from search.disk import sync


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock on a file, which is created if needed. Waits for the current holder, which may be a thread of this process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # the kernel wakes waiting processes in the order of their requests
        yield
    finally:
        os.close(descriptor)


def held(path: Path) -> bool:
    """Whether anybody holds the lock on a file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class Worker:
    """A process that takes work from the queue. It has a name, and is alive as long as it holds the lock on the file of that
    name.

    ``place`` is the common beginning of the names of this home's workers on this machine. A worker with such a name that holds no
    lock is dead, even if a power cut has removed its file.
    """

    def __init__(self, home: Path) -> None:
        """Register with a new file under ``home/workers``."""
        self._folder = home / "workers"
        self._folder.mkdir(parents=True, exist_ok=True)
        self.place = f"{hashlib.sha256(platform.node().encode()).hexdigest()[:6]}-{_identity(home)}-"
        self.name = f"{self.place}{os.getpid()}-{os.urandom(6).hex()}"
        draft = self._folder / f".{self.name}"  # renamed once it is locked; otherwise it would be taken for dead
        self._descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        draft.rename(self._folder / self.name)

    def living(self) -> set[str]:
        """The names of the living workers of this place, this one included. Files of dead ones are removed."""
        names = set()
        for path in self._folder.glob(f"{self.place}*"):
            if held(path):
                names.add(path.name)
            else:
                path.unlink(missing_ok=True)
        return names

    def close(self) -> None:
        """Stop working. Safe to call again."""
        (self._folder / self.name).unlink(missing_ok=True)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def _identity(home: Path) -> str:
    """An id that distinguishes this home from others that share its database, even after it was moved."""
    file = home / "id"
    with locked(file):
        known = file.read_text("ascii", "replace")
        if not re.fullmatch("[0-9a-f]{12}", known):  # new, or only partly written
            known = os.urandom(6).hex()
            file.write_text(known, "ascii")
            sync(file)
            sync(home)
    return known
