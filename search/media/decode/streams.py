"""Sound and video files, through PyAV: one pass over the packets provides pictures and sound."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any, TypeVar

import av
from av.stream import Disposition

from search.errors import MediaError
from search.media.decode.padded import whole_words
from search.media.decode.picture_track import PictureTrack, aspect_of, films_of, seen_of
from search.media.decode.screen import Screen
from search.media.decode.sound import SoundWindows
from search.media.decode.track import Damage, TrackClock, name_of, track_ms
from search.media.ffmpeg import DECODERS, DEMUXERS, PROTOCOL
from search.media.metadata import closed_captions, container_tags, language_names, recorded, subtitles
from search.media.source import Found, Limits, Source
from search.types import Channel, Cut, Gap, Info, Modality, Needs, Span

_Track = TypeVar("_Track", av.VideoStream, av.AudioStream)
_GUESSED = ("mp3", "aac", "mpegts", "mpeg", "mpegvideo")
"""Containers whose duration is estimated from the bit rate, and so does not show what is missing."""
_LEAPING = ("mpegts", "mpeg")
"""Containers whose clock may jump or restart."""
_RAW = ("h264", "hevc", "mpegvideo", "m4v")
"""Formats without time stamps, in which nothing can be sought."""
_ENDING = ("matroska", "mov", "ogg")
"""Containers that may state their end, on a clock that does not start at 0, instead of their length."""

_RIGHT_MS = 50
"""A header's duration is right if it is this near to what was decoded, in milliseconds: codecs add a frame at either end."""
_DELAYED = ("flv",)
"""Containers whose duration counts the delay of reordered frames in, so that it is never right."""
_ASTRAY_MS = 500
"""If a file is this much longer or shorter than its first and last time stamps say, its clock restarts somewhere."""
MAX_TRACKS = 16
"""The maximum number of sound tracks that are searched. The others are reported as gaps."""
_HOLD = 64
"""The maximum number of sound cuts that wait for the first picture."""
_MISSING_MS = 1500
"""How much of the announced duration may be missing before a file counts as truncated."""


def read(source: Source, needs: Needs, limits: Limits) -> Iterator[Found]:
    """Decode a sound or video file. Shots and windows of sound come as they are decoded.

    Tracks that ``needs`` do not want (``size`` or ``rate`` is 0) are skipped, without gaps. ``Info`` then does not know whether a
    film is rotated, since its first picture tells that. If neither is wanted, ``needs.metadata`` gives tags, chapters and
    subtitles. With ``needs.moments``, only the frames on screen at these times come.

    Raises:
        MediaError: ``undecodable``, ``truncated``, ``too_large``, ``no_content``.
    """
    held = isinstance(source.file, io.BytesIO)  # what lies inside another file
    options = {
        **({} if held else {"fd": str(source.file.fileno())}),
        "protocol_whitelist": PROTOCOL,
        "format_whitelist": DEMUXERS,
        "codec_whitelist": DECODERS,
        "max_pixels": str(limits.max_pixels),
        "export_xmp": "1",
    }
    try:
        container = av.open(
            source.file if held else whole_words(source) or f"{PROTOCOL}:",
            "r",
            options=options,
            metadata_errors="surrogateescape",
        )
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
        films, stills = films_of(container.streams.video)
        sounds = sorted(container.streams.audio, key=lambda stream: not stream.disposition & Disposition.default)
        if not films and not sounds:
            raise MediaError("no_content", "the file has neither a picture nor a sound track")
        self._film, self._sound = _decodable(films), _decodable(sounds)
        heard = [stream for stream in sounds if stream.codec_context is not None] if needs.rate else []
        seen, self._untaken = seen_of(films, stills, limits) if needs.size else ([], [])
        self._untaken += _unheard(sounds, heard) if needs.rate else []
        self._tracks = [
            _SoundTrack(stream, number, needs, film=bool(films)) for number, stream in enumerate(heard[:MAX_TRACKS], 1)
        ]
        self._unseen = bool(films) and self._film is None and needs.size > 0
        self._wanted: list[Any] = [*seen, *(track.stream for track in self._tracks)]
        if not self._wanted and ((films and needs.size) or (sounds and needs.rate)):
            raise MediaError("unsupported", "what is wanted of its pictures and its sound is in codecs that are not read")
        self._duration_ms = _duration_ms(container, self._film or self._sound)
        self._whole = bool(seen) == bool(self._film) and bool(self._tracks) == bool(self._sound)
        self._announced_ms = self._duration_ms if self._whole or not self._wanted else track_ms(self._wanted[0])
        self._start = Fraction(container.start_time, av.time_base) if container.start_time is not None else None
        for track in self._tracks:
            track.clock = self._clock(track.stream)
        self._pictures = [PictureTrack(stream, number, needs, self._clock(stream)) for number, stream in enumerate(seen, 1)]
        self._film_track = self._pictures[0] if self._pictures else None
        tracks: list[PictureTrack | _SoundTrack] = [*self._pictures, *self._tracks]
        self._by_stream = {track.stream.index: track for track in tracks}
        self._broken, self._cut_off = "", _is_cut_off(source)
        for track in self._tracks:
            track.stream.codec_context.thread_count = 1
        for pictures in self._pictures:
            skips = self._format not in _RAW and not self._is_numbered(pictures.stream)
            pictures.set_tempo(limits, len(needs.moments), skips=skips)

    def run(self) -> Iterator[Found]:
        """The info, then the content. Sound before the first picture is held back, since only that picture tells the rotation."""
        if self._needs.moments:
            yield self._info()
            yield from self._moments()
            return
        if not self._wanted:
            yield self._info()
            if self._needs.metadata:
                yield from container_tags.read(self._container, self._format, self._needs)
                yield from subtitles.inside(self._container, self._needs)
                yield from closed_captions.inside(self._container, self._needs)
            return
        waiting: list[Found] | None = []
        for cut in self._cuts():
            if waiting is None:
                yield cut
                continue
            waiting.append(cut)
            if self._film_track is None or self._film_track.shots.turned is not None or len(waiting) > _HOLD:
                yield self._info()
                yield from waiting
                waiting = None
        self._check_content()
        if waiting is not None:
            yield self._info()
            yield from waiting
        yield from self._gaps()
        lasted, told = self._lasted_ms, self._duration_ms
        if told is None or abs(lasted - told) > (0 if self._format in _DELAYED else _RIGHT_MS):
            yield replace(self._info(), duration_ms=lasted)

    def _clock(self, stream: av.VideoStream | av.AudioStream) -> TrackClock:
        return TrackClock(stream, self._start, leaps=self._format in _LEAPING, numbered=self._is_numbered(stream))

    def _is_numbered(self, stream: av.VideoStream | av.AudioStream) -> bool:
        """Whether the file says when packets are decoded, and not when frames are shown."""
        if not isinstance(stream, av.VideoStream):
            return False
        context = stream.codec_context
        return self._format == "avi" or (self._format == "asf" and context is not None and bool(context.has_b_frames))

    def _moments(self) -> Iterator[Cut]:
        """The frames on screen at the requested times."""
        film, known, told = self._film_track, self._needs.lasts_ms, self._duration_ms
        if film is None:
            raise MediaError("no_content", "the file has no picture track that is read")
        broken = self._format in _LEAPING and known is not None and told is not None and abs(known - told) > _ASTRAY_MS
        numbered = self._is_numbered(film.stream)
        seeks = self._format not in _RAW and not broken and not (numbered and self._format == "asf")
        clock = partial(self._clock, film.stream)
        screen = Screen(self._container, film.stream, film.decoder, clock, seeks=seeks, skips=seeks and not numbered)
        for time in self._needs.moments:
            frame = screen.at(time)
            if frame is None:
                raise MediaError("undecodable", screen.damage.first or "there is no picture in it")
            yield Cut(Channel.VISUAL, Modality.VIDEO, Span(time, time + 1), film.shots.shown(frame)[None])

    def _cuts(self) -> Iterator[Cut]:
        try:
            for packet in self._container.demux(*self._wanted):
                yield from self._by_stream[packet.stream.index].push(packet)
        except MemoryError:
            raise
        except av.error.FFmpegError as error:
            self._broken = str(error)
        for track in self._tracks:
            yield from track.windows.finish()
        for pictures in self._pictures:
            yield from pictures.shots.finish(pictures.clock.end_ms(self._duration_ms))

    @property
    def _lasted_ms(self) -> int:
        """The length of what was decoded; for skipped tracks, the length in the header."""
        decoded = max(self._seen_ms, self._heard_ms)
        return decoded if self._whole else max(decoded, self._duration_ms or 0)

    @property
    def _heard_ms(self) -> int:
        return max((track.windows.heard_ms for track in self._tracks), default=0)

    @property
    def _seen_ms(self) -> int:
        return max((track.shots.seen_ms for track in self._pictures), default=0)

    def _info(self) -> Info:
        told = {name.lower(): value for name, value in self._container.metadata.items()}
        title = container_tags.mended(told.get("title", ""))[0] or None
        everywhere = recorded.tags(self._container)
        facts = recorded.told(everywhere, self._format)
        first = None if self._start is None else max(round(self._start * 1000), 0)
        words = {
            "title": title, "stamps": facts.stamps, "position": facts.position, "camera": facts.camera, "rights": facts.rights, "duration_ms": self._duration_ms, "first_stamp_ms": first,
            "subtitles": len(self._container.streams.subtitles),
            "taken_with": recorded.taken_with(told),
        }  # fmt: skip
        if self._film is None:
            return Info(Modality.AUDIO, self._format, **words)  # type: ignore[arg-type]
        width, height = round(self._film.width * aspect_of(self._film)), self._film.height
        if self._film_track is not None and (self._film_track.shots.turned or 0) % 2:
            width, height = height, width
        return Info(Modality.VIDEO, self._format, width or None, height or None, **words)  # type: ignore[arg-type]

    def _check_content(self) -> None:
        """Raise MediaError if the file had no picture and no sound."""
        if self._seen_ms or self._heard_ms:
            return
        told = (
            *(track.damage.first for track in self._pictures),
            *(track.refused or track.damage.first for track in self._tracks),
        )
        damage = next(filter(None, told), "") or self._broken
        if damage:
            raise MediaError("undecodable", f"no picture and no sound could be decoded; the decoder says: {damage}")
        raise MediaError("no_content", "the file holds neither a picture nor a sound")

    def _gaps(self) -> Iterator[Gap]:
        seen, heard = self._seen_ms, self._heard_ms
        if self._unseen:
            yield Gap("no_picture", "the pictures are in a codec that is not read")
        for pictures in self._pictures:
            yield from pictures.gaps()
        for track in self._tracks:
            yield from track.gaps(alone=bool(self._pictures) and not heard)
        yield from self._untaken
        end = seen or heard
        announced = self._announced_ms if self._format not in _GUESSED else None
        short = announced is not None and announced - max(seen, heard) > max(_MISSING_MS, announced // 50)
        if self._broken or short or self._cut_off:
            detail = self._broken or "the file ends before the end that it announces"
            yield Gap("truncated", detail, Span(end, max(end, announced or end)))


class _SoundTrack:
    """One sound track: its clock, its windows, and its gaps."""

    def __init__(self, stream: av.AudioStream, number: int, needs: Needs, *, film: bool) -> None:
        """``number`` counts from 1. Cuts of the first track have no source, so that they equal the segments of older versions."""
        self.stream, self._name = stream, name_of("sound track", number, stream)
        track = self._name if number > 1 else None
        language = language_names.code(stream.metadata.get("language"))
        self.windows = SoundWindows(needs, skip_silence=film or number > 1, track=track, language=language)
        self.clock, self.damage = TrackClock(stream, None, leaps=False), Damage(f"{self._name}")
        self.refused = ""

    def push(self, packet: av.Packet[Any]) -> Iterator[Cut]:
        """Take a packet and yield the windows that it fills. A track that cannot be mixed is reported as a gap and skipped."""
        for frame in self.damage.decode(packet, self.clock, self.windows.heard_ms):
            if self.refused:
                return
            time_ms = self.clock.time_ms(frame)
            try:
                yield from self.windows.push(frame, time_ms)
            except (ValueError, av.error.FFmpegError) as error:
                self.refused = str(error)

    def gaps(self, *, alone: bool) -> Iterator[Gap]:
        """The parts of the track that could not be heard. ``alone``: there was no film track."""
        heard = self.windows.heard_ms
        why = self.refused or ("" if heard else self.damage.first)
        if why:
            yield Gap("no_sound" if alone else "not_sampled", f"{self._name} is not searched: {why}")
        elif heard:
            yield from self.damage.gaps()


def _unheard(sounds: Sequence[av.AudioStream], heard: Sequence[av.AudioStream]) -> list[Gap]:
    """Gaps for the skipped tracks: those without a decoder, and those beyond ``MAX_TRACKS``."""
    found = []
    if heard and (lost := len(sounds) - len(heard)):
        found.append(Gap("not_sampled", f"{lost} of {len(sounds)} sound tracks are in codecs that are not read"))
    if (beyond := len(heard) - MAX_TRACKS) > 0:
        found.append(Gap("not_sampled", f"{beyond} of {len(sounds)} sound tracks are not searched: {MAX_TRACKS} are at most"))
    return found


def _decodable(tracks: Sequence[_Track]) -> _Track | None:
    """The first track that has a decoder."""
    return next((track for track in tracks if track.codec_context is not None), None)


def _is_cut_off(source: Source) -> bool:
    """Whether a RIFF file (WAV, AVI) is shorter than its header says.

    A streamed file states no length, or the largest possible one.
    """
    announced = int.from_bytes(source.head[4:8], "little") + 8
    return source.head[:4] == b"RIFF" and source.size < announced < 0xFFFFF000


def _unopened(source: Source, error: av.error.FFmpegError) -> MediaError:
    """Why a container could not be opened. A QuickTime file without its index, which is written last, was cut off."""
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
    return track_ms(stream) if stream is not None else None
