"""The path under which a proxy publishes the service, such as ``/archive``: setting ``prefix``."""

from __future__ import annotations

from contextvars import ContextVar

from starlette.types import ASGIApp, Receive, Scope, Send

_prefix: ContextVar[str] = ContextVar("prefix", default="")


def public(path: str) -> str:
    """A path of the service as callers reach it."""
    return _prefix.get() + path


class Prefixed:
    """Middleware: takes the prefix off the path of a request, if the proxy has left it there, and puts it before the links of the answer."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request."""
        if scope["type"] in ("http", "websocket") and self._prefix:
            _prefix.set(self._prefix)
            path = scope["path"]
            if path == self._prefix or path.startswith(f"{self._prefix}/"):
                scope = {**scope, "path": path.removeprefix(self._prefix) or "/"}
                scope.pop("raw_path", None)
        await self._app(scope, receive, send)


class Rooted:
    """Middleware right before the routes of the API: by ``root_path``, its documentation knows its own address."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request."""
        prefix, path, root = _prefix.get(), scope["path"], scope.get("root_path", "")
        scope.update(path=prefix + path, root_path=prefix + root)
        try:
            await self._app(scope, receive, send)
        finally:
            scope.update(path=path, root_path=root)  # as those before it know them
