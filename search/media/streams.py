"""Sound and video files, through PyAV: one pass over the packets feeds pictures and sound."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, TypeVar

import av
from av.stream import Disposition

from search.errors import MediaError
from search.media import languages, recorded, subtitles, tags
from search.media.ffmpeg import DECODERS, DEMUXERS, PROTOCOL
from search.media.screen import Screen
from search.media.sound import SoundWindows
from search.media.source import Found, Limits, Source
from search.media.track import Clock, Damage
from search.media.video import Shots
from search.types import Channel, Cut, Gap, Info, Modality, Needs, Span

_Track = TypeVar("_Track", av.VideoStream, av.AudioStream)
_GUESSED = ("mp3", "aac", "mpegts", "mpeg", "mpegvideo")
"""Containers whose duration is a guess from the rate of bits, and so says nothing of what is missing."""
_LEAPING = ("mpegts", "mpeg")
"""Containers whose clock may leap or begin anew."""
_RAW = ("h264", "hevc", "mpegvideo", "m4v")
"""Formats without time stamps, in which nothing can be sought."""
_ENDING = ("matroska", "mov", "ogg")
"""Containers that may tell when they end, on a clock that begins elsewhere than at 0, instead of how long they last."""

_RIGHT_MS = 50
"""A header is right whose duration is so near to what was decoded, in milliseconds: codecs add a frame at either end."""
_ASTRAY_MS = 500
"""If a file lasts so much longer or shorter than its first and last time stamps tell, its clock begins anew somewhere."""
_SPARSE = 6
"""Below this many frames a second none is skipped."""
MAX_TRACKS = 16
"""Sound tracks that are heard; what is beyond is told."""
_SPARSE_MS = 400
"""Nor is a frame with no other within this time before or after it, in milliseconds, whatever the rate that is told."""
_RECENT = 24
"""Time stamps of packets that are kept, to tell how near the frames lie: more than any codec reorders."""
_HOLD = 64
"""Cuts of sound that wait for the first picture, at most."""
_MISSING_MS = 1500
"""What may be missing of the announced duration before a file counts as truncated."""


def read(source: Source, needs: Needs, limits: Limits) -> Iterator[Found]:
    """Decode a sound or video file; shots and windows of sound come as they are decoded.

    Tracks that ``needs`` do not want (``size`` or ``rate`` is 0) are not looked at, and nothing is told of them; that a film lies on its
    side, which its first picture tells, is then not known to ``Info``. Where neither is wanted, ``needs.metadata`` has tags, chapters and
    subtitles told. With ``needs.moments``, the frames on screen at these times come, and nothing else.

    Raises:
        MediaError: ``undecodable``, ``truncated``, ``too_large``, ``no_content``.
    """
    options = {
        "fd": str(source.file.fileno()),
        "protocol_whitelist": PROTOCOL,
        "format_whitelist": DEMUXERS,
        "codec_whitelist": DECODERS,
        "max_pixels": str(limits.max_pixels),
        "export_xmp": "1",
    }
    try:
        container = av.open(f"{PROTOCOL}:", options=options, metadata_errors="surrogateescape")
    except MemoryError:
        raise
    except av.error.FFmpegError as error:
        raise _unopened(source, error) from error
    with container:
        yield from _Pass(container, source, needs, limits).run()


class _Pass:
    """One pass over the packets of a container."""

    def __init__(self, container: av.container.InputContainer, source: Source, needs: Needs, limits: Limits) -> None:
        self._container, self._needs = container, needs
        self._format = _format(container, source)
        if bits := _padded_bits(source.head):
            raise MediaError(
                "unsupported",
                f"its samples have {bits[0]} bits in words of {bits[1]}, which are not read right. Write it as 24-bit WAV or FLAC",
            )
        films = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
        sounds = sorted(container.streams.audio, key=lambda stream: not stream.disposition & Disposition.default)
        if not films and not sounds:
            raise MediaError("no_content", "the file has neither a picture nor a sound track")
        self._film, self._sound = _decodable(films), _decodable(sounds)
        heard = [stream for stream in sounds if stream.codec_context is not None] if needs.rate else []
        self._video, self._unheard = self._film if needs.size else None, _unheard(sounds, heard) if needs.rate else []
        self._tracks = [
            _SoundTrack(stream, number, needs, film=bool(films)) for number, stream in enumerate(heard[:MAX_TRACKS], 1)
        ]
        self._audio = self._tracks[0].stream if self._tracks else None
        self._unseen = bool(films) and self._film is None and needs.size > 0
        self._wanted: list[Any] = [
            track for track in (self._video, *(track.stream for track in self._tracks)) if track is not None
        ]
        if not self._wanted and ((films and needs.size) or (sounds and needs.rate)):
            raise MediaError("unsupported", "what is wanted of its pictures and its sound is in codecs that are not read")
        self._duration_ms = _duration_ms(container, self._film or self._sound)
        self._whole = bool(self._video) == bool(self._film) and bool(self._tracks) == bool(self._sound)
        self._announced_ms = self._duration_ms if self._whole or not self._wanted else _track_ms(self._wanted[0])
        self._start = Fraction(container.start_time, av.time_base) if container.start_time is not None else None
        self._pictures, self._picture_damage = self._clock(self._video), Damage("picture")
        for track in self._tracks:
            track.clock = self._clock(track.stream)
        self._shots = Shots(needs, _aspect(self._video))
        self._by_stream = {track.stream.index: track for track in self._tracks}
        self._broken, self._cut_off = "", _is_cut_off(source)
        self._stamps: list[int] = []
        self._skips = self._is_alone = False
        self._lone = _SPARSE_MS / float((self._video.time_base or Fraction(1, 1000)) * 1000) if self._video is not None else 0.0
        self._set_tempo(limits)

    def run(self) -> Iterator[Found]:
        """Info, then what is found. Sound before the first picture waits for it: only that knows how it is turned."""
        if self._needs.moments:
            yield self._info()
            yield from self._moments()
            return
        if not self._wanted:
            yield self._info()
            if self._needs.metadata:
                yield from tags.read(self._container, self._format, self._needs)
                yield from subtitles.inside(self._container, self._needs)
            return
        waiting: list[Found] | None = []
        for cut in self._cuts():
            if waiting is None:
                yield cut
                continue
            waiting.append(cut)
            if self._video is None or self._shots.turned is not None or len(waiting) > _HOLD:
                yield self._info()
                yield from waiting
                waiting = None
        self._check_content()
        if waiting is not None:
            yield self._info()
            yield from waiting
        yield from self._gaps()
        lasted, told = self._lasted_ms, self._duration_ms
        if told is None or abs(lasted - told) > _RIGHT_MS:
            yield replace(self._info(), duration_ms=lasted)

    def _clock(self, stream: av.VideoStream | av.AudioStream | None) -> Clock:
        numbered = self._numbered and stream is self._video
        return Clock(stream, self._start, leaps=self._format in _LEAPING, numbered=numbered)

    @property
    def _numbered(self) -> bool:
        """Whether the file tells when packets are decoded, and not when frames are shown."""
        context = self._video.codec_context if self._video is not None else None
        return self._format == "avi" or (self._format == "asf" and context is not None and context.has_b_frames)

    def _moments(self) -> Iterator[Cut]:
        """The frames on screen at the times that are asked for."""
        video, known, told = self._video, self._needs.lasts_ms, self._duration_ms
        if video is None:
            raise MediaError("no_content", "the file has no picture track that is read")
        broken = self._format in _LEAPING and known is not None and told is not None and abs(known - told) > _ASTRAY_MS
        seeks = self._format not in _RAW and not broken and not (self._numbered and self._format == "asf")
        screen = Screen(self._container, video, lambda: self._clock(video), seeks=seeks, skips=seeks and not self._numbered)
        for time in self._needs.moments:
            frame = screen.at(time)
            if frame is None:
                raise MediaError("undecodable", screen.damage.first or "there is no picture in it")
            yield Cut(Channel.VISUAL, Modality.VIDEO, Span(time, time + 1), self._shots.shown(frame)[None])

    def _set_tempo(self, limits: Limits) -> None:
        """Decode no more than is needed: no frames that no other frame refers to, and no smoothing of blocks."""
        for track in self._tracks:
            track.stream.codec_context.thread_count = 1
        if self._video is None or self._video.codec_context is None:
            return
        context = self._video.codec_context
        if context.width * context.height > limits.max_pixels:
            raise MediaError("too_large", f"{context.width} x {context.height} pixels exceed max_pixels ({limits.max_pixels})")
        context.thread_count = 1  # the pool keeps every core busy; a second thread cost a third more in all
        context.options = {"max_pixels": str(limits.max_pixels)}
        if len(self._needs.moments) == 1:
            return
        context.options |= {"skip_loop_filter": "all"}
        if self._needs.moments:
            return
        rate = self._video.average_rate
        if not self._numbered and self._format not in _RAW and (rate is None or rate >= _SPARSE):
            context.skip_frame = "NONREF"
            self._skips = True

    def _cuts(self) -> Iterator[Cut]:
        try:
            video = self._video
            for packet in self._container.demux(*self._wanted):
                yield from self._see(packet) if packet.stream is video else self._hear(packet)
        except MemoryError:
            raise
        except av.error.FFmpegError as error:
            self._broken = str(error)
        for track in self._tracks:
            yield from track.windows.finish()
        yield from self._shots.finish(self._pictures.end_ms(self._duration_ms))

    def _see(self, packet: av.Packet[Any]) -> Iterator[Cut]:
        self._pictures.note(packet)
        if self._skips and packet.pts is not None and (alone := self._alone(packet.pts)) != self._is_alone:
            packet.stream.codec_context.skip_frame, self._is_alone = "DEFAULT" if alone else "NONREF", alone
        for frame in self._picture_damage.decode(packet, self._shots.seen_ms):
            time = self._pictures.time_ms(frame)
            if time - self._shots.seen_ms > 1000 and self._shots.turned is not None and self._video is not None:
                self._video.codec_context.skip_frame = "DEFAULT"  # too little is left when frames are skipped
                self._skips = False
            yield from self._shots.push(frame, time)

    def _alone(self, stamp: int) -> bool:
        """Whether a frame is shown for long or comes after a pause, as far as the packets before it tell.

        A frame that may be skipped lies between two that were decoded before it, so that both are known.
        """
        at = bisect.bisect(self._stamps, stamp)
        near = self._stamps[max(at - 1, 0) : at + 1]
        self._stamps.insert(at, stamp)
        if len(self._stamps) > _RECENT:
            del self._stamps[0]
        return any(abs(other - stamp) > self._lone for other in near)

    def _hear(self, packet: av.Packet[Any]) -> Iterator[Cut]:
        track = self._by_stream[packet.stream.index]
        for frame in track.damage.decode(packet, track.windows.heard_ms):
            yield from track.push(frame)

    @property
    def _lasted_ms(self) -> int:
        """How long what was decoded lasts; of tracks that were not, the header is believed."""
        decoded = max(self._shots.seen_ms, self._heard_ms)
        return decoded if self._whole else max(decoded, self._duration_ms or 0)

    @property
    def _heard_ms(self) -> int:
        return max((track.windows.heard_ms for track in self._tracks), default=0)

    def _info(self) -> Info:
        told = {name.lower(): value for name, value in self._container.metadata.items()}
        title = tags.mended(told.get("title", ""))[0] or None
        everywhere = recorded.tags(self._container)
        stamps, position = recorded.stamps(everywhere, self._format), recorded.position(everywhere)
        words = {"title": title, "stamps": stamps, "position": position, "duration_ms": self._duration_ms}
        if self._film is None:
            return Info(Modality.AUDIO, self._format, **words)  # type: ignore[arg-type]
        width, height = round(self._film.width * _aspect(self._film)), self._film.height
        if (self._shots.turned or 0) % 2:
            width, height = height, width
        return Info(Modality.VIDEO, self._format, width or None, height or None, **words)  # type: ignore[arg-type]

    def _check_content(self) -> None:
        """Raise MediaError if there was nothing to see and nothing to hear."""
        if self._shots.seen_ms or self._heard_ms:
            return
        told = (track.refused or track.damage.first for track in self._tracks)
        damage = self._picture_damage.first or next(filter(None, told), "") or self._broken
        if damage:
            raise MediaError("undecodable", f"no picture and no sound could be decoded; the decoder says: {damage}")
        raise MediaError("no_content", "the file holds neither a picture nor a sound")

    def _gaps(self) -> Iterator[Gap]:
        seen, heard = self._shots.seen_ms, self._heard_ms
        if self._unseen:
            yield Gap("no_picture", "the pictures are in a codec that is not read")
        if self._video is not None and not seen:
            yield Gap("no_picture", self._picture_damage.first or "the picture track is empty")
        if seen and (gap := self._picture_damage.gap(seen)):
            yield gap
        for track in self._tracks:
            yield from track.gaps(alone=self._video is not None and not heard)
        yield from self._unheard
        end = seen or heard
        announced = self._announced_ms if self._format not in _GUESSED else None
        short = announced is not None and announced - max(seen, heard) > max(_MISSING_MS, announced // 50)
        if self._broken or short or self._cut_off:
            detail = self._broken or "the file ends before the end that it announces"
            yield Gap("truncated", detail, Span(end, max(end, announced or end)))


class _SoundTrack:
    """One sound track: its clock, its windows, and what of it is not heard."""

    def __init__(self, stream: av.AudioStream, number: int, needs: Needs, *, film: bool) -> None:
        """``number`` counts from 1. Cuts of the first track have no source, so that they stay the segments that they were."""
        self.stream, self._name = stream, _track_name(stream, number)
        track = self._name if number > 1 else None
        language = languages.code(stream.metadata.get("language"))
        self.windows = SoundWindows(needs, skip_silence=film or number > 1, track=track, language=language)
        self.clock, self.damage = Clock(stream, None, leaps=False), Damage(f"{self._name}")
        self.refused = ""

    def push(self, frame: av.AudioFrame) -> Iterator[Cut]:
        """Take a decoded frame; a track that cannot be mixed is told and not heard."""
        if self.refused:
            return
        time_ms = self.clock.time_ms(frame)
        try:
            yield from self.windows.push(frame, time_ms)
        except (ValueError, av.error.FFmpegError) as error:
            self.refused = str(error)

    def gaps(self, *, alone: bool) -> Iterator[Gap]:
        """What of the track was not heard. ``alone``: no track of a film was."""
        heard = self.windows.heard_ms
        why = self.refused or ("" if heard else self.damage.first)
        if why:
            yield Gap("no_sound" if alone else "not_sampled", f"{self._name} is not searched: {why}")
        elif heard and (gap := self.damage.gap(heard)):
            yield gap


def _track_name(stream: av.AudioStream, number: int) -> str:
    """What a track is called: ``sound track 2 (Commentary, German)``."""
    title = tags.mended(stream.metadata.get("title", ""))[0].strip()
    title = "".join(letter for letter in title if letter.isprintable())[:80]
    told = ", ".join(filter(None, (title, languages.name(languages.code(stream.metadata.get("language"))))))
    return f"sound track {number} ({told})" if told else f"sound track {number}"


def _unheard(sounds: Sequence[av.AudioStream], heard: Sequence[av.AudioStream]) -> list[Gap]:
    """The tracks that are not listened to: those without a decoder, and those beyond ``MAX_TRACKS``."""
    found = []
    if heard and (lost := len(sounds) - len(heard)):
        found.append(Gap("not_sampled", f"{lost} of {len(sounds)} sound tracks are in codecs that are not read"))
    if (beyond := len(heard) - MAX_TRACKS) > 0:
        found.append(Gap("not_sampled", f"{beyond} of {len(sounds)} sound tracks are not searched: {MAX_TRACKS} are at most"))
    return found


def _decodable(tracks: Sequence[_Track]) -> _Track | None:
    """The first track for which there is a decoder."""
    return next((track for track in tracks if track.codec_context is not None), None)


def _is_cut_off(source: Source) -> bool:
    """Whether a RIFF file (WAV, AVI) is shorter than it says.

    One that was streamed says nothing, or the most that can be said.
    """
    announced = int.from_bytes(source.head[4:8], "little") + 8
    return source.head[:4] == b"RIFF" and source.size < announced < 0xFFFFF000


def _padded_bits(head: bytes) -> tuple[int, int] | None:
    """Valid bits and bits of a word of an extensible WAV, where a word is wider by a byte or more: FFmpeg takes the words to be as wide as what is valid."""
    at = head.find(b"fmt ", 12)
    if head[:4] not in (b"RIFF", b"RF64") or head[8:12] != b"WAVE" or at < 0 or len(head) < at + 28:
        return None
    tag, bits, valid = (int.from_bytes(head[at + first : at + first + 2], "little") for first in (8, 22, 26))
    return (valid, bits) if tag == 0xFFFE and valid and -(-valid // 8) < bits // 8 else None


def _unopened(source: Source, error: av.error.FFmpegError) -> MediaError:
    """Why a container could not be opened: a QuickTime file whose index, written last, is missing was cut short."""
    if source.head[4:8] == b"ftyp" and b"moov" not in source.head:
        return MediaError("truncated", "the index of the file is missing (no moov atom)")
    return MediaError("undecodable", f"neither sound nor video can be read from it; the decoder says: {error.strerror or error}")


def _format(container: av.container.InputContainer, source: Source) -> str:
    name = container.format.name.split(",")[0]
    if name == "mov":
        return "mov" if container.metadata.get("major_brand", "").startswith("qt") else "mp4"
    return "webm" if name == "matroska" and b"webm" in source.head[:64] else name


def _duration_ms(container: av.container.InputContainer, stream: av.VideoStream | av.AudioStream | None) -> int | None:
    lasts, start = container.duration, container.start_time or 0
    if lasts is not None and lasts > 0:
        if container.format.name.split(",")[0] in _ENDING and 0 < start < lasts:
            lasts -= start
        return round(lasts * 1000 / av.time_base)
    return _track_ms(stream) if stream is not None else None


def _track_ms(stream: av.VideoStream | av.AudioStream) -> int | None:
    if stream.duration is not None and stream.duration > 0 and stream.time_base:
        return int(stream.duration * stream.time_base * 1000)
    return None


def _aspect(video: av.VideoStream | None) -> float:
    """Width of a pixel over its height."""
    aspect = video.sample_aspect_ratio if video is not None else None
    return float(aspect) if aspect and Fraction(1, 8) <= aspect <= 8 else 1.0
