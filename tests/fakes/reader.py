"""Readers that see a colour, or hear a pitch, as a word: what they read depends on the content alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from search.errors import MediaError, ModelMissing
from search.types import Channel, Cut, Gap, Info, Modality, Needs, Passage, Word
from tests.fakes.encoder import COLOURS, PITCHES


class FakeReader:
    """Reads pictures as ``it says red``; sound, window by window, as ``they say low``, whose last word is heard in the window's second half."""

    name, revision = "fake", "1"
    channels = frozenset({Channel.OCR, Channel.SPEECH})
    reads = frozenset({Modality.IMAGE, Modality.VIDEO, Modality.AUDIO})
    needs = Needs(size=32, fit="squash", rate=16_000)

    def __init__(self, revision: str = "1", *, fails_on: str = "", absent: bool = False) -> None:
        self.revision, self._fails_on, self._absent, self.count = revision, fails_on, absent, 0

    def read(self, info: Info, cuts: Iterable[Cut | Gap]) -> Iterator[Passage | Gap]:
        self.count += 1
        if self._absent:
            raise ModelMissing("The weights of the fake reader are not here.", remedy="Fetch them.")
        for cut in cuts:
            if isinstance(cut, Gap):
                continue
            seen = cut.modality in (Modality.IMAGE, Modality.VIDEO)
            word = _colour(cut.content) if seen else _pitch(cut.content)
            if word == self._fails_on:
                raise MediaError("reader", f"it cannot say {word}")
            text = f"it says {word}" if seen else f"they say {word}"
            start = len(text) - len(word)
            middle = (cut.span.start + cut.span.end) // 2 if cut.span else None
            yield Passage(
                Channel.OCR if seen else Channel.SPEECH, cut.span, text, "a fake", confidence=0.9, language="en",
                words=(Word(start, len(text), middle, cut.span.end if cut.span else None, 0.9),),
                box=(10.0, 80.0, 90.0, 95.0) if seen else None,
            )  # fmt: skip


def _colour(pixels: np.ndarray) -> str:
    mean = pixels.reshape(-1, 3).mean(axis=0)
    return min(COLOURS, key=lambda name: float(np.linalg.norm(mean - COLOURS[name])))


def _pitch(samples: np.ndarray) -> str:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    loudest = spectrum.argmax() * 16_000 / max(len(samples), 1)
    return min(PITCHES, key=lambda name: abs(np.log2(max(loudest, 1) / PITCHES[name])))
