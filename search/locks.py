"""Locks between processes: on files, so that the system takes them back when a process dies, however it dies."""

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
    """Hold the lock on a file, made if it is not there; waits for whoever holds it, threads of this process included."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # the kernel wakes those who wait in the order in which they came
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
    """Somebody who takes work from the queue, under a name, and is alive as long as it holds the lock on the file of that name.

    ``place`` is what the names of this home's workers on this machine begin with: whoever is called so and holds no lock is dead,
    even where a power cut has taken its file.
    """

    def __init__(self, home: Path) -> None:
        """Begin to live, with a file of its own under ``home/workers``."""
        self._folder = home / "workers"
        self._folder.mkdir(parents=True, exist_ok=True)
        self.place = f"{hashlib.sha256(platform.node().encode()).hexdigest()[:6]}-{_identity(home)}-"
        self.name = f"{self.place}{os.getpid()}-{os.urandom(6).hex()}"
        draft = self._folder / f".{self.name}"  # under its name only once it is locked, or it would be found dead
        self._descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        draft.rename(self._folder / self.name)

    def living(self) -> set[str]:
        """The names of the workers of this place that live, this one included. What the dead have left is removed."""
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
    """What tells this home from others that share its database, wherever it is moved to."""
    file = home / "id"
    with locked(file):
        known = file.read_text("ascii", "replace")
        if not re.fullmatch("[0-9a-f]{12}", known):  # new, or cut off as it was written
            known = os.urandom(6).hex()
            file.write_text(known, "ascii")
            sync(file)
            sync(home)
    return known
