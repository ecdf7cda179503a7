"""Languages: every message of the page is translated, and numbers are written as each language writes them."""

from __future__ import annotations

import datetime
import gettext
import re
import string

import pytest

from tests import texts
from ui import i18n, passage_text, phrasing


@pytest.fixture
def speaks():
    """Sets the language for one test."""
    yield i18n.speak
    i18n.speak("en")


def placeholders(message: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(message) if name is not None}


@pytest.mark.parametrize("code", texts.LANGUAGES)
def test_every_message_is_translated_and_keeps_its_placeholders(code):
    stored = texts.catalogue(code)
    said = texts.messages()
    assert len(said) > 400
    assert {one.id for one in stored if one.id} == set(said), "run `make texts`"
    for one in said:
        told = stored.get(one if isinstance(one, str) else one[0]).string
        assert isinstance(told, str) == isinstance(one, str)
        forms = [told] if isinstance(one, str) else told
        assert len(forms) == (1 if isinstance(one, str) else 2)
        for form in forms:
            assert form, f"{one} is not translated"
            assert placeholders(form) == placeholders(one if isinstance(one, str) else one[1]), one
            assert form.strip() == form


@pytest.mark.parametrize("code", texts.LANGUAGES)
def test_compiled_catalogues_are_those_that_are_written(code):
    read = gettext.translation(i18n.DOMAIN, i18n.FOLDER, [code])
    for one in texts.catalogue(code):
        if isinstance(one.id, str) and one.id:
            assert read.gettext(one.id) == one.string
        elif one.id:
            assert [read.ngettext(*one.id, number) for number in (1, 2)] == list(one.string)


def test_scripts_say_nothing_that_is_not_translated():
    sentence = re.compile(r'(?<!\b[tmn]\()"[A-Z][a-z]+ [^"]*[a-z][^"]*"')
    for file in (texts.ROOT / "ui" / "page" / "components").glob("*.js"):
        code = [
            line
            for line in file.read_text("utf-8").splitlines()
            if not line.strip().startswith("//") and "Space or K" not in line
        ]
        bare = [found for line in code for found in sentence.findall(re.sub(r'\bn\("[^"]*", "[^"]*"', "", line))]
        assert bare == [], f"{file.name}: {bare}"


def test_numbers_dates_and_plurals_are_those_of_the_language(speaks):
    day = datetime.date(2024, 5, 3)
    told = {}
    for code in i18n.LANGUAGES:
        speaks(code)
        told[code] = [
            phrasing.count(1, "file"), phrasing.count(1204, "file"), phrasing.size(1_400_000), phrasing.clock(7500), phrasing.day(day),
            phrasing.month("2024-05"), phrasing.lengths(10, 90), passage_text.origin("ocr", "x", 0.9)["sure"],
        ]  # fmt: skip
    space = "\N{NO-BREAK SPACE}"
    assert told == {
        "en": ["1 file", "1,204 files", "1.4 MB", "0:07.5", "3 May 2024", "May", "10 s to 1.5 min", "90%"],
        "de": ["1 Datei", "1.204 Dateien", "1,4 MB", "0:07,5", "3. Mai 2024", "Mai", "10 s bis 1,5 min", f"90{space}%"],
        "sv": ["1 fil", f"1{space}204 filer", "1,4 MB", "0:07,5", "3 maj 2024", "maj", "10 s till 1,5 min", f"90{space}%"],
    }


def test_the_first_language_that_is_known_is_spoken():
    assert i18n.chosen(None, "de-AT") == "de"
    assert i18n.chosen("sv", "de-AT") == "sv"
    assert i18n.chosen("xx", "pt_BR") == "en"
    assert i18n.chosen(None, None) == "en"


def test_a_script_gets_what_it_says_and_nothing_in_english(speaks):
    says = i18n.spoken_by('t("Close"); n("{count} file", "{count} files", 2); not("Open")')
    assert i18n.texts(*says) == {}
    speaks("de")
    assert i18n.texts(*says) == {"Close": "Schließen", "{count} file": ["{count} Datei", "{count} Dateien"]}
