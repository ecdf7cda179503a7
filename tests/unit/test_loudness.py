from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.filter import Graph

from search.encoders.pocket import PocketEncoder
from search.media import DecodePool
from search.media.decode.loudness import FAINT, FLOOR, PEAK_DB, SILENT, TARGET, levelled, loudness
from search.types import Modality
from tests.media_samples import tone, write_sound
from tests.unit.media_pool import NEEDS, decode, settings

SIREN = Path(__file__).parents[2] / "data" / "sample" / "sounds" / "fire-engine-siren.ogg"


def noise(lufs: float, rate: int = 16_000, seconds: int = 5) -> np.ndarray:
    sound = np.random.default_rng(0).normal(0, 0.1, rate * seconds).astype(np.float32)
    return sound * np.float32(10 ** ((lufs - loudness(sound, rate)) / 20))


def by_ffmpeg(samples: np.ndarray, rate: int) -> float:
    frame = av.AudioFrame.from_ndarray(samples[None], "flt", "mono")
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
    graph = Graph()
    told = f"sample_rate={rate}:sample_fmt=flt:channel_layout=mono:time_base=1/{rate}"
    nodes = [graph.add("abuffer", told), graph.add("ebur128", "metadata=1:framelog=quiet"), graph.add("abuffersink")]
    for one, following in pairwise(nodes):
        one.link_to(following)
    graph.configure()
    graph.push(frame)
    graph.push(None)
    found = SILENT
    while True:
        try:
            found = float(graph.pull().metadata.get("lavfi.r128.I", found))
        except (av.error.BlockingIOError, av.error.EOFError):
            return found


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_loudness_is_what_the_standard_and_ffmpeg_say(rate):
    for level in (1, 0.1, 0.001):
        assert loudness(tone(997, 3, rate) * 2 * level, rate) == pytest.approx(-3 + 20 * np.log10(level), abs=0.05)
    gaps = noise(-30, rate)
    gaps[rate : 4 * rate] *= 0.01
    rumble = tone(50, 5, rate) + 0.01 * tone(3_000, 5, rate)
    for sound in (noise(-30, rate), gaps, rumble, tone(100, 5, rate)):
        assert loudness(sound, rate) == pytest.approx(by_ffmpeg(sound, rate), abs=0.3)


def test_pauses_do_not_make_a_sound_quieter():
    sound = noise(-30)
    sound[32_000:] = 0
    assert loudness(sound, 16_000) == pytest.approx(-30, abs=1)


@pytest.mark.parametrize("down", [0, -6, -16])
def test_the_same_sound_at_any_level_is_the_same(down):
    near = noise(TARGET)
    assert levelled(near * np.float32(10 ** (down / 20)), 16_000) == pytest.approx(near, abs=1e-4)
    loud = noise(-14)
    assert levelled(loud, 16_000) is loud


def test_noise_floors_and_silence_are_not_raised_and_faint_sound_a_little():
    for lufs in (FLOOR, -60, -75):
        floor = noise(lufs)
        assert levelled(floor, 16_000) == pytest.approx(floor, rel=1e-3)
    assert not levelled(np.zeros(80_000, np.float32), 16_000).any()
    raised = [loudness(levelled(noise(lufs), 16_000), 16_000) for lufs in (FLOOR, -48, -46, -44, -42, FAINT)]
    assert raised == sorted(raised)
    assert raised[-1] == pytest.approx(TARGET, abs=0.1)


def test_ticks_do_not_pass_the_peak():
    ticks = np.zeros(80_000, np.float32)
    ticks[::16_000] = 0.5
    peak = 10 ** (PEAK_DB / 20)
    assert levelled(ticks, 16_000) is ticks
    assert np.abs(levelled(ticks / 2, 16_000)).max() == pytest.approx(peak, rel=1e-3)
    assert np.abs(levelled(ticks / 50, 16_000)).max() <= peak


@pytest.mark.parametrize("length", [0, 1, 2, 160, 6_399, 6_401])
def test_sound_of_any_length_has_a_loudness(length):
    sound = tone(440, 1, 16_000)[:length]
    assert SILENT <= loudness(sound, 16_000) < 0
    assert levelled(sound, 16_000).shape == (length,)
    assert np.isfinite(levelled(sound, 16_000)).all()


def test_encoders_get_sound_at_one_level_and_readers_as_it_is(tmp_path):
    write_sound(tmp_path / "near.wav", tone(440, 2) * np.float32(0.2))
    write_sound(tmp_path / "far.wav", tone(440, 2) * np.float32(0.2 * 10 ** (-10 / 20)))
    with DecodePool(settings(), 1) as pool:
        needs = replace(NEEDS, levelled=True)
        near, far = (decode(pool, tmp_path / f"{name}.wav", needs).cuts[0].content for name in ("near", "far"))
        plain = decode(pool, tmp_path / "far.wav").cuts[0].content
    assert far == pytest.approx(near, abs=2e-3)
    assert np.abs(plain).max() == pytest.approx(0.1 * 10 ** (-10 / 20), abs=0.005)


def test_a_siren_far_away_is_a_siren_to_the_pocket_space():
    with av.open(str(SIREN)) as container:
        resampler = av.AudioResampler("flt", "mono", 16_000)
        parts = [part.to_ndarray()[0] for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    near = np.concatenate(parts)[:80_000]
    encoder = PocketEncoder()
    (asked,) = encoder.encode(Modality.TEXT, ["a fire engine with its siren on"])
    far = near * np.float32(10 ** (-16 / 20))
    before = float(encoder.encode(Modality.AUDIO, [far])[0] @ asked)
    scores = [float(encoder.encode(Modality.AUDIO, [levelled(sound, 16_000)])[0] @ asked) for sound in (near, far)]
    assert before < 0.4
    assert min(scores) > 0.6
