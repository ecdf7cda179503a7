"""Languages of the page: messages by gettext, and numbers as each language writes them. The terminal speaks English.

``tr`` gives a message in the reader's language, ``plural`` one of two by a count; ``mark`` names a message that ``tr`` says later.
The scripts of the page have the same as ``t``, ``n`` and ``m``. ``make texts`` collects all of them.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

FOLDER, DOMAIN = Path(__file__).parent / "texts", "page"
"""Where catalogues lie, and what their files are called."""


class Language(NamedTuple):
    """A language of the page by its own name, and how it writes numbers and percent."""

    name: str
    thousands: str
    decimal: str
    percent: str


LANGUAGES = {
    "en": Language("English", ",", ".", "%"),
    "de": Language("Deutsch", ".", ",", "\N{NO-BREAK SPACE}%"),
    "sv": Language("Svenska", "\N{NO-BREAK SPACE}", ",", "\N{NO-BREAK SPACE}%"),
}

_spoken: ContextVar[str | None] = ContextVar("spoken", default=None)
_reader: list[Callable[[], str]] = []


def follow(reader: Callable[[], str]) -> None:
    """Have ``reader`` tell the language, once in each thread, wherever none was set."""
    _reader[:] = [reader]


def language() -> str:
    """The language that is spoken here: a key of ``LANGUAGES``."""
    found = _spoken.get()
    if found is None:
        found = _reader[0]() if _reader else "en"
        _spoken.set(found)
    return found


def speak(code: str) -> None:
    """Speak a language of ``LANGUAGES`` in this thread from here on."""
    _spoken.set(code)


def chosen(*wishes: object) -> str:
    """The first language among wishes such as ``de-AT`` that the page speaks; else English. What is no text is no wish."""
    codes = (re.split("[-_]", wish, maxsplit=1)[0].lower() for wish in wishes if isinstance(wish, str))
    return next((code for code in codes if code in LANGUAGES), "en")


@cache
def _catalogue(code: str) -> gettext.NullTranslations:
    return gettext.NullTranslations() if code == "en" else gettext.translation(DOMAIN, FOLDER, [code])


def mark(message: str) -> str:
    """A message that ``tr`` says later, as it is."""
    return message


def tr(message: str, **values: object) -> str:
    """A message in the language that is spoken, with its placeholders filled."""
    said = _catalogue(language()).gettext(message)
    return said.format(**values) if values else said


def plural(one: str, many: str, number: int, **values: object) -> str:
    """``one`` or ``many``, as the language has it for a number, which ``{count}`` stands for."""
    return _catalogue(language()).ngettext(one, many, number).format(**{"count": whole(number), **values})


def whole(number: int) -> str:
    """An integer with separators: ``1,204``."""
    return f"{number:,}".replace(",", LANGUAGES[language()].thousands)


def decimal(written: str) -> str:
    """A number that Python wrote, without separators of thousands: ``1.4`` is ``1,4`` in German."""
    return written.replace(".", LANGUAGES[language()].decimal)


def percent(share: float) -> str:
    """A share of 1 as ``35%``."""
    return f"{share * 100:.0f}{LANGUAGES[language()].percent}"


_SAID = re.compile(r'\b[tm]\(\s*"((?:[^"\\]|\\.)*)"')
_PAIRS = re.compile(r'\bn\(\s*"((?:[^"\\]|\\.)*)",\s*"((?:[^"\\]|\\.)*)"')


def spoken_by(script: str) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """The messages of a script of the page, and its pairs of singular and plural."""
    return frozenset(_SAID.findall(script)), frozenset(_PAIRS.findall(script))


def texts(messages: frozenset[str], pairs: frozenset[tuple[str, str]]) -> Mapping[str, Any]:
    """What a script says, in the language that is spoken: messages, and pairs by their singular; none in English."""
    catalogue = _catalogue(language())
    if language() == "en":
        return {}
    return {one: catalogue.gettext(one) for one in messages} | {
        one: [catalogue.ngettext(one, many, number) for number in (1, 2)] for one, many in pairs
    }
