"""The disposable process that decodes: reads requests from standard input, answers on what was its standard output.

Run as ``python -P -m search.media.child MEMORY`` by ``process.py``; it holds no state from one request to the next.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import stat
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO

from search.errors import MediaError
from search.media import wire
from search.media.sniff import HEAD, sniff
from search.media.source import Found, Limits, Read, Source
from search.types import Modality, Needs

_READERS = {
    Modality.IMAGE: "search.media.images",
    Modality.AUDIO: "search.media.streams",
    Modality.VIDEO: "search.media.streams",
    Modality.TEXT: "search.media.texts",
}


def main() -> None:
    """Serve until standard input ends."""
    replies = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not get between the replies
    memory = int(sys.argv[1])
    _limit(memory)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    requests = os.fdopen(os.dup(0), "rb")
    while prefix := requests.read(wire.PREFIX.size):
        length, _ = wire.PREFIX.unpack(prefix)
        request = wire.unpack_header(requests.read(length))
        limits = Limits(**request["limits"], memory=memory)
        for reply in _answer(os.fsdecode(bytes.fromhex(request["path"])), Needs(**request["needs"]), limits):
            _send(replies, wire.pack_reply(reply))


def decode(path: str, needs: Needs, limits: Limits) -> Iterator[Found]:
    """Decode one file: ``Info``, then cuts and gaps in order of time.

    Raises:
        MediaError: nothing of the file can be had.
        Exception: whatever a library raises on a file that it did not expect.
    """
    with _open(path) as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(HEAD)
        suffix = os.path.splitext(path)[1].lower()
        modality = sniff(head, suffix)
        file.seek(0)
        yield from _reader(modality)(Source(path, file, size, head, suffix), needs, limits)


def _answer(path: str, needs: Needs, limits: Limits) -> Iterator[wire.Reply]:
    """Decode, and translate every failure into the words of the ledger."""
    try:
        yield from decode(path, needs, limits)
    except MediaError as error:
        yield error
    except MemoryError:
        yield MediaError("too_large", f"needs more memory than decode_memory ({limits.memory >> 20} MiB)")
    except FileNotFoundError:
        yield MediaError("vanished", "the file is no longer there")
    except Exception as error:  # noqa: BLE001  hostile files raise anything
        yield MediaError("undecodable", f"{type(error).__name__}: {error}")
    else:
        yield None


def _open(path: str) -> BinaryIO:
    """Open a regular file; never waits, as opening a named pipe would."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise MediaError("unreadable", error.strerror or "cannot be opened") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise MediaError("unreadable", "not a regular file")
    return os.fdopen(descriptor, "rb")


def _reader(modality: Modality) -> Read:
    """The decoder of a modality, loaded when first needed. Meanwhile Python may write its cache of compiled modules."""
    with _writable():
        read: Read = importlib.import_module(_READERS[modality]).read
    return read


@contextlib.contextmanager
def _writable() -> Iterator[None]:
    try:
        import resource
    except ImportError:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _limit(memory: int) -> None:
    """Bound memory, and let nothing be written: neither files nor core dumps."""
    try:
        import resource
    except ImportError:
        return
    for name, limit in (("RLIMIT_AS", memory), ("RLIMIT_CORE", 0), ("RLIMIT_FSIZE", 0)):
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS knows RLIMIT_AS but refuses it
            resource.setrlimit(kind, (soft, hard))


def _die_with_parent() -> None:
    """Exit when the parent does, even in the middle of a file.

    A hang-up of standard input says so. PR_SET_PDEATHSIG would not do: it fires when the parent's *thread* ends.
    """
    poller = select.poll()
    poller.register(0, 0)
    poller.poll()
    os._exit(0)


def _send(descriptor: int, parts: tuple[bytes, memoryview]) -> None:
    header, payload = parts
    sent = os.writev(descriptor, (header, payload))
    if sent < len(header):
        payload = memoryview(header + bytes(payload))
        header = b""
    rest = payload[sent - len(header) :]
    while rest:
        rest = rest[os.write(descriptor, rest) :]


if __name__ == "__main__":
    main()
