"""The frame on screen at a time: the last frame that begins at or before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import av

from search.media.decode.track import Damage, TrackClock

_Timed: TypeAlias = tuple[int, av.VideoFrame]
"""A frame, and when it comes on screen, in milliseconds."""

_STRIDE_MS = 2000
"""Up to this far ahead, decoding continues instead of seeking."""
_SURE_MS = 1000
"""If the file only numbers packets, the first frames after a key frame may be taken for earlier ones. So the seek goes this much
earlier, in milliseconds."""
_BEFORE_MS = 10_000
"""How far before the beginning to seek for the first frame of a transport stream; other containers refuse this."""
_FURTHER = 4
"""A seek that lands too late is tried again this many times as far back."""


class Screen:
    """The frames of one track at given times. It seeks to the key frame before a time and decodes from there.

    If times are asked for in order, nothing is decoded twice, except between key frames that are far apart.
    """

    def __init__(
        self,
        container: av.container.InputContainer,
        video: av.VideoStream,
        decoder: av.VideoCodecContext,
        clock: Callable[[], TrackClock],
        *,
        seeks: bool,
        skips: bool,
    ) -> None:
        """``container`` has not been read from. ``decoder`` decodes the track, ``clock`` makes its clock.

        ``seeks``: whether the file's time stamps allow seeking. ``skips``: whether they say when frames are shown. If so,
        unwanted frames that no other frame refers to are not decoded.
        """
        self._container, self._video, self._decoder, self._clock = container, video, decoder, clock
        self._seeks, self._skips = seeks, skips
        self.damage = Damage("picture")
        self._stride = _STRIDE_MS
        self._frames = self._from_here()
        self._shown: _Timed | None = None
        self._next: _Timed | None = None
        self._begun = self._wanted = 0

    def at(self, time: int) -> av.VideoFrame | None:
        """The frame on screen at ``time``, in milliseconds.

        Before the first frame it is the first frame, after the last one the last. None: nothing can be decoded.
        """
        self._wanted = time
        if self._seeks and not self._is_near(time):
            self._seek(time)
        while self._shown is None or (self._next is not None and self._next[0] <= time):
            self._shown = self._next or self._shown
            self._next = next(self._frames, None)
            if self._shown is None and self._next is None:
                return None
        self._stride = max(self._stride, self._shown[0] - self._begun)
        return self._shown[1]

    def _is_near(self, time: int) -> bool:
        """Whether decoding reaches ``time`` soon without seeking."""
        if self._shown is None or time < self._shown[0]:
            return False
        return self._next is None or time - self._next[0] <= self._stride

    def _seek(self, time: int) -> None:
        """Seek to a key frame at or before ``time``, or else to the beginning."""
        back = 0 if self._skips else _SURE_MS
        while back < time:
            if self._land(time - back, whole=False) and self._next is not None and self._next[0] <= time:
                return
            back = max(_STRIDE_MS, _FURTHER * back)
        if not (self._land(-_BEFORE_MS, whole=True) or self._land(0, whole=True)):
            self._seeks = False  # and goes on from where it is

    def _land(self, time: int, *, whole: bool) -> bool:
        """Seek to a time and take the first frame there; ``whole``: even if it is no key frame."""
        clock = self._clock()
        try:
            self._container.seek(clock.stamp(time), stream=self._video)
        except av.error.FFmpegError:
            return False
        self._decoder.flush_buffers()
        self._frames = self._from_here(whole=whole)
        self._shown, self._next = None, next(self._frames, None)
        self._begun = self._next[0] if self._next is not None else 0
        return self._next is not None

    def _from_here(self, *, whole: bool = True) -> Iterator[_Timed]:
        """Frames in order. Unless ``whole``, they begin with a key frame: earlier frames may lack their references."""
        clock, key, later = self._clock(), None, None
        try:
            for packet in self._container.demux(self._video):
                if not whole and key is None:
                    if not packet.is_keyframe:
                        continue
                    key = packet.pts if packet.pts is not None else packet.dts
                clock.note(packet)
                if self._skips and packet.pts is not None:
                    over = later is not None and packet.pts < later  # another frame follows it before the time that is wanted
                    self._decoder.skip_frame = "NONREF" if over else "DEFAULT"
                    if clock.ms(packet.pts) <= self._wanted:
                        later = packet.pts if later is None else max(later, packet.pts)
                for frame in self.damage.decode(packet, clock, 0, self._decoder):
                    if key is None or frame.pts is None or frame.pts >= key:
                        yield clock.time_ms(frame), frame
        except av.error.FFmpegError as error:
            self.damage.first = self.damage.first or str(error)
