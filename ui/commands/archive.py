"""Commands that change what the archive holds: `index`, `retry`, `watch`, `tag`, `delete`."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from search.errors import InputError, UnknownName
from search.settings import Settings, load
from search.types import Channel
from ui import phrasing
from ui.options import HERE, Address, Engine, Home, Json, Place, archive, confirm, members, paths_under, place_of
from ui.terminal import complain, echo

SOME_FAILED = 4
"""Exit code: the run ended, and some files could not be indexed."""


def index(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Folders and files.", show_default=False)],
    collection: Annotated[str, typer.Option(help="The collection that the files go into.")] = "default",
    retry: Annotated[bool, typer.Option(help="Try failed files again.")] = False,
    reason: Annotated[str | None, typer.Option(help="With --retry: only files that failed for this reason.")] = None,
    prune: Annotated[bool, typer.Option(help="Remove files from the archive that no longer exist.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --prune: also remove files whose folder or disk is away.")] = False,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="A gitignore pattern to leave out; !PATTERN includes again. May be repeated."),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            help="Number of indexing processes, by default 1. With several GPUs, each uses its own. With Ray: of nodes, by default all.",
            min=0,
        ),
    ] = 0,
    engine: Engine = "local",
    address: Address = "auto",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Index files: new, changed, moved and missing ones.

    Only new or changed files cost time, so run it as often as you like.

    Examples:
      sensorium index ~/Pictures ~/Videos
      sensorium index ~/Pictures --exclude 'drafts/' --collection family
      sensorium index /archive --workers 4
      sensorium index /archive --engine ray --address 10.0.0.1:6379
    """
    from indexer.run import RunRequest
    from search.store.intake import Again

    job = RunRequest(paths, collection, Again(reason) if retry else None, prune, exclude=exclude or (), yes=yes, calibrates=True)
    settings = load({"home": home})
    _index(settings, job, as_json, workers if engine == "local" else 0, place_of(settings, engine, address, workers))


def retry(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH", help="Only files at or below these.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only files that failed for this reason.")] = None,
    collection: Annotated[str | None, typer.Option(help="Only files of this collection.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Try failed files again, and nothing else.

    Examples:
      sensorium retry
      sensorium retry ~/Videos --reason too_slow
    """
    from indexer.run import RunRequest
    from search.errors import REASONS
    from search.store import SqlStore
    from search.store.intake import Again

    settings = load({"home": home})
    store = SqlStore(archive(settings))
    if reason is not None and reason not in REASONS:
        raise UnknownName("reason", reason, REASONS)
    if collection is not None:
        store.collection(collection)
    under = tuple(os.fsencode(path) for path in paths_under(store, paths))
    _index(settings, RunRequest((), retry=Again(reason, under, collection)), as_json)


def watch(
    paths: Annotated[list[Path], typer.Argument(metavar="FOLDER", help="Folders to follow.", show_default=False)],
    collection: Annotated[str, typer.Option(help="The collection that the files go into.")] = "default",
    settle: Annotated[float, typer.Option(help="Seconds that a file must stay unchanged before it is read.", min=0)] = 2.0,
    poll: Annotated[
        bool, typer.Option(help="Look for changes at intervals instead of waiting for events. Network mounts are always polled.")
    ] = False,
    prune: Annotated[bool, typer.Option(help="Remove files from the archive that no longer exist.")] = False,
    exclude: Annotated[list[str] | None, typer.Option(help="A gitignore pattern to leave out. May be repeated.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Index folders and keep following changes.

    It runs until it is stopped.

    Examples:
      sensorium watch ~/Pictures ~/Videos
    """
    import signal

    from ui import show

    try:
        from indexer import watch as watching
    except ModuleNotFoundError as error:
        raise InputError(
            f"Watching needs the package {error.name}.", remedy="Install it: pip install 'sensorium[watch]'"
        ) from error
    from indexer.run import RunRequest

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as service managers stop it: what is begun is finished
    with show.indexing(as_json=as_json) as report:
        job = RunRequest(paths, collection, prune=prune, report=report, exclude=exclude or (), calibrates=True)
        events = watching.WatchCallbacks(show.round_of(as_json=as_json), lambda note: show.err.print(note, highlight=False))
        watching.watch(load({"home": home}), job, events, settle=settle, polling=poll)


def tag(
    labels: Annotated[
        list[str] | None, typer.Argument(metavar="LABEL", help="Labels. Put quotes around a label of several words.")
    ] = None,
    vocabulary: Annotated[Path | None, typer.Option(help="A file with one label per line.")] = None,
    space: Annotated[str, typer.Option(help="The space to compare labels in. Default: the archive's.")] = "",
    channel: Annotated[str, typer.Option(help="The channel to compare: visual or sound.")] = "visual",
    least: Annotated[float, typer.Option(help="Minimum probability for a label.", min=0, max=1)] = 0.5,
    most: Annotated[int, typer.Option(help="Maximum labels per file.", min=1, max=100)] = 3,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Label files, to filter searches by label.

    Running it again replaces the labels.

    Examples:
      sensorium tag "a dog" "a cat" "a harbour"
      sensorium search anything --tag "a dog"
    """
    from indexer.tag import tag as run
    from search.ondemand import zeroshot
    from ui import show

    settings = load({"home": home})
    archive(settings).close()
    names = [*(labels or []), *(zeroshot.read(vocabulary) if vocabulary else ())]
    (of,) = members("channel", Channel, channel)
    found = run(settings, names, space=space, channel=of, least=least, most=most)
    if as_json:
        show.emit(asdict(found))
        return
    given = ", ".join(f"{name} {count}" for name, count in list(found.labels.items())[:20])
    show.out.print(
        f"{found.tagged} of {phrasing.count(found.assets, 'file')} labelled: {given or 'no label fits well enough'}.",
        highlight=False,
        markup=False,
    )


def delete(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH", help="Files and folders.")] = None,
    asset: Annotated[list[int] | None, typer.Option(help="An asset, by its number. May be repeated.")] = None,
    collection: Annotated[str | None, typer.Option(help="A whole collection.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Remove files from the archive.

    This removes index data: rows, vectors, thumbnails. Your files stay where they are.

    Examples:
      sensorium delete ~/Videos/private --dry-run
      sensorium delete --collection family --yes
    """
    from indexer.delete import What
    from indexer.delete import delete as run
    from ui import show

    settings, what = load({"home": home}), What(asset or [], paths or [], collection)
    archive(settings).close()
    gone = run(settings, what, dry_run=True)
    told = (
        f"{phrasing.count(gone.files, 'file')}: {phrasing.count(gone.assets, 'asset')} with {phrasing.count(gone.segments, 'segment')},"
        f" {phrasing.count(gone.vectors, 'vector')} and {phrasing.count(gone.thumbnails, 'thumbnail')} ({phrasing.size(gone.bytes)})"
    )
    if not dry_run:
        confirm("Delete", "deleted", told, yes=yes)
        gone = run(settings, what)
    if as_json:
        show.emit(asdict(gone) | {"deleted": not dry_run})
    else:
        echo(f"{'Would delete' if dry_run else 'Deleted'} {told}.")


def _index(settings: Settings, job: Any, as_json: bool, workers: int = 0, place: Place = HERE) -> None:  # noqa: ANN401 - the indexer is imported late
    """Run an index job at a place, there with further ``workers`` or not, and print its result."""
    from indexer.run import index as run
    from indexer.workers import Workers
    from ui import show

    with (
        place as cluster,
        show.indexing(as_json=as_json) as report,
        Workers(settings, max(workers - 1, 0)) as others,
    ):
        summary = run(settings, replace(job, report=others.reporting(report)), cluster=cluster)
    summary.progress = others.together(summary.progress)
    for error in (*others.errors, *(cluster.errors if cluster else ())):
        show.err.print(f"A worker ended early. The others took over its files. {error}", highlight=False, markup=False)
    scan, work = summary.scan, summary.progress
    failed = work.failed + scan.rejected
    if as_json:
        absent = {name: str(error) for name, error in summary.absent.items()}
        show.emit({"event": "summary"} | asdict(replace(summary, absent={})) | {"absent": absent})
    else:
        rate = f", {work.done / summary.seconds:.1f} files/s" if work.done else ""
        begun = (
            phrasing.count(scan.files, "file") if job.paths else f"{phrasing.count(summary.retried, 'failed file')} tried again"
        )
        show.out.print(
            f"{begun}: {work.done} indexed ({phrasing.count(work.segments, 'segment')}), {scan.unchanged} unchanged,"
            f" {scan.missing} missing, {failed} failed. {summary.seconds:.1f} s{rate}.",
            highlight=False,
            soft_wrap=True,
        )
        if summary.stopped:
            show.err.print("Stopped. Run the same command again to continue.")
        for sentence in (*show.not_taken(scan), *summary.calibrated):
            show.err.print(sentence, highlight=False, markup=False, soft_wrap=True)
        if failed:
            show.err.print("`sensorium failures` lists the failed files, why they failed, and what to do.")
    if summary.stopped:
        raise typer.Exit(130)
    for name, why in summary.absent.items():
        complain(why)
        show.err.print(f"The work of {name} stays queued. The next run does it.", highlight=False)
    if summary.absent:
        raise typer.Exit(max(error.exit_code for error in summary.absent.values()))
    if summary.kept_away:
        from indexer.run import kept_away
        from search.store import SqlStore

        message, remedy = kept_away(summary.kept_away, SqlStore(archive(settings)).away())
        raise InputError(message, remedy=remedy)
    if failed or scan.away_roots:
        raise typer.Exit(SOME_FAILED)
