"""What models write on demand: answers about an asset, and translations. Always told as written by a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from search.errors import InputError
from search.settings import Settings, load
from ui.options import Home, Json

Segment = Annotated[int | None, typer.Option(help="A segment's text, by its number in the hits of a search.")]


def ask(
    asset: Annotated[
        str, typer.Argument(metavar="ASSET", help="An asset's number, or the path of a file; ./17 is a file named 17.")
    ],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="A question, in quotes.")],
    at: Annotated[float | None, typer.Option(help="About the frame of a video at this time, in seconds.", min=0)] = None,
    captioner: Annotated[str | None, typer.Option(help="The model to ask, instead of the one of the settings.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Ask a model about a picture or a video. What it answers is its own writing, and may be wrong."""
    from search.media import DecodePool
    from search.models import Models
    from search.query import ask as asking
    from ui import show

    settings = load({"home": home, "captioner": captioner})
    path = _path(settings, asset)
    writer = asking.load(settings.captioner, Models.of(settings), settings.device)
    with DecodePool(settings, 1) as pool:
        found = asking.ask(writer, pool, path, question, at_ms=None if at is None else round(at * 1000))
    if as_json:
        show.emit({
            "answer": found.text, "written_by": found.model, "confidence": round(found.confidence, 4), "frames_ms": list(found.frames)
        })  # fmt: skip
    else:
        told = f"{found.model} answers (written by a model, may be wrong): {found.text}"
        show.out.print(told, highlight=False, markup=False, soft_wrap=True)


def _path(settings: Settings, asset: str) -> Path:
    """The file of an asset that is stated by its number, or by the file itself."""
    if not asset.isascii() or not asset.isdigit():
        return Path(asset).absolute()
    found = _catalogue(settings).assets([int(asset)] if len(asset) < 19 else []).get(int(asset))
    if found is None:
        raise InputError(
            f"There is no asset {asset}.", remedy=f"Take its number from a search; a file of that name is ./{asset}."
        )
    return Path(found.location.path)


def _catalogue(settings: Settings) -> Any:  # noqa: ANN401 - the store is imported late
    from search.errors import StoreError
    from search.store import Catalogue, Database

    database = Database(settings.database)
    if not database.exists():
        raise StoreError(f"There is no archive in {settings.home}.", remedy="Run `sensorium index PATH` first.")
    database.check()
    return Catalogue(database)
