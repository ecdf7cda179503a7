"""`sensorium judge`: say which files answer a question, and check a random sample of the rest."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from search.errors import InputError
from search.settings import load
from search.types import Filter, Modality, Review
from ui import phrasing
from ui.options import Home, Json, members

if TYPE_CHECKING:
    from search.query import Engine


def judge(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question, as it was asked.")],
    right: Annotated[
        str | None, typer.Option(metavar="SEGMENTS", help="Segments whose files answer it, comma-separated.")
    ] = None,
    wrong: Annotated[
        str | None, typer.Option(metavar="SEGMENTS", help="Segments whose files do not answer it, comma-separated.")
    ] = None,
    sample: Annotated[int, typer.Option(help="List this many random files that nobody has judged.")] = 0,
    drawn: Annotated[bool, typer.Option("--drawn", help="The judgements cover all files that --sample listed.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Withdraw all judgements of the question.")] = False,
    targets: Annotated[
        str | None, typer.Option("--in", metavar="MEDIA", help="Media to judge, comma-separated: image, audio, video, text.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Say which files answer a question.

    Judgements count in `search --estimate` and calibrate the archive. To find out how many right files are left, judge a random sample of the
    others with --drawn.

    Examples:
      sensorium judge "a dog" --right 12,17 --wrong 40
      sensorium judge "a dog" --sample 60
      sensorium judge "a dog" --drawn --right 81 --wrong 23,54
    """
    from search.query import Engine, judging
    from ui import show

    wanted = Filter(modalities=tuple(members("modality", Modality, targets)))
    with Engine(load({"home": home})) as engine:
        searcher, judgements = engine.searcher(), engine.judgements
        if forget:
            judgements.forget(question)
        yes, no = _assets(engine, right), _assets(engine, wrong)
        if yes or no:
            judging.judge(searcher, judgements, question, yes, no, wanted, of_sample=drawn)
        review = judging.review(judgements.of(question), wanted)
        listed = judging.sample(searcher, judgements, question, wanted, sample) if sample else None
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
            rows = [(str(one.id), show.ICONS[one.modality], escape(show.name(one.path))) for one in found]
            show.lines(show.columns(rows, ("segment", "medium", "file")))
            show.err.print(
                f"[dim]{len(found)} of {phrasing.count(listed.population, 'file')} that nobody has judged. Judge all of them: "
                f"sensorium judge {escape(shlex.quote(question))} --drawn --right … --wrong …[/]",
                highlight=False, soft_wrap=True,
            )  # fmt: skip
        show.err.print(f"{told(review)}.", highlight=False)


def told(review: Review | None) -> str:
    """What judgements say, as a sentence without its full stop."""
    return phrasing.review(review) if review else "Nobody has judged a file for this question"


def _assets(engine: Engine, listed: str | None) -> list[int]:
    """The files of segments whose numbers are separated by commas."""
    if not listed:
        return []
    try:
        numbers = [int(one) for one in listed.split(",")]
    except ValueError:
        raise InputError(f"{listed!r} is not a list of segments.", remedy="Separate segment numbers by commas: 12,17.") from None
    known = engine.store.segments(numbers)
    if strange := [number for number in numbers if number not in known]:
        raise InputError(f"There is no segment {strange[0]}.", remedy="Take segment numbers from the hits of a search.")
    return list(dict.fromkeys(known[number].asset for number in numbers))
