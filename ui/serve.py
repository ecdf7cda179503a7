"""The service in one process: the API under /v1, and the page at / where there is one."""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from indexer.jobs import SubprocessRunner
from search.api.app import create_app, guards, routes
from search.api.identity import Access
from search.api.service import Service
from search.errors import InputError
from search.settings import Settings
from search.store.tokens import Tokens
from ui.compressed import Compressed

PAGE = Path(__file__).parent / "page" / "app.py"
"""The page: a Streamlit script, mounted if it is there. It finds the API through the variable SENSORIUM_SERVICE."""

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
    with _bound(host, port) as listening:
        port = listening.getsockname()[1]
        service = Service(settings, runner=SubprocessRunner(settings))
        access = _access(service, host, tokens=tokens)
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        app = _with_page(service, access, _reachable(host, address)) if page and PAGE.exists() else create_app(service, access)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3, server_header=False)
        ready(address, (access and access.local) or "")
        uvicorn.Server(config).run(sockets=[listening])


def _access(service: Service, host: str, *, tokens: bool) -> Access | None:
    """Who may call: on loopback the holder of the home's token file, too; elsewhere those of the archive's tokens alone."""
    local, store = is_loopback(host), Tokens(service.database)
    if not tokens and local:
        return None
    if not tokens or not (local or any(not one.expired for one in store.all())):
        service.close()
        raise InputError(
            f"Anybody who can reach {host} could search this archive.",
            remedy="Make a token first: sensorium tokens add NAME. Without one the service answers this machine alone.",
        )
    return Access(store, service.settings.home, local=local)


def is_loopback(host: str) -> bool:
    """Whether only this machine can call the address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _roots(settings: Settings, given: list[Path]) -> list[str]:
    for path in given:
        if not path.is_dir():
            raise InputError(f"The root {path} is not a folder.", remedy="Check the path that --root names.")
    configured = [path for path in settings.roots.split(os.pathsep) if path]
    return [*map(str, map(Path.absolute, given)), *configured, *([str(SAMPLE)] if SAMPLE.is_dir() else [])]


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
            f"Port {port} of {host} is taken." if taken else f"{host}, port {port}, cannot be bound to: {error}.",
            remedy="Choose another one with --port; 0 takes any that is free.",
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

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:  # noqa: ANN401 - Streamlit's own app
        service.start()
        yield
        service.close()

    started: Callable[[Any], AbstractAsyncContextManager[None]] = lifespan
    middleware = [*guards(service, access, _scripts()), Middleware(Compressed)]
    app: ASGIApp = App(PAGE, lifespan=started, routes=routes(service), middleware=middleware)
    return app
