"""A reader that hears tones and sees colours as the words for both, a passage for each cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from search.errors import MediaError, ModelMissing
from search.types import Channel, Cut, Gap, Info, Modality, Needs, Passage, Span, Word
from tests.fakes.encoder import COLOURS, PITCHES

LOUD = 0.05


class FakeReader:
    """Of sound, ``low``, ``middle`` or ``high`` for each half second with a tone, as speech; of pictures their most frequent colour, as on-screen text."""

    name = "fake"
    revision = "1"
    channels = frozenset({Channel.SPEECH, Channel.OCR})
    reads = frozenset({Modality.AUDIO, Modality.VIDEO, Modality.IMAGE})
    needs = Needs(size=32, fit="squash", rate=16_000, window_ms=5_000)

    def __init__(self, revision: str = "1", *, fails_on: str = "", absent: bool = False) -> None:
        """``fails_on``: a word that it cannot say; ``absent``: its weights are not there."""
        self.revision, self._fails_on, self._absent, self.count = revision, fails_on, absent, 0

    def read(self, info: Info, cuts: Iterable[Cut | Gap]) -> Iterator[Passage | Gap]:
        self.count += 1
        if self._absent:
            raise ModelMissing("The weights of the fake reader are not here.", remedy="Fetch them.")
        for cut in cuts:
            if isinstance(cut, Cut) and not isinstance(cut.content, str):
                passage = self._hear(cut) if cut.channel is Channel.SOUND else self._see(cut)
                if passage is None:
                    continue
                if passage.text == self._fails_on:
                    raise MediaError("reader", f"it cannot say {passage.text}")
                yield passage

    def _hear(self, cut: Cut) -> Passage | None:
        start, step = cut.span.start if cut.span else 0, 8_000
        samples, text, words = np.nan_to_num(cut.content), "", []
        for at in range(0, len(samples), step):
            if word := _pitch(samples[at : at + step]):
                begin = len(text) + bool(text)
                text += f" {word}" if text else word
                times = (start + at // 16, start + min(at + step, len(samples)) // 16)
                words.append(Word(begin, len(text), *times, 1.0))
        if not words:
            return None
        span = Span(words[0].start_ms or 0, words[-1].end_ms or 0)
        return Passage(Channel.SPEECH, span, text, self.name, 1.0, "en", tuple(words))

    def _see(self, cut: Cut) -> Passage:
        flat = cut.content.reshape(-1, 3).astype(np.float64)
        nearest = np.argmin([np.linalg.norm(flat - colour, axis=1) for colour in COLOURS.values()], axis=0)
        word = list(COLOURS)[np.bincount(nearest).argmax()]
        return Passage(Channel.OCR, cut.span, word, self.name, 1.0, "en", (Word(0, len(word)),), (0.0, 0.0, 100.0, 100.0))


def _pitch(samples: np.ndarray) -> str:
    if len(samples) < 800 or np.abs(samples).max() < LOUD:
        return ""
    loudest = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax() * 16_000 / len(samples)
    return min(PITCHES, key=lambda word: abs(np.log2(max(loudest, 1) / PITCHES[word])))
