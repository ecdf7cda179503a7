"""The series family: motion by features that have names, without a model. Tracks and readings of motion sensors are found by example,
and by words that name what moves how: "turn left", "stopping", "climbing".

Each feature of a window has a strength from 0 to 1, which is .5 at a stated amount. A vector holds of each its sine and cosine: those of
the angle whose sine is the strength. So all have the same length, a cosine to a word's vector is the strength of what it names, and the
cosine between two windows is the mean likeness of their features. Of a window that does not tell a feature (a motion sensor knows no
speed), the rest of the length lies in a dimension of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from search.encoders import Content
from search.encoders.series.features import FEATURES, Strengths, of_sensor, of_track
from search.types import Modality, Needs, Space, Vectors

CARRIED = ("",)
"""Names without the family's that need no model."""

DIM = 2 * len(FEATURES) + 2
"""Of each feature two; what a window does not tell; and what no window has: texts that name no feature."""

REVISION = "1"
"""Changes whenever vectors may change."""

_WORD = re.compile(r"[^\W\d_]+")
_NOT = frozenset({"not", "no", "without", "never", "nicht", "ohne", "kein", "keine", "keinen", "sans", "pas", "sin", "non"})
_TRACK_ROWS = 3


def describe(_: str = "") -> dict[str, Any]:
    """Size and licence of the weights, of which there are none."""
    return {"bytes": 0, "licence": "Apache-2.0"}


def carried(_: str = "") -> SeriesEncoder:
    """The encoder."""
    return SeriesEncoder()


class SeriesEncoder:
    """Encoder of the series space: tracks (3, readings) and readings of motion sensors (6, readings), see ``Cut``. Texts are accepted
    as questions."""

    def __init__(self) -> None:
        accepts, asked = frozenset({Modality.IMU, Modality.TEXT}), frozenset({Modality.TEXT})
        self.space = Space("series", "series", "features", REVISION, DIM, accepts, asked_only=asked)
        self.needs = Needs(size=0, fit="squash", rate=0, batch=256)

    def encode(self, modality: Modality, batch: Sequence[Content]) -> Vectors:
        """Vectors (n, dim) of unit length, row i for ``batch[i]``.

        Raises:
            ValueError: a modality that the space does not accept.
        """
        if modality not in self.space.accepts:
            raise ValueError(f"the series space accepts no {modality}")
        rows = map(_of_text, batch) if modality is Modality.TEXT else map(_of_motion, batch)  # type: ignore[arg-type]
        return np.array(list(rows), np.float32).reshape(len(batch), DIM)

    def calibration(self) -> bytes | None:
        """None: features mean the same in every archive."""
        return None

    def unreadable(self, text: str) -> float:
        """1 for a text that names no feature, else 0."""
        return 0.0 if named(text) else 1.0


def named(text: str) -> dict[str, bool]:
    """The features that a text names, each with whether it is wanted: not in "without stopping". The longest name counts: "turn left"
    is no "turn"."""
    words = [word.casefold() for word in _WORD.findall(text)]
    found: dict[str, bool] = {}
    at, negated = 0, False
    while at < len(words):
        for length in range(min(_LONGEST, len(words) - at), 0, -1):
            if (feature := _NAMES.get(tuple(words[at : at + length]))) is not None:
                found.setdefault(feature, not negated)
                at, negated = at + length, False
                break
        else:
            negated = negated or words[at] in _NOT
            at += 1
    return found


def strengths(content: NDArray[np.float32]) -> Strengths:
    """The features of a window that it tells, by name, each 0 to 1."""
    return of_track(content) if len(content) == _TRACK_ROWS else of_sensor(content)


def _of_motion(content: NDArray[np.float32]) -> NDArray[np.float64]:
    told = strengths(content)
    row = np.zeros(DIM)
    for at, name in enumerate(FEATURES):
        if name in told:
            row[2 * at], row[2 * at + 1] = told[name], np.sqrt(max(1 - told[name] ** 2, 0))
    row[-2] = np.sqrt(len(FEATURES) - len(told))
    return cast("NDArray[np.float64]", row / np.sqrt(len(FEATURES)))


def _of_text(text: str) -> NDArray[np.float64]:
    asked = named(text)
    row = np.zeros(DIM)
    for at, name in enumerate(FEATURES):
        if name in asked:
            row[2 * at + (not asked[name])] = 1
    row[-1] = not asked
    return cast("NDArray[np.float64]", row / np.linalg.norm(row))


def _named_by(features: Mapping[str, Any]) -> dict[tuple[str, ...], str]:
    return {tuple(words.split()): name for name, feature in features.items() for words in feature.words.split(", ")}


_NAMES = _named_by(FEATURES)
_LONGEST = max(map(len, _NAMES))
