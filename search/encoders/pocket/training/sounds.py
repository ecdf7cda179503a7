"""The sounds that the student learns from: files below a folder, mixed, changed, and scored by the teacher."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from student import BANDS, CLASSES, FRAMES, RATE

PATCH = 15_600
"""Samples that the teacher scores at once."""

SUFFIXES = {".wav", ".ogg", ".oga", ".mp3", ".flac"}


def decode(path: Path, seconds: int = 20) -> NDArray[np.float32]:
    """The first seconds of a file, mono at 16 kHz in [-1, 1]; empty when it cannot be read."""
    parts: list[NDArray[np.float32]] = []
    try:
        with av.open(str(path)) as container:
            resampler = av.AudioResampler("flt", "mono", RATE)
            for frame in container.decode(audio=0):
                parts += [out.to_ndarray()[0] for out in resampler.resample(frame)]
                if sum(map(len, parts)) > seconds * RATE:
                    break
    except (av.FFmpegError, IndexError, ValueError):
        return np.zeros(0, np.float32)
    return np.concatenate(parts)[: seconds * RATE].astype(np.float32) if parts else np.zeros(0, np.float32)


class Teacher:
    """YAMNet (AudioSet; MobileNet v1) in TensorFlow Lite."""

    def __init__(self, file: Path) -> None:
        """Load the model."""
        from ai_edge_litert.interpreter import Interpreter

        self._net = Interpreter(str(file), num_threads=1)
        self._net.allocate_tensors()
        self._input = self._net.get_input_details()[0]["index"]
        self._scores, self._mel = (item["index"] for item in self._net.get_output_details())

    def __call__(self, patch: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """15,600 samples -> scores (521,) in [0, 1], log-mel patch (96, 64)."""
        self._net.set_tensor(self._input, patch[None])
        self._net.invoke()
        return self._net.get_tensor(self._scores)[0], self._net.get_tensor(self._mel)

    def clip(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean scores (521,) of a sound's patches, half a patch apart."""
        padded = np.pad(sound, (0, max(PATCH - len(sound), 0)))
        starts = range(0, len(padded) - PATCH + 1, PATCH // 2)
        return np.mean([self(padded[start : start + PATCH])[0] for start in starts], axis=0)


def build(
    packages: Path, real: list[Path], teacher: Teacher, count: int, *, share: float, held_out: tuple[str, ...], seed: int = 0
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Log-mel patches (count, 96, 64) and the teacher's scores (count, 521) of varied and mixed sounds.

    Packages are drawn from by the square root of their size, so that none drowns the others; ``real``, recordings of real life, have
    a ``share`` of all draws.
    """
    rng = np.random.default_rng(seed)
    groups = [sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES) for folder in
              sorted(packages.iterdir()) if folder.name not in held_out]  # fmt: skip
    groups = [group for group in groups if group]
    shares = np.sqrt([len(group) for group in groups])
    shares *= (1 - share) / shares.sum()
    groups, shares = [*groups, real], np.append(shares, share)
    heard: dict[Path, NDArray[np.float32]] = {}

    def draw() -> NDArray[np.float32]:
        while True:
            group = groups[rng.choice(len(groups), p=shares / shares.sum())]
            path = group[rng.integers(len(group))]
            if path not in heard:
                heard[path] = decode(path)
            if len(heard[path]) > RATE // 20:
                return _window(_speed(heard[path], rng), rng)

    patches, scores = np.empty((count, FRAMES, BANDS), np.float16), np.empty((count, CLASSES), np.float16)
    for row in range(count):
        sound = draw()
        if rng.random() < 0.5:
            sound = sound + draw() * rng.uniform(0.1, 1.0)
        if rng.random() < 0.2:
            sound = sound + rng.normal(0, 10 ** rng.uniform(-3.5, -1.5), PATCH).astype(np.float32)
        sound = sound / max(float(np.abs(sound).max()), 1e-4) * 10 ** rng.uniform(-1.5, 0)
        scores[row], patches[row] = teacher(sound.astype(np.float32))
    return patches, scores


def _speed(sound: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Half the time played at 0.6 to 1.6 times the speed, pitch and all."""
    if rng.random() < 0.5:
        return sound
    at = np.arange(0, len(sound) - 1, np.exp(rng.uniform(-0.5, 0.5)))
    return np.interp(at, np.arange(len(sound)), sound).astype(np.float32)


def _window(sound: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A patch at a random place; a short sound lies in silence, or repeats."""
    if len(sound) < PATCH:
        if rng.random() < 0.5:
            sound = np.tile(sound, PATCH // len(sound) + 1)
        else:
            before = int(rng.integers(0, PATCH - len(sound) + 1))
            sound = np.pad(sound, (before, PATCH - len(sound) - before))
    start = int(rng.integers(0, len(sound) - PATCH + 1))
    window = sound[start : start + PATCH]
    return window / max(float(np.abs(window).max()), 1e-3)
