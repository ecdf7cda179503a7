"""`sensorium models`: what is installed, what is known, and fetching it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from search.settings import load
from ui.options import Home, Json
from ui.terminal import echo

models = typer.Typer(help="Models: what is here, what is known, and fetching them.", invoke_without_command=True)

ModelName = Annotated[str, typer.Argument(metavar="NAME", help="A model, as `sensorium models` names it.")]


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
