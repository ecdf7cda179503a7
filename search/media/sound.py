"""Sound in windows: mono, resampled, with the times of its samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from search.types import Channel, Cut, Modality, Needs, Sound, Span

if TYPE_CHECKING:
    import av

MIN_WINDOW_MS = 250
"""A last window shorter than this is dropped, unless it is the only one."""
_SILENCE = 1e-4
"""A peak below this is digital silence."""
_JUMP_MS = 500
"""A hole in the sound longer than this begins a new window."""


class SoundWindows:
    """Collects decoded sound and yields it as cuts: float32 (samples,) at ``needs.rate``, each of ``needs.window_ms`` at most."""

    def __init__(self, needs: Needs, *, skip_silence: bool) -> None:
        self._rate, self._length = needs.rate, max(1, needs.rate * needs.window_ms // 1000)
        self._skip_silence = skip_silence
        self._resampler: av.AudioResampler | None = None
        self._parts: list[Sound] = []
        self._held = 0
        self._start_ms = 0.0
        self._emitted = False
        self.heard_ms = 0
        """Until when sound has been decoded, in milliseconds."""

    def push(self, frame: av.AudioFrame, time_ms: float | None) -> Iterator[Cut]:
        """Take a decoded frame that begins at ``time_ms`` (None: right after the last one) and yield the windows that are full."""
        expected = self._start_ms + self._held * 1000 / self._rate
        if time_ms is not None and (time_ms > expected + _JUMP_MS or not (self._held or self._emitted)):
            yield from self._flush(last=self._held > 0)
            self._start_ms = max(0.0, time_ms)
        yield from self._resample(frame)

    def finish(self) -> Iterator[Cut]:
        """Yield what is left."""
        if self._resampler is not None:
            yield from self._resample(None)
        yield from self._flush(last=True)

    def _resample(self, frame: av.AudioFrame | None) -> Iterator[Cut]:
        import av

        if self._resampler is None:
            self._resampler = av.AudioResampler("flt", "mono", self._rate)
        try:
            resampled = self._resampler.resample(frame)
        except ValueError:  # the sound changed its format amid the stream
            self._resampler = av.AudioResampler("flt", "mono", self._rate)
            resampled = self._resampler.resample(frame)
        if frame is None:
            self._resampler = None
        for part in resampled:
            samples = part.to_ndarray()[0]
            self._parts.append(samples)
            self._held += len(samples)
        yield from self._flush(last=False)

    def _flush(self, *, last: bool) -> Iterator[Cut]:
        self.heard_ms = round(self._start_ms + self._held * 1000 / self._rate)
        if self._held < self._length and not last:
            return
        samples = np.concatenate(self._parts) if self._parts else np.empty(0, np.float32)
        whole = len(samples) if last else len(samples) - len(samples) % self._length
        for at in range(0, whole, self._length):
            yield from self._window(samples[at : min(at + self._length, whole)])
        self._parts = [samples[whole:]]
        self._held = len(samples) - whole

    def _window(self, samples: Sound) -> Iterator[Cut]:
        start = self._start_ms
        self._start_ms += len(samples) * 1000 / self._rate
        if self._emitted and len(samples) * 1000 < MIN_WINDOW_MS * self._rate:
            return
        self._emitted = True
        samples = np.nan_to_num(samples, posinf=0, neginf=0).clip(-1, 1)
        if self._skip_silence and np.abs(samples).max() < _SILENCE:
            return
        span = Span(round(start), max(round(start) + 1, round(self._start_ms)))
        yield Cut(Channel.SOUND, Modality.AUDIO, span, samples)
