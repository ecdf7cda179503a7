"""Models: which are installed, which are known, and what can be done with them."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape
from rich.padding import Padding

from search import encoders, readers
from search.encoders.known_models import KNOWN, MODEL_FAMILIES, KnownModel
from search.errors import ModelMissing
from search.models import Models, ModelSource
from search.models.manifest import ModelManifest
from search.ondemand import imagine, masking, translate
from search.settings import Settings
from search.store import Database, Readers, Spaces
from search.types import Modality
from ui import show

MAX_LISTED_MODELS = 8
"""Installed models that one screen lists."""


def gather(settings: Settings) -> list[dict[str, Any]]:
    """The models that are known and those that are here, with what they take, cost and reach. Files are not checked."""
    here = {manifest.name: manifest for manifest in Models.of(settings).here()}
    known = {one.name: one for one in (*KNOWN, *readers.known(), *translate.known(), *masking.known(), *imagine.known())}
    return [_row(name, known.get(name), here.get(name)) for name in (*known, *(name for name in here if name not in known))]


def info(settings: Settings, name: str) -> dict[str, Any]:
    """All that is known of one model; its files are checked where it is here.

    Raises:
        UnknownName: nothing is known of it.
    """
    models = Models.of(settings)
    here = models.look(name)
    known = next((one for one in KNOWN if one.name == name), None)
    found = _row(name, known, here)
    if of := MODEL_FAMILIES.get(name.partition(":")[0]):
        found |= {"extra": of.extra, "notice": of.notice if known else ""}
    if here:
        damage = models.damage(here)
        found |= asdict(here) | {"folder": str(models.place(name) / here.folder), "damage": damage}
    elif known is None:
        source = source_of(name)
        found |= {"source": source.repository, "licence": source.licence, "notice": source.notice}
    return found


def pull(settings: Settings, name: str, revision: str, *, accepted: bool) -> ModelManifest:
    """Fetch a model, asking for its notice to be accepted and showing progress.

    Raises:
        ModelMissing: it cannot be had, or its notice was not accepted.
    """
    from search.models.hub import pull as fetch

    models, source = Models.of(settings), source_of(name)
    accepted = accepted or (not models.offline and _agreed(models, name, source))
    with show.transferring(name) as report:
        return fetch(models, name, source, revision=revision, accepted=accepted, report=report)


def carry(settings: Settings, path: Path, name: str) -> ModelManifest:
    """Take a model over from a folder or a .tar, showing progress."""
    from search.models.carry import carry as take

    with show.transferring(path.name) as report:
        return take(Models.of(settings), path, name, source=source_of, report=report)


def source_of(name: str) -> ModelSource:
    """Where the files of a model come from, whatever it is for: an encoder, a reader, or what translates, imagines or makes masks.

    Raises:
        UnknownName, InputError, ModelMissing: as ``search.encoders.source`` does.
    """
    of = name.partition(":")[0]
    sources = {translate.FAMILY: translate.source, imagine.FAMILY: imagine.source, masking.FAMILY: masking.source}
    if of in sources:
        return sources[of](name.partition(":")[2])
    known = of in readers.names() and of not in encoders.names()
    return readers.source(name) if known else encoders.source(name)


def in_use(settings: Settings) -> set[str]:
    """The encoders of the archive's spaces, and its readers."""
    database = Database(settings.database)
    try:
        if not database.exists():
            return set()
        database.check()
        return {entry.encoder for entry in Spaces(database).all()} | {entry.name for entry in Readers(database).all()}
    finally:
        database.close()


def summarise(found: list[dict[str, Any]]) -> None:
    """Print a screen: the models that are installed, and a line for each family of others."""
    installed = [row for row in found if row["here"]]
    rows = [
        (f"[bold]{escape(row['name'])}[/]", _size(row), escape(", ".join(row["accepts"])))
        for row in installed[:MAX_LISTED_MODELS]
    ]
    show.lines(show.columns(rows, ("installed", "size", "takes")))
    if len(installed) > MAX_LISTED_MODELS:
        show.lines([f"[dim]and {len(installed) - MAX_LISTED_MODELS} more[/]"])
    families: dict[str, list[str]] = {}
    for row in found:
        if not row["here"]:
            families.setdefault(row["name"].partition(":")[0], []).append(row["name"])
    show.lines(["", *show.columns([(str(len(names)), escape(names[0])) for names in families.values()], ("more", "for example"))])
    show.err.print(
        f"[dim]\n`sensorium models list` lists all {len(found)}. `sensorium models info NAME`\n"
        "describes one. `sensorium models pull NAME` downloads one.[/]",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def render(found: list[dict[str, Any]]) -> None:
    """Print two lines a model: its name, marked where it is installed, and what it is."""
    for row in found:
        show.out.print(f"{'[green]✓[/]' if row['here'] else ' '} [bold]{escape(row['name'])}[/]", highlight=False, soft_wrap=True)
        about = (
            ", ".join(row["accepts"]), row["dim"] and f"{row['dim']} dimensions", _size(row),
            row["quality"] and f"ImageNet {row['quality']} %", row["gflops"] and f"{row['gflops']:.0f} GFLOPs per picture", row["licence"],
            row["note"],
        )  # fmt: skip
        shown = "[dim] · [/]".join(f"[dim]{escape(part)}[/]" for part in about if part)
        show.out.print(Padding(shown, (0, 0, 0, 2)), highlight=False)
    show.err.print(
        "[dim]✓: installed. ImageNet: published zero-shot top-1 accuracy; `sensorium models info NAME` names the source.[/]",
        highlight=False,
    )


def render_one(found: dict[str, Any]) -> None:
    """Print what is known of one model."""
    for name, value in found.items():
        if value in (None, "", []):
            continue
        if name == "files":
            value = ", ".join(f"{file} ({entry['bytes'] / 1e6:.1f} MB)" for file, entry in value.items())
        shown = ", ".join(value) if isinstance(value, list) else value
        show.out.print(f"[dim]{name:>10}[/]  {escape(str(shown))}", highlight=False, soft_wrap=True)


def _row(name: str, known: KnownModel | None, here: ModelManifest | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": name, "here": here is not None, "bytes": here.bytes if here else None, "licence": known.licence if known else "",
        "accepts": [str(modality) for modality in Modality if known and modality in known.takes], "dim": known and known.dim,
        "parameters": known and known.parameters, "gflops": known and known.gflops, "quality": known and known.quality,
        "measure": known.measure if known else "", "by": known.by if known else "",
        "note": known.note if known else "", "trained_on": list(known.trained_on) if known else [],
    }  # fmt: skip
    if here and here.licence:
        row["licence"] = here.licence
    if known and known.dim and encoders.carried(name):
        try:
            row |= encoders.describe(name) | {"here": True, "revision": encoders.load(name).space.revision}
        except ModelMissing as error:
            row |= {"here": False, "detail": str(error)}
    return row


def _agreed(models: Models, name: str, source: ModelSource) -> bool:
    """Whether a person accepts the notice of a model, here and now; one that was accepted before is not asked for again."""
    here = models.look(name)
    before = here is not None and here.accepted and here.notice == source.notice
    if not source.notice or before:
        return before
    show.err.print(f"{name}: {escape(source.notice)}", highlight=False, soft_wrap=True)
    if not sys.stdin.isatty():
        raise ModelMissing("The notice was not accepted.", remedy=f"Accept it with: {models.pulling(name)} --accept")
    return typer.confirm("Do you accept this?", err=True)


def _size(row: dict[str, Any]) -> str:
    if row["bytes"]:
        return f"{row['bytes'] / 1e6:.0f} MB"
    return f"{row['parameters']:.0f} million parameters" if row["parameters"] else ""
