"""POST /v1/segment: what is pointed at in a picture becomes a mask, and a cut-out to search with."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from fastapi import APIRouter

from search import wire
from search.api import schemas as s
from search.api.media_files import held
from search.api.problems import not_found
from search.api.seen import Seen, Sight
from search.api.service import Service
from search.api.uploads import entry
from search.errors import MediaError, Problem
from search.media import DecodePool
from search.media.cutouts import SIDE, bounds, cut_out, png, run_lengths
from search.media.decode.geometry import edges, unpadded
from search.media.opening import Held
from search.media.previews import jpeg
from search.types import Box, Cut, Info, MaskPrompt, Modality, Needs, Picture

_STILL = Needs(SIDE, "pad", rate=0)
_WHOLE: Box = (0.0, 0.0, 100.0, 100.0)


def router(service: Service) -> APIRouter:
    """The route of masks."""
    routes = APIRouter(tags=["search"])

    @routes.post("/segment", operation_id="mask", summary="Cut out what is pointed at")
    async def segment(asked: s.MaskRequest, seen: Sight) -> s.CutOut:
        """The thing at a point or in a box of a picture: its mask, and the thing before grey as an upload to search with.

        Without a model (the setting `masker`), colours are separated (GrabCut): good on quiet grounds, and wrong where a thing looks like what is
        around it. A model keeps the features of the last pictures, so further clicks into one cost little.
        """
        return await service.decoding.run(_made, service, seen, asked)

    return routes


def part_of(service: Service, seen: Seen, segment: int, box: Box) -> Path:
    """The part of what a segment shows, as a file to search with.

    Raises:
        Problem: there is no such segment (404), or it shows no picture (422).
        MediaError: it cannot be decoded.
    """
    with _pointed_into(service, seen, s.MaskRequest(segment=segment, box=s.Part(left=box[0], top=box[1], width=box[2], height=box[3]))) as (
        file, needs, _,
    ):  # fmt: skip
        return service.uploads.keep(jpeg(_part(service.pool, file, needs, box)), Modality.IMAGE)


def _made(service: Service, seen: Seen, asked: s.MaskRequest) -> s.CutOut:
    source, confidence = "grabcut", None
    with _pointed_into(service, seen, asked) as (file, needs, content):
        if asked.cut == "box" and asked.box:
            made = _part(service.pool, file, needs, asked.box.sides)
            kept = service.uploads.add(jpeg(made), Modality.IMAGE, ".jpg")
            return s.CutOut(
                source="box", box=s.Box.model_validate(wire.box(asked.box.sides)), share=asked.box.width * asked.box.height / 1e4, mask=None,
                png=None, upload=entry(service.uploads, kept), form=f"upload:{kept.id}",
            )  # fmt: skip
        prompt = MaskPrompt(
            tuple((one.x, one.y) for one in asked.on),
            tuple((one.x, one.y) for one in asked.beside),
            asked.box.sides if asked.box else None,
        )
        if service.settings.masker:
            segmenter = service.segmenter.get()
            with service.segmenter.turn:
                picture, pixels, confidence = segmenter.mask(
                    (content, needs.moments), lambda: _part(service.pool, file, needs, _WHOLE), prompt
                )
            source = service.places.hide(segmenter.name)
        else:
            picture, mask = service.masks().mask(file, needs, prompt)
            pixels = mask.pixels
    if not pixels.any():
        raise Problem(
            422, "no-thing", "Nothing stands out there", "What is pointed at cannot be told from what is around it.",
            remedy="Point at another place, draw a box around it, or take the box itself with cut=box.",
        )  # fmt: skip
    kept = service.uploads.add(jpeg(cut_out(picture, pixels)), Modality.IMAGE, ".jpg")
    return s.CutOut(
        source=source, confidence=confidence, box=s.Box.model_validate(wire.box(bounds(pixels))), share=float(pixels.mean()),
        mask=s.MaskRuns(size=list(pixels.shape), counts=run_lengths(pixels)),
        png=f"data:image/png;base64,{base64.b64encode(png(pixels)).decode()}",
        upload=entry(service.uploads, kept), form=f"upload:{kept.id}",
    )  # fmt: skip


@contextmanager
def _pointed_into(service: Service, seen: Seen, asked: s.MaskRequest) -> Iterator[tuple[Path | Held, Needs, str]]:
    """The file that is pointed into, how its picture is decoded, and what names its content."""
    if asked.upload is not None:
        upload = service.uploads.find(asked.upload)
        if upload.modality is not Modality.IMAGE:
            raise _pictureless(upload.modality)
        yield upload.path, _STILL, upload.id
        return
    at, id_ = asked.at_ms, asked.asset or 0
    if asked.segment is not None:
        if (found := seen.store.segments([asked.segment]).get(asked.segment)) is None:
            raise not_found("segment", asked.segment)
        id_ = found.asset
        if at is None and found.span and found.span.unit == "ms":
            at = (found.span.start + found.span.end) // 2
    asset = seen.asset(id_)
    if asset.modality not in (Modality.IMAGE, Modality.VIDEO):
        raise _pictureless(asset.modality)
    needs, last = _STILL, max((asset.duration_ms or 0) - 1, 0)
    if asset.modality is Modality.VIDEO:
        needs = Needs(SIDE, "inside", rate=0, moments=(min(at or 0, last),), lasts_ms=asset.duration_ms)
    with held(asset, seen.places) as file:
        yield file, needs, asset.digest


def _pictureless(modality: Modality) -> Problem:
    return Problem(
        422, "pictureless", "There is no picture to point into", f"It is of the medium {modality}.",
        remedy="Point into a picture or a video.",
    )  # fmt: skip


def _part(pool: DecodePool, file: Path | Held, needs: Needs, box: Box) -> Picture:
    """The part of a picture, or of a frame of a video, in a box: (H, W, 3)."""
    if not needs.moments:
        needs = replace(needs, crop=box)
    info: Info | None = None
    with closing(pool.decode(file, needs)) as replies:
        for one in replies:
            if isinstance(one, Info):
                info = one
            elif isinstance(one, Cut) and info and not isinstance(one.content, str):
                picture = np.asarray(one.content[0] if one.content.ndim == 4 else one.content, np.uint8)
                if needs.crop:
                    return unpadded(picture, info, needs)
                (left, wide), (top, high) = edges(picture.shape[1], *box[::2]), edges(picture.shape[0], *box[1::2])
                return np.ascontiguousarray(picture[top : top + high, left : left + wide])
    raise MediaError("no_content", "there is no picture in it")
