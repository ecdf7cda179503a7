"""Character sets of bytes that are not UTF-8."""

from __future__ import annotations

_SHORT = 256
"""Below this many bytes the frequencies of letters say little, and Western European is the likeliest."""


def guess(raw: bytes) -> str | None:
    """The likeliest character set of bytes that are not UTF-8."""
    if len(raw) < _SHORT and _is_western(raw):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(raw[:200_000]).best()
    return None if best is None else best.encoding


def _is_western(raw: bytes) -> bool:
    """Whether bytes could be Western European text: what is not ASCII in it are single letters inside mostly ASCII words."""
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError:
        return False
    foreign = [letter for letter in text if letter > "\x7f"]
    return all(letter.isalpha() or letter in "–—‘’“”«»…€°§£" for letter in foreign) and len(foreign) < len(text) / 4
