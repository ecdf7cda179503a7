"""Thumbnails, frame sheets and waveforms. They are made on first use, once for all concurrent requests, and cached on disk."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search import cache, disk, traces
from search.api.schemas import Sprite
from search.errors import DiskFull, MediaError, Problem
from search.media import DecodePool, previews
from search.media.decode.geometry import unpadded
from search.media.opening import Held
from search.settings import Settings
from search.store.catalogue import Asset
from search.types import Cut, Info, Modality, Needs, Picture

SIZES = (160, 320, 640, 1280)
"""Longest sides, in pixels. A requested size is rounded up to one of these, so that callers cannot fill the cache with variants."""

CELL_PIXELS, GRID_CELLS = 192, 5
"""Longest side of a frame in a sheet, in pixels; a sheet has at most ``GRID_CELLS`` by ``GRID_CELLS`` frames."""

SWEEP_EVERY = 200
"""The number of new pictures between two checks of the cache's size."""


@dataclass(frozen=True, slots=True)
class Made:
    """A picture on disk."""

    path: Path
    media_type: str
    etag: str


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """A requested picture, and the function that makes it from a file."""

    made: Made
    make: Callable[[Held], bytes]

    @property
    def there(self) -> bool:
        """Whether the picture is cached."""
        return self.made.path.exists()


class Thumbnails:
    """Makes pictures of assets and keeps them under ``cache/`` of the home. Thread-safe."""

    def __init__(self, settings: Settings, pool: DecodePool) -> None:
        self._home, self._quota = settings.home, settings.cache_bytes
        self._pool = pool
        self._lock = threading.Lock()
        self._making: dict[str, tuple[threading.Lock, int]] = {}
        self._made = 0

    def thumbnail(self, asset: Asset, size: int, at_ms: int | None) -> PictureRequest:
        """A picture, at most ``size`` pixels on its longer side: of a video the frame at a time, of a sound its waveform.

        Raises:
            Problem: a text has no picture, and neither has motion (404).
        """
        size = next((one for one in SIZES if one >= size), SIZES[-1])
        if asset.modality in (Modality.IMAGE, Modality.DEPTH, Modality.THERMAL):
            return self._wanted(asset, f"{asset.modality}-{size}", "jpg", lambda source: self._image(source, size))
        if asset.modality is Modality.AUDIO:
            return self._wanted(asset, f"wave-{size}", "png", lambda source: previews.wave(source, size, size * 3 // 8))
        if asset.modality is Modality.VIDEO:
            last = max((asset.duration_ms or 0) - 1, 0)
            at = last // 3 if at_ms is None else min(at_ms, last)
            return self._wanted(
                asset, f"shown-{size}-{at}", "jpg", lambda source: previews.jpeg(self._frames(asset, source, size, [at])[0])
            )
        if asset.modality is Modality.IMU:
            raise Problem(404, "no-picture", "Motion has no picture", "There is no thumbnail of motion.", remedy="Show its name.")
        raise Problem(404, "no-picture", "A text has no picture", "There is no thumbnail of a text.", remedy="Show its words.")

    def picture(
        self, asset: Asset, at_ms: int | None, source: Callable[[], AbstractContextManager[Held]], size: int = 320
    ) -> bytes:
        """The thumbnail itself, JPEG or PNG; raises as ``thumbnail`` and ``keep`` do."""
        wanted = self.thumbnail(asset, size, at_ms)
        self.keep(wanted, source)
        return wanted.made.path.read_bytes()

    def preview(self, asset: Asset) -> PictureRequest:
        """The frame sheet of a video, or the waveform of a sound; raises as ``thumbnail`` does."""
        if asset.modality is Modality.AUDIO:
            return self._wanted(asset, "wave", "png", lambda source: previews.wave(source, 1280, 160))
        if asset.modality is Modality.VIDEO:
            plan = sprite(asset)
            times = range(0, plan.count * plan.step_ms, plan.step_ms)
            return self._wanted(
                asset, "shown", "jpg", lambda source: previews.jpeg(_tiled(self._frames(asset, source, CELL_PIXELS, times), plan))
            )
        raise Problem(
            404, "no-preview", "There is no preview", f"There is no preview of {asset.modality} media.",
            remedy="Use the thumbnail, or the media itself.",
        )  # fmt: skip

    def keep(self, wanted: PictureRequest, source: Callable[[], AbstractContextManager[Held]]) -> None:
        """Make a picture, unless it is cached. ``source`` opens the file to read; it is called only if needed.

        Raises:
            MediaError: the file cannot be decoded.
            DiskFull: there is no room.
        """
        with self._once(wanted.made.path.name):
            if not wanted.there:
                with traces.span("thumbnail"), source() as held:
                    _write(wanted.made.path, wanted.make(held))
                self._sweep()

    def _image(self, source: Held, size: int) -> bytes:
        needs = Needs(size=size, fit="pad", rate=16_000, window_ms=1_000, characters=100)
        replies = self._pool.decode(source, needs)
        info: Info | None = None
        try:
            for item in replies:
                if isinstance(item, Info):
                    info = item
                elif isinstance(item, Cut) and info and not isinstance(item.content, str):
                    return previews.jpeg(unpadded(_coloured(item.content), info, needs))
        finally:
            replies.close()  # one frame of an animation is enough
        raise MediaError("undecodable", "The file is no picture any more.")

    def _frames(self, asset: Asset, source: Held, size: int, times: Sequence[int]) -> list[Picture]:
        """The frames of a video on screen at ``times``, ascending: (H, W, 3), at most ``size`` pixels on the longer side.

        A video that cannot be decoded to its end gives fewer frames, but at least one.
        """
        needs = Needs(size, "inside", rate=0, moments=tuple(times), lasts_ms=asset.duration_ms)
        frames: list[Picture] = []
        with contextlib.closing(self._pool.decode(source, needs)) as replies:
            try:
                frames.extend(
                    _coloured(item.content) for item in replies if isinstance(item, Cut) and not isinstance(item.content, str)
                )
            except MediaError:
                if not frames:
                    raise
        if not frames:
            raise MediaError("undecodable", "the file has no pictures any more")
        return frames

    def _wanted(self, asset: Asset, what: str, suffix: str, make: Callable[[Held], bytes]) -> PictureRequest:
        path = cache.picture(self._home, asset.digest, what, suffix)
        tag = hashlib.sha256(path.name.encode()).hexdigest()[:40]
        return PictureRequest(Made(path, "image/png" if suffix == "png" else "image/jpeg", f'"{tag}"'), make)

    @contextmanager
    def _once(self, key: str) -> Iterator[None]:
        """Lock a picture: one caller makes it, and the others then find it in the cache."""
        with self._lock:
            lock, waiting = self._making.get(key, (threading.Lock(), 0))
            self._making[key] = (lock, waiting + 1)
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, waiting = self._making.pop(key)
                if waiting > 1:
                    self._making[key] = (lock, waiting - 1)

    def _sweep(self) -> None:
        """From time to time, delete the oldest pictures if the cache is too large."""
        with self._lock:
            self._made += 1
            if self._made % SWEEP_EVERY:
                return
        files = []
        for path in cache.pictures(self._home):
            with contextlib.suppress(FileNotFoundError):
                files.append((path.stat().st_mtime, path.stat().st_size, path))
        taken = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if taken <= self._quota:
                break
            path.unlink(missing_ok=True)
            taken -= size


def sprite(asset: Asset) -> Sprite:
    """The layout of a video's frame sheet: one frame for each half second at most, and at most twenty-five."""
    duration = max(asset.duration_ms or 0, 1)
    count = min(GRID_CELLS * GRID_CELLS, max(1, duration // 500))
    wide, high = asset.width or 16, asset.height or 9
    scale = CELL_PIXELS / max(wide, high)
    width, height = (max(2, 2 * round(side * scale / 2)) for side in (wide, high))
    columns = min(count, GRID_CELLS)
    rows = -(-count // columns)
    return Sprite(columns=columns, rows=rows, count=count, width=width, height=height, step_ms=max(1, duration // count))


def _tiled(frames: Sequence[Picture], plan: Sprite) -> Picture:
    """Frames in rows as in ``plan``, (H, W, 3); empty places are black."""
    sheet = np.zeros((plan.rows * plan.height, plan.columns * plan.width, 3), np.uint8)
    for number, frame in enumerate(frames):
        top, left = number // plan.columns * plan.height, number % plan.columns * plan.width
        cell = frame[: plan.height, : plan.width]
        sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet


def _coloured(content: NDArray[Any]) -> Picture:
    """Decoded content as a picture (H, W, 3): the first frame of an animation, shades of grey for depth and heat."""
    if content.ndim == 2:
        content = np.repeat((content * 255).round()[..., None], 3, axis=2)
    return np.asarray(content[0] if content.ndim == 4 else content, np.uint8)


def _write(path: Path, content: bytes) -> None:
    """Write a file atomically.

    Raises:
        DiskFull: there is no room.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.{time.monotonic_ns()}")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        if disk.full(error):
            raise DiskFull("There is no room for pictures of media.", remedy="Free some space on the service's disk.") from error
        raise
    finally:
        part.unlink(missing_ok=True)
