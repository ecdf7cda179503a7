"""What a file states of its making: `sensorium provenance`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from search.settings import load
from ui.commands.writing import path_of_asset
from ui.options import Home, Json
from ui.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from search.types import Claim

HEADLINES = {
    "generated": "Made by a model, as it states", "edited": "Changed by a model, as it states", "captured": "Captured and not edited, as it states",
    None: "It does not state how it was made",
}  # fmt: skip
CREDENTIALS = {
    "trusted": "Content credentials: valid, signed under one of your anchors", "valid": "Content credentials: valid; the signer is none that you trust",
    "invalid": "Content credentials: they do not match", "remote": "Content credentials: elsewhere, not fetched", None: "Content credentials: none",
}  # fmt: skip


def provenance(
    asset: Annotated[
        str, typer.Argument(metavar="ASSET", help="An asset's number or the path of a file. ./17 is a file named 17.")
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show what a file states of its making.

    Content credentials (C2PA) are checked against the file, in it or in a file of the same name that ends in .c2pa. Nothing is fetched.
    The setting trust_anchors names certificates that you trust. MKV, WebM and Ogg files carry no credentials; those of PDF are not read.

    Examples:
      sensorium provenance photo.jpg
    """
    from search.media import DecodePool, provenance_readable
    from ui import show

    settings = load({"home": home})
    path = path_of_asset(settings, asset)
    with DecodePool(settings, 1) as pool:
        found = pool.provenance(path)
    if as_json:
        show.emit(asdict(found))
        return
    of = found.provenance
    echo(HEADLINES[of.origin] + ".")
    echo(CREDENTIALS[of.credentials] + ".")
    for sentence in found.evidence:
        echo(f"  {sentence}")
    if found.link:
        echo(f"  They are said to lie at {found.link}.")
    for line in _tree(found.claim, 0) if found.claim else ():
        echo(line)
    if not provenance_readable():
        echo("Content credentials are read with the extra `provenance`, which is not installed.", err=True)


def _tree(claim: Claim, depth: int) -> Iterator[str]:
    """A claim and those behind it, one a line, indented."""
    relation = f"{claim.relation}: " if claim.relation else ""
    who = ", ".join(
        part
        for part in (claim.signer and f"signed by {claim.signer}", claim.software and f"with {claim.software}", claim.signed_at)
        if part
    )
    what = ", ".join([*(action.removeprefix("c2pa.") for action in claim.actions), *claim.sources])
    wrong = f" [{', '.join(claim.problems)}]" if claim.problems else ""
    yield f"{'  ' * (depth + 1)}{relation}{claim.title or 'untitled'}: {who or 'unsigned'}{f' ({what})' if what else ''}{wrong}"
    for one in claim.made_from:
        yield from _tree(one, depth + 1)
