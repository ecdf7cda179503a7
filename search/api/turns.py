"""Turns: each kind of slow work has its own threads, so that it delays only its own kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from search.errors import Problem

T = TypeVar("T")

MAX_WAITING = 256
"""The maximum number of waiting requests of a kind."""

RETRY_SECONDS = 2
"""Seconds after which a caller that found the queue full may retry."""


class Turns:
    """One kind of work: a limited number at a time, first come, first served. Without this, dozens of threads would spend more time waiting for
    each other than working, and some far longer than others."""  # fmt: skip

    def __init__(self, what: str, at_once: int, queue: int = MAX_WAITING) -> None:
        """``what`` names the waiting work in error messages, in the plural."""
        self._what, self._queue = what, queue
        self._limiter = CapacityLimiter(at_once)

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Run the work in a thread when its turn comes.

        Raises:
            Problem: the queue is full (429, with Retry-After).
        """
        self.admit()
        return await to_thread.run_sync(work, *arguments, limiter=self._limiter)

    def admit(self) -> None:
        """Check that there is a place in the queue; raises as ``run`` does. For requests that are expensive before their turn
        comes."""
        if self._limiter.statistics().tasks_waiting >= self._queue:
            raise Problem(
                429, "busy", "The service is busy", f"{self._queue} {self._what} wait already.",
                remedy="Ask again in a few seconds, and for less at once.", retry_after=str(RETRY_SECONDS),
            )  # fmt: skip
