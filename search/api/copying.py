"""Copies over HTTP: files that show or sound the same, and which stretches were used where."""

from __future__ import annotations

from fastapi import APIRouter

from search.api import links
from search.api import schemas as s
from search.api.searching import narrowed
from search.api.seen import Seen, Sight
from search.api.service import Service
from search.types import Filter


def router(service: Service) -> APIRouter:
    """The routes of copies."""
    routes = APIRouter(tags=["copies"])

    @routes.post("/duplicates", operation_id="duplicates", summary="Files that are copies of each other")
    async def duplicates(asked: s.DuplicatesRequest, seen: Sight) -> s.Duplicates:
        """Groups of files that show or sound the same, also scaled, mirrored, cropped a little, or encoded anew. Nothing is deleted."""
        return await service.searching.run(_duplicates, service, seen, asked)

    @routes.get("/assets/{id}/reuse", operation_id="reuse", summary="Where an asset was used")
    async def reuse(id: s.Id, seen: Sight) -> s.Reuse:  # noqa: A002 - the name in the address
        """The stretches of a film or a sound that other assets have as well, with the times in both."""
        return await service.searching.run(_reuse, service, seen, id)

    return routes


def _duplicates(service: Service, seen: Seen, asked: s.DuplicatesRequest) -> s.Duplicates:
    found = service.engine().duplicates(narrowed(seen, asked))
    groups = found.groups[: asked.limit]
    assets = seen.catalogue.assets([one for group in groups for one in group])
    told = []
    for group in groups:
        files = [
            s.CopyFile(asset=links.reference(asset, seen.places), bytes=asset.size, places=links.locations(asset, seen.places))
            for asset in (assets[one] for one in group if one in assets)
        ]
        if sum(len(one.places) for one in files) > 1:
            every = [one.bytes for one in files for place in one.places if not place.missing and not place.away]
            told.append(s.CopyGroup(files=files, frees=sum(every[1:])))
    return s.Duplicates(groups=told, more=len(found.groups) - len(groups), without=found.without)


def _reuse(service: Service, seen: Seen, id_: int) -> s.Reuse:
    seen.asset(id_)  # told where there is none
    found = service.engine().reuse(id_, Filter(within=seen.within))
    assets = seen.catalogue.assets(sorted({one.asset for one in found}))
    return s.Reuse(
        used=[
            s.Reused(
                asset=links.reference(assets[one.asset], seen.places), channel=one.channel, mirrored=one.mirrored, samples=one.samples,
                closeness=one.closeness, span=s.Span(start_ms=one.span.start, end_ms=one.span.end),
                other=s.Span(start_ms=one.other.start, end_ms=one.other.end),
            )
            for one in found
            if one.asset in assets
        ]
    )  # fmt: skip
