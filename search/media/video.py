"""Pictures of a video: frames sampled inside shots, each shot a cut."""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from search.media.geometry import scaled, square
from search.media.shots import ShotDetector, histogram
from search.types import Channel, Cut, Modality, Needs, Picture, Span

PERIOD_MS = 1000
"""A frame is sampled this often, in milliseconds."""
PIECE_MS = 10_000
"""A shot longer than this is cut into pieces."""


class Shots:
    """Takes the frames of a video in order of time and yields a cut a shot: (frames, size, size, 3) uint8 RGB.

    What is sampled is the frame that is *shown* at the middle of each second of the shot, whatever the rate of frames; a shot shorter
    than that gives its last frame. ``aspect`` is the width of a pixel over its height.
    """

    def __init__(self, needs: Needs, aspect: float) -> None:
        self._needs, self._aspect = needs, aspect
        self._detector = ShotDetector()
        self._scaler, self._packer = VideoReformatter(), VideoReformatter()
        self._held: av.VideoFrame | None = None
        self._last: av.VideoFrame | None = None
        self._begin = self._due = 0
        self._samples: list[Picture] = []
        self.turned: int | None = None
        """Quarter turns to the left that set the pictures upright; None until the first one."""
        self.seen_ms = 0
        """Until when pictures have been decoded, in milliseconds."""

    def push(self, frame: av.VideoFrame, time: int) -> Iterator[Cut]:
        """Take the frame that is shown from ``time`` on, in milliseconds, and yield the shots that it ends."""
        cut = self._detector.push(histogram(frame), time)
        if self._held is None:
            self._begin, self._due = time, time + PERIOD_MS // 2
            self.turned = round(frame.rotation / 90) % 4
        else:
            yield from self._turn(cut)
            if not self._detector.watching_since(time):
                yield from self._advance(time, self._held)
            if self._detector.watching_since(time + 1):
                self._last = self._last or self._held
            else:
                self._last = None
        self._held, self.seen_ms = frame, time

    def finish(self, end: int) -> Iterator[Cut]:
        """Yield the last shot, which ends at ``end``."""
        if self._held is None:
            return
        self.seen_ms = max(end, self.seen_ms + 1)
        yield from self._turn(self._detector.finish(self.seen_ms))
        yield from self._advance(self.seen_ms, self._held)
        yield from self._close(self.seen_ms, self._held)

    def _turn(self, cut: int | None) -> Iterator[Cut]:
        """Begin a shot at ``cut``, if there is one."""
        if cut is not None and self._last is not None:
            yield from self._close(cut, self._last)
            self._last = None

    def _advance(self, time: int, shown: av.VideoFrame) -> Iterator[Cut]:
        """Move on to ``time``; ``shown`` is on screen until then. Samples it if that is due, and ends pieces that are full."""
        while True:
            limit = self._begin + PIECE_MS
            until = min(time, limit)
            if self._due < until:
                self._samples.append(self._picture(shown))
                self._due += -(-(until - self._due) // PERIOD_MS) * PERIOD_MS
            if time <= limit:
                return
            yield from self._close(limit, shown)

    def _close(self, end: int, shown: av.VideoFrame) -> Iterator[Cut]:
        """End the shot or piece; ``shown`` stands for it where nothing was sampled."""
        samples = self._samples or [self._picture(shown)]
        span = Span(self._begin, max(end, self._begin + 1))
        self._begin, self._due, self._samples = end, end + PERIOD_MS // 2, []
        yield Cut(Channel.VISUAL, Modality.VIDEO, span, np.stack(samples))

    def _picture(self, frame: av.VideoFrame) -> Picture:
        """A frame as the encoder wants it: upright, with square pixels, (size, size, 3) RGB."""
        width, height = scaled(frame.width * self._aspect, frame.height, self._needs.size, self._needs.fit)
        small = self._scaler.reformat(frame, width, height, "rgb0", interpolation="BICUBIC")
        pixels = self._packer.reformat(small, format="rgb24").to_ndarray()  # in one step this takes twice as long
        return square(np.rot90(pixels, self.turned or 0), self._needs.size)
