"""The spaces of an archive: add one, fill it, compare it with another, make it the default, drop it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from search.errors import InputError, UnknownName
from search.settings import Settings, load
from search.types import KINDS, Channel, Modality
from ui.options import Home, Json, archive
from ui.terminal import echo, visible

if TYPE_CHECKING:
    from search.query import Query
    from search.query.compare import Difference
    from search.store.spaces import Entry, Spaces

app = typer.Typer(help="The spaces that an archive is searched in, side by side.", no_args_is_help=True)


@app.command(name="list")
def list_(home: Home = None, as_json: Json = False) -> None:
    """Every space: what it takes in, how much it holds, what waits for it, and which one answers."""
    from search import wire
    from ui import show

    settings = load({"home": home})
    spaces = _spaces(settings)
    rows = [(entry, spaces.size(entry.key), spaces.missing(entry)) for entry in spaces.all()]
    if as_json:
        show.emit({
            "spaces": [
                wire.space(entry) | {"units": size.units, "vectors": size.vectors, "bytes": size.bytes, "missing": missing}
                for entry, size, missing in rows
            ]
        })  # fmt: skip
        return
    table = Table(
        "", "name", "encoder", "dimension", "takes in", "vectors", "size", "waiting", box=None, pad_edge=False, header_style="dim"
    )
    for entry, size, missing in rows:
        takes = _takes(entry) + (f" of {', '.join(entry.collections)}" if entry.collections else "")
        waiting = missing + size.units.get("pending", 0) + size.units.get("leased", 0)
        table.add_row(
            "[green]●[/]" if entry.default else "", escape(entry.name), escape(entry.encoder), str(entry.space.dim), escape(takes),
            f"{size.vectors:,}", f"{size.bytes / 1e6:.1f} MB", str(waiting or ""),
        )  # fmt: skip
    show.out.print(table)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="How to call it.")],
    encoder: Annotated[str, typer.Option(help="The encoder, as `sensorium models` names them.")],
    collection: Annotated[list[str] | None, typer.Option(help="Only of this collection; may be repeated.")] = None,
    only: Annotated[str | None, typer.Option("--only", help="Only these media: image, audio, video, text.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only these channels: visual, sound, text.")] = None,
    later: Annotated[bool, typer.Option("--later", help="Queue the work, and leave it to the next `sensorium index`.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a space beside the others and embed what it lacks, and only that. The archive goes on answering in its default meanwhile."""
    from search import encoders
    from search.models import Models
    from search.store import Database, SqlStore

    settings = load({"home": home})
    database = Database(settings.database)
    database.upgrade()
    for one in collection or []:
        SqlStore(database).collection(one)
    space = replace(encoders.load(encoder, Models.of(settings), settings.device).space, name=name)
    kinds = space.kinds(named("modality", Modality, only), named("channel", Channel, channel))
    if not kinds:
        raise InputError(
            f"The encoder {encoder} takes in nothing of that.", remedy=f"It accepts: {', '.join(sorted(space.accepts))}."
        )
    spaces = _spaces(settings)
    entry = spaces.add(space, encoder, kinds, collection or [])
    _fill(settings, spaces, entry, as_json, later=later)


@app.command()
def fill(name: str, home: Home = None, as_json: Json = False) -> None:
    """Embed what a space lacks. What was embedded before a stop is not embedded again."""
    settings = load({"home": home})
    spaces = _spaces(settings)
    _fill(settings, spaces, spaces.find(name), as_json)


@app.command()
def switch(
    name: str,
    now: Annotated[bool, typer.Option("--now", help="Even while something waits to be embedded into it.")] = False,
    home: Home = None,
) -> None:
    """Let a space answer where none is named. It is filled first; the old one serves until then, and stays."""
    settings = load({"home": home})
    spaces = _spaces(settings)
    entry = spaces.find(name)
    if not now and not _complete(spaces, entry):
        _fill(settings, spaces, entry, as_json=False)
        if not _complete(spaces, entry):
            raise InputError(f"{name} is not complete yet, and was not made the default.", remedy="Run it again, or say --now.")
    spaces.switch(name)
    echo(f"{name} answers from now on.")


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A space.")],
    after: Annotated[str, typer.Argument(help="Another one.")],
    words: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="Questions, each in quotes.")] = None,
    queries: Annotated[
        Path | None, typer.Option(help="A file with a question a line, or a manifest as `sensorium eval` reads it.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many of the best to compare.", min=1, max=100)] = 10,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Ask the same questions in two spaces, and show what changes, side by side."""
    from search import wire
    from search.query import Engine
    from search.query.compare import compare
    from ui import show

    questions = _questions(words or [], queries)
    with Engine(load({"home": home})) as engine:
        found = compare(engine, questions, (before, after), k=k)
    if as_json:
        show.emit({
            "spaces": [before, after], "k": k, "overlap": _mean([one.overlap for one in found]),
            "same_first": _mean([one.same_first for one in found]),
            "queries": [
                {"query": one.asked, "overlap": one.overlap, before: [wire.hit(hit) for hit in one.before],
                 after: [wire.hit(hit) for hit in one.after]}
                for one in found
            ],
        })  # fmt: skip
        return
    for one in found:
        show.out.print(_side_by_side(one, before, after))
    show.out.print(
        f"{len(found)} questions: {_mean([one.overlap for one in found]):.0%} of the best {k} are the same,"
        f" {_mean([one.same_first for one in found]):.0%} of the first.", highlight=False,
    )  # fmt: skip


@app.command()
def calibrate(
    name: Annotated[str, typer.Argument(help="The space; the archive's default without one.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Measure what scores of a space mean in this archive, by what is said and written in its files."""
    from search.query import Engine
    from search.query import calibration as c
    from search.query.calibrate import calibrate as run
    from ui import calibrating, show

    settings = load({"home": home})
    with Engine(settings) as engine, show.counting("calibrating", 100) as progress:
        searcher = engine.searcher(name)
        made = run(searcher, lambda done, total: progress(100 * done // max(total, 1)))
        c.save(settings.home, searcher.space, made)
    if as_json:
        show.emit(calibrating.values(searcher.space.name, made, None))
    else:
        calibrating.table(searcher.space.name, made, None)


@app.command()
def drop(
    name: str,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Remove a space with its vectors and its index. The others, and what is known of the files, stay."""
    import sys

    from indexer.delete import drop_strangers
    from search.index import Generations
    from search.store import SqlStore
    from ui import show

    settings = load({"home": home})
    spaces = _spaces(settings)
    entry = spaces.find(name)
    size, folder = spaces.size(entry.key), Generations(settings.home / "index", entry.key, name, entry.space.dim).folder
    index = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    told = f"{name}: {size.vectors:,} vectors, {size.bytes / 1e6:.1f} MB in the database and {index / 1e6:.1f} MB of index"
    if not dry_run:
        if not yes and not (sys.stdin.isatty() and typer.confirm(visible(f"Drop {told}?"))):
            raise InputError("Nothing was dropped.", remedy="Say --yes to drop without being asked.")
        spaces.drop(name)
        drop_strangers(settings.home, SqlStore(archive(settings)))
    if as_json:
        show.emit(
            {"name": name, "vectors": size.vectors, "database_bytes": size.bytes, "index_bytes": index, "dropped": not dry_run}
        )
    else:
        echo(f"{'Would drop' if dry_run else 'Dropped'} {told}.")


def named(what: str, kind: type[Any], given: str | None) -> list[Any]:
    """Members of an enumeration, from a list separated by commas.

    Raises:
        UnknownName: one that it does not have.
    """
    names = [name.strip() for name in given.split(",")] if given else []
    for name in names:
        if name not in kind.__members__.values():
            raise UnknownName(what, name, kind.__members__.values())
    return [kind(name) for name in names]


def _spaces(settings: Settings) -> Spaces:
    from search.store import Spaces as Store

    return Store(archive(settings))


def _takes(entry: Entry) -> str:
    """What a space takes in, in few words: media of which it takes all, else with the channel; and whether it takes what is read in them."""
    told = []
    for modality in entry.modalities:
        every = [kind for kind in KINDS if kind.modality is modality and not kind.read]
        ours = [kind for kind in every if kind in entry.kinds]
        told += [str(modality)] if ours == every else list(map(str, ours))
    return ", ".join([*told, *(["what is read"] if any(kind.read for kind in entry.kinds) else [])])


def _complete(spaces: Spaces, entry: Entry) -> bool:
    return spaces.size(entry.key).complete and not spaces.missing(entry)


def _fill(settings: Settings, spaces: Spaces, entry: Entry, as_json: bool, *, later: bool = False) -> None:
    """Queue what a space lacks and, unless ``later``, embed it."""
    from indexer.run import Job, index
    from ui import show

    queued = spaces.fill(entry)
    if later:
        if as_json:
            show.emit({"name": entry.name, "queued": queued})
        else:
            echo(f"{queued} assets are queued for {entry.name}: the next `sensorium index` embeds them.")
        return
    waiting = sum(spaces.size(entry.key).units.get(state, 0) for state in ("pending", "leased"))
    with show.indexing(as_json=as_json) as report:
        job = Job(
            (), spaces=[entry.name], report=lambda tally, done, scanning: report(replace(tally, queued=waiting), done, scanning)
        )
        summary = index(settings, job)
    size = spaces.size(entry.key)
    if as_json:
        show.emit({
            "event": "done", "name": entry.name, "queued": queued, "done": summary.progress.done, "failed": summary.progress.failed,
            "vectors": size.vectors, "bytes": size.bytes, "stopped": summary.stopped,
        })  # fmt: skip
    else:
        told = f", {summary.progress.failed} failed (`sensorium failures` says why)" if summary.progress.failed else ""
        echo(f"{entry.name}: {summary.progress.done} assets embedded{told}; it holds {size.vectors:,} vectors.")
    if summary.stopped:
        raise KeyboardInterrupt


def _questions(words: list[str], file: Path | None) -> list[tuple[str, Query]]:
    from search.query import Term
    from search.query.evaluate import read_manifest

    questions: list[tuple[str, Query]] = [(one, Term(one, Modality.TEXT)) for one in words]
    if file is not None and file.suffix == ".jsonl":
        questions += [(str(getattr(one.query, "content", one.query)), one.query) for one in read_manifest(file)]
    elif file is not None:
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file} cannot be read: {error}.", remedy="Give a text file with a question a line.") from error
        questions += [(line.strip(), Term(line.strip(), Modality.TEXT)) for line in lines if line.strip()]
    if not questions:
        raise InputError("There is nothing to ask.", remedy="Give questions, or a file of them with --queries.")
    return questions


def _side_by_side(one: Difference, before: str, after: str) -> Table:
    """A row a rank; what only one side found is coloured."""
    from ui import show

    table = Table(title=escape(one.asked), title_justify="left", box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for name in (before, after):
        table.add_column(escape(name), overflow="fold")
    ours, theirs = ({hit.segment.asset for hit in hits} for hits in (one.before, one.after))
    for rank in range(max(len(one.before), len(one.after))):
        cells = [str(rank + 1)]
        for hits, others, colour in ((one.before, theirs, "red"), (one.after, ours, "green")):
            hit = hits[rank] if rank < len(hits) else None
            text = escape(show.name(hit.segment.path)) if hit else ""
            cells.append(text if hit is None or hit.segment.asset in others else f"[{colour}]{text}[/]")
        table.add_row(*cells)
    return table


def _mean(values: list[Any]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0
