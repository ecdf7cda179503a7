"""A text cut into paragraphs, none longer than an encoder reads."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BLANK = re.compile(r"\r?\n(?:[ \t\f\v]*\r?\n)+")
_SENTENCE = re.compile(r"[.!?…]['\"»”’)\]]*\s+|[。！？]\s*|\n")
_HEADING = 80
"""A block shorter than this that does not end like a sentence is a heading or an item of a list, in characters."""
_TINY = 20
"""A block shorter than this cannot stand alone, in characters."""


def paragraphs(text: str, characters: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the paragraphs in ``text``, in order, without the white space around them.

    Blank lines separate; what is a heading, or tiny, joins what follows; what is longer than ``characters`` is split at
    the end of a sentence, else at white space, else anywhere.
    """
    held: tuple[int, int] | None = None
    for start, end in _blocks(text):
        if held is not None:
            if end - held[0] <= characters and _leads(text[held[0] : held[1]]):
                held = (held[0], end)
                continue
            yield from _split(text, *held, characters)
        held = (start, end)
    if held is not None:
        yield from _split(text, *held, characters)


def _leads(passage: str) -> bool:
    """Whether a passage wants what follows it: it ends with a heading, or is tiny."""
    last = _BLANK.split(passage)[-1]
    return len(passage) < _TINY or (len(last) < _HEADING and (last.startswith("#") or last[-1] not in ".!?…\"'»”’)。！？"))


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for blank in _BLANK.finditer(text):
        yield from _trimmed(text, start, blank.start())
        start = blank.end()
    yield from _trimmed(text, start, len(text))


def _split(text: str, start: int, end: int, characters: int) -> Iterator[tuple[int, int]]:
    while end - start > characters:
        limit = start + characters
        stops = [stop.end() for stop in _SENTENCE.finditer(text, start, limit) if stop.end() > start + characters // 3]
        stop = stops[-1] if stops else max(text.rfind(" ", start + characters // 3, limit), -1) + 1 or limit
        yield from _trimmed(text, start, stop)
        start = stop
    yield from _trimmed(text, start, end)


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The span without white space at its ends; nothing, if there is no letter and no digit in it."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    end = start + len(piece.strip())
    if any(letter.isalnum() for letter in piece):
        yield start, end
