"""Timed text in every supported format: cues with their times, unchecked."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import TypeAlias
from xml.etree import ElementTree

from pysubs2 import SSAFile, UnknownFPSError
from ttconv import model
from ttconv.imsc import reader as ttml
from ttconv.scc import reader as scenarist
from ttconv.stl import reader as ebu

from search.errors import MediaError
from search.media.metadata import cue_text

MAX_BYTES = 10_000_000
"""The maximum size of a file that a library parses as a whole, in bytes; a longer file is refused."""
MARKS = (b"STL23.01", b"STL24.01", b"STL25.01", b"STL30.01", b"STL50.01")
"""The bytes after the first three of an EBU STL file (EBU Tech 3264, 4.2.1). Models of solids are called ``.stl`` too."""

_DECLARED = re.compile(r"<!(?:DOCTYPE|ENTITY)")
_SUNG = re.compile(r"\[(\d{1,4}):(\d{1,2})(?:[.:](\d{1,3}))?\]")
_WORD_SUNG = re.compile(r"<\d{1,4}:\d{1,2}(?:[.:]\d{1,3})?>")
_AT_PROGRAMME, _PROGRAMME = 256, re.compile(rb"(\d\d)(\d\d)(\d\d)(\d\d)")
"""The byte offset and the form of the programme's start time code in EBU STL."""
_FOREVER = "360000s"
"""An end for elements of TTML that begin late and have no end of their own. ttconv 1.2 forgets their beginning when it computes
their end, and so shortens or drops their content."""
_USUAL = Fraction(3)
"""The duration of a cue without an end, in seconds."""
_LASTS_MS = 5_000
"""The longest duration of a line of a song, if the next line is far away."""

Cue: TypeAlias = tuple[int, int, str]
"""Start and end in milliseconds, unchecked, and lines without markup."""

logging.getLogger("ttconv").setLevel(
    logging.CRITICAL + 1
)  # it tells of every oddity, and the decoder's standard error is the epitaph


def form(head: bytes, suffix: str) -> str | None:
    """The timed-text format of a file, from its first bytes and its suffix with the dot. None: neither decides, and its text must
    be examined."""
    if head[3:11] in MARKS:
        return "stl"
    name = suffix.lstrip(".")
    return name if name in _READ else None


def cues(form: str, raw: bytes, text: str) -> Iterator[Cue]:
    """The cues of a file in a known format, unchecked; ``text`` is the decoded file.

    Raises:
        MediaError: ``too_large``, ``unsupported``.
        Exception: whatever a library raises on a damaged file.
    """
    if form in ("srt", "vtt"):
        return cue_text.timed(text)
    if len(raw) > MAX_BYTES:
        raise MediaError("too_large", f"subtitles in this format are read up to {MAX_BYTES} bytes")
    return iter(sorted(_ebu(raw) if form == "stl" else _READ[form](text)))


def _substation(text: str) -> Iterator[Cue]:
    """SubStation Alpha, old and advanced. Drawings and comments are skipped."""
    for event in SSAFile.from_string(text, format_="ass"):
        if not event.is_comment and not cue_text.DRAWING.search(event.text):
            yield event.start, event.end, event.plaintext


def _microdvd(text: str) -> Iterator[Cue]:
    try:
        events = SSAFile.from_string(text, format_="microdvd")
    except UnknownFPSError:
        raise MediaError("unsupported", "its times are frames, and it does not say how many there are a second") from None
    for event in events:
        yield event.start, event.end, event.plaintext


def _lyrics(text: str) -> Iterator[Cue]:
    """LRC. A line has one or several times; words may have more. A line lasts until the next one."""
    found = []
    for line in text.splitlines():
        words = _WORD_SUNG.sub("", _SUNG.sub("", line)).strip()
        found += [
            ((int(minutes) * 60 + int(seconds)) * 1000 + int((fraction or "0").ljust(3, "0")), words)
            for minutes, seconds, fraction in _SUNG.findall(line)
        ]
    found.sort()
    ends = [start for start, _ in found[1:]] + [1 << 62]
    for (start, words), end in zip(found, ends, strict=False):
        yield start, min(end, start + _LASTS_MS), words


def _ttml(text: str) -> Iterator[Cue]:
    """TTML, and so IMSC, EBU-TT and DFXP (https://www.w3.org/TR/ttml2/)."""
    if _DECLARED.search(text):
        raise MediaError("unsupported", "it declares a type of document or entities, as no subtitles do")
    root = ElementTree.fromstring(text)  # noqa: S314 - nothing is declared in it
    for parent in root.iter():
        for part in parent if parent.get("timeContainer") != "seq" else ():
            if (
                "begin" in part.attrib
                and {"end", "dur"}.isdisjoint(part.keys())
                and any("end" in below.attrib for below in part.iter())
            ):
                part.set("dur", _FOREVER)
    document = ttml.to_model(ElementTree.ElementTree(root))
    if document is None:
        raise MediaError("unsupported", "it is XML, but no timed text")
    return _of_model(document)


def _scenarist(text: str) -> Iterator[Cue]:
    """Scenarist closed captions: CEA-608 codes with the time at which they are sent."""
    return _of_model(scenarist.to_model(text))


def _ebu(raw: bytes) -> list[Cue]:
    """EBU STL. Times count from the start of the programme if it is stated, usually 10:00:00:00.

    The library could do this too, but it drops everything before that time, and fails if no start is stated.
    """
    cues = list(_of_model(ebu.to_model(io.BytesIO(raw))))
    if told := _PROGRAMME.match(raw, _AT_PROGRAMME):
        hours, minutes, seconds, frames = map(int, told.groups())
        start = ((hours * 60 + minutes) * 60 + seconds) * 1000 + frames * 40
        if all(begin >= start for begin, _, _ in cues):
            return [(begin - start, end - start, words) for begin, end, words in cues]
    return cues


def _of_model(document: model.ContentDocument) -> Iterator[Cue]:
    body = document.get_body()
    return iter(()) if body is None else _timed(body, Fraction(0), None)


def _timed(element: model.ContentElement, base: Fraction, limit: Fraction | None) -> Iterator[Cue]:
    """The paragraphs below an element, whose times count from ``base``. A paragraph whose pieces have times is split into these."""
    begin = base + (element.get_begin() or 0)
    end = limit if element.get_end() is None else base + element.get_end()
    parts = list(element)
    if isinstance(element, model.P | model.Span) and not any(_is_timed(part) for part in parts):
        words = "".join(_said(element))
        if words.strip():
            yield round(begin * 1000), round((begin + _USUAL if end is None else end) * 1000), words
        return
    for part in parts:
        if not isinstance(part, model.Br | model.Text):
            yield from _timed(part, begin, end)


def _is_timed(element: model.ContentElement) -> bool:
    return element.get_begin() is not None or element.get_end() is not None or any(map(_is_timed, element))


def _said(element: model.ContentElement) -> Iterator[str]:
    for part in element:
        if isinstance(part, model.Br):
            yield "\n"
        elif isinstance(part, model.Text):
            yield part.get_text()
        elif not isinstance(part, model.Rt | model.Rp | model.Rtc):  # how the ruby's base is spoken would stand in its midst
            yield from _said(part)


_READ: dict[str, Callable[[str], Iterable[Cue]]] = {
    "srt": cue_text.timed, "vtt": cue_text.timed, "ass": _substation, "ssa": _substation, "sub": _microdvd, "lrc": _lyrics, "ttml": _ttml, "dfxp": _ttml,
    "scc": _scenarist,
}  # fmt: skip
