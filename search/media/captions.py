"""Subtitles: SubRip and WebVTT cues, merged to passages, with their times."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from itertools import pairwise

from search.types import Channel, Cut, Modality, Span

_TIME = r"(-)?(?:(\d{1,5}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMING = re.compile(rf"^[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}.*$", re.MULTILINE)
_LINE_END = re.compile(r"\r+\n|\r")
_COUNTER = re.compile(r"\n[ \t]*\d+[ \t]*\n\Z")
"""The number of the next SubRip cue, in the line before its times."""
MARKUP = re.compile(r"<[^>\n]{0,200}>|\{\\[^}\n]{0,200}\}")
"""Tags of HTML, WebVTT and SubStation Alpha."""
DRAWING = re.compile(r"\{[^}\n]{0,200}\\p[1-9]")
"""Where SubStation Alpha begins to draw: what follows are no words."""
_PAUSE_MS = 5000
"""A silence longer than this ends a passage."""


def cues(text: str, characters: int) -> Iterator[Cut]:
    """Yield passages of consecutive cues, of at most ``characters``, with spans in milliseconds."""
    words, start, end = "", 0, 0
    for begin, finish, lines in timed(text):
        for piece in _pieces(" ".join(lines.split()), characters):
            if words and (begin > end + _PAUSE_MS or begin < start or len(words) + 1 + len(piece) > characters):
                yield _cut(words, start, end)
                words = ""
            words, start = (f"{words} {piece}", start) if words else (piece, begin)
            end = max(finish, start + 1)
    if words:
        yield _cut(words, start, end)


def timed(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the cues as they stand: start and end in milliseconds, which may be anything, and lines without markup."""
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
            yield _ms(*timing.groups()[:5]), _ms(*timing.groups()[5:]), body


def _pieces(line: str, characters: int) -> Iterator[str]:
    while len(line) > characters:
        at = line.rfind(" ", 1, characters + 1)
        at = at if at > 0 else characters
        yield line[:at]
        line = line[at:].lstrip()
    if line:
        yield line


def _ms(sign: str | None, hours: str | None, minutes: str, seconds: str, fraction: str) -> int:
    """A time in milliseconds; one before the start of the film is its start."""
    if sign:
        return 0
    return ((int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(fraction.ljust(3, "0"))


def _cut(words: str, start: int, end: int) -> Cut:
    return Cut(Channel.TEXT, Modality.TEXT, Span(start, end), words)
