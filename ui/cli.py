"""The command line. Data goes to stdout, progress and errors to stderr; ``--json`` everywhere.

Exit codes: 0 ok, 1 error, 2 usage, 3 nothing found, 4 some files failed, 5 a model is not here and cannot be fetched.
Each command imports what it needs when it runs, so that help comes at once.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search import disk, log
from search.errors import InputError, SensoriumError, UnknownName
from search.settings import Settings, load
from search.types import Channel, DateSource, Filter, Modality
from ui import calibrating, judging, readers, spaces, tokens, writing
from ui.options import Home, Json, archive
from ui.spaces import named as _named
from ui.terminal import echo, visible

if TYPE_CHECKING:
    from search.query import Query

app = typer.Typer(
    help="Search media archives: find images, video, sound and text with any of them.",
    no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None,
)  # fmt: skip
db = typer.Typer(help="The database and the index made from it.", no_args_is_help=True)
app.add_typer(db, name="db")
app.add_typer(spaces.app, name="spaces")
app.add_typer(readers.app, name="readers")
app.command()(calibrating.calibration)
app.command()(judging.judge)
app.add_typer(tokens.app, name="tokens")
measuring = typer.Typer(invoke_without_command=True)
app.add_typer(measuring, name="bench")
models = typer.Typer(help="Models: what is here, what is known, and fetching them.", invoke_without_command=True)
app.add_typer(models, name="models")
app.command()(writing.ask)
app.command()(writing.translate)

Seconds = Annotated[float, typer.Option(help="How long to measure each thing.")]

ModelName = Annotated[str, typer.Argument(metavar="NAME", help="A model, as `sensorium models` names it.")]

NOTHING_FOUND, SOME_FAILED = 3, 4


def main() -> None:
    """Run the command; errors become a message with what to do, and an exit code."""
    try:
        app()
    except SensoriumError as error:
        _complain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stderr.close()
        sys.exit(0)


@app.command()
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


@app.command()
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
    under = tuple(os.fsencode(path) for path in _under(store, paths))
    _index(settings, Job((), retry=Again(reason, under, collection)), as_json)


@app.command()
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


@app.command()
def search(
    words: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="What to look for, in words.")] = None,
    text: Annotated[list[str] | None, typer.Option(help="A further text.")] = None,
    image: Annotated[list[Path] | None, typer.Option(help="A picture to search with.")] = None,
    audio: Annotated[list[Path] | None, typer.Option(help="A sound to search with.")] = None,
    video: Annotated[list[Path] | None, typer.Option(help="A video to search with.")] = None,
    depth: Annotated[list[Path] | None, typer.Option(help="A picture of depth, such as a.depth.png, to search with.")] = None,
    thermal: Annotated[list[Path] | None, typer.Option(help="A thermal picture, such as a.thermal.png, to search with.")] = None,
    imu: Annotated[list[Path] | None, typer.Option(help="A table of motion, such as a.imu.csv, to search with.")] = None,
    segment: Annotated[list[int] | None, typer.Option(help="A segment of the archive to search with.")] = None,
    without: Annotated[list[str] | None, typer.Option("--not", help="A text to subtract.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="A number for each term, separated by commas, in the order of these options.")
    ] = None,
    targets: Annotated[
        str | None,
        typer.Option("--in", help="Media to find: image, audio, video, text, depth, thermal, imu; separated by commas."),
    ] = None,
    channel: Annotated[
        str | None, typer.Option(help="Channels to search: visual, sound, text, motion; separated by commas.")
    ] = None,
    under: Annotated[list[Path] | None, typer.Option(help="Only files at or below this path.")] = None,
    collection: Annotated[list[str] | None, typer.Option(help="Only files of this collection.")] = None,
    since: Annotated[str | None, typer.Option(help="Taken, or else changed, on this day or later: 2024-05-31.")] = None,
    until: Annotated[str | None, typer.Option(help="Taken, or else changed, on this day or earlier.")] = None,
    dated_by: Annotated[
        str | None,
        typer.Option(
            help="Where the date has to come from: sidecar, xmp, exif, digitized, iptc, tags, takeout, name, changed, or file, the copy's own time;"
            " separated by commas."
        ),
    ] = None,
    shortest: Annotated[float | None, typer.Option(help="At least this long, in seconds.")] = None,
    longest: Annotated[float | None, typer.Option(help="At most this long, in seconds.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="Only files with this label of `sensorium tag`; of several one is enough.")
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(
            help="Only what is heard in this sound track: a language, a number, or words of its title; of several one is enough."
        ),
    ] = None,
    space: Annotated[list[str] | None, typer.Option(help="Search in this space; may be repeated; all: in every one.")] = None,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Have X-CLIP put the best shots in order, word by word and frame by frame.")
    ] = False,
    spoken: Annotated[
        bool, typer.Option("--spoken", help="The --audio is a spoken question: what is said in it is asked too.")
    ] = False,
    by_words: Annotated[bool, typer.Option("--words", help="Search texts by their words alone, not by meaning.")] = False,
    group: Annotated[str, typer.Option(help="What a hit is: moment, asset or segment.")] = "moment",
    sort: Annotated[str, typer.Option(help="The order of the hits: match, date, name or length.")] = "match",
    estimate: Annotated[bool, typer.Option("--estimate", help="Say about how many files match.")] = False,
    k: Annotated[int, typer.Option("-k", help="Hits to show.")] = 10,
    offset: Annotated[int, typer.Option(help="Hits to skip.")] = 0,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Find moments, pictures, sounds and texts by words, files, or both at once.

    A single text finds what means it and what says it. "Words in quotes" must be said; -words must not.
    """
    from search.media import languages
    from search.query import Engine, Near, Term

    texts = [" ".join(words)] if words else []
    terms: list[Term | Near] = [Term(one, Modality.TEXT) for one in [*texts, *(text or [])]]
    given = (
        (Modality.IMAGE, image), (Modality.AUDIO, audio), (Modality.VIDEO, video),
        (Modality.DEPTH, depth), (Modality.THERMAL, thermal), (Modality.IMU, imu),
    )  # fmt: skip
    for modality, files in given:
        terms += [Term(file, modality) for file in files or []]
    terms += [Near(number) for number in segment or []]
    query = _blend(terms, without or [], weights)
    wanted = Filter(
        modalities=tuple(_named("modality", Modality, targets)), channels=tuple(_named("channel", Channel, channel)),
        collections=tuple(collection or ()), dated_by=tuple(_named("source of dates", DateSource, dated_by)),
        since=_date("since", since), until=_date("until", until), shortest_ms=_ms(shortest), longest_ms=_ms(longest), tags=tuple(tag or ()),
        tracks=languages.spelled(track or ()),
    )  # fmt: skip
    with Engine(load({"home": home})) as engine:
        if under:
            wanted = replace(wanted, under=_under(engine.store, under))
            _check_under(engine.store, under, wanted.under)
        if spoken:
            found = engine.spoken(
                query, wanted, k=k, offset=offset, group=_grouping(group), spaces=space or (), sort=_sorting(sort)
            )  # fmt: skip
        else:
            found = engine.search(
                query, wanted, k=k, offset=offset, group=_grouping(group), spaces=space or (), rerank=rerank, words=by_words,
                sort=_sorting(sort),
            )  # fmt: skip
        _show(found, as_json, estimate=estimate)


@app.command()
def similar(
    segment: Annotated[int, typer.Argument(metavar="SEGMENT", help="A segment, by its number in the hits of a search.")],
    targets: Annotated[
        str | None, typer.Option("--in", help="Media to find: image, audio, video, text, depth, thermal, imu.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Hits to show.")] = 10,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Find more like a segment of the archive, in other files."""
    from search.query import Engine, Near

    wanted = Filter(modalities=tuple(_named("modality", Modality, targets)))
    with Engine(load({"home": home})) as engine:
        known = engine.store.segments([segment])
        own = [found.asset for found in known.values()]
        _show(engine.search(Near(segment), wanted, k=k, without=own), as_json)


@app.command()
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
    (of,) = _named("channel", Channel, channel)
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


@app.command()
def status(home: Home = None, as_json: Json = False) -> None:
    """What the archive holds, what waits and what failed."""
    from ui import show
    from ui.status import gather, render

    found = gather(load({"home": home}))
    if as_json:
        show.emit(found)
    else:
        render(found)


@app.command()
def failures(
    collection: Annotated[str | None, typer.Option(help="Only of this collection.")] = None,
    unread: Annotated[bool, typer.Option("--unread", help="List the files too whose words no reader has read.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """What could not be searched, why, and what to do about it."""
    from search import wire
    from search.store import Readers, SqlStore
    from ui import show, words

    settings = load({"home": home})
    database = archive(settings)
    store, readers = SqlStore(database), Readers(database)
    within = None if collection is None else (collection,)
    wordless = readers.unread(within)
    files = readers.unread_files(within) if unread else []
    passed = store.passed(collection)
    lines, coverage = store.failures(collection=collection), _coverage(store, settings, collection)
    if as_json:
        counts = Counter((line.reason, line.remedy) for line in lines)
        show.emit({
            "coverage": {name: wire.coverage(of) for name, of in coverage.items()},
            "reasons": [{"reason": reason, "count": count, "remedy": remedy} for (reason, remedy), count in counts.items()],
            "failures": [asdict(line) for line in lines], "passed": [asdict(one) for one in passed], "away": store.away(),
            "unread": [asdict(one) for one in wordless], **({"unread_files": [asdict(one) for one in files]} if unread else {}),
        })  # fmt: skip
        return
    for name, of in coverage.items():
        if hidden := words.unseen(of):
            show.err.print(f"{name}: {hidden}.", highlight=False, markup=False)
    if lines:
        show.failures(lines)
    elif not any(one.known for one in passed):
        show.err.print("Everything could be indexed.")
    for root, count in store.away().items():
        show.err.print(
            f"Away: {show.name(root)}, {words.count(count, 'file')}. Mount it and index it again.", highlight=False, markup=False
        )
    show.passed(passed)
    show.unread(wordless, files)


@app.command()
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
        if not yes and not (sys.stdin.isatty() and typer.confirm(visible(f"Delete {told}?"))):
            raise InputError("Nothing was deleted.", remedy="Say --yes to delete without being asked.")
        gone = run(settings, what)
    if as_json:
        show.emit(asdict(gone) | {"deleted": not dry_run})
    else:
        echo(f"{'Would delete' if dry_run else 'Deleted'} {told}.")


@app.command()
def verify(
    deep: Annotated[bool, typer.Option(help="Compare all copies, and answers with brute force.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended, and say what was done.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Check that the database, the index and the thumbnails are whole and agree."""
    from ui.doctor import render

    settings = load({"home": home})
    archive(settings).close()
    if repair:
        from indexer.repair import repair as mend

        done, checks = mend(settings, deep=deep)
        _report(checks, as_json, render, mended=done)
    else:
        from indexer.verify import verify as run

        _report(run(settings, deep=deep), as_json, render)


@app.command()
def doctor(home: Home = None, as_json: Json = False) -> None:
    """Look at this installation and archive, and say what to do about what is wrong."""
    from ui.doctor import examine, render

    _report(examine(load({"home": home})), as_json, render)


@app.command()
def demo(
    keep: Annotated[Path | None, typer.Option(help="Use this home, and keep it, instead of a temporary one.")] = None,
    as_json: Json = False,
) -> None:
    """Index the sample archive, and ask one question in each of the sixteen directions."""
    from ui.demo import run

    run(keep, as_json=as_json)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0: any that is free.", min=0, max=65535)] = 8571,
    root: Annotated[list[Path] | None, typer.Option(help="A folder that may be indexed over the API; may be repeated.")] = None,
    page: Annotated[bool, typer.Option(help="Serve the page too, not the API alone.")] = True,
    tokens_: Annotated[
        bool, typer.Option("--token/--no-token", help="Ask callers for a token; without, every account of this machine may call.")
    ] = True,
    home: Home = None,
) -> None:
    """Serve the page at / and the API under /v1, to this machine alone unless --host says otherwise. Callers show a token."""
    from ui import show

    try:
        from ui.serve import run
    except ModuleNotFoundError as error:
        raise InputError(
            f"The service needs the package {error.name}.", remedy="Install it with: pip install 'sensorium[serve]'"
        ) from error

    def ready(address: str, token: str) -> None:
        opened = f"{address}/?token={token}" if token else address
        show.err.print(f"Sensorium serves {opened} (API: {address}/v1/docs). Ctrl-C stops it.", highlight=False, soft_wrap=True)

    settings = load({"home": home})
    log.set_up(settings.log_level, as_json=settings.log_json)
    if disk.is_read_only(settings.home):
        show.err.print("The home may be read, and not written: searching works, nothing can be indexed.")
    run(settings, host=host, port=port, roots=root or [], page=page, ready=ready, tokens=tokens_)


@app.command(name="eval")
def evaluate(
    what: Annotated[
        list[Path],
        typer.Argument(
            metavar="[asr] MANIFEST",
            help="A JSON object a line: query, targets, under, relevant, words, spoken; with asr: audio, text, language.",
        ),
    ],
    space: Annotated[list[str] | None, typer.Option(help="Search in this space; may be repeated; all: in every one.")] = None,
    reader: Annotated[
        str, typer.Option(help="Measure this reader, as in speech:base; with asr alone, the archive's reader of speech.")
    ] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Measure how well the archive answers queries whose right answers are known; with `asr`, how well a reader hears what is known to be said."""
    *kind, manifest = what
    if kind not in ([], [Path("asr")]):
        raise typer.BadParameter("Give one manifest, or asr and a manifest.")
    if kind or reader:
        _evaluate_reader(load({"home": home}), reader, manifest, as_json)
        return
    from search.query import Engine
    from search.query.evaluate import evaluate as run
    from search.query.evaluate import read_manifest
    from ui import show
    from ui.status import render_figures

    judged = list(read_manifest(manifest))
    if not judged:
        raise InputError(f"{manifest} holds no queries.", remedy="Put a JSON object on each line.")
    with Engine(load({"home": home})) as engine, show.counting("queries", len(judged)) as progress:
        found = run(engine, judged, progress, space or ())
    if as_json:
        show.emit(found)
    else:
        render_figures(found)


def _evaluate_reader(settings: Settings, name: str, manifest: Path, as_json: bool) -> None:
    from search import readers
    from search.media import DecodePool
    from search.models import Models
    from search.query.spoken import hears
    from search.readers.evaluate import evaluate as run
    from search.readers.evaluate import read_manifest
    from search.store import Readers
    from ui import show
    from ui.status import render_errors

    spoken = list(read_manifest(manifest))
    if not spoken:
        raise InputError(f"{manifest} holds no recordings.", remedy="Put a JSON object on each line.")
    name = name or hears(Readers(archive(settings))) or ""
    if not name:
        raise InputError("The archive has no reader of speech.", remedy="Name one: --reader speech:base")
    reader = readers.load(name, Models.of(settings), settings.device)
    with DecodePool(settings, 1) as pool, show.counting("recordings", len(spoken)) as progress:
        found = run(reader, spoken, pool, progress)
    if as_json:
        show.emit(found)
    else:
        render_errors(found)


@measuring.callback()
def bench(
    context: typer.Context,
    seconds: Seconds = 2.0,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Measure this machine: the encoder by medium, and the scan of an index; or more closely, with a command of its own."""
    if context.invoked_subcommand is None:
        from ui.bench import measure, render

        _figures(measure(load({"home": home}), seconds), render, as_json)


@measuring.command(name="encode")
def bench_encode(
    space: Annotated[str | None, typer.Option(help="A space or encoder other than the one of the settings.")] = None,
    seconds: Seconds = 2.0,
    gflops: Annotated[
        float | None, typer.Option(help="GFLOP that the model spends on an image, for the share of a GPU's rate; else counted.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Measure the encoder alone: images, frames, seconds of sound and texts a second."""
    from ui.bench import encode, render_rates

    _figures(encode(load({"home": home, "space": space}), seconds, gflops), render_rates, as_json)


@measuring.command(name="ingest")
def bench_ingest(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder.", show_default=False)],
    space: Annotated[str | None, typer.Option(help="A space or encoder other than the one of the settings.")] = None,
    seconds: Seconds = 2.0,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Index a folder into a temporary home: the rate from end to end, its share of the encoder's own, and which stage binds."""
    from ui import show
    from ui.bench import ingest, render_rates

    with show.indexing(as_json=False, quiet=as_json) as report:
        found = ingest(load({"home": home, "space": space}), path, seconds, report)
    _figures(found, render_rates, as_json)


@models.callback()
def models_alone(context: typer.Context, home: Home = None, as_json: Json = False) -> None:
    """Models: what is here, what is known, and fetching them. Without a command: list."""
    if context.invoked_subcommand is None:
        models_list(home, as_json)


@models.command("list")
def models_list(home: Home = None, as_json: Json = False) -> None:
    """The models that are known and those that are here, what they take, cost and reach."""
    from ui import show
    from ui.models import gather, render

    found = gather(load({"home": home}))
    if as_json:
        show.emit({"models": found})
    else:
        render(found)


@models.command("info")
def models_info(name: ModelName, home: Home = None, as_json: Json = False) -> None:
    """All that is known of a model; every byte of one that is here is checked."""
    from ui import show
    from ui.models import info, render_one

    found = info(load({"home": home}), name)
    if as_json:
        show.emit(found)
    else:
        render_one(found)


@models.command("pull")
def models_pull(
    name: ModelName,
    revision: Annotated[str, typer.Option(help="A branch, tag or commit instead of the usual one.")] = "",
    accept: Annotated[bool, typer.Option("--accept", help="Accept the model's notice without being asked.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Fetch a model, or what is missing of it. No other command ever fetches one."""
    from ui.models import pull

    _came(pull(load({"home": home}), name, revision, accepted=accept), as_json)


@models.command("import")
def models_import(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder with a model's files, or a .tar of one.")],
    name: Annotated[str, typer.Option(help="The model's name, where its manifest does not say it.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take a model over that was fetched elsewhere, as on a machine without a network."""
    from ui.models import carry

    _came(carry(load({"home": home}), path, name), as_json)


@models.command("accept")
def models_accept(name: ModelName, home: Home = None, as_json: Json = False) -> None:
    """Accept the notice of a model that is here, once and for all."""
    from search.models import Models

    _came(Models.of(load({"home": home})).accept(name), as_json)


@models.command("export")
def models_export(
    name: ModelName,
    to: Annotated[Path, typer.Option(help="The new folder of the export, which is then an encoder: onnx:FOLDER.")],
    calibration: Annotated[
        Path, typer.Option(help="Pictures that it is tried on, at least 50, and their texts: x.txt beside x.jpg.")
    ],
    precision: Annotated[str, typer.Option(help="fp32, or int8 for transformers.")] = "int8",
    least: Annotated[
        float, typer.Option(help="The share of the original's first ten that the export must find.", min=0, max=1)
    ] = 0.995,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Export a model of OpenCLIP to ONNX, faster on a CPU and free of torch. It is kept only if it finds what the original finds."""
    from search import encoders
    from search.models import Models
    from search.query import trial
    from ui import show

    try:
        from search.encoders import export
    except ModuleNotFoundError as error:
        raise encoders.lacking("export", error) from error
    settings = load({"home": home})
    source = Models.of(settings).find(name).folder
    found = export.export(source, to, trial.calibration(calibration, export.needs(source), settings), precision, least)
    if as_json:
        show.emit(asdict(found) | {"encoder": f"onnx:{to}"})
        return
    agreement = ", ".join(f"{direction} {share:.1%}" for direction, share in found.agreement.items())
    show.out.print(f"Of the original's first ten it finds: {agreement}.", highlight=False)
    for note in found.notes:
        show.out.print(note, highlight=False, markup=False)
    show.out.print(f"Use it as the encoder onnx:{to}", highlight=False, markup=False)


@models.command("remove")
def models_remove(
    name: ModelName,
    force: Annotated[bool, typer.Option("--force", help="Remove it though the archive has a space of it.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Remove a model's files from this machine."""
    from search.models import Models
    from ui import show
    from ui.models import in_use

    settings = load({"home": home})
    freed = Models.of(settings).remove(name, in_use(settings), force=force)
    if as_json:
        show.emit({"name": name, "bytes": freed})
    else:
        echo(f"{name} removed: {freed} bytes.")


@db.command()
def upgrade(home: Home = None) -> None:
    """Bring the database's tables up to date."""
    from search.store import Database, Spaces

    database = Database(load({"home": home}).database)
    database.upgrade()
    if again := Spaces(database).renew():
        echo(f"{again} files have sound that is embedded again by the next `sensorium index`.", err=True)
    echo(f"The database has revision {database.revision()}.")
    database.close()


@db.command()
def rebuild(home: Home = None) -> None:
    """Write the index again from the database. Nothing is embedded."""
    from indexer.run import rebuild as run

    settings = load({"home": home})
    archive(settings).close()
    for space, count in run(settings).items():
        echo(f"{space}: {count} segments.")


@db.command()
def prune(
    collection: Annotated[str | None, typer.Option(help="Only of this collection.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Forget files too whose folder or disk is away.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Forget files that were missing at the last scan, and what was known of them."""
    from indexer.run import prune as run
    from ui import show

    settings = load({"home": home})
    archive(settings).close()
    files, assets = run(settings, collection, away=yes)
    if as_json:
        show.emit({"files": files, "assets": assets})
    else:
        echo(f"{files} missing files forgotten, {assets} assets removed.")


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
        _complain(why)
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


def _figures(found: dict[str, Any], render: Callable[[dict[str, Any]], None], as_json: bool) -> None:
    """Show what was measured."""
    if as_json:
        from ui import show

        show.emit(found)
    else:
        render(found)


def _came(manifest: Any, as_json: bool) -> None:  # noqa: ANN401 - models are imported late
    """Tell of a model that came, or that was accepted."""
    from ui import show

    if as_json:
        show.emit(asdict(manifest) | {"bytes": manifest.bytes, "space": manifest.space})
        return
    told = f"{manifest.name} is here: {len(manifest.files)} files, {manifest.bytes / 1e6:.1f} MB, revision {manifest.space}."
    show.out.print(told, highlight=False, markup=False, soft_wrap=True)
    if manifest.notice and not manifest.accepted:
        show.err.print(
            f"{manifest.notice}\nAccept that with: sensorium models accept {manifest.name}", highlight=False, markup=False
        )


def _complain(error: SensoriumError) -> None:
    message = str(error).encode("utf-8", "backslashreplace").decode()
    echo(f"Error: {message}", err=True)
    if error.remedy:
        echo(error.remedy, err=True)


def _coverage(store: Any, settings: Settings, collection: str | None) -> dict[str, Any]:  # noqa: ANN401
    """How much of each collection can be found in the space that is searched."""
    from search.store import Spaces

    if collection is not None:
        store.collection(collection)
    spaces = Spaces(archive(settings))
    found = store.coverage(spaces.find(settings.space).key) if spaces.all() else {}
    return {name: of for name, of in found.items() if collection in (None, name)}


def _show(answer: Any, as_json: bool, *, estimate: bool = False) -> None:  # noqa: ANN401
    from search import wire
    from ui import show

    if as_json:
        show.emit(wire.answer(answer))
    elif answer.hits:
        if answer.heard:
            show.err.print(f"Heard: {answer.heard}", highlight=False, markup=False)
        show.hits(answer, estimate=estimate)
    if not answer.hits:
        if not as_json:
            show.err.print("Nothing found. Loosen the filters, or ask in other words.")
        raise typer.Exit(NOTHING_FOUND)


def _report(checks: Any, as_json: bool, render: Any, mended: Sequence[str] = ()) -> None:  # noqa: ANN401
    from ui import show

    if as_json:
        show.emit({"checks": [asdict(check) for check in checks], "mended": list(mended)})
    else:
        render(checks)
        for sentence in mended:
            show.out.print(f"[green]Mended:[/] {sentence}", highlight=False, soft_wrap=True)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def _blend(terms: list[Any], without: list[str], weights: str | None) -> Query:
    from search.query import Blend, Term

    numbers = [1.0] * len(terms)
    if weights is not None:
        try:
            numbers = [float(number) for number in weights.split(",")]
        except ValueError:
            raise InputError(f"--weights is {weights!r}, not numbers separated by commas.") from None
        if len(numbers) != len(terms) or not all(abs(number) < 1e6 for number in numbers):
            raise InputError(f"--weights has {len(numbers)} numbers for {len(terms)} terms.", remedy="Give one for each term.")
    negative = [(-0.5, Term(one, Modality.TEXT)) for one in without]
    return Blend((*zip(numbers, terms, strict=True), *negative))


def _under(store: Any, paths: Sequence[Path] | None) -> tuple[str, ...]:  # noqa: ANN401 - the store is imported late
    """What paths name in the archive, however they are written."""
    from search.folders import spellings

    roots = [root for some in store.collections().values() for root in some]
    return tuple(dict.fromkeys(one for path in paths or () for one in spellings(str(path), roots)))


def _check_under(store: Any, given: Sequence[Path], under: Sequence[str]) -> None:  # noqa: ANN401
    """Say so where nothing of the archive lies under the paths that were given."""
    if not store.holds_under(under):
        named = ", ".join(map(str, given))
        typer.echo(f"Nothing of the archive lies under {named}. `sensorium status` lists its folders.", err=True)


def _grouping(given: str) -> Any:  # noqa: ANN401 - a literal type
    if given not in {"moment", "asset", "segment"}:
        raise UnknownName("grouping", given, ("moment", "asset", "segment"))
    return given


def _sorting(given: str) -> Any:  # noqa: ANN401 - a literal type
    if given not in {"match", "date", "name", "length"}:
        raise UnknownName("order", given, ("match", "date", "name", "length"))
    return given


def _date(option: str, given: str | None) -> str | None:
    import datetime

    try:
        return given and datetime.date.fromisoformat(given).isoformat()
    except ValueError:
        raise InputError(f"--{option} is {given!r}, which is no day.", remedy="Write it like 2024-05-31.") from None


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


if __name__ == "__main__":
    main()
