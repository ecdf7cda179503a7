"""Requests in the log: each has an id, which answers and problems name too, and a line when it has been answered."""

from __future__ import annotations

import logging
import re
import secrets
import time
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search import log
from search.api.problems import INTERNAL, respond

ID = "X-Request-Id"
"""The header of a request's id: of one that comes with a request, and of every answer."""

PROBES = ("/livez", "/readyz", "/metrics")

_KEY = "sensorium.request"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Request:
    """What is known of a request that is being answered. ``route``: the template of its address, so that no id or name is told."""

    route: str
    status: int = 0


class Logged:
    """Middleware: gives each request an id, and writes a line when it has been answered: method, route, status, milliseconds; never a path or a query."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on. An error that nobody has dealt with is logged once, and answered as a problem."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(ID, "")
        id_ = given if _WELL_FORMED.fullmatch(given) else secrets.token_hex(8)
        path = scope["path"]
        told = scope[_KEY] = _Request(path if path in PROBES else "page")
        began = time.perf_counter()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                told.status = message["status"]
                MutableHeaders(scope=message)[ID] = id_
            await send(message)

        token = log.request_id.set(id_)
        try:
            await self._app(scope, receive, noted)
        except Exception:  # noqa: BLE001 - the server would only log it a second time
            _log.exception("%s %s failed", scope["method"], told.route)
            if not told.status:
                await respond(INTERNAL)(scope, receive, noted)
        finally:
            _write(scope["method"], told, time.perf_counter() - began)
            log.request_id.reset(token)


def name_route(scope: Scope, route: str) -> None:
    """Say by which template a request was answered."""
    if isinstance(told := scope.get(_KEY), _Request):
        told.route = route


def _write(method: str, request: _Request, seconds: float) -> None:
    level = logging.DEBUG if request.route in PROBES else logging.INFO
    told = {"method": method[:10], "route": request.route, "status": request.status, "ms": round(seconds * 1000, 1)}
    _log.log(level, "%s %s %s %s ms", *told.values(), extra={"told": told})
