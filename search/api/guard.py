"""Guards: which requests are let in.

A web page can make a browser send requests to services on this machine. Two checks prevent this. The Host header must be an
address or one of our names (a rebound DNS name is neither). A request that changes something must not come from another origin.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search.api.problems import Stopped, respond
from search.api.schemas import BASE
from search.api.turns import RETRY_SECONDS
from search.errors import Problem

MAX_BODY_BYTES = 24 << 20
"""The largest body of a request that is not an upload, in bytes."""

MAX_BODIES_BYTES = 256 << 20
"""The maximum total size of the bodies of all running requests, in bytes."""

SHIELD = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY"}
"""Headers of every answer: no type guessing, no referrer to other sites (addresses hold questions), no framing."""

_COMMON = "frame-ancestors 'none'; base-uri 'self'; object-src 'none'; form-action 'self'"

API_POLICY = f"default-src 'none'; {_COMMON}"

PAGE_POLICY = (
    "default-src 'self'; script-src 'self' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:;"
    f" font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; {_COMMON}"
)
"""Only known inline scripts, and nothing from other sites. Streamlit writes styles into the page, and loads component modules as
blobs."""

DOCS_POLICY = (
    f"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; {_COMMON}"
)
"""Swagger is started by an inline script."""

ANY_HOST_PATHS = ("/livez", "/readyz")
"""Paths that are answered under any host name: probes use whatever name their machine knows, and these paths reveal nothing else."""

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class Guard:
    """Middleware: rejects requests with foreign host names or from foreign origins."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        """``hosts`` are additional allowed names, besides addresses and localhost."""
        self._app = app
        self._hosts = {host.strip().lower().rstrip(".") for host in hosts if host.strip()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let allowed requests through."""
        if scope["type"] in ("http", "websocket"):
            problem = self._objection(scope)
            if problem and scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            if problem:
                await respond(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _objection(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if scope["path"] in ANY_HOST_PATHS and scope.get("method") in _SAFE_METHODS:
            return None
        if not self._ours(host):
            return Problem(
                421, "foreign-host", "This service is not called that", "The Host header names another service.",
                remedy="Call it by its address or as localhost, or add the name to the setting hosts."
                " Behind a proxy, let it pass on the name that it was called by (nginx: proxy_set_header Host $http_host).",
            )  # fmt: skip
        unsafe = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        origin = headers.get("origin")
        foreign = (origin is not None and urlsplit(origin).netloc.lower() != host.lower()) or (
            origin is None and headers.get("sec-fetch-site") == "cross-site"
        )
        if unsafe and foreign:
            return Problem(
                403, "foreign-origin", "Another site sent this", "The request comes from another origin.",
                remedy="Send it from the service's own page, or from a program. Behind a proxy, let it pass on the name that it was called by"
                " (nginx: proxy_set_header Host $http_host), and add that name to the setting hosts.",
            )  # fmt: skip
        return None

    def _ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if name == "localhost" or name.endswith(".localhost") or name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


class Shielded:
    """Middleware: adds security headers to every answer that does not set them itself."""

    def __init__(self, app: ASGIApp, scripts: Iterable[str] = ()) -> None:
        """``scripts`` are the texts of the page's inline scripts, the only ones that are allowed."""
        self._app = app
        hashes = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts]
        allowed = " ".join(["script-src 'self' blob:", *(f"'sha256-{one}'" for one in hashes)])
        self._page_policy = PAGE_POLICY.replace("script-src 'self' blob:", allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request and add headers to the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        policy = DOCS_POLICY if path.startswith(f"{BASE}/docs") else API_POLICY if path.startswith(BASE) else self._page_policy

        async def shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in (*SHIELD.items(), ("Content-Security-Policy", policy)):
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, shielded)


class Bounded:
    """Middleware: limits the size of request bodies, each and in total. Uploads are exempt; they are counted where they are
    written."""

    def __init__(self, app: ASGIApp, *, unbounded: str) -> None:
        """``unbounded`` is the path whose bodies are exempt."""
        self._app, self._unbounded = app, unbounded
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request. A body that gets too large is answered with 413; with too many at a time, with 429."""
        if scope["type"] != "http" or scope["method"] in _SAFE_METHODS or scope["path"] == self._unbounded:
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isascii() and announced.isdigit() and int(announced[:20]) > MAX_BODY_BYTES:
            await respond(_TOO_LARGE)(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            more = len(message.get("body", b""))
            if size + more > MAX_BODY_BYTES:
                raise Stopped(_TOO_LARGE)
            if self._held + more > MAX_BODIES_BYTES:
                raise Stopped(_TOO_MANY)
            size += more
            self._held += more
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            self._held -= size


_TOO_LARGE = Problem(
    413, "too-large", "The request is too large", f"A request has at most {MAX_BODY_BYTES >> 20} MB.",
    remedy="Send media to POST /v1/uploads, and search with the id that it answers.",
)  # fmt: skip

_TOO_MANY = Problem(
    429, "busy", "The service is busy", f"Requests that are being read take {MAX_BODIES_BYTES >> 20} MB already.",
    remedy="Ask again in a few seconds, or send media to POST /v1/uploads.", retry_after=str(RETRY_SECONDS),
)  # fmt: skip
