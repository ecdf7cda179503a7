"""Folding: normalise texts for the word index, so that case, accents and spelling variants of a letter make no difference.

Stored text, queries and marks all go through ``terms``. SQLite calls it from the triggers of migrations 0007 and 0008; for
PostgreSQL these migrations hold the same rules in SQL. A change of the rules needs a migration that rebuilds the index.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate

MAX_TERM_LETTERS = 64
"""Letters of a term that count: what is longer is no word, and PostgreSQL refuses terms above 2 kB."""

_MARKS = (
    "\u00ad\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u200b-\u200f\u2060\ufe00-\ufe0f\ufeff"
)
"""What is left out: accents, the points of Hebrew and Arabic, the tatweel, hints of where lines may break."""

_ALIKE = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe"})
"""Letters that Unicode does not take apart, in the spelling of those who lack them."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u309c\u309d-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
"""Scripts that put no space between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""

_SIGNS = "\u2600-\u27bf\U0001f000-\U0001faff"
"""Emoji and other pictures among letters."""

_JOINED = re.compile(f".[{_MARKS}\u0e31-\u0e3a\u0e47-\u0e4e\u1160-\u11ff\u3099\u309a]*", re.DOTALL)
_LEFT_OUT = re.compile(f"[{_MARKS}]")
_TERM = re.compile(f"([{_UNSPACED}]+)|([{_SIGNS}])|(?:(?![{_UNSPACED}{_SIGNS}])[^\\W_]|[\u0900-\u0963\u0966-\u0dff])+")
_ASCII = re.compile("[a-z0-9]+")


def fold(text: str) -> str:
    """A text without case, accents and compatibility forms."""
    return text.lower() if text.isascii() else "".join(map(_folded, _JOINED.findall(text)))


def terms(text: str) -> list[str]:
    """The terms of a text, in order. Terms are words. Scripts without spaces give every pair of neighbouring characters, and the
    last character of a run alone.

    So every single character is a term, or the beginning of one, wherever it stands.
    """
    if text.isascii():
        return [word[:MAX_TERM_LETTERS] for word in _ASCII.findall(text.lower())]
    return [term for term, _, _ in _terms(fold(text))]


def asked(text: str) -> list[str]:
    """The terms that must follow each other where a text contains this one. For scripts without spaces these are pairs only,
    except for a single character."""
    folded = fold(text)
    found = list(_terms(folded))
    return [term for term, start, end in found if not _trails(folded, term, start, end)]


def begins(term: str) -> bool:
    """Whether the query is a single character of a script without spaces. It then matches all terms that begin with it."""
    return len(term) == 1 and bool(re.match(f"[{_UNSPACED}]", term))


def places(text: str) -> list[tuple[str, int, int]]:
    """The terms of a text with the characters ``[start, end)`` that they cover, accents included."""
    if text.isascii():
        return [(found[0][:MAX_TERM_LETTERS], *found.span()) for found in _ASCII.finditer(text.lower())]
    pieces = _JOINED.findall(text)
    folded = [_folded(piece) for piece in pieces]
    ends = list(accumulate(map(len, pieces)))
    owner = [number for number, piece in enumerate(folded) for _ in piece]
    return [
        (term, ends[owner[start]] - len(pieces[owner[start]]), ends[owner[end - 1]])
        for term, start, end in _terms("".join(folded))
    ]


@lru_cache(4)
def spaced(text: str) -> str:
    """The terms of a text, separated by spaces: the input of SQLite's index."""
    return " ".join(terms(text))


@lru_cache(4)
def distinct(text: str) -> str:
    """The distinct terms of a text as a JSON list: SQLite counts these."""
    return json.dumps(list(dict.fromkeys(terms(text))))


def _terms(folded: str) -> Iterator[tuple[str, int, int]]:
    for found in _TERM.finditer(folded):
        start, end = found.span()
        if found[1] is None:
            yield found[0][:MAX_TERM_LETTERS], start, end
        else:
            yield from ((folded[at : min(at + 2, end)], at, min(at + 2, end)) for at in range(start, end))


def _trails(folded: str, term: str, start: int, end: int) -> bool:
    """Whether a term is the last character of a run, which is also part of the pair before it."""
    return end - start == 1 and begins(term) and start > 0 and begins(folded[start - 1])


@lru_cache(1 << 16)
def _folded(piece: str) -> str:
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", piece).casefold())
    return unicodedata.normalize("NFC", _LEFT_OUT.sub("", apart).translate(_ALIKE))
