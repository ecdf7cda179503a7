"""Request log: each request has an id, which answers and problems repeat, and one log line after its answer."""

from __future__ import annotations

import logging
import re
import secrets
import time
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search import log, traces
from search.api.problems import INTERNAL, respond
from search.api.schemas import BASE

ID = "X-Request-Id"
"""The header with the request id, in requests that bring one and in every answer."""

PROBES = ("/livez", "/readyz", "/metrics")

_KEY = "sensorium.request"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Request:
    """A request being answered. ``route``: the template of its path, so that no id or name is logged."""

    route: str
    status: int = 0


class Logged:
    """Middleware: gives each request an id and writes a log line after the answer: method, route, status, milliseconds. Paths and
    queries are never logged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request. An unhandled error is logged once and answered as a problem."""
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
        traced = (
            traces.span("request", traces.told(Headers(scope=scope)), **{"request.id": id_})
            if path.startswith(BASE)
            else traces.OFF
        )
        try:
            with traced as one:
                try:
                    await self._app(scope, receive, noted)
                finally:
                    one.note(
                        **{
                            "http.request.method": scope["method"][:10],
                            "http.route": told.route,
                            "http.response.status_code": told.status,
                        }
                    )
        except Exception:  # noqa: BLE001 - the server would only log it a second time
            _log.exception("%s %s failed", scope["method"], told.route)
            if not told.status:
                await respond(INTERNAL)(scope, receive, noted)
        finally:
            _write(scope["method"], told, time.perf_counter() - began)
            log.request_id.reset(token)


def name_route(scope: Scope, route: str) -> None:
    """Record the route template that answered a request."""
    if isinstance(told := scope.get(_KEY), _Request):
        told.route = route


def _write(method: str, request: _Request, seconds: float) -> None:
    level = logging.DEBUG if request.route in PROBES else logging.INFO
    told = {"method": method[:10], "route": request.route, "status": request.status, "ms": round(seconds * 1000, 1)}
    _log.log(level, "%s %s %s %s ms", *told.values(), extra={"told": told})
