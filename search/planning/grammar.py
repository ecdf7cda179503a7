"""A planner that needs no model: it reads the words that say how things belong together, in English, German, French and Spanish.

Words of order make a pattern in time, words of absence an exclusion, nouns of media and verbs of perception choose where to look,
and dates and lengths become filters. What it does not understand is searched as it is.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from search.errors import InputError, QueryError
from search.media.metadata import language_names
from search.planning.skills import PlanStep, Proposal, Skill
from search.query import form
from search.query.algebra import MAX_STEPS, Link, Near, Query, Step, Term, Then
from search.query.form import NEGATING, UNITS_MS, Formed
from search.query.narrowing import narrowed_by
from search.types import Channel, Filter, Modality

MAX_CHARACTERS = 2_000
"""Characters of a question that is planned, at most."""

MAX_PARTS = 3
"""Parts of a question that are searched by themselves; more are not told apart."""

USEFUL = 0.9
"""How useful the step is that a question asks for in so many words."""

LOOSER = 0.6
"""How useful the same words are where a quotation need not occur literally, or a part of the picture need not be the whole."""

ELSEWHERE = 0.3
"""How useful the same words are in any channel, where one is named."""

ALONE = 0.25
"""How useful one step of a pattern is by itself."""

_CHANNELS = {
    Skill.PICTURE: (Channel.VISUAL,), Skill.SOUND: (Channel.SOUND,), Skill.SPEECH: (Channel.SPEECH,), Skill.SCREEN: (Channel.OCR,),
}  # fmt: skip

_LEAD = re.compile(
    r"^(?:please\s+|bitte\s+)?(?:find|show|give|search(?: for)?|look for|get|zeige?|finde?|suche?(?: nach)?|montre|trouve|cherche|busca|muestra|encuentra)(?:\s+(?:me|mir|uns|us|moi))?\s+",
    re.IGNORECASE,
)
_COUNT = re.compile(
    r"^(?:how many|count(?: the| all)?|wie ?viele|combien de|cu[aá]nt[oa]s)\s+(?P<rest>.+?)(?:\s+(?:are|is) there|\s+do (?:i|we) have|\s+gibt es)?$",
    re.IGNORECASE,
)
_ASK = re.compile(
    r"^(?:what|who|whose|which|why|how|is|are|does|do|was|were|did|can|was f[uü]r|wer|welche[rs]?|warum|ist|sind|qui|pourquoi|est-ce que|qu[eé]|qui[eé]n)\b.*\?$",
    re.IGNORECASE | re.DOTALL,
)
_TRANSLATE = re.compile(
    r"[\s,]+(?:and\s+)?(?:translated?|[uü]bersetzt?)(?:\s+(?:it|them|that|this|es))?\s+(?:in)?(?:to|ins?)\s+(?P<language>\w+)$",
    re.IGNORECASE,
)
_THEN = re.compile(
    r"[\s,;]+(?:and |und |et |y )?(?:(?:right |immediately |shortly )?(?:then|followed by|after (?:that|which)|afterwards|later|before)|dann|danach|gefolgt von|anschlie[sß]+end|bevor|puis|ensuite|suivie?s? (?:de|d'|par)|avant(?: de)?|luego|despu[eé]s|seguid[oa]s? (?:de|por)|antes de)[\s,:]+",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"[\s,;]+(?:and |und )?(?:(?:right |immediately |shortly )?after|nach(?:dem)?|apr[eè]s|despu[eé]s de)\s+", re.IGNORECASE
)
_FIRST = re.compile(r"^(?:first(?: of all)?|zuerst|erst|d'abord|primero)[\s,:]+", re.IGNORECASE)
_WITHIN = re.compile(
    r"[\s,]*(?:and |und )?(?:within|in under|innerhalb von|binnen|en moins de|en menos de)\s+(?:the next\s+)?(?P<count>\d+)\s*(?P<unit>ms|s|m|h|sec\w*|sek\w*|min\w*|hours?|stunden?|heures?|horas?)\b",
    re.IGNORECASE,
)
_WITHOUT = re.compile(rf"[\s,]+(?:and |but )?(?:{NEGATING})\s+(?:any |an? |the )?(?P<what>.+)$", re.IGNORECASE)
_ROMANCE_WITHOUT = re.compile(
    r"(?=.*\b(?:une?|les?|la|des|du|el|los|las|una|con|avec)\b).*?(?P<cut>[\s,]+(?:mais |pero )?(?:sans|sin|pas de|no)\s+(?P<what>.+))$",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"(?P<link>\s*[,;]?\s+(?:and at the same time|and|while|whilst|when|where|with|und|während|w[aä]hrenddessen|et|pendant que|tandis que|y|mientras(?: que)?)\s+|\s*[,;]\s+)",
    re.IGNORECASE,
)
_AS_WELL = re.compile(r"while|whilst|when|time|während|wahrend|pendant|tandis|mientras", re.IGNORECASE)
_APART = re.compile(
    r"\b(?:elsewhere|in another|another (?:file|film|video|recording|clip)|in a different|anderswo|in eine[rm] anderen|ailleurs|en otr[oa])\b",
    re.IGNORECASE,
)
_PERSON = r"(?:some(?:one|body)|(?:an?|the) (?:man|woman|person|voice|speaker|child|boy|girl|narrator)|they|he|she|people|jemand|man|eine stimme|quelqu'un|on|alguien)"
_SAID = re.compile(
    rf"^(?:in which |where |who(?:m)? )?(?:{_PERSON}\s+)?(?:says?|said|saying|mentions?|mentioning|talks? (?:of|about)|talking (?:of|about)|speaks? (?:of|about)|speaking (?:of|about)|tells? (?:of|about)|sagt|spricht (?:von|[uü]ber)|erz[aä]hlt von|dit|parle de|dice|habla de)\s+(?:that\s+|the words?\s+)?(?P<what>.+)$"
    r"|^(?:in which |where )?(?:the words? |the sentence )?(?P<passive>.+?)\s+(?:is|are|was|were|being)\s+(?:said|spoken|mentioned|talked about)(?: here| there)?$"
    r"|^(?:speech|words|talk|conversation)\s+about\s+(?P<about>.+)$",
    re.IGNORECASE,
)
_HEARD = re.compile(
    rf"^(?:the\s+)?(?:sounds?|noises?|ger[aä]usche?|bruits?|sonidos?)\s+(?:of|from|von|de|d')\s*(?P<what>.+)$"
    rf"|^(?:in which |where )?(?:(?:you|one|we|i)\s+(?:can\s+)?hear|hearing|{_PERSON}\s+(?:hears?|h[oö]rt)|on entend|se oye)\s+(?P<hears>.+)$"
    r"|^(?:in which |where )?(?P<passive>.+?)\s+(?:(?:is|are|was|were|can be|being)\s+)?(?:heard|audible|on the soundtrack|zu h[oö]ren|h[oö]rbar)(?:\s+in the background)?$",
    re.IGNORECASE,
)
_SEEN = re.compile(
    rf"^(?:in which |where )?(?:(?:you|one|we|i)\s+(?:can\s+)?see|seeing|{_PERSON}\s+(?:sees?|sieht)|on voit|se ve)\s+(?P<sees>.+)$"
    r"|^(?:in which |where )?(?P<passive>.+?)\s+(?:(?:is|are|was|were|can be|being)\s+)?(?:seen|shown|visible|in (?:the )?(?:picture|view|frame|shot)|zu sehen|sichtbar)(?: here| there)?$",
    re.IGNORECASE,
)
_READ = re.compile(
    r"^(?:(?:an?|the)\s+)?(?:sign|screen|slide|banner|poster|label|title|writing|schild|bildschirm|panneau|cartel)\s+(?:reads?|says?|saying|with|that (?:says|reads)|mit|sagt)\s+(?P<what>.+)$"
    r"|^(?:the words?\s+)?(?P<passive>.+?)\s+(?:is|are|was|were)?\s*(?:written|on (?:a|the) (?:sign|screen|slide|banner|poster))$",
    re.IGNORECASE,
)
_MEDIUM = re.compile(
    r"^(?:(?:an?|the|any|all|some|every|ein(?:e[nm]?)?|alle|une?|una?|des|les|los|las)\s+)?"
    r"(?P<noun>photo(?:graph|s|graphs)?|fotos?|pictures?|bild(?:er)?|images?|videos?|films?|filme|clips?|movies?|footage|recordings?|aufnahmen?|audio|documents?|dokumente?|articles?|notes?)"
    r"\s+(?:of|in which|where|with|showing|that shows?|about|von|mit|in denen|in dem|de|d'|avec|con)\s*(?P<rest>.+)$",
    re.IGNORECASE,
)
_SAYING = re.compile(
    r"^(?:(?:an?|the|ein(?:e)?)\s+)?(?P<noun>recording|video|film|clip|audio|aufnahme)s?\s+(?P<rest>(?:that\s+)?(?:says?|saying|mentioning|talking about).+)$",
    re.IGNORECASE,
)
_MEDIA = {
    "photo": Modality.IMAGE, "foto": Modality.IMAGE, "pict": Modality.IMAGE, "bild": Modality.IMAGE, "imag": Modality.IMAGE, "vide": Modality.VIDEO,
    "film": Modality.VIDEO, "clip": Modality.VIDEO, "movi": Modality.VIDEO, "foot": Modality.VIDEO, "reco": Modality.AUDIO, "aufn": Modality.AUDIO,
    "audi": Modality.AUDIO, "docu": Modality.TEXT, "doku": Modality.TEXT, "arti": Modality.TEXT, "note": Modality.TEXT,
}  # fmt: skip
_SIMILAR = re.compile(
    r"^(?:more |others? |mehr )?(?:like|similar to|wie|comme|como)\s+(?:segment\s*)?#?(?P<segment>\d{1,18})$", re.IGNORECASE
)
_REGION = re.compile(
    r"[\s,]+(?:in the (?:background|foreground|corner|distance)|on the (?:left|right)(?: side)?|at the (?:top|bottom|edge)|im (?:hinter|vorder)grund|in der ecke)$",
    re.IGNORECASE,
)
_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = rf"(?:(?P<month>{'|'.join(_MONTHS)})\s+)?"
_DATES: Sequence[tuple[re.Pattern[str], str]] = [
    (
        re.compile(rf"[\s,]+(?:taken |recorded |made )?(?:in|from|of|aus)\s+{_MONTH}(?P<year>(?:19|20)\d\d)\b", re.IGNORECASE),
        "date",
    ),
    (re.compile(rf"[\s,]+(?:since|seit|depuis|desde)\s+{_MONTH}(?P<year>(?:19|20)\d\d)\b", re.IGNORECASE), "since"),
    (re.compile(rf"[\s,]+(?:until|bis|jusqu'en|hasta)\s+{_MONTH}(?P<year>(?:19|20)\d\d)\b", re.IGNORECASE), "until"),
    (re.compile(rf"[\s,]+(?:before|vor|avant)\s+{_MONTH}(?P<year>(?:19|20)\d\d)\b", re.IGNORECASE), "before"),
]
_AGO = {"today": 0, "yesterday": 1, "heute": 0, "gestern": 1, "hoy": 0, "ayer": 1}
_DAY = re.compile(rf"[\s,]+(?:from |since )?(?P<day>{'|'.join(_AGO)})\b", re.IGNORECASE)
_LAST = re.compile(r"[\s,]+(?:(?:in|of|from) )?(?:the )?last (?P<unit>week|month|year)\b", re.IGNORECASE)
_LENGTH = re.compile(
    r"[\s,]+(?:(?:that (?:are|last)|of)\s+)?(?P<how>longer|more|shorter|less)\s+than\s+(?P<count>\d+)\s+(?P<unit>seconds?|minutes?|hours?)\b",
    re.IGNORECASE,
)
_TELLS = re.compile(r"\b(?:sa(?:id|ys?|ying|gt)|spoken|speak\w*|talk\w*|mention\w*|sign|written|spricht)\b", re.IGNORECASE)
_TONGUE = re.compile(r"[\s,]+(?:spoken |said )?(?:in|auf)\s+(?P<language>[A-Z]\w+)$")

_QUOTE = re.compile(r'"[^"]+"|“[^”]+”|„[^“]+“|«[^»]+»')
_MARK = re.compile("\ue000([\ue001-\uf8ff])")


@dataclass(frozen=True, slots=True)
class _Clause:
    """A part of a question: its words, where it is looked for, its medium, and what must not be there."""

    words: str
    skill: Skill
    medium: Modality | None = None
    without: tuple[str, ...] = ()
    region: bool = False


@dataclass(frozen=True, slots=True)
class GrammarPlanner:
    """Plans by the grammar of a question. ``today`` is what its time words are counted from."""

    today: Callable[[], datetime.date] = datetime.date.today

    def propose(self, question: str) -> Proposal:
        """See ``Planner``."""
        text = " ".join(question.split())
        if not any(letter.isalnum() for letter in text):
            raise QueryError("There is nothing in the question to search for.", remedy="Say in a few words what to look for.")
        if len(text) > MAX_CHARACTERS:
            raise QueryError("The question is too long for a plan.", remedy=f"Write at most {MAX_CHARACTERS:,} characters.")
        return _Parser(text, self.today()).proposal()


class _Parser:
    """Reads one question."""

    def __init__(self, text: str, today: datetime.date) -> None:
        self.quotes: list[str] = []
        self.said, self.today, self.wanted = text, today, Filter()
        self.extra: list[PlanStep] = []
        self.text = _QUOTE.sub(self._hide, text).strip(" ")

    def proposal(self) -> Proposal:
        asks = bool(_ASK.match(self.text))
        self.text = self.text.rstrip(".!? ")
        if found := _COUNT.match(self.text):
            self.text = found["rest"]
            self.extra.append(PlanStep(Skill.COUNT, "", USEFUL))
        elif asks:
            self.extra.append(PlanStep(Skill.ASK, self.said, USEFUL))
        self.text = _LEAD.sub("", self.text)
        if (found := _TRANSLATE.search(self.text)) and (language := language_names.code(found["language"])):
            self.text = self.text[: found.start()]
            self.extra.append(PlanStep(Skill.TRANSLATE, language, USEFUL))
        self._filters()
        steps, together = self._steps()
        told = form.written(Formed(Term("x", Modality.TEXT), self.wanted)).removeprefix("x").strip()
        filters = [PlanStep(Skill.FILTER, told, USEFUL)] if told else []
        return Proposal((*steps, *filters, *self.extra), together)

    # what narrows

    def _filters(self) -> None:
        for pattern, key in _DATES:
            if found := pattern.search(self.text):
                month = _MONTHS.index(found["month"].lower()) + 1 if found["month"] else 0
                if key == "before":
                    day = datetime.date(int(found["year"]), month or 1, 1) - datetime.timedelta(days=1)
                    self._narrow(found, "until", day.isoformat())
                else:
                    self._narrow(found, key, f"{found['year']}-{month:02}" if month else found["year"])
        if found := _DAY.search(self.text):
            day = self.today - datetime.timedelta(days=_AGO[found["day"].lower()])
            self._narrow(found, "date", day.isoformat())
        if found := _LAST.search(self.text):
            self._narrow(found, "date", _last(found["unit"].lower(), self.today))
        if found := _LENGTH.search(self.text):
            seconds = int(found["count"]) * _seconds(found["unit"])
            self._narrow(found, "duration", f"{seconds}.." if found["how"].lower() in ("longer", "more") else f"..{seconds}")
        if (
            _TELLS.search(self.text)
            and (found := _TONGUE.search(self.text))
            and (language := language_names.code(found["language"]))
        ):
            self._narrow(found, "language", language)

    def _narrow(self, found: re.Match[str], key: str, value: str) -> None:
        """Take a match out of the text, and narrow by what it says. What no filter can say stays words."""
        with suppress(InputError):
            self.wanted = narrowed_by(self.wanted, key, value)
            self.text = self.text[: found.start()] + self.text[found.end() :]

    # what is looked for

    def _steps(self) -> tuple[list[PlanStep], bool]:
        if found := _SIMILAR.match(self.text):
            return [self._step(Skill.SIMILAR, Near(int(found["segment"])), Filter(), USEFUL)], True
        gap = Link()
        if found := _WITHIN.search(self.text):
            gap = _gap(found) or gap
            joined = " " if _THEN.search(self.text) or _AFTER.search(self.text) else ", then "
            self.text = self.text[: found.start()] + joined + self.text[found.end() :]
        parts = [one for one in _THEN.split(_FIRST.sub("", self.text)) if one.strip()]
        if len(parts) == 1 and (found := _AFTER.search(self.text)) and found.start():
            parts = [self.text[found.end() :], self.text[: found.start()]]
        if 1 < len(parts) <= MAX_STEPS:
            return self._pattern([self._clause(one) for one in parts], gap), True
        clauses = self._clauses()
        media = {one.medium for one in clauses}
        together = len(clauses) < 2 or not (len(media - {None}) > 1 or _APART.search(self.text))
        return [step for part, one in enumerate(clauses) for step in self._ways(one, part)], together

    def _clauses(self) -> list[_Clause]:
        """The parts of a question that are told apart by where they are looked for. Without such words it is one."""
        pieces = _CLAUSE.split(self.text)
        texts = [pieces[0]]
        for link, rest in zip(pieces[1::2], pieces[2::2], strict=True):
            cued, before = self._clause(rest), self._clause(texts[-1])
            passive = cued.skill is Skill.PICTURE and not cued.medium and before.skill is Skill.WORDS and not before.medium
            if passive and not _AS_WELL.search(link):  # of "a man and a woman are seen" both are
                texts[-1] += link + rest
            elif cued.skill is not Skill.WORDS or cued.medium:
                texts.append(rest)
            else:
                texts[-1] += link + rest
        if not 1 < len(texts) <= MAX_PARTS:
            return [self._clause(self.text)]
        clauses = [self._clause(one) for one in texts]
        return clauses if len({(one.skill, one.medium) for one in clauses}) > 1 else [self._clause(self.text)]

    def _clause(self, text: str) -> _Clause:
        text, without = self._without(text.strip(" ,;"))
        medium, skill, region = None, Skill.WORDS, False
        if found := _SAYING.match(text) or _MEDIUM.match(text):
            medium, text = _MEDIA[next(key for key in _MEDIA if found["noun"].lower().startswith(key))], found["rest"]
            skill = Skill.PICTURE if medium is Modality.IMAGE else skill
            text = re.sub(r"^that\s+", "", text)
        text = _APART.sub("", text).strip(" ,;") or text
        for one, pattern in ((Skill.SCREEN, _READ), (Skill.SPEECH, _SAID), (Skill.SOUND, _HEARD), (Skill.PICTURE, _SEEN)):
            if found := pattern.match(text):
                said = next(value for value in found.groups() if value)
                text, skill = re.sub(r"^(?:in which|where|that)\s+", "", said), one
                break
        if found := _REGION.search(text):
            text, region = text[: found.start()], True
        text, more = self._without(text)
        return _Clause(text.strip(" ,;"), skill, medium, (*without, *more), region)

    def _without(self, text: str) -> tuple[str, tuple[str, ...]]:
        if found := _WITHOUT.search(text):
            start = found.start()
        elif found := _ROMANCE_WITHOUT.match(text):
            start = found.start("cut")
        if not found or not text[:start].strip():
            return text, ()
        return text[:start], (found["what"].strip(" ,;"),)

    # how it is found

    def _ways(self, one: _Clause, part: int) -> list[PlanStep]:
        """The ways to find a part, and what must not be there."""
        medium = (one.medium,) if one.medium else ()
        narrow, wide = Filter(modalities=medium, channels=_CHANNELS.get(one.skill, ())), Filter(modalities=medium)
        loose = self._shown(one.words, loose=True)
        ways = [self._step(one.skill, self._term(one.words), narrow, USEFUL, part)]
        if loose != self._shown(one.words):
            ways.append(self._step(one.skill, Term(loose, Modality.TEXT), narrow, LOOSER, part))
        if one.region:
            ways.append(self._step(Skill.REGION, Term(loose, Modality.TEXT), wide, LOOSER, part))
        if one.skill is not Skill.WORDS:
            ways.append(self._step(Skill.WORDS, Term(loose, Modality.TEXT), wide, ELSEWHERE, part))
        return ways + [self._absent(words, part) for words in one.without]

    def _absent(self, words: str, part: int = 0) -> PlanStep:
        """What must not be there, wherever it is said to be."""
        one = self._clause(words)
        return self._step(Skill.WITHOUT, self._term(one.words), Filter(channels=_CHANNELS.get(one.skill, ())), USEFUL, part)

    def _pattern(self, clauses: list[_Clause], gap: Link) -> list[PlanStep]:
        steps = tuple(
            Step(self._term(one.words), _CHANNELS.get(one.skill, ()), gap if number else Link(), tuple(map(self._term, one.without)) if number else ())
            for number, one in enumerate(clauses)
        )  # fmt: skip
        medium = tuple(dict.fromkeys(one.medium for one in clauses if one.medium))
        found = [self._step(Skill.THEN, Then(steps), Filter(modalities=medium), USEFUL)]
        for one in clauses:
            alone = Filter(modalities=medium, channels=_CHANNELS.get(one.skill, ()))
            found.append(self._step(one.skill, self._term(one.words), alone, ALONE))
        return found + [self._absent(words) for words in clauses[0].without]

    def _step(self, skill: Skill, query: Query | Then, narrow: Filter, useful: float, part: int = 0) -> PlanStep:
        wanted = replace(self.wanted, modalities=narrow.modalities, channels=narrow.channels)
        return PlanStep(skill, form.written(Formed(query, wanted)), useful, part)

    def _term(self, words: str) -> Term:
        return Term(self._shown(words), Modality.TEXT)

    def _hide(self, found: re.Match[str]) -> str:
        """A mark that no pattern matches in the place of a quotation."""
        self.quotes.append(found[0][1:-1].strip())
        return f"\ue000{chr(0xE001 + len(self.quotes) - 1)}"

    def _shown(self, words: str, *, loose: bool = False) -> str:
        """Words with their quotations, which need not occur literally if ``loose``."""
        return _MARK.sub(
            lambda one: self.quotes[ord(one[1]) - 0xE001] if loose else f'"{self.quotes[ord(one[1]) - 0xE001]}"', words
        )


def _seconds(unit: str) -> int:
    return {"s": 1, "m": 60, "h": 3600}[unit[0].lower()]


def _gap(found: re.Match[str]) -> Link | None:
    unit = found["unit"].lower()
    size = 1 if unit == "ms" else UNITS_MS["h" if unit.startswith(("stunde", "h")) else unit[0]]
    try:
        return Link(most_ms=int(found["count"]) * size)
    except QueryError:
        return None


def _last(unit: str, today: datetime.date) -> str:
    """The last full week, month or year before today, as a range of days."""
    if unit == "year":
        return str(today.year - 1)
    if unit == "month":
        return (today.replace(day=1) - datetime.timedelta(days=1)).strftime("%Y-%m")
    monday = today - datetime.timedelta(days=today.weekday() + 7)
    return f"{monday}..{monday + datetime.timedelta(days=6)}"
