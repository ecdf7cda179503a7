"""Locks between processes: on files, so that the system takes them back when a process dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path


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
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class Worker:
    """Somebody who takes work from the queue, under a name, and is alive as long as it holds the lock on the file of that name."""

    def __init__(self, home: Path) -> None:
        """Begin to live, with a file of its own under ``home/workers``."""
        folder = home / "workers"
        folder.mkdir(parents=True, exist_ok=True)
        self.name = f"{place(home)}-{os.getpid()}-{os.urandom(6).hex()}"
        self._path = folder / self.name
        draft = folder / f".{self.name}"  # under its name only once it is locked, or it would be found dead
        self._descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        draft.rename(self._path)

    def close(self, *, clean: bool) -> None:
        """Stop working. Unless ``clean``, the file stays: what may still be leased is taken back as a dead worker's."""
        if clean:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def place(home: Path) -> str:
    """What the names of workers of this machine and home begin with. A power cut may take their files, and leave their leases."""
    machine = Path("/etc/machine-id")
    known = machine.read_text() if machine.exists() else ""
    return hashlib.sha256(f"{platform.node()} {known} {home.absolute()}".encode("utf-8", "surrogateescape")).hexdigest()[:12]


def alive(home: Path) -> set[str]:
    """The names of workers of this machine that live."""
    return {path.name for path in (home / "workers").glob("[!.]*") if held(path)}


def dead(home: Path) -> list[str]:
    """The names of workers of this machine that died. They stay on the list until ``bury``."""
    paths = list((home / "workers").glob("[!.]*"))
    return [path.name for path in paths if not held(path) and path.exists()]  # one may just have ended by itself


def bury(home: Path, names: list[str]) -> None:
    """Forget dead workers, once their work was taken back."""
    for name in names:
        (home / "workers" / name).unlink(missing_ok=True)
