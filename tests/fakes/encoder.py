"""An encoder that sees colours, hears pitch and reads the words for both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.encoders import Content
from search.types import MEDIA, Modality, Needs, Space, Vectors

COLOURS = {
    "red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0), "white": (255, 255, 255),
    "black": (0, 0, 0), "magenta": (255, 0, 255), "cyan": (0, 255, 255),
}  # fmt: skip
PITCHES = {"low": 220.0, "middle": 880.0, "high": 3520.0}
WORDS = [*COLOURS, *PITCHES]
DIM = len(WORDS) + 21


class FakeEncoder:
    """One axis a colour, one a pitch, the rest for other words, by their letters; a faint trace of everything keeps vectors apart."""

    def __init__(self) -> None:
        self.space = Space("fake", "fake", "fake", "1", DIM, MEDIA)
        self.needs = Needs(size=32, fit="squash", rate=16_000, window_ms=5_000, characters=200)
        self.encoded = 0

    def encode(self, modality: Modality, batch: Sequence[Content]) -> Vectors:
        if modality not in self.space.accepts:
            raise ValueError(f"the fake space accepts no {modality}")
        self.encoded += len(batch)
        one = {
            Modality.TEXT: self._text,
            Modality.IMAGE: self._picture,
            Modality.VIDEO: self._picture,
            Modality.AUDIO: self._sound,
        }[modality]
        rows = np.array([one(content) for content in batch], np.float32).reshape(len(batch), DIM)
        rows += 0.01
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def _text(self, text: str) -> np.ndarray:
        row = np.zeros(DIM)
        for word in text.lower().replace(".", " ").replace(",", " ").split():
            row[WORDS.index(word) if word in WORDS else len(WORDS) + sum(map(ord, word)) % 21] += 1 if word in WORDS else 0.2
        return row

    def _picture(self, pixels: np.ndarray) -> np.ndarray:
        assert pixels.dtype == np.uint8
        assert pixels.shape[-3:] == (32, 32, 3)
        flat = pixels.reshape(-1, 3).astype(np.float64)
        nearest = np.argmin([np.linalg.norm(flat - colour, axis=1) for colour in COLOURS.values()], axis=0)
        row = np.zeros(DIM)
        row[: len(COLOURS)] = np.bincount(nearest, minlength=len(COLOURS)) / len(flat)
        return row

    def _sound(self, samples: np.ndarray) -> np.ndarray:
        assert samples.dtype == np.float32
        row = np.zeros(DIM)
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
        loudest = spectrum.argmax() * 16_000 / max(len(samples), 1)
        row[len(COLOURS) + int(np.argmin([abs(np.log2(max(loudest, 1) / pitch)) for pitch in PITCHES.values()]))] = 1.0
        return row
