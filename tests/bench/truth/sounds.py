"""Sounds with a tone in every track and channel, in turn; and such whose length is hard to tell."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tests.bench.report import SAMPLE
from tests.bench.truth.case import Case, Sound, Tone
from tests.bench.truth.drawing import ffmpeg, master
from tests.bench.truth.films import COUNT, SCENES, X264

RATE = 48_000
_LOUD = 0.25
LAYOUTS = {
    "mono": "FC", "stereo": "FL FR", "2.1": "FL FR LFE", "quad": "FL FR BL BR", "5.0": "FL FR FC BL BR", "5.1": "FL FR FC LFE BL BR", "5.1(side)": "FL FR FC LFE SL SR",
    "6.1": "FL FR FC LFE BC SL SR", "7.1": "FL FR FC LFE BL BR SL SR",
}  # fmt: skip
"""Layouts as ffmpeg calls them, and their channels in order."""


def cases() -> Iterator[Case]:
    for name, layout, arguments in CHANNELS:
        yield Case(name, "channels", partial(_channels, layout=layout, arguments=arguments), _turns(LAYOUTS[layout].split()))
    yield Case(
        "film-7.1.mkv",
        "channels",
        partial(_channels, layout="7.1", arguments=(*X264, "-c:a", "flac"), film=True),
        _turns(LAYOUTS["7.1"].split()),
    )
    yield Case(
        "film-5.1.mp4",
        "channels",
        partial(_channels, layout="5.1", arguments=(*X264, "-c:a", "aac"), film=True),
        _turns(LAYOUTS["5.1"].split()),
    )
    both = [Tone("sound", 700.0, 0.0, 3.0)]
    yield Case("inverted.wav", "channels", partial(_wave, make=lambda: _pair(700, 700, -1)), Sound(both, 3.0))
    yield Case("inverted.flac", "channels", partial(_wave, make=lambda: _pair(700, 700, -1)), Sound(both, 3.0))
    yield Case("left-alone.wav", "channels", partial(_wave, make=lambda: _pair(700, 700, 0)), Sound(both, 3.0))
    yield Case("right-alone.wav", "channels", partial(_wave, make=lambda: _pair(700, 700, 0)[:, ::-1]), Sound(both, 3.0))
    yield Case(
        "two-programmes.wav",
        "channels",
        partial(_wave, make=lambda: _pair(700, 1900, 1)),
        Sound([Tone("left", 700.0, 0.0, 3.0), Tone("right", 1900.0, 0.0, 3.0)], 3.0),
    )
    yield Case(
        "beside-noise.wav", "channels", partial(_wave, make=_noisy), Sound([Tone("left", 700.0, 0.0, 3.0)], 3.0, clear=True)
    )
    for place, channels in (
        ("front", (1, 0, 0, 1)),
        ("right", (1, -1, 0, 0)),
        ("behind", (1, 0, 0, -1)),
        ("below", (1, 0, -1, 0)),
    ):
        yield Case(f"ambisonic-{place}.opus", "channels", partial(_ambisonic, weights=channels), Sound(both, 3.0))
    for name, arguments in TRACKS:
        count = 4 if "four" in name else 3 if "mxf" in name else 2
        yield Case(
            name,
            "tracks",
            partial(_tracks, count=count, arguments=arguments),
            Sound([Tone(f"track {n + 1}", 600.0 + 500 * n, n * 1.0, n + 0.8) for n in range(count)]),
        )
    yield Case(
        "first-silent.mov",
        "tracks",
        partial(_tracks, count=2, arguments=("-c:a", "pcm_s16le"), silent=True),
        Sound([Tone("track 2", 1100.0, 1.0, 1.8)]),
    )
    yield Case(
        "first-silent.mka",
        "tracks",
        partial(_tracks, count=2, arguments=("-c:a", "flac"), silent=True, film=False),
        Sound([Tone("track 2", 1100.0, 1.0, 1.8)]),
    )
    yield from _lengths()
    for name, loud in (("loud.wav", 0.5), ("quiet.wav", 0.5 / 6.3)):
        yield Case(name, "level", partial(_wave, make=lambda loud=loud: _siren(loud)), Sound((), 10.0, level=True, twin="siren"))
    for name in TWINS:
        source = next((SAMPLE / "sounds").glob(f"{name}.*"))
        for level, down in (("near", 0), ("far", -16)):
            yield Case(f"{name}-{level}.wav", "level", partial(_down, source=source, decibels=down), Sound((), twin=name))


TWINS = (
    "alarm-clock", "applause", "car-engine", "cat-meow", "cow-mooing", "dog-bark", "drum-loop", "guitar-chord", "helicopter", "horse-neighing", "piano", "rain",
    "rooster-crowing", "seagulls", "sheep-bleating", "steam-train", "violin-note", "waterfall", "waves",
)  # fmt: skip
"""Sounds of the sample archive that are loud enough to be levelled when they are 16 dB down; fainter ones are left as they are."""
CHANNELS: Sequence[tuple[str, str, Sequence[str]]] = (
    ("stereo.wav", "stereo", ()), ("stereo.mp3", "stereo", ("-c:a", "libmp3lame")), ("5.1.wav", "5.1", ()), ("5.1.flac", "5.1", ()), ("5.1.m4a", "5.1", ("-c:a", "aac")),
    ("5.1.ogg", "5.1", ("-c:a", "libvorbis")), ("5.1.ac3", "5.1(side)", ("-b:a", "448k")), ("5.1.eac3.mka", "5.1(side)", ("-c:a", "eac3", "-b:a", "448k")),
    ("5.1.opus", "5.1", ("-c:a", "libopus", "-b:a", "384k", "-mapping_family", "1")), ("7.1.wav", "7.1", ()), ("7.1.flac", "7.1", ()), ("7.1.m4a", "7.1", ("-c:a", "alac")),
    ("7.1.mka", "7.1", ("-c:a", "pcm_s16le")), ("7.1.opus", "7.1", ("-c:a", "libopus", "-b:a", "512k", "-mapping_family", "1")), ("6.1.flac", "6.1", ()), ("quad.wav", "quad", ()),
    ("2.1.wav", "2.1", ()), ("5.0.flac", "5.0", ()),
)  # fmt: skip
TRACKS: Sequence[tuple[str, Sequence[str]]] = (
    ("dubbed.mkv", ("-c:a", "aac", "-disposition:a:0", "default", "-disposition:a:1", "0", "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger")),
    ("dubbed.mp4", ("-c:a", "aac")), ("four-mono.mov", ("-c:a", "pcm_s16le")), ("broadcast.mxf", ("-c:v", "mpeg2video", "-b:v", "8M", "-s", "720x576", "-c:a", "pcm_s16le")),
    ("two-tracks.ts", ("-c:a", "aac")),
)  # fmt: skip


def _turns(channels: Sequence[str], each: float = 1.0) -> Sound:
    """A tone in each channel in turn, 0.8 s each."""
    return Sound(
        [Tone(name, 80.0 if name == "LFE" else 500.0 + 250 * at, at * each, at * each + 0.8) for at, name in enumerate(channels)],
        len(channels) * each,
    )


def _samples(tones: Sequence[Tone], seconds: float) -> np.ndarray:
    """(samples, tones) float32: each tone in a column of its own."""
    made = np.zeros((round(seconds * RATE), len(tones)), np.float32)
    for column, tone in enumerate(tones):
        first, last = round(tone.start * RATE), round(tone.end * RATE)
        made[first:last, column] = _LOUD * np.sin(2 * np.pi * tone.hertz * np.arange(last - first) / RATE)
    return made


def _raw(path: Path, samples: np.ndarray) -> Path:
    path.write_bytes(np.ascontiguousarray(samples, "<f4").tobytes())
    return path


def _channels(path: Path, scraps: Path, *, layout: str, arguments: Sequence[str], film: bool = False) -> None:
    tones = _turns(LAYOUTS[layout].split())
    raw = _raw(scraps / f"{path.name}.raw", _samples(tones.tones, tones.seconds or 0))
    picture = ("-i", master(scraps, COUNT, SCENES), "-t", tones.seconds) if film else ()
    ffmpeg("-f", "f32le", "-ar", RATE, "-ac", len(tones.tones), "-channel_layout", layout, "-i", raw, *picture, *arguments, path)


def _wave(path: Path, scraps: Path, *, make: Callable[[], np.ndarray]) -> None:
    samples = make()
    ffmpeg("-f", "f32le", "-ar", RATE, "-ac", samples.shape[1], "-i", _raw(scraps / f"{path.name}.raw", samples), path)


def _pair(left: float, right: float, second: float) -> np.ndarray:
    time = np.arange(3 * RATE) / RATE
    return np.stack([_LOUD * np.sin(2 * np.pi * left * time), second * _LOUD * np.sin(2 * np.pi * right * time)], 1).astype(
        np.float32
    )


def _noisy() -> np.ndarray:
    pair = _pair(700, 700, 0) * 0.4
    pair[:, 1] = np.random.default_rng(1).uniform(-0.6, 0.6, len(pair))
    return pair


def _siren(loud: float) -> np.ndarray:
    time = np.arange(10 * RATE) / RATE
    wave = loud * np.sin(2 * np.pi * 900 * time + 60 * np.sin(2 * np.pi * 0.5 * time))
    return (wave + 0.001 * np.random.default_rng(2).normal(size=len(time)) * loud)[:, None].astype(np.float32)


def _down(path: Path, scraps: Path, *, source: Path, decibels: int) -> None:
    ffmpeg("-i", source, "-vn", "-ac", 1, "-ar", RATE, "-af", f"volume={decibels}dB", "-c:a", "pcm_f32le", path)


def _tracks(path: Path, scraps: Path, *, count: int, arguments: Sequence[str], silent: bool = False, film: bool = True) -> None:
    """A tone in each track, in turn; with ``silent`` none in the first."""
    tones = [Tone("", 600.0 + 500 * at, at * 1.0, at + 0.8) for at in range(count)]
    columns = _samples(tones, count + 1.0)
    inputs: list[object] = ["-i", master(scraps, COUNT, SCENES)] if film else []
    maps: list[object] = ["-map", "0:v"] if film else []
    for at in range(count):
        column = columns[:, at] * (0 if silent and at == 0 else 1)
        inputs += ["-f", "f32le", "-ar", RATE, "-ac", 1, "-i", _raw(scraps / f"{path.name}-{at}.raw", column)]
        maps += ["-map", f"{at + film}:a"]
    video = X264 if film and "-c:v" not in arguments else ()
    ffmpeg(*inputs, *maps, *video, *arguments, "-t", count + 1, path)


def _lengths() -> Iterator[Case]:
    """Sounds of which the container does not tell the length, or tells it wrong. Each ends with a tone, so that none is lost."""
    end = Tone("end", 1100.0, 10.0, 11.8)
    first = Tone("begin", 600.0, 0.0, 1.8)
    sound = Sound((first, end), 12.0)

    def tape() -> np.ndarray:
        made = np.random.default_rng(4).normal(0, 0.003, (12 * RATE, 1)).astype(np.float32)
        made[:, 0] += _samples([first, end], 12.0).sum(1)
        made[3 * RATE : 9 * RATE, 0] += np.random.default_rng(5).normal(0, 0.1, 6 * RATE).astype(np.float32)
        return made

    def encoded(*arguments: object) -> Callable[[Path, Path], None]:
        return lambda path, scraps: ffmpeg(
            "-f", "f32le", "-ar", RATE, "-ac", 1, "-i", _raw(scraps / "tape.raw", tape()), *arguments, path
        )

    for name, arguments in (
        ("vbr.mp3", ("-c:a", "libmp3lame", "-q:a", "4")),
        ("vbr-without-index.mp3", ("-c:a", "libmp3lame", "-q:a", "4", "-write_xing", "0", "-id3v2_version", "0")),
        ("cbr.mp3", ("-c:a", "libmp3lame", "-b:a", "128k")),
        ("stream.aac", ("-c:a", "aac", "-f", "adts")),
        ("sound.ac3", ("-c:a", "ac3")), ("sound.mp2", ("-c:a", "mp2")), ("sound.au", ("-c:a", "pcm_s16be",)), ("sound.w64", ()), ("sound.caf", ("-c:a", "pcm_s16le")),
        ("sound.aiff", ()), ("sound.aifc", ("-c:a", "pcm_s16le", "-f", "caf")), ("sound.wma", ("-c:a", "wmav2")), ("sound.m4a", ("-c:a", "aac")), ("sound.mka", ("-c:a", "aac")),
        ("double.wav", ("-c:a", "pcm_f64le")), ("24-bit.wav", ("-c:a", "pcm_s24le")), ("rf64.wav", ("-rf64", "always")), ("streamed.flac", ("-c:a", "flac", "-seekable", "0")),
        ("hour.opus", ("-c:a", "libopus", "-output_ts_offset", "3600")), ("hour.ogg", ("-c:a", "libvorbis", "-output_ts_offset", "3600")), ("sound.opus", ("-c:a", "libopus")),
    ):  # fmt: skip
        if name != "sound.aifc":
            yield Case(name, "length", encoded(*arguments), sound)
    yield Case("24-in-32.wav", "length", lambda path, _: path.write_bytes(_wave_24_in_32(tape()[:, 0])), sound)
    twice = Sound((first, end, Tone("second begin", 600.0, 12.0, 13.8), Tone("second end", 1100.0, 22.0, 23.8)), 24.0)
    for name, arguments in (
        ("joined.flac", ("-c:a", "flac")),
        ("chained.ogg", ("-c:a", "libvorbis")),
        ("chained.opus", ("-c:a", "libopus")),
        ("joined.mp3", ("-c:a", "libmp3lame", "-write_xing", "0", "-id3v2_version", "0")),
        ("joined.aac", ("-c:a", "aac", "-f", "adts")),
    ):
        yield Case(
            name,
            "joined",
            partial(_twice, make=encoded(*arguments), other=encoded(*arguments, "-metadata", "title=second")),
            twice,
        )


def _twice(path: Path, scraps: Path, *, make: Callable[[Path, Path], None], other: Callable[[Path, Path], None]) -> None:
    """Two recordings of twelve seconds joined byte by byte."""
    make(path, scraps)
    second = scraps / f"second{path.suffix}"
    other(second, scraps)
    path.write_bytes(path.read_bytes() + second.read_bytes())


def _wave_24_in_32(samples: np.ndarray) -> bytes:
    """WAVE_FORMAT_EXTENSIBLE with 24 valid bits in words of 32, left-justified."""
    words = (samples.clip(-1, 1) * 8388607).round().astype("<i4") << 8
    guid = struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    form = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, RATE * 4, 4, 32, 22, 24, 4) + guid
    data = words.astype("<i4").tobytes()
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _ambisonic(path: Path, scraps: Path, *, weights: Sequence[float]) -> None:
    """First-order ambisonics (ACN, SN3D) in Opus, whose channel mapping family 2 says so: W, Y, Z, X."""
    time = np.arange(3 * RATE) / RATE
    samples = 0.25 * np.sin(2 * np.pi * 700 * time)[:, None] * np.array(weights)[None]
    plain = scraps / "ambisonic.opus"
    ffmpeg(
        "-f",
        "f32le",
        "-ar",
        RATE,
        "-ac",
        4,
        "-i",
        _raw(scraps / f"{path.name}.raw", samples),
        "-c:a",
        "libopus",
        "-b:a",
        "384k",
        "-mapping_family",
        "255",
        plain,
    )
    data = bytearray(plain.read_bytes())
    head = data.index(b"OpusHead")
    data[head + 18] = 2
    segments = data[26]
    length = 27 + segments + sum(data[27 : 27 + segments])
    data[22:26] = bytes(4)
    data[22:26] = struct.pack("<I", _ogg_sum(bytes(data[:length])))
    path.write_bytes(data)


def _ogg_sum(page: bytes) -> int:
    """The checksum of a page of Ogg (RFC 3533, 6)."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
    return value
