"""What a space's scores and verdicts rest on: `calibration` shows it, `spaces calibrate` measures it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from search.settings import load
from ui.options import Home, Json

if TYPE_CHECKING:
    from search.query.calibration import Calibration


def calibration(
    space: Annotated[str, typer.Option(help="The space. Default: the archive's.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show what probabilities and verdicts are based on."""
    from search.query import Engine
    from ui import show

    with Engine(load({"home": home})) as engine:
        searcher = engine.searcher(space)
        made, complaint = searcher.calibration, searcher.complaint
    if as_json:
        show.emit(values(searcher.space.name, made, complaint))
    else:
        table(searcher.space.name, made, complaint)


def calibrate(
    name: Annotated[str, typer.Argument(help="The space. Default: the archive's.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Calibrate a space by what is said and written in the archive's files."""
    from search.query import Engine
    from search.query import calibration as kept
    from search.query.calibrate import calibrate as run
    from ui import show

    settings = load({"home": home})
    with Engine(settings) as engine, show.counting("calibrating", 100) as progress:
        searcher = engine.searcher(name)
        made = run(searcher, lambda done, total: progress(100 * done // max(total, 1)))
        kept.save(settings.home, searcher.space, made)
    if as_json:
        show.emit(values(searcher.space.name, made, None))
    else:
        table(searcher.space.name, made, None)


def values(space: str, made: Calibration, complaint: str | None) -> dict[str, Any]:
    """A calibration as JSON values."""
    directions = [
        {"asked": str(asked), "content": str(content), **asdict(one)} for (asked, content), one in made.directions.items()
    ]
    return {"space": space, "made": made.made, "digest": made.digest, "complaint": complaint, "directions": directions}


def table(space: str, made: Calibration, complaint: str | None) -> None:
    """Print a calibration: a row a direction, with its reliability diagram: what was right of what was called so likely."""
    from ui import show

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
