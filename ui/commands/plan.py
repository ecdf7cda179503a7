"""The command `plan`: a question of several steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.errors import InputError
from search.settings import load
from search.types import Filter, Modality
from ui.commands.search import NOTHING_FOUND, stated_in_form
from ui.options import Home, Json, members

if TYPE_CHECKING:
    from search.planning.skills import Proposal


def plan(
    words: Annotated[list[str], typer.Argument(metavar="TEXT", help="A question, in words.")],
    targets: Annotated[
        str | None, typer.Option("--in", metavar="MEDIA", help="Media to find, comma-separated: image, audio, video, text.")
    ] = None,
    skip: Annotated[list[int] | None, typer.Option(metavar="NUMBER", help="Do not take this step. May be repeated.")] = None,
    only: Annotated[list[int] | None, typer.Option(metavar="NUMBER", help="Take only this step. May be repeated.")] = None,
    step: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NUMBER=FORM", help="Ask this in the step's place, in the text form of `search --form`. May be repeated."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the steps, and take none.")] = False,
    k: Annotated[int, typer.Option("-k", help="Number of hits.")] = 10,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Break a question into searches, and take those that are worth it.

    Each step is rated by how useful it is for the question, times how possible it is in this archive. At most six searches are made.

    Examples:
      sensorium plan "a siren, then a crowd without a police car"
      sensorium plan "a harbour is seen while someone says \\"good morning\\""
      sensorium plan "a beach without people" --step 2=crowd --skip 3
    """
    from search import wire
    from search.planning.grammar import GrammarPlanner
    from search.planning.plan import carry_out
    from search.query import Engine
    from ui import show

    question = " ".join(words)
    proposal = _edited(GrammarPlanner().propose(question), step or [])
    count = len(proposal.steps)
    left = [number for number in range(1, count + 1) if only and number not in only]
    settings, wanted = load({"home": home}), Filter(modalities=tuple(members("modality", Modality, targets)))
    with Engine(settings) as engine:
        found = carry_out(
            engine, settings, question, proposal, lambda form: stated_in_form(engine, form, wanted), k=k, skip=[*(skip or []), *left], dry=dry_run
        )  # fmt: skip
        if as_json:
            show.emit(wire.plan(found))
        else:
            show.plan(found)
    if not dry_run and not (found.answer and found.answer.hits):
        raise typer.Exit(NOTHING_FOUND)


def _edited(proposal: Proposal, edits: list[str]) -> Proposal:
    """A proposal with other questions in some of its steps."""
    steps: list[Any] = [*proposal.steps]
    for edit in edits:
        number, equals, form = edit.partition("=")
        if not equals or not number.strip().isdecimal() or not 1 <= int(number[:9]) <= len(steps) or not form.strip():
            raise InputError(
                f"--step: {edit!r} names no step.", remedy=f"Write a number from 1 to {len(steps)}, =, and a question: 2=crowd."
            )
        steps[int(number) - 1] = replace(steps[int(number) - 1], form=form)
    return replace(proposal, steps=tuple(steps))
