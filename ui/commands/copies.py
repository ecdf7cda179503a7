"""Commands about copies of files: `duplicates` and `reuse`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape

from search.errors import InputError, UnknownName
from search.settings import Settings, load
from search.types import Filter
from ui import phrasing
from ui.commands.narrowing import narrowed
from ui.options import Home, Json, archive, paths_under
from ui.terminal import echo

Where = Annotated[
    list[str] | None, typer.Option(metavar="FILTER", help="Only files with this value of `sensorium facets`. May be repeated.")
]


def duplicates(
    where: Where = None,
    read: Annotated[
        bool, typer.Option("--read", help="First decode the files that were indexed before copies were looked for.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """List files that are copies of each other, also scaled, mirrored, cropped a little, or encoded anew, and what deleting them would free.

    Nothing is deleted. The first file of each group is the one to keep: most pixels, then most bytes.

    Examples:
      sensorium duplicates
      sensorium duplicates --where in:image --where date:2024
    """
    from search.query import Engine
    from ui import show

    settings = load({"home": home})
    with Engine(settings) as engine:
        if read:
            _read(settings, engine)
        found = engine.duplicates(narrowed(engine, Filter(), where or ()))
        assets = engine.catalogue.assets([one for group in found.groups for one in group])
    told = [_group([assets[one] for one in group if one in assets]) for group in found.groups]
    told = [one for one in told if len(one["files"]) > 1]
    frees = sum(one["frees"] for one in told)
    if as_json:
        show.emit({"groups": told, "frees": frees, "without": found.without})
        return
    for one in told:
        first, *others = one["files"]
        echo(f"{show.name(first['path'])}  {phrasing.size(first['bytes'])}")
        for file in others:
            echo(f"  {show.name(file['path'])}  {phrasing.size(file['bytes'])}")
    files = sum(len(one["files"]) - 1 for one in told)
    show.err.print(
        f"{phrasing.count(files, 'file')} could go, which frees {phrasing.size(frees)}." if told else "No copies were found.",
        highlight=False,
    )
    if found.without:
        show.err.print(
            f"Not compared, since they were indexed before copies were looked for: {found.without:,} pictures and shots. --read reads them.",
            highlight=False,
        )  # fmt: skip


def _read(settings: Settings, engine: Any) -> None:  # noqa: ANN401 - the engine is imported late
    from indexer.fingerprint_older import fingerprint_older
    from search.media import DecodePool
    from search.store.fingerprint_rows import FingerprintRows
    from ui import show

    with DecodePool(settings, 1) as pool:
        count = fingerprint_older(FingerprintRows(archive(settings)), pool, engine.searcher().encoder.needs)
    show.err.print(f"[dim]{phrasing.count(count, 'file')} read again[/]", highlight=False)


def _group(some: list[Any]) -> dict[str, Any]:
    """The files of some assets that are copies of each other, the one to keep first."""
    files = [
        {"asset": one.id, "path": place.path, "bytes": one.size, "width": one.width, "height": one.height}
        for one in some
        for place in one.locations
        if place.state == "present"
    ]
    return {"files": files, "frees": sum(one["bytes"] for one in files[1:])}


def reuse(
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="A film or a sound: its number in a hit's JSON, or its path.")],
    where: Where = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Say which stretches of a film or a sound other files have as well, with the times in both.

    Mirrored, cropped a little, between bars, encoded anew or 4 % faster, pictures are recognised. Sound is at its own speed. Stretches
    under three seconds are not reported.

    Examples:
      sensorium reuse ~/Videos/trailer.mp4
      sensorium reuse 17 --json
    """
    from search.query import Engine
    from ui import show

    with Engine(load({"home": home})) as engine:
        number = _asset(engine, asset)
        found = engine.reuse(number, narrowed(engine, Filter(), where or ()))
        assets = engine.catalogue.assets(sorted({number, *(one.asset for one in found)}))
    if as_json:
        show.emit(
            {
                "asset": number,
                "used": [asdict(one) | {"path": assets[one.asset].location.path} for one in found if one.asset in assets],
            }
        )
        return
    rows = [
        (
            show.span(one.span), f"[cyan]{one.channel}[/]{' mirrored' if one.mirrored else ''}", f"[bold]{escape(show.name(assets[one.asset].location.path))}[/]",
            show.span(one.other), f"[dim]{one.closeness:.0%}[/]",
        )
        for one in found
        if one.asset in assets
    ]  # fmt: skip
    if not rows:
        show.err.print("No other file has a stretch of it.")
        return
    show.lines(show.columns(rows, ("here", "", "file", "there", "alike")))


def _asset(engine: Any, given: str) -> int:  # noqa: ANN401 - the engine is imported late
    """The asset that a number or a path names."""
    from pathlib import Path

    from search.store.catalogue import AssetFilter

    if given.isdecimal():
        if not engine.catalogue.assets([int(given)]):
            raise UnknownName("asset", given, ())
        return int(given)
    found = engine.catalogue.page(AssetFilter(paths=paths_under(engine.store, [Path(given)])), before=None, limit=1)
    if not found:
        raise InputError(f"The archive holds no file {given}.", remedy="Index it first: sensorium index PATH")
    return int(found[0].id)
