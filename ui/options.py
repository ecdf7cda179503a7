"""What commands have in common: options, the archive that they work on, and the question before something goes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from search.errors import InputError, UnknownName
from search.settings import Settings
from ui.terminal import visible

if TYPE_CHECKING:
    from indexer.cluster import Cluster
    from search.store import Database, SqlStore

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Where state lives. Default: SENSORIUM_HOME, or the platform's data folder."),
]
Engine = Annotated[
    str, typer.Option(help="local: on this machine; ray: on the nodes of a Ray cluster.", rich_help_panel="Cluster")
]
Address = Annotated[
    str,
    typer.Option(
        help="With Ray: the head's address, such as 10.0.0.1:6379. auto: that of this machine's cluster.",
        rich_help_panel="Cluster",
    ),
]
Json = Annotated[bool, typer.Option("--json", rich_help_panel="Output", help="Print JSON instead of text.")]


Place: TypeAlias = "AbstractContextManager[Cluster | None]"
"""Where the indexer works: on a cluster, or on this machine."""

HERE: Place = nullcontext()


def place_of(settings: Settings, engine: str, address: str, nodes: int = 0) -> Place:
    """Where to work, as the options say. For ``nodes`` see ``Cluster``.

    Raises:
        UnknownName: no such engine.
        InputError: Ray is not installed.
    """
    if engine == "local":
        return HERE
    if engine != "ray":
        raise UnknownName("engine", engine, ("local", "ray"))
    try:
        from indexer.cluster import Cluster
    except ModuleNotFoundError as error:
        raise InputError(f"Ray needs the package {error.name}.", remedy="Install it: pip install 'sensorium[ray]'") from error
    return Cluster(settings, address, nodes)


def archive(settings: Settings) -> Database:
    """The database of an archive that is there, opened.

    Raises:
        StoreError: there is none, or it needs an upgrade.
        NewerDatabase: a later program wrote it.
    """
    from search.errors import StoreError
    from search.store import Database

    database = Database(settings.database)
    if not database.exists():
        raise StoreError(f"There is no archive in {settings.home}.", remedy="Run `sensorium index PATH` first.")
    database.check()
    return database


def grown(settings: Settings, collections: Sequence[str] = ()) -> Database:
    """The database, made or upgraded if need be, in which all ``collections`` exist.

    Raises:
        UnknownName: a collection that is not there.
        NewerDatabase: a later program wrote it.
    """
    from search.store import Database, SqlStore

    database = Database(settings.database)
    database.upgrade()
    for one in collections:
        SqlStore(database).collection(one)
    return database


def members(what: str, kind: type[Any], given: str | None) -> list[Any]:
    """Members of an enumeration, from a list separated by commas.

    Raises:
        UnknownName: one that it does not have.
    """
    names = [name.strip() for name in given.split(",")] if given else []
    for name in names:
        if name not in kind.__members__.values():
            raise UnknownName(what, name, kind.__members__.values())
    return [kind(name) for name in names]


def paths_under(store: SqlStore, paths: Sequence[Path] | None) -> tuple[str, ...]:
    """What paths name in the archive, however they are written."""
    from search.folders import spellings

    roots = [root for some in store.collections().values() for root in some]
    return tuple(dict.fromkeys(one for path in paths or () for one in spellings(str(path), roots)))


def confirm(verb: str, done: str, what: str, *, yes: bool) -> None:
    """Have a person confirm a removal, unless ``yes``: ``verb`` and ``done`` as in "Delete" and "deleted".

    Raises:
        InputError: it was not confirmed, or nobody can be asked.
    """
    if not yes and not (sys.stdin.isatty() and typer.confirm(visible(f"{verb} {what}?"))):
        raise InputError(f"Nothing was {done}.", remedy="Use --yes to skip the confirmation.")
