"""Commands that measure: `eval` how good answers are, `bench` how fast this machine is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.errors import InputError
from search.settings import Settings, load
from ui.options import Home, Json, archive

if TYPE_CHECKING:
    from search.query.evaluate import JudgedQuery

measuring = typer.Typer(invoke_without_command=True)

Seconds = Annotated[float, typer.Option(metavar="SECONDS", help="Time spent on each measurement.")]


def evaluate(
    what: Annotated[
        list[Path],
        typer.Argument(
            metavar="[asr|make] PATH",
            help="A file with one JSON object per line: query, targets, under, relevant, words, spoken; after asr: audio, text, language. After"
            " make: a folder to write.",
        ),
    ],
    space: Annotated[
        list[str] | None, typer.Option(help="Search in this space. May be repeated; 'all' searches every space.")
    ] = None,
    reader: Annotated[
        str, typer.Option(help="With asr: the reader to measure, such as speech:base. Default: the archive's reader of speech.")
    ] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Measure answers against a manifest of right ones.

    With `asr`, measure how well a reader transcribes speech whose words are known. With `make`, write such a manifest from what people judged,
    and topics, qrels and a run as TREC has them.

    Examples:
      sensorium eval held-out/manifest.jsonl
      sensorium eval asr spoken.jsonl --reader speech:base
      sensorium eval make judged/ && sensorium eval judged/manifest.jsonl
    """
    *kind, manifest = what
    if kind not in ([], [Path("asr")], [Path("make")]):
        raise typer.BadParameter("Give one manifest, asr and a manifest, or make and a folder.")
    if kind == [Path("make")]:
        _make(load({"home": home}), manifest, as_json)
        return
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
        _tell_of_training({searcher.entry.encoder for searcher in engine.opened()}, judged)
    if as_json:
        show.emit(found)
    else:
        render_figures(found)


def _tell_of_training(encoders: set[str], judged: Sequence[JudgedQuery]) -> None:
    """Say on standard error if a model may have been trained on what it is measured with."""
    from search.encoders.known_models import met_in_training
    from ui import show

    paths = {path for one in judged for path in one.relevant}
    for encoder in sorted(encoders):
        for name in met_in_training(encoder, paths):
            told = f"{encoder} was trained on {name}: its figures here are too good, unless these files were held out."
            show.err.print(told, highlight=False, markup=False)


def _make(settings: Settings, folder: Path, as_json: bool) -> None:
    from dataclasses import asdict

    from search.query import Engine
    from search.query.trec import write
    from ui import phrasing, show
    from ui.terminal import echo

    with Engine(settings) as engine, show.counting("questions", len(engine.judgements.questions())) as progress:
        found = write(engine, folder, progress=progress)
    if as_json:
        show.emit(asdict(found))
        return
    echo(
        f"{phrasing.count(found.questions, 'question')} with {phrasing.count(found.judgements, 'judgement')} are in {show.name(str(folder))}."
    )


def _evaluate_reader(settings: Settings, name: str, manifest: Path, as_json: bool) -> None:
    from search import readers
    from search.media import DecodePool
    from search.models import Models
    from search.query.spoken import hears
    from search.readers.accuracy import evaluate as run
    from search.readers.accuracy import read_manifest
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
    """Measure how fast this machine encodes and scans."""
    if context.invoked_subcommand is None:
        from ui.bench import measure, render

        _figures(measure(load({"home": home}), seconds), render, as_json)


@measuring.command(name="encode")
def bench_encode(
    space: Annotated[str | None, typer.Option(help="A space or encoder. Default: the one of the settings.")] = None,
    seconds: Seconds = 2.0,
    gflops: Annotated[
        float | None, typer.Option(help="GFLOP per image, to compute the share of the GPU's peak rate. Counted if not given.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Measure the encoder only: images, frames, seconds of sound and texts per second."""
    from ui.bench import encode, render_rates

    _figures(encode(load({"home": home, "space": space}), seconds, gflops), render_rates, as_json)


@measuring.command(name="ingest")
def bench_ingest(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder to index.", show_default=False)],
    space: Annotated[str | None, typer.Option(help="A space or encoder. Default: the one of the settings.")] = None,
    seconds: Seconds = 2.0,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Measure indexing of a folder, into a temporary home.

    It shows the end-to-end rate, its share of the encoder's own rate, and which stage is the bottleneck.
    """
    from ui import show
    from ui.bench import ingest, render_rates

    with show.indexing(as_json=False, quiet=as_json) as report:
        found = ingest(load({"home": home, "space": space}), path, seconds, report)
    _figures(found, render_rates, as_json)


def _figures(found: dict[str, Any], render: Callable[[dict[str, Any]], None], as_json: bool) -> None:
    """Show what was measured."""
    if as_json:
        from ui import show

        show.emit(found)
    else:
        render(found)
