"""The wall-clock limit for one file. It is generous, since a busy machine is not the file's fault. Processor time is limited
separately."""

from __future__ import annotations

import select
import time

from search.types import Cut, Gap, Info

_LONGEST_MS = 24 * 3600 * 1000
"""A claimed duration counts up to this limit when time is granted, in milliseconds."""
_MINUTE_MS = 60_000
PATIENCE = 10
"""Wall-clock seconds for each allowed second of processor time. They also end a decoder that only sleeps."""


class WallLimit:
    """The remaining seconds that may be spent waiting for one file.

    Only waiting counts: a slow consumer costs the file nothing.
    """

    def __init__(self, seconds: float) -> None:
        """Start with ``seconds``."""
        self._seconds = seconds
        self._left = self._quiet = self.granted = seconds
        """``granted``: seconds that the file got in all, spent or not."""
        self._paid_ms = 0

    def extend(self, reply: Info | Cut | Gap) -> None:
        """Record a reply. Sound and video get the initial seconds again for every minute of their duration.

        Between two replies, twice the seconds may pass.
        """
        end = reply.duration_ms if isinstance(reply, Info) else reply.span.end if reply.span and reply.span.unit == "ms" else None
        end = min(end or 0, _LONGEST_MS)
        if end > self._paid_ms:
            more = self._seconds * (end - self._paid_ms) / _MINUTE_MS
            self._left += more
            self.granted += more
            self._paid_ms = end
        self._quiet = 2 * self._seconds

    def wait(self, poller: select.poll) -> bool:
        """Wait until something can be read. False: the time is up."""
        begun = time.monotonic()
        ready = poller.poll(max(0.0, min(self._left, self._quiet)) * 1000)
        spent = time.monotonic() - begun
        self._left -= spent
        self._quiet -= spent
        return bool(ready)
