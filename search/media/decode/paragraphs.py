"""Text cut into paragraphs, none longer than an encoder reads."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BLANK = re.compile(r"\r?\n(?:[ \t\f\v]*\r?\n)+")
_SENTENCE = re.compile(r"[.!?…]['\"»”’)\]]*\s+|[。！？]\s*|\n")
_PARTED = re.compile(r"[\x02\ufffe]|[-\u2010\u00ad][ \t]{0,99}\r?\n[ \t]{0,99}")
_LETTERS, _ENDING = re.compile(r"[^\W\d_]+"), re.compile(r"[^\W\d_]+\Z")
_COMPOUND = re.compile(r"(?<![^\W\d_])[^\W\d_]{1,64}-[^\W\d_]{1,64}")
_LONGEST = 64
"""The maximum number of letters examined of a word that was split at the end of a line."""
_HEADING = 80
"""A block shorter than this that does not end like a sentence is a heading or an item of a list, in characters."""
_TINY = 20
"""A block shorter than this cannot stand alone, in characters."""


def unhyphenated(text: str) -> str:
    """A text in which words split at the end of a line are joined. pdfium marks such hyphens with U+0002 and U+FFFE.

    The hyphen stays, without the line end, before a capital letter, and if the text contains the word with a hyphen elsewhere.
    """
    if not _PARTED.search(text):
        return text
    compounds = set(_COMPOUND.findall(text.casefold()))

    def whole(found: re.Match[str]) -> str:
        start, end = found.span()
        before, after = _ENDING.search(text[max(0, start - _LONGEST) : start]), _LETTERS.match(text, end, end + _LONGEST)
        if before is None or after is None:
            return "-" + found[0][1:] if found[0][0] in "\x02\ufffe" else found[0]
        compound = f"{before[0]}-{after[0]}".casefold() in compounds
        return "" if found[0][0] == "\u00ad" or (after[0][0].islower() and not compound) else "-"

    return _PARTED.sub(whole, text)


def paragraphs(text: str, characters: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the paragraphs in ``text``, in order, without surrounding white space.

    Blank lines separate paragraphs. A heading, or a tiny block, is joined to the next block. A block longer than ``characters``
    is split at the end of a sentence, else at white space, else anywhere.
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
    """Whether a passage should be joined to the next: it ends with a heading, or is tiny."""
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
    """The span without white space at its ends. Nothing if it has no letter and no digit."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    end = start + len(piece.strip())
    if any(letter.isalnum() for letter in piece):
        yield start, end
