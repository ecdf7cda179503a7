"""Fakes of encoders that know a part of what there is, under names of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from search.errors import ModelMissing
from search.types import Modality, Vectors
from tests.fakes.encoder import FakeEncoder


class Partial(FakeEncoder):
    """Accepts only some modalities. ``twist`` turns the space, so that its vectors compare with no other's."""

    def __init__(self, name: str, accepts: Iterable[Modality], *, revision: str = "1", twist: int = 0) -> None:
        super().__init__()
        self.space = replace(self.space, name=name, revision=revision, accepts=frozenset(accepts))
        sees, hears = Modality.IMAGE in self.space.accepts, Modality.AUDIO in self.space.accepts
        self.needs = replace(self.needs, size=self.needs.size if sees else 0, rate=self.needs.rate if hears else 0)
        self._twist = twist

    def encode(self, modality: Modality, batch: Sequence) -> Vectors:
        return np.roll(super().encode(modality, batch), self._twist, axis=1)


class Grained(Partial):
    """Gives frames and words too."""

    def frames(self, shots: Sequence[np.ndarray]) -> list[Vectors]:
        return [self.encode(Modality.IMAGE, list(shot)) for shot in shots]

    def words(self, text: str) -> Vectors:
        return self.encode(Modality.TEXT, [*text.split(), text])


PICTURES = (Modality.IMAGE, Modality.VIDEO, Modality.TEXT)
SOUNDS = (Modality.AUDIO, Modality.TEXT)


class Shelf:
    """In the place of ``encoders.load``: what it holds is loaded by name, once; what is taken away is missing."""

    def __init__(self, **encoders: FakeEncoder) -> None:
        self.encoders = encoders
        self.loaded: list[str] = []

    def __call__(self, name: str, *_: object, **__: object) -> FakeEncoder:
        self.loaded.append(name)
        if name not in self.encoders:
            raise ModelMissing(f"The model {name} is not here.", remedy=f"Fetch it with: sensorium models pull {name}")
        return self.encoders[name]
