"""The command `plan`: a question of several steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.errors import InputError
from search.settings import load
from search.types import Filter, Modality
from ui.commands.search import NOTHING_FOUND, stated_in_form
from ui.options import Home, Json, members

if TYPE_CHECKING:
    from search.ondemand.ask import Answered
    from search.ondemand.evidence import Evidence
    from search.planning.skills import Proposal
    from search.settings import Settings
    from search.types import Answer, Hit


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
    answer: Annotated[
        bool,
        typer.Option(
            "--answer", help="Also say what the best moments say; a model, where `captioner` is set, is asked about each."
        ),
    ] = False,
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
      sensorium plan "what is the man holding?" --answer
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
        told = _evidence(settings, question, found.answer) if answer and found.answer else None
        if as_json:
            show.emit(wire.plan(found) | ({"evidence": wire.evidence(told)} if told else {}))
        else:
            show.plan(found)
            if told:
                show.claims(told)
    if not dry_run and not (found.answer and found.answer.hits):
        raise typer.Exit(NOTHING_FOUND)


def _evidence(settings: Settings, question: str, found: Answer) -> Evidence:
    """What the moments of a plan say, with a model's answers where one is set."""
    from search.media import DecodePool
    from search.models import Models
    from search.ondemand import ask as asking
    from search.ondemand.evidence import evidence

    if not settings.captioner:
        return evidence(found)
    writer = asking.load(settings.captioner, Models.of(settings), settings.device)
    with DecodePool(settings, 1) as pool:

        def ask(hit: Hit) -> Answered:
            at = (hit.span.start + hit.span.end) // 2 if hit.span and hit.span.unit == "ms" else None
            return asking.ask(writer, pool, Path(hit.segment.path), question, at_ms=at)

        return evidence(found, ask)


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
