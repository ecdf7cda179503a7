"""Endless small files, no two alike: what the harnesses put into an archive, change and take away."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from tests.conftest import write_tone
from tests.fakes.encoder import COLOURS, PITCHES
from tests.media_samples import write_video


class Files:
    """An archive under ``folder`` that changes by the seed of ``random``."""

    def __init__(self, folder: Path, random: Random) -> None:
        self.folder, self._random = folder, random
        folder.mkdir(parents=True)

    def add(self, count: int) -> None:
        """Add pictures, texts and a few sounds."""
        for _ in range(count):
            self._write(self.folder / f"{self._random.getrandbits(40):010x}{self._random.choice(SUFFIXES)}")

    def add_clip(self) -> None:
        """Add a video of two scenes."""
        scenes = [(colour, self._random.uniform(0.4, 0.8)) for colour in self._random.sample(("red", "green", "blue"), 2)]
        write_video(self.folder / f"{self._random.getrandbits(40):010x}.mp4", scenes, fps=10, size=(64, 48))

    def subtitle(self) -> None:
        """Put subtitles beside a sound or a clip, or others in their place."""
        if spoken := [path for path in self.paths() if path.suffix in (".wav", ".mp4")]:
            self._write(self._random.choice(spoken).with_suffix(".srt"))

    def disturb(self) -> None:
        """Remove a file, change one, and rename one."""
        gone, changed, renamed = self._random.sample(self.paths(), 3)
        gone.unlink()
        if changed.suffix in SUFFIXES:
            self._write(changed)
        renamed.rename(renamed.with_stem(f"{self._random.getrandbits(40):010x}"))

    def paths(self) -> list[Path]:
        """Every file there is."""
        return sorted(path for path in self.folder.iterdir() if path.is_file())

    def _write(self, path: Path) -> None:
        noise = np.random.default_rng(self._random.getrandbits(32))
        if path.suffix == ".png":
            pixels = noise.integers(-20, 21, (24, 32, 3)) + self._random.choice([*COLOURS.values()])
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
        elif path.suffix == ".wav":
            write_tone(path, self._random.choice([*PITCHES.values()]) * self._random.uniform(0.9, 1.1), 0.3)
        elif path.suffix == ".srt":
            path.write_text(f"1\n00:00:00,100 --> 00:00:00,200\nNumber {self._random.getrandbits(60)}\n")
        else:
            path.write_text(f"Number {self._random.getrandbits(60)} is {self._random.choice([*COLOURS])}.\n")
        os.utime(path, ns=(stamp := self._random.getrandbits(50), stamp))  # a change is seen, whatever the clock's grain


SUFFIXES = (".png", ".png", ".png", ".png", ".txt", ".txt", ".wav")
