"""POST /v1/exports: what was found, or collected, as files for other programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from search.api import links
from search.api import schemas as s
from search.api.media_files import held
from search.api.places import Places
from search.api.searching import searched
from search.api.seen import Seen, Sight
from search.api.service import Service
from search.errors import Problem
from search.exports.bundle import FRAMED, THINGS, bundle, slug
from search.exports.gather import Chosen, Locus, cutter, excerpts, picturer
from search.media.opening import Held
from search.store.catalogue import Asset

MAX_PICTURES = 1_000
"""Excerpts of a contact sheet, and pictures of an export."""
CELL_PIXELS, PICTURE_PIXELS = 320, 1280
"""The longer side of a picture on a contact sheet, and of one that is exported by itself."""
MAX_CLIPS, MAX_CLIPS_MS = 100, 1_200_000
"""The clips of one export: how many, and how long together, in milliseconds."""

_CHUNK_BYTES = 1 << 20


def router(service: Service) -> APIRouter:
    """The route of exports."""
    routes = APIRouter(tags=["exports"])
    archive: dict[int | str, dict[str, Any]] = {
        200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
    }

    @routes.post("/exports", operation_id="export", summary="Export moments", response_class=Response, responses=archive)
    async def export(asked: s.ExportRequest, seen: Sight) -> Response:
        """A ZIP archive: tables, subtitles, annotations, manifests, timelines, contact sheets or clips, with `manifest.json`, which has the hash of each file and of each medium.

        Timelines count whole frames of each medium's own rate, from its own start timecode. Media whose file cannot be read any more are left
        out, and the manifest says so.
        """
        moments = [
            Chosen(one.asset, one.start_ms, one.end_ms, text=one.text, note=one.note) for one in asked.moments
        ] if asked.search is None else [_moment(hit) for hit in (await searched(service, seen, asked.search)).hits]  # fmt: skip
        file = await service.picturing.run(_made, service, asked, moments, seen)
        name = f"{slug(asked.title)}-{asked.format}.zip"
        headers = {"Content-Disposition": links.attachment(name, inline=False)}
        return StreamingResponse(_chunks(file), media_type="application/zip", headers=headers)

    return routes


def _made(service: Service, asked: s.ExportRequest, moments: list[Chosen], seen: Seen) -> BinaryIO:
    """The export, in a file that is gone once it is closed."""
    assets = seen.catalogue.assets(sorted({one.asset for one in moments}))

    def opening(asset: Asset) -> AbstractContextManager[Held]:
        return held(asset, seen.places)

    def picture(asset: Asset, at_ms: int | None) -> bytes:
        size = PICTURE_PIXELS if asked.format == "pictures" else CELL_PIXELS
        return service.thumbnails.picture(asset, at_ms, lambda: opening(asset), size)

    things = seen.things.of(list(assets)) if asked.format in THINGS else None
    some, left_out = excerpts(moments, assets, _locus(seen.places), opening if asked.format in FRAMED else None, things)
    lasts_ms = sum(end - start for start, end in (one.stretch for one in some))
    if asked.format == "clips" and (len(some) > MAX_CLIPS or lasts_ms > MAX_CLIPS_MS):
        raise Problem(
            422, "input", "There are too many clips",
            f"The clips of an export are at most {MAX_CLIPS}, and at most {MAX_CLIPS_MS // 1000} s together; these are {len(some)}, of {lasts_ms // 1000} s.",
            remedy="Export them in parts, or as a timeline.",
        )  # fmt: skip
    if asked.format in ("sheet", "pictures") and len(some) > MAX_PICTURES:
        raise Problem(
            422, "input", "There are too many pictures", f"An export has at most {MAX_PICTURES:,} pictures; these are {len(some):,}.",
            remedy="Export them in parts, or as a table.",
        )  # fmt: skip
    with ExitStack() as kept:
        file = kept.enter_context(TemporaryFile())
        make = picturer(assets, picture) if asked.format in ("sheet", "pictures") else cutter(assets, opening, exact=asked.exact)
        bundle(file, asked.format, asked.title, some, make, left_out=left_out)
        file.seek(0)
        kept.pop_all()  # whoever sends it closes it
        return file


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


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
        hit.asset.id, span.start_ms if span else None, span.end_ms if span else None, str(hit.channel), hit.confidence, hit.evidence.text or "",
        box=(hit.box.left, hit.box.top, hit.box.width, hit.box.height) if hit.box else None,
    )  # fmt: skip
