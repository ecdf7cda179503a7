"""The speech family: transcription of speech in any language that Whisper knows (arXiv 2212.04356), through faster-whisper.

``speech:MODEL`` is a checkpoint that faster-whisper knows by name: ``tiny.en``, ``base``, ``large-v3``, ``turbo``,
``distil-large-v3``, …; ``speech:FOLDER`` is a folder with one in CTranslate2's form. Speech in other languages is also translated
into English, if the model can translate. ``,untranslated`` at the end of the name turns this off.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from search.encoders.known_models import MODEL_FAMILIES
from search.errors import UnknownName
from search.models import Model, ModelSource

if TYPE_CHECKING:  # faster-whisper takes a while to import
    from search.readers.speech.reader import SpeechReader

OPTIONS = ("untranslated",)

FILES = ("config.json", "model.bin", "tokenizer.json")
"""What a folder must hold, besides a vocabulary; faster-whisper would fetch a tokenizer that it misses."""

KNOWN = (
    "tiny", "base", "small", "medium", "turbo", "large-v3",
    "tiny.en", "base.en", "small.en", "distil-small.en", "medium.en", "distil-medium.en", "distil-large-v3", "distil-large-v3.5",
)  # fmt: skip
"""Checkpoints that are worth having: Whisper's and Distil-Whisper's, from the lightest to the heaviest; last those of English alone."""

ENGLISH = ("distil-large-v2", "distil-large-v3", "distil-large-v3.5")
"""Checkpoints that were taught English alone although they have the tokens of other languages. Others are named ``.en``."""

MONOLINGUAL = ("turbo", "distil")
"""Parts of names of models that were taught to transcribe alone, and not to translate."""


ALONE = "English alone; other speech is told and not read"


def note(rest: str) -> str:
    """What to know of a checkpoint before it is used; empty: nothing."""
    rest = rest.removesuffix(",untranslated")
    return ALONE if rest.endswith(".en") or rest in ENGLISH else ""


def source(rest: str) -> ModelSource:
    """Where the files of a checkpoint come from.

    Raises:
        UnknownName: faster-whisper knows no such checkpoint.
    """
    from faster_whisper.utils import _MODELS

    if rest not in _MODELS:
        raise UnknownName("speech model", rest, _MODELS)
    return ModelSource(
        _MODELS[rest],
        (*FILES, "preprocessor_config.json", "vocabulary.*"),
        licence=MODEL_FAMILIES["speech"].licence,
        weights="model.bin",
    )


def load(model: Model | None, device: str) -> SpeechReader:
    """Load a reader from the files of ``model``.

    Raises:
        UnknownName: no model was named.
        ModelMissing: a file is missing or is not what it should be, or the device is not there.
    """
    from faster_whisper.utils import available_models

    from search.readers.speech.reader import SpeechReader
    from search.readers.speech.whisper import SpeechModel

    if model is None:
        raise UnknownName("speech model", "", available_models())
    rest = model.rest.removesuffix(",untranslated")
    name = Path(rest).name if rest.startswith(("/", ".", "~")) else rest
    engine = SpeechModel(model.folder, device)
    english = not engine.multilingual or bool(note(name))
    translate = not english and rest == model.rest and not any(part in name for part in MONOLINGUAL)
    return SpeechReader(model.name, model.revision, f"faster-whisper {name}", engine, translate=translate, english=english)
