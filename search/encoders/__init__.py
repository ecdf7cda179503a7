"""The Encoder seam: what turns content into vectors of one space. Encoders load when they are first used, by name."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from search.errors import UnknownName
from search.types import Modality, Needs, Space, Vectors

Content = NDArray[np.uint8] | NDArray[np.float32] | str
"""What a ``Cut`` holds: a picture, frames, sound or text, made as ``Needs`` says."""


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


_CLASSES = {"pocket": ("search.encoders.pocket", "PocketEncoder")}


def describe(name: str) -> dict[str, Any]:
    """What is known of an encoder without loading it: ``bytes`` of weights and ``licence``."""
    module, _ = _CLASSES[name]
    described: dict[str, Any] = importlib.import_module(module).describe()
    return described


def names() -> tuple[str, ...]:
    """The encoders that can be loaded by name."""
    return tuple(sorted(_CLASSES))


def load(name: str) -> Encoder:
    """Load an encoder.

    Raises:
        UnknownName: there is no encoder of that name.
        ModelMissing: its weights are not here, or are not what they should be.
    """
    if name not in _CLASSES:
        raise UnknownName("space", name, _CLASSES)
    module, attribute = _CLASSES[name]
    encoder: Encoder = getattr(importlib.import_module(module), attribute)()
    return encoder
