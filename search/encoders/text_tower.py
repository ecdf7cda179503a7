"""Small text towers for spaces of large models: an archive is asked in words without the model that made its vectors.

A tower stands on the pocket space's text encoder, as the pocket space's own heads stand on frozen backbones: its sentence vector (768,) is
standardised, joined by random features (Huang et al. 2006, "Extreme learning machine"), and mapped to the vectors of the large model's text
tower by ridge regression. So it is fitted in one step, without torch, and reads English as the pocket space does.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from search import disk
from search.encoders import Content, Encoder
from search.errors import InputError
from search.types import Modality, Needs, Space, Vectors

FOLDER = "towers"
"""Where a home keeps towers."""

HIDDEN = 2_048
"""Random features."""
RIDGES = (1e-3, 1e-2, 1e-1, 1.0)
"""Penalties that are tried on a tenth of the captions, as shares of the mean square of the features."""
FEWEST = 200
"""Captions that a tower is fitted on, at least."""

_SEED = 0


class TextTower:
    """Encodes texts into the space of a large model. Threads may call ``encode`` at the same time."""

    def __init__(self, space: Space, weights: dict[str, NDArray[np.float32]], base: Encoder | None = None) -> None:
        """``weights``: ``mean`` and ``scale`` (768,) of sentence vectors, ``map`` (768 + HIDDEN + 1, dim)."""
        from search.encoders.pocket import carried  # brings ONNX Runtime along

        self.space = replace(space, accepts=frozenset({Modality.TEXT}))
        self.needs = Needs(size=0, fit="squash", rate=0)
        self._weights, self._base = weights, base or carried()

    @classmethod
    def fit(cls, space: Space, sentences: NDArray[np.float32], vectors: Vectors, base: Encoder | None = None) -> TextTower:
        """A tower whose vectors are near ``vectors`` (n, dim) of the large model for the pocket space's ``sentences`` (n, 768) of the same
        texts.

        Raises:
            InputError: there are fewer than ``FEWEST``.
        """
        if len(sentences) < FEWEST:
            raise InputError(f"{len(sentences)} captions are too few.", remedy=f"Give at least {FEWEST}; thousands are better.")
        mean, scale = sentences.mean(0), np.maximum(sentences.std(0), 1e-6)
        features = _features((sentences - mean) / scale).astype(np.float64)
        held = np.arange(len(features)) % 10 == 0
        best, least = RIDGES[0], -np.inf
        for ridge in RIDGES:
            made = features[held] @ _solved(features[~held], vectors[~held], ridge)
            likeness = float((_unit(made) * vectors[held]).sum(1).mean())
            best, least = (ridge, likeness) if likeness > least else (best, least)
        weights = {"mean": mean, "scale": scale, "map": _solved(features, vectors, best)}
        return cls(space, {name: np.asarray(one, np.float32) for name, one in weights.items()}, base)

    def encode(self, modality: Modality, batch: Sequence[Content]) -> Vectors:
        """Vectors (n, dim) of unit length for texts.

        Raises:
            ValueError: another modality.
        """
        if modality is not Modality.TEXT:
            raise ValueError(f"a text tower accepts no {modality}")
        sentences = sentences_of(self._base, cast("Sequence[str]", batch))
        return _unit(_features((sentences - self._weights["mean"]) / self._weights["scale"]) @ self._weights["map"])

    def save(self, home: Path) -> Path:
        """Keep it in a home; returns its file. After a kill or a power cut the file is either the old or the new one."""
        held = io.BytesIO()
        np.savez(held, head=np.frombuffer(json.dumps(self._identity()).encode(), np.uint8), **self._weights)  # type: ignore[arg-type]
        file = file_of(home, self.space)
        file.parent.mkdir(parents=True, exist_ok=True)
        disk.sync(home)
        disk.replace(file, held.getvalue())
        return file

    def _identity(self) -> list[str]:
        """What a tower depends on: the space's name and revision, and the revision of what it stands on."""
        return [self.space.name, self.space.revision, self._base.space.revision]


def find(home: Path, space: Space) -> TextTower | None:
    """The tower that a home keeps for a space; None: there is none, or it is of another revision of the model, or damaged."""
    try:
        with np.load(io.BytesIO(file_of(home, space).read_bytes()), allow_pickle=False) as file:
            weights = {name: np.asarray(file[name], np.float32) for name in ("mean", "scale", "map")}
            told = json.loads(file["head"].tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    tower = TextTower(space, weights)
    shapes = [one.shape for one in weights.values()]
    wide = tower._base.space.dim
    fits = shapes == [(wide,), (wide,), (wide + HIDDEN + 1, space.dim)] and all(
        np.isfinite(one).all() for one in weights.values()
    )
    return tower if fits and told == tower._identity() else None


def file_of(home: Path, space: Space) -> Path:
    """The file of the tower for a space of an archive."""
    return home / FOLDER / f"{hashlib.sha256(space.name.encode()).hexdigest()[:16]}.npz"


def sentences_of(base: Encoder, texts: Sequence[str]) -> NDArray[np.float32]:
    """The pocket space's vectors (n, 768) of texts, which a tower stands on."""
    parts = [base.encode(Modality.TEXT, texts[at : at + base.needs.batch]) for at in range(0, len(texts), base.needs.batch)]
    return np.concatenate(parts) if parts else np.empty((0, base.space.dim), np.float32)


def _features(standard: NDArray[np.float32]) -> NDArray[np.float32]:
    """Standardised sentences (n, d), what is above 0 of ``HIDDEN`` random projections of them, and 1."""
    rng = np.random.default_rng(_SEED)
    across = rng.standard_normal((standard.shape[1], HIDDEN), np.float32) / np.sqrt(standard.shape[1])
    shift = rng.standard_normal(HIDDEN, np.float32)
    hidden = np.maximum(standard @ across + shift, 0)
    return np.concatenate([standard, hidden, np.ones((len(standard), 1), np.float32)], axis=1)


def _solved(features: NDArray[np.float64], vectors: Vectors, ridge: float) -> NDArray[np.float64]:
    """The map (features, dim) of least squares with a penalty."""
    square = features.T @ features
    square[np.diag_indices_from(square)] += ridge * np.trace(square) / len(square)
    return np.asarray(np.linalg.solve(square, features.T @ vectors.astype(np.float64)))


def _unit(vectors: NDArray[np.floating]) -> Vectors:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), np.float32)
