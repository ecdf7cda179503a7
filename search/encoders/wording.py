"""Text preparation for the towers of OpenCLIP: cleaning, tokenizing, and splitting texts that are longer than a tower reads.

OpenCLIP cleans with ftfy. This is an equivalent, except for ftfy's guesses at wrongly decoded text ("Ã³"), which stays unchanged.
"""

from __future__ import annotations

import html
import re
import string
import unicodedata
from collections.abc import Callable
from html.entities import html5
from typing import Any

from tokenizers import Tokenizer

_ENTITY = re.compile(r"&#?[0-9A-Za-z]{1,24};")
_COLOUR = re.compile(r"\x1b\[((?:\d|;)*)([a-zA-Z])")
_LIGATURES = "ĲĳŉǄǅǆǇǈǉǊǋǌǱǲǳﬀﬁﬂﬃﬄﬆ"
_UNSEEN = (
    *range(0x09), 0x0B, *range(0x0E, 0x20), 0x7F, *range(0x206A, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFD),
)  # fmt: skip


def _plain() -> dict[int, str]:
    """Characters that only look different -> what they stand for."""
    wide = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFF01, 0xFFF0)}
    windows = {code: bytes([code]).decode("windows-1252", "ignore") or chr(code) for code in range(0x80, 0xA0)}
    found = {
        **windows,
        **wide,
        **{ord(one): unicodedata.normalize("NFKC", one) for one in _LIGATURES},
        ord("ﬅ"): "ſt",
        0x3000: " ",
    }
    found |= dict.fromkeys((0x02BC, *range(0x2018, 0x201C)), "'") | dict.fromkeys(range(0x201C, 0x2020), '"')
    return found | dict.fromkeys(_UNSEEN, "")


_PLAIN = _plain()


def _whitespace(text: str) -> str:
    return " ".join(tidy(text).split())


def _canonical(text: str) -> str:
    bare = tidy(text).replace("_", " ").translate(str.maketrans("", "", string.punctuation))
    return " ".join(bare.lower().split())


CLEANERS: dict[str, Callable[[str], str]] = {
    "lower": lambda text: _whitespace(text).lower(),
    "whitespace": _whitespace,
    "canonicalize": _canonical,
}
"""OpenCLIP's ways to clean a text before it is cut into tokens."""


class TextTokens:
    """Cuts texts into tokens. Threads may call it at the same time."""

    def __init__(self, content: str, context: int, clean: str) -> None:
        """``content`` is that of a tokenizer.json; ``context`` is how many tokens the tower reads, ``clean`` one of ``CLEANERS``."""
        self._clean = CLEANERS[clean]
        self._tokenizer: Any = Tokenizer.from_str(content)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(context)

    def __call__(self, text: str) -> list[list[int]]:
        """The token ids of a text, with start and end tokens: a list for each piece of at most ``context``."""
        encoded = self._tokenizer.encode(self._clean(text))
        return [piece.ids for piece in (encoded, *encoded.overflowing)]


def tidy(text: str) -> str:
    """A text without escapes, look-alikes, control characters and lone surrogates, in Unicode's form NFC."""
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    tidied: list[str] = []
    escaped = True  # until the first angle bracket, which says that this is markup already
    for line in text.split("\n"):
        escaped = escaped and "<" not in line
        tidied.append(_tidy_line(line, escaped))
    return html.unescape(html.unescape("\n".join(tidied))).strip()


def _tidy_line(line: str, escaped: bool) -> str:
    before = None
    while line != before:
        before = line
        if escaped:
            line = _ENTITY.sub(_character, line)
        line = unicodedata.normalize("NFC", _COLOUR.sub("", line).translate(_PLAIN))
    return line


def _character(match: re.Match[str]) -> str:
    """The character for an HTML escape. Names of letters may be in all capitals."""
    escape = match[0]
    if escape.startswith("&#"):
        return escape if ";" in (found := html.unescape(escape)) else found
    name = escape[1:]
    if name in html5:
        return html5[name]
    in_capitals = name.isupper() and name.lower() in html5 and html.unescape(escape) == escape
    return html5[name.lower()].upper() if in_capitals else escape
