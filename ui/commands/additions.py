"""`sensorium spaces` and `sensorium readers`: what an archive gets beside what it has, filled from what it holds."""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from search.errors import InputError
from search.settings import Settings, load
from search.types import KINDS, Channel, Modality
from ui import phrasing
from ui.options import HERE, Address, Engine, Home, Json, Place, archive, confirm, grown, members, place_of
from ui.terminal import echo

if TYPE_CHECKING:
    from indexer.run import Summary
    from search.store.spaces import SpaceEntry, Spaces

spaces = typer.Typer(help="Add, fill, compare and drop embedding spaces.", no_args_is_help=True)
readers = typer.Typer(help="Add readers of speech, on-screen text and captions.", no_args_is_help=True)

Collection = Annotated[list[str] | None, typer.Option(help="Only files of this collection. May be repeated.")]
Later = Annotated[bool, typer.Option("--later", help="Queue the work for the next `sensorium index`.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")]


@spaces.command("list")
def list_spaces(home: Home = None, as_json: Json = False) -> None:
    """List the spaces: what they hold, what waits, and the default."""
    from search import encoders, wire
    from ui import show

    store = _spaces(load({"home": home}))
    rows = [(entry, store.size(entry.key), store.missing(entry)) for entry in store.all()]
    if as_json:
        show.emit({
            "spaces": [
                wire.space(entry)
                | {"units": size.units, "vectors": size.vectors, "bytes": size.bytes, "missing": missing, "newer": encoders.successor(entry.encoder)}
                for entry, size, missing in rows
            ]
        })  # fmt: skip
        return
    table = Table(
        "", "name", "encoder", "dimension", "accepts", "vectors", "size", "waiting", box=None, pad_edge=False, header_style="dim"
    )
    for entry, size, missing in rows:
        takes = _takes(entry) + (f" of {', '.join(entry.collections)}" if entry.collections else "")
        table.add_row(
            "[green]●[/]" if entry.default else "", escape(entry.name), escape(entry.encoder), str(entry.space.dim), escape(takes),
            f"{size.vectors:,}", f"{size.bytes / 1e6:.1f} MB", str(missing + _waiting(size.units) or ""),
        )  # fmt: skip
    show.out.print(table)
    here = {entry.encoder for entry, _, _ in rows}
    for entry, _, _ in rows:
        if (newer := encoders.successor(entry.encoder)) and newer not in here:
            show.err.print(
                f"{entry.name} is of an earlier revision of the encoder {newer} and is searched as it is. To move it on: sensorium spaces upgrade {entry.name}",
                highlight=False, soft_wrap=True,
            )  # fmt: skip


@readers.command("list")
def list_readers(home: Home = None, as_json: Json = False) -> None:
    """List the readers: what they have read and what waits."""
    from search.readers import names
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
            "languages": store.languages(), "families": names(),
        })  # fmt: skip
        return
    table = Table(
        "name", "reads", "channels", "read", "failed", "waiting", "passages", box=None, pad_edge=False, header_style="dim"
    )
    for entry, counts, passages in rows:
        table.add_row(
            escape(entry.name), ", ".join(entry.modalities), ", ".join(entry.channels), str(counts.get("done", 0)),
            str(_failed(counts) or ""), str(_waiting(counts) or ""), f"{passages:,}",
        )  # fmt: skip
    if rows:
        show.out.print(table)
    if languages := store.languages():
        show.out.print(f"Languages: {', '.join(f'{code} {count}' for code, count in languages.items())}", highlight=False)
    if not rows:
        show.err.print(f"No readers yet. Add one: sensorium readers add NAME. Families: {', '.join(names())}.", highlight=False)


@spaces.command("add")
def add_space(
    name: Annotated[str, typer.Argument(help="A name for the space.")],
    encoder: Annotated[str, typer.Option(help="The encoder, by its name in `sensorium models`.")],
    collection: Collection = None,
    only: Annotated[
        str | None, typer.Option("--only", metavar="MEDIA", help="Only these media, comma-separated: image, audio, video, text.")
    ] = None,
    channel: Annotated[
        str | None, typer.Option(metavar="CHANNELS", help="Only these channels, comma-separated: visual, sound, text.")
    ] = None,
    later: Later = False,
    engine: Engine = "local",
    address: Address = "auto",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Add a space and embed what it lacks.

    Searches use the default space meanwhile.

    Examples:
      sensorium spaces add photos --encoder openclip:ViT-L-14/openai --only image
    """
    from search import encoders
    from search.models import Models

    settings = load({"home": home})
    place = place_of(settings, engine, address)
    grown(settings, collection or ())
    space = replace(encoders.load(encoder, Models.of(settings), settings.device).space, name=name)
    kinds = space.kinds(members("modality", Modality, only), members("channel", Channel, channel))
    if not kinds:
        raise InputError(
            f"The encoder {encoder} accepts none of these.", remedy=f"It accepts: {', '.join(sorted(space.accepts))}."
        )
    store = _spaces(settings)
    entry = store.add(space, encoder, kinds, collection or [])
    _fill(settings, store, entry, as_json, later=later, place=place)


@readers.command("add")
def add_reader(
    name: Annotated[str, typer.Argument(help="The reader: speech:base, ocr, written, regions, caption:MODEL, detect:MODEL.")],
    labels: Annotated[
        str | None,
        typer.Option(metavar="LABELS", help="Things to look for, comma-separated, or a file with one a line; for detect:MODEL."),
    ] = None,
    collection: Collection = None,
    later: Later = False,
    engine: Engine = "local",
    address: Address = "auto",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Add a reader and have it read the archive.

    It also reads what is indexed from now on. What other readers found stays as it is.

    Examples:
      sensorium readers add written
      sensorium readers add speech:base
      sensorium readers add detect:FOLDER --labels "person,dog,traffic light"
    """
    from search.models import Models
    from search.readers import load as reader_of
    from search.store import Readers
    from ui import show

    settings = load({"home": home})
    place = place_of(settings, engine, address)
    store = Readers(grown(settings, collection or ()))
    wanted = _labels(labels) if labels is not None else next((one.labels for one in store.all() if one.name == name), ())
    reader = reader_of(name, Models.of(settings), settings.device, wanted)
    if told := getattr(reader, "note", ""):
        show.err.print(f"{name}: {told}.", highlight=False, soft_wrap=True)
    entry = store.add(name, reader.revision, sorted(reader.reads), sorted(reader.channels), collection or [], wanted)
    queued = store.fill(entry)
    if later:
        _queued(
            name, queued, f"{phrasing.count(queued, 'file')} queued for {name}. The next `sensorium index` reads them.", as_json
        )
        return
    summary = _run(settings, as_json, place=place)
    counts, passages = store.size(entry.key)
    if as_json:
        show.emit({"event": "done", "name": name, "assets": counts, "passages": passages, "stopped": summary.stopped})
    else:
        echo(
            f"{name}: {phrasing.count(counts.get('done', 0), 'file')} read{_failures(_failed(counts))}, {phrasing.count(passages, 'thing' if wanted else 'passage')} found."
        )
    for error in summary.absent.values():
        raise error
    if summary.stopped:
        raise KeyboardInterrupt


@spaces.command()
def fill(name: str, engine: Engine = "local", address: Address = "auto", home: Home = None, as_json: Json = False) -> None:
    """Embed what a space lacks. A stopped run continues where it was."""
    settings = load({"home": home})
    store = _spaces(settings)
    _fill(settings, store, store.find(name), as_json, place=place_of(settings, engine, address))


@spaces.command()
def upgrade(
    name: Annotated[str, typer.Argument(help="The space; by default the default space.")] = "",
    later: Later = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Move a space to the newer revision of its encoder.

    A space of that revision is made beside it and filled. If the old one is the default, it answers until then, and afterwards
    the new one does. The old one stays until it is dropped.
    """
    from search import encoders
    from search.models import Models

    settings = load({"home": home})
    store = _spaces(settings)
    old = store.find(name)
    encoder = encoders.successor(old.encoder)
    if not encoder:
        raise InputError(
            f"There is no newer revision of {old.encoder} than that of {old.name}.", remedy="See `sensorium spaces list`."
        )
    space = encoders.load(encoder, Models.of(settings), settings.device).space
    space = replace(space, name=f"{old.name}:{space.revision.partition('-')[0]}")
    new = store.add(space, encoder, old.kinds, old.collections)
    _fill(settings, store, new, as_json, later=later)
    if later or not _complete(store, new):
        echo(f"{old.name} is searched until {new.name} is complete. Then: sensorium spaces switch {new.name}", err=True)
        return
    if store.find(old.name).default:
        store.switch(new.name)
        echo(f"{new.name} is the default space now.", err=as_json)
    echo(f"{old.name} can be dropped: sensorium spaces drop {old.name}", err=as_json)


@spaces.command()
def switch(
    name: str,
    now: Annotated[bool, typer.Option("--now", help="Do not wait until the space is filled.")] = False,
    home: Home = None,
) -> None:
    """Make a space the default.

    It is filled first. Until then searches use the old default, which stays in the archive.
    """
    settings = load({"home": home})
    store = _spaces(settings)
    entry = store.find(name)
    if not now and not _complete(store, entry):
        _fill(settings, store, entry, as_json=False)
        if not _complete(store, entry):
            raise InputError(
                f"{name} is not complete yet. The default was not changed.", remedy="Run the command again, or use --now."
            )
    store.switch(name)
    echo(f"{name} is the default space now.")


@spaces.command()
def distill(
    name: str,
    captions: Annotated[
        Path, typer.Option(metavar="FILE", help='A caption in each line: a text, or {"text": "…", "path": "…"}.')
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Fit a small text tower to a space, and measure what it keeps.

    The archive is then asked in English words where the space's model is not installed. A fifth of the captions, at most 500, are held out
    to measure it. Those with the path of the file that they tell of say how often that is among the first ten.

    Examples:
      sensorium spaces distill photos --captions captions.jsonl
    """
    from dataclasses import asdict

    from search.query.distill import distill as fit
    from search.query.distill import read
    from ui import show

    settings, found = load({"home": home}), read(captions)
    echo(f"Encoding {phrasing.count(len(found), 'caption')}; with a large model this takes a while.", err=True)
    made = fit(settings, name, found)
    if as_json:
        show.emit(asdict(made) | {"file": str(made.file), "kept": made.kept})
        return
    echo(f"{made.file}: fitted on {phrasing.count(made.fitted, 'caption')}, measured on {made.measured:,} others.")
    if made.teacher is not None and made.tower is not None:
        echo(
            f"The file is among the first ten: {made.teacher:.1%} by the model, {made.tower:.1%} by the tower, which keeps {made.kept:.0%}."
        )
    echo(f"Of the model's first ten files {made.agrees:.0%} are among the tower's.")


@spaces.command()
def drop(name: str, dry_run: DryRun = False, yes: Yes = False, home: Home = None, as_json: Json = False) -> None:
    """Remove a space with its vectors and its index."""
    from indexer.delete import drop_strangers
    from search.index import Generations
    from search.mirror import mirrored
    from search.store import SqlStore
    from ui import show

    settings = load({"home": home})
    store = _spaces(settings)
    entry = store.find(name)
    size, folder = store.size(entry.key), Generations(settings.home / "index", entry.key, name, entry.space.dim).folder
    index = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    told = f"{name}: {phrasing.count(size.vectors, 'vector')}, {size.bytes / 1e6:.1f} MB of database and {index / 1e6:.1f} MB of index"
    if not dry_run:
        confirm("Drop", "dropped", told, yes=yes)
        with mirrored(settings, SqlStore(archive(settings)), entry.key, entry.space) as mirror:
            if mirror is not None:
                mirror.remote.drop()  # first: once the space is gone, nothing tells that it is there
        store.drop(name)
        drop_strangers(settings.home, SqlStore(archive(settings)))
    if as_json:
        show.emit(
            {"name": name, "vectors": size.vectors, "database_bytes": size.bytes, "index_bytes": index, "dropped": not dry_run}
        )
    else:
        echo(f"{'Would drop' if dry_run else 'Dropped'} {told}.")


@readers.command()
def remove(name: str, dry_run: DryRun = False, yes: Yes = False, home: Home = None) -> None:
    """Remove a reader with all that it read."""
    from search.store import Readers

    store = Readers(archive(load({"home": home})))
    counts, passages = store.size(store.find(name).key)
    told = f"{name} with {phrasing.count(passages, 'passage')} of {phrasing.count(sum(counts.values()), 'file')}"
    if not dry_run:
        confirm("Remove", "removed", told, yes=yes)
        store.remove(name)
    echo(f"{'Would remove' if dry_run else 'Removed'} {told}.")


def _labels(given: str) -> tuple[str, ...]:
    """The labels in an option: those of a file, one a line, or separated by commas.

    Raises:
        InputError: the file cannot be read as text, or there is no label.
    """
    try:
        text = Path(given).read_text("utf-8-sig") if os.path.isfile(given) else given.replace(",", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{given} cannot be read: {error}.", remedy="Give a text file in UTF-8, with a label a line.") from error
    labels = tuple(" ".join(line.split()) for line in text.splitlines() if line.strip())
    if not labels:
        raise InputError("There is no label in --labels.", remedy='Name the things: --labels "dog,cat,traffic light".')
    return labels


def _spaces(settings: Settings) -> Spaces:
    from search.store import Spaces

    return Spaces(archive(settings))


def _takes(entry: SpaceEntry) -> str:
    """What a space takes in, in few words: media of which it takes all, else with the channel; and whether it takes what is read in them."""
    told = []
    for modality in entry.modalities:
        every = [kind for kind in KINDS if kind.modality is modality and not kind.read]
        ours = [kind for kind in every if kind in entry.kinds]
        told += [str(modality)] if ours == every else list(map(str, ours))
    return ", ".join([*told, *(["what is read"] if any(kind.read for kind in entry.kinds) else [])])


def _waiting(counts: Mapping[str, int]) -> int:
    return counts.get("pending", 0) + counts.get("leased", 0)


def _failed(counts: Mapping[str, int]) -> int:
    return counts.get("failed", 0) + counts.get("quarantined", 0)


def _failures(count: int) -> str:
    return f", {count} failed (`sensorium failures` says why)" if count else ""


def _complete(store: Spaces, entry: SpaceEntry) -> bool:
    return store.size(entry.key).complete and not store.missing(entry)


def _queued(name: str, queued: int, told: str, as_json: bool) -> None:
    """Say that work was queued and left to the next run."""
    from ui import show

    if as_json:
        show.emit({"name": name, "queued": queued})
    else:
        echo(told)


def _run(settings: Settings, as_json: bool, space: str | None = None, total: int | None = None, place: Place = HERE) -> Summary:
    """Do what is queued, or what is queued for one space, showing progress out of ``total``."""
    from indexer.run import RunRequest, index
    from ui import show

    with place as cluster, show.indexing(as_json=as_json) as report:

        def of_total(tally: Any, done: Any, scanning: bool) -> None:  # noqa: ANN401 - the indexer is imported late
            report(tally if total is None else replace(tally, queued=total), done, scanning)

        job = RunRequest((), spaces=[space] if space else (), report=of_total, calibrates=True)
        summary = index(settings, job, cluster=cluster)
    for sentence in (*summary.calibrated, *(cluster.errors if cluster else ())):
        show.err.print(sentence, highlight=False, markup=False, soft_wrap=True)
    return summary


def _fill(
    settings: Settings, store: Spaces, entry: SpaceEntry, as_json: bool, *, later: bool = False, place: Place = HERE
) -> None:
    """Queue what a space lacks and, unless ``later``, embed it."""
    from ui import show

    queued = store.fill(entry)
    if later:
        told = f"{phrasing.count(queued, 'asset')} queued for {entry.name}. The next `sensorium index` embeds them."
        _queued(entry.name, queued, told, as_json)
        return
    summary = _run(settings, as_json, entry.name, _waiting(store.size(entry.key).units), place)
    size, work = store.size(entry.key), summary.progress
    if as_json:
        show.emit({
            "event": "done", "name": entry.name, "queued": queued, "done": work.done, "failed": work.failed,
            "vectors": size.vectors, "bytes": size.bytes, "stopped": summary.stopped,
        })  # fmt: skip
    else:
        echo(
            f"{entry.name}: {phrasing.count(work.done, 'asset')} embedded{_failures(work.failed)}. It holds {phrasing.count(size.vectors, 'vector')}."
        )
    if summary.stopped:
        raise KeyboardInterrupt
