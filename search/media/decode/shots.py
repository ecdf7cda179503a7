"""Shot detection: where one shot ends and the next begins.

It compares histograms of consecutive frames. The threshold adapts to the motion.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import av
    from av.video.plane import VideoPlane

Histogram: TypeAlias = NDArray[np.float32]
"""(128,) float32: 16 bins of luma for each quarter of the frame, then 32 for each chroma plane; each part sums to 1."""

MIN_SHOT_MS = 500
"""Cuts nearer than this to the last one are ignored."""
FLASH_MS = 150
"""A change that is reversed within this time is a flash."""

_FLOOR = 0.16
"""A change below this is never a cut; distances lie between 0 and 1."""
_FACTOR = 4.0
"""A cut changes this many times as much as the frames before it did on average."""
_MEMORY = 0.85
"""Weight of the past in that average."""
_ROWS, _COLUMNS = 36, 64
"""The approximate number of luma samples of a frame that are counted."""

PLANAR = {
    "yuv420p": 0,
    "yuvj420p": 0,
    "yuv422p": 0,
    "yuvj422p": 0,
    "yuv444p": 0,
    "yuvj444p": 0,
    "yuv420p10le": 2,
    "yuv422p10le": 2,
}
"""Three-plane pixel formats that are read directly -> bits beyond eight."""


class ShotDetector:
    """Tells for each frame whether a shot begins there.

    Frames come in order, with their times in milliseconds.
    """

    def __init__(self) -> None:
        """Start before the first frame."""
        self._previous: Histogram | None = None
        self._before: Histogram | None = None
        self._measured: tuple[Histogram | None, Histogram, float] | None = None
        self._candidate = 0
        self._begin = 0
        self._usual = 0.0

    def watching_since(self, time: int) -> bool:
        """Whether there was a change before ``time`` that is still undecided: a cut or a flash."""
        return self._before is not None and self._candidate < time

    def calm(self, histogram: Histogram) -> bool:
        """Whether nothing is undecided, and this frame differs from the last by less than half a cut."""
        return self._before is None and self._previous is not None and self._change(histogram) < _FLOOR / 2

    def changes(self, histogram: Histogram, time: int) -> bool:
        """Whether a shot may begin with this frame."""
        if self._previous is None or self._before is not None or time - self._begin < MIN_SHOT_MS:
            return False
        return self._change(histogram) > max(_FLOOR, _FACTOR * self._usual)

    def push(self, histogram: Histogram, time: int) -> int | None:
        """Take the next frame. Returns the start of a shot once it is certain; that is before ``time``."""
        found = self._settle(time)
        changes = self.changes(histogram, time)
        change = self._change(histogram) if self._previous is not None else 0.0
        previous, self._previous = self._previous, histogram
        if previous is None:
            self._begin = time
        elif changes:
            self._before, self._candidate = previous, time
        else:
            self._usual = _MEMORY * self._usual + (1 - _MEMORY) * change
        return found

    def _change(self, histogram: Histogram) -> float:
        """How much a frame differs from the one before; measured once, though it is asked for thrice."""
        if self._measured is None or self._measured[0] is not self._previous or self._measured[1] is not histogram:
            self._measured = self._previous, histogram, distance(cast("Histogram", self._previous), histogram)
        return self._measured[2]

    def finish(self, end: int) -> int | None:
        """The start of the last shot, if it was still undecided when the video ended, at ``end``."""
        return self._settle(end) if end - self._candidate >= MIN_SHOT_MS else None

    def _settle(self, time: int) -> int | None:
        """Decide on a pending change, once the frame that is shown until ``time`` has been there long enough."""
        if self._before is None or self._previous is None or time - self._candidate < FLASH_MS:
            return None
        before, self._before = self._before, None
        if distance(before, self._previous) <= max(_FLOOR, _FACTOR * self._usual) * 0.7:
            return None
        self._begin = self._candidate
        self._usual = 0.0
        return self._candidate


def histogram(frame: av.VideoFrame) -> Histogram:
    """The colour histogram of a frame, on a coarse grid read directly from its planes."""
    extra = PLANAR.get(frame.format.name)
    if extra is None:
        frame, extra = frame.reformat(_COLUMNS, _ROWS, "yuv420p", interpolation="POINT", threads=1), 0
    planes = frame.planes
    luma = (_grid(planes[0], extra, 1) >> 4) + _quarters(planes[0].height, planes[0].width)
    counts = np.empty(128, np.float32)
    counts[:64] = np.bincount(luma.ravel(), minlength=64)[:64]
    counts[:64] *= 4 / luma.size
    for place, plane in ((64, planes[1]), (96, planes[2])):
        chroma = _grid(plane, extra, 2) >> 3
        counts[place : place + 32] = np.bincount(chroma.ravel(), minlength=32)
        counts[place : place + 32] /= chroma.size
    return counts


def distance(a: Histogram, b: Histogram) -> float:
    """How much of a frame's colour has changed, 0 to 1: half luma, half chroma."""
    change = np.abs(a - b)
    return float(change[:64].sum() / 16 + change[64:].sum() / 8)


def _grid(plane: VideoPlane, extra: int, coarser: int) -> NDArray[np.integer]:
    """About ``_ROWS`` x ``_COLUMNS`` samples of a plane, as 8 bits."""
    height, width = plane.height, plane.width
    samples: NDArray[np.integer] = np.frombuffer(cast(Any, plane), np.uint16 if extra else np.uint8)
    down, across = _steps(height, width, coarser)
    samples = samples.reshape(height, -1)[::down, :width:across]
    return (samples >> extra).astype(np.uint8) if extra else samples


@functools.lru_cache(32)
def _steps(height: int, width: int, coarser: int) -> tuple[int, int]:
    return max(1, coarser * height // _ROWS), max(1, coarser * width // _COLUMNS)


@functools.lru_cache(8)
def _quarters(height: int, width: int) -> NDArray[np.uint8]:
    """The bin offset for each point of the grid, so that each quarter of the frame has its own 16 bins of luma."""
    down, across = _steps(height, width, 1)
    rows, columns = -(-height // down), -(-width // across)
    lower, right = np.arange(rows) >= rows / 2, np.arange(columns) >= columns / 2
    return (32 * lower[:, None] + 16 * right[None, :]).astype(np.uint8)
