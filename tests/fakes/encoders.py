"""Every encoder that keeps the seam's promises, built without any hub: tiny architectures with seeded random weights, saved and loaded as real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from search import encoders
from search.encoders import Encoder
from tests.fakes import exports
from tests.fakes.encoder import FakeEncoder

BUILDERS: dict[str, Callable[[Path], Encoder]] = {
    "fake": lambda _: FakeEncoder(),
    "pocket": lambda _: encoders.load("pocket"),
    "onnx": exports.build,
}
"""Name -> what builds it, in an empty folder of its own."""
