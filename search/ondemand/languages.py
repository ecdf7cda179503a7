"""Languages: ISO 639-1 codes, English names, and the three-letter codes that models use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from search.errors import UnknownName

_TABLE = """
af Afrikaans afr|am Amharic amh|ar Arabic arb ara|as Assamese asm|az Azerbaijani azj aze|be Belarusian bel|bg Bulgarian bul|bn Bengali ben
bo Tibetan bod|bs Bosnian bos|ca Catalan cat|cs Czech ces|cy Welsh cym|da Danish dan|de German deu|el Greek ell|en English eng
eo Esperanto epo|es Spanish spa|et Estonian est ekk|eu Basque eus|fa Persian pes fas|fi Finnish fin|fo Faroese fao|fr French fra
ga Irish gle|gd Gaelic gla|gl Galician glg|gu Gujarati guj|ha Hausa hau|he Hebrew heb|hi Hindi hin|hr Croatian hrv|ht Haitian hat
hu Hungarian hun|hy Armenian hye|id Indonesian ind|ig Igbo ibo|is Icelandic isl|it Italian ita|ja Japanese jpn|jv Javanese jav
ka Georgian kat|kk Kazakh kaz|km Khmer khm|kn Kannada kan|ko Korean kor|ku Kurdish kmr ckb|ky Kyrgyz kir|lb Luxembourgish ltz
lg Ganda lug|ln Lingala lin|lo Lao lao|lt Lithuanian lit|lv Latvian lvs lav|mg Malagasy plt|mi Maori mri|mk Macedonian mkd
ml Malayalam mal|mn Mongolian khk mon|mr Marathi mar|ms Malay zsm zlm msa|mt Maltese mlt|my Burmese mya|nb Bokmål nob|ne Nepali npi nep
nl Dutch nld|nn Nynorsk nno|no Norwegian nob|ny Chichewa nya|oc Occitan oci|om Oromo gaz|or Odia ory ori|pa Punjabi pan|pl Polish pol
ps Pashto pbt pus|pt Portuguese por|qu Quechua quy|ro Romanian ron|ru Russian rus|rw Kinyarwanda kin|sa Sanskrit san|sd Sindhi snd
si Sinhala sin|sk Slovak slk|sl Slovenian slv|sm Samoan smo|sn Shona sna|so Somali som|sq Albanian als sqi|sr Serbian srp|st Sotho sot
su Sundanese sun|sv Swedish swe|sw Swahili swh swa|ta Tamil tam|te Telugu tel|tg Tajik tgk|th Thai tha|tk Turkmen tuk|tl Tagalog tgl fil
tr Turkish tur|tt Tatar tat|ug Uyghur uig|uk Ukrainian ukr|ur Urdu urd|uz Uzbek uzn uzb|vi Vietnamese vie|wo Wolof wol|xh Xhosa xho
yi Yiddish ydd|yo Yoruba yor|yue Cantonese yue|zh Chinese cmn zho|zu Zulu zul
"""
_ROWS = [entry.split() for entry in _TABLE.strip().replace("\n", "|").split("|")]

NAMES = {code: name for code, name, *_ in _ROWS}
"""ISO 639-1 -> the name in English; and Cantonese, which has no code of two letters."""

_LONGER = {code: longer for code, _, *longer in _ROWS}

_CODE = re.compile(r"(?:__)?([a-z]{2,3})(?:_[A-Za-z]{2,4})?(?:__)?")
"""How models write codes: ``eng`` and ``cmn_Hant``, ``eng_Latn``, ``en_XX``, ``__en__``."""


def codes(known: Iterable[str]) -> dict[str, str]:
    """Map ISO 639-1 codes to a model's own codes, for those ``known`` codes that are languages in this module. Of several, the
    first in alphabetical order counts."""
    parts: dict[str, str] = {}
    for code in sorted(known, reverse=True):
        if match := _CODE.fullmatch(code):
            parts[match[1]] = code
    found = {}
    for short, longer in _LONGER.items():
        if (own := next((parts[one] for one in (*longer, short) if one in parts), None)) is not None:
            found[short] = own
    return found


def resolve(asked: str, known: Mapping[str, str]) -> str:
    """The code of a language in ``known`` (code -> anything). It may be asked for by its code, with or without a region, or by
    its name.

    Raises:
        UnknownName: it is none of those; lists near ones.
    """
    word = asked.strip()
    short = re.split(r"[-_]", word)[0].lower()
    for code in known:
        if short in (code, *_LONGER.get(code, ())) or word.lower() == NAMES.get(code, code).lower():
            return code
    raise UnknownName("language", asked, [*known, *(NAMES[code] for code in known if code in NAMES)])
