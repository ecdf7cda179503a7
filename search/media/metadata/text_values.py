"""Text written in files: decoded leniently, cleaned, limited in length, and made into cuts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeAlias

from search.media.metadata.charset import guess
from search.types import Channel, Cut, Gap, Modality, Needs, Span

MAX_VALUES, MAX_VALUE_CHARACTERS = 1_000, 20_000
"""The maximum number of values of one source, and of characters of a value."""
MAX_VALUE_BYTES = 4 * MAX_VALUE_CHARACTERS + 4
"""The number of bytes that is enough for a value of maximum length in any character set."""
_LETTERS = 200
"""The number of bytes that is enough to detect a language."""

Role: TypeAlias = Literal["title", "description", "chapter", "keywords", "people", "place", "credit"]
"""The meaning of a value. Values of the roles in ``_JOINED`` become one text."""

_JOINED = ("keywords", "people", "place", "credit")
_LINE_ENDS = re.compile(r"\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
_CONTROLS = re.compile(r"[\0-\x08\x0e-\x1f\x7f-\x9f]")
_UNSEEN = re.compile(
    r"[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Invisible characters that hide a word from search or reverse a line. Joiners stay: Persian and emoji need them."""
_NOISE = re.compile(
    r"(?:olympus|(?:konica )?minolta|samsung|sony|kodak) (?:digital camera|dsc)|exif_jpeg_picture|default|untitled|created with (?:the )?gimp.*"
    r"|creator: gd-jpeg.*|file written by adobe.*|lead technologies.*|processed by ebay.*|imagej=.*|lavc\S*|<\?xml .*|\{\"shape\".*",
    re.IGNORECASE | re.DOTALL,
)
"""Texts that cameras and programs write about themselves."""
_COUNTED = re.compile(r"(?:chapter|kapitel|chapitre|cap[ií]tulo|capitolo)?[\s\d.:_-]*", re.IGNORECASE)
"""The name of a chapter that has only a number."""


@dataclass(frozen=True, slots=True)
class Value:
    """A text written in a file. ``language`` is an ISO 639-1 code, if stated."""

    role: Role
    text: str
    language: str | None = None
    span: Span | None = None


def cuts(source: str, values: Iterable[Value], needs: Needs) -> Iterator[Cut | Gap]:
    """Cuts for ``values``, whose iteration may raise anything; and a gap if some were left out."""
    longest = min(MAX_VALUE_CHARACTERS, needs.characters)
    apart, joined, gaps = list[Value](), dict[Role, dict[str, None]](), dict[str, None]()
    rest = iter(values)
    try:
        for value in islice(rest, MAX_VALUES):
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
            gaps[f"only the first {MAX_VALUES} values were read"] = None
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
    """A text without control and invisible characters. Lines have no surrounding white space, and there is at most one empty line
    in a row."""
    text = _UNSEEN.sub("", _CONTROLS.sub(" ", _LINE_ENDS.sub("\n", text)))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(" ".join(line.split()) for line in text.split("\n"))).strip()


def decoded(*raws: bytes) -> list[str]:
    """Decode bytes to texts, up to the length that may be kept: as UTF-8, or else guess one charset for all fields."""
    raws = tuple(raw[:MAX_VALUE_BYTES] for raw in raws)
    foreign = [raw for raw in raws if not is_utf8(raw)]
    encoding = guess(b"\n".join(foreign)[:MAX_VALUE_BYTES]) if foreign else None
    if encoding is None or encoding.startswith(("utf_16", "utf_32")):  # in which a few letters always seem to be Chinese
        encoding = "cp1252"
    return [raw.decode("utf-8" if is_utf8(raw) else encoding, "replace") for raw in raws]


def is_utf8(raw: bytes) -> bool:
    """Whether bytes are UTF-8. If there are ``MAX_VALUE_BYTES`` of them, the last letter may be incomplete."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return len(raw) == MAX_VALUE_BYTES and error.start >= len(raw) - 3
    return True


def _mended(text: str) -> str:
    """Repair a text that was UTF-8 or Cyrillic and was decoded as Western European; any other text is unchanged."""
    for taken_for in ("cp1252", "latin-1"):
        try:
            return text.encode(taken_for).decode()
        except UnicodeError:
            continue
    letters = [letter for letter in text if letter.isalpha()]
    if 2 * sum("À" <= letter <= "ÿ" for letter in letters) > len(letters):  # in no language of the West is that so
        raw = text.encode("latin-1", "replace")
        return raw.decode("cp1251", "replace") if guess(raw[:_LETTERS]) == "cp1251" else text
    return text
