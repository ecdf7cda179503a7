"""The encoder of e5 models that come from a hub."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from search.encoders import Content
from search.encoders.e5.building import Means
from search.encoders.token_ids import HubTokenizer, by_length
from search.types import Modality, Needs, Space, Vectors

STORED, ASKED = "passage: ", "query: "
"""What stands before a text that is stored, and before one that is asked."""


class HubE5Encoder:
    """Encoder of one model. The vector of a text longer than the model reads is the mean of its pieces', weighted by length."""

    def __init__(self, space: Space, tokenizer: HubTokenizer, means: Means) -> None:
        self.space, self.needs = space, Needs(size=0, fit="squash", rate=0)
        self._tokenizer, self._means = tokenizer, means

    def encode(self, modality: Modality, batch: Sequence[Content]) -> Vectors:
        """Vectors (n, dim) of unit length for stored texts; an empty batch gives (0, dim)."""
        if modality not in self.space.accepts:
            raise ValueError(f"the space {self.space.name} accepts no {modality}")
        return self._vectors(cast("Sequence[str]", batch), STORED)

    def ask(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, dim) of unit length for questions."""
        return self._vectors(texts, ASKED)

    def _vectors(self, texts: Sequence[str], before: str) -> Vectors:
        if not texts:
            return np.empty((0, self.space.dim), np.float32)
        pieces = self._tokenizer.pieces([before + text for text in texts])
        return _unit(pieces.mean(_unit(by_length(pieces, self._means)), len(texts)))


def _unit(vectors: Vectors) -> Vectors:
    """Rows at unit length."""
    return cast("Vectors", vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
