"""`sensorium db`: the tables, the index made from them, and files that are gone."""

from __future__ import annotations

from typing import Annotated

import typer

from search.settings import load
from ui.options import Home, Json, archive
from ui.terminal import echo

db = typer.Typer(help="The database and the index made from it.", no_args_is_help=True)


@db.command()
def upgrade(home: Home = None) -> None:
    """Bring the database's tables up to date."""
    from search.store import Database, Spaces

    database = Database(load({"home": home}).database)
    database.upgrade()
    if again := Spaces(database).renew():
        echo(f"{again} files have sound that is embedded again by the next `sensorium index`.", err=True)
    echo(f"The database has revision {database.revision()}.")
    database.close()


@db.command()
def rebuild(home: Home = None) -> None:
    """Write the index again from the database. Nothing is embedded."""
    from indexer.run import rebuild as run

    settings = load({"home": home})
    archive(settings).close()
    for space, count in run(settings).items():
        echo(f"{space}: {count} segments.")


@db.command()
def prune(
    collection: Annotated[str | None, typer.Option(help="Only of this collection.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Forget files too whose folder or disk is away.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Forget files that were missing at the last scan, and what was known of them."""
    from indexer.run import prune as run
    from ui import show

    settings = load({"home": home})
    archive(settings).close()
    files, assets = run(settings, collection, away=yes)
    if as_json:
        show.emit({"files": files, "assets": assets})
    else:
        echo(f"{files} missing files forgotten, {assets} assets removed.")
