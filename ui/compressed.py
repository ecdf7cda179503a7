"""The page's scripts and styles, compressed: each once, when it is first asked for, and kept in memory."""

from __future__ import annotations

import gzip
import threading
from typing import Any, TypeAlias

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MIN_BYTES = 1_000
"""Smaller files are sent as they are, in bytes."""

MAX_KEPT_BYTES = 64 << 20
"""What compressed files may take in memory, in bytes. Streamlit's are about three megabytes."""

_Answer: TypeAlias = tuple[dict[str, Any], bytes]
"""How an answer begins, and its body."""

_TYPES = ("text/", "application/javascript", "application/json", "image/svg+xml", "application/wasm")


class Compressed:
    """Middleware: compresses what lies under ``prefix``, which never changes while the service runs.

    Streamlit leaves these files out of its own compression, since that would begin anew at each request.
    """

    def __init__(self, app: ASGIApp, prefix: str = "/static/") -> None:
        self._app, self._prefix = app, prefix
        self._kept: dict[str, _Answer] = {}
        self._lock, self._size = threading.Lock(), 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and compress what comes back; or answer what was compressed before."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        path = scope.get("path", "")
        plain = scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or not path.startswith(self._prefix)
        if plain or not _accepts(headers.get("accept-encoding", "")) or "range" in headers or "if-none-match" in headers:
            await self._app(scope, receive, send)
            return
        answer = self._kept.get(path)
        if answer is None:
            answer = await self._whole(scope, receive)
            if _compressible(*answer):
                answer = await to_thread.run_sync(self._keep, path, *answer)
        start, body = answer
        await send(start | {"headers": [*start["headers"]]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _whole(self, scope: Scope, receive: Receive) -> _Answer:
        """What the application answers to a GET: how it begins, and its whole body."""
        start, body = dict[str, Any](), bytearray()

        async def gather(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            body.extend(message.get("body", b""))

        await self._app({**scope, "method": "GET"}, receive, gather)
        return start, bytes(body)

    def _keep(self, path: str, start: dict[str, Any], body: bytes) -> _Answer:
        packed = gzip.compress(body, 6, mtime=0)
        headers = MutableHeaders(raw=[*start["headers"]])
        headers["Content-Encoding"], headers["Content-Length"] = "gzip", str(len(packed))
        headers.add_vary_header("Accept-Encoding")
        if (tag := headers.get("etag")) and not tag.startswith("W/"):
            headers["ETag"] = f"W/{tag}"  # of the same content in other bytes
        with self._lock:
            if path not in self._kept:
                self._size += len(packed)
            if self._size > MAX_KEPT_BYTES:
                self._kept.clear()
                self._size = len(packed)
            self._kept[path] = start | {"headers": headers.raw}, packed
        return start | {"headers": headers.raw}, packed


def _compressible(start: dict[str, Any], body: bytes) -> bool:
    headers = Headers(raw=start["headers"])
    kind = headers.get("content-type", "")
    return start["status"] == 200 and len(body) >= MIN_BYTES and kind.startswith(_TYPES) and "content-encoding" not in headers


def _accepts(encodings: str) -> bool:
    """Whether gzip is among the encodings that a request takes (RFC 9110, 12.5.3)."""
    for one in encodings.split(","):
        name, _, weight = one.strip().partition(";")
        if name.strip().lower() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
