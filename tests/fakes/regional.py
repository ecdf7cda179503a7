"""An encoder that sees colours in the quarters of a picture too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.types import Modality
from tests.fakes.encoder import COLOURS, DIM, FakeEncoder


class Regional(FakeEncoder):
    """Windows are the four quarters; what is common to all colours is subtracted."""

    windows = ((0.0, 0.0, 50.0, 50.0), (50.0, 0.0, 50.0, 50.0), (0.0, 50.0, 50.0, 50.0), (50.0, 50.0, 50.0, 50.0))
    region_revision = "quarters"

    def regions(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        quarters = [[whole[y : y + 16, x : x + 16] for y in (0, 16) for x in (0, 16)] for whole in pictures]
        rows = [[self._picture(np.tile(quarter, (2, 2, 1))) for quarter in some] for some in quarters]
        return np.array(rows, np.float32).reshape(-1, 4, DIM) - 1 / len(COLOURS)

    def pointer(self, vector: np.ndarray, asked: Modality) -> np.ndarray:
        return vector - 1 / len(COLOURS)
