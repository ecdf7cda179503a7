"""Questions that are saved under a name: `sensorium saved`."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from search.errors import InputError
from search.settings import Settings, load
from search.types import Filter
from ui import phrasing
from ui.commands.search import show_answer, stated_in_form
from ui.options import Home, Json, archive, paths_under
from ui.terminal import echo

saved = typer.Typer(no_args_is_help=True, help="Save questions under a name, and ask them again, also for new hits only.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of a saved question.")]


@saved.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name for the question. One of that name is replaced.")],
    form: Annotated[str, typer.Argument(metavar="TEXT", help="The question in the text form, in quotes, as of `search --form`.")],
    false_alarms: Annotated[
        float | None,
        typer.Option(
            help="Make it a standing question, which reports new hits by itself. The share of unrelated segments that may be reported by mistake.",
            min=1e-9,
            max=0.1,
        ),
    ] = None,
    webhook: Annotated[
        str | None, typer.Option(metavar="URL", help="Where new hits are sent: https://…, or http:// on this machine.")
    ] = None,
    command: Annotated[str | None, typer.Option(help="A program that gets new hits as JSON on its standard input.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Save a question under a name.

    What is in the archive already does not count as new. A running service asks standing questions, and so does `sensorium saved tell`.

    Examples:
      sensorium saved add sirens 'siren ~30s> crowd in:video'
      sensorium saved add fires 'a fire' --false-alarms 1e-4 --command ./tell
    """
    from search.api import fetch
    from search.query import Engine

    settings = load({"home": home})
    with Engine(settings) as engine:
        stated_in_form(engine, form, Filter())  # raises for what the form does not know
    if webhook is not None:
        fetch.check_webhook(webhook)
    if false_alarms is None and (webhook or command):
        raise InputError(
            "A question with a webhook or a command needs a rate of false alarms.", remedy="Add --false-alarms 0.0001."
        )
    try:
        arguments = shlex.split(command or "")
    except ValueError as error:
        raise InputError(f"--command cannot be read: {error}.", remedy="Close its quotes.") from error
    found = _questions(settings).save(name, form, false_alarms=false_alarms, webhook=webhook, command=arguments)
    if as_json:
        _emit([found])
    else:
        echo(f"Saved: sensorium saved run {name!r} --new finds what is new since then.")


@saved.command("list")
def list_(home: Home = None, as_json: Json = False) -> None:
    """List the saved questions.

    Examples:
      sensorium saved list
    """
    from ui import show

    found = _questions(load({"home": home})).all()
    if as_json:
        _emit(found)
        return
    show.lines(show.columns([(one.name, one.form) for one in found], ("name", "question")))


@saved.command("run")
def run(
    name: Name,
    new: Annotated[
        bool, typer.Option("--new", help="Find only what has come since this was last asked. Hits beyond -k are not shown again.")
    ] = False,
    k: Annotated[int, typer.Option("-k", help="Number of hits.")] = 10,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Ask a saved question again. Exits with 3 if nothing is found.

    Examples:
      sensorium saved run sirens --new
    """
    from search.query import Engine

    settings = load({"home": home})
    questions = _questions(settings)
    question = questions.get(name)
    with Engine(settings) as engine:
        _, until = questions.settled(question.seen_until)
        query, wanted = stated_in_form(engine, question.form, Filter())
        wanted = replace(wanted, after_segment=question.seen_until) if new else wanted
        found = engine.search(query, wanted, k=k)
    end: typer.Exit | None = None
    try:
        show_answer(found, as_json)
    except typer.Exit as told:  # nothing is found
        end = told
    if new:
        questions.seen(name, until)  # only what has been shown
    if end:
        raise end


@saved.command("tell")
def tell(home: Home = None, as_json: Json = False) -> None:
    """Ask the standing questions, and report new hits. A running service does so by itself.

    Examples:
      sensorium index ~/Videos && sensorium saved tell
    """
    from search import wire
    from search.api.standing import StandingQuestions
    from search.query import Engine
    from ui import show

    settings = load({"home": home})
    with Engine(settings) as engine:

        def narrowed(wanted: Filter) -> Filter:
            folders = [Path(one).expanduser() for one in wanted.under]
            return replace(wanted, under=paths_under(engine.store, folders) if folders else ())

        found = StandingQuestions(_questions(settings), lambda: engine, narrowed, secret=settings.webhook_secret).look()
    if as_json:
        show.emit([{"name": one.name, "hits": [wire.hit(hit) for hit in one.hits], "failure": one.failure} for one in found])
    for one in found if not as_json else ():
        echo(f"{one.name}: {one.failure or phrasing.count(len(one.hits), 'hit')}")
    if any(one.failure for one in found):
        raise typer.Exit(1)


@saved.command("remove")
def remove(name: Name, home: Home = None) -> None:
    """Forget a saved question.

    Examples:
      sensorium saved remove sirens
    """
    _questions(load({"home": home})).delete(name)
    echo(f"The saved question {name!r} is forgotten.")


def _questions(settings: Settings) -> Any:  # noqa: ANN401 - the store is imported late
    from search.store.saved import SavedQuestions

    return SavedQuestions(archive(settings))


def _emit(found: list[Any]) -> None:
    from dataclasses import asdict

    from ui import show

    show.emit([asdict(one) for one in found])
