"""Every encoder that keeps the seam's promises, built without any hub: tiny architectures with seeded random weights, saved and loaded as real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from search import encoders
from search.encoders import Encoder
from tests.fakes import tiny_imagebind
from tests.fakes.encoder import FakeEncoder

BUILDERS: dict[str, Callable[[Path], Encoder]] = {
    "imagebind": tiny_imagebind.build,
    "fake": lambda _: FakeEncoder(),
    "pocket": lambda _: encoders.load("pocket"),
}
"""Name -> what builds it, in an empty folder of its own."""
