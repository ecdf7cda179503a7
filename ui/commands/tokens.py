"""`sensorium tokens`: who may call the service."""

from __future__ import annotations

import datetime
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.errors import UnknownName
from search.settings import load
from ui.options import Home, Json, archive
from ui.terminal import echo

if TYPE_CHECKING:
    from search.store.tokens import TokenEntry

app = typer.Typer(help="Tokens: who may call the service, and what they may do.", no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Who it is for.")],
    role: Annotated[str, typer.Option(help="reader: search and look; ingester: index, too; admin: everything.")] = "reader",
    collection: Annotated[
        list[str] | None, typer.Option(help="A collection that it is limited to; give it several times for several.")
    ] = None,
    days: Annotated[float, typer.Option(help="Days until it expires; 0: never.", min=0, max=36_500)] = 90,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a token. It is shown once: only its hash is stored."""
    from search.store import Database
    from search.store.tokens import Role, Tokens
    from ui import show

    known = {str(one): one for one in Role}
    if role not in known:
        raise UnknownName("role", role, known)
    with closing(Database(load({"home": home}).database)) as database:
        database.upgrade()  # a token may come before the first file
        entry, secret = Tokens(database).add(name, known[role], days=days or None, collections=collection or None)
    if as_json:
        show.emit(_told(entry) | {"token": secret})
        return
    echo(secret)
    until = f", until {_day(entry.expires_at)}" if entry.expires_at else ""
    echo(f"{entry.name} may call as {entry.role}{_limits(entry)}{until}. Keep the token: it is shown this once.", err=True)


@app.command(name="list")
def list_(home: Home = None, as_json: Json = False) -> None:
    """Show the tokens, without their secrets."""
    from search.store.tokens import Tokens
    from ui import show

    with closing(archive(load({"home": home}))) as database:
        entries = Tokens(database).all()
    for one in entries:
        if as_json:
            show.emit(_told(one) | {"expired": one.expired})
        else:
            ends = "expired" if one.expired else f"until {_day(one.expires_at)}" if one.expires_at else "no end"
            echo(f"{one.name}  {one.role}{_limits(one)}  {ends}")


@app.command()
def revoke(name: str, home: Home = None) -> None:
    """Remove a token; services refuse it within seconds."""
    from search.store.tokens import Tokens

    with closing(archive(load({"home": home}))) as database:
        Tokens(database).revoke(name)
    echo(f"{name} was revoked.")


def _told(one: TokenEntry) -> dict[str, Any]:
    within = None if one.within is None else list(one.within)
    return {"name": one.name, "role": str(one.role), "expires_at": one.expires_at, "collections": within}


def _limits(one: TokenEntry) -> str:
    return "" if one.within is None else f" within {', '.join(one.within)}"


def _day(moment_ms: int | None) -> str:
    return datetime.datetime.fromtimestamp((moment_ms or 0) / 1000, datetime.UTC).date().isoformat()
