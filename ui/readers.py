"""The readers of an archive: what they have read, adding one, removing one with what it read."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from search.errors import InputError
from search.settings import load
from ui.options import Home, Json, archive
from ui.terminal import echo, visible

app = typer.Typer(
    help="What reads speech, on-screen text and captions, so that it can be found by its words.", no_args_is_help=True
)


@app.command(name="list")
def list_(home: Home = None, as_json: Json = False) -> None:
    """Every reader of the archive: what it reads, how much it found, what waits for it; and which readers there are."""
    from search import readers
    from search.store import Readers
    from ui import show

    store = Readers(archive(load({"home": home})))
    rows = [(entry, *store.size(entry.key)) for entry in store.all()]
    if as_json:
        show.emit({
            "readers": [
                {"name": entry.name, "revision": entry.revision, "reads": entry.modalities, "channels": entry.channels,
                 "collections": entry.collections, "assets": counts, "passages": passages}
                for entry, counts, passages in rows
            ],
            "languages": store.languages(), "families": readers.names(),
        })  # fmt: skip
        return
    table = Table(
        "name", "reads", "channels", "read", "failed", "waiting", "passages", box=None, pad_edge=False, header_style="dim"
    )
    for entry, counts, passages in rows:
        waiting, failed = (
            counts.get(one, 0) + counts.get(other, 0) for one, other in (("pending", "leased"), ("failed", "quarantined"))
        )
        table.add_row(
            escape(entry.name), ", ".join(entry.modalities), ", ".join(entry.channels), str(counts.get("done", 0)), str(failed or ""),
            str(waiting or ""), f"{passages:,}",
        )  # fmt: skip
    show.out.print(table)
    if languages := store.languages():
        show.out.print(f"Languages: {', '.join(f'{code} {count}' for code, count in languages.items())}", highlight=False)
    if not rows:
        show.err.print(f"None yet: sensorium readers add NAME. Families: {', '.join(readers.names())}.", highlight=False)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The reader: speech:base, ocr, written, caption:MODEL.")],
    collection: Annotated[list[str] | None, typer.Option(help="Only of this collection; may be repeated.")] = None,
    later: Annotated[bool, typer.Option("--later", help="Queue the work, and leave it to the next `sensorium index`.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Have a reader read the archive, and whatever is indexed from now on. What others read or embedded is not touched."""
    from indexer.run import Job, index
    from search import readers
    from search.models import Models
    from search.store import Database, Readers, SqlStore
    from ui import show

    settings = load({"home": home})
    database = Database(settings.database)
    database.upgrade()
    for one in collection or []:
        SqlStore(database).collection(one)
    reader = readers.load(name, Models.of(settings), settings.device)
    if told := getattr(reader, "note", ""):
        show.err.print(f"{name}: {told}.", highlight=False, soft_wrap=True)
    store = Readers(database)
    entry = store.add(name, reader.revision, sorted(reader.reads), sorted(reader.channels), collection or [])
    queued = store.fill(entry)
    if later:
        if as_json:
            show.emit({"name": name, "queued": queued})
        else:
            echo(f"{queued} files are queued for {name}: the next `sensorium index` has them read.")
        return
    with show.indexing(as_json=as_json) as report:
        summary = index(settings, Job((), report=report))
    counts, passages = store.size(entry.key)
    if as_json:
        show.emit({"event": "done", "name": name, "assets": counts, "passages": passages, "stopped": summary.stopped})
    else:
        failed = counts.get("failed", 0) + counts.get("quarantined", 0)
        told = f", {failed} failed (`sensorium failures` says why)" if failed else ""
        echo(f"{name}: {counts.get('done', 0)} files read{told}; {passages:,} passages.")
    for error in summary.absent.values():
        raise error
    if summary.stopped:
        raise KeyboardInterrupt


@app.command()
def remove(
    name: str,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: Home = None,
) -> None:
    """Remove a reader with all that it read. Everything else stays."""
    from search.store import Readers

    store = Readers(archive(load({"home": home})))
    entry = store.find(name)
    counts, passages = store.size(entry.key)
    told = f"{name} with {passages:,} passages of {sum(counts.values()):,} files"
    if not dry_run:
        if not yes and not (sys.stdin.isatty() and typer.confirm(visible(f"Remove {told}?"))):
            raise InputError("Nothing was removed.", remedy="Say --yes to remove without being asked.")
        store.remove(name)
    echo(f"{'Would remove' if dry_run else 'Removed'} {told}.")
