"""The text form of a question: one line that states a query or a pattern, and its filter, and is read back to the same value.

``siren ~30s> crowd -"police car" in:video since:2024-05``

    question  = step { link step } { filter }
    step      = term { exclusion | addition | filter } [ "@" channels ] [ "*" times ]
    term      = words | quoted | medium ":" value [ "#xywh=percent:" left "," top "," width "," height ] | "segment:" number
    addition  = "+" term [ "^" weight ]
    exclusion = "-" term [ "^" weight ]
    link      = ">" | "~" time ">" | "~" time ".." time ">" | "&"
    filter    = key ":" value

In a pattern an exclusion says what must not lie between its step and the one before; in a question of one step it subtracts. Text in
quotes is text, whatever it contains; ``\\"`` is a quote in it. Nobody gets here by accident: a question is read in this form only where
the form is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from search.errors import InputError, QueryError, UnknownName
from search.query.algebra import Blend, Link, Near, Query, Step, Term, Then, parsed_box
from search.query.narrowing import KEYS, in_words, is_key, narrowed_by
from search.types import Channel, Filter, Modality

MAX_CHARACTERS = 4_000
"""Characters of a question in this form, at most."""

SUBTRACTED = -0.5
"""The weight of what is excluded from a question of one step."""

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
"""Units of gaps, in milliseconds."""

FILES = ("image", "audio", "video", "depth", "thermal", "imu", "upload")
"""What may stand before a file."""

TOKEN_PATTERN = re.compile(
    r"""\s*(?:
        (?P<quoted>"(?:[^"\\]|\\.)*")
      | (?P<gap>~\s*[^>\s"]*\s*>)
      | (?P<then>>) | (?P<both>&)
      | (?P<sign>[+-])
      | (?P<weight>\^\s*[^\s"]*)
      | (?P<channels>@\s*[\w,]*)
      | (?P<times>\*\s*\w*)
      | (?P<key>[^\W\d][\w.-]*):(?P<value>"(?:[^"\\]|\\.)*"|[^\s"^@*>&~]*)
      | (?P<word>[^\s"~>&^@*:]+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_PLAIN = re.compile(r"[^\W_][\w'’.,!?-]*(?: [^\W_][\w'’.,!?-]*)*")
_GAP = re.compile(r"~\s*(?:(\d+(?:\.\d+)?)(ms|s|m|h)\.\.)?(\d+(?:\.\d+)?)(ms|s|m|h)\s*>")


_BOXED = re.compile(r"(.+)#xywh=percent:(\d[\d.e-]*(?:,\d[\d.e-]*){3})", re.DOTALL)
"""A file with a part of it, as W3C media fragments name it."""

EVERYTHING = Filter()


class FormError(QueryError):
    """A question in this form that cannot be read. ``at`` is the position of the character that it is about."""

    def __init__(self, message: str, at: int, *, remedy: str) -> None:
        super().__init__(f"Character {at + 1}: {message}", remedy=remedy)
        self.at = at


@dataclass(frozen=True, slots=True)
class Formed:
    """What a text in this form means: a query or a pattern, and the filter."""

    query: Query | Then
    filter: Filter = EVERYTHING


@dataclass(slots=True)
class _Part:
    """A step as it is read."""

    at: int
    link: Link = field(default_factory=Link)
    terms: list[tuple[float, Term | Near]] = field(default_factory=list)
    excluded: list[tuple[float, Term | Near]] = field(default_factory=list)
    channels: tuple[Channel, ...] = ()
    times: int = 1


Opens = Callable[[str, str], Term]


def _file(kind: str, value: str) -> Term:
    """A file of this machine."""
    if kind == "upload":
        raise QueryError("An upload can only be asked with at a service.", remedy="Write the file: image:photo.jpg.")
    return Term(Path(value), Modality(kind))


def read(text: str, wanted: Filter = EVERYTHING, opens: Opens = _file) -> Formed:
    """What a text in this form means, under a filter ``wanted``: to its lists further values are added, everything else is replaced. ``opens`` makes a term of a file from its kind and name.

    Raises:
        FormError: it cannot be read; says at which character, and what to write.
    """
    if len(text) > MAX_CHARACTERS:
        raise FormError("the question is too long.", MAX_CHARACTERS, remedy=f"Write at most {MAX_CHARACTERS:,} characters.")
    return _Reader(text, wanted, opens).read()


class _Reader:
    """Reads one text, token by token."""

    def __init__(self, text: str, wanted: Filter, opens: Opens) -> None:
        self.text, self.wanted, self.opens = text, wanted, opens
        self.steps = [_Part(0)]
        self.sign = ""
        self.words: list[str] = []
        self.words_at = 0
        self.last: list[tuple[float, Term | Near]] = []

    def read(self) -> Formed:
        at = 0
        while self.text[at:].strip():
            found = TOKEN_PATTERN.match(self.text, at)
            if found is None:
                at += len(self.text[at:]) - len(self.text[at:].lstrip())
                quoted = self.text[at] == '"'
                raise FormError(
                    "a quote is not closed." if quoted else f"{self.text[at]!r} has no meaning here.", at,
                    remedy='Close it with ", and write \\" for a quote inside.' if quoted else 'Put it into quotes to search for it: "…".',
                )  # fmt: skip
            kind = next(name for name in reversed(list(found.groupdict())) if found[name] is not None and name != "value")
            self._token(kind, found[kind], found["value"], found.start(kind))
            at = found.end()
        self._end_words()
        return self._made()

    def _token(self, kind: str, token: str, value: str | None, at: int) -> None:
        if kind == "word":
            self.words_at = self.words_at if self.words else at
            self.words.append(token)
            return
        self._end_words()
        if self.sign and kind not in ("quoted", "key"):
            raise FormError(
                f"something is missing behind {self.sign!r}.", at, remedy=f'Write a text behind it: {self.sign}"police car".'
            )
        if kind == "quoted":
            self._add(Term(_unquoted(token, at), Modality.TEXT), at)
        elif kind == "key":
            self._key(token, _unquoted(value, at) if value and value[0] == '"' else value or "", at)
        elif kind == "sign":
            self.sign = token
        elif kind in ("then", "both", "gap"):
            self._link(Link(together=True) if kind == "both" else Link() if kind == "then" else _gap(token, at), at)
        elif kind == "weight":
            self._weigh(token[1:].strip(), at)
        elif kind == "channels":
            self._channels(token[1:].strip(), at)
        else:
            self._times(token[1:].strip(), at)

    def _end_words(self) -> None:
        if self.words:
            words, self.words = " ".join(self.words), []
            self._add(Term(words, Modality.TEXT), self.words_at)

    def _add(self, term: Term | Near, at: int) -> None:
        step = self.steps[-1]
        sign, self.sign = self.sign, ""
        if sign == "-":
            self.last = step.excluded
            step.excluded.append((SUBTRACTED, term))
        else:
            if not sign and step.terms:
                raise FormError(
                    "two terms stand side by side.",
                    at,
                    remedy="Put + between them to ask for both, or > for one after the other.",
                )
            self.last = step.terms
            step.terms.append((1.0, term))

    def _key(self, key: str, value: str, at: int) -> None:
        if key in FILES or key == "segment":
            if not value:
                raise FormError(
                    f"{key}: has no value.", at, remedy=f"Write it like {'segment:17' if key == 'segment' else f'{key}:name'}."
                )
            self._add(self._opened(key, value, at), at)
            return
        if self.sign:
            raise FormError(
                "a filter cannot be excluded.", at - 1, remedy="Take the sign away, or put a text in quotes behind it."
            )
        if not is_key(key):
            error = UnknownName("filter", key, [*KEYS, *FILES, "segment", "field.NAME"])
            raise FormError(
                f"there is no filter {key!r}.",
                at,
                remedy=f'{error.remedy} To search for it as text, put it into quotes: "{key}:{value}".',
            )
        try:
            self.wanted = narrowed_by(self.wanted, key, value)
        except InputError as error:
            raise FormError(str(error), at + len(key) + 1, remedy=error.remedy) from error

    def _opened(self, key: str, value: str, at: int) -> Term | Near:
        if key != "segment":
            found = _BOXED.fullmatch(value)
            try:
                term = self.opens(key, found[1] if found else value)
                return replace(term, box=parsed_box(found[2])) if found else term
            except InputError as error:
                raise FormError(str(error), at, remedy=error.remedy) from error
        if not value.isdecimal() or len(value) > 18:
            raise FormError(f"{value!r} is no segment.", at + len(key) + 1, remedy="Write its number from a hit: segment:17.")
        return Near(int(value))

    def _link(self, link: Link, at: int) -> None:
        if not self.steps[-1].terms:
            raise FormError("there is no step before this.", at, remedy="Write what comes first: siren > crowd.")
        self.steps.append(_Part(at, link))

    def _weigh(self, told: str, at: int) -> None:
        try:
            weight = float(told)
        except ValueError:
            weight = float("nan")
        if not self.last or not 0 <= weight <= 100:
            raise FormError(f"{told!r} is no weight.", at, remedy="Write a number from 0 to 100 behind a term: +rain^0.7.")
        sign = -1 if self.last is self.steps[-1].excluded else 1
        self.last[-1] = (sign * weight, self.last[-1][1])

    def _channels(self, told: str, at: int) -> None:
        names = [name for name in told.split(",") if name]
        if not names or not self.steps[-1].terms or any(name not in Channel.__members__.values() for name in names):
            raise FormError(
                f"{told!r} is no channel.", at, remedy=f"Write one behind a step: siren@sound. Known: {', '.join(Channel)}."
            )
        self.steps[-1].channels = tuple(dict.fromkeys(Channel(name) for name in names))

    def _times(self, told: str, at: int) -> None:
        if not told.isdecimal() or not 1 <= int(told[:6]) <= 99 or not self.steps[-1].terms:
            raise FormError(f"{told!r} is not a number of repetitions.", at, remedy="Write it behind a step: bark*3.")
        self.steps[-1].times = int(told)

    def _made(self) -> Formed:
        """The value of all that was read."""
        empty = next((step for step in self.steps if not step.terms), None)
        if self.sign or empty is not None:
            raise FormError(
                "something to look for is missing.", len(self.text), remedy='Write a text, such as siren or "fire engine".'
            )
        first, *others = self.steps
        if not others and first.times == 1 and not first.channels:
            return Formed(_blended([*first.terms, *first.excluded]), self.wanted)
        if not others and first.times == 1:
            both = tuple(one for one in first.channels if not self.wanted.channels or one in self.wanted.channels)
            narrowed = narrowed_by(self.wanted, "channel", ",".join(both or first.channels))
            return Formed(_blended([*first.terms, *first.excluded]), narrowed)
        for step in self.steps:
            if any(weight != SUBTRACTED for weight, _ in step.excluded):
                raise FormError("what must not be between has no weight.", step.at, remedy="Take the ^ away.")
        try:
            return Formed(Then(tuple(
                Step(_blended(step.terms), step.channels, step.link, tuple(term for _, term in step.excluded), step.times) for step in self.steps
            )), self.wanted)  # fmt: skip
        except QueryError as error:
            raise FormError(str(error), 0, remedy=error.remedy) from error


def _blended(terms: list[tuple[float, Term | Near]]) -> Query:
    return terms[0][1] if len(terms) == 1 and terms[0][0] == 1 else Blend(tuple(terms))


def _unquoted(token: str, at: int) -> str:
    text = re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL)
    if not text.strip():
        raise FormError("there is nothing between the quotes.", at, remedy='Write a text: "fire engine".')
    return text


def _gap(token: str, at: int) -> Link:
    found = _GAP.fullmatch(token)
    if found is None:
        raise FormError(
            f"{token!r} is no gap.", at, remedy="Write ~30s> for within 30 seconds, or ~5s..2m> for 5 seconds to 2 minutes."
        )
    least = round(float(found[1]) * UNITS_MS[found[2]]) if found[1] else 0
    try:
        return Link(least_ms=least, most_ms=round(float(found[3]) * UNITS_MS[found[4]]))
    except QueryError as error:
        raise FormError(str(error), at, remedy=error.remedy) from error


def written(question: Formed) -> str:
    """A question in this form; ``read`` gives the same value back.

    Raises:
        QueryError: the form cannot say it: what is subtracted within a step of a pattern, and weights out of range.
    """
    query, told = question.query, [f"{key}:{_quoted(value)}" for key, value in in_words(question.filter)]
    if isinstance(query, Then):
        return " ".join([*_pattern(query), *told])
    return " ".join([*_terms(query, patterned=False), *told])


def _pattern(pattern: Then) -> list[str]:
    found: list[str] = []
    for number, step in enumerate(pattern.steps):
        found += [_linked(step.link)] if number else []
        found += _terms(step.query, patterned=True)
        found += [f"-{_term(one)}" for query in step.without for one in _single(query)]
        if step.channels:
            found.append(f"@{','.join(step.channels)}")
        found += [f"*{step.times}"] if step.times > 1 or len(pattern.steps) == 1 else []
    return found


def _single(query: Query) -> tuple[Term | Near]:
    if isinstance(query, Blend):
        raise QueryError("What must be absent is a single term in this form.", remedy="Exclude each term by itself.")
    return (query,)


def _linked(link: Link) -> str:
    if link == Link():
        return ">"
    if link.together:
        return "&"
    return f"~{_time(link.least_ms)}..{_time(link.most_ms)}>" if link.least_ms else f"~{_time(link.most_ms)}>"


def _time(ms: int) -> str:
    unit, size = next((name, size) for name, size in reversed(UNITS_MS.items()) if ms % size == 0)
    return f"{ms // size}{unit}"


def _terms(query: Query, *, patterned: bool) -> list[str]:
    terms = list(query.parts) if isinstance(query, Blend) else [(1.0, query)]
    positive, negative = [one for one in terms if one[0] >= 0], [one for one in terms if one[0] < 0]
    if not positive or (negative and patterned) or any(abs(weight) > 100 for weight, _ in terms):
        raise QueryError(
            "This form cannot say the question.",
            remedy="It says at least one term that is not subtracted, and weights up to 100.",
        )
    found = []
    for number, (weight, term) in enumerate(positive):
        found.append(f"{'+' if number else ''}{_term(term)}{'' if weight == 1 else f'^{weight!r}'}")
    return found + [f"-{_term(term)}{'' if weight == SUBTRACTED else f'^{-weight!r}'}" for weight, term in negative]


def _term(term: Term | Near) -> str:
    if isinstance(term, Near):
        return f"segment:{term.segment}"
    if isinstance(term.content, str):
        return _quoted(term.content)
    where = f"#xywh=percent:{','.join(repr(side) for side in term.box)}" if term.box else ""
    return f"{term.modality}:{_quoted(f'{term.content}{where}')}"


def _quoted(text: str) -> str:
    """A text as it can stand in the form: in quotes, unless it is a plain word."""
    if _PLAIN.fullmatch(text) and " " not in text and not text.endswith("-"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


NEGATING = r"without|but not|but no|with no|except(?: for)?|excluding|ohne|aber kein\w*"
"""Words that exclude what follows them, as a regular expression."""

_NEGATION = re.compile(
    rf"(?P<rest>.*?\S)[\s,]+(?P<said>{NEGATING})\s+(?:any |an? |the )?(?P<what>\w+(?: \w+){{0,2}})[.!?]?",
    re.IGNORECASE,
)


def negation(text: str) -> str | None:
    """What to write instead of a question that excludes something in words, in this form; None: it excludes nothing.

    Encoders do not understand "without": they find what is named.
    """
    found = _NEGATION.fullmatch(" ".join(text.split()))
    return f"{_quoted(found['rest'])} -{_quoted(found['what'])}" if found and '"' not in text else None
