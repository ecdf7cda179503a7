"""One decoding process as its parent sees it: started, asked, timed, killed."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import search
from search.errors import MediaError
from search.media import wire
from search.settings import Settings
from search.types import Cut, Gap, Info, Needs

_PIPE = 1 << 20
"""What a decoder may be ahead of its reader, in bytes."""
_TAIL = 4096
"""How much of what the decoder complained is kept, in bytes."""
_LONGEST_MS = 24 * 3600 * 1000
"""A duration that a file claims buys no more time than this one would, in milliseconds."""
_MINUTE_MS = 60_000
_PATIENCE = 0.05
"""How long a decoder is heard out whose reader has gone, in seconds."""


_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(64 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}
"""Has glibc keep the memory of one picture for the next, in bytes.

Mapping it anew each time cost a tenth of the decoding.
"""


class Clock:
    """Seconds that may yet be spent waiting for one file.

    Only waiting counts: a slow consumer costs the file nothing.
    """

    def __init__(self, seconds: float) -> None:
        """Begin with ``seconds``."""
        self._seconds = seconds
        self._left = self._quiet = seconds
        self._paid_ms = 0

    def extend(self, reply: Info | Cut | Gap) -> None:
        """Take note of a reply. Sound and video get their seconds again for every minute that they last.

        Between two replies, twice the seconds may pass.
        """
        end = reply.duration_ms if isinstance(reply, Info) else reply.span.end if reply.span and reply.span.unit == "ms" else None
        end = min(end or 0, _LONGEST_MS)
        if end > self._paid_ms:
            self._left += self._seconds * (end - self._paid_ms) / _MINUTE_MS
            self._paid_ms = end
        self._quiet = 2 * self._seconds

    def wait(self, poller: select.poll) -> bool:
        """Wait until something can be read; False: time is up."""
        begun = time.monotonic()
        ready = poller.poll(max(0.0, min(self._left, self._quiet)) * 1000)
        spent = time.monotonic() - begun
        self._left -= spent
        self._quiet -= spent
        return bool(ready)


class Process:
    """A decoding process. Not thread-safe: who borrows it owns it."""

    def __init__(self, settings: Settings) -> None:
        """Start the process; it comes up while the caller goes on."""
        self._limits = {"max_pixels": settings.max_pixels, "max_frames": settings.max_frames}
        self._seconds = settings.decode_seconds
        command = [sys.executable, "-P", "-m", "search.media.child", str(settings.decode_memory)]
        self._popen = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment(),
            process_group=0,
        )
        pipes = (self._popen.stdin, self._popen.stdout, self._popen.stderr)
        self._requests, self._replies, self._complaints = (pipe.fileno() for pipe in pipes if pipe)
        for descriptor in (self._replies, self._complaints):
            os.set_blocking(descriptor, False)
        _widen(self._replies)
        self._poller = select.poll()
        self._poller.register(self._replies, select.POLLIN)
        self._tail = b""
        self._busy = False
        self._needs = Needs(0, "crop", 0, 0, 0)
        self.served = 0

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._popen.poll() is None

    def ask(self, path: Path, needs: Needs) -> None:
        """Send a request.

        Raises:
            MediaError: ``killed``, the process went away while it was idle.
        """
        self._needs = needs
        request = memoryview(wire.pack_request(os.fsencode(os.path.abspath(path)), needs, self._limits))
        self.served += 1
        self._busy = True
        try:
            while request:
                request = request[os.write(self._requests, request) :]
        except OSError as error:
            raise MediaError("killed", self._epitaph()) from error

    def replies(self) -> Iterator[Info | Cut | Gap]:
        """Yield the replies to the last request until it is done.

        Raises:
            MediaError: what the decoder says of the file; or ``too_slow``, ``killed``, and this process is dead.
        """
        clock = Clock(self._seconds)
        while reply := self._reply(clock):
            if isinstance(reply, MediaError):
                raise reply
            clock.extend(reply)
            yield reply

    def settle(self) -> bool:
        """Bring the process to rest and say whether it can go on; it is heard out for a moment, and then killed."""
        clock = Clock(_PATIENCE)
        try:
            while self._busy:
                self._reply(clock)
        except MediaError:
            return False
        return self.alive

    def kill(self) -> None:
        """End the process and whatever it started. Safe to call again, and from another thread."""
        if self._popen.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        self._listen()

    def close(self) -> None:
        """Kill, and give the pipes back."""
        self.kill()
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()

    def _reply(self, clock: Clock) -> wire.Reply:
        """The next reply.

        Raises:
            MediaError: ``too_slow``, ``killed``; the process is dead.
        """
        try:
            reply = self._read(clock)
        except wire.MalformedError as error:
            self.kill()
            raise MediaError("killed", f"the decoder broke its protocol: {error}") from error
        except TimeoutError:
            self.kill()
            raise MediaError("too_slow", f"stopped at the limit of decode_seconds ({self._seconds} s)") from None
        except EOFError:
            raise MediaError("killed", self._epitaph()) from None
        if reply is None or isinstance(reply, MediaError):
            self._busy = False
            self._listen()
        return reply

    def _read(self, clock: Clock) -> wire.Reply:
        length, payload_length = wire.PREFIX.unpack(self._take(wire.PREFIX.size, clock))
        if length > wire.MAX_HEADER:
            raise wire.MalformedError("a header that is too long")
        header = wire.unpack_header(self._take(length, clock))
        payload = wire.room(header, payload_length, self._needs, self._limits["max_frames"])
        if payload_length:
            self._fill(payload.data.cast("B"), clock)
        return wire.unpack_reply(header, payload)

    def _take(self, length: int, clock: Clock) -> bytes:
        buffer = bytearray(length)
        self._fill(memoryview(buffer), clock)
        return bytes(buffer)

    def _fill(self, rest: memoryview, clock: Clock) -> None:
        """Read exactly as much as ``rest`` holds.

        Raises:
            TimeoutError, EOFError: the decoder is too slow, or gone.
        """
        while rest:
            try:
                count = os.readv(self._replies, (rest,))
            except BlockingIOError:
                if not clock.wait(self._poller):
                    raise TimeoutError from None
                continue
            if not count:
                raise EOFError
            rest = rest[count:]

    def _listen(self) -> None:
        """Take in what was complained, so that the pipe never fills up and blocks the decoder."""
        with contextlib.suppress(OSError, ValueError):
            while heard := os.read(self._complaints, 65536):
                self._tail = (self._tail + heard)[-_TAIL:]

    def _epitaph(self) -> str:
        code = self._popen.wait()
        self._listen()
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            hint = ", perhaps out of memory" if -code in (signal.SIGKILL, signal.SIGABRT) else ""
            return f"the decoder died of {name}{hint}"
        words = self._tail.decode("utf-8", "replace").strip().splitlines()
        return f"the decoder ended with code {code}" + (f": {words[-1][:300]}" if words else "")


def environment() -> dict[str, str]:
    """The parent's environment, with this very ``search`` importable and numeric libraries kept to one thread."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(search.__file__)))
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
    return {**os.environ, **_MALLOC, **threads, "PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "ignore"}


def _widen(descriptor: int) -> None:
    """Make room in the pipe for a few pictures, where the system can (Linux)."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE)
