"""Questions that are saved under a name: `sensorium saved`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from search.settings import Settings, load
from search.types import Filter
from ui.commands.search import show_answer, stated_in_form
from ui.options import Home, Json, archive
from ui.terminal import echo

saved = typer.Typer(no_args_is_help=True, help="Save questions under a name, and ask them again, also for what is new alone.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of a saved question.")]


@saved.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name for the question. One of that name is replaced.")],
    form: Annotated[str, typer.Argument(metavar="TEXT", help="The question in the text form, in quotes, as of `search --form`.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Save a question under a name.

    What is in the archive by now is not new to it.

    Examples:
      sensorium saved add sirens 'siren ~30s> crowd in:video'
    """
    from search.query import Engine

    settings = load({"home": home})
    with Engine(settings) as engine:
        stated_in_form(engine, form, Filter())  # raises for what the form does not know
    found = _questions(settings).save(name, form)
    if as_json:
        _emit([found])
    else:
        echo(f"Saved: sensorium saved run {name!r} --new tells what has come since.")


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
        bool, typer.Option("--new", help="Find only what has come since this was last asked. Hits beyond -k are not told again.")
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
        until = questions.last_segment()
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
