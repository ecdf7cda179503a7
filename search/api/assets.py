"""Browsing the archive: assets, their segments, and the neighbours of a segment in time."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from search.api import links
from search.api import schemas as s
from search.api.cursors import Cursor, cut, key_of
from search.api.media_files import held
from search.api.problems import not_found
from search.api.seen import Seen, Sight
from search.api.service import Service
from search.encoders.series.features import FEATURES
from search.errors import Problem
from search.ondemand.motion_strip import strip
from search.store.catalogue import AssetFilter
from search.types import Channel, Modality, ProvenanceReport


def router(service: Service) -> APIRouter:
    """The routes of assets and segments."""
    routes = APIRouter(tags=["assets"])

    @routes.get("/assets", operation_id="assets", summary="Assets, newest first")
    def assets(
        seen: Sight, modality: Annotated[list[Modality], Query(max_length=8, description="None: all.")] = [],  # noqa: B006 - FastAPI copies it
        collection: Annotated[list[s.Words], Query(max_length=100, description="None: all.")] = [],  # noqa: B006
        name: Annotated[s.Words | None, Query(description="Part of the file's name.")] = None,
        state: Literal["present", "missing"] | None = None, sha256: Annotated[str, Query(pattern="^[0-9a-f]{64}$", description="Of its bytes.")] | None = None,
        path: Annotated[s.Words | None, Query(description="Where it lies: folder and name, as hits show them.")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50, cursor: Cursor = None,
    ) -> s.Assets:  # fmt: skip
        """A page of assets."""
        seen.know_collections(collection)
        present = None if state is None else state == "present"
        found = seen.catalogue.page(
            AssetFilter(
                tuple(modality), tuple(collection), name, present, sha256, seen.places.under(path, collection) if path else None
            ),
            before=key_of(cursor),
            limit=limit + 1,
        )
        page, following = cut(found, limit)
        first = seen.catalogue.first_segments([one.id for one in page])
        return s.Assets(assets=[links.entry(one, seen.places, first.get(one.id)) for one in page], cursor=following)

    @routes.get("/assets/{id}", operation_id="asset", summary="An asset")
    def asset(id: s.Id, seen: Sight) -> s.AssetDetail:  # noqa: A002 - the name in the address
        """All that is known of an asset, with what of it could not be searched."""
        found, catalogue = seen.asset(id), seen.catalogue
        things = seen.things.most(id)
        return links.detail(found, catalogue.counts_of(id), catalogue.ledger(asset=id), seen.labels.of(id), things, seen.places)

    @routes.get("/assets/{id}/provenance", operation_id="provenance", summary="What an asset states of its making")
    async def provenance(id: s.Id, seen: Sight) -> s.ProvenanceReport:  # noqa: A002 - the name in the address
        """What the asset's file states of its making, and what came of checking its content credentials, now.

        Nothing is fetched: neither credentials that lie at an address, nor the state of certificates.
        """
        return s.ProvenanceReport.model_validate(asdict(await service.decoding.run(_provenance, service, seen, id)))

    @routes.get("/assets/{id}/motion", operation_id="motion", summary="What a track or a recording of motion tells over time")
    async def motion(id: s.Id, seen: Sight) -> s.MotionStrip:  # noqa: A002 - the name in the address
        """The strength of each feature over time, the way of a track, and the films that were taken meanwhile, by their clocks.

        The way is left out unless the setting `show_positions` names the collection.
        """
        return await service.decoding.run(_motion, service, seen, id)

    @routes.get("/assets/{id}/segments", operation_id="segments", summary="The segments of an asset")
    def segments(
        id: s.Id, seen: Sight, channel: Channel | None = None,  # noqa: A002 - the name in the address
        from_ms: s.Milliseconds | None = None, until_ms: s.Milliseconds | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200, cursor: Cursor = None,
    ) -> s.Segments:  # fmt: skip
        """A page of an asset's segments, in their order.

        Of those that have times only the ones that reach into the stretch from `from_ms` to `until_ms`; what has none belongs to all of it.
        """
        asset = seen.asset(id)
        found = seen.catalogue.segments(
            id, after=key_of(cursor) or 0, limit=limit + 1, channel=channel, from_ms=from_ms, until_ms=until_ms
        )
        page, following = cut(found, limit)
        return s.Segments(segments=[links.segment(one, asset) for one in page], cursor=following)

    @routes.get("/assets/{id}/regions", operation_id="regions", summary="The things in an asset's pictures")
    def regions(id: s.Id, seen: Sight, limit: Annotated[int, Query(ge=1, le=5_000)] = 1_000) -> s.Regions:  # noqa: A002 - the name in the address
        """The things that detectors found in an asset's pictures or people labelled, with their boxes, in order of time, the surest first."""
        seen.asset(id)
        found = seen.things.of([id])[id]
        return s.Regions(regions=[links.region(one) for one in found[:limit]], more=len(found[limit:]))

    @routes.get("/segments/{id}", operation_id="segment", summary="A segment and its neighbours in time")
    def segment(id: s.Id, seen: Sight, around: Annotated[int, Query(ge=0, le=50)] = 3) -> s.Neighbours:  # noqa: A002
        """A segment with up to `around` others before and after it, in the same asset and channel."""
        near = seen.catalogue.neighbours(id, around)
        at = next((at for at, one in enumerate(near) if one.id == id), None)
        if at is None:
            raise not_found("segment", id)
        asset = seen.asset(near[at].asset)
        entries = [links.segment(one, asset) for one in near]
        reference = links.reference(asset, seen.places)
        return s.Neighbours(segment=entries[at], before=entries[:at], after=entries[at + 1 :], asset=reference)

    return routes


def _motion(service: Service, seen: Seen, id_: int) -> s.MotionStrip:
    asset = seen.asset(id_)
    if asset.modality is not Modality.IMU:
        raise Problem(
            422, "motionless", "It is no recording of motion", f"It is of the medium {asset.modality}.", remedy="Ask for a track."
        )
    with held(asset, seen.places) as file:
        stretches = strip(service.pool, file)
    told = {name for one in stretches for name in one.features}
    placed = seen.places.placed(asset.location.collection)
    films = seen.catalogue.films_of(asset)
    first = seen.catalogue.first_segments([film.id for film, _ in films])
    return s.MotionStrip(
        features=[
            s.MotionFeature(name=name, measures=one.measures, unit=one.unit, half=one.half)
            for name, one in FEATURES.items()
            if name in told
        ],
        stretches=[
            s.MotionStretch(start_ms=one.start_ms, end_ms=one.end_ms, features=one.features, way=one.way if placed else None)
            for one in stretches
        ],
        films=[
            s.MotionFilm(asset=links.reference(film, seen.places), offset_ms=offset, segment=first.get(film.id))
            for film, offset in films
        ],
    )


def _provenance(service: Service, seen: Seen, id_: int) -> ProvenanceReport:
    with held(seen.asset(id_), seen.places) as file:
        return service.pool.provenance(file)
