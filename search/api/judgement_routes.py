"""Relevance judgements: which found files people say are right, and samples of files that nobody has judged."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from search.api import links
from search.api import schemas as s
from search.api.searching import narrowed
from search.api.seen import Seen, Sight
from search.api.service import Service
from search.query import judging
from search.types import Filter

Asked = Annotated[str, Query(min_length=1, max_length=500, pattern=r"\S", description="The question, as it was searched.")]


def router(service: Service) -> APIRouter:
    """The routes of judgements."""
    routes = APIRouter(tags=["judgements"])

    def told(seen: Seen, question: str, wanted: Filter) -> s.Judgements:
        every = seen.judgements.of(question)
        review = judging.review(every, wanted)
        return s.Judgements(
            question=" ".join(question.split()),
            files=[s.Judgement(asset=one.asset, right=one.right, of_sample=one.population is not None) for one in every],
            review=None if review is None else s.Review.model_validate(review, from_attributes=True),
        )

    @routes.get("/judgements", operation_id="judgements", summary="What people said of a question's files")
    def of(question: Asked, seen: Sight) -> s.Judgements:
        """Every judgement of a question, in the order in which they were made; the review is of the whole archive."""
        return told(seen, question, Filter(within=seen.within))

    @routes.post("/judgements", operation_id="judge", summary="Say which files answer a question")
    def judge(asked: s.JudgeRequest, seen: Sight) -> s.Judgements:
        """Files that answer a question, and files that do not. They count in estimates, and calibrate the archive.

        `of_sample`: they are those that `POST /v1/judgements/sample` drew, all of them.
        """
        wanted, searcher = narrowed(seen, asked), service.searcher("")
        judging.judge(searcher, seen.judgements, asked.question, asked.right, asked.wrong, wanted, of_sample=asked.of_sample)
        return told(seen, asked.question, wanted)

    @routes.delete("/judgements", operation_id="forget_judgements", summary="Take judgements back")
    def forget(question: Asked, seen: Sight, asset: s.Id | None = None) -> s.Forgotten:
        """Take back what was said of a file, or of every file of a question."""
        return s.Forgotten(forgotten=seen.judgements.forget(question, None if asset is None else [asset]))

    @routes.post("/judgements/sample", operation_id="sample", summary="Draw files that nobody has judged")
    def sample(asked: s.SampleRequest, seen: Sight) -> s.Sample:
        """Files drawn at random from those that nobody has judged for this question: the same ones until they are.

        Once all of them are judged, the review says how many right ones may be left.
        """
        wanted, searcher = narrowed(seen, asked), service.searcher("")
        drawn = judging.sample(searcher, seen.judgements, asked.question, wanted, asked.count)
        assets = seen.catalogue.assets(drawn.assets.tolist())
        first = seen.catalogue.first_segments(list(assets))
        return s.Sample(
            files=[links.entry(assets[id_], seen.places, first.get(id_)) for id_ in drawn.assets.tolist() if id_ in assets],
            population=drawn.population,
        )

    return routes
