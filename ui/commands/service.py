"""Commands to begin with: `demo`, and `serve` for the page and the API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search import disk, log
from search.errors import InputError
from search.settings import load
from ui.options import Home, Json


def demo(
    keep: Annotated[Path | None, typer.Option(help="Use this folder and keep it, instead of a temporary one.")] = None,
    as_json: Json = False,
) -> None:
    """Index the sample archive and ask it sixteen questions."""
    from ui.demo import run

    run(keep, as_json=as_json)


def mcp(
    address: Annotated[str, typer.Option(help="The address of the service.")] = "http://127.0.0.1:8571",
    token: Annotated[
        str | None,
        typer.Option(envvar="SENSORIUM_TOKEN", help="A token of the service. On this machine, that of the home is used."),
    ] = None,
) -> None:
    """Give language models access to the archive: a server of the Model Context Protocol on standard input and output.

    Its tools only read. They ask a running service: start it with `sensorium serve`.

    Examples:
      sensorium mcp
      sensorium mcp --address https://media.example.org
    """
    try:
        from search.api.client import Client
        from ui.mcp_server import build
    except ModuleNotFoundError as error:
        raise InputError(f"This needs the package {error.name}.", remedy="Install it: pip install 'sensorium[mcp]'") from error

    with Client(address, token=token) as client:
        build(client).run("stdio")


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.", min=0, max=65535)] = 8571,
    root: Annotated[list[Path] | None, typer.Option(help="A folder that may be indexed over the API. May be repeated.")] = None,
    page: Annotated[bool, typer.Option(help="Serve the page and the API, or the API only.")] = True,
    tokens_: Annotated[
        bool, typer.Option("--token/--no-token", help="Require a token. Without one, every account on this machine has access.")
    ] = True,
    home: Home = None,
) -> None:
    """Serve the page at / and the API under /v1.

    Only this machine has access, unless --host says otherwise. Callers need a token.

    Examples:
      sensorium serve --root ~/Pictures
      sensorium tokens add laptop && sensorium serve --host 0.0.0.0
    """
    from ui import show

    try:
        from ui.serve import run
    except ModuleNotFoundError as error:
        raise InputError(
            f"The service needs the package {error.name}.", remedy="Install it: pip install 'sensorium[serve]'"
        ) from error

    def ready(address: str, token: str) -> None:
        opened = f"{address}/?token={token}" if token else address
        show.err.print(
            f"Sensorium serves {opened} (API: {address}/v1/docs). Press Ctrl-C to stop.", highlight=False, soft_wrap=True
        )

    settings = load({"home": home})
    log.set_up(settings.log_level, as_json=settings.log_json)
    if disk.is_read_only(settings.home):
        show.err.print("The home is read-only: searching works, indexing does not.")
    run(settings, host=host, port=port, roots=root or [], page=page, ready=ready, tokens=tokens_)
