"""What the training never sees: functions of the names and a seed alone, so that tests can make the same split."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray


def split_pictures(count: int, held_out: int = 1000, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices, in the order of the names, of the pictures to train on and of those held out."""
    order = np.random.default_rng(seed).permutation(count)
    return order[held_out:], order[:held_out]


def recording(clip: str) -> str:
    """The recording that an ESC-10 clip was cut from: ``dog_bark__3-180977-A.ogg`` -> ``180977``."""
    return clip.rsplit("-", 2)[1]


def split_recordings(clips: list[str], seed: int = 0) -> set[str]:
    """A third of the recordings of each class, held out."""
    by_class: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        by_class[clip.split("__")[0]].add(recording(clip))
    rng = np.random.default_rng(seed)
    held: set[str] = set()
    for name in sorted(by_class):
        every = sorted(by_class[name])
        held |= {every[index] for index in rng.permutation(len(every))[: len(every) // 3]}
    return held
