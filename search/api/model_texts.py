"""What models write on demand: answers to questions about an asset, and translations. Neither is stored."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from search.api import schemas as s
from search.api.media_files import held
from search.api.problems import not_found
from search.api.seen import Seen, Sight
from search.api.service import Service
from search.errors import Problem
from search.ondemand import ask as asking
from search.ondemand import translate as translating

Language = Annotated[
    str, Query(min_length=1, max_length=40, pattern=r"^[^\x00]*$", description="A code (ISO 639-1), or a name in English.")
]


def router(service: Service) -> APIRouter:
    """The routes of what is written on demand."""
    routes = APIRouter(tags=["written"])

    @routes.post("/assets/{id}/ask", operation_id="ask", summary="Ask a model about an asset")
    async def ask(id: s.Id, asked: s.Question, seen: Sight) -> s.Answer:  # noqa: A002 - the name in the address
        """What a model answers to a question about a picture or a video. It is the model's own writing, and may be wrong."""
        return await service.writing.run(_ask, service, seen, id, asked)

    @routes.post("/segments/{id}/translate", operation_id="translate", summary="Have a model translate a segment's text")
    async def translate(
        id: s.Id, seen: Sight, to: Language, original: Annotated[Language | None, Query(alias="from")] = None  # noqa: A002
    ) -> s.Translation:  # fmt: skip
        """The text of a segment in another language, as a model writes it; `from` is the one that it was read in, unless it is stated."""
        return await service.writing.run(_translate, service, seen, id, to, original)

    return routes


def _ask(service: Service, seen: Seen, id_: int, asked: s.Question) -> s.Answer:
    if not service.settings.captioner:
        raise Problem(409, "no-captioner", "No model answers questions", asking.NONE, remedy=asking.HOW)
    with held(seen.asset(id_), seen.places) as file:
        writer = service.captioner.get()
        with service.captioner.turn:
            found = asking.ask(writer, service.pool, file, asked.question, at_ms=asked.at_ms)
    return s.Answer(
        answer=found.text, written_by=service.places.hide(found.model), confidence=found.confidence, frames_ms=list(found.frames)
    )


def _translate(service: Service, seen: Seen, id_: int, to: str, original: str | None) -> s.Translation:
    if not service.settings.translator:
        raise Problem(409, "no-translator", "No model translates", translating.NONE, remedy=translating.HOW)
    found = seen.catalogue.segment(id_)
    if found is None:
        raise not_found("segment", id_)
    if not found.text:
        raise Problem(
            409, "no-text", "There is nothing to translate", f"The segment {id_} has no text.", remedy="Translate a segment of text."
        )  # fmt: skip
    translator = service.translator.get()
    with service.translator.turn:
        made = translator.translate(found.text, to, original or seen.catalogue.language(id_) or "en")
    return s.Translation(
        text=made.text,
        language=made.language,
        translated_from=made.original,
        written_by=service.places.hide(made.model),
        confidence=made.confidence,
    )
