"""What a track or a recording of motion tells over time: `sensorium motion`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Annotated

import typer

from search.errors import StoreError
from search.settings import load
from ui.commands.writing import path_of_asset
from ui.options import Home, Json, archive
from ui.terminal import echo


def motion(
    asset: Annotated[
        str, typer.Argument(metavar="ASSET", help="An asset's number or the path of a file. ./17 is a file named 17.")
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show what a track or a recording of motion tells over time.

    Features such as turning, stopped and climbing have a strength from 0 to 1, which is .5 at the amount that is told. Films that were
    taken meanwhile are told as well, where the file is in the archive.

    Examples:
      sensorium motion ride.gpx
    """
    from search.encoders.series.features import FEATURES, told
    from search.media import DecodePool
    from search.ondemand.motion_strip import strip
    from search.store import Catalogue
    from search.store.catalogue import AssetFilter
    from ui import phrasing, show

    settings = load({"home": home})
    path = path_of_asset(settings, asset)
    with DecodePool(settings, 1) as pool:
        found = strip(pool, path)
    films = []
    with suppress(StoreError):  # a file can be looked at without an archive
        catalogue = Catalogue(archive(settings))
        known = catalogue.page(AssetFilter(paths=(str(path),)), before=None, limit=1)
        films = catalogue.films_of(known[0]) if known else []
    names = {name for one in found for name in one.features}
    if as_json:
        show.emit({
            "features": {name: {"measures": one.measures, "unit": one.unit, "half": one.half} for name, one in FEATURES.items() if name in names},
            "stretches": [asdict(one) for one in found],
            "films": [{"asset": film.id, "path": film.location.path, "offset_ms": offset} for film, offset in films],
        })  # fmt: skip
        return
    for one in found:
        if strong := told(one.features):
            what = ", ".join(f"{name} {one.features[name]:.2f}" for name in strong)
            echo(f"{phrasing.clock(one.start_ms)} – {phrasing.clock(one.end_ms)}  {what}")
    for film, offset in films:
        echo(f"{film.location.path} begins at {phrasing.clock(abs(offset))}{' before it' if offset < 0 else ''}")
    amounts = (f"{name} {one.half:g} {one.unit}" for name, one in FEATURES.items() if name in names)
    echo(f"A strength of .5: {', '.join(amounts)}.", err=True)
