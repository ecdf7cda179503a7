"""Forms of words: inflected (walk, walked), and written apart, with a hyphen or as one (wifi, Wi-Fi; AB1234, AB-1234).

They are looked for when somebody asks, among the words that the archive has: so the index holds what is written, and is the same everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import combinations, pairwise

import snowballstemmer

SHORTEST, LONGEST = 4, 24
"""Letters of a word whose forms are looked for."""
LANGUAGES = ("english", "german", "french", "spanish")
"""Whose rules tell inflections. Words are folded, and nobody tells the language of a word: the rules of any will do."""
BEHIND, BEYOND = 3, 4
"""By how many letters a form may be shorter than a word, and by how many longer."""
MEETINGS = 4
"""Places at which letters and digits meet that a word may be parted at, the first."""

_STEMMERS = tuple(snowballstemmer.stemmer(language) for language in LANGUAGES)
_RUNS = re.compile(r"[^\W\d_]+|\d+")


def beginning(term: str) -> str | None:
    """With what the forms of a word begin; None: it has none."""
    if not SHORTEST <= len(term) <= LONGEST or not (term.isascii() and term.isalpha()):
        return None
    return term[: max(3, len(term) - BEHIND)]


def after(start: str) -> str:
    """What stands behind all words that begin so, in the order of any alphabet from a to z: databases have their own for what is no letter."""
    kept = start.rstrip("z")
    return f"{kept[:-1]}{chr(ord(kept[-1]) + 1)}" if kept else "{"


def is_form(term: str, other: str) -> bool:
    """Whether two words have the same stem in any of ``LANGUAGES``, by Snowball (Porter 2001)."""
    return any(one == another for one, another in zip(_stems(term), _stems(other), strict=True))


def apart(term: str) -> list[tuple[str, ...]]:
    """How a word may be written apart: where letters and digits meet, at some of these places or all; or else in two."""
    if not SHORTEST <= len(term) <= LONGEST or not term.isascii():
        return []
    meet = [found.end() for found in _RUNS.finditer(term)][:-1][:MEETINGS]
    places = [some for size in range(len(meet), 0, -1) for some in combinations(meet, size)]
    return [_parted(term, at) for at in places or [(at,) for at in range(2, len(term) - 1)]]


def _parted(term: str, places: Iterable[int]) -> tuple[str, ...]:
    return tuple(term[start:end] for start, end in pairwise([0, *places, len(term)]))


@lru_cache(1 << 15)
def _stems(term: str) -> tuple[str, ...]:
    return tuple(stemmer.stemWord(term) for stemmer in _STEMMERS)
