"""Saved questions over HTTP: shared by everybody who may see the whole archive."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from search.api import fetch
from search.api import schemas as s
from search.api.links import moment
from search.api.seen import Sight
from search.api.service import Service
from search.errors import QueryError
from search.query import Term, form
from search.store.saved import SavedQuestion, SavedQuestions

Name = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f/]+$")]


def router(service: Service) -> APIRouter:
    """The routes of saved questions."""
    routes = APIRouter(prefix="/saved", tags=["saved"])
    questions = SavedQuestions(service.database)

    @routes.get("", operation_id="saved", summary="Saved questions")
    def every(seen: Sight) -> s.SavedQuestionList:
        """Every saved question, by name."""
        seen.check_whole("Saved questions")
        found = questions.all()
        _, last = questions.settled(min((one.seen_until for one in found), default=0))
        return s.SavedQuestionList(questions=[_entry(one) for one in found], last_segment=last)

    @routes.put("/{name}", operation_id="save", summary="Save a question")
    def save(name: Name, asked: s.SavedQuestionRequest, seen: Sight) -> s.SavedQuestionEntry:
        """Save a question in the text form under a name. One of the same name is replaced. What is in the archive by now is not new to it.

        With `false_alarms` it stands: it tells its `webhook` by itself what comes, with a POST of `{"name", "form", "hits"}`, and again later where
        nobody answers within 10 seconds.
        """
        seen.check_whole("Saved questions")
        form.read(asked.form, opens=_opens)
        if asked.webhook is not None:
            fetch.check_webhook(asked.webhook)
        return _entry(questions.save(name, asked.form, false_alarms=asked.false_alarms, webhook=asked.webhook))

    @routes.put("/{name}/seen", operation_id="seen", summary="Note what has been shown")
    def seen_until(name: Name, told: s.SavedQuestionSeen, seen: Sight) -> s.SavedQuestionEntry:
        """Note up to which segment hits have been shown. Take `last_segment` from before the search."""
        seen.check_whole("Saved questions")
        questions.get(name)
        questions.seen(name, told.until)
        return _entry(questions.get(name))

    @routes.get("/{name}/new", operation_id="saved_new", summary="What is new to a standing question")
    async def new(name: Name, seen: Sight) -> s.SavedQuestionNews:
        """What has come since hits were last noted as shown, at the question's rate of false alarms; 100 hits at most."""
        seen.check_whole("Saved questions")
        return await service.searching.run(_news, service, questions, name)

    @routes.delete("/{name}", status_code=204, operation_id="forget_saved", summary="Forget a saved question")
    def forget(name: Name, seen: Sight) -> Response:
        """Forget a saved question."""
        seen.check_whole("Saved questions")
        questions.delete(name)
        return Response(status_code=204)

    return routes


def _news(service: Service, questions: SavedQuestions, name: str) -> s.SavedQuestionNews:
    one = questions.get(name)
    _, until = questions.settled(one.seen_until)
    if one.false_alarms is None:
        raise QueryError("This question does not stand.", remedy="Save it with a rate of false_alarms, or search with its form.")
    hits = service.standing.news(service.engine(), one, one.seen_until) if one.seen_until < questions.last_segment() else ()
    return s.SavedQuestionNews(
        name=name, form=one.form, seen_until=one.seen_until, until=until, segments=[hit.segment.id for hit in hits]
    )


def _opens(kind: str, value: str) -> Term:  # noqa: ARG001 - as the form calls it
    raise QueryError("A saved question names no files.", remedy="Ask in words, or like a segment: segment:17.")


def _entry(one: SavedQuestion) -> s.SavedQuestionEntry:
    return s.SavedQuestionEntry(
        name=one.name, form=one.form, seen_until=one.seen_until, saved_at=moment(one.saved_at),
        asked_at=moment(one.asked_at) if one.asked_at is not None else None, false_alarms=one.false_alarms, webhook=one.webhook,
        command=bool(one.command), failure=one.failure,
    )  # fmt: skip
