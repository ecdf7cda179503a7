"""`sensorium spaces diff`: what changes between two spaces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from search.errors import InputError
from search.settings import load
from search.types import Modality
from ui.options import Home, Json
from ui.phrasing import count

if TYPE_CHECKING:
    from search.query import Query
    from search.query.compare import Difference


def diff(
    before: Annotated[str, typer.Argument(help="A space.")],
    after: Annotated[str, typer.Argument(help="Another space.")],
    words: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="Questions, each in quotes.")] = None,
    queries: Annotated[
        Path | None, typer.Option(help="A file with one question per line, or a manifest as for `sensorium eval`.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Number of hits to compare.", min=1, max=100)] = 10,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Ask two spaces the same questions and compare the answers."""
    from search import wire
    from search.query import Engine
    from search.query.compare import compare
    from ui import show

    questions = _questions(words or [], queries)
    with Engine(load({"home": home})) as engine:
        found = compare(engine, questions, (before, after), k=k)
    if as_json:
        show.emit({
            "spaces": [before, after], "k": k, "overlap": _mean([one.overlap for one in found]),
            "same_first": _mean([one.same_first for one in found]),
            "queries": [
                {"query": one.asked, "overlap": one.overlap, before: [wire.hit(hit) for hit in one.before],
                 after: [wire.hit(hit) for hit in one.after]}
                for one in found
            ],
        })  # fmt: skip
        return
    for one in found:
        show.lines(_side_by_side(one, before, after))
    show.out.print(
        f"{count(len(found), 'question')}: {_mean([one.overlap for one in found]):.0%} of the best {k} are the same,"
        f" {_mean([one.same_first for one in found]):.0%} of the first.", highlight=False,
    )  # fmt: skip


def _questions(words: list[str], file: Path | None) -> list[tuple[str, Query]]:
    from search.query import Term
    from search.query.evaluate import read_manifest

    questions: list[tuple[str, Query]] = [(one, Term(one, Modality.TEXT)) for one in words]
    if file is not None and file.suffix == ".jsonl":
        questions += [(str(getattr(one.query, "content", one.query)), one.query) for one in read_manifest(file)]
    elif file is not None:
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file} cannot be read: {error}.", remedy="Give a text file with one question per line.") from error
        questions += [(line.strip(), Term(line.strip(), Modality.TEXT)) for line in lines if line.strip()]
    if not questions:
        raise InputError("There is no question to ask.", remedy="Give questions, or a file of them with --queries.")
    return questions


def _side_by_side(one: Difference, before: str, after: str) -> list[str]:
    """The question, and a line for each rank; what only one side found is coloured."""
    from ui import show

    ours, theirs = ({hit.segment.asset for hit in hits} for hits in (one.before, one.after))
    rows = []
    for rank in range(max(len(one.before), len(one.after))):
        cells = [str(rank + 1)]
        for hits, others, colour in ((one.before, theirs, "red"), (one.after, ours, "green")):
            hit = hits[rank] if rank < len(hits) else None
            text = escape(show.shortened(hit.segment.path, show.out.width // 2 - 4)) if hit else ""
            cells.append(text if hit is None or hit.segment.asset in others else f"[{colour}]{text}[/]")
        rows.append(cells)
    return [f"[italic]{escape(one.asked)}[/]", *show.columns(rows, ("", escape(before), escape(after)))]


def _mean(values: list[Any]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0
