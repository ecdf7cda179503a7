"""Speech detection: sound is cut at silences into regions of a length that Whisper accepts. The voice detector is Silero's, which
is part of faster-whisper."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from faster_whisper.vad import get_vad_model
from numpy.typing import NDArray

from search.types import Channel, Cut, Gap, Sound

SAMPLE_RATE = 16_000

FRAME_SAMPLES = 512
"""Samples that the detector judges at once: 32 ms."""

MAX_REGION_FRAMES = 30 * SAMPLE_RATE // FRAME_SAMPLES
"""Frames that Whisper takes in at once."""

BLOCK_SAMPLES = 240 * SAMPLE_RATE
"""Sound is searched for speech in blocks of this many samples, so that memory does not grow with its length: 15 MB."""

PAUSE_FRAMES = SAMPLE_RATE // FRAME_SAMPLES
"""Frames without a voice that end a region: after a second somebody else may speak, in another language."""

MARGIN_FRAMES = PAUSE_FRAMES // 2
"""Frames that a region has before and after the voice: soft consonants are not heard as one. Regions that a pause parts never overlap."""

BEGIN, GO_ON = 0.5, 0.35
"""Speech begins with a frame at least as likely to hold some as the first, and goes on with those of the second: Silero's own defaults."""

ONSET_FRAMES = 3
"""Frames by which a word may begin before a voice is told, and end after it: a tenth of a second."""

MIN_REGION_FRAMES = 3
"""Frames; less than a tenth of a second is a click."""

HOLE_MS = 100
"""Sound that starts further than this from the end of the previous sound does not continue it."""


@dataclass(frozen=True, slots=True)
class Region:
    """Speech without a long pause. ``samples`` float32 (n,) at ``SAMPLE_RATE``; ``voice`` float32 (n / FRAME,): the probability of
    speech in each frame, 0..1."""

    start_ms: float
    samples: Sound
    voice: NDArray[np.float32]
    heard: str | None = None
    """The track and channel that it was heard in, in words; None: all that the first track holds."""

    @property
    def end_ms(self) -> float:
        """The end of the region."""
        return self.start_ms + len(self.samples) * 1000 / SAMPLE_RATE

    @property
    def spoken(self) -> tuple[int, int]:
        """The earliest start of the first word and the latest end of the last one, in whole milliseconds. Whisper lets words
        reach into the silence around them."""
        voices = np.flatnonzero(self.voice >= GO_ON)
        first, last = (max(0, voices[0] - ONSET_FRAMES), voices[-1] + 1 + ONSET_FRAMES) if len(voices) else (0, len(self.voice))
        start, end = (self.start_ms + frame * FRAME_SAMPLES * 1000 / SAMPLE_RATE for frame in (int(first), int(last)))
        return round(start), round(min(end, self.end_ms))

    def part(self, start_ms: float, end_ms: float) -> Region:
        """The region between two times, with the margins in which parts of a word may be heard."""
        first, end = (int((time - self.start_ms) * SAMPLE_RATE / 1000 / FRAME_SAMPLES) for time in (start_ms, end_ms))
        first, end = max(0, first - ONSET_FRAMES), min(len(self.voice), end + 1 + ONSET_FRAMES)
        samples = self.samples[first * FRAME_SAMPLES : end * FRAME_SAMPLES]
        return Region(self.start_ms + first * FRAME_SAMPLES * 1000 / SAMPLE_RATE, samples, self.voice[first:end], self.heard)

    def voiced(self, start_ms: float, end_ms: float) -> float:
        """The probability of a voice between two times, 0..1."""
        first, last = (int((time - self.start_ms) * SAMPLE_RATE / 1000 / FRAME_SAMPLES) for time in (start_ms, end_ms))
        first = min(max(first, 0), len(self.voice) - 1)
        return float(self.voice[first : max(first, last) + 1].mean())


def regions(cuts: Iterable[Cut | Gap]) -> Iterator[Region]:
    """The regions of an asset's sound, in order within each track and channel, with the times of the cuts. Everything that is not
    sound is ignored."""
    runs: dict[str | None, _Run] = {}
    for cut in cuts:
        if not isinstance(cut, Cut) or cut.channel is not Channel.SOUND or cut.span is None or isinstance(cut.content, str):
            continue
        run = runs.get(cut.source)
        if run is not None and abs(cut.span.start - run.end_ms) > HOLE_MS:
            yield from runs.pop(cut.source).look(last=True)
        for name in [name for name, other in runs.items() if cut.span.start - other.end_ms > BLOCK_SAMPLES * 1000 / SAMPLE_RATE]:
            yield from runs.pop(name).look(last=True)  # it has ended long ago, and holds memory
        run = runs.setdefault(cut.source, _Run(cut.span.start, cut.source))
        run.push(np.nan_to_num(cut.content.astype(np.float32), posinf=0, neginf=0).clip(-1, 1))
        if run.held >= BLOCK_SAMPLES:
            yield from run.look(last=False)
    for run in runs.values():
        yield from run.look(last=True)


class _Run:
    """Sound without a hole. It holds the part that was not searched yet."""

    def __init__(self, start_ms: float, heard: str | None) -> None:
        self._start_ms, self._heard = start_ms, heard
        self._parts: list[Sound] = []
        self.held = 0

    @property
    def end_ms(self) -> float:
        return self._start_ms + self.held * 1000 / SAMPLE_RATE

    def push(self, samples: Sound) -> None:
        self._parts.append(samples)
        self.held += len(samples)

    def look(self, *, last: bool) -> Iterator[Region]:
        """Yield the regions that have ended, and keep the sound of one that may continue."""
        if not self.held:
            return
        samples = np.concatenate(self._parts)
        voice = judge(samples)
        held = len(voice) if last else max(0, len(voice) - MARGIN_FRAMES)
        for first, end in pieces(voice):
            if not last and end + PAUSE_FRAMES > len(voice):
                held = first
                break
            start_ms = self._start_ms + first * FRAME_SAMPLES * 1000 / SAMPLE_RATE
            yield Region(start_ms, samples[first * FRAME_SAMPLES : end * FRAME_SAMPLES], voice[first:end], self._heard)
        self._start_ms += held * FRAME_SAMPLES * 1000 / SAMPLE_RATE
        self._parts = [samples[held * FRAME_SAMPLES :].copy()]
        self.held = len(self._parts[0])


def judge(samples: Sound) -> NDArray[np.float32]:
    """The probability of speech in each frame of ``samples`` (n,): (n / FRAME,), 0..1."""
    padded = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES))  # a copy: the detector writes into what it gets
    return np.asarray(get_vad_model()(padded), np.float32).reshape(-1)


def pieces(voice: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """The regions in frames ``voice`` (n,) with margins, as half-open ranges. A region that is too long is cut where a voice is
    least likely."""
    for first, end in _spoken(voice):
        begin, stop = max(0, first - MARGIN_FRAMES), min(len(voice), end + MARGIN_FRAMES)
        while stop - begin > MAX_REGION_FRAMES:
            half = begin + MAX_REGION_FRAMES // 2
            calm = np.convolve(
                voice[half : begin + MAX_REGION_FRAMES], np.full(5, 0.2), "valid"
            )  # 160 ms: a pause, and no plosive
            cut = half + 2 + int(calm.argmin())
            yield begin, cut
            begin = cut
        yield begin, stop


def _spoken(voice: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Ranges of frames in which somebody speaks, with pauses shorter than ``PAUSE_FRAMES``."""
    begun, end = -1, 0
    for at in np.flatnonzero(voice >= GO_ON).tolist():
        if begun >= 0 and at - end >= PAUSE_FRAMES:
            yield from _long(voice, begun, end)
            begun = -1
        if begun < 0 and voice[at] >= BEGIN:
            begun = at
        end = at + 1
    if begun >= 0:
        yield from _long(voice, begun, end)


def _long(voice: NDArray[np.float32], first: int, end: int) -> Iterator[tuple[int, int]]:
    if np.count_nonzero(voice[first:end] >= BEGIN) >= MIN_REGION_FRAMES:
        yield first, end
