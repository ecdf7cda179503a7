"""Pictures of a video: frames sampled inside shots, each shot a cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import av
import numpy as np

from search.media.decode.display import Display
from search.media.decode.shots import MIN_SHOT_MS, Histogram, ShotDetector, histogram
from search.types import Channel, Cut, Modality, Picture, Span

PERIOD_MS = 1000
"""A frame is sampled this often, in milliseconds."""
_GLANCE_MS = 250
"""Frames nearer than this to the last examined one are skipped at first."""
PIECE_MS = 10_000
"""A shot longer than this is cut into pieces."""
LASTING_MS = 500
"""A frame that is shown for at least this long is sampled, whatever was sampled before it, in milliseconds."""
MAX_SAMPLES = 20
"""Frames of one piece, at most."""


class Shots:
    """Takes the frames of a video in order of time and yields one cut per shot: (frames, size, size, 3) uint8 RGB.

    The sampled frame is the one *shown* at about the middle of each second of the shot, whatever the frame rate. A shorter shot
    gives its last frame.
    """

    def __init__(
        self,
        display: Display,
        source: str | None = None,
        skipped: Callable[[int, int], Iterable[tuple[av.VideoFrame, int]]] = lambda _start, _end: (),
    ) -> None:
        """``display`` converts frames to pictures; ``source`` is set on each cut; ``skipped`` gives the frames shown after one time and
        before another that were not decoded, with their times: a shot may begin with one of them."""
        self._display, self._source, self._skipped = display, source, skipped
        self._detector = ShotDetector()
        self._held: av.VideoFrame | None = None
        self._last: av.VideoFrame | None = None
        self._begin = self._due = self._lasted = 0
        self._passed: list[tuple[av.VideoFrame, int]] = []
        self._samples: list[tuple[int, Picture]] = []
        self.turned: int | None = None
        """Whether width and height change places when the pictures are set upright, 1 or 0; None until the first one."""
        self.seen_ms = 0
        """Until when pictures have been decoded, in milliseconds."""

    def push(self, frame: av.VideoFrame, time: int) -> Iterator[Cut]:
        """Take the frame that is shown from ``time`` on, in milliseconds, and yield the shots that it completes.

        Frames in quick succession are examined only if the frame after them shows a change.
        """
        if self._held is not None and time - self.seen_ms < _GLANCE_MS:
            self._passed.append((frame, time))
            return
        now = histogram(frame)
        if self._passed and (time - self._passed[-1][1] >= _GLANCE_MS or not self._detector.calm(now)):
            yield from self._catch_up()
        self._passed.clear()
        yield from self._look(frame, time, now)

    def finish(self, end: int) -> Iterator[Cut]:
        """Yield the last shot, which ends at ``end``."""
        yield from self._catch_up()
        if self._held is None:
            return
        end = max(end, self.seen_ms + 1)
        yield from self._turn(self._detector.finish(end))
        yield from self._advance(end, self._held, stays=self._lasted >= LASTING_MS)
        self.seen_ms = end
        yield from self._close(end, self._held)

    def shown(self, frame: av.VideoFrame) -> Picture:
        """One frame in the form that the encoder wants, as sampled from a shot."""
        return self._picture(frame)

    def _catch_up(self) -> Iterator[Cut]:
        for frame, time in self._passed:
            yield from self._look(frame, time, histogram(frame))
        self._passed.clear()

    def _look(self, frame: av.VideoFrame, time: int, colours: Histogram) -> Iterator[Cut]:
        if self._detector.changes(colours, time):
            for between, at in self._skipped(self.seen_ms, time):
                yield from self._take(between, at, histogram(between))
        yield from self._take(frame, time, colours)

    def _take(self, frame: av.VideoFrame, time: int, colours: Histogram) -> Iterator[Cut]:
        cut = self._detector.push(colours, time)
        if self._held is None:
            self._begin, self._due = time, time + PERIOD_MS // 2
            self.turned = self._display.turned(frame)
        else:
            yield from self._turn(cut)
            if not self._detector.watching_since(time):
                yield from self._advance(time, self._held)
            self._last = (self._last or self._held) if self._detector.watching_since(time + 1) else None
        self._lasted = time - self.seen_ms if self._held is not None else 0
        self._held, self.seen_ms = frame, time

    def _turn(self, cut: int | None) -> Iterator[Cut]:
        """Begin a shot at ``cut``, if there is one."""
        if cut is not None and self._last is not None:
            yield from self._close(cut, self._last)
            self._last = None

    def _advance(self, time: int, shown: av.VideoFrame, *, stays: bool = False) -> Iterator[Cut]:
        """Move on to ``time``; ``shown`` is on screen until then. ``stays``: where frames are few, the last one stays on screen,
        whatever its stated end.

        Samples the frame if one is due, and ends full pieces.
        """
        while True:
            limit = self._begin + PIECE_MS
            until = min(time, limit)
            since = max(self.seen_ms, self._begin)
            lasting = (stays or until - since >= LASTING_MS) and len(self._samples) < MAX_SAMPLES
            if self._due < until or lasting:
                self._samples.append((since, self._picture(shown)))
                self._due += max(0, -(-(until - self._due) // PERIOD_MS)) * PERIOD_MS
            if time <= limit + MIN_SHOT_MS:
                return
            yield from self._close(limit, shown)

    def _close(self, end: int, shown: av.VideoFrame) -> Iterator[Cut]:
        """End the shot or piece; in two halves if it is a little too long.

        ``shown`` represents it if nothing was sampled.
        """
        samples = self._samples or [(self._begin, self._picture(shown))]
        stops = [end] if end - self._begin <= PIECE_MS else [(self._begin + end) // 2, end]
        for stop in stops:
            span = Span(self._begin, max(stop, self._begin + 1))
            part = [one for one in samples if span.start <= one[0] < span.end]
            if not part or (len(stops) > 1 and part[0][0] - span.start > PERIOD_MS):  # what was shown before goes on
                part = [*[one for one in samples if one[0] < span.start][-1:], *part] or samples[:1]
            times = tuple(min(max(time, span.start), span.end - 1) for time, _ in part)
            yield Cut(Channel.VISUAL, Modality.VIDEO, span, np.stack([picture for _, picture in part]), self._source, times=times)
            self._begin = stop
        self._due, self._samples = end + PERIOD_MS // 2, []

    def _picture(self, frame: av.VideoFrame) -> Picture:
        return self._display.picture(frame)
