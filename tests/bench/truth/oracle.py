"""When the frames of a generated film are really shown: by the system's ffprobe and ffmpeg, which share no code with Sensorium."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.bench.truth.case import Film
from tests.bench.truth.drawing import number

_WIDTH, _HEIGHT = 320, 240
_SLACK_S = 0.045
"""How far an encoder's rounding may move a frame against its neighbours, in seconds: half a frame and more is a wrong case."""

_DELAY_S = 0.15
"""How much a codec or container may delay a sound, in seconds."""


def measured(film: Film, path: Path) -> Film:
    """The film with the times that its file tells, counted from its first stamp: containers move pictures by the delay of B-frames or of sound.

    Raises:
        ValueError: the file does not hold the frames that it should.
    """
    if film.stamps == "made":
        return film
    probed = _probe(path, film.track)
    stamps = _stamps(probed)
    zero = float(probed["format"]["start_time"])
    end = _end(probed, stamps) - zero
    if film.stamps == "shift":
        shift = stamps[0] - zero - film.times[film.first]
        return replace(film, times=[time + shift for time in film.times], end=film.end + shift)
    told = _numbers(path, film.track)
    if len(told) != len(stamps):
        raise ValueError(f"{len(told)} frames but {len(stamps)} stamps")
    begins: dict[int, float] = {}
    for one, stamp in zip(told, stamps, strict=True):
        if one is None:
            raise ValueError(f"no number at {stamp - zero:.2f} s")
        begins.setdefault(one, stamp - zero)
    if sorted(begins) != list(range(film.first, len(film.times))):
        raise ValueError(f"holds the numbers {min(begins)} to {max(begins)}, {len(begins)} of them")
    shift = begins[film.first] - film.times[film.first]
    astray = max(abs(begins[one] - film.times[one] - shift) for one in begins)
    if astray > max(_SLACK_S, film.grid):
        raise ValueError(f"a frame lies {astray:.3f} s from where it was put")
    before = [begins[film.first] - (film.first - one) * 0.001 - 10 for one in range(film.first)]
    return replace(film, times=[*before, *(begins[one] for one in range(film.first, len(film.times)))], end=end)


def sounded(tone: tuple[float, float], path: Path) -> tuple[float, float]:
    """Between which seconds the tone of 1 kHz is heard, counted from the file's first stamp: codecs that do not tell their delay move it.

    Raises:
        ValueError: it is not heard, or far from where it was put.
    """
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-nostdin",
        "-i",
        path,
        "-map",
        "0:a:0",
        "-af",
        "aresample=16000:async=1:first_pts=0",
        "-ac",
        "1",
        "-f",
        "f32le",
        "-",
    ]
    samples = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.float32)
    heard = tone_times(samples, 16_000)
    if not len(heard) or abs(heard[0] - max(tone[0], 0)) > _DELAY_S or abs(heard[-1] - tone[1]) > _DELAY_S:
        raise ValueError("the tone is not where it was put")
    return float(heard[0]), float(heard[-1]) + 0.01


def lasting(seconds: float, path: Path) -> float:
    """How long a sound is that ffmpeg decodes, in seconds; codecs add a few hundredths. Where that is far off, ffmpeg is known to misread it, and the maker is believed."""
    command = ["ffmpeg", "-v", "quiet", "-nostdin", "-i", path, "-map", "0:a:0", "-ac", "1", "-ar", "16000", "-f", "s16le", "-"]
    decoded = len(subprocess.run(command, capture_output=True, check=False).stdout) / 2 / 16_000
    return decoded if abs(decoded - seconds) < _DELAY_S else seconds


def tone_times(samples: np.ndarray, rate: int) -> np.ndarray:
    """When 1 kHz is heard in samples (n,): the beginnings of hundredths of a second, in seconds."""
    step = rate // 100
    rows = samples[: len(samples) // step * step].reshape(-1, step)
    wave = np.exp(-2j * np.pi * 1000 * np.arange(step) / rate)
    return np.flatnonzero(np.abs(rows @ wave) * 2 / step > 0.1) / 100


def _stamps(probed: dict) -> list[float]:
    """When frames begin; one without a stamp (there are such in MPEG program streams) follows the one before."""
    stamps: list[float] = []
    for frame in probed["frames"]:
        told = frame.get("best_effort_timestamp_time")
        stamps.append(float(told) if told is not None else stamps[-1] + float(frame.get("pkt_duration_time") or 0.04))
    return stamps


def _probe(path: Path, track: int) -> dict:
    show = "format=start_time,duration:stream=codec_type,start_time,duration:frame=best_effort_timestamp_time,pkt_duration_time"
    command = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        f"v:{track}",
        "-show_entries",
        show,
        "-show_frames",
        "-show_streams",
        "-show_format",
        "-of",
        "json",
        path,
    ]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def _end(probed: dict, stamps: list[float]) -> float:
    """When the last frame ends, as far as the file tells."""
    last = probed["frames"][-1].get("pkt_duration_time")
    usual = stamps[-1] - stamps[-2] if len(stamps) > 1 else 0.04
    return stamps[-1] + (float(last) if last else usual)


def _numbers(path: Path, track: int) -> list[int | None]:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-map", f"0:v:{track}", "-vsync", "passthrough", "-s", f"{_WIDTH}x{_HEIGHT}",
               "-f", "rawvideo", "-pix_fmt", "gray", "-"]  # fmt: skip
    data = subprocess.run(command, capture_output=True, check=True).stdout
    return [number(picture) for picture in np.frombuffer(data, np.uint8).reshape(-1, _HEIGHT, _WIDTH, 1)]
