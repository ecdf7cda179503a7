"""Tracks and channels of sound: what is heard of each, and what is told."""

from __future__ import annotations

import struct
import wave

import av
import numpy as np
import pytest

from search.media import DecodePool
from search.media.mix import MAX_LANES, lanes_of, scenes
from search.media.streams import MAX_TRACKS
from search.types import Channel, Span
from tests.media_samples import pitch_of, tone
from tests.unit.media_pool import decode, refusal, settings

RATE = 16000


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(), 1) as pool:
        yield pool


def write_tracks(path, tracks, layout="mono", languages=()):
    """Write sounds (channels, samples), each a track."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("pcm_s16le", rate=RATE, layout=layout) for _ in tracks]
        for stream, language in zip(streams, languages, strict=False):
            stream.metadata["language"] = language
        for stream, sound in zip(streams, tracks, strict=True):
            packed = (np.asarray(sound).T.reshape(1, -1) * 30000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(packed, "s16", layout)
            frame.sample_rate = RATE
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return path


def bursts(seed, seconds=2):
    """Noise that comes and goes, as speech does: (samples,)."""
    chance = np.random.default_rng(seed)
    return (chance.normal(size=RATE * seconds) * np.repeat(chance.random(seconds * 10) > 0.5, RATE // 10) * 0.1).astype(
        np.float32
    )


def test_every_track_is_heard_with_its_language(pool, tmp_path):
    sounds = [[tone(pitch, 2, RATE)] for pitch in (440, 880, 1320)]
    found = decode(pool, write_tracks(tmp_path / "a.mka", sounds, languages=("eng", "ger", "fre"))).of(Channel.SOUND)
    heard = {cut.source: (cut.language, round(pitch_of(cut.content, RATE), -1)) for cut in found}
    assert heard == {None: ("en", 440), "sound track 2 (German)": ("de", 880), "sound track 3 (French)": ("fr", 1320)}


def test_tracks_beyond_the_most_are_told(pool, tmp_path):
    found = decode(pool, write_tracks(tmp_path / "a.mka", [[tone(440, 1, RATE)]] * (MAX_TRACKS + 3)))
    assert len(found.cuts) == MAX_TRACKS
    (gap,) = found.gaps
    assert gap.reason == "not_sampled"
    assert gap.detail.startswith("3 of ")


@pytest.mark.parametrize("suffix", ["mov", "mka", "wav"])
@pytest.mark.parametrize("channel", [0, 2, 4, 7])
def test_every_channel_of_wide_sound_is_heard(pool, tmp_path, suffix, channel):
    sound = np.zeros((8, RATE * 2), np.float32)
    sound[channel] = tone(440, 2, RATE)
    (cut,) = decode(pool, write_tracks(tmp_path / f"a.{suffix}", [sound], "7.1")).cuts
    assert pitch_of(cut.content, RATE) == pytest.approx(440, abs=5)
    assert np.abs(cut.content).max() > 0.15


def test_dialogue_in_the_centre_is_3_db_down_and_low_effects_are_left_out():
    (lane,) = lanes_of(av.AudioLayout("5.1"))
    assert "0.707107*c2" in lane
    assert [term.split("*")[1] for term in lane.split("+")] == ["c0", "c1", "c2", "c4", "c5"]
    assert lanes_of(av.AudioLayout("ambisonic 1")) == ["c0"]
    assert len(lanes_of(av.AudioLayout("24C"))) == MAX_LANES


def test_inverted_polarity_is_no_silence(pool, tmp_path):
    sound = tone(440, 2, RATE)
    (cut,) = decode(pool, write_tracks(tmp_path / "a.wav", [[sound, -sound]], "stereo")).cuts
    assert np.abs(cut.content).max() == pytest.approx(0.46, abs=0.02)


def test_two_programmes_are_two_sounds(pool, tmp_path):
    one, other = bursts(1), bursts(2)
    found = decode(pool, write_tracks(tmp_path / "a.wav", [[one, other]], "stereo")).cuts
    assert [cut.source for cut in found] == ["left channel", "right channel"]
    for cut, sound in zip(found, (one, other), strict=True):
        assert np.corrcoef(cut.content, sound)[0, 1] > 0.99


def test_steady_noise_in_stereo_is_one_scene():
    rain = np.random.default_rng(0).normal(size=(2, RATE * 2)).astype(np.float32)
    assert [lane for lane, _ in scenes(rain, RATE)] == [None]


def test_channels_beyond_what_can_be_mixed_are_refused(pool, tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((80, 2, RATE, 0, "NONE", ""))
        file.writeframes(bytes(80 * 2 * RATE))
    assert "80 channels" in str(refusal(pool, tmp_path / "a.wav"))


def padded(path, *, valid=24, bits=32, wide=False, before=b"", seconds=2):
    """A tone in words of ``bits`` of which the upper ``valid`` are used, in WAV or W64 (``wide``)."""
    size = bits // 8
    form = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, RATE * size, size, bits, 22, valid, 4)
    form += b"\1\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    data = ((tone(440, seconds, RATE) * (1 << 31)).astype("<i4") & -(1 << (32 - valid))).tobytes()
    if wide:
        riff, tail = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000"), bytes.fromhex("f3acd3118cd100c04f8edb8a")
        chunks = [name + tail + struct.pack("<Q", len(part) + 24) + part for name, part in ((b"fmt ", form), (b"data", data))]
        body = b"wave" + tail + b"".join(chunks)
        path.write_bytes(riff + struct.pack("<Q", len(body) + 24) + body)
    else:
        chunks = before + b"".join(
            name + struct.pack("<I", len(part)) + part for name, part in ((b"fmt ", form), (b"data", data))
        )
        path.write_bytes(b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks)
    return path


@pytest.mark.parametrize(
    "form",
    [
        {}, {"valid": 20}, {"valid": 18}, {"valid": 12}, {"wide": True}, {"valid": 32},
        {"before": b"JUNK" + struct.pack("<I", 9001) + bytes(9002)},
    ],
)  # fmt: skip
def test_samples_narrower_than_their_words_are_heard_as_they_are(pool, tmp_path, form):
    path = padded(tmp_path / ("a.w64" if form.get("wide") else "a.wav"), **form)
    found = decode(pool, path)
    (cut,) = found.cuts
    assert found.gaps == []
    assert found.info.duration_ms == pytest.approx(2000, abs=10)
    assert cut.span == Span(0, 2000)
    assert cut.content == pytest.approx(tone(440, 2, RATE), abs=1e-3)


def test_a_padded_wav_that_is_cut_short_says_so(pool, tmp_path):
    whole = padded(tmp_path / "a.wav", seconds=6).read_bytes()
    (tmp_path / "b.wav").write_bytes(whole[: len(whole) // 2])
    found = decode(pool, tmp_path / "b.wav")
    assert [gap.reason for gap in found.gaps] == ["truncated"]
    assert pitch_of(found.cuts[0].content, RATE) == pytest.approx(440, abs=5)
    (tmp_path / "c.wav").write_bytes(whole[:40])
    assert refusal(pool, tmp_path / "c.wav").reason in ("undecodable", "no_content")


def test_pauses_of_amr_are_told_as_long_as_they_are_and_each_for_itself(pool, tmp_path):
    rng = np.random.default_rng(0)
    speech = b"".join(b"\x3c" + rng.integers(0, 256, 31, dtype=np.uint8).tobytes() for _ in range(100))  # 2 s
    (tmp_path / "a.amr").write_bytes(b"#!AMR\n" + speech + b"\x7c" * 200 + speech + b"\x7c" * 600 + speech)
    found = decode(pool, tmp_path / "a.amr")
    assert [(gap.reason, gap.span) for gap in found.gaps] == [
        ("not_sampled", Span(2000, 6000)),
        ("not_sampled", Span(8000, 20000)),
    ]
    assert found.gaps[1].detail.startswith("600 packets of sound track 1")
    assert [cut.span.start for cut in found.cuts] == pytest.approx([0, 6000, 20000], abs=20)
