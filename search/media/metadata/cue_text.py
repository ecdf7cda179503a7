"""Subtitles: SubRip and WebVTT cues, merged to passages, with their times."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from search.types import Channel, Cut, Modality, Span

_TIME = r"(-)?(?:(\d{1,5}) ?: ?)?(\d{1,2}) ?: ?(\d{1,2})(?:([.,:])(\d{1,3}))?"
_TIMING = re.compile(rf"^[ \t]*{_TIME}[ \t]*-{{1,2}}>[ \t]*{_TIME}(?:[ \t].*)?$", re.MULTILINE)
_LINE_END = re.compile(r"\r+\n|\r")
_COUNTER = re.compile(r"\n[ \t]*\d+[ \t]*\n\Z")
"""The number of the next SubRip cue, in the line before its times."""
MARKUP = re.compile(r"<[^>\n]{0,200}>|\{\\[^}\n]{0,200}\}")
"""Tags of HTML, WebVTT and SubStation Alpha."""
DRAWING = re.compile(r"\{[^}\n]{0,200}\\p[1-9]")
"""Where SubStation Alpha begins to draw: what follows are no words."""
_MEASURED = re.compile(
    r"\b(?:latitude|longitude|altitude|rel_alt|abs_alt|iso|shutter|fnum|focal_len|color_md|ct|ev|gps|home|barometer|framecnt|srtcnt|difftime|ss|[hv]\.s|gb_\w+)"
    r"\b ?[:(]? ?[-+]?[\w.]*\d|\bF/\d",
    re.IGNORECASE,
)
_MEASUREMENTS = 3
"""Measurements that a cue of telemetry holds at least: DJI's have five and more."""
_FRAME_MS = 40
_PAUSE_MS = 5000
"""A silence longer than this ends a passage."""


def passages(cues: Iterable[tuple[int, int, str]], characters: int) -> Iterator[Cut]:
    """Yield passages of consecutive cues, of at most ``characters``, with spans in milliseconds. Telemetry is left out."""
    words, start, end = "", 0, 0
    for begin, finish, lines in cues:
        if is_telemetry(lines):
            continue
        for piece in _pieces(" ".join(lines.split()), characters):
            if words and (begin > end + _PAUSE_MS or begin < start or len(words) + 1 + len(piece) > characters):
                yield _cut(words, start, end)
                words = ""
            words, start = (f"{words} {piece}", start) if words else (piece, begin)
            end = max(finish, start + 1)
    if words:
        yield _cut(words, start, end)


def timed(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the cues: start and end in milliseconds, unchecked, and lines without markup."""
    text = _LINE_END.sub("\n", text)
    blank_ends = text.startswith("WEBVTT")
    for timing, following in pairwise([*_TIMING.finditer(text), None]):
        if timing is None:
            return
        body = text[timing.end() : following.start() if following else len(text)]
        if following:
            body = _COUNTER.sub("", body)
        body = body.lstrip("\n")
        body = html.unescape(MARKUP.sub("", body.split("\n\n")[0] if blank_ends else body)).strip()
        if body:
            yield _ms(*timing.groups()[:6]), _ms(*timing.groups()[6:]), body


def is_telemetry(cue: str) -> bool:
    """Whether a cue contains measurements of a drone or camera rather than speech."""
    return len(_MEASURED.findall(cue)) >= _MEASUREMENTS


def _pieces(line: str, characters: int) -> Iterator[str]:
    while len(line) > characters:
        at = line.rfind(" ", 1, characters + 1)
        at = at if at > 0 else characters
        yield line[:at]
        line = line[at:].lstrip()
    if line:
        yield line


def _ms(sign: str | None, hours: str | None, minutes: str, seconds: str, mark: str | None, fraction: str | None) -> int:
    """A time in milliseconds; a negative one counts as 0.

    A number after a third colon counts frames. The frame rate is not given; 25 is assumed, the usual one where times are written
    like this.
    """
    if sign:
        return 0
    part = min(int(fraction or 0) * _FRAME_MS, 999) if mark == ":" else int((fraction or "0").ljust(3, "0"))
    return ((int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + part


def _cut(words: str, start: int, end: int) -> Cut:
    return Cut(Channel.TEXT, Modality.TEXT, Span(start, end), words)
