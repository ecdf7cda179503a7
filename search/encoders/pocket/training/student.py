"""The student network for sound, and the sound tower as it is exported: waveform in, joint vectors out."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

RATE, WINDOW, HOP, FFT = 16_000, 400, 160, 512
"""Hz; samples of an analysis window (25 ms), of a step (10 ms), and of the Fourier transform."""

BANDS, FRAMES, PATCH_HOP = 64, 96, 48
"""Mel bands; frames of a patch (0.96 s) and between patches (0.48 s)."""

SAMPLES = 5 * RATE
CLASSES = 521


class LogMel(nn.Module):
    """log(mel + 0.001) of magnitude spectra, 125 to 7500 Hz, as YAMNet computes it (Hershey et al., arXiv 1609.09430).

    The Fourier transform is a convolution with windowed cosines and sines, so that it runs as one matrix product.
    """

    def __init__(self) -> None:
        super().__init__()
        window = torch.hann_window(WINDOW, periodic=True, dtype=torch.float64)
        phase = 2 * math.pi * torch.outer(torch.arange(FFT // 2 + 1), torch.arange(WINDOW)).double() / FFT
        basis = torch.cat([phase.cos(), phase.sin()]) * window
        self.register_buffer("basis", basis.float()[:, None])
        self.register_buffer("mel", _mel_matrix())

    def forward(self, waveform: Tensor) -> Tensor:
        """(n, samples) in [-1, 1] -> (n, frames, 64)."""
        parts = functional.conv1d(waveform[:, None], self.basis, stride=HOP)
        real, imaginary = parts.split(FFT // 2 + 1, dim=1)
        magnitude = (real.square() + imaginary.square()).clamp_min(1e-20).sqrt()
        return torch.log(magnitude.transpose(1, 2) @ self.mel + 0.001)


def _mel_matrix() -> Tensor:
    """Triangles on the HTK mel scale (257, 64)."""

    def mel(hertz: Tensor) -> Tensor:
        return 1127.0 * torch.log1p(hertz / 700.0)

    bins = mel(torch.linspace(0, RATE / 2, FFT // 2 + 1, dtype=torch.float64))
    low, high = mel(torch.tensor([125.0, 7500.0], dtype=torch.float64)).tolist()
    edges = torch.linspace(low, high, BANDS + 2, dtype=torch.float64)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    matrix = torch.minimum(rising, falling).clamp_min(0.0)
    matrix[0] = 0.0
    return matrix.float()


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """A depthwise-separable convolution (MobileNet, arXiv 1704.04861)."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), nn.BatchNorm2d(inputs), nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
    )  # fmt: skip


class Student(nn.Module):
    """Log-mel patches (n, 96, 64) -> logits of 521 AudioSet classes (n, 521); 0.76 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        shapes = [(24, 48, 2), (48, 96, 1), (96, 192, 2), (192, 192, 1), (192, 384, 2), (384, 384, 1), (384, 512, 1)]
        self.net = nn.Sequential(
            nn.Conv2d(1, 24, 3, 2, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU(), *(_block(*shape) for shape in shapes)
        )
        self.classify = nn.Sequential(nn.Dropout(0.2), nn.Linear(512, CLASSES))

    def forward(self, patches: Tensor) -> Tensor:
        """Classify patches."""
        features = self.net((patches[:, None] + 3.0) / 3.0).mean(dim=(2, 3))
        logits: Tensor = self.classify(features)
        return logits


class SoundTower(nn.Module):
    """Waveforms (n, 80000) of which ``length`` (n,) samples are sound -> joint vectors (n, dim) of unit length.

    A convex combination of the classes' joint text vectors, weighted by a power of their scores (ConSE, Norouzi et al., arXiv
    1312.5650).
    """

    def __init__(self, student: Student, classes: Tensor, power: float, most: int) -> None:
        """``classes`` (521, dim); scores are raised to ``power`` and all but the ``most`` highest dropped."""
        super().__init__()
        self.mel, self.student, self.power, self.most = LogMel(), student, power, most
        self.register_buffer("classes", classes)
        starts = torch.arange(0, (SAMPLES - WINDOW) // HOP + 1 - FRAMES + 1, PATCH_HOP)
        self.register_buffer("frames", starts[:, None] + torch.arange(FRAMES))
        self.register_buffer("needed", starts * HOP + FRAMES * HOP // 2)

    def forward(self, waveform: Tensor, length: Tensor) -> Tensor:
        """Encode windows of sound. A patch counts when at least half of it is sound; the first always does."""
        mel = self.mel(waveform)
        patches = mel[:, self.frames]  # (n, patches, 96, 64)
        count = patches.shape[1]
        scores = torch.sigmoid(self.student(patches.flatten(0, 1))).unflatten(0, (-1, count))
        valid = (length[:, None] >= self.needed).float()
        valid = torch.cat([torch.ones_like(valid[:, :1]), valid[:, 1:]], dim=1)
        mean = (scores * valid[..., None]).sum(dim=1) / valid.sum(dim=1, keepdim=True)
        return blend(mean, self.classes, self.power, self.most)


def blend(scores: Tensor, classes: Tensor, power: float, most: int) -> Tensor:
    """Class scores (n, 521) in [0, 1] -> unit vectors (n, dim)."""
    highest, which = scores.topk(most, dim=1)
    weights = highest.clamp_min(1e-6).pow(power)
    weights = weights / weights.sum(dim=1, keepdim=True)
    return functional.normalize((weights[..., None] * classes[which]).sum(dim=1), dim=1)
