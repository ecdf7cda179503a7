"""Decoding processes that outlive their pool: a run of the tests starts a few of them instead of some for every test.

A decoder holds no state from one file to the next, and a pool hands one on after each file; here one pool hands it on to the next. Tests of
the pool, of confinement and of what a decoder does at its end start their own (``fresh_decoders``).
"""

from __future__ import annotations

import threading
from collections import defaultdict

from search.media.sandbox import pool, process
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

    def __call__(self, settings: Settings) -> Kept:
        """A decoder, a used one if there is one of the kind: what it was started with is the same."""
        kind = (process._CHILD, settings.decode_memory, "heic" in process.picture_formats(settings.image_formats))
        while True:
            with self._lock:
                kept = self._idle[kind].pop() if self._idle[kind] else None
            if kept is None:
                kept = Kept(settings)
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


STOCK = Stock()
REAL = pool.Process
