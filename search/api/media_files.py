"""Media files, with ranges, and pictures of them. Nothing that is served here can run in a browser."""

from __future__ import annotations

import os
import re
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from starlette.datastructures import Headers
from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from search.api import schemas as s
from search.api.links import attachment
from search.api.places import Places, printable
from search.api.seen import Seen, Sight
from search.api.service import Service
from search.api.thumbnails import PictureRequest, sprite
from search.errors import InputError, MediaError, ObjectsAway, Problem, SensoriumError
from search.folders import is_address
from search.media import DecodePool
from search.media.metadata.positions import patched
from search.media.opening import Held
from search.store.catalogue import Asset
from search.types import TRACK_FORMATS, Modality, Patch

TYPES = {
    "jpeg": "image/jpeg", "png": "image/png", "gif": "image/gif", "webp": "image/webp", "tiff": "image/tiff",
    "bmp": "image/bmp", "avif": "image/avif", "mp4": "video/mp4", "mov": "video/mp4", "matroska": "video/x-matroska",
    "webm": "video/webm", "avi": "video/x-msvideo", "mpegts": "video/mp2t", "mpeg": "video/mpeg", "mpegvideo": "video/mpeg",
    "flv": "video/x-flv", "asf": "video/x-ms-asf", "wav": "audio/wav", "w64": "audio/wav", "mp3": "audio/mpeg",
    "flac": "audio/flac", "ogg": "audio/ogg", "aac": "audio/aac", "aiff": "audio/aiff", "caf": "audio/x-caf",
    "m4a": "audio/mp4", "ac3": "audio/ac3", "eac3": "audio/eac3", "au": "audio/basic", "amr": "audio/amr",
    "dts": "audio/vnd.dts", "wv": "audio/x-wavpack", "ape": "audio/x-ape", "tta": "audio/x-tta", "mxf": "application/mxf", "dv": "video/x-dv",
    "gxf": "application/gxf", "m4v": "video/x-m4v", "h264": "video/h264", "hevc": "video/h265", "ivf": "video/x-ivf",
    "jpeg2000": "image/jp2", "ppm": "image/x-portable-pixmap", "tga": "image/x-tga", "psd": "image/vnd.adobe.photoshop", "exr": "image/x-exr", "pdf": "application/pdf",
    "fit": "application/vnd.ant.fit",
}  # fmt: skip
"""Formats, as the decoder names them, to media types. Every other text is served as plain text."""

SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; media-src 'self'; img-src 'self'; style-src 'unsafe-inline'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_AGE = "private, max-age=3600"

MAX_REMEMBERED = 2_000
"""Files of which it is remembered where they tell a position."""


Seconds = Annotated[float, Query(ge=0, le=1e7, allow_inf_nan=False, description="The time of the frame, in seconds.")]
Pixels = Annotated[int, Query(ge=16, le=1280, description="Longest side in pixels; rounded up to 160, 320, 640 or 1280.")]


class File(FileResponse):
    """A file sent in pieces. Starlette handles single ranges, If-Range and HEAD."""

    chunk_size = 256 * 1024


class OpenFile(File):
    """A file that is already open. So the file that was checked is the file that is sent, even if the path now leads elsewhere.
    Closes it."""

    def __init__(self, descriptor: int, patches: Sequence[Patch] = (), **options: Any) -> None:  # noqa: ANN401 - Starlette's own
        """``patches`` are made to what is sent, not to the file."""
        self._descriptor, self._patches = descriptor, patches
        super().__init__(f"/dev/fd/{descriptor}", **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        at = 0

        async def changed(message: Message) -> None:
            nonlocal at
            if message["type"] == "http.response.start":
                told = _BEGINS.match(Headers(raw=message["headers"]).get("content-range", ""))
                at = int(told[1]) if told else 0
            elif body := message.get("body"):
                message["body"], at = patched(body, at, self._patches), at + len(body)
            await send(message)

        try:
            await super().__call__(scope, receive, changed if self._patches else send)
        finally:
            os.close(self._descriptor)


_BEGINS = re.compile(r"bytes (\d+)-")
"""The first byte of a range, in Content-Range."""


class Positions:
    """What takes the positions out of files, found once for each content that was asked for lately. Thread-safe."""

    def __init__(self, pool: DecodePool) -> None:
        self._pool, self._lock = pool, threading.Lock()
        self._known: OrderedDict[str, tuple[Patch, ...]] = OrderedDict()

    def known(self, asset: Asset) -> tuple[Patch, ...] | None:
        """The changes to the file of an asset; None: they are to be found."""
        with self._lock:
            return self._known.get(asset.digest)

    def find(self, asset: Asset, file: Held) -> tuple[Patch, ...]:
        """The changes to the file of an asset.

        Raises:
            MediaError: the file cannot be looked through.
        """
        found = tuple(self._pool.positions(file))
        with self._lock:
            self._known[asset.digest] = found
            if len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
        return found


def router(service: Service) -> APIRouter:
    """The routes that answer media and pictures."""
    routes = APIRouter(prefix="/assets/{id}", tags=["media"])
    positions = Positions(service.pool)
    binary: dict[str, Any] = {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
    pictures: dict[int | str, dict[str, Any]] = {
        200: {"content": {"image/jpeg": {}, "image/png": {}}},
        304: {"description": "It has not changed."},
    }
    ranges: dict[int | str, dict[str, Any]] = {
        200: binary,
        206: binary | {"description": "A part."},
        304: {"description": "It has not changed."},
    }

    @routes.head("/media", include_in_schema=False)
    @routes.get("/media", response_class=Response, responses=ranges, operation_id="media", summary="The media")
    async def media(id: s.Id, seen: Sight, request: Request, download: bool = False) -> Response:  # noqa: A002 - the name in the address
        """The file, or a single range of it. What a browser could run is sent as plain text or to be saved.

        Where it was made is erased from pictures, sounds and films, byte for byte, unless the setting `show_positions` names its collection.
        """
        asset = await to_thread.run_sync(seen.asset, id)
        with ExitStack() as kept:
            path, descriptor, found, collection = await to_thread.run_sync(_opened, asset, seen.places)
            kept.callback(os.close, descriptor)
            name = printable(os.path.basename(path))
            kind = media_type(asset)
            if asset.modality is Modality.IMU and asset.format in TRACK_FORMATS and not seen.places.placed(collection):
                raise Problem(
                    403, "positions", "Positions are not shown", "The file is nothing but positions.",
                    remedy="The setting show_positions names the collections whose positions are shown.",
                )  # fmt: skip
            patches: tuple[Patch, ...] | None = ()
            if not seen.places.placed(collection) and asset.modality not in (Modality.TEXT, Modality.IMU):
                patches = positions.known(asset)
            if patches is None:
                patches = await service.picturing.run(positions.find, asset, Held(Path(path), descriptor))
            etag = f'"{asset.digest}{"-placeless" if patches else ""}"'
            headers = {"ETag": etag, "Cache-Control": _AGE, "Accept-Ranges": "bytes"} | SAFE
            if _matches(request, etag):
                return Response(status_code=304, headers=headers)
            _settle_range(request, found.st_size)
            headers["Content-Disposition"] = attachment(name, inline=not download and kind != TYPES["pdf"])
            answer = OpenFile(descriptor, patches, headers=headers, media_type=kind, stat_result=found)
            kept.pop_all()  # the response closes it
            return answer

    @routes.get(
        "/thumbnail", response_class=Response, responses=pictures, operation_id="thumbnail", summary="A thumbnail"
    )  # fmt: skip
    async def thumbnail(id: s.Id, seen: Sight, request: Request, t: Seconds | None = None, size: Pixels = 320) -> Response:  # noqa: A002
        """A picture of the asset: of a video its frame at `t`, of a sound its wave. A text has none."""
        asset = await to_thread.run_sync(seen.asset, id)
        return await _picture(
            request, service, seen, asset, service.thumbnails.thumbnail(asset, size, None if t is None else round(t * 1000))
        )

    @routes.get(
        "/preview", response_class=Response, operation_id="preview", summary="A sheet of frames, or a wave",
        responses={200: {"content": {"image/jpeg": {}, "image/png": {}, "application/json": {}}}, 304: pictures[304]},
    )  # fmt: skip
    async def preview(id: s.Id, seen: Sight, request: Request, info: bool = False) -> Response:  # noqa: A002
        """For hovering: frames of a video side by side (`?info=1` says how they lie), or the wave of a sound."""
        asset = await to_thread.run_sync(seen.asset, id)
        if asset.modality is Modality.VIDEO and info:
            return Response(sprite(asset).model_dump_json(), media_type="application/json")
        return await _picture(request, service, seen, asset, service.thumbnails.preview(asset))

    return routes


@contextmanager
def held(asset: Asset, places: Places) -> Iterator[Held]:
    """A file that still holds the asset as it was indexed, open: a path that leads elsewhere a moment later does no harm.

    Raises:
        Problem: it no longer exists (410), has changed since (409), or is outside the roots (403).
    """
    path, descriptor, *_ = _opened(asset, places)
    try:
        yield Held(Path(path), descriptor)
    finally:
        os.close(descriptor)


def _opened(asset: Asset, places: Places) -> tuple[str, int, os.stat_result, str]:
    """A file that holds the asset as it was indexed: its path, its descriptor, its status, and its collection.

    The opened file is checked, so a path that changes later does no harm.
    """
    changed = outside = False
    away: SensoriumError | None = None
    for place in asset.locations:
        if is_address(place.path):
            if not places.holds(place.path):
                outside = True
                continue
            try:
                descriptor = places.objects.open(os.fsencode(place.path), bytes.fromhex(asset.digest), asset.size)
            except MediaError:
                changed = True
            except (ObjectsAway, InputError) as error:
                away = error
            else:
                return place.path, descriptor, os.fstat(descriptor), place.collection
            continue
        try:
            descriptor = os.open(place.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            continue
        with ExitStack() as kept:
            kept.callback(os.close, descriptor)
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or (found.st_size, found.st_mtime_ns) != (place.size, place.mtime_ns):
                changed = True
            elif not places.holds(_real_path(descriptor, place.path)):
                outside = True
            else:
                kept.pop_all()
                return place.path, descriptor, found, place.collection
    if outside:
        raise Problem(
            403, "outside-roots", "The file lies outside the roots", "A link leads to it; only what lies under a root is served.",
            remedy="Start the service with --root for the folder that holds it.",
        )  # fmt: skip
    again = "Index its folder again."
    if away is not None:
        raise Problem(
            503,
            "objects-away",
            "The storage of the file is away",
            "The file is in storage that cannot be reached.",
            remedy=away.remedy,
        )
    if changed:
        raise Problem(409, "changed", "The file has changed", "The file is another one than was indexed.", remedy=again)
    raise Problem(410, "vanished", "The file is gone", "The file is no longer where it was indexed.", remedy=again)


def _real_path(descriptor: int, path: str) -> str:
    """The path of an opened file. If the system does not tell it, the path that the name leads to."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return os.path.realpath(path)


def media_type(asset: Asset) -> str:
    """The media type of an asset, from what the decoder found, never from its name."""
    kind = TYPES.get(asset.format, "")
    if asset.modality in (Modality.TEXT, Modality.IMU):
        return kind or "text/plain; charset=utf-8"
    if asset.modality is Modality.AUDIO and kind.startswith("video/"):
        return kind.replace("video/", "audio/", 1)
    return kind or "application/octet-stream"


async def _picture(request: Request, service: Service, seen: Seen, asset: Asset, wanted: PictureRequest) -> Response:
    """Answer with a picture. A picture that is not cached yet waits for its turn."""
    if not wanted.there:
        await service.picturing.run(service.thumbnails.keep, wanted, lambda: held(asset, seen.places))
    made = wanted.made
    headers = {"ETag": made.etag, "Cache-Control": _AGE} | SAFE
    if _matches(request, made.etag):
        return Response(status_code=304, headers=headers)
    return File(made.path, headers=headers, media_type=made.media_type)


def _matches(request: Request, etag: str) -> bool:
    """Evaluate If-None-Match, which compares weakly (RFC 9110, 13.1.2)."""
    given = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    return etag in given or given == ["*"]


def _settle_range(request: Request, size: int) -> None:
    """Leave a single valid range to the response. Drop a range that is malformed or not single, as RFC 9110 allows.

    Raises:
        Problem: it begins beyond the end (416).
    """
    given = request.headers.get("range")
    if given is None:
        return
    unit, _, ranges = given.partition("=")
    start, dash, end = (part.strip() for part in ranges.partition("-"))
    numbers = all(part == "" or (part.isascii() and part.isdigit() and len(part) < 19) for part in (start, end))
    if (
        unit.strip().lower() != "bytes"
        or not dash
        or not numbers
        or not (start or end)
        or (start and end and int(end) < int(start))
    ):
        request.scope["headers"] = [(name, value) for name, value in request.scope["headers"] if name != b"range"]
        return
    if int(start) >= size if start else int(end) == 0:
        raise Problem(
            416, "range", "The range lies beyond the end", f"The file has {size} bytes.",
            remedy="Ask for a range that begins before the end.", Content_Range=f"bytes */{size}",
        )  # fmt: skip
