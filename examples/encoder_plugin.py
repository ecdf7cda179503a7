"""An encoder in about thirty lines: pictures and texts meet in one space by their colour.

A package makes it known in its pyproject.toml:

    [project.entry-points."sensorium.encoders"]
    colour = "encoder_plugin"

Then: sensorium spaces add colours --encoder colour && sensorium search red --space colours
"""

from collections.abc import Sequence

import numpy as np

from search.encoders import Content
from search.types import Modality, Needs, Space, Vectors

COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0), "white": (1, 1, 1), "black": (0, 0, 0)}


class ColourEncoder:
    """Of a picture the mean colour, of a text the colours that it names. Vectors (n, 3) of unit length, seen from grey."""

    space = Space("colour", "colour", "mean", "1", 3, frozenset({Modality.IMAGE, Modality.TEXT}))
    needs = Needs(size=16, fit="squash", rate=0)  # pictures of 16 x 16 pixels, no sound

    def encode(self, modality: Modality, batch: Sequence[Content]) -> Vectors:
        """Encode pictures (16, 16, 3) uint8, or texts."""
        colours = [_named(content) if isinstance(content, str) else content.mean((0, 1)) / 255 for content in batch]
        rows = np.array(colours, np.float32) - 0.499  # no row is zero
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _named(text: str) -> np.ndarray:
    found = [colour for name, colour in COLOURS.items() if name in text.lower().split()]
    return np.mean(found or [(0.5, 0.5, 0.5)], axis=0)


CARRIED = ("",)  # "colour" needs no model; "colour:NAME" would


def carried(rest: str) -> ColourEncoder:
    """Load the encoder."""
    return ColourEncoder()


def describe(rest: str) -> dict[str, object]:
    """What `sensorium models` says of it."""
    return {"bytes": 0, "licence": "Apache-2.0"}
