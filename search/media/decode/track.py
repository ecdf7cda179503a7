"""The clock of one track of a container, and the gaps that could not be decoded."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import av
from av.video.frame import PictureType

from search.media.metadata import container_tags, language_names
from search.types import Gap, Span

_Stream: TypeAlias = "av.VideoStream | av.AudioStream"

_REORDERED = 17
"""The maximum number of frames that wait to be reordered, in any codec."""
_BETWEEN = (PictureType.B, PictureType.BI)
"""The number of frames that may be shown before others which were decoded earlier."""
_LEAP_MS = 10_000
"""A jump of a transport stream's clock beyond this is a break in the clock, not a pause."""
_APART_MS = 1000
"""Damaged packets nearer to each other than this are one gap."""
MAX_RUNS = 100
"""The maximum number of gaps for one track. Later damage is added to the last gap."""
_LONGEST_FRAME_MS = 1000
"""The longest duration of a frame without a stated duration, in milliseconds."""


class TrackClock:
    """Converts a track's time stamps to milliseconds since the start of the file, never running backwards.

    Files have bad time stamps: missing (AVI), starting anywhere (MPEG-TS), wrapping round or restarting.
    """

    def __init__(self, stream: _Stream | None, start: Fraction | None, *, leaps: bool, numbered: bool = False) -> None:
        """``start``: that of the file, in seconds, if it is known. ``leaps``: whether the clock may jump forward without reason.

        ``numbered``: whether the file only numbers its packets in decoding order. Then the frames take the numbers in the order
        in which they are shown; this needs all frames.
        """
        base = getattr(stream, "time_base", None) or Fraction(1, 1000)
        self._scale = float(base * 1000)
        first = getattr(stream, "start_time", None)
        self._offset = float(start * 1000) if start is not None else (first or 0) * self._scale
        self._is_told = start is not None or first is not None
        rate = getattr(stream, "average_rate", None)
        self._usual = 1000 / float(rate) if rate else 40.0
        self._leaps, self._numbered = leaps, numbered
        self._numbers: list[int] = []
        self._decoded: dict[int | None, int] = {}
        self._now: float | None = None
        self._end = self._lasts = 0.0

    def note(self, packet: av.Packet[Any]) -> None:
        """Record a packet, decoded or not. The last ones may be skipped and still count for the length."""
        stamp = packet.dts if self._numbered else packet.pts
        if stamp is not None:
            self._end = max(self._end, stamp * self._scale - self._offset)
            self._lasts = (packet.duration or 0) * self._scale
            if self._numbered:
                heapq.heappush(self._numbers, stamp)
                self._decoded[packet.pts] = stamp

    def span_ms(self, packet: av.Packet[Any]) -> tuple[float, float] | None:
        """The start and end of a packet, in milliseconds; None: not stated."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            return None
        start = max(0.0, stamp * self._scale - self._offset)
        return start, start + (packet.duration or 0) * self._scale

    def time_ms(self, frame: av.VideoFrame | av.AudioFrame) -> int:
        """When a frame begins."""
        stamp = frame.pts if frame.pts is not None else frame.dts
        if self._numbers:
            stamp = self._number(frame)
        if (
            stamp is not None and not self._is_told
        ):  # elementary MPEG-2 counts from the first packet, a frame before the first picture
            self._offset, self._is_told = stamp * self._scale, True
        time = None if stamp is None else stamp * self._scale - self._offset
        if self._now is None:
            self._now = max(0.0, time or 0.0)
        elif time is None:
            self._now += self._usual
        else:
            if time < self._now - self._usual or (self._leaps and time > self._now + _LEAP_MS):
                self._offset += time - (self._now + self._usual)
                time = self._now + self._usual
            self._now = max(self._now, time)
        return round(self._now)

    def _number(self, frame: av.VideoFrame | av.AudioFrame) -> int:
        """The least number that no frame has taken.

        A frame that is not followed by any frame decoded before it shows which earlier frames were lost.
        """
        own = self._decoded.pop(frame.pts, None)
        lost: list[int | None] = []
        if own is not None and getattr(frame, "pict_type", None) not in _BETWEEN:
            lost = [stamp for stamp, number in self._decoded.items() if number < own]
        lost += [stamp for stamp in self._decoded if stamp not in lost][: max(0, len(self._decoded) - len(lost) - _REORDERED)]
        for stamp in lost:
            del self._decoded[stamp]
            if len(self._numbers) > 1:
                heapq.heappop(self._numbers)
        return heapq.heappop(self._numbers)

    def ms(self, stamp: int) -> float:
        """A time stamp in milliseconds, as long as the clock was not corrected."""
        return stamp * self._scale - self._offset

    def stamp(self, time: int) -> int:
        """The time stamp of a time in milliseconds, as long as the clock was not corrected."""
        return round((time + self._offset) / self._scale)

    def end_ms(self, announced: int | None) -> int:
        """The end of the track. The last frame gets the duration of the last packet, since reordered frames have the durations of
        other frames."""
        now = self._now or 0.0
        usual = min(self._usual, _LONGEST_FRAME_MS)
        bound = max(now + usual, float(announced)) if announced is not None else now + usual + _LONGEST_FRAME_MS
        return round(max(now + min(self._lasts or usual, bound - now), min(self._end + self._lasts, bound)))


class Damage:
    """Decodes packets and records those that cannot be decoded."""

    def __init__(self, what: str) -> None:
        """``what`` the packets hold, for messages."""
        self._what = what
        self._runs: list[_Run] = []
        self.first = ""
        """What the first failure said."""

    def decode(
        self, packet: av.Packet[Any], clock: TrackClock, position_ms: int, decoder: av.VideoCodecContext | None = None
    ) -> list[Any]:
        """The frames of a packet, none if it is damaged. ``position_ms``: the current decoding position; ``decoder``: one to use
        instead of the stream's."""
        try:
            return packet.decode() if decoder is None else decoder.decode(packet)
        except MemoryError:
            raise
        except (av.error.FFmpegError, ValueError, AttributeError, NotImplementedError) as error:
            self.first = self.first or str(error)
            self._note(clock.span_ms(packet), max(position_ms, self._runs[-1].end if self._runs else 0))
            return []

    def _note(self, span: tuple[float, float] | None, position_ms: float) -> None:
        """Count a damaged packet at ``span`` if its time is plausible, else at ``position_ms``."""
        start, end = span if span and abs(span[0] - position_ms) <= _LEAP_MS else (position_ms, position_ms)
        last = self._runs[-1] if self._runs else None
        if last and (start - last.end <= _APART_MS or len(self._runs) == MAX_RUNS):
            last.start, last.end, last.count = min(last.start, start), max(last.end, end), last.count + 1
        else:
            self._runs.append(_Run(start, end, 1))

    def gaps(self) -> Iterator[Gap]:
        """A gap for each stretch of packets that could not be decoded."""
        for run in self._runs:
            span = Span(round(run.start), round(max(run.end, run.start + 1)))
            yield Gap("not_sampled", f"{run.count} packets of {self._what} could not be decoded: {self.first}", span)


@dataclass(slots=True)
class _Run:
    """Packets near each other that could not be decoded: from when to when, in milliseconds, and how many."""

    start: float
    end: float
    count: int


def name_of(kind: str, number: int, stream: _Stream) -> str:
    """The name of a track: ``sound track 2 (Commentary, German)``. ``kind``: the kind of track; ``number`` counts from 1."""
    title = container_tags.mended(stream.metadata.get("title", ""))[0].strip()
    title = "".join(letter for letter in title if letter.isprintable())[:80]
    told = ", ".join(filter(None, (title, language_names.name(language_names.code(stream.metadata.get("language"))))))
    return f"{kind} {number} ({told})" if told else f"{kind} {number}"


def track_ms(stream: _Stream) -> int | None:
    """The stated length of a track, in milliseconds."""
    if stream.duration is not None and stream.duration > 0 and stream.time_base:
        return int(stream.duration * stream.time_base * 1000)
    return None
