"""Character sets of bytes that are not UTF-8."""

from __future__ import annotations

import codecs
import re

_DECLARED = re.compile(
    rb"""<(?:\?xml[^>]{0,200}\bencoding|meta[^>]{0,200}\bcharset)\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE
)
_HEAD = 4_096
"""The bytes that are searched for a declared character set: HTML requires it in the first 1,024, but not all pages comply."""
_SHORT = 256
"""Below this many bytes, letter frequencies say little, and Western European is the most likely."""


def declared(raw: bytes) -> str | None:
    """The character set that a page or XML declares for bytes that are not UTF-8, if Python knows it and it fits the bytes."""
    told = _DECLARED.search(raw[:_HEAD])
    try:
        name = codecs.lookup(told[1].decode()).name if told else "utf-8"
        if name.startswith(("utf", "unicode", "raw-unicode", "raw_unicode", "punycode", "idna")):
            return None
        name = "cp1252" if name == "iso8859-1" else name  # as browsers take it (WHATWG, Encoding)
        raw.decode(name)
    except (LookupError, ValueError):  # one that does not make text of bytes is a LookupError, too
        return None
    return name


def guess(raw: bytes) -> str | None:
    """The likeliest character set of bytes that are not UTF-8."""
    if len(raw) < _SHORT and _is_western(raw):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(raw[:200_000]).best()
    return None if best is None else best.encoding


def _is_western(raw: bytes) -> bool:
    """Whether bytes could be Western European text: the non-ASCII bytes are single letters inside mostly ASCII words."""
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError:
        return False
    foreign = [letter for letter in text if letter > "\x7f"]
    return all(letter.isalpha() or letter in "–—‘’“”«»…€°§£" for letter in foreign) and len(foreign) < len(text) / 4
