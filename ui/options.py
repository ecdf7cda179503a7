"""Options that every command has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Where state lives. Default: SENSORIUM_HOME, or the platform's data folder."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text for people.")]
