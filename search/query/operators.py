"""What people type: words, quoted phrases that must occur, and words excluded with a minus. Everything else is plain text."""

from __future__ import annotations

import re

from search.errors import QueryError
from search.store.folding import asked
from search.store.words import WordQuery

_PARTS = re.compile(r'(?:(?<=\s)|^)(?P<minus>-(?="[^"]*"|[^\W_]))?(?:"(?P<phrase>[^"]*)"|(?P<word>\S+))|(?P<rest>\S+)')
_QUOTES = str.maketrans("“”„‟«»＂", '"""""""')


def parse(text: str) -> WordQuery:
    """Parse what was typed: ``"a phrase"`` must occur, ``-word`` and ``-"a phrase"`` must not, other words may.

    Any kind of quotes counts. An unclosed quote is plain text, and so is a minus that does not begin a word. ``plain`` is what
    the encoder gets: everything but the excluded words, without quotes.

    Raises:
        QueryError: words are excluded and nothing is left to search for.
    """
    must: list[str] = []
    without: list[str] = []
    may: list[str] = []
    plain: list[str] = []
    typed = text.translate(_QUOTES)
    for part in _PARTS.finditer(typed):
        said = next(one for one in (part["phrase"], part["word"], part["rest"]) if one is not None)
        if part["minus"]:
            without.append(said)
            continue
        plain.append(said)
        (must if part["phrase"] and asked(said) else may).append(said)
    if without and not "".join(plain).strip():
        raise QueryError("The query excludes words and looks for nothing.", remedy="Add what to look for.")
    if not must and not without:
        return WordQuery(text, (), (), tuple(may))
    return WordQuery(" ".join(plain), tuple(must), tuple(without), tuple(may))
