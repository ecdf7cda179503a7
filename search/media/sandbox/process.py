"""One decoding process, from the parent's side: start, requests, time limits, kill."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import search
from search.errors import MediaError
from search.media.decode.geometry import unpadded
from search.media.metadata import positions
from search.media.opening import Held, head, opened
from search.media.sandbox import protocol
from search.media.sandbox.slots import SLOT_BYTES, Slots
from search.media.sandbox.wall_limit import PATIENCE, WallLimit
from search.media.sniff import HEAD_BYTES, sensed, sniff
from search.media.source import picture_formats
from search.settings import Settings
from search.types import Cut, Gap, Info, Mask, MaskPrompt, Modality, Needs, Patch, Picture, ProvenanceReport

_CHUNK_BYTES = 1 << 16
"""What is read of the socket at once, in bytes."""
_TAIL_BYTES = 4096
"""How much of the decoder's standard error is kept, in bytes."""
_POLL_SECONDS = 0.05
"""How long a decoder whose reader has gone may finish its request, in seconds."""
_DYING_SECONDS = 2.0
"""How long a decoder that closed its socket may take to die, in seconds: writing its last message takes a moment."""
_PATIENT_READS = 16
"""How often standard error is read at a time, since a decoder might never stop writing to it."""
_SPARE_SECONDS = 2
"""Processor seconds of a decoder in addition to those of its file, and while it is idle."""
_MOST, _MOST_GAPS = 1_000_000, 10_000
"""The maximum number of replies to one request, and of gaps among them: no real file gives more."""
_LASTING = (Modality.AUDIO, Modality.VIDEO)
"""Modalities whose length is certain only after decoding."""
_NOTHING = Needs(0, "crop", 0, 0, 0)
_CHILD = "search.media.sandbox.child"
"""The module that a decoder runs."""

_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(64 << 20), "MALLOC_TRIM_THRESHOLD_": str(128 << 20)}
"""Has glibc keep the memory of one picture for the next, in bytes.

Mapping it anew each time cost a tenth of the decoding.
"""

_PASSED = (
    "PATH",
    "LANG",
    "LC_",
    "LD_LIBRARY_PATH",
    "DYLD_",
    "TMPDIR",
    "PYTHON",
    "MALLOC_",
    "OMP_",
    "OPENBLAS_",
    "MKL_",
    "NUMEXPR_",
)
"""Prefixes of the environment variables that a decoder gets."""


def limits_of(settings: Settings) -> dict[str, Any]:
    """What a decoder is told of its limits with each file."""
    return {
        "max_pixels": settings.max_pixels, "max_frames": settings.max_frames, "max_pages": settings.max_pages,
        "formats": picture_formats(settings.image_formats), "seconds": settings.decode_seconds,
    }  # fmt: skip


class Process:
    """A decoding process. Not thread-safe: the thread that borrows it owns it."""

    def __init__(self, settings: Settings, *, masks: bool = False) -> None:
        """Start the process without waiting for it. ``masks``: it can be asked for masks, which takes OpenCV."""
        self._settings = settings
        self._limits = limits_of(settings)
        self._seconds = settings.decode_seconds
        self._control, theirs = socket.socketpair()
        self._slots = Slots.create()
        arguments = (
            settings.decode_memory,
            self._slots.memory,
            self._slots.free,
            int("heic" in self._limits["formats"]),
            settings.trust_anchors,
            int(masks),
        )
        with theirs:
            self._popen = self._start(arguments, theirs.fileno(), (self._slots.memory, self._slots.free))
        self._complaints = self._popen.stderr.fileno() if self._popen.stderr else -1
        os.set_blocking(self._complaints, False)
        self._control.setblocking(False)
        self._poller = select.poll()
        self._poller.register(self._control, select.POLLIN)
        self._heard = bytearray()
        self._tail = b""
        self._busy = False
        self._needs = _NOTHING
        self._begun = 0.0
        self.served = 0

    def _start(self, arguments: Sequence[int | str], control: int, passed: Sequence[int]) -> subprocess.Popen[bytes]:
        """Start the decoder. It gets the descriptors ``control``, as its standard input, and ``passed``."""
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", _CHILD, *map(str, arguments)],
            stdin=control,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=sparse(environment()),
            pass_fds=passed,
            process_group=0,
        )

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._popen.poll() is None

    def ask(
        self, path: Path | Held, wanted: Needs | protocol.Task, within: Sequence[bytes] = (), beside: Path | None = None,
        prompt: MaskPrompt | None = None,
    ) -> None:  # fmt: skip
        """Open a file, unless it is, and pass it to the decoder, which cannot open files itself. For ``within`` see ``opened``.
        ``beside`` is a file that comes along, if it is there; ``prompt`` points at what a mask is wanted of.

        Raises:
            MediaError: the file cannot be opened, or has no content to decode; ``killed``, the process died while it was idle.
        """
        self._needs = wanted if isinstance(wanted, Needs) else _NOTHING
        name = os.fspath(path.path if isinstance(path, Held) else path)
        suffix = os.path.splitext(name)[1].lower()
        with contextlib.ExitStack() as stack:
            files = [file := stack.enter_context(opened(path, within))]
            if beside is not None:
                with contextlib.suppress(MediaError):
                    files.append(stack.enter_context(opened(beside, within)))
            modality = sniff(head(file, HEAD_BYTES), suffix, sensed(name))
            streams = modality in (Modality.AUDIO, Modality.VIDEO)
            memory = self._settings.decode_memory if streams else min(self._settings.image_memory, self._settings.decode_memory)
            self._bound("AS", memory)
            self._begun = self._used()
            self._allow(self._seconds, since=self._begun)
            request = protocol.pack_request(modality, suffix, wanted, self._limits | {"memory": memory}, prompt)
            self.served += 1
            self._busy = True
            try:
                socket.send_fds(self._control, [request], files)  # it fits: the socket is empty
            except OSError as error:
                raise MediaError("killed", self._epitaph()) from error

    def replies(self) -> Iterator[Info | Cut | Gap]:
        """Yield the replies to the last request until it is done: an ``Info`` first, and another one last if the duration turned
        out to be different.

        Raises:
            MediaError: the decoder's error on the file; or ``too_slow``, ``killed``, and this process is dead.
        """
        clock, gaps, told, first = WallLimit(self._seconds * PATIENCE), 0, 0, None
        for _ in range(_MOST):
            reply = self._reply(clock)
            if isinstance(reply, MediaError):
                raise reply
            if reply is None:
                return
            if isinstance(reply, (Mask, Patch, ProvenanceReport)):
                break
            gaps += isinstance(reply, Gap)
            told += isinstance(reply, Info)
            if told != (1 if first is None or not isinstance(reply, Info) else 2) or gaps > _MOST_GAPS:
                break
            if isinstance(reply, Info):
                if first is not None and first.modality not in _LASTING:
                    break
                first = reply = reply if first is None else replace(first, duration_ms=reply.duration_ms)
            clock.extend(reply)
            self._allow(clock.granted / PATIENCE, since=self._begun)
            yield reply
        raise self._liar("replies without end or order")

    def patches(self) -> list[Patch]:
        """The replies to a request for positions.

        Raises:
            MediaError: as of ``replies``.
        """
        clock, found = WallLimit(self._seconds * PATIENCE), list[Patch]()
        for _ in range(positions.MAX_PATCHES + 1):
            reply = self._reply(clock)
            if isinstance(reply, MediaError):
                raise reply
            if reply is None:
                return found
            if not isinstance(reply, Patch):
                break
            found.append(reply)
        raise self._liar("replies that are no patches, or too many")

    def provenance(self) -> ProvenanceReport:
        """The reply to a request for provenance.

        Raises:
            MediaError: as of ``replies``.
        """
        clock = WallLimit(self._seconds * PATIENCE)
        report, end = self._reply(clock), None
        if isinstance(report, ProvenanceReport):
            end = self._reply(clock)
        for reply in (report, end):
            if isinstance(reply, MediaError):
                raise reply
        if isinstance(report, ProvenanceReport) and end is None:
            return report
        raise self._liar("a reply that is no provenance")

    def mask(self) -> tuple[Picture, Mask]:
        """The replies to a request for a mask: the picture (H, W, 3), without the border of a padded square, and the mask (H, W).

        Raises:
            MediaError: as of ``replies``; ``no_content``, there is no picture.
        """
        clock, info, picture, mask = WallLimit(self._seconds * PATIENCE), None, None, None
        for _ in range(_MOST_GAPS):
            reply = self._reply(clock)
            if isinstance(reply, MediaError):
                raise reply
            if reply is None:
                if picture is None or mask is None:
                    raise MediaError("no_content", "there is no picture in it")
                return picture, mask
            if isinstance(reply, Info) and info is None:
                info = reply
            elif isinstance(reply, Cut) and not isinstance(reply.content, str) and info and picture is None:
                picture = unpadded(np.asarray(reply.content[0] if reply.content.ndim == 4 else reply.content), info, self._needs)
            elif isinstance(reply, Mask) and picture is not None and mask is None and reply.pixels.shape == picture.shape[:2]:
                mask = reply
            elif not isinstance(reply, Gap):
                break
        raise self._liar("replies that are no mask")

    def settle(self) -> bool:
        """Finish the current request and return whether the process can go on. It gets a moment for this, and is then killed."""
        clock = WallLimit(_POLL_SECONDS)
        try:
            while self._busy:
                self._reply(clock)
        except MediaError:
            return False
        self._allow(0)
        return self.alive and not self._heard

    def kill(self) -> None:
        """End the process and everything it started. Safe to call repeatedly, and from another thread."""
        if self._popen.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        self._listen()

    def close(self) -> None:
        """Kill the process and release socket, pipes and memory."""
        self.kill()
        self._control.close()
        self._slots.close()
        if self._popen.stderr:
            with contextlib.suppress(OSError):
                self._popen.stderr.close()

    def _reply(self, clock: WallLimit) -> protocol.Reply:
        """The next reply.

        Raises:
            MediaError: ``too_slow``, ``killed``; the process is dead.
        """
        try:
            reply = self._read(clock)
        except protocol.MalformedError as error:
            raise self._liar(str(error)) from error
        except TimeoutError:
            self.kill()
            raise self._late() from None
        except (EOFError, OSError):
            raise self._death() from None
        if reply is None or isinstance(reply, MediaError):
            self._busy = False
            self._listen()
        return reply

    def _read(self, clock: WallLimit) -> protocol.Reply:
        length, payload_length = protocol.PREFIX.unpack(self._take(protocol.PREFIX.size, clock))
        if length > protocol.MAX_HEADER_BYTES:
            raise protocol.MalformedError("a header that is too long")
        header = protocol.unpack_header(self._take(length, clock))
        payload = protocol.room(header, payload_length, self._needs, self._settings.max_frames)
        rest = payload.data.cast("B")[:payload_length]
        while rest:
            number = self._take(1, clock)[0]
            try:
                self._slots.take(number, rest[:SLOT_BYTES])
            except ValueError as error:
                raise protocol.MalformedError(str(error)) from error
            rest = rest[SLOT_BYTES:]
        return protocol.unpack_reply(header, payload)

    def _take(self, length: int, clock: WallLimit) -> bytes:
        """The next ``length`` bytes from the socket.

        Raises:
            TimeoutError, EOFError: the decoder is too slow, or gone.
        """
        while len(self._heard) < length:
            try:
                part = self._control.recv(_CHUNK_BYTES)
            except BlockingIOError:
                if not clock.wait(self._poller):
                    raise TimeoutError from None
                continue
            if not part:
                raise EOFError
            self._heard += part
        taken = bytes(self._heard[:length])
        del self._heard[:length]
        return taken

    def _bound(self, name: str, most: int) -> None:
        """Set a soft limit of the decoder from outside. The decoder itself may not change its limits."""
        import resource

        if not hasattr(resource, "prlimit"):
            return
        kind = getattr(resource, f"RLIMIT_{name}")
        with contextlib.suppress(OSError, ValueError):  # it is dead, which will be told; or is not ours to limit any more
            _, hard = resource.prlimit(self._popen.pid, kind)
            soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.prlimit(self._popen.pid, kind, (soft, hard))

    def _used(self) -> float:
        """Seconds of processor that the decoder has taken so far."""
        with contextlib.suppress(OSError):
            return time.clock_gettime(~self._popen.pid << 3 | 2)  # of that process (clock_getcpuclockid)
        return 0.0

    def _allow(self, seconds: float, since: float | None = None) -> None:
        """Grant the decoder ``seconds`` of processor time, plus a margin, counted from its time ``since``; None: from now."""
        self._bound("CPU", int((self._used() if since is None else since) + seconds) + _SPARE_SECONDS)

    def _listen(self) -> None:
        """Read the decoder's standard error, so that the pipe never fills up and blocks it."""
        with contextlib.suppress(OSError, ValueError):
            for _ in range(_PATIENT_READS):
                self._tail = (self._tail + os.read(self._complaints, _CHUNK_BYTES))[-_TAIL_BYTES:]

    def _liar(self, what: str) -> MediaError:
        self.kill()
        return MediaError("killed", f"the decoder broke its protocol: {what}")

    def _late(self) -> MediaError:
        return MediaError(
            "too_slow",
            f"stopped at the limit of decode_seconds ({self._seconds} s of processor time, {PATIENCE} times as long by the clock)",
        )

    def _death(self) -> MediaError:
        """Why a decoder that has closed its socket died."""
        epitaph = self._epitaph()
        return self._late() if self._popen.returncode == -signal.SIGXCPU else MediaError("killed", epitaph)

    def _epitaph(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):  # one that was taken over may hang up, and live on
            self._popen.wait(_DYING_SECONDS)
        self.kill()
        code = self._popen.wait()
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


def sparse(variables: dict[str, str]) -> dict[str, str]:
    """The environment variables that a decoder needs to start. The others may hold passwords."""
    return {name: value for name, value in variables.items() if name.startswith(_PASSED)}
