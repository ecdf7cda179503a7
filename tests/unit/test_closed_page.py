"""What stands before the page: a connection that was closed already is no failure of the service."""

from __future__ import annotations

import asyncio

import pytest
from starlette.websockets import WebSocket

from ui.serve import _OnePage


def call(app) -> None:
    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        return None

    asyncio.run(_OnePage(app)({"type": "websocket", "path": "/_stcore/stream"}, receive, send))


def test_a_page_that_is_closed_twice_leaves_no_traceback():
    closed = []

    async def app(scope, receive, send):
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        await socket.close()
        closed.append(socket)
        await socket.close()

    call(app)
    assert len(closed) == 1


def test_other_failures_of_a_connection_are_told():
    async def app(scope, receive, send):
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        call(app)
