"""XMP: the RDF data about a file, read through expat.

The parser of HTML pages would not do: it knows no namespaces, and treats what follows a self-closing element as its content.
Expat reads no other file and expands no undeclared entity, and ``_refuse`` rejects every declaration. So no text grows while it
is read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any
from xml.parsers import expat

from search.media.metadata import circumstances, dates, language_names
from search.media.metadata.circumstances import Told
from search.media.metadata.text_values import MAX_VALUE_CHARACTERS, Role, Value
from search.types import DateSource

MAX_BYTES = 4 << 20
"""What is read of it, in bytes: the rest would be small pictures."""
_DEEPEST = 100
"""Elements inside each other: RDF needs a dozen."""

_LANG = "http://www.w3.org/XML/1998/namespace lang"
_DC, _PHOTOSHOP = "http://purl.org/dc/elements/1.1/", "http://ns.adobe.com/photoshop/1.0/"
_CORE, _EXT = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/", "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_DM, _REGIONS = "http://ns.adobe.com/xmp/1.0/DynamicMedia/", "http://www.metadataworkinggroup.com/schemas/regions/"
_NAMES: tuple[tuple[str, Role, str], ...] = (
    (_DC, "title", "title"),
    (_DC, "description", "description"),
    (_DC, "keywords", "subject"),
    (_DC, "credit", "creator rights"),
    (_PHOTOSHOP, "title", "Headline"),
    (_PHOTOSHOP, "keywords", "SupplementalCategories"),
    (_PHOTOSHOP, "place", "City State Country"),
    (_PHOTOSHOP, "credit", "Credit Source"),
    (_CORE, "description", "AltTextAccessibility ExtDescrAccessibility"),
    (_CORE, "place", "Location"),
    (_EXT, "description", "Event"),
    (_EXT, "people", "PersonInImage PersonName OrganisationInImageName"),
    (_EXT, "place", "Sublocation City ProvinceState CountryName WorldRegion LocationName"),
    (_EXT, "title", "AOTitle"),
    (_EXT, "credit", "AOCreator"),
    (_REGIONS, "people", "Name"),
    (_DM, "title", "album"),
    (_DM, "description", "logComment"),
    (_DM, "credit", "artist composer"),
    ("http://ns.adobe.com/tiff/1.0/", "description", "ImageDescription"),
    ("http://ns.adobe.com/exif/1.0/", "description", "UserComment"),
)
_ROLES: dict[str, Role] = {f"{space} {name}": role for space, role, names in _NAMES for name in names.split()}

_EXIF, _BASIC = "http://ns.adobe.com/exif/1.0/", "http://ns.adobe.com/xap/1.0/"
_DATES: dict[str, DateSource] = {
    f"{_EXIF} DateTimeOriginal": DateSource.XMP, f"{_PHOTOSHOP} DateCreated": DateSource.XMP, f"{_DM} shotDate": DateSource.XMP,
    f"{_DC} date": DateSource.XMP, f"{_EXIF} DateTimeDigitized": DateSource.DIGITIZED, f"{_BASIC} CreateDate": DateSource.DIGITIZED,
    f"{_BASIC} ModifyDate": DateSource.CHANGED,
}  # fmt: skip
"""Properties that are dates -> what they are dates of, the most telling first."""


_TIFF = "http://ns.adobe.com/tiff/1.0/"
_FACTS = {
    f"{_TIFF} Make": "maker", f"{_TIFF} Model": "model", f"{_EXIF} GPSLatitude": "latitude", f"{_EXIF} GPSLongitude": "longitude",
    f"{_DC} rights": "rights", "http://ns.adobe.com/xap/1.0/rights/ UsageTerms": "terms", "http://creativecommons.org/ns# license": "licence",
}  # fmt: skip
"""Properties that tell how a file was made, and under which rights."""
_RESOURCE = "http://www.w3.org/1999/02/22-rdf-syntax-ns# resource"
"""The attribute that holds an address which is a value."""


class NotXmp(Exception):
    """It is not valid XMP as programs write it."""


def values(raw: bytes) -> Iterator[Value]:
    """The values in XMP; of damaged XMP, those before the damage.

    Raises:
        Refused: it declares a document type or entities, is nested too deeply, or is too long.
        ExpatError: it is not XML.
    """
    reader, refusal = _Reader(_ROLES), None
    try:
        reader.parse(raw)
    except (NotXmp, expat.ExpatError) as error:
        refusal = error
    found = [Value(_ROLES[name], text, language) for name, text, language in reader.found]
    yield from sorted(found, key=lambda value: value.language is None)  # the default repeats one of them
    if refusal is not None:
        raise refusal


def told(raw: bytes) -> Told:
    """The dates in XMP, the most important first, and its position, camera and rights; of damaged XMP, what comes before the damage."""
    reader = _Reader(_DATES | _FACTS)
    with contextlib.suppress(NotXmp, expat.ExpatError):
        reader.parse(raw)
    ranks = list(_DATES)
    dated = sorted((found for found in reader.found if found[0] in _DATES), key=lambda one: ranks.index(one[0]))
    facts: dict[str, str] = {}
    for name, text, _ in reader.found:
        if name in _FACTS:
            facts.setdefault(_FACTS[name], text)
    return Told(
        tuple(stamp for name, text, _ in dated for stamp in dates.stamps(_DATES[name], text)),
        circumstances.of_xmp(facts.get("latitude", ""), facts.get("longitude", "")),
        circumstances.camera(facts.get("maker", ""), facts.get("model", "")),
        circumstances.notice(*(facts.get(name, "") for name in ("rights", "terms", "licence"))),
    )


def source_types(raw: bytes) -> list[str]:
    """The codes of IPTC's digital source types in XMP, such as ``digitalCapture``; of damaged XMP, those before the damage."""
    reader = _Reader({f"{_EXT} DigitalSourceType": None})
    with contextlib.suppress(NotXmp, expat.ExpatError):
        reader.parse(raw)
    return [text.strip().rstrip("/").rpartition("/")[2] for _, text, _ in reader.found]


class _Reader:
    """Follows the elements, and keeps the texts of those with a name in ``names``, at any depth."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.found: list[tuple[str, str, str | None]] = []
        """Name, text, language."""
        self._names = names
        self._open: list[tuple[str | None, str | None]] = []
        self._text, self._length = list[str](), 0

    def parse(self, raw: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._say
        parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = _refuse
        parser.Parse(raw[:MAX_BYTES].strip(b"\0\t\n\r "), len(raw) <= MAX_BYTES)
        if len(raw) > MAX_BYTES:
            raise NotXmp(f"only its first {MAX_BYTES} bytes were read")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        outer, language = self._open[-1] if self._open else (None, None)
        self._open.append((name if name in self._names else outer, language_names.code(attributes.get(_LANG)) or language))
        if len(self._open) > _DEEPEST:
            raise NotXmp(f"more than {_DEEPEST} elements inside each other")
        self._forget()
        self.found += [(name, value, None) for name, value in attributes.items() if name in self._names]
        if name in self._names and attributes.get(_RESOURCE):
            self.found.append((name, attributes[_RESOURCE], None))

    def _end(self, _: str) -> None:
        name, language = self._open.pop()
        if name and (text := "".join(self._text)).strip():
            self.found.append((name, text, language))
        self._forget()

    def _say(self, text: str) -> None:
        if self._open and self._open[-1][0] and self._length <= MAX_VALUE_CHARACTERS:
            self._text.append(text)
            self._length += len(text)

    def _forget(self) -> None:
        self._text, self._length = [], 0


def _refuse(*_: object) -> None:
    raise NotXmp("it declares a type of document or entities, which XMP has none of")
