"""What is asked, as the address of the page says it: everything that a link must carry, and nothing else."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlencode

FIRST_HITS, MAX_HITS = 60, 6_000
"""Hits, or files, that are shown at first and at most; so many more follow whenever the end comes into sight."""

MAX_PREFERRED = 32
"""Preferences of one question, at most."""

MEDIA = ("image", "video", "audio", "text")
TARGETS = (*MEDIA, "imu")
"""Media that can be looked for."""
CHANNELS = ("visual", "sound", "text", "speech", "ocr", "caption", "motion")
SOURCES = ("sidecar", "xmp", "exif", "digitized", "iptc", "tags", "takeout", "name", "changed", "file")
"""Where a date may come from, as the API names it."""
ORIGINS = ("generated", "edited", "captured")
SORTS = ("date", "name", "length", "size")
"""Orders beside the usual one, which is the best match of a question, and what came last without one."""
_PLACE = re.compile(r"-?\d+(?:\.\d+)?(?:,-?\d+(?:\.\d+)?){2,3}")
_UPLOAD = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a question beside its main text: a further text, an upload, or a segment of the archive.

    ``value`` is the text, the upload's id or the segment's number; ``medium`` is what it is, for its picture.
    """

    kind: Literal["text", "upload", "segment"]
    value: str
    weight: float = 1.0
    medium: str = "text"
    label: str = ""

    @classmethod
    def read(cls, told: str) -> Self | None:
        """A piece as ``str`` wrote it; None for what is none."""
        kind, _, rest = told.partition("~")
        value, weight, medium, label = [*rest.split("~", 3), "", "", ""][:4]
        if kind == "text":
            return cls.of({"kind": kind, "weight": value, "value": rest.partition("~")[2]})
        return cls.of({"kind": kind, "value": value, "weight": weight, "medium": medium, "label": label})

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self | None:
        """A piece from what a browser sent; None for what is none."""
        kind, value = given.get("kind"), _text(given.get("value")).strip()
        known = {"text": bool(value), "upload": bool(_UPLOAD.fullmatch(value)), "segment": value.isdecimal() and len(value) < 19}
        if not known.get(str(kind)):
            return None
        medium, label = given.get("medium"), _text(given.get("label"))[:120]
        if kind == "text" or medium not in TARGETS:
            medium = "text"
        return cls(kind, value, _weight(given.get("weight")), medium, "" if kind == "text" else label)  # type: ignore[arg-type]

    def __str__(self) -> str:
        if self.kind == "text":
            return f"text~{self.weight:g}~{self.value}"
        return f"{self.kind}~{self.value}~{self.weight:g}~{self.medium}~{self.label}"

    def term(self) -> dict[str, Any]:
        """The piece as a term of a search."""
        return {self.kind: int(self.value) if self.kind == "segment" else self.value, "weight": self.weight}


@dataclass(frozen=True, slots=True)
class State:
    """A question and how its answer is looked at. ``since`` and ``until`` are ISO days; lengths are in seconds.

    A ``text`` that begins with an equals sign and stands alone is a question in the text form.

    ``region`` searches parts of pictures alone.

    ``words`` asks a single text by its words alone, ``spoken`` a single recording by what is said in it too. Neither holds for anything else.
    ``weight`` is that of ``text``, where there is something else to weigh it against; ``count`` is a multiple of ``FIRST_HITS``.
    ``preferred`` are segments that are nearer to what is sought than what else was shown, in the order in which somebody said so; below 0
    those that are farther.
    ``imagined`` are uploads that were imagined of a single text, with which it is asked too.
    ``plan`` breaks a single text into steps, of which those with the numbers in ``skip`` are not taken.
    ``lanes`` shows the answer in lanes, one a kind of medium. ``sort`` is one of ``SORTS``; empty: the usual order.
    ``after`` lets only segments pass that came after one of this number. ``fields`` are own fields, each with its value. ``sample`` shows, instead of an answer to a single text, files drawn at random that nobody has judged.
    """

    view: Literal["search", "library", "case", "map"] = "search"
    case: int | None = None
    text: str = ""
    weight: float = 1.0
    pieces: tuple[Piece, ...] = ()
    targets: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    things: tuple[str, ...] = ()
    spaces: tuple[str, ...] = ()
    under: str = ""
    since: str = ""
    until: str = ""
    dated_by: tuple[str, ...] = ()
    track: str = ""
    shortest: float | None = None
    longest: float | None = None
    languages: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    rights: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    after: int | None = None
    sort: str = ""
    lanes: bool = False
    words: bool = False
    spoken: bool = False
    region: bool = False
    sample: bool = False
    preferred: tuple[int, ...] = ()
    imagined: tuple[str, ...] = ()
    plan: bool = False
    skip: tuple[int, ...] = ()
    group: Literal["files", "moments"] = "files"
    count: int = FIRST_HITS
    opened: int | None = None

    @classmethod
    def read(cls, params: Mapping[str, Sequence[str]]) -> Self:
        """The state that an address names. What makes no sense in it is left out: an old link still opens."""
        one = {name: values[0] for name, values in params.items() if values}
        return cls.of(
            {
                "text": one.get("q", ""), "weight": one.get("weight"), "pieces": [Piece.read(told) for told in params.get("with", ())],
                "targets": one.get("in", "").split(","), "channels": one.get("channel", "").split(","), "dated_by": one.get("dated", "").split(","),
                "collections": params.get("collection", ()), "tags": params.get("tag", ()), "things": params.get("thing", ()), "spaces": params.get("space", ()), "group": one.get("group"), "view": one.get("view"), "case": one.get("case"),
                "count": _pages(one.get("more", "")), "words": one.get("words") == "1", "spoken": one.get("spoken") == "1", "region": one.get("region") == "1", "sample": one.get("sample") == "1", "opened": one.get("open"),
                "preferred": one.get("prefer", "").split(","), "imagined": one.get("imagined", "").split(","),
                "languages": params.get("language", ()), "origins": one.get("origin", "").split(","), "cameras": params.get("camera", ()), "rights": params.get("rights", ()), "places": params.get("place", ()), "fields": [told.split(":", 1) for told in params.get("field", ())],
                "sort": one.get("sort"), "after": one.get("after"), "lanes": one.get("lanes") == "1",
                "plan": one.get("plan") == "1", "skip": [int(number) for number in one.get("skip", "").split(",") if _id(number)],
            }
            | {name: one.get(name, "") for name in ("under", "track", "since", "until", "shortest", "longest")}
        )  # fmt: skip

    @classmethod
    def link(cls, told: str) -> Self:
        """The state that a query string names."""
        return cls.read(parse_qs(told.removeprefix("?")))

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """A state from what a browser sent."""
        pieces = (Piece.of(one) if isinstance(one, Mapping) else one for one in _list(given.get("pieces")))
        return cls(
            view=given["view"] if given.get("view") in ("library", "case", "map") else "search", case=_id(given.get("case")),
            text=_text(given.get("text")).strip(), weight=abs(_weight(given.get("weight"))) or 1.0, pieces=tuple(one for one in pieces if isinstance(one, Piece)),
            targets=_among(given.get("targets"), TARGETS), channels=_among(given.get("channels"), CHANNELS),
            collections=_names(given.get("collections")), tags=_names(given.get("tags")), things=_names(given.get("things")), spaces=_names(given.get("spaces")), under=_text(given.get("under")).strip(), track=_text(given.get("track")).strip(),
            since=_day(given.get("since")), until=_day(given.get("until")), dated_by=_among(given.get("dated_by"), SOURCES),
            shortest=_seconds(given.get("shortest")), longest=_seconds(given.get("longest")),
            languages=_names(given.get("languages")), origins=tuple(one for one in ORIGINS if one in _list(given.get("origins"))),
            cameras=_names(given.get("cameras")), rights=_names(given.get("rights")), places=tuple(one for one in _names(given.get("places")) if _PLACE.fullmatch(one)), fields=_pairs(given.get("fields")),
            after=_id(given.get("after")), sort=given["sort"] if given.get("sort") in SORTS else "", lanes=given.get("lanes") is True,
            words=given.get("words") is True, spoken=given.get("spoken") is True, region=given.get("region") is True, sample=given.get("sample") is True,
            plan=given.get("plan") is True, skip=tuple(number for number in _list(given.get("skip")) if isinstance(number, int) and 1 <= number <= 50)[:50],
            group="moments" if given.get("group") == "moments" else "files", count=_count(given.get("count")),
            opened=_id(given.get("opened")), preferred=_preferred(given.get("preferred")),
            imagined=tuple(one for one in _list(given.get("imagined")) if isinstance(one, str) and _UPLOAD.fullmatch(one))[:5],
        )  # fmt: skip

    def params(self) -> dict[str, list[str]]:
        """The state as the parameters of an address; ``read`` turns it back."""
        given: dict[str, list[str]] = {
            "view": [self.view] if self.view != "search" else [], "case": [str(self.case or "")], "q": [self.text], "weight": [f"{self.weight:g}"] if self.text and self.weight != 1 else [], "with": [str(piece) for piece in self.pieces],
            "in": [",".join(self.targets)], "channel": [",".join(self.channels)], "collection": list(self.collections),
            "tag": list(self.tags), "thing": list(self.things), "space": list(self.spaces), "under": [self.under], "track": [self.track], "since": [self.since], "until": [self.until], "dated": [",".join(self.dated_by)],
            "shortest": [_number(self.shortest)], "longest": [_number(self.longest)],
            "language": list(self.languages), "origin": [",".join(self.origins)], "camera": list(self.cameras), "rights": list(self.rights), "place": list(self.places), "field": [f"{name}:{value}" for name, value in self.fields],
            "after": [str(self.after or "")], "sort": [self.sort], "lanes": ["1"] if self.lanes else [],
            "words": ["1"] if self.words and self.alone == "text" else [], "spoken": ["1"] if self.spoken and self.alone == "sound" else [],
            "region": ["1"] if self.regional else [],
            "sample": ["1"] if self.sample and self.question else [],
            "plan": ["1"] if self.plan and self.question else [], "skip": [",".join(map(str, self.skip))] if self.plan and self.question else [],
            "group": [self.group] if self.group != "files" else [], "more": [str(self.count // FIRST_HITS - 1)] if self.count > FIRST_HITS else [],
            "open": [str(self.opened or "")], "prefer": [",".join(map(str, self.preferred))],
            "imagined": [",".join(self.imagined)] if self.question else [],
        }  # fmt: skip
        return {name: kept for name, values in given.items() if (kept := [value for value in values if value])}

    def href(self, **changes: Any) -> str:  # noqa: ANN401 - any of the fields
        """The address of this state with changes."""
        return "?" + urlencode(replace(self, **changes).params(), doseq=True)

    @property
    def asks(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self.text or self.pieces)

    @property
    def alone(self) -> Literal["text", "sound", ""]:
        """What the question is where it is one thing: a text, or a sound that was brought along."""
        if self.text or len(self.pieces) != 1:
            return "text" if self.text and not self.pieces and self.form is None else ""
        (piece,) = self.pieces
        if piece.weight <= 0:
            return ""
        return "text" if piece.kind == "text" else "sound" if (piece.kind, piece.medium) == ("upload", "audio") else ""

    @property
    def form(self) -> str | None:
        """The question in the text form, where it is written like a formula: behind an equals sign, and alone. None: it is a text."""
        return self.text[1:].strip() or None if self.text.startswith("=") and not self.pieces else None

    @property
    def regional(self) -> bool:
        """Whether parts of pictures are searched: a question that is asked in no other way."""
        other = (self.words and self.alone == "text") or (self.spoken and self.alone == "sound")
        return self.region and self.form is None and not other

    @property
    def question(self) -> str:
        """What files can be judged for: the one text that is asked; empty where it is anything else."""
        return (self.text or self.pieces[0].value) if self.alone == "text" else ""

    @property
    def narrowed(self) -> bool:
        """Whether something keeps hits out."""
        return bool(self.targets or self.channels or self.filter() or (self.words and self.alone == "text"))

    def request(self) -> dict[str, Any]:
        """The arguments of the search that answers this."""
        weight = {} if self.weight == 1 or not self.pieces else {"weight": self.weight}
        terms = [{"text": self.text, **weight}] if self.text and self.form is None else []
        plain = self.question and not (self.words or self.regional or self.preferred or self.sort)
        return {
            **({} if self.form is None else {"form": self.form}), "query": [*terms, *(piece.term() for piece in self.pieces)], "targets": self.targets, "channels": self.channels,
            "filter": self.filter(), "group": "moment", "k": self.count, "spaces": self.spaces,
            **({"sort": self.sort} if self.sort not in ("", "size") and not self.regional else {}),
            "words": self.words and self.alone == "text", "spoken": self.spoken and self.alone == "sound",
            **({"preferences": [{"segment": abs(one), "nearer": one > 0} for one in self.preferred]} if self.preferred and not self.regional else {}),
            **({"region": True} if self.regional else {}),
            **({"imagined": list(self.imagined)} if self.imagined and plain else {}),
        }  # fmt: skip

    def browse(self) -> dict[str, Any]:
        """The arguments that list the files which pass the filters, where nothing is asked."""
        order = "added" if self.sort in ("", "name") else self.sort
        return {"targets": self.targets, "channels": self.channels, "filter": self.filter(), "order": order}

    def wide(self) -> Self:
        """The same without anything that keeps hits out."""
        return replace(
            self, targets=(), channels=(), collections=(), tags=(), things=(), under="", since="", until="", dated_by=(), track="", shortest=None, longest=None,
            languages=(), origins=(), cameras=(), rights=(), places=(), fields=(), after=None, words=False, opened=None,
        )  # fmt: skip

    def plan_request(self) -> dict[str, Any]:
        """The arguments of the plan that answers this."""
        return {"question": self.question, "skip": self.skip, "targets": self.targets, "filter": self.filter()}

    def filter(self) -> dict[str, Any]:
        """What of the archive may be found, as the API takes it."""
        given = {
            "collections": list(self.collections), "tags": list(self.tags), "things": list(self.things), "under": self.under, "since": self.since, "until": self.until,
            "dated_by": list(self.dated_by), "tracks": [self.track] if self.track else [], "shortest_ms": _ms(self.shortest), "longest_ms": _ms(self.longest),
            "languages": list(self.languages), "origins": list(self.origins), "cameras": list(self.cameras), "rights": list(self.rights), "places": list(self.places), "fields": [{"name": name, "value": value} for name, value in self.fields], "after_segment": self.after,
        }  # fmt: skip
        return {name: value for name, value in given.items() if value not in ("", [], None)}


def _text(given: Any) -> str:  # noqa: ANN401 - whatever a browser sent
    """A text that an address can carry, without lone surrogates."""
    return "" if given is None else str(given).encode("utf-8", "replace").decode()


def _list(given: Any) -> Sequence[Any]:  # noqa: ANN401
    return given if isinstance(given, list | tuple) else ()


def _names(given: Any) -> tuple[str, ...]:  # noqa: ANN401
    return tuple(filter(None, map(_text, _list(given))))


def _pairs(given: Any) -> tuple[tuple[str, str], ...]:  # noqa: ANN401
    pairs = (
        tuple(_text(part).strip() for part in one) for one in _list(given) if isinstance(one, list | tuple) and len(one) == 2
    )
    return tuple((name, value) for name, value in pairs if name and value)


def _among(given: Any, known: Sequence[str]) -> tuple[str, ...]:  # noqa: ANN401
    chosen = tuple(name for name in known if name in _list(given))
    return () if len(chosen) == len(known) else chosen


def _weight(given: Any) -> float:  # noqa: ANN401
    try:
        number = round(float(given), 2)
    except (TypeError, ValueError, OverflowError):
        return 1.0
    return 1.0 if math.isnan(number) else min(max(number, -2.0), 2.0)


def _id(given: Any) -> int | None:  # noqa: ANN401
    told = _text(given)
    return (told.isdecimal() and len(told) < 19 and int(told)) or None


def _pages(told: str) -> int:
    """How much is shown after so many times more."""
    return FIRST_HITS * (1 + int(told)) if told.isascii() and told.isdecimal() and len(told) < 5 else FIRST_HITS


def _preferred(given: Any) -> tuple[int, ...]:  # noqa: ANN401
    """Segments, each once, the last mention counts; below 0 those that are farther."""
    found: dict[int, int] = {}
    for told in map(_text, _list(given)):
        if number := _id(told.removeprefix("-")):
            found.pop(number, None)
            found[number] = -number if told.startswith("-") else number
    return tuple(found.values())[-MAX_PREFERRED:]


def _count(given: Any) -> int:  # noqa: ANN401
    return min(max(FIRST_HITS, given - given % FIRST_HITS), MAX_HITS) if isinstance(given, int) else FIRST_HITS


def _day(given: Any) -> str:  # noqa: ANN401
    try:
        return datetime.date.fromisoformat(str(given or "")).isoformat()
    except ValueError:
        return ""


def _seconds(given: Any) -> float | None:  # noqa: ANN401
    try:
        number = float(given)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 < number < 1e7 else None


def _number(value: float | None) -> str:
    return "" if value is None else repr(value).removesuffix(".0")


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
