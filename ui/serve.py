"""The service in one process: the API under /v1, and the page at / where there is one."""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from indexer.job_process import SubprocessRunner
from search import disk
from search.api.app import create_app, guards, routes
from search.api.drain import Drain
from search.api.identity import Access
from search.api.problems import NOT_FOUND, respond
from search.api.schemas import BASE
from search.api.service import Service
from search.errors import DatabaseAway, InputError
from search.folders import absolute, is_address, listed
from search.settings import Settings
from search.store.tokens import Tokens
from ui.compressed import Compressed
from ui.login import OpenIdLogin

PAGE = Path(__file__).parent / "page" / "main.py"
"""The page: a Streamlit script. It finds the API through the variable SENSORIUM_SERVICE."""

LAST_SECONDS = 5
"""Seconds after the drain until what does not even take its problem is cut off."""

SAMPLE = Path(__file__).parents[1] / "data" / "sample"


def run(
    settings: Settings, *, host: str, port: int, roots: list[Path], page: bool, ready: Callable[[str, str], None], tokens: bool = True
) -> None:  # fmt: skip
    """Serve until stopped by a signal; ``ready`` takes the address, and the token to open it with (or none), once it can be called.

    Raises:
        InputError: the address cannot be bound to, a root is no folder, or others than this machine could call without a token.
        NewerDatabase: a later program wrote the database.
    """
    settings = replace(settings, roots=os.pathsep.join(_roots(settings, roots)))
    with _bound(host, port) as listening, _written_beside(settings) as beside:
        port = listening.getsockname()[1]
        service = Service(beside, runner=SubprocessRunner(settings) if beside is settings else None)
        login = OpenIdLogin.read(Path(settings.login).expanduser()) if page and settings.login else None
        access = _access(service, host, tokens=tokens, login=login)
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        app = _with_page(service, access, _reachable(host, address)) if page else create_app(service, access)
        last = settings.drain_seconds + LAST_SECONDS
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=last, server_header=False)
        ready(address, (access and access.local) or "")
        _Server(config, service.drain, settings.drain_seconds).run(sockets=[listening])


@contextmanager
def _written_beside(settings: Settings) -> Iterator[Settings]:
    """Settings whose home may be written. Of a home that may only be read, what a service writes goes into a folder that goes away in the end:
    uploads, pictures, its token. What searches read is linked there.
    """
    home = settings.home
    if not disk.is_read_only(home):
        yield settings
        return
    with TemporaryDirectory(prefix="sensorium-") as folder:
        beside = Path(folder)
        for name in ("index", "calibration"):
            if (home / name).exists():
                (beside / name).symlink_to((home / name).absolute())
        with suppress(OSError):  # so that programs which look it up in the home get in
            (beside / "token").write_bytes((home / "token").read_bytes())
        yield replace(
            settings,
            home=beside,
            models=settings.models or home / "models",
            database_url=settings.database_url or settings.database,
        )


class _Server(uvicorn.Server):
    """Ends by the drain."""

    def __init__(self, config: uvicorn.Config, drain: Drain, grace: float) -> None:
        super().__init__(config)
        self._drain, self._grace = drain, grace

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connection, and let what is in hand end."""
        self._drain.begin(self._grace)
        await super().shutdown(sockets)


_GOOD_BYE = "once a close message has been sent"
"""What Starlette says where Streamlit closes the connection of a page that was closed already."""


class _OnePage:
    """Middleware: where Streamlit answers any address that nobody serves with its page, there is nothing: a mistyped probe must not be green."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; 404 instead of the page anywhere but at the front door."""
        path = scope.get("path", "")
        if scope["type"] == "websocket":
            try:
                await self._app(scope, receive, send)
            except RuntimeError as error:
                if _GOOD_BYE not in str(error):
                    raise
            return
        if scope["type"] != "http" or path == "/" or path.startswith((f"{BASE}/", "/component/")):
            await self._app(scope, receive, send)
            return
        is_page = False

        async def sending(message: Message) -> None:
            nonlocal is_page
            if message["type"] == "http.response.start":
                is_page = Headers(raw=message["headers"]).get("content-type", "").startswith("text/html")
                if is_page:
                    await respond(NOT_FOUND)(scope, receive, send)
            if not is_page:
                await send(message)

        await self._app(scope, receive, sending)


def _access(service: Service, host: str, *, tokens: bool, login: OpenIdLogin | None) -> Access | None:
    """Who may call: on loopback the holder of the home's token file, too; elsewhere those of the archive's tokens, and who logs in."""
    local, store = is_loopback(host), Tokens(service.database)
    if not tokens and local:
        return None
    if not tokens or not (local or login or _has_any(store)):
        service.close()
        raise InputError(
            f"Anybody who can reach {host} could search this archive.",
            remedy="Make a token first: sensorium tokens add NAME. Without tokens the service answers this machine only.",
        )
    return Access(store, service.settings.home, local=local, login=login)


def _has_any(store: Tokens) -> bool:
    """Whether there is a token that holds. A database that cannot be asked yet lets nobody in."""
    try:
        return any(not one.expired for one in store.all())
    except DatabaseAway:
        return True


def is_loopback(host: str) -> bool:
    """Whether only this machine can call the address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _roots(settings: Settings, given: list[Path]) -> list[str]:
    for path in given:
        if not is_address(absolute(path)) and not path.is_dir():
            raise InputError(f"The root {path} is not a folder.", remedy="Check the path that --root names.")
    return [*map(absolute, given), *listed(settings.roots), *([str(SAMPLE)] if SAMPLE.is_dir() else [])]


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens; so that a port that is taken is told before anything loads."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)  # who calls before the server is up waits, and is not refused
    except (OSError, OverflowError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        raise InputError(
            f"Port {port} of {host} is taken." if taken else f"Port {port} of {host} cannot be opened: {error}.",
            remedy="Choose another one with --port. 0 takes any free port.",
        ) from error
    return listening


def _reachable(host: str, address: str) -> str:
    """The address for the page's own calls: a wildcard can be listened to, not called."""
    return {"0.0.0.0": address.replace(host, "127.0.0.1"), "::": address.replace("[::]", "[::1]")}.get(host, address)  # noqa: S104


def _scripts() -> list[str]:
    """The scripts that stand in Streamlit's own page."""
    import streamlit

    page = (Path(streamlit.__file__).parent / "static" / "index.html").read_text("utf-8")
    return re.findall(r"<script>(.*?)</script>", page, re.DOTALL)


def _with_page(service: Service, access: Access | None, address: str) -> ASGIApp:
    """The page with the API mounted beside it: Streamlit's own routes, behind the same guard."""
    from streamlit import config
    from streamlit.starlette import App

    from ui.page import OPTIONS

    os.environ["SENSORIUM_SERVICE"] = address
    for name, value in OPTIONS.items():
        config.set_option(name, value)
    login = access.login if access and isinstance(access.login, OpenIdLogin) else None
    if login:
        login.apply()

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:  # noqa: ANN401 - Streamlit's own app
        service.start()
        yield
        service.close()

    started: Callable[[Any], AbstractAsyncContextManager[None]] = lifespan
    middleware = [*guards(service, access, _scripts()), Middleware(Compressed), Middleware(_OnePage)]
    app: ASGIApp = App(
        PAGE, lifespan=started, routes=[*routes(service), *([login.route()] if login else [])], middleware=middleware
    )
    return app
