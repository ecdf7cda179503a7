"""The door: who may call.

A page on the web can send a browser to this machine's own services. Two checks keep it out: the Host header must name an
address or a name that is ours (a rebound DNS name is neither), and a request that changes something must not come from
another origin.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from search.api.problems import respond
from search.errors import Problem

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class Guard:
    """Middleware: refuses calls under foreign names and from foreign origins."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        """``hosts`` are further names, besides addresses and localhost."""
        self._app = app
        self._hosts = {host.strip().lower() for host in hosts if host.strip()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
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
        if not self._ours(host):
            return Problem(
                421, "foreign-host", "This service is not called that", "The Host header names another service.",
                remedy="Call it by its address or as localhost, or add the name to the setting hosts.",
            )  # fmt: skip
        unsafe = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        origin = headers.get("origin")
        foreign = (origin is not None and urlsplit(origin).netloc.lower() != host.lower()) or (
            origin is None and headers.get("sec-fetch-site") == "cross-site"
        )
        if unsafe and foreign:
            return Problem(
                403, "foreign-origin", "Another site sent this", "The request comes from another origin.",
                remedy="Send it from the service's own page, or from a program.",
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
