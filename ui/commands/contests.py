"""`sensorium dres`: submit what was found to a contest in searching video."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import PurePath
from typing import Annotated

import typer

from search.errors import InputError
from search.settings import load
from ui.options import Home, Json, archive
from ui.terminal import echo


def dres(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The server, such as https://vbs.example.org.")],
    user: Annotated[str, typer.Option(help="The name of your team.")],
    segment: Annotated[int | None, typer.Option(help="The number of a segment in a hit: the moment to submit.")] = None,
    text: Annotated[str, typer.Option(help="A text to submit, for tasks that ask for one.")] = "",
    evaluation: Annotated[str, typer.Option(help="The contest. Default: the one that runs.")] = "",
    task: Annotated[str, typer.Option(help="The task. Default: the one that runs.")] = "",
    collection: Annotated[str, typer.Option(help="The collection of the item, as the contest calls it.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Submit a moment to a contest on a DRES 2 server; without one, list the contests.

    The item is the name of the file without its suffix. The password comes from SENSORIUM_DRES_PASSWORD, or is asked for.

    Examples:
      sensorium dres https://vbs.example.org --user sensorium
      sensorium dres https://vbs.example.org --user sensorium --segment 4711
    """
    from search.api.contest import Contest
    from search.store import SqlStore
    from ui import show

    item, span = "", None
    if segment is not None:
        found = SqlStore(archive(load({"home": home}))).segments([segment]).get(segment)
        if found is None:
            raise InputError(f"There is no segment {segment}.", remedy="Take its number from a hit: sensorium search … --json")
        item = PurePath(found.path).stem
        span = found.span if found.span and found.span.unit == "ms" else None
    password = os.environ.get("SENSORIUM_DRES_PASSWORD") or typer.prompt("Password", hide_input=True, err=True)
    with Contest(address, user, password) as contest:
        if segment is None and not text:
            known = contest.evaluations()
            if as_json:
                show.emit([asdict(one) for one in known])
            else:
                show.lines(show.columns([(one.name, one.status.lower(), one.id) for one in known], ("contest", "state", "id")))
            return
        where = {"start_ms": span.start, "end_ms": span.end} if span else {}
        told = contest.submit(contest.running(evaluation).id, item, **where, text=text, task=task, collection=collection)
    if as_json:
        show.emit(asdict(told))
    else:
        echo(f"{told.verdict.capitalize()}. {told.description}".strip())
