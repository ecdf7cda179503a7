"""Fingerprints: short codes of frames and sounds that stay nearly the same when a file is encoded anew, scaled or set between bars.

A picture has 64 bits: the signs of its lowest cosine frequencies without the dark bars around it (after pHash, Zauner 2010). Signs,
unlike comparisons with a median, make a mirrored picture's code known: frequencies that are odd from left to right change their
sign. A sound has 32 bits every ``STEP_MS``: whether the difference between neighbouring bands grows (Haitsma and Kalker 2002).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.types import Modality, Sound

SIDE = 8
"""Frequencies across and down."""

FLAT = np.uint64(0)
"""The code of a picture that shows too little to be told from others."""

MIRROR = np.packbits(np.tile(np.arange(SIDE) % 2 == 1, SIDE)).view(">u8")[0].astype(np.uint64)
"""Bits that change where a picture is mirrored from left to right."""

STEP_MS = 100
"""A sound has a code this often."""

_DARK, _LEAST_LIT, _LEAST_SHOWN = 24, 0.02, 1 / 3
"""Bars: rows and columns with at most this luma, save for a share; and the least share of a side that is left between them."""

_LEAST_SPREAD = 5.0
"""The standard deviation of luma below which a picture is flat."""

_RATE, _FRAME, _LOWEST, _HIGHEST, _BANDS = 4_000, 1_024, 300.0, 1_900.0, 33
"""Of sound: the rate it is brought to, samples of a frame, and the bands, in Hz."""

_SILENT = 1e-4
"""The mean of a frame's absolute samples below which it is silent, and has the code 0."""


def codes_of(modality: Modality, content: Any, rate: int) -> NDArray[np.uint64] | NDArray[np.uint32] | None:  # noqa: ANN401
    """The codes of a picture, a shot, or a sound at ``rate`` Hz, as encoders get them; None: copies of it are not looked for."""
    if modality in (Modality.IMAGE, Modality.VIDEO):
        return picture_codes(content if content.ndim == 4 else content[None])
    return sound_codes(content, rate) if modality is Modality.AUDIO else None


def picture_codes(frames: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The codes (n,) of frames (n, H, W, 3); ``FLAT`` where there is too little to see."""
    return np.array([_picture_code(frame) for frame in frames], np.uint64)


def _picture_code(frame: NDArray[np.uint8]) -> np.uint64:
    luma = frame[..., 1]  # green is most of it
    luma = _between_bars(luma).astype(np.float32)
    height, width = luma.shape
    if luma[::4, ::4].std() < _LEAST_SPREAD:
        return FLAT
    low = _waves(height) @ luma @ _waves(width).T
    low[0, 0] = 1.0  # the mean says nothing; the bit tells a code from FLAT
    return np.uint64(np.packbits(low.ravel() > 0).view(">u8")[0])


def _between_bars(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The part of a picture between dark bars; all of it, where too little would be left."""
    lit = luma > _DARK
    rows, columns = (np.flatnonzero(some.sum(axis=1) > _LEAST_LIT * some.shape[1]) for some in (lit[:, ::4], lit[::4].T))
    if len(rows) < luma.shape[0] * _LEAST_SHOWN or len(columns) < luma.shape[1] * _LEAST_SHOWN:
        return luma
    return luma[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


@lru_cache(256)
def _waves(length: int) -> NDArray[np.float32]:
    """The lowest cosines (SIDE, length) of a side: DCT-II."""
    at = (np.arange(length, dtype=np.float32) + 0.5) / length
    return np.cos(np.pi * np.arange(SIDE, dtype=np.float32)[:, None] * at).astype(np.float32)


def mirrored(codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The codes (n,) of the same pictures mirrored from left to right; flat ones stay flat."""
    return np.where(codes == FLAT, FLAT, codes ^ MIRROR)


def sound_codes(sound: Sound, rate: int) -> NDArray[np.uint32]:
    """The codes (n,) of a sound (samples,) at ``rate`` Hz, one every ``STEP_MS`` from its beginning; 0 where it is silent."""
    every = max(rate // _RATE, 1)
    samples = sound[: len(sound) // every * every].reshape(-1, every) @ np.full(every, 1 / every, np.float32)
    step = rate / every * STEP_MS / 1000
    count = int(len(samples) // step)
    padded = np.zeros(len(samples) + _FRAME, np.float32)
    padded[: len(samples)] = samples
    starts = np.minimum((np.arange(count + 1) * step).astype(np.intp), len(samples))
    frames = padded[starts[:, None] + np.arange(_FRAME)]
    edges = _edges(rate / every)
    spectrum = np.fft.rfft(frames * np.hanning(_FRAME).astype(np.float32))[:, edges[0] : edges[-1]]
    energies = np.add.reduceat(spectrum.real**2 + spectrum.imag**2, edges[:-1] - edges[0], axis=1)
    bits = np.diff(np.diff(energies, axis=1), axis=0) > 0
    codes = np.packbits(bits, axis=1).view(">u4")[:, 0].astype(np.uint32)
    return np.where(np.abs(frames[:-1]).mean(axis=1) < _SILENT, np.uint32(0), codes)


@lru_cache(8)
def _edges(rate: float) -> NDArray[np.intp]:
    """Where the bands begin and end among the frequencies of a frame."""
    return np.round(np.geomspace(_LOWEST, _HIGHEST, _BANDS + 1) / rate * _FRAME).astype(np.intp)
