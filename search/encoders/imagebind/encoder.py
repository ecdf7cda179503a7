"""The encoder of an ImageBind space: preprocessing as in the official code, and the towers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad

from search.encoders import Content
from search.encoders.device import DeviceRunner, Inputs, unit
from search.encoders.imagebind.checkpoint import ImageBindWeights
from search.encoders.imagebind.fbank import FRAME, SAMPLE_RATE, fbank, frames
from search.encoders.imagebind.towers import AXES, CONTEXT, MEL_FRAMES, READINGS, SIDE_PIXELS, Tower
from search.encoders.token_ids import BytePairs, by_length
from search.models import Model
from search.types import NEAREST_METRES, Modality, Needs, Space, Vectors

CLIP_SAMPLES = 2 * SAMPLE_RATE
"""Samples of a clip of sound, of which three stand for a window."""
CLIPS_PER_WINDOW = 3
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the colours of pictures, red, green and blue in [0, 1]."""
_SOUND_MEAN, _SOUND_STD = -4.268, 9.138
"""Of log-mel energies."""
_DISPARITY = 0.075 * 518.86 / (8 * 75)
_DEPTH_MEAN, _DEPTH_STD = 0.0418, 0.0295
"""This over the depth in metres is the disparity that the tower was trained on, which has this mean and deviation.

There is no official code for depth. What its authors published with Omnivore (arXiv 2201.08377) divides the baseline of a Kinect
times its focal length by the values of SUN RGB-D, which are eight times the depth, and that by the largest disparity, 75 pixels.
"""


class ImageBindEncoder:
    """Encoder of an ImageBind space. A tower is loaded on first use: all six together take 4.8 GB."""

    def __init__(self, model: Model, device: str) -> None:
        """Check the files of ``model``; raises ModelMissing if they are not those of an ImageBind model."""
        self._weights, self._runner = ImageBindWeights(model.folder), DeviceRunner(device)
        self._tokenizer = BytePairs(CONTEXT)
        self._functions: dict[str, Callable[..., torch.Tensor]] = {}
        self._loading = threading.Lock()
        self.space = Space(model.name, "imagebind", model.rest, model.revision, self._weights.sizes.dim, frozenset(Modality))
        self.needs = Needs(size=SIDE_PIXELS, fit="crop", rate=SAMPLE_RATE)

    def encode(self, modality: Modality, batch: Sequence[Content]) -> Vectors:
        """Vectors (n, dim) of unit length; an empty batch gives (0, dim)."""
        if modality not in self.space.accepts:
            raise ValueError(f"{self.space.name} accepts no {modality}")
        if not batch:
            return np.empty((0, self.space.dim), np.float32)
        run: dict[Modality, Callable[[Sequence[Any]], Vectors]] = {
            Modality.IMAGE: self._images,
            Modality.VIDEO: self._videos,
            Modality.TEXT: self._texts,
            Modality.AUDIO: self._sounds,
            Modality.DEPTH: self._depths,
            Modality.THERMAL: self._thermals,
            Modality.IMU: self._motions,
        }
        return run[modality](batch)

    def _images(self, batch: Sequence[NDArray[np.uint8]]) -> Vectors:
        return self._run("vision", _see, [np.stack(batch)[:, None]])

    def _videos(self, batch: Sequence[NDArray[np.uint8]]) -> Vectors:
        """For each shot (frames, H, W, 3) the mean of the vectors of its clips, which are pairs of frames; the last clip may be a
        single frame."""
        clips = [shot[at : at + 2] for shot in batch for at in range(0, len(shot), 2)]
        paired = np.stack([clip if len(clip) == 2 else np.repeat(clip, 2, axis=0) for clip in clips])
        return _means(self._run("vision", _see, [paired]), [(len(shot) + 1) // 2 for shot in batch])

    def _texts(self, batch: Sequence[str]) -> Vectors:
        """Texts in pieces of at most CONTEXT tokens. The vector of a longer text is the mean of its pieces'."""
        pieces = self._tokenizer.pieces(batch)
        return unit(pieces.mean(by_length(pieces, lambda ids: self._run("text", Tower.read, [ids])), len(batch)))

    def _sounds(self, batch: Sequence[NDArray[np.float32]]) -> Vectors:
        """For each window the mean of the vectors of its clips."""
        clips = [_clips(sound) for sound in batch]
        waves = np.zeros((sum(map(len, clips)), CLIP_SAMPLES), np.float32)
        counts = np.empty(len(waves), np.int64)
        for row, clip in enumerate(clip for of_one in clips for clip in of_one):
            waves[row, : len(clip)] = clip
            counts[row] = frames(max(len(clip), FRAME))
        return _means(self._run("audio", _hear, [waves, counts]), [len(of_one) for of_one in clips])

    def _depths(self, batch: Sequence[NDArray[np.float32]]) -> Vectors:
        return self._run("depth", _measure, [np.stack(batch)])

    def _thermals(self, batch: Sequence[NDArray[np.float32]]) -> Vectors:
        return self._run("thermal", _warm, [np.stack(batch)])

    def _motions(self, batch: Sequence[NDArray[np.float32]]) -> Vectors:
        """Five seconds each. Shorter motion is repeated, since zeros would mean a fall without weight."""
        if any(len(motion) != AXES for motion in batch):
            raise ValueError(
                "a track holds positions, and no acceleration and rotation; the space of the encoder `series` takes it"
            )
        return self._run("imu", _move, [np.stack([motion[:, np.arange(READINGS) % motion.shape[1]] for motion in batch])])

    def _run(self, name: str, function: Callable[..., torch.Tensor], inputs: Inputs) -> Vectors:
        """Unit vectors of the output of ``function``, whose first argument is the tower."""
        with self._loading:
            if name not in self._functions:
                self._functions[name] = partial(function, self._runner.place(self._weights.tower(name)))
        return unit(self._runner.run(self._functions[name], inputs))


def _see(tower: Tower, clips: torch.Tensor) -> torch.Tensor:
    """Clips (n, 1 or 2, H, W, 3) uint8. A single picture is a clip without motion: it is repeated, as in the official code."""
    mean, std = (torch.tensor(numbers, device=clips.device) for numbers in (_MEAN, _STD))
    colours = (clips.expand(-1, 2, -1, -1, -1) / 255 - mean) / std
    return tower(colours.permute(0, 4, 1, 2, 3).to(tower.dtype))


def _clips(sound: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The first, the middle and the last two seconds of a window; all of it if it is not longer."""
    rest = len(sound) - CLIP_SAMPLES
    starts = [part * rest // (CLIPS_PER_WINDOW - 1) for part in range(CLIPS_PER_WINDOW)] if rest > 0 else [0]
    return [sound[start : start + CLIP_SAMPLES] for start in starts]


def _hear(tower: Tower, waves: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Clips (n, CLIP). The first ``counts`` frames of each are sound; the others are zero, as in the official code."""
    energies = fbank(waves)
    heard = torch.arange(energies.shape[1], device=waves.device) < counts[:, None]
    energies = pad(energies * heard[..., None], (0, 0, 0, MEL_FRAMES - energies.shape[1]))
    return tower(((energies - _SOUND_MEAN) / _SOUND_STD).transpose(1, 2)[:, None].to(tower.dtype))


def _measure(tower: Tower, depth: torch.Tensor) -> torch.Tensor:
    """Pictures (n, H, W) of ``NEAREST_METRES`` over metres, converted to the disparity of the tower's training."""
    return tower(((depth * (_DISPARITY / NEAREST_METRES) - _DEPTH_MEAN) / _DEPTH_STD)[:, None].to(tower.dtype))


def _warm(tower: Tower, heat: torch.Tensor) -> torch.Tensor:
    """Pictures (n, H, W), unchanged: there is no official code, and others found LLVIP's people best in this way."""
    return tower(heat[:, None].to(tower.dtype))


def _move(tower: Tower, motion: torch.Tensor) -> torch.Tensor:
    """Readings (n, 6, READINGS), unchanged."""
    return tower(motion.to(tower.dtype))


def _means(vectors: Vectors, counts: Sequence[int]) -> Vectors:
    """The means of the first ``counts[0]`` rows, the next ``counts[1]`` and so on, at unit length."""
    starts = np.cumsum([0, *counts[:-1]])
    return unit(np.add.reduceat(vectors, starts))  # unit length makes a mean of a sum
