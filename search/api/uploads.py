"""Uploaded content to search with, kept for some time in a folder under the home that has a quota."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from search import disk
from search.api import schemas as s
from search.api.fetch import fetch, name_of
from search.api.multipart import FileInForm
from search.api.turns import Turns
from search.errors import DiskFull, MediaError, Problem
from search.media import DecodePool, ending
from search.settings import Settings
from search.types import Info, Modality, Needs

PROBE = Needs(size=64, fit="pad", rate=16_000, window_ms=1_000, characters=2_000)
"""The needs with which an upload is decoded to find out its type."""

MIN_FREE_BYTES = 64 << 20
"""Bytes that uploads leave free on the disk."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to search with. ``used_at`` is in seconds since 1970."""

    id: str
    path: Path
    modality: Modality
    bytes: int
    used_at: float

    @property
    def pinned(self) -> bool:
        """Whether it is kept until somebody deletes it."""
        return _is_pinned(self.path)


class Uploads:
    """Files named ``id.modality.suffix``, or ``id.modality.pinned.suffix``. When a file was last used is its access time, set here: its modification time stays,
    since query vectors are remembered by that. Thread-safe."""  # fmt: skip

    def __init__(self, settings: Settings, pool: DecodePool, decoding: Turns) -> None:
        """``decoding``: the turns for decoding an upload to find out its type."""
        self._settings, self._pool, self._decoding = settings, pool, decoding
        self._folder = settings.uploads or settings.home / "uploads"

    async def receive(self, chunks: AsyncIterator[bytes], announced: int | None, name: Callable[[], str]) -> Upload:
        """Write the arriving bytes, counting them, then find out the type, with the help of ``name``. If it is cut off, too large
        or not media, nothing is kept.

        Raises:
            Problem: too large (413), the quota is used up (507), cut off (400), too many others (429).
            DiskFull: there is no room on the disk.
            MediaError: it is not media that can be read.
        """
        self._decoding.admit()
        part = await anyio.to_thread.run_sync(self._begin, announced)
        try:
            size = await self._write(part, chunks, announced)
            return await self._decoding.run(self._settle, part, size, ending(name()))
        except ClientDisconnect:
            raise _cut(announced) from None
        except OSError as error:
            raise self._no_room() if disk.full(error) else error from error
        finally:
            part.unlink(missing_ok=True)

    async def fetch(self, url: str) -> Upload:
        """Store the content at a URL; raises as ``receive`` does.

        Raises:
            Problem: fetching is disabled (403), or this URL is not allowed (422).
        """
        if not self._settings.fetch_urls or self._settings.offline:
            raise Problem(
                403, "fetching-off", "Nothing is fetched", "This service fetches nothing from the web.",
                remedy="Send the file to POST /v1/uploads; or set fetch_urls, and offline not.",
            )  # fmt: skip
        pieces = fetch(url, self._settings.upload_bytes)

        async def chunks() -> AsyncIterator[bytes]:
            while piece := await anyio.to_thread.run_sync(next, pieces, b""):
                yield piece

        try:
            return await self.receive(chunks(), None, lambda: name_of(url))
        finally:
            await anyio.to_thread.run_sync(pieces.close)

    def keep(self, content: bytes, modality: Modality) -> Path:
        """Store an inlined medium under its hash, so that the same content is not written or encoded again."""
        id_ = hashlib.sha256(content).hexdigest()
        path = self._folder / f"{id_}.{modality}"
        if path.exists():
            _touch(path)
            return path
        part = self._begin(len(content))
        try:
            part.write_bytes(content)
            part.replace(path)
        except OSError as error:
            raise self._no_room() if disk.full(error) else error from error
        finally:
            part.unlink(missing_ok=True)
        return path

    def add(self, content: bytes, modality: Modality, suffix: str) -> Upload:
        """Store a medium that the service made, under an id of its own; ``suffix`` is that of its name. Raises as ``receive`` does."""
        part = self._begin(len(content))
        final = part.with_name(f"{part.stem}.{modality}{suffix}")
        try:
            part.write_bytes(content)
            part.replace(final)
        except OSError as error:
            raise self._no_room() if disk.full(error) else error from error
        finally:
            part.unlink(missing_ok=True)
        return _upload(final)

    def find(self, id_: str) -> Upload:
        """An upload that has not expired. Finding it extends its life.

        Raises:
            Problem: there is none (404).
        """
        self.sweep()
        for path in self._folder.glob(f"{id_}.*"):
            if path.name.split(".")[1] in set(Modality):
                _touch(path)
                return _upload(path)
        raise Problem(
            404, "no-upload", "There is no such upload", f"There is no upload {id_}.",
            remedy="It may have expired: send the file again.",
        )  # fmt: skip

    def delete(self, id_: str) -> None:
        """Delete an upload; raises Problem (404) if there is none."""
        self.find(id_).path.unlink(missing_ok=True)

    def pin(self, id_: str, *, pinned: bool) -> Upload:
        """Keep an upload until it is deleted, or let it expire again; raises Problem (404) if there is none."""
        path = self.find(id_).path
        id_, modality, *rest = path.name.split(".")
        suffix = [part for part in rest if part != _PINNED]
        changed = path.with_name(".".join([id_, modality, *([_PINNED] if pinned else []), *suffix]))
        path.rename(changed)
        _touch(changed)
        return _upload(changed)

    def expires_at(self, upload: Upload) -> datetime.datetime | None:
        """When an upload expires unless it is used; None: it is pinned."""
        if upload.pinned:
            return None
        return datetime.datetime.fromtimestamp(upload.used_at + self._settings.upload_hours * 3600, datetime.UTC)

    def sweep(self) -> None:
        """Delete expired uploads, and half-written files of a killed service."""
        oldest = time.time() - self._settings.upload_hours * 3600
        for path in self._files():
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                if max(stat.st_atime, stat.st_mtime) < oldest and not _is_pinned(path):
                    path.unlink()

    def _begin(self, announced: int | None) -> Path:
        """A new file to write to, if there is room for the announced size."""
        if announced is not None and announced > self._settings.upload_bytes:
            raise self._too_large()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.sweep()
        self._check_room(announced or 0)
        return self._folder / f"{secrets.token_hex(16)}.part"

    def taken(self) -> int:
        """The bytes used by all uploads."""
        taken = 0
        for path in self._files():
            with contextlib.suppress(FileNotFoundError):
                taken += path.stat().st_size
        return taken

    def _check_room(self, more: int) -> None:
        if self.taken() + more > self._settings.upload_quota:
            raise Problem(
                507, "uploads-full", "There is no room for uploads", "All uploads together take what the setting upload_quota allows.",
                remedy="Delete some, or wait until some expire; or raise the setting upload_quota.",
            )  # fmt: skip
        if shutil.disk_usage(self._folder).free < more + MIN_FREE_BYTES:
            raise self._no_room()

    async def _write(self, part: Path, chunks: AsyncIterator[bytes], announced: int | None) -> int:
        size = checked = 0
        with part.open("xb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > self._settings.upload_bytes:
                    raise self._too_large()
                await anyio.to_thread.run_sync(file.write, chunk)
                if size - checked > 16 << 20:  # many uploads at once share one quota
                    checked = size
                    await anyio.to_thread.run_sync(self._check_room, 0)
        if announced is not None and size != announced:
            raise _cut(announced)
        return size

    def _settle(self, part: Path, size: int, suffix: str) -> Upload:
        """Name a complete file by the type that the decoder finds."""
        probed = part.with_name(f"{part.stem}.probe{suffix}")  # the decoder tells texts, and what sensors see, apart by it
        part.replace(probed)
        try:
            modality = self._probe(probed)
            final = part.with_name(f"{part.stem}.{modality}{os.path.splitext(suffix)[1]}")
            probed.replace(final)
        finally:
            probed.unlink(missing_ok=True)
        return Upload(part.stem, final, modality, size, time.time())

    def _probe(self, path: Path) -> Modality:
        replies = self._pool.decode(path, PROBE)
        try:
            for item in replies:
                if isinstance(item, Info):
                    return item.modality
        finally:
            replies.close()  # what follows need not be decoded
        raise MediaError("no_content", "Nothing in it can be searched with.")

    def _files(self) -> list[Path]:
        return list(self._folder.iterdir()) if self._folder.is_dir() else []

    def _no_room(self) -> DiskFull:
        free = shutil.disk_usage(self._folder).free >> 20
        return DiskFull(
            f"The disk of the uploads has {free} MB left; {MIN_FREE_BYTES >> 20} stay free.", remedy="Free some space on the service's disk."
        )  # fmt: skip

    def _too_large(self) -> Problem:
        return Problem(
            413, "too-large", "The upload is too large", f"An upload has at most {self._settings.upload_bytes >> 20} MB.",
            remedy="Cut the part out that you search with, or raise the setting upload_bytes.",
        )  # fmt: skip


def router(uploads: Uploads) -> APIRouter:
    """The routes of uploads."""
    routes = APIRouter(prefix="/uploads", tags=["uploads"])
    file = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": file}, "required": ["file"]}
    binary = {
        "content": {"application/octet-stream": {"schema": file}, "multipart/form-data": {"schema": form}},
        "required": True,
    }

    @routes.post(
        "",
        status_code=201,
        openapi_extra={"requestBody": binary},
        operation_id="upload",
        summary="Send content",
    )
    async def upload(request: Request, name: s.Words | None = None) -> s.Upload:
        """Send a picture, sound, video or text as the body, or as the one file of a form, to search with. `name` helps to tell texts apart by their suffix.

        What it is, is found out by decoding it, not from its name. It expires when it was not used for a while.
        """
        announced = request.headers.get("content-length", "")
        length = int(announced) if announced.isascii() and announced.isdigit() else None
        if form := FileInForm.of(request.headers.get("content-type", "")):
            upload = await uploads.receive(form.read(request.stream()), None, lambda: name or form.name)
        else:
            upload = await uploads.receive(request.stream(), length, lambda: name or "")
        return entry(uploads, upload)

    @routes.post("/fetch", status_code=201, operation_id="fetch", summary="Fetch content")
    async def fetch_url(asked: s.FetchRequest) -> s.Upload:
        """Fetch content from the web, to search with. The service has to be set to do so: `fetch_urls`."""
        return entry(uploads, await uploads.fetch(asked.url))

    @routes.get("/{id}", operation_id="get_upload", summary="An upload")
    def get(id: s.UploadId) -> s.Upload:  # noqa: A002 - the name in the address
        """What is known of an upload."""
        return entry(uploads, uploads.find(id))

    @routes.put("/{id}/pin", operation_id="pin_upload", summary="Keep an upload")
    def pin(id: s.UploadId) -> s.Upload:  # noqa: A002
        """Keep an upload until it is deleted, so that what refers to it, such as a link to the page, goes on working."""
        return entry(uploads, uploads.pin(id, pinned=True))

    @routes.delete("/{id}/pin", operation_id="unpin_upload", summary="Let an upload expire")
    def unpin(id: s.UploadId) -> s.Upload:  # noqa: A002
        """Let a pinned upload expire like any other."""
        return entry(uploads, uploads.pin(id, pinned=False))

    @routes.delete("/{id}", status_code=204, operation_id="delete_upload", summary="Forget an upload")
    def delete(id: s.UploadId) -> Response:  # noqa: A002
        """Forget an upload now."""
        uploads.delete(id)
        return Response(status_code=204)

    return routes


def entry(uploads: Uploads, upload: Upload) -> s.Upload:
    """An upload in the form of the API."""
    return s.Upload(id=upload.id, modality=upload.modality, bytes=upload.bytes, expires_at=uploads.expires_at(upload))


def _upload(path: Path) -> Upload:
    id_, modality, *_ = path.name.split(".")
    stat = path.stat()
    return Upload(id_, path, Modality(modality), stat.st_size, max(stat.st_atime, stat.st_mtime))


_PINNED = "pinned"


def _is_pinned(path: Path) -> bool:
    return _PINNED in path.name.split(".")[2:3]


def _touch(path: Path) -> None:
    with contextlib.suppress(OSError):
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def _cut(announced: int | None) -> Problem:
    said = f"{announced} bytes were announced, and fewer arrived." if announced else "The connection ended before the file did."
    return Problem(400, "cut-upload", "The upload was cut", said, remedy="Send it again. Nothing of it was kept.")
