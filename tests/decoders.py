"""Decoding processes that need no start of the interpreter.

In the process of the tests, a decoder outlives its pool: a few are started, not some for every test. A decoder holds no state from one file
to the next, and a pool hands one on after each file; here one pool hands it on to the next. Tests of the pool, of confinement and of what a
decoder does at its end start their own (``fresh_decoders``).

Forked runs of the command line (``tests.commands``) fork their decoders as well, with everything loaded.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import traceback
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from search.media.sandbox import child, pool, process
from search.settings import Settings

KEPT = 4
"""Idle decoders that are kept of a kind."""
SERVED = 400
"""Files after which a decoder is not handed on any more."""


class Kept(process.Process):
    """A decoding process that goes back to its stock when it is closed, if it is idle and well."""

    stock: Stock
    kind: tuple[object, ...]

    def kill(self) -> None:
        if self._busy or not self.alive:
            super().kill()

    def close(self) -> None:
        if not self.stock.take_back(self):
            self.end()

    def end(self) -> None:
        """End it for good."""
        self._busy = True
        super().close()

    def reset(self, settings: Settings) -> None:
        """Serve a pool with other settings of the same kind."""
        self._settings, self._seconds = settings, settings.decode_seconds
        self._limits = process.limits_of(settings)


class Stock:
    """Takes the place of ``Process`` in ``search.media.sandbox.pool``. Thread-safe."""

    def __init__(self) -> None:
        self._lock, self._idle = threading.Lock(), defaultdict[tuple[object, ...], list[Kept]](list)

    def __call__(self, settings: Settings, *, masks: bool = False) -> Kept:
        """A decoder, a used one if there is one of the kind: what it was started with is the same."""
        kind = (
            process._CHILD,
            settings.decode_memory,
            "heic" in process.picture_formats(settings.image_formats),
            settings.trust_anchors,
            masks,
        )
        while True:
            with self._lock:
                kept = self._idle[kind].pop() if self._idle[kind] else None
            if kept is None:
                kept = Kept(settings, masks=masks)
                kept.stock, kept.kind = self, kind
                return kept
            if kept.alive:
                kept.reset(settings)
                return kept
            kept.end()

    def take_back(self, decoder: Kept) -> bool:
        """Keep a decoder for the next pool; False: it is spent, or there are enough."""
        with self._lock:
            well = not decoder._busy and decoder.settle() and decoder.served < SERVED
            if room := well and len(self._idle[decoder.kind]) < KEPT:
                self._idle[decoder.kind].append(decoder)
            return room

    def close(self) -> None:
        """End all that are idle."""
        with self._lock:
            idle, self._idle = [one for some in self._idle.values() for one in some], defaultdict(list)
        for decoder in idle:
            decoder.end()


FRESH = 340 << 20
"""The address space of a decoder that was started afresh, in bytes."""


class Forked(process.Process):
    """A decoding process that is forked from this one, after ``fork``. It is confined as any other, and has the same room for its file."""

    def _start(self, arguments: Sequence[int | str], control: int, passed: Sequence[int]) -> subprocess.Popen[bytes]:
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        self._more = max(0, mapped - FRESH)
        told = [int(arguments[0]) + self._more, *arguments[1:]]
        return subprocess.Popen(
            ["decoder"], stdin=control, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, bufsize=0, process_group=0,
            restore_signals=False, preexec_fn=lambda: _decode(told, passed),
        )  # fmt: skip

    def _bound(self, name: str, most: int) -> None:
        super()._bound(name, most + self._more if name == "AS" else most)


def _decode(arguments: Sequence[int | str], passed: Sequence[int]) -> None:
    """Be a decoder to the end, instead of a program that is executed. The descriptors up to 2 are set."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        kept = sorted(passed)
        for first, last in zip([2, *kept], [*kept, os.sysconf("SC_OPEN_MAX")], strict=True):
            os.closerange(first + 1, last)
        for name in [*os.environ]:
            del os.environ[name]
        sys.argv = [child.__file__, *map(str, arguments)]
        child.main()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def fork() -> None:
    """Have the pools of this process and of its forks fork their decoders, from what is loaded now."""
    child._load(heif=False, anchors="")
    pool.Process = Forked


STOCK = Stock()
REAL = pool.Process
