"""Sounds: a key that words which sound alike in English share. Metaphone, by Lawrence Philips (Computer Language 7/12, 1990).

It is stored beside every word, by SQLite's triggers through this function, by PostgreSQL's through one of the same rules (migrations 0007 and 0008).
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
    """How a folded word sounds; empty where it has other letters than a to z."""
    if not (word.isascii() and word.isalpha()):
        return ""
    for pattern, replacement in _RULES:
        word = pattern.sub(replacement, word)
    return word
