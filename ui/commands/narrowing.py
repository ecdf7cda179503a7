"""`sensorium facets`, `sensorium fields` and `sensorium things`: what an archive can be narrowed by."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from search.errors import InputError
from search.settings import load
from search.types import Filter, Modality
from ui import phrasing
from ui.options import Home, Json, archive, members, paths_under
from ui.terminal import echo

if TYPE_CHECKING:
    from search.query import Engine

fields = typer.Typer(help="Import own fields of files, to filter by.", no_args_is_help=True)
things = typer.Typer(help="Import labelled things in pictures, and list what there is.", no_args_is_help=True)

SHOWN = 12
"""Values of a facet that the terminal shows."""

SOME_UNKNOWN = 4
"""Exit code: some files of a table are not in the archive."""


def narrowed(engine: Engine, wanted: Filter, where: Sequence[str]) -> Filter:
    """A filter that options like ``size:1..10`` narrow further. Folders are as they are typed in this folder.

    Raises:
        InputError: one of them is no filter.
    """
    from search.query.narrowing import narrowed_by

    for one in where:
        key, colon, value = one.partition(":")
        if not colon:
            raise InputError(
                f"--where: {one!r} is no filter.", remedy="Write a name, a colon and a value, such as shape:portrait."
            )
        if key in ("under", "folder"):
            wanted = replace(wanted, under=(*wanted.under, *paths_under(engine.store, [Path(value)])))
        else:
            wanted = narrowed_by(wanted, key, value)
    return wanted


def facets(
    names: Annotated[list[str] | None, typer.Argument(metavar="FACETS", help="Facets to count. Default: all.")] = None,
    targets: Annotated[
        str | None, typer.Option("--in", metavar="MEDIA", help="Media to count, comma-separated: image, audio, video, text.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="FILTER", help="Only files with this value, such as shape:portrait. May be repeated."),
    ] = None,
    space: Annotated[str, typer.Option(help="Count the files that this space holds. Default: the default space.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Count files by media, date, length, size, folder, tag, own field and so on.

    Each value can be given to --where, here and in `search`. Durations are in seconds, sizes in megabytes, pixels in millions.

    Examples:
      sensorium facets
      sensorium facets date tag --in image
      sensorium facets folder --where under:~/Videos --where duration:60..300
    """
    from search.query import Engine
    from ui import show

    with Engine(load({"home": home})) as engine:
        wanted = narrowed(engine, Filter(modalities=tuple(members("modality", Modality, targets))), where or ())
        found = engine.facets(wanted, names or (), space=space)
    if as_json:
        show.emit(asdict(found))
        return
    for facet in found.facets:
        told = [f"{show.name(one.value) if facet.name == 'folder' else one.value} {one.files:,}" for one in facet.values[:SHOWN]]
        left = len(facet.values) - len(told) + facet.more
        echo(f"{facet.name:<12} {' · '.join(told)}{f' · {left:,} more' if left > 0 else ''}".rstrip())
    show.err.print(f"[dim]{phrasing.count(found.files, 'file')}, {phrasing.count(found.segments, 'segment')}[/]", highlight=False)


def contrast(
    these: Annotated[list[str], typer.Option(metavar="FILTER", help="These files, such as date:2023. May be repeated.")],
    those: Annotated[list[str], typer.Option(metavar="FILTER", help="Those files, such as date:2024. May be repeated.")],
    most: Annotated[int, typer.Option(help="Differences of each sort, for either side.")] = 10,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Say what sets some files apart: tags and words, with numbers of files, and pictures.

    Examples:
      sensorium contrast --these date:2023 --those date:2024
      sensorium contrast --these collection:harbour --those collection:fair
    """
    from search.query import Engine
    from ui import show

    with Engine(load({"home": home})) as engine:
        found = engine.contrast(narrowed(engine, Filter(), these), narrowed(engine, Filter(), those), most=most)
        pictures = engine.store.segments([*found.these_pictures, *found.those_pictures])
    if as_json:
        show.emit(asdict(found))
        return
    for title, some in (("tags", found.tags), ("words", found.words)):
        rows = [(escape(one.value), f"{one.these:,}", f"{one.those:,}", f"{one.deviations:+.1f}") for one in some]
        if rows:
            show.lines(show.columns(rows, (title, "these", "those", "deviations")))
    for side, ids in (("these", found.these_pictures), ("those", found.those_pictures)):
        shown = [(show.name(pictures[one].path), str(one)) for one in ids if one in pictures]
        if shown:
            show.lines(show.columns(shown, (f"pictures of {side}", "segment")))
    if not found.tags and not found.words and not found.these_pictures:
        show.err.print("No tag, word or picture sets them apart.")
    show.err.print(f"[dim]{phrasing.count(found.these, 'file')}, and {phrasing.count(found.those, 'file')}[/]", highlight=False)


def survey(
    make: Annotated[bool, typer.Option("--make", help="Make it, or bring it up to date, first.")] = False,
    where: Annotated[
        list[str] | None, typer.Option("--where", metavar="FILTER", help="Only files that pass, such as date:2023.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show a map of the archive: its areas, and in JSON the place of each file.

    Examples:
      sensorium map --make
      sensorium map --where in:image --json
    """
    from search.query import Engine
    from ui import show

    with Engine(load({"home": home})) as engine:
        if make:
            engine.chart(threads=os.cpu_count() or 1)
        found = engine.survey(narrowed(engine, Filter(), where or ()))
    if found is None:
        raise InputError("There is no map yet.", remedy="Make one: sensorium map --make")
    if as_json:
        columns = (found.assets, found.segments, found.media, found.places.round(4).tolist(), found.areas)
        names = ("asset", "segment", "modality", "place", "area")
        files = [
            dict(zip(names, one, strict=True))
            for one in zip(*(getattr(some, "tolist", lambda some=some: some)() for some in columns), strict=True)
        ]
        show.emit(
            {
                "space": found.space,
                "made_at": found.made_at,
                "files": found.files,
                "areas": [asdict(one) for one in found.named],
                "points": files,
            }
        )
        return
    rows = [
        (f"{one.files:,}", escape(", ".join(one.names)) or "[dim]–[/]") for one in sorted(found.named, key=lambda one: -one.files)
    ]
    show.lines(show.columns(rows, ("files", "area")))
    missing = found.files - len(found.assets)
    show.err.print(f"[dim]{phrasing.on_map(found.files, missing)}[/]", highlight=False)


@fields.command("import")
def import_fields(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="A CSV file with a column of paths, or the JSON of `exiftool -json`.")
    ],
    path_column: Annotated[
        str, typer.Option(metavar="COLUMN", help="The column that names the files. Default: SourceFile, path or file.")
    ] = "",
    column: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="Import only this column. May be repeated.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be imported, and change nothing.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Import fields of files from a table. Empty cells remove a field from a file.

    Relative paths begin at the table's folder.

    Examples:
      sensorium fields import fields.csv
      sensorium search boats --where "field.Model:Canon R5"
    """
    from indexer.own_fields import import_table
    from ui import show

    told = import_table(archive(load({"home": home})), table, path_column=path_column, columns=column or (), dry=dry_run)
    if as_json:
        show.emit(asdict(told))
    else:
        echo(f"{', '.join(told.fields)}: {'would be ' if dry_run else ''}set for {phrasing.count(told.assets, 'file')}.")
        if told.unknown:
            named = ", ".join(map(show.name, told.names))
            echo(
                f"{phrasing.count(told.unknown, 'row')} name no file of the archive: {named}{' …' if told.unknown > len(told.names) else ''}.",
                err=True,
            )
    if told.unknown:
        raise typer.Exit(SOME_UNKNOWN)


@fields.command("list")
def list_fields(home: Home = None, as_json: Json = False) -> None:
    """List the fields, and how many files have each."""
    from search.store import Fields
    from ui import show

    found = Fields(archive(load({"home": home}))).names()
    if as_json:
        show.emit(found)
        return
    for name, count in found.items():
        echo(f"{name}  {phrasing.count(count, 'file')}")
    if not found:
        show.err.print("No fields yet. `sensorium fields import TABLE` imports some.", highlight=False)


@fields.command("drop")
def drop_field(name: Annotated[str, typer.Argument(metavar="NAME", help="The field to remove.")], home: Home = None) -> None:
    """Remove a field from all files."""
    from search.store import Fields

    count = Fields(archive(load({"home": home}))).drop(name)
    echo(f"{name} removed from {phrasing.count(count, 'file')}.")


@things.command("import")
def import_things(
    path: Annotated[Path, typer.Argument(metavar="LABELS", help="A COCO file, or the folder of a YOLO data set.")],
    pictures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the pictures lie. Default: where the labels say.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be imported, and change nothing.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Import boxes that people labelled. They replace what was imported of a picture.

    Examples:
      sensorium things import annotations/instances_val2017.json --pictures val2017
      sensorium things import yolo --dry-run
    """
    from indexer.labelled import import_labels
    from ui import show

    told = import_labels(archive(load({"home": home})), path, pictures=pictures, dry=dry_run)
    if as_json:
        show.emit(asdict(told))
    else:
        done = "would be imported" if dry_run else "imported"
        echo(f"{phrasing.count(told.things, 'thing')} in {phrasing.count(told.assets, 'picture')} {done}.")
        if told.skipped:
            echo(f"{told.skipped:,} boxes without extent, or of a crowd, were left out.", err=True)
        if told.unknown:
            named = ", ".join(map(show.name, told.names))
            more = " …" if told.unknown > len(told.names) else ""
            echo(f"{phrasing.count(told.unknown, 'picture')} not in the archive: {named}{more}.", err=True)
    if told.unknown:
        raise typer.Exit(SOME_UNKNOWN)


@things.command("list")
def list_things(home: Home = None, as_json: Json = False) -> None:
    """List the things that were found or labelled, and how many files show each."""
    from search.store.things import Things
    from ui import show

    found = Things(archive(load({"home": home}))).labels()
    if as_json:
        show.emit(found)
        return
    for label, count in found.items():
        echo(f"{label}  {phrasing.count(count, 'file')}")
    if not found:
        show.err.print(
            "No things yet. `sensorium readers add detect:MODEL --labels …` finds some.", highlight=False, markup=False
        )
