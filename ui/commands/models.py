"""`sensorium models`: what is installed, what is known, and fetching it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from search.settings import load
from ui import phrasing
from ui.options import Home, Json
from ui.terminal import echo

models = typer.Typer(help="List, download and remove models.", invoke_without_command=True)

ModelName = Annotated[str, typer.Argument(metavar="NAME", help="A model, as `sensorium models` names it.")]


@models.callback()
def models_alone(context: typer.Context, home: Home = None, as_json: Json = False) -> None:
    """List, download and remove models.

    Without a command: the installed models, and the families that others can be downloaded from.

    Examples:
      sensorium models list
      sensorium models pull openclip:ViT-B-32/laion2b_s34b_b79k
    """
    if context.invoked_subcommand is None:
        from ui.model_list import summarise

        _listed(home, as_json, summarise)


@models.command("list")
def models_list(home: Home = None, as_json: Json = False) -> None:
    """List every known model: what it takes, its size and its quality."""
    from ui.model_list import render

    _listed(home, as_json, render)


@models.command("info")
def models_info(name: ModelName, home: Home = None, as_json: Json = False) -> None:
    """Show all that is known of a model, and check its files."""
    from ui import show
    from ui.model_list import info, render_one

    found = info(load({"home": home}), name)
    if as_json:
        show.emit(found)
    else:
        render_one(found)


@models.command("pull")
def models_pull(
    name: ModelName,
    revision: Annotated[str, typer.Option(help="A branch, tag or commit instead of the pinned one.")] = "",
    accept: Annotated[bool, typer.Option("--accept", help="Accept the model's licence notice without being asked.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Download a model, or what is missing of it. No other command downloads models."""
    from ui.model_list import pull

    _came(pull(load({"home": home}), name, revision, accepted=accept), as_json)


@models.command("import")
def models_import(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder with a model's files, or a .tar of it.")],
    name: Annotated[str, typer.Option(help="The model's name, if its manifest does not give it.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Import a model downloaded elsewhere."""
    from ui.model_list import carry

    _came(carry(load({"home": home}), path, name), as_json)


@models.command("accept")
def models_accept(name: ModelName, home: Home = None, as_json: Json = False) -> None:
    """Accept the licence notice of an installed model."""
    from search.models import Models

    _came(Models.of(load({"home": home})).accept(name), as_json)


@models.command("export")
def models_export(
    name: ModelName,
    to: Annotated[Path, typer.Option(help="The new folder of the export. Its encoder is named onnx:FOLDER.")],
    calibration: Annotated[
        Path, typer.Option(help="A folder of at least 50 pictures to test the export on, with texts: x.txt beside x.jpg.")
    ],
    precision: Annotated[str, typer.Option(help="fp32, or int8 for transformer models.")] = "int8",
    least: Annotated[
        float, typer.Option(help="Minimum share of the original's first ten hits that the export must find.", min=0, max=1)
    ] = 0.995,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Export an OpenCLIP model to ONNX.

    The export is faster on a CPU and needs no torch. It is kept only if it finds what the original finds.
    """
    from search import encoders
    from search.models import Models
    from search.ondemand import trial
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
    force: Annotated[bool, typer.Option("--force", help="Remove it even if the archive uses it.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Remove a model's files from this machine."""
    from search.models import Models
    from ui import show
    from ui.model_list import in_use

    settings = load({"home": home})
    freed = Models.of(settings).remove(name, in_use(settings), force=force)
    if as_json:
        show.emit({"name": name, "bytes": freed})
    else:
        echo(f"{name} removed: {phrasing.size(freed)}.")


def _listed(home: Path | None, as_json: bool, render: Callable[[list[dict[str, Any]]], None]) -> None:
    """List the known models."""
    from ui import show
    from ui.model_list import gather

    found = gather(load({"home": home}))
    if as_json:
        show.emit({"models": found})
    else:
        render(found)


def _came(manifest: Any, as_json: bool) -> None:  # noqa: ANN401 - models are imported late
    """Tell of a model that came, or that was accepted."""
    from ui import show

    if as_json:
        show.emit(asdict(manifest) | {"bytes": manifest.bytes, "space": manifest.space})
        return
    told = f"{manifest.name} is installed: {phrasing.count(len(manifest.files), 'file')}, {manifest.bytes / 1e6:.1f} MB, revision {manifest.space}."
    show.out.print(told, highlight=False, markup=False, soft_wrap=True)
    if manifest.notice and not manifest.accepted:
        show.err.print(
            f"{manifest.notice}\nAccept it with: sensorium models accept {manifest.name}", highlight=False, markup=False
        )
