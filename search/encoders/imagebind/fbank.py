"""Log-mel filter banks as in Kaldi and torchaudio: ImageBind's form of sound."""

from __future__ import annotations

import torch

SAMPLE_RATE = 16_000
"""Samples a second."""
FRAME, SHIFT, FFT = 400, 160, 512
"""Samples of a frame (25 ms) and between two (10 ms); a frame is filled up with zeros for the transform."""
MEL_BINS = 128
"""Mel filters."""
_LOWEST = 20.0
"""Where the lowest filter begins, in Hz; the highest ends at half the rate."""
_PREEMPHASIS = 0.97
_FLOOR = torch.finfo(torch.float32).eps
"""Energies below this count as this, before the logarithm."""


def frames(samples: int) -> int:
    """The number of whole frames in this number of samples."""
    return max(0, 1 + (samples - FRAME) // SHIFT)


def fbank(sound: torch.Tensor) -> torch.Tensor:
    """Log energies (…, frames, BINS) of float32 sound (…, samples) at ``SAMPLE_RATE``: Hann window, power, no dither, no energy.

    The mean of each frame is subtracted, so the mean of the whole sound need not be.
    """
    cut = sound.unfold(-1, FRAME, SHIFT)
    cut = cut - cut.mean(-1, keepdim=True)
    before = torch.cat([cut[..., :1], cut[..., :-1]], dim=-1)
    window = torch.hann_window(FRAME, periodic=False, device=sound.device)
    power = torch.fft.rfft((cut - _PREEMPHASIS * before) * window, FFT).abs() ** 2
    energies: torch.Tensor = power @ _filters().to(sound.device)
    return energies.clamp(min=_FLOOR).log()


def _filters() -> torch.Tensor:
    """Weights (FFT / 2 + 1, BINS) of the filters: triangles on the mel scale, each from the centre of one neighbour to that of
    the other."""
    edges = torch.linspace(float(_mel(torch.tensor(_LOWEST))), float(_mel(torch.tensor(SAMPLE_RATE / 2))), MEL_BINS + 2)
    at = _mel(torch.arange(FFT // 2 + 1) * (SAMPLE_RATE / FFT))[:, None]
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    return torch.minimum((at - left) / (middle - left), (right - at) / (right - middle)).clamp(min=0)


def _mel(hertz: torch.Tensor) -> torch.Tensor:
    return 1127 * torch.log1p(hertz / 700)
