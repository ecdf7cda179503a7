"""`sensorium db`: the tables, the index made from them, and files that are gone."""

from __future__ import annotations

from typing import Annotated

import typer

from search.settings import load
from ui import phrasing
from ui.options import Home, Json, archive
from ui.terminal import echo

db = typer.Typer(help="Upgrade the database, rebuild the index, prune missing files.", no_args_is_help=True)


@db.command()
def upgrade(home: Home = None) -> None:
    """Upgrade the database to this version."""
    from search.store import Database, Spaces

    database = Database(load({"home": home}).database)
    database.upgrade()
    if again := Spaces(database).renew():
        echo(f"The next `sensorium index` embeds the sound of {phrasing.count(again, 'file')} again.", err=True)
    echo(f"The database is at revision {database.revision()}.")
    database.close()


@db.command()
def rebuild(home: Home = None) -> None:
    """Rebuild the index from the database. Nothing is embedded again."""
    from indexer.run import rebuild as run

    settings = load({"home": home})
    archive(settings).close()
    for space, count in run(settings).items():
        echo(f"{space}: {count} segments.")


@db.command()
def prune(
    collection: Annotated[str | None, typer.Option(help="Only files of this collection.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Also remove files whose folder or disk is away.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Remove files that were missing at the last scan."""
    from indexer.run import prune as run
    from ui import show

    settings = load({"home": home})
    archive(settings).close()
    files, assets = run(settings, collection, away=yes)
    if as_json:
        show.emit({"files": files, "assets": assets})
    else:
        echo(f"{phrasing.count(files, 'missing file')} and {phrasing.count(assets, 'asset')} removed.")
