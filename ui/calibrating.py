"""What a space's scores and verdicts rest on, shown."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from search.settings import load
from ui import show
from ui.options import Home, Json

if TYPE_CHECKING:
    from search.query.calibration import Calibration


def calibration(
    space: Annotated[str, typer.Option(help="The space; the archive's default without one.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show what probabilities and verdicts rest on: questions asked, error, and which directions are guesses."""
    from search.query import Engine

    with Engine(load({"home": home})) as engine:
        searcher = engine.searcher(space)
        made, complaint = searcher.calibration, searcher.complaint
    if as_json:
        show.emit(values(searcher.space.name, made, complaint))
    else:
        table(searcher.space.name, made, complaint)


def values(space: str, made: Calibration, complaint: str | None) -> dict[str, Any]:
    """A calibration as JSON values."""
    directions = [
        {"asked": str(asked), "content": str(content), **asdict(one)} for (asked, content), one in made.directions.items()
    ]
    return {"space": space, "made": made.made, "digest": made.digest, "complaint": complaint, "directions": directions}


def table(space: str, made: Calibration, complaint: str | None) -> None:
    """Print a calibration: a row a direction, with its reliability diagram: what was right of what was called so likely."""
    if complaint:
        show.err.print(f"[yellow]{complaint} The built-in calibration serves.[/]", highlight=False)
    rows = Table(
        "question",
        "answer",
        "present",
        "absent",
        "near misses",
        "error",
        "right by chance told",
        box=None,
        pad_edge=False,
        header_style="dim",
    )
    for (asked, content), one in made.directions.items():
        error = "not measured" if one.error is None else f"{one.error:.1%}"
        rows.add_row(
            str(asked), str(content), f"{one.present:,}", f"{one.absent:,}", f"{one.near_misses:.0%}", error, diagram(one.bins)
        )
    show.out.print(rows)
    show.err.print(
        f"[dim]{space}: {made.made}. Other directions, and video by the figures of pictures, are guesses: no probability is told where nothing was measured.[/]",
        highlight=False,
    )


def diagram(bins: tuple[tuple[float, float, int], ...]) -> str:
    """A reliability diagram in one line: a bar for each tenth of probability, as high as the share of right hits in it; a dot where there were none."""
    shares = {min(int(chance * 10), 9): share for chance, share, _ in bins}
    return "".join("▁▂▃▄▅▆▇█"[min(int(shares[at] * 8), 7)] if at in shares else "·" for at in range(10))
