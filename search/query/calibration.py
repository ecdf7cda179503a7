"""Calibration: scores of different kinds of segments, made comparable for one query.

Raw cosines of text with text lie far above those of text with pictures. Each kind is therefore standardised by what the same
query scores over a fixed random sample of the archive's segments of that kind (z-norm, Auckenthaler et al. 2000).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE = 1_000
"""Segments in the sample of a kind."""

ENOUGH = 32
"""Segments of a kind from which on its scale is known well enough to compare its scores with those of another space."""

PRIOR = 8
"""How many segments' worth of belief in the usual spread a small sample starts with."""

USUAL_SPREAD = 0.08
"""Standard deviation of cosines between unrelated contents; what a kind with one segment is measured by."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Centre and width of the distribution of a query's cosines over the segments of a kind."""

    centre: float
    width: float

    @classmethod
    def of(cls, cosines: NDArray[np.float32]) -> Scale:
        """The scale of a sample (n,), n >= 1, by its median and the width of its lower half.

        Both are blind to the best answers, which in a small archive are a good part of the sample and would raise the bar that they
        are measured against. A small sample's width is drawn towards the usual one.
        """
        count = len(cosines)
        middle, lower = np.quantile(cosines, (0.5, 0.1587))  # one standard deviation apart in a normal distribution
        variance = (count * float(middle - lower) ** 2 + PRIOR * USUAL_SPREAD**2) / (count + PRIOR)
        return cls(float(middle), math.sqrt(variance))

    def score(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosines (n,) as standard deviations above the centre (n,)."""
        return np.asarray((cosines - self.centre) / self.width, np.float32)


def confidence(score: float, rivals: int) -> float:
    """The chance, 0..1, that the best of ``rivals`` unrelated segments stays below ``score``, their scores being normal."""
    below = 0.5 * math.erfc(-score / math.sqrt(2.0))
    return below ** max(rivals, 1)


def deviations(nats: float) -> float:
    """How many standard deviations above their centre unrelated cosines lie as seldom as what has the chance ``exp(-nats)``.

    Their tail is no normal one: the best of some hundred unrelated segments lie four to five deviations above the centre, not two to three. A
    logistic distribution, which falls off exponentially, comes nearer, and its width is taken where that of a ``Scale`` is.
    """
    chance = min(max(math.exp(-nats), 1e-300), 1 - 1e-9)
    return (math.log1p(-chance) - math.log(chance)) / _LOGITS


_LOGITS = math.log((1 - 0.1587) / 0.1587)
"""The logits of one standard deviation."""
