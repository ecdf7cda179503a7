"""The encoders that can be used."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from search import encoders
from search.errors import ModelMissing
from search.types import Modality
from ui import show


def gather() -> list[dict[str, Any]]:
    """Each encoder with what it takes, its size and licence, and whether its weights are here."""
    found = []
    for name in encoders.names():
        row: dict[str, Any] = {"name": name, **encoders.describe(name)}
        try:
            encoder = encoders.load(name)
        except ModelMissing as error:
            row |= {"here": False, "detail": str(error)}
        else:
            space = encoder.space
            accepts = [str(modality) for modality in Modality if modality in space.accepts]
            row |= {"here": True, "revision": space.revision, "dim": space.dim, "accepts": accepts}
        found.append(row)
    return found


def render(found: list[dict[str, Any]]) -> None:
    """Print a row an encoder."""
    table = Table("name", "here", "takes", "dimension", "size", "licence", box=None, pad_edge=False, header_style="dim")
    for row in found:
        table.add_row(
            row["name"], "yes" if row["here"] else "no", ", ".join(row.get("accepts", [])), str(row.get("dim", "")),
            f"{row['bytes'] / 1e6:.0f} MB", row["licence"],
        )  # fmt: skip
    show.out.print(table)
