"""Shutdown of a service: running requests may finish within a grace period; the rest are answered with a problem."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search.api.problems import DATABASE_RETRY_SECONDS, respond
from search.errors import Problem

_ENDING = Problem(
    503, "ending", "The service is ending", "The request could not be finished before the service ended. Nothing of it was kept.",
    remedy="Send it again in a few seconds: it may be restarting.", Retry_After=str(DATABASE_RETRY_SECONDS),
)  # fmt: skip


class Drain:
    """The state of the shutdown: ``begun`` once no new connections are accepted. Used in the event loop's thread only."""

    def __init__(self) -> None:
        self.begun = False
        self._cuts: set[asyncio.Future[None]] = set()

    def begin(self, grace: float) -> None:
        """Let running requests go on for ``grace`` seconds, then cut them."""
        self.begun = True
        asyncio.get_running_loop().call_later(grace, self._cut)

    def expect(self) -> asyncio.Future[None]:
        """A future that is done when a request that starts now must be cut. It is forgotten once it is cancelled."""
        cut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._cuts.add(cut)
        cut.add_done_callback(self._cuts.discard)
        return cut

    def _cut(self) -> None:
        for cut in [*self._cuts]:
            cut.set_result(None)


class Draining:
    """Middleware: cuts requests when the drain says so. A request without any answer yet gets a problem (503); other answers end
    where they are."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app, self._drain = app, drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request until it ends or is cut. A thread that works for a cut request is not waited for."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        cut, has_begun = self._drain.expect(), False

        async def sending(message: Message) -> None:
            nonlocal has_begun
            if not cut.done():
                has_begun = True
                await send(message)

        work: asyncio.Future[Any] = asyncio.ensure_future(self._app(scope, receive, sending))
        try:
            await asyncio.wait({work, cut}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
            elif not has_begun:
                await respond(_ENDING)(scope, receive, send)
        finally:
            cut.cancel()
            if not work.done():
                work.cancel()
                work.add_done_callback(_forget)


def _forget(work: asyncio.Future[Any]) -> None:
    """Ignore the result of a request that was cut."""
    with suppress(asyncio.CancelledError):
        work.exception()
