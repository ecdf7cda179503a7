"""Words that others wrote into their files: decoded leniently, cleaned, bounded, and made into cuts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeAlias

from search.media.charset import guess
from search.types import Channel, Cut, Gap, Modality, Needs, Span

MOST, LONGEST = 1_000, 20_000
"""Values of one source that are read, and characters of a value."""
LONGEST_BYTES = 4 * LONGEST + 4
"""Bytes that hold more characters than a value may have, in any character set."""

Role: TypeAlias = Literal["title", "description", "chapter", "keywords", "people", "place", "credit"]
"""What a value says; those of ``_JOINED`` become one text together."""

_JOINED = ("keywords", "people", "place", "credit")
_LINE_ENDS = re.compile(r"\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
_CONTROLS = re.compile(r"[\0-\x08\x0e-\x1f\x7f-\x9f]")
_UNSEEN = re.compile(
    r"[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
"""What hides a word from a search, or turns a line round where it is shown. Joiners stay: Persian and emoji are written with them."""
_NOISE = re.compile(
    r"(?:olympus|(?:konica )?minolta|samsung|sony|kodak) (?:digital camera|dsc)|exif_jpeg_picture|default|untitled|created with (?:the )?gimp.*"
    r"|creator: gd-jpeg.*|file written by adobe.*|lead technologies.*|processed by ebay.*|imagej=.*|lavc\S*|<\?xml .*|\{\"shape\".*",
    re.IGNORECASE | re.DOTALL,
)
"""What cameras and programs write of themselves."""
_COUNTED = re.compile(r"(?:chapter|kapitel|chapitre|cap[ií]tulo|capitolo)?[\s\d.:_-]*", re.IGNORECASE)
"""What a chapter is called that has only a number."""


@dataclass(frozen=True, slots=True)
class Value:
    """Something that is written in a file. ``language`` is an ISO 639-1 code, where it is told."""

    role: Role
    text: str
    language: str | None = None
    span: Span | None = None


def cuts(source: str, values: Iterable[Value], needs: Needs) -> Iterator[Cut | Gap]:
    """What ``values``, which may raise anything while they are read, say; and a gap, where some were left out."""
    longest = min(LONGEST, needs.characters)
    apart, joined, gaps = list[Value](), dict[Role, dict[str, None]](), dict[str, None]()
    rest = iter(values)
    try:
        for value in islice(rest, MOST):
            text = clean(_mended(value.text[:longest]))
            if len(value.text) > longest:
                gaps[f"of a value only the first {longest} characters were read"] = None
            if not text or (_COUNTED if value.role == "chapter" else _NOISE).fullmatch(text):
                continue
            if value.role in _JOINED:
                joined.setdefault(value.role, {})[" ".join(text.split())] = None
            else:
                apart.append(Value(value.role, text, value.language, value.span))
        if next(rest, None) is not None:
            gaps[f"only the first {MOST} values were read"] = None
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  hostile files raise anything
        gaps[f"{type(error).__name__}: {error}"] = None
    apart += [Value(role, ", ".join(joined[role])) for role in _JOINED if role in joined]
    for value in apart:
        if len(value.text) > longest:
            gaps[f"of its {value.role} only the first {longest} characters were read"] = None
        yield Cut(Channel.TEXT, Modality.TEXT, value.span, value.text[:longest], source, value.language)
    yield from (Gap("not_read", f"{source}: {why}") for why in gaps)


def clean(text: str) -> str:
    """A text without controls and what is not seen, its lines without white space around them, at most one of them empty in a row."""
    text = _UNSEEN.sub("", _CONTROLS.sub(" ", _LINE_ENDS.sub("\n", text)))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(" ".join(line.split()) for line in text.split("\n"))).strip()


def decoded(*raws: bytes) -> list[str]:
    """Bytes to texts, of which no more is looked at than may be kept: UTF-8, or else the character set in which together they make most sense."""
    raws = tuple(raw[:LONGEST_BYTES] for raw in raws)
    foreign = [raw for raw in raws if not is_utf8(raw)]
    encoding = guess(b"\n".join(foreign)[:LONGEST_BYTES]) if foreign else None
    if encoding is None or encoding.startswith(("utf_16", "utf_32")):  # in which a few letters always seem to be Chinese
        encoding = "cp1252"
    return [raw.decode("utf-8" if is_utf8(raw) else encoding, "replace") for raw in raws]


def is_utf8(raw: bytes) -> bool:
    """Whether bytes are UTF-8; of ``LONGEST_BYTES`` the last letter may be incomplete."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return len(raw) == LONGEST_BYTES and error.start >= len(raw) - 3
    return True


def _mended(text: str) -> str:
    """A text that was UTF-8, taken for Western European, and encoded once more, as it was at first; any other as it is."""
    for taken_for in ("cp1252", "latin-1"):
        try:
            return text.encode(taken_for).decode()
        except UnicodeError:
            continue
    return text
