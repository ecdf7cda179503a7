"""Subtitles inside a film, and beside it."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import av
from av.stream import Discard

from search.errors import MediaError
from search.media.metadata import cue_text, language_names
from search.media.metadata.text_values import MAX_VALUE_CHARACTERS, clean
from search.media.metadata.timed import Cue
from search.types import Channel, Cut, Gap, Modality, Needs, Span

MAX_CUES = 50_000
"""Cues of a file that are read."""
_LONGEST_MS, _USUAL_MS, _LAST_MS = 600_000, 3_000, 1 << 50
"""The longest duration of a cue, its duration if no end is given, and its latest start."""
_PAUSE_MS = 250
"""Text that is shown again within this time, in milliseconds, was not said again."""
_FIELDS_OF_ASS = 8
"""Fields before the text in a line of ASS, as Matroska keeps it."""
_UNNAMED = {"mpegts": "teletext, most likely"}
"""The kind of a track for which the library has no name, by container format."""
_PICTURES = frozenset({"pgssub", "dvdsub", "dvbsub", "xsub", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"})


class Cues:
    """Takes the cues of one track in order of time. Yields the part of each that was not on screen already.

    So a repeated cue continues the earlier one, and roll-up subtitles give each line once.
    """

    def __init__(self, needs: Needs, source: str | None = None, language: str | None = None) -> None:
        self._longest = min(MAX_VALUE_CHARACTERS, needs.characters)
        self._source, self._language = source, language
        self._shown: list[str] = []
        self._held: tuple[int, int, str] | None = None
        self.shortened = self.measured = False
        """Whether a cue was longer than may be, and whether any was telemetry."""

    def push(self, start: int, end: int, text: str) -> Iterator[Cut]:
        """Take a cue with unchecked times (milliseconds), and yield the one before it."""
        if cue_text.is_telemetry(text[: self._longest]):
            self.measured = True
            return
        lines = [line for line in clean(text[: self._longest + 1]).split("\n") if any(letter.isalnum() for letter in line)]
        self.shortened |= len(text) > self._longest
        if not lines:
            return
        start = min(max(start, 0), _LAST_MS)
        end = min(max(end, start + 1), start + _LONGEST_MS)
        again = self._held is not None and start <= self._held[1] + _PAUSE_MS
        fresh = [line for line in lines if line not in self._shown] if again else lines
        self._shown = lines
        if self._held is not None and not fresh:
            self._held = (self._held[0], max(end, self._held[1]), self._held[2])
            return
        yield from self.finish()
        self._held = (start, end, "\n".join(fresh)[: self._longest])

    def finish(self) -> Iterator[Cut]:
        """Yield the last cue."""
        if self._held is not None:
            start, end, text = self._held
            yield Cut(Channel.SPEECH, Modality.TEXT, Span(start, end), text, self._source, self._language)
        self._held = None


def beside(timed: Iterator[Cue], needs: Needs) -> Iterator[Cut | Gap]:
    """The cues of a file of subtitles.

    Raises:
        MediaError: ``no_content``, there are none.
    """
    cues, found = Cues(needs), sorted(islice(timed, MAX_CUES))
    if not found:
        raise MediaError("no_content", "no words with times were found in it")
    for start, end, words in found:
        yield from cues.push(start, end, words)
    yield from cues.finish()
    yield from _left_out([cues], next(timed, None) is not None)


def inside(container: av.container.InputContainer, needs: Needs) -> Iterator[Cut | Gap]:
    """The cues of a film, track by track. Reads nothing else of the file, if its format allows that."""
    tracks: dict[int, tuple[Cues, Callable[[bytes], str]]] = {}
    for number, stream in enumerate(container.streams.subtitles, 1):
        language = language_names.code(stream.language)
        name = f"subtitle stream {number}" + (f" ({language_names.name(language)})" if language else "")
        codec = stream.codec_context.name if stream.codec_context is not None else ""
        if codec in _TEXTS:
            tracks[stream.index] = (Cues(needs, name, language), _TEXTS[codec])
        else:
            why = (
                "the subtitles are pictures"
                if codec in _PICTURES
                else f"the subtitles are in a format that is not read ({codec or _UNNAMED.get(container.format.name, 'unknown')})"
            )
            yield Gap("not_read", f"{name}: {why}")
    if not tracks:
        return
    for other in container.streams:
        if other.index not in tracks:
            other.discard = Discard.all
    count, start = 0, (container.start_time or 0) * 1000 / av.time_base
    try:
        for packet in container.demux(*(container.streams[index] for index in tracks)):
            if packet.pts is None or packet.time_base is None:
                continue
            if (count := count + 1) > MAX_CUES:
                break
            cues, words = tracks[packet.stream.index]
            begin = round(float(packet.pts * packet.time_base * 1000) - start)
            lasts = round((packet.duration or 0) * packet.time_base * 1000) or _USUAL_MS
            yield from cues.push(begin, begin + lasts, words(bytes(packet)))
    except MemoryError:
        raise
    except av.error.FFmpegError as error:
        yield Gap("not_read", f"the subtitles end early; the decoder says: {error}")
    for cues, _ in tracks.values():
        yield from cues.finish()
    yield from _left_out([cues for cues, _ in tracks.values()], count > MAX_CUES)


def captioned(frame: av.VideoFrame) -> bool:
    """Whether a frame has text in closed captions: CEA-608, or 708 as CTA-708 packs both (4.3)."""
    data: Any = frame.side_data.get("A53_CC")
    raw = bytes(data) if data is not None else b""
    return any(raw[at] & 4 and (raw[at + 1] & 0x7F or raw[at + 2] & 0x7F) for at in range(0, len(raw) - 2, 3))


def _left_out(tracks: Sequence[Cues], more: bool) -> Iterator[Gap]:
    if any(cues.measured for cues in tracks):
        yield Gap("not_read", "telemetry of a camera, which is not searched")
    if any(cues.shortened for cues in tracks):
        yield Gap("not_read", f"of a cue only the first {MAX_VALUE_CHARACTERS} characters were read")
    if more:
        yield Gap("not_read", f"only the first {MAX_CUES} cues were read")


def _marked_up(raw: bytes) -> str:
    """SubRip and WebVTT."""
    return html.unescape(cue_text.MARKUP.sub("", raw.decode("utf-8", "replace")))


def _boxed(raw: bytes) -> str:
    """3GPP timed text: its length, the text, and boxes of style (3GPP TS 26.245, 5.17)."""
    text = raw[2 : 2 + int.from_bytes(raw[:2], "big")]
    return text.decode("utf-16" if text[:2] in (b"\xfe\xff", b"\xff\xfe") else "utf-8", "replace")


def _line_of_ass(raw: bytes) -> str:
    """The text of a line of (Advanced) SubStation Alpha. A line that draws has no text."""
    text = raw.decode("utf-8", "replace").split(",", _FIELDS_OF_ASS)[-1]
    if cue_text.DRAWING.search(text):
        return ""
    return cue_text.MARKUP.sub("", text).replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")


_TEXTS: dict[str, Callable[[bytes], str]] = {
    "srt": _marked_up, "subrip": _marked_up, "text": _marked_up, "webvtt": _marked_up,
    "mov_text": _boxed, "ass": _line_of_ass, "ssa": _line_of_ass,
}  # fmt: skip
"""Text subtitle codecs, by ffmpeg's names. They are parsed here, so that hostile files reach no further decoder in C."""
