"""`sensorium judge`: say which files answer a question, and check a random sample of the rest."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from search.errors import InputError
from search.settings import load
from search.types import Filter, Modality, Review
from ui import show, words
from ui.options import Home, Json
from ui.spaces import named

if TYPE_CHECKING:
    from search.query import Engine


def judge(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question, as it was searched.")],
    right: Annotated[str | None, typer.Option(help="Segments whose files answer it, separated by commas.")] = None,
    wrong: Annotated[str | None, typer.Option(help="Segments whose files do not answer it.")] = None,
    sample: Annotated[int, typer.Option(help="Draw so many files at random that nobody has judged, and list them.")] = 0,
    drawn: Annotated[bool, typer.Option("--drawn", help="These are the files that --sample listed, all of them.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Take back all that was said of the question.")] = False,
    targets: Annotated[str | None, typer.Option("--in", help="Media that are meant: image, audio, video, text.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Say which files answer a question, and find out how many are left.

    Judgements count in `search --estimate` and calibrate the archive. A sample of the files that nobody has looked at tells when to stop: judge
    all of it with --drawn, and the answer says how many right files may be left.
    """
    from search.query import Engine, judging

    wanted = Filter(modalities=tuple(named("modality", Modality, targets)))
    with Engine(load({"home": home})) as engine:
        searcher, judgements = engine.searcher(), engine.judgements
        if forget:
            judgements.forget(question)
        yes, no = _assets(engine, right), _assets(engine, wrong)
        if yes or no:
            judging.judge(searcher, question, yes, no, wanted, of_sample=drawn)
        review = judging.review(judgements.of(question), wanted)
        listed = judging.sample(searcher, question, wanted, sample) if sample else None
        known = engine.store.segments(listed.segments.tolist()) if listed else {}
        found = [known[id_] for id_ in listed.segments.tolist() if id_ in known] if listed else []
        if as_json:
            show.emit({
                "question": question, "review": None if review is None else asdict(review),
                "sample": None if listed is None else {
                    "population": listed.population,
                    "files": [{"asset": one.asset, "segment": one.id, "path": one.path, "modality": str(one.modality)} for one in found],
                },
            })  # fmt: skip
            return
        if listed:
            table = Table("segment", "medium", "file", box=None, pad_edge=False, header_style="dim")
            for one in found:
                table.add_row(str(one.id), show.ICONS[one.modality], escape(show.name(one.path)))
            show.out.print(table)
            show.err.print(
                f"[dim]{len(found)} of {words.count(listed.population, 'file')} that nobody has judged. Judge all of them: "
                f"sensorium judge {escape(shlex.quote(question))} --drawn --right … --wrong …[/]",
                highlight=False, soft_wrap=True,
            )  # fmt: skip
        show.err.print(f"{told(review)}.", highlight=False)


def told(review: Review | None) -> str:
    """What judgements say, as a sentence without its full stop."""
    return words.review(review) if review else "Nobody has judged a file for this question"


def _assets(engine: Engine, listed: str | None) -> list[int]:
    """The files of segments whose numbers are separated by commas."""
    if not listed:
        return []
    try:
        numbers = [int(one) for one in listed.split(",")]
    except ValueError:
        raise InputError(f"{listed!r} is no list of segments.", remedy="Separate their numbers by commas: 12,17.") from None
    known = engine.store.segments(numbers)
    if strange := [number for number in numbers if number not in known]:
        raise InputError(f"There is no segment {strange[0]}.", remedy="Take the numbers from the hits of a search.")
    return list(dict.fromkeys(known[number].asset for number in numbers))
