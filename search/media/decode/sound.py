"""Sound in windows: mono, resampled, with the times of its samples."""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np
from numpy.typing import NDArray

from search.media.decode.loudness import levelled, peak_of
from search.media.decode.mix import Mixer, is_custom, scenes
from search.types import Channel, Cut, Modality, Needs, Sound, Span

MIN_WINDOW_MS = 250
"""A last window shorter than this is dropped, unless it is the only one."""
_SILENCE = 1e-4
"""A peak below this is digital silence."""
_LOUDEST = 64.0
"""Floating-point samples beyond this are damage. Sound louder than 1 is scaled down, not clipped."""
_BATCH_MS = 1000
"""Decoded sound is resampled in batches of this length."""
_JUMP_MS = 500
"""A hole in the sound longer than this begins a new window."""


class SoundWindows:
    """Takes decoded sound and yields cuts: float32 (samples,) at ``needs.rate``, of at most ``needs.window_ms``."""

    def __init__(self, needs: Needs, *, skip_silence: bool, track: str | None = None, language: str | None = None) -> None:
        """``skip_silence``: windows of digital silence are left out. ``track`` and ``language`` are set on each cut."""
        self._track, self._language = track, language
        self._rate, self._length = needs.rate, max(1, needs.rate * needs.window_ms // 1000)
        self._skip_silence, self._levels = skip_silence, needs.levelled
        self._resampler, self._queue = Mixer(self._rate), av.AudioFifo()
        self._begun = False
        self._queued_ms = 0.0
        self._parts: list[NDArray[np.float32]] = []
        self._held = 0
        self._start_ms = self._reached_ms = 0.0
        self._emitted = self._apart = False
        self.heard_ms = 0
        """Until when sound has been decoded, in milliseconds."""

    def push(self, frame: av.AudioFrame, time_ms: float | None) -> Iterator[Cut]:
        """Take a decoded frame that begins at ``time_ms`` and yield the full windows.

        ``time_ms`` is None if the file does not state it: then the frame follows the last one.
        """
        if time_ms is not None and (not self._begun or time_ms > self._reached_ms + self._queued_ms + _JUMP_MS):
            yield from self._drain()
            yield from self._flush(last=self._held > 0)
            self._start_ms = self._reached_ms = max(0.0, time_ms)
        self._begun = True
        frame.pts = None
        if is_custom(frame):
            yield from self._resample()
            yield from self._collect(frame)
            self._reached_ms = self._start_ms + self._held * 1000 / self._rate
            yield from self._flush(last=False)
            return
        try:
            self._queue.write(frame)
        except ValueError:  # rate, layout or format have changed amid the stream
            yield from self._drain()
            self._queue.write(frame)
        self._queued_ms += frame.samples * 1000 / (frame.sample_rate or self._rate)
        if self._queued_ms >= _BATCH_MS:
            yield from self._resample()

    def finish(self) -> Iterator[Cut]:
        """Yield the rest."""
        yield from self._drain()
        yield from self._flush(last=True)

    def _resample(self) -> Iterator[Cut]:
        """Resample everything queued at once: frame by frame would take three times as long."""
        frame = self._queue.read()
        self._queued_ms = 0.0
        if frame is not None:
            yield from self._collect(frame)
            yield from self._flush(last=False)

    def _drain(self) -> Iterator[Cut]:
        """Empty queue and resampler: the sound ends, or continues in another format."""
        if not self._begun:
            return
        yield from self._resample()
        yield from self._collect(None)
        self._resampler, self._queue = Mixer(self._rate), av.AudioFifo()

    def _collect(self, frame: av.AudioFrame | None) -> Iterator[Cut]:
        """Store the mixer's output for a frame. If the number of lanes changes, a new window begins."""
        for part in self._resampler.resample(frame):
            if self._parts and len(self._parts[0]) != len(part):
                yield from self._flush(last=True)
                self._parts = []
            self._parts.append(part)
            self._held += part.shape[1]

    def _flush(self, *, last: bool) -> Iterator[Cut]:
        self._reached_ms = self._start_ms + self._held * 1000 / self._rate
        self.heard_ms = round(self._reached_ms)
        if self._held < self._length and not last:
            return
        lanes = np.concatenate(self._parts, axis=1) if self._parts else np.empty((1, 0), np.float32)
        held = lanes.shape[1]
        whole = held if last else held - held % self._length
        for at in range(0, whole, self._length):
            yield from self._window(lanes[:, at : min(at + self._length, whole)])
        self._parts = [lanes[:, whole:]] if whole < held else []
        self._held = held - whole

    def _window(self, lanes: NDArray[np.float32]) -> Iterator[Cut]:
        start, length = self._start_ms, lanes.shape[1]
        self._start_ms += length * 1000 / self._rate
        if self._emitted and length * 1000 < MIN_WINDOW_MS * self._rate:
            return
        self._emitted = True
        if not peak_of(lanes) <= _LOUDEST:  # nor where it is no number
            lanes = np.nan_to_num(lanes, posinf=0, neginf=0).clip(-_LOUDEST, _LOUDEST)
        span = Span(round(start), max(round(start) + 1, round(self._start_ms)))
        found = scenes(lanes, self._rate, apart=self._apart)
        self._apart = len(found) > 1
        for lane, samples in found:
            peak = peak_of(samples)
            if self._skip_silence and peak < _SILENCE:
                continue
            fits: Sound = samples / np.float32(peak) if peak > 1 else samples
            if self._levels:
                fits = levelled(fits, self._rate)
            yield Cut(Channel.SOUND, Modality.AUDIO, span, fits, self._source(lane, len(lanes)), self._language)

    def _source(self, lane: int | None, lanes: int) -> str | None:
        """The source of a sound in words: its track and channel. None: it is the whole first track."""
        if lane is None:
            return self._track
        channel = ("left channel", "right channel")[lane] if lanes == 2 else f"channel {lane + 1}"
        return f"{self._track}, {channel}" if self._track else channel
