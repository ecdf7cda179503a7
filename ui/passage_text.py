"""What is said and written, as people read it: what of it was asked for, where it comes from, and whether a model made it up.

What a model wrote is told as such wherever it stands, and never looks like what was said or is to be read in the media.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ui.i18n import mark, percent, tr

if TYPE_CHECKING:  # the terminal does without what the service needs
    from search.api.schemas import Read

Marks = Sequence[tuple[int, int]]
"""Stretches of characters, half-open."""

MAX_LEAD_CHARACTERS = 32
"""Characters that stand before the first mark, at most, where a text is too long to be shown whole."""


def passage(read: Read, channel: str, *, own: bool = False, marks: Marks = (), room: int | None = None) -> dict[str, Any] | None:
    """A text as the parts of the page draw it; None where there is none. ``own``: the text is the asset itself."""
    if not read.text:
        return None
    shown = pieces(read.text, marks, room)
    told = origin(channel, read.source or "", read.confidence, translated=read.translated, own=own)
    return {"pieces": shown, "language": read.language or "", **told}


def pieces(text: str, marks: Marks = (), room: int | None = None) -> list[tuple[str, bool]]:
    """A text cut into pieces, each with whether it is marked; if it has more than ``room`` characters, those about the first mark.

    Characters are counted here, since a browser counts those beyond the first 65,536 twice.
    """
    start, stop = _window(text, marks, room or len(text))
    found, at = [("…", False)] if start else [], start
    for begin, end in sorted(marks):
        begin, end = max(begin, at), min(end, stop)
        if begin < end:
            found += [(text[at:begin], False), (text[begin:end], True)]
            at = end
    found += [(text[at:stop], False), ("…" if stop < len(text) else "", False)]
    return [piece for piece in found if piece[0]]


def _window(text: str, marks: Marks, room: int) -> tuple[int, int]:
    """What of a text is shown: from a little before the first mark, and whole words where there is white space."""
    if len(text) <= room:
        return 0, len(text)
    first, end = min(marks, default=(0, 0))
    start = 0
    if first > MAX_LEAD_CHARACTERS:
        word = _WORD.search(text, first - MAX_LEAD_CHARACTERS, first + 1)
        start = word.start() if word else first - MAX_LEAD_CHARACTERS
    stop = start + room
    if stop >= len(text):
        return start, len(text)
    space = text.rfind(" ", max(end, stop - MAX_LEAD_CHARACTERS, start + 1), stop + 1)
    return start, space if space > 0 else stop


_WORD = re.compile(r"(?<=\s)\S")
"""The beginning of a word."""


def origin(channel: str, source: str, confidence: float | None, *, translated: bool = False, own: bool = False) -> dict[str, Any]:
    """Where a text comes from: ``label`` in a word or two, ``by`` whom or where, ``sure`` where its reader knew, ``written`` if a model wrote it.

    Who hears says how sure it is of each passage; subtitles are in the same channel, and cannot.
    """
    sure = "" if confidence is None else percent(confidence)
    source = source.removeprefix("written by ")
    if translated:
        label, by = mark("translation by a model"), source
    elif channel == "caption":
        label, by = mark("caption by a model"), source
    elif channel == "ocr":
        label, by = mark("on-screen text"), tr("read by {model}", model=source)
    elif channel == "speech":
        label, by = (mark("speech"), tr("transcribed by {model}", model=source)) if sure else (mark("subtitle"), source)
    else:
        label, by = (mark("text"), "") if own else (mark("metadata"), source)
    written = translated or channel == "caption"
    return {
        "label": tr(label),
        "by": by,
        "sure": sure,
        "written": written,
        "mark": "model" if written else _MARKS.get(label, "text"),
    }


_MARKS = {"speech": "record", "on-screen text": "frame"}
"""Icons of labels."""
