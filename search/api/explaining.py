"""POST /v1/why: why hits were found; and what the encoder saw of a segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, cast

import numpy as np
from fastapi import APIRouter, Response
from fastapi import Query as Parameter

from search.api import schemas as s
from search.api.media_files import SAFE, held
from search.api.problems import not_found
from search.api.searching import own_assets, preferences_of, understood
from search.api.seen import Seen, Sight
from search.api.service import Service
from search.encoders import RegionalEncoder
from search.errors import SensoriumError
from search.ondemand import encoded
from search.query import Engine, Query, Then
from search.query.region_search import shares_of
from search.query.searcher import Searcher
from search.query.why import Why
from search.types import Channel, Filter, Modality, Picture, Segment, Sound


def router(service: Service) -> APIRouter:
    """The routes that explain hits."""
    routes = APIRouter(tags=["search"])

    @routes.post("/why", summary="Why hits were found", operation_id="why")
    async def why(asked: s.WhyRequest, seen: Sight) -> s.Whys:
        """What each term, space and channel gave to segments that a search found, in log-odds, and what it would take to rank above the segment before.

        With `map`, also which parts of pictures answer; this decodes them.
        """
        engine, query, wanted = await understood(service, seen, asked.search)
        found = await service.searching.run(_why, seen, engine, query, wanted, asked)
        maps = await service.decoding.run(_maps, service, seen, query, wanted, asked) if asked.map else {}
        return s.Whys(whys=[_told(one, maps.get(one.segment, [])) for one in found])

    @routes.get(
        "/segments/{id}/encoded", operation_id="encoded", summary="What the encoder saw", response_class=Response,
        responses={200: {"content": {"image/png": {}, "audio/wav": {}, "text/plain": {}}}},
    )  # fmt: skip
    async def seen_by(
        id: s.Id, seen: Sight, space: Annotated[str, Parameter(max_length=200)] = ""  # noqa: A002 - the name in the address
    ) -> Response:  # fmt: skip
        """A segment as its encoder got it: the squashed picture, or the frame in the middle of a shot; the window of sound; the text."""
        return await service.decoding.run(_encoded, service, seen, id, space)

    return routes


def _why(seen: Seen, engine: Engine, query: Query | Then, wanted: Filter, asked: s.WhyRequest) -> list[Why]:
    search = asked.search
    return engine.why(
        query,
        asked.segments,
        wanted,
        without=own_assets(seen, search),
        spaces=search.spaces,
        words=search.words,
        preferences=preferences_of(search),
    )


def _encoded(service: Service, seen: Seen, id_: int, space: str) -> Response:
    segment, needs = _segment(seen, id_), service.searcher(space).encoder.needs
    if segment.text is not None:
        return Response(segment.text[: needs.characters], media_type="text/plain; charset=utf-8", headers=SAFE)
    content = _decoded(service, seen, segment, service.searcher(space))
    kind = "image/png" if segment.channel is Channel.VISUAL else "audio/wav"
    made = encoded.as_png(cast("Picture", content)) if kind == "image/png" else encoded.as_wav(cast("Sound", content), needs.rate)
    return Response(made, media_type=kind, headers=SAFE)


def _segment(seen: Seen, id_: int) -> Segment:
    if (found := seen.catalogue.segment(id_)) is None:
        raise not_found("segment", id_)
    return found


def _decoded(service: Service, seen: Seen, segment: Segment, searcher: Searcher) -> Picture | Sound:
    asset = seen.asset(segment.asset)
    before = seen.catalogue.place_of(segment)
    with held(asset, seen.places) as file:
        return encoded.decoded(service.pool, file, searcher.encoder.needs, segment, place=before, lasts_ms=asset.duration_ms)


def _maps(
    service: Service, seen: Seen, query: Query | Then, wanted: Filter, asked: s.WhyRequest
) -> dict[int, list[s.MapWindow]]:  # fmt: skip
    """Of each picture or shot what its windows say, in the first space that can tell. What cannot be decoded any more has no map."""
    names = asked.search.spaces or [""]
    searcher = next((one for one in map(service.searcher, names) if isinstance(one.encoder, RegionalEncoder)), None)
    if searcher is None or isinstance(query, Then):
        return {}
    encoder = cast("RegionalEncoder", searcher.encoder)
    view = searcher.current(seen.store.version())
    question = encoder.pointer(searcher.encode(query, wanted.within)[Channel.VISUAL], searcher.nature(query, view)[0])
    found: dict[int, list[s.MapWindow]] = {}
    for id_ in asked.segments:
        segment = _segment(seen, id_)
        if segment.channel is not Channel.VISUAL or segment.modality not in (Modality.IMAGE, Modality.VIDEO):
            continue
        try:
            picture = _decoded(service, seen, segment, searcher)
        except SensoriumError:
            continue
        scores = encoder.regions([np.asarray(picture, np.uint8)])[0] @ question
        found[id_] = [
            s.MapWindow(left=left, top=top, width=width, height=height, share=float(share))
            for (left, top, width, height), share in zip(encoder.windows, shares_of(scores), strict=True)
        ]
    return found


def _told(why: Why, windows: Sequence[s.MapWindow]) -> s.Why:
    told: dict[str, Any] = asdict(why)
    for channel in told["channels"]:
        channel["strip"] = [
            {"start_ms": one["span"]["start"], "end_ms": one["span"]["end"], "score": one["score"]} for one in channel["strip"]
        ]
    return s.Why.model_validate(told | {"map": list(windows)})
