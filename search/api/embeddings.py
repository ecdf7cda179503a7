"""POST /v1/embeddings, in the shape that OpenAI's client sends and reads: vectors of texts, pictures, sounds and videos."""

from __future__ import annotations

import base64

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray

from search.api import schemas as s
from search.api.searching import decoded
from search.api.service import Service
from search.errors import InputError
from search.query import Term
from search.types import Channel, Modality


def router(service: Service) -> APIRouter:
    """The route of embeddings."""
    routes = APIRouter(tags=["search"])

    @routes.post("/embeddings", operation_id="embeddings", summary="Embed")
    async def embeddings(asked: s.EmbeddingRequest) -> s.Embeddings:
        """Unit vectors of a space, as questions are encoded: compare them by their dot product.

        `input` is what OpenAI's client sends, a text or several; or objects with a `text`, an `image`, an `audio` or a `video` in base64. `model`
        is the name of a space; empty: the default one.
        """
        return await service.decoding.run(_embedded, service, asked)

    return routes


def _embedded(service: Service, asked: s.EmbeddingRequest) -> s.Embeddings:
    service.engine()
    searcher = service.searcher(asked.model)
    inputs = asked.input if isinstance(asked.input, list) else [asked.input]
    vectors = [searcher.terms.encode(_term(service, one))[Channel.VISUAL] for one in inputs]
    if asked.dimensions is not None and vectors and asked.dimensions != len(vectors[0]):
        raise InputError(
            f"The space has {len(vectors[0])} dimensions, not {asked.dimensions}.",
            remedy="Leave dimensions out, or name another space as model.",
        )
    data = [s.Embedded(index=at, embedding=_told(one, asked.encoding_format)) for at, one in enumerate(vectors)]
    return s.Embeddings(data=data, model=searcher.space.name)


def _term(service: Service, one: str | s.EmbeddingInput) -> Term:
    if isinstance(one, str):
        return Term(one, Modality.TEXT)
    if one.text is not None:
        return Term(one.text, Modality.TEXT)
    modality, data = next(
        (kind, data) for kind in (Modality.IMAGE, Modality.AUDIO, Modality.VIDEO) if (data := getattr(one, kind))
    )
    return Term(service.uploads.keep(decoded(data), modality), modality, f"inlined {modality}")


def _told(vector: NDArray[np.float32], encoding: str) -> list[float] | str:
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(one) for one in vector]
