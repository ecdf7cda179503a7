"""The picture tracks of a film: which of them are films, and the frames of each with their own clock."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, cast

import av
from av.stream import Disposition

from search.errors import MediaError
from search.media.decode.display import Display
from search.media.decode.track import Damage, TrackClock, name_of, track_ms
from search.media.decode.video import Shots
from search.media.metadata import subtitles
from search.media.source import Limits
from search.types import Cut, Gap, Needs

MAX_PICTURE_TRACKS = 4
"""The maximum number of picture tracks that are searched. The others are reported as gaps."""
_SPARSE = 6
"""Below this frame rate no frame is skipped."""
_SPARSE_MS = 400
"""A frame with no other within this time before or after it, in milliseconds, is not skipped either, whatever the stated rate."""
_RECENT = 24
"""The number of packet time stamps that are kept to find the distance of frames: more than any codec reorders."""
_CAPTIONS_MS = 1000
"""A frame is asked for captions this often: where there are some, each frame has them, and to ask each takes a thirtieth of decoding."""
_KEPT_BYTES = 32 * 2**20
"""Of the packets since the last key frame, so much is kept at most, to decode skipped frames after all where a shot may begin."""
_SHORT_GROUP = 30
"""Packets. In longer groups of pictures, an intra frame stands where its encoder saw the cut."""
_SEEN_THROUGH = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_STILL_MS = 500
"""A track that lasts no longer than this beside a longer one is a still, such as the cover of a film."""
_SHORT = 2
"""A track shorter than this share of the longest one does not come first."""


def films_of(streams: Sequence[av.VideoStream]) -> tuple[list[av.VideoStream], int]:
    """The tracks that are films, the one that a player shows first, and the number of stills beside a film, not counting covers.

    A player shows the default track, and of equal ones the first. Stills and short titles never come before a film.
    """
    moving = [stream for stream in streams if not stream.disposition & Disposition.attached_pic]
    lengths = {stream.index: _length_ms(stream) for stream in moving}
    longest = max((length for length in lengths.values() if length is not None), default=0)
    films = [stream for stream in moving if stream.frames != 1 and (lengths[stream.index] or longest) > _STILL_MS] or moving

    def rank(stream: av.VideoStream) -> tuple[bool, bool]:
        length = lengths[stream.index]
        return length is not None and length * _SHORT < longest, not stream.disposition & Disposition.default

    return sorted(films, key=rank), len(moving) - len(films)


def seen_of(films: Sequence[av.VideoStream], stills: int, limits: Limits) -> tuple[list[av.VideoStream], list[Gap]]:
    """The tracks to search, and gaps for the others; ``stills`` are beside the film.

    Raises:
        MediaError: ``too_large``, the first one.
    """
    decodable = [film for film in films if film.codec_context is not None]
    if decodable and _pixels(decodable[0]) > limits.max_pixels:
        width, height = decodable[0].width, decodable[0].height
        raise MediaError("too_large", f"{width} x {height} pixels exceed max_pixels ({limits.max_pixels})")
    fitting = [film for film in decodable if _pixels(film) <= limits.max_pixels]
    lost = {
        "are in codecs that are not read": len(films) - len(decodable) if decodable else 0,
        f"exceed max_pixels ({limits.max_pixels})": len(decodable) - len(fitting),
        f"are beyond the {MAX_PICTURE_TRACKS} that are searched": max(0, len(fitting) - MAX_PICTURE_TRACKS),
        "hold a still beside the film and are not searched": stills,
    }
    count = len(films) + stills
    gaps = [Gap("not_sampled", f"{number} of {count} picture tracks {why}") for why, number in lost.items() if number]
    return fitting[:MAX_PICTURE_TRACKS], gaps


def _pixels(film: av.VideoStream) -> int:
    return film.codec_context.width * film.codec_context.height


def _length_ms(stream: av.VideoStream) -> int | None:
    """The length of a track; in Matroska from a tag, if the writer set it."""
    told = re.fullmatch(r"(\d{1,4}):(\d\d):(\d\d)\.(\d{3})\d*", stream.metadata.get("DURATION", ""))
    if told is None:
        return track_ms(stream)
    hours, minutes, seconds, thousandths = map(int, told.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + thousandths


def aspect_of(stream: av.VideoStream) -> float:
    """Width of a pixel over its height."""
    aspect = stream.sample_aspect_ratio
    return float(aspect) if aspect and Fraction(1, 8) <= aspect <= 8 else 1.0


def decoder_of(stream: av.VideoStream) -> av.VideoCodecContext:
    """The decoder of a track. FFmpeg's own decoders of VP8 and VP9 ignore transparency."""
    context = stream.codec_context
    if stream.metadata.get("alpha_mode") != "1" or context.name not in _SEEN_THROUGH:
        return context
    other = cast("av.VideoCodecContext", av.CodecContext.create(_SEEN_THROUGH[context.name], "r"))
    other.extradata = context.extradata
    return other


class PictureTrack:
    """One picture track: its clock, its shots, and its gaps."""

    def __init__(self, stream: av.VideoStream, number: int, needs: Needs, clock: TrackClock) -> None:
        """``number`` counts from 1. Cuts of the first track have no source, so that they equal the segments of older versions."""
        self.stream, self.clock, self._first = stream, clock, number == 1
        self._name = name_of("picture track", number, stream)
        self.shots = Shots(Display(needs, stream, aspect_of(stream)), None if self._first else self._name, self._skipped)
        self.damage = Damage("picture" if self._first else self._name)
        self.decoder = decoder_of(stream)
        self._stamps: list[int] = []
        self._groups: list[list[av.Packet[Any]]] = []  # the packets since the last key frames, while frames are skipped
        self._kept = 0
        self._skips = self._is_alone = self._captioned = False
        self._look_for_captions_ms = 0
        self._lone = _SPARSE_MS / float((stream.time_base or Fraction(1, 1000)) * 1000)

    def set_tempo(self, limits: Limits, moments: int, *, skips: bool) -> None:
        """Decode no more than needed: with ``skips``, no frames that no other frame refers to; and no deblocking.

        If ``moments`` are requested, no frame is skipped here, and for a single one there is full quality.
        """
        context = self.decoder
        context.thread_count = 1  # the pool keeps every core busy; a second thread cost a third more in all
        context.options = {"max_pixels": str(limits.max_pixels)}
        if moments != 1:
            context.options |= {"skip_loop_filter": "all"}
        if skips and not moments and (self.stream.average_rate is None or self.stream.average_rate >= _SPARSE):
            context.skip_frame = "NONREF"
            self._skips = True

    def push(self, packet: av.Packet[Any]) -> Iterator[Cut]:
        """Take a packet and yield the shots that it completes."""
        self.clock.note(packet)
        if self._skips and packet.pts is not None and (alone := self._alone(packet.pts)) != self._is_alone:
            self.decoder.skip_frame, self._is_alone = "DEFAULT" if alone else "NONREF", alone
        if self._skips:
            self._keep(packet)
        for frame in self.damage.decode(packet, self.clock, self.shots.seen_ms, self.decoder):
            time = self.clock.time_ms(frame)
            if not self._captioned and time >= self._look_for_captions_ms:
                self._captioned, self._look_for_captions_ms = subtitles.captioned(frame), time + _CAPTIONS_MS
            if time - self.shots.seen_ms > 1000 and self.shots.turned is not None:
                self.decoder.skip_frame = "DEFAULT"  # too little is left when frames are skipped
                self._skips = False
            yield from self.shots.push(frame, time)

    def gaps(self) -> Iterator[Gap]:
        """The parts of the track that could not be seen."""
        if not self.shots.seen_ms:
            why = self.damage.first or "the picture track is empty"
            yield Gap("no_picture", why) if self._first else Gap("not_sampled", f"{self._name} is not searched: {why}")
        else:
            yield from self.damage.gaps()
        if self._captioned:
            yield Gap(
                "not_read",
                "closed captions in the pictures (CEA-608 or 708) are searched only where the reader `written` has read them",
            )

    def _keep(self, packet: av.Packet[Any]) -> None:
        """Keep a packet, and forget the groups of pictures that have been looked at."""
        if packet.is_keyframe:
            self._groups.append([])
        while len(self._groups) > 1 and self._begins_by(self._groups[1], self.shots.seen_ms):
            self._kept -= sum(one.size for one in self._groups.pop(0))
        self._kept += packet.size
        if self._kept > _KEPT_BYTES:
            self._groups, self._kept = [], 0
        if self._groups:
            self._groups[-1].append(packet)

    def _begins_by(self, group: Sequence[av.Packet[Any]], time: int) -> bool:
        stamp = group[0].pts if group else None
        return stamp is not None and self.clock.ms(stamp) <= time

    def _skipped(self, start: int, end: int) -> Iterator[tuple[av.VideoFrame, int]]:
        """The frames shown after ``start`` and before ``end`` that were skipped, with their times, decoded after all."""
        packets = [packet for group in self._groups for packet in group]
        between = [packet for packet in packets if packet.pts is not None and start < round(self.clock.ms(packet.pts)) < end]
        if not between or not self._begins_by(packets, start) or self._intra(packets, end):
            return
        decoder = cast("av.VideoCodecContext", av.CodecContext.create(self.decoder.name, "r"))
        decoder.extradata, decoder.thread_count, decoder.options = self.decoder.extradata, 1, dict(self.decoder.options)
        last = packets.index(between[-1])
        try:
            frames = [frame for packet in packets[: last + 1] for frame in decoder.decode(packet)] + decoder.decode(None)
        except (av.error.FFmpegError, ValueError):
            return
        times = ((round(self.clock.ms(frame.pts)), frame) for frame in frames if frame.pts is not None)
        for time, frame in sorted(times, key=lambda pair: pair[0]):
            if start < time < end:
                yield frame, time

    def _intra(self, packets: Sequence[av.Packet[Any]], time: int) -> bool:
        """Whether the frame at a time begins a long group of pictures, or the next one."""
        return len(packets) > _SHORT_GROUP and any(
            packet.is_keyframe and packet.pts is not None and abs(self.clock.ms(packet.pts) - time) < 1 for packet in packets
        )

    def _alone(self, stamp: int) -> bool:
        """Whether a frame is shown for long or follows a pause, as far as the packets before it tell.

        A skippable frame lies between two that were decoded before it, so both are known.
        """
        stamps = self._stamps
        at = bisect.bisect(stamps, stamp)
        late = at > 0 and stamp - stamps[at - 1] > self._lone
        early = at < len(stamps) and stamps[at] - stamp > self._lone
        stamps.insert(at, stamp)
        if len(stamps) > _RECENT:
            del stamps[0]
        return late or early
