"""Shared memory between a decoder and its parent: slots of equal size, and a pipe with the numbers of the free ones.

The decoder takes a number from the pipe (waiting if there is none), fills that slot and reports it on the socket. The parent
copies the slot and puts its number back. So a decoder is only a few pictures ahead of its reader, and a payload of any length is
transferred without a second buffer.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile

SLOT_BYTES = 256 << 10
"""The size of a slot in bytes: a picture of 260 x 260 pixels fits."""
SLOTS = 8
"""The number of slots of a decoder: a number must fit into a byte, and all slots into a processor's cache."""


class Slots:
    """One end of the shared memory. The parent calls ``create`` and passes both descriptors on; the decoder calls ``attach``."""

    def __init__(self, memory: int, free: int, mapped: mmap.mmap, returned: int | None = None) -> None:
        """``memory``, ``free``: descriptors of the memory and of the reading end of the pipe; ``returned``: of its writing end."""
        self.memory, self.free = memory, free
        self._mapped, self._returned = mapped, returned

    @classmethod
    def create(cls) -> Slots:
        """Create memory whose size nobody can change: if it were shortened, reading would kill the reader."""
        memory = _memory()
        free, returned = os.pipe()
        os.set_blocking(returned, False)
        os.write(returned, bytes(range(SLOTS)))
        return cls(memory, free, mmap.mmap(memory, SLOT_BYTES * SLOTS), returned)

    @classmethod
    def attach(cls, memory: int, free: int) -> Slots:
        """Map what ``create`` made."""
        return cls(memory, free, mmap.mmap(memory, SLOT_BYTES * SLOTS))

    def put(self, piece: memoryview) -> bytes:
        """For the decoder: copy at most ``SLOT_BYTES`` bytes into a free slot. Returns the byte that names it.

        Raises:
            EOFError: the parent is gone.
        """
        number = os.read(self.free, 1)
        if not number:
            raise EOFError
        at = number[0] * SLOT_BYTES
        self._mapped[at : at + len(piece)] = piece
        return number

    def take(self, number: int, room: memoryview) -> None:
        """For the parent: copy a slot into ``room``, which is at most as long, and free the slot.

        Raises:
            ValueError: there is no such slot, or it was free.
        """
        if number >= SLOTS:
            raise ValueError("there is no such slot")
        at = number * SLOT_BYTES
        room[:] = memoryview(self._mapped)[at : at + len(room)]
        try:
            with contextlib.suppress(BrokenPipeError):  # who took it is dead, and will be missed elsewhere
                os.write(self._returned or 0, bytes((number,)))
        except BlockingIOError:
            raise ValueError("more slots than were given") from None

    def close(self) -> None:
        """Release everything."""
        self._mapped.close()
        for descriptor in (self.memory, self.free, self._returned):
            if descriptor is not None:
                os.close(descriptor)


def _memory() -> int:
    """Memory of the right size with a descriptor: on Linux sealed, elsewhere a file without a name."""
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile() as file:
            file.truncate(SLOT_BYTES * SLOTS)
            return os.dup(file.fileno())
    import fcntl

    memory = os.memfd_create("sensorium", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, SLOT_BYTES * SLOTS)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return memory
