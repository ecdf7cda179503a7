"""A key that is equal for words that sound alike in English: Metaphone, by Lawrence Philips (Computer Language 7/12, 1990).

It is stored with every word. SQLite's triggers call this function; PostgreSQL has one with the same rules (migrations 0007 and
0008).
"""

from __future__ import annotations

import re
from functools import lru_cache

_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"([^c])\1", r"\1"),  # doubled letters but c
        (r"^(?:kn|gn|pn)", "n"),
        (r"^wr", "r"),
        (r"^ae", "e"),
        (r"^x", "s"),
        (r"^wh", "w"),
        (r"mb$", "m"),
        (r"tch", "ch"),
        (r"sch", "sk"),
        (r"cia", "xia"),
        (r"ch", "x"),
        (r"s?c(?=[iey])", "s"),
        (r"c", "k"),
        (r"dg(?=[eyi])", "j"),
        (r"d", "t"),
        (r"gh(?=[^aeiou]|$)", ""),
        (r"g(?=n$|ned$)", ""),
        (r"g(?=[iey])", "j"),
        (r"gh?", "k"),
        (r"ck|q", "k"),
        (r"ph|v", "f"),
        (r"sh|s(?=io|ia)|t(?=ia|io)", "x"),
        (r"th", "0"),
        (r"(?<=[aeiou])h(?![aeiou])", ""),
        (r"[wy](?![aeiou])", ""),
        (r"z", "s"),
        (r"(?<=.)[aeiou]", ""),
        (r"(.)\1", r"\1"),
    )
)


@lru_cache(1 << 16)
def sound(word: str) -> str:
    """The Metaphone key of a folded word; empty if it has letters other than a to z."""
    if not (word.isascii() and word.isalpha()):
        return ""
    for pattern, replacement in _RULES:
        word = pattern.sub(replacement, word)
    return word
