"""POST /v1/exports: what was found, or collected, as files for other programs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from fastapi import APIRouter, Response

from search.api import links
from search.api import schemas as s
from search.api.media_files import held
from search.api.places import Places
from search.api.searching import searched
from search.api.seen import Seen, Sight
from search.api.service import Service
from search.errors import Problem
from search.exports.bundle import slug, zipped
from search.exports.gather import Chosen, Locus, cutter, excerpts
from search.media.opening import Held
from search.store.catalogue import Asset

MAX_CLIPS = 100
"""The number of clips in one export."""


def router(service: Service) -> APIRouter:
    """The route of exports."""
    routes = APIRouter(tags=["exports"])
    archive: dict[int | str, dict[str, Any]] = {
        200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
    }

    @routes.post("/exports", operation_id="export", summary="Export moments", response_class=Response, responses=archive)
    async def export(asked: s.ExportRequest, seen: Sight) -> Response:
        """A ZIP archive: tables, subtitles, annotations, timelines or clips, with `manifest.json`, which has the hash of each file and of each medium.

        Timelines count whole frames of each medium's own rate, from its own start timecode. Media whose file cannot be read any more are left
        out, and the manifest says so.
        """
        moments = [
            Chosen(one.asset, one.start_ms, one.end_ms, text=one.text, note=one.note) for one in asked.moments
        ] if asked.search is None else [_moment(hit) for hit in (await searched(service, seen, asked.search)).hits]  # fmt: skip
        made = await service.picturing.run(_made, asked, moments, seen)
        name = f"{slug(asked.title)}-{asked.format}.zip"
        return Response(made, media_type="application/zip", headers={"Content-Disposition": links.attachment(name, inline=False)})

    return routes


def _made(asked: s.ExportRequest, moments: list[Chosen], seen: Seen) -> bytes:
    if asked.format == "clips" and len(moments) > MAX_CLIPS:
        raise Problem(
            422, "input", "There are too many clips", f"An export has at most {MAX_CLIPS} clips; this one has {len(moments)}.",
            remedy="Export them in parts, or as a timeline.",
        )  # fmt: skip
    assets = seen.catalogue.assets(sorted({one.asset for one in moments}))

    def opening(asset: Asset) -> AbstractContextManager[Held]:
        return held(asset, seen.places)

    some, left_out = excerpts(
        moments, assets, _locus(seen.places), opening if asked.format in ("edl", "otio", "json", "clips") else None
    )
    return zipped(asked.format, asked.title, some, cutter(assets, opening, exact=asked.exact), left_out=left_out)


def _locus(places: Places) -> Callable[[Asset], Locus]:
    def of(asset: Asset) -> Locus:
        spot = places.spot(asset.location.collection, asset.location.path)
        return Locus(
            spot.collection, spot.folder, spot.name, spot.path or "/".join(part for part in (spot.folder, spot.name) if part)
        )

    return of


def _moment(hit: s.Hit) -> Chosen:
    span = hit.span
    return Chosen(
        hit.asset.id, span.start_ms if span else None, span.end_ms if span else None, str(hit.channel), hit.confidence, hit.evidence.text or ""
    )  # fmt: skip
