"""Word forms: inflected (walk, walked), and written apart, with a hyphen or as one (wifi, Wi-Fi; AB1234, AB-1234).

Forms are looked up at query time, among the archive's words. So the index holds only what is written, and is the same in both
databases.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import combinations, pairwise
from typing import Any

MIN_LETTERS, MAX_LETTERS = 4, 24
"""Letters of a word whose forms are looked for."""
LANGUAGES = ("english", "german", "french", "spanish")
"""Whose rules tell inflections. Words are folded, and nobody tells the language of a word: the rules of any will do."""
BEHIND, BEYOND = 3, 4
"""By how many letters a form may be shorter than a word, and by how many longer."""
MAX_SPLITS = 4
"""Places at which letters and digits meet that a word may be parted at, the first."""

_RUNS = re.compile(r"[^\W\d_]+|\d+")


def beginning(term: str) -> str | None:
    """The prefix that all forms of a word share; None if the word has no forms."""
    if not MIN_LETTERS <= len(term) <= MAX_LETTERS or not (term.isascii() and term.isalpha()):
        return None
    return term[: max(3, len(term) - BEHIND)]


def after(start: str) -> str:
    """The upper bound for words with this prefix, in the order a to z. Databases sort characters that are no letters in different
    ways."""
    kept = start.rstrip("z")
    return f"{kept[:-1]}{chr(ord(kept[-1]) + 1)}" if kept else "{"


def is_form(term: str, other: str) -> bool:
    """Whether two words have the same stem in any of ``LANGUAGES``, by Snowball (Porter 2001)."""
    return any(one == another for one, another in zip(_stems(term), _stems(other), strict=True))


def apart(term: str) -> list[tuple[str, ...]]:
    """The ways to split a word: at some or all places where letters and digits meet; for other words, in two."""
    if not MIN_LETTERS <= len(term) <= MAX_LETTERS or not term.isascii():
        return []
    meet = [found.end() for found in _RUNS.finditer(term)][:-1][:MAX_SPLITS]
    places = [some for size in range(len(meet), 0, -1) for some in combinations(meet, size)]
    return [_parted(term, at) for at in places or [(at,) for at in range(2, len(term) - 1)]]


def _parted(term: str, places: Iterable[int]) -> tuple[str, ...]:
    return tuple(term[start:end] for start, end in pairwise([0, *places, len(term)]))


@lru_cache(1)
def _stemmers() -> tuple[Any, ...]:
    """The rules of each language."""
    import snowballstemmer  # here, since an archive without words needs none

    return tuple(snowballstemmer.stemmer(language) for language in LANGUAGES)


@lru_cache(1 << 15)
def _stems(term: str) -> tuple[str, ...]:
    return tuple(stemmer.stemWord(term) for stemmer in _stemmers())
