"""What every command has: its options, and the archive that it works on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.settings import Settings

if TYPE_CHECKING:
    from search.store import Database

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Where state lives. Default: SENSORIUM_HOME, or the platform's data folder."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text for people.")]


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
