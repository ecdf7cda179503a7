"""Texts: prose, Markdown, HTML, subtitles, PDF, DOCX and ODT, cut into paragraphs."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from search.errors import MediaError
from search.media.decode import markup, office, tracks
from search.media.decode.paragraphs import paragraphs, unhyphenated
from search.media.metadata import cue_text, dates, subtitles, takeout, text_values, timed, xmp
from search.media.metadata.charset import declared, guess
from search.media.metadata.circumstances import Told
from search.media.sniff import is_packed, is_text
from search.media.source import Found, Limits, Source
from search.types import Channel, Cut, DateSource, Gap, Info, Modality, Needs, Span, Stamp

MAX_BYTES = 50_000_000
"""What is read of a text, in bytes."""

_MARKED = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t#]*$|^(\S.*)\n=+[ \t]*$", re.MULTILINE)
_HTML = re.compile(r"\s*(?:<!--.*?-->\s*|<\?xml[^>]*>\s*)*<(?:!doctype html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_MARKDOWN = (".md", ".markdown")


def read(source: Source, needs: Needs, limits: Limits) -> Iterator[Found]:
    """Decode a text into cuts of at most ``needs.characters``: spans in characters of the text, or in ms for subtitles.

    With ``needs.metadata`` the text is treated as a sidecar: subtitles give each cue as speech, XMP its values.

    Raises:
        MediaError: ``not_text``, ``no_content``, ``undecodable``.
    """
    if b"%PDF-" in source.head[:1024]:
        from search.media.decode import pages

        yield from pages.read(source, needs, limits)
        return
    if is_packed(source.head):
        yield from office.read(source, needs, limits)
        return
    if needs.metadata:
        yield from _beside(source, needs)
        return
    raw, text, form = _opened(source)
    stamps: Sequence[Stamp] = ()
    title = None
    if form is not None:
        cuts = cue_text.passages(timed.cues(form, raw, text), needs.characters)
    elif _HTML.match(text) or source.suffix in (".html", ".htm", ".xhtml"):
        stamps = dates.stamps(DateSource.TAGS, *markup.dated(text))
        text, title = markup.visible(text)
        cuts, form = prose(text, needs.characters), "html"
    else:
        text = unhyphenated(text)
        if source.suffix in _MARKDOWN and (heading := _HEADING.search(text)):
            title = (heading[1] or heading[2]).strip()
        cuts, form = prose(text, needs.characters), source.suffix.lstrip(".") or "txt"
    first = next(cuts, None)
    if first is None:
        if form is not None and cue_text.is_telemetry(text[:1_000]):
            yield from tracks.cued(timed.cues(form, raw, text), needs)
            return
        raise MediaError("no_content", "the text has no words")
    yield Info(Modality.TEXT, form, title=title, stamps=dates.distinct(stamps))
    yield first
    yield from cuts
    if source.size > MAX_BYTES:
        yield Gap("not_sampled", f"only the first {MAX_BYTES} of {source.size} bytes were read")


def _beside(source: Source, needs: Needs) -> Iterator[Found]:
    """Read a sidecar. Raises MediaError (``unsupported``) for files that are neither subtitles nor XMP."""
    told = Told()
    form: str | None = source.suffix.lstrip(".")
    if form == "json":
        yield takeout.info(source.file.read(MAX_BYTES))
        return
    if form == "xmp":
        raw = source.file.read(MAX_BYTES)
        told = xmp.told(raw)
        found = text_values.cuts("XMP", xmp.values(raw), needs)
    else:
        raw, text, form = _opened(source)
        if form is None:
            raise MediaError("unsupported", "neither subtitles nor XMP")
        found = subtitles.beside(timed.cues(form, raw, text), needs)
    stamps = [replace(one, source=DateSource.SIDECAR) if one.source is DateSource.XMP else one for one in told.stamps]
    yield Info(Modality.TEXT, form, stamps=dates.distinct(stamps), position=told.position, camera=told.camera, rights=told.rights)
    yield from found


def _opened(source: Source) -> tuple[bytes, str, str | None]:
    """The bytes of a text, its decoded text, and its timed-text format; None: it has none."""
    raw, form = source.file.read(MAX_BYTES), timed.form(source.head, source.suffix)
    if form == "stl":
        return raw, "", form
    text = _decode(raw)
    if text.startswith("WEBVTT"):
        return raw, text, "vtt"
    return raw, text, None if form in ("srt", "vtt") and "->" not in text else form


def prose(text: str, characters: int) -> Iterator[Cut]:
    """The paragraphs of a text as cuts."""
    for start, end in paragraphs(text, characters):
        yield Cut(Channel.TEXT, Modality.TEXT, Span(start, end, "char"), text[start:end])


def _decode(raw: bytes) -> str:
    """Decode bytes to text: by byte order mark, else UTF-8, else the character set that a page or XML declares, else by letter
    frequencies."""
    for mark, encoding in _MARKED:
        if raw.startswith(mark):
            return raw.decode(encoding, "replace")
    if not is_text(raw):
        raise MediaError("not_text", "the file holds binary data")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if (
            error.start >= len(raw) - 4 and error.reason == "unexpected end of data"
        ):  # cut amid a letter, by MAX_BYTES or a bad copy
            return raw.decode("utf-8", "ignore")
    if (told := declared(raw)) is not None:
        return raw.decode(told, "replace")
    if (likeliest := guess(raw)) is None:
        raise MediaError("not_text", "the file's bytes are text in no known character set")
    return raw.decode(likeliest, "replace")
