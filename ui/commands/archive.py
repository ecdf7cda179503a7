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
from ui.options import Home, Json, archive, confirm, members, paths_under
from ui.terminal import complain, echo

SOME_FAILED = 4
"""Exit code: the run ended, and some files could not be indexed."""


def index(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Folders and files.", show_default=False)],
    collection: Annotated[str, typer.Option(help="The collection they belong to.")] = "default",
    retry: Annotated[bool, typer.Option(help="Try files again that failed before.")] = False,
    reason: Annotated[str | None, typer.Option(help="With --retry: only those that failed for this reason.")] = None,
    prune: Annotated[bool, typer.Option(help="Forget files that are no longer there.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --prune: forget files too whose folder or disk is away.")] = False,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Leave out what fits this pattern of gitignore; may be repeated. !PATTERN takes in again."),
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Processes that index, each on a GPU of its own where there are several.", min=1)
    ] = 1,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Bring the archive up to date with files: new, changed, moved and missing ones. Running it again is cheap."""
    from indexer.run import Job
    from search.store.intake import Again

    job = Job(paths, collection, Again(reason) if retry else None, prune, exclude=exclude or (), yes=yes)
    _index(load({"home": home}), job, as_json, workers)


def retry(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="Only files at or below these.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only what failed for this reason.")] = None,
    collection: Annotated[str | None, typer.Option(help="Only of this collection.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Try files again that failed, and nothing else."""
    from indexer.run import Job
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
    _index(settings, Job((), retry=Again(reason, under, collection)), as_json)


def watch(
    paths: Annotated[list[Path], typer.Argument(metavar="FOLDER", help="Folders.", show_default=False)],
    collection: Annotated[str, typer.Option(help="The collection they belong to.")] = "default",
    settle: Annotated[float, typer.Option(help="Seconds that a file must not have changed before it is read.", min=0)] = 2.0,
    poll: Annotated[
        bool, typer.Option(help="Look again and again instead of waiting to be told. Network mounts always do.")
    ] = False,
    prune: Annotated[bool, typer.Option(help="Forget files that are no longer there.")] = False,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Leave out what fits this pattern of gitignore; may be repeated.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Index folders, and then whatever comes, changes, moves or goes in them, until stopped."""
    import signal

    from ui import show

    try:
        from indexer import watch as watching
    except ModuleNotFoundError as error:
        raise InputError(
            f"Watching needs the package {error.name}.", remedy="Install it with: pip install 'sensorium[watch]'"
        ) from error
    from indexer.run import Job

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as service managers stop it: what is begun is finished
    with show.indexing(as_json=as_json) as report:
        job = Job(paths, collection, prune=prune, report=report, exclude=exclude or ())
        events = watching.Events(show.round_of(as_json=as_json), lambda note: show.err.print(note, highlight=False))
        watching.watch(load({"home": home}), job, events, settle=settle, polling=poll)


def tag(
    labels: Annotated[
        list[str] | None, typer.Argument(metavar="[LABEL]...", help="Labels, each in quotes if it has several words.")
    ] = None,
    vocabulary: Annotated[Path | None, typer.Option(help="A file with a label a line.")] = None,
    space: Annotated[
        str, typer.Option(help="The space whose vectors are compared with the labels. Default: the archive's.")
    ] = "",
    channel: Annotated[str, typer.Option(help="What is looked at: visual or sound.")] = "visual",
    least: Annotated[
        float, typer.Option(help="The least probability that a label must have among all of them.", min=0, max=1)
    ] = 0.5,
    most: Annotated[int, typer.Option(help="The most labels that a file gets.", min=1, max=100)] = 3,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Give files labels of a vocabulary, to filter by: `sensorium search --tag LABEL`. Running it again replaces them."""
    from indexer.tag import tag as run
    from search.query import zeroshot
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
        f"{found.tagged} of {found.assets} files have labels now: {given or 'none fits well enough'}.",
        highlight=False,
        markup=False,
    )


def delete(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="Files and folders.")] = None,
    asset: Annotated[list[int] | None, typer.Option(help="An asset, by its number; may be repeated.")] = None,
    collection: Annotated[str | None, typer.Option(help="A whole collection.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Remove from the archive what is known of files: rows, vectors, thumbnails. The files themselves stay where they are."""
    from indexer.delete import What
    from indexer.delete import delete as run
    from ui import show

    settings, what = load({"home": home}), What(asset or [], paths or [], collection)
    archive(settings).close()
    gone = run(settings, what, dry_run=True)
    told = (
        f"{gone.files} files, {gone.assets} assets with {gone.segments} segments and {gone.vectors} vectors,"
        f" {gone.thumbnails} thumbnails ({gone.bytes / 1e6:.1f} MB)"
    )
    if not dry_run:
        confirm("Delete", "deleted", told, yes=yes)
        gone = run(settings, what)
    if as_json:
        show.emit(asdict(gone) | {"deleted": not dry_run})
    else:
        echo(f"{'Would delete' if dry_run else 'Deleted'} {told}.")


def _index(settings: Settings, job: Any, as_json: bool, workers: int = 1) -> None:  # noqa: ANN401 - the indexer is imported late
    """Run an index job, and tell what came of it."""
    from indexer.run import index as run
    from indexer.workers import Workers
    from ui import show

    with show.indexing(as_json=as_json) as report, Workers(settings, workers - 1) as others:
        summary = run(settings, replace(job, report=others.reporting(report)))
    summary.progress = others.together(summary.progress)
    for error in others.errors:
        show.err.print(f"A worker ended early, and others took up what it had begun: {error}", highlight=False, markup=False)
    scan, work = summary.scan, summary.progress
    failed = work.failed + scan.rejected
    if as_json:
        absent = {name: str(error) for name, error in summary.absent.items()}
        show.emit({"event": "summary"} | asdict(replace(summary, absent={})) | {"absent": absent})
    else:
        rate = f", {work.done / summary.seconds:.1f} files/s" if work.done else ""
        begun = f"{scan.files} files" if job.paths else f"{summary.retried} failures tried again"
        show.out.print(
            f"{begun}: {work.done} indexed ({work.segments} segments), {scan.unchanged} unchanged,"
            f" {scan.missing} missing, {failed} failed. {summary.seconds:.1f} s{rate}.",
            highlight=False,
            soft_wrap=True,
        )
        if summary.stopped:
            show.err.print("Stopped. Run the same command again to go on where it left off.")
        for sentence in show.not_taken(scan):
            show.err.print(sentence, highlight=False, markup=False, soft_wrap=True)
        if failed:
            show.err.print("`sensorium failures` says which files failed, why, and what to do.")
    if summary.stopped:
        raise typer.Exit(130)
    for name, why in summary.absent.items():
        complain(why)
        show.err.print(f"{name} waits; what is queued for it is done by the next run.", highlight=False)
    if summary.absent:
        raise typer.Exit(max(error.exit_code for error in summary.absent.values()))
    if summary.kept_away:
        from indexer.run import kept_away
        from search.store import SqlStore

        message, remedy = kept_away(summary.kept_away, SqlStore(archive(settings)).away())
        raise InputError(message, remedy=remedy)
    if failed or scan.away_roots:
        raise typer.Exit(SOME_FAILED)
