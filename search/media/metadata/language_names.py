"""Languages, by the many names that files use."""

from __future__ import annotations

import re
from collections.abc import Iterable

_TABLE = """
af afr Afrikaans|sq sqi alb Albanian|am amh Amharic|ar ara Arabic|hy hye arm Armenian|az aze Azerbaijani|eu eus baq Basque|be bel Belarusian
bn ben Bengali|bs bos Bosnian|bg bul Bulgarian|my mya bur Burmese|ca cat Catalan|zh zho chi Chinese|hr hrv Croatian|cs ces cze Czech
da dan Danish|nl nld dut Dutch|en eng English|eo epo Esperanto|et est Estonian|fi fin Finnish|fr fra fre French|gl glg Galician
ka kat geo Georgian|de deu ger German|el ell gre Greek|gu guj Gujarati|he heb Hebrew|hi hin Hindi|hu hun Hungarian|is isl ice Icelandic
id ind Indonesian|ga gle Irish|it ita Italian|ja jpn Japanese|kn kan Kannada|kk kaz Kazakh|km khm Khmer|ko kor Korean|ku kur Kurdish
lo lao Lao|la lat Latin|lv lav Latvian|lt lit Lithuanian|lb ltz Luxembourgish|mk mkd mac Macedonian|ms msa may Malay|ml mal Malayalam
mt mlt Maltese|mr mar Marathi|mn mon Mongolian|ne nep Nepali|no nor Norwegian|nb nob Norwegian|nn nno Norwegian|fa fas per Persian
pl pol Polish|pt por Portuguese|pa pan Punjabi|ro ron rum Romanian|ru rus Russian|sr srp Serbian|si sin Sinhala|sk slk slo Slovak
sl slv Slovenian|so som Somali|es spa Spanish|sw swa Swahili|sv swe Swedish|tl tgl Tagalog|ta tam Tamil|te tel Telugu|th tha Thai
tr tur Turkish|uk ukr Ukrainian|ur urd Urdu|uz uzb Uzbek|vi vie Vietnamese|cy cym wel Welsh|yi yid Yiddish|zu zul Zulu
"""
"""ISO 639-1, ISO 639-2 (twice where libraries and terminologists differ), and the name in English."""

_ROWS = [row.split() for row in re.split(r"[|\n]", _TABLE.strip())]
_CODES = {name.lower(): row[0] for row in reversed(_ROWS) for name in row}
_NAMES = {row[0]: row[-1] for row in _ROWS}


def code(told: str | None) -> str | None:
    """The ISO 639-1 code of a language written as ``de``, ``ger``, ``deu``, ``de-AT``, ``de_AT`` or ``German``; None: not known."""
    return _CODES.get(re.split("[-_]", told or "", maxsplit=1)[0].lower())


def spelled(told: Iterable[str]) -> tuple[str, ...]:
    """The given words, and in addition the codes of those that name languages."""
    return tuple(dict.fromkeys(one for word in told for one in (word.strip(), code(word.strip())) if one))


def name(code: str | None) -> str | None:
    """The English name of a language."""
    return _NAMES.get(code or "")
