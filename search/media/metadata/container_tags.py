"""Text in a sound or video file besides its content: tags and chapters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import av

from search.media.metadata import language_names, xmp
from search.media.metadata.text_values import Role, Value, cuts, decoded
from search.types import Cut, Gap, Needs, Span

_SOURCES = {
    "mp3": "ID3", "aac": "ID3", "aiff": "ID3", "ogg": "Vorbis comment", "flac": "Vorbis comment", "mp4": "MP4 tags", "mov": "QuickTime tags",
    "matroska": "Matroska tags", "webm": "Matroska tags", "wav": "RIFF INFO", "avi": "RIFF INFO",
}  # fmt: skip
"""What tags are called, by the name of the format."""
_NAMES: tuple[tuple[Role, str], ...] = (
    ("title", "title show album subtitle displayname"),
    ("description", "description synopsis comment lyrics unsyncedlyrics information summary"),
    ("keywords", "keywords genre category"),
    ("place", "location.name city country"),
    ("credit", "artist album_artist author composer performer conductor lyricist director publisher copyright network"),
)
_ROLES: dict[str, Role] = {name: role for role, names in _NAMES for name in names.split()}
_QUICKTIME = "com.apple.quicktime."
_LISTED = ("keywords", "genre")
_SLACK_MS = 500
"""How far before the first frame a chapter may begin, in milliseconds, to still count as being on the clock of the tracks."""


def read(container: av.container.InputContainer, form: str, needs: Needs) -> Iterator[Cut | Gap]:
    """The tags and the chapters of a file in the format ``form``, as text."""
    tags = container.metadata
    if form == "ogg":  # there each track has its own
        tags = {name: value for stream in container.streams for name, value in stream.metadata.items()} | tags
    if raw := tags.get("xmp"):
        yield from cuts("XMP", xmp.values(raw.encode("utf-8", "surrogateescape")), needs)
    yield from cuts(_SOURCES.get(form, "tags"), _values(tags), needs)
    yield from cuts("chapters", _chapters(container), needs)


def _values(tags: Mapping[str, str]) -> Iterator[Value]:
    for told, text in zip(tags, mended(*tags.values()), strict=True):
        name, _, language = told.lower().removeprefix(_QUICKTIME).partition("-")
        if role := _ROLES.get(name):
            for part in text.replace(";", ",").split(",") if name in _LISTED else [text]:
                yield Value(role, part, language_names.code(language.rpartition("-")[2]))


def _chapters(container: av.container.InputContainer) -> Iterator[Value]:
    chapters, begins = container.chapters(), (container.start_time or 0) * 1000 / av.time_base
    told = [chapter["start"] * (chapter["time_base"] or 0) * 1000 for chapter in chapters]
    if not told or min(told) < begins - _SLACK_MS:  # counted from the beginning already, whatever the clock of the tracks
        begins = 0
    for chapter in chapters:
        base, title = chapter["time_base"] or 0, chapter["metadata"].get("title", "")
        start, end = (min(max(0, round(chapter[at] * base * 1000 - begins)), 1 << 50) for at in ("start", "end"))
        yield Value("chapter", mended(title)[0], span=Span(start, max(end, start + 1)))


def mended(*values: str) -> list[str]:
    """Tags as text. Bytes that were not UTF-8 (kept by ``surrogateescape``) are decoded with the right character set."""
    return decoded(*(value.encode("utf-8", "surrogateescape") for value in values))
