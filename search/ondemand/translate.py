"""Translation on demand with an installed model: SeamlessM4T (arXiv 2308.11596), or another one that knows languages by codes.

``seamless:REPOSITORY`` is a repository of the hub, ``seamless:FOLDER`` a folder with the same layout. A translation is always
shown as written by a model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search.encoders import lacking, offline
from search.encoders.known_models import MODEL_FAMILIES, KnownModel
from search.encoders.weights import PRETRAINED
from search.errors import InputError, UnknownName
from search.models import Models, ModelSource, is_repository, named

if TYPE_CHECKING:  # torch takes seconds to import
    from search.ondemand.seamless import Translator

FAMILY = "seamless"

KNOWN = ("facebook/seamless-m4t-v2-large", "facebook/hf-seamless-m4t-medium", "facebook/nllb-200-distilled-600M")
"""Repositories that the authors publish; all are CC-BY-NC."""

NONE = "No model is set that translates."
HOW = "Set SENSORIUM_TRANSLATOR to one, such as seamless:facebook/seamless-m4t-v2-large, and fetch it with: sensorium models pull NAME"

MAX_PIECE_CHARACTERS = 400
"""The longest piece of a text that is translated at once, in characters. Models were trained on sentences, and leave some out of longer texts."""

_SENTENCE = re.compile(r"[.!?…]['\"»”’)\]]*\s+|[。！？]\s*")

_SHORT = re.compile(r"(?:\b[A-Z][a-z]{1,2}|\b[^\W\d_])\.\s*$")
"""What is an abbreviation rather than the end of a sentence: Dr., z. B."""


@dataclass(frozen=True, slots=True)
class Translated:
    """What ``model`` wrote in ``language`` for a text in ``original`` (ISO 639-1), and its confidence, 0..1."""

    text: str
    language: str
    original: str
    model: str
    confidence: float


def known() -> list[KnownModel]:
    """The models that the authors publish, for the list of models."""
    return [KnownModel(f"{FAMILY}:{rest}", MODEL_FAMILIES[FAMILY].takes, None, source(rest).licence) for rest in KNOWN]


def source(rest: str) -> ModelSource:
    """Where the files of a repository come from.

    Raises:
        UnknownName: ``rest`` names no repository.
    """
    if not is_repository(rest):
        raise UnknownName("translation model", rest, KNOWN)
    family = MODEL_FAMILIES[FAMILY]
    licence, notice = (family.licence, family.notice) if rest in KNOWN else ("", "")
    return ModelSource(rest, (*PRETRAINED, "preprocessor_config.json"), licence=licence, notice=notice)


def load(translator: str, models: Models, device: str = "auto") -> Translator:
    """Load the model that a setting names: ``seamless:REPOSITORY``, or a folder.

    Raises:
        InputError: none is named.
        UnknownName: the name is of another family.
        ModelMissing: its weights are not here, or are not what they should be; or a package that it needs is not installed.
    """
    if not translator:
        raise InputError(NONE, remedy=HOW)
    name = named(translator, FAMILY)
    if (of := name.partition(":")[0]) != FAMILY:
        raise UnknownName("family of translators", of, [FAMILY])
    model = models.find(name)
    try:
        from search.ondemand.seamless import load as build

        with offline():
            return build(model, device)
    except ModuleNotFoundError as error:
        raise lacking("translate", error) from error


def pieces(text: str, characters: int = MAX_PIECE_CHARACTERS) -> list[tuple[str, str]]:
    """Split a text at the ends of sentences and lines, into pieces of at most ``characters``. Each comes with the white space
    that follows it.

    A longer sentence is cut at white space, or anywhere if there is none. White space at the beginning belongs to an empty piece.
    """
    found: list[tuple[str, str]] = []
    for line in re.split(r"(?<=\n)(?=[^\n])", text):
        start = len(line) - len(line.lstrip())
        found += [("", line[:start])] if start else []
        while start < len(line):
            stop = _stop(line, start, characters)
            words = line[start:stop].rstrip()
            found.append((words, line[start + len(words) : stop]))
            start = stop
    return found


def _stop(line: str, start: int, characters: int) -> int:
    """Where the piece that begins at ``start`` ends."""
    limit = start + characters
    for end in _SENTENCE.finditer(line, start, limit):
        if not _SHORT.search(line, start, end.end()):
            return end.end()
    if len(line.rstrip()) <= limit:
        return len(line)
    return max(line.rfind(" ", start + characters // 3, limit), -1) + 1 or limit
