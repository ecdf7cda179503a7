"""An encoder that keeps what it is given, so that what an archive really embeds can be looked at afterwards.

A vector holds the hash of its content; so the database, which keeps the vector, tells which content belongs to which segment. Run as
``python -m tests.bench.truth.recorder COMMAND…`` this module is the command line with one more family of encoders, ``truth``.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from search import encoders
from search.encoders import Content
from search.types import MEDIA, Modality, Needs, Space, Vectors

CARRIED = ("",)
FOLDER = "TRUTH_RECORD"
"""The variable that names the folder where content is kept, as ``HASH.npy``."""
DIM = 256
SIZE = 256
"""Width and height of the pictures that are embedded, in pixels."""
RATE = 16_000
"""Samples a second of the sounds that are embedded."""


class Recorder:
    """Keeps each content once, and gives back 256 numbers of one size, whose signs are the bits of its SHA-256."""

    def __init__(self) -> None:
        self.space = Space("truth", "truth", "truth", "1", DIM, MEDIA)
        self.needs = Needs(size=SIZE, fit="squash", rate=RATE, window_ms=5_000, characters=1_000)
        self._folder = Path(os.environ[FOLDER]) if FOLDER in os.environ else None

    def encode(self, modality: Modality, batch: Sequence[Content]) -> Vectors:
        return np.array([self._one(content) for content in batch], np.float32).reshape(len(batch), DIM)

    def _one(self, content: Content) -> np.ndarray:
        data = np.frombuffer(content.encode(), np.uint8) if isinstance(content, str) else np.ascontiguousarray(content)
        digest = hashlib.sha256(repr(data.shape).encode() + data.tobytes())
        if self._folder is not None and not (place := self._folder / f"{digest.hexdigest()}.npy").exists():
            part = place.with_suffix(f".{os.getpid()}-{id(data)}.part")
            with part.open("wb") as file:
                np.save(file, data)
            part.replace(place)
        bits = np.unpackbits(np.frombuffer(digest.digest(), np.uint8))
        return (bits.astype(np.float32) * 2 - 1) / np.sqrt(np.float32(DIM))


def carried(rest: str = "") -> Recorder:
    return Recorder()


def describe(rest: str = "") -> dict[str, Any]:
    return {"bytes": 0, "licence": "none"}


def recorded(vector: bytes, folder: Path) -> np.ndarray:
    """The content that a stored vector (float16) stands for."""
    bits = np.frombuffer(vector, "<f2") > 0
    return np.load(folder / f"{np.packbits(bits).tobytes().hex()}.npy")


if __name__ == "__main__":
    from ui.cli import main

    encoders.FAMILIES["truth"] = "tests.bench.truth.recorder"
    sys.argv[0] = "sensorium"
    main()
