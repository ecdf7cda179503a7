"""Tracks and channels of sound: what is heard of each, and what is told."""

from __future__ import annotations

import struct
import wave
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from search.media import DecodePool
from search.media.decode.mix import MAX_LANES, Mixer, is_custom, lanes_of, scenes
from search.media.decode.picture_track import MAX_PICTURE_TRACKS
from search.media.decode.streams import MAX_TRACKS
from search.types import Channel, Span
from tests.media_samples import colour_of, picture, pitch_of, tone
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


def test_dialogue_in_the_centre_is_3_db_down_and_low_effects_are_heard_as_surround_is():
    (lane,) = lanes_of(av.AudioLayout("5.1"))
    weights = {term.split("*")[1]: float(term.split("*")[0]) for term in lane.split("+")}
    assert list(weights) == ["c0", "c1", "c2", "c3", "c4", "c5"]
    assert weights["c2"] == pytest.approx(0.5**0.5, abs=1e-6)
    assert weights["c3"] == weights["c4"] == weights["c5"]
    assert lanes_of(av.AudioLayout("ambisonic 1")) == ["c0"]
    assert len(lanes_of(av.AudioLayout("24C"))) == MAX_LANES


@pytest.mark.parametrize(
    "layout",
    ["3.0(back)", "quad(side)", "5.0(side)", "5.1(side)", "6.1(back)", "6.1(front)", "7.1(wide)", "7.1(wide-side)", "hexagonal"],
)
def test_layouts_with_brackets_in_their_names_are_mixed_as_the_others_are(layout):
    channels = av.AudioLayout(layout).nb_channels
    frame = av.AudioFrame.from_ndarray(np.repeat(tone(440, 1, RATE), channels)[None].astype(np.float32), "flt", layout)
    frame.sample_rate = RATE
    assert not is_custom(frame)
    heard = np.concatenate(list(Mixer(RATE).resample(frame)), axis=1)
    assert len(heard) == 1
    assert pitch_of(heard[0], RATE) == pytest.approx(440, abs=5)


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


def test_two_programmes_that_end_at_the_same_time_are_two_sounds():
    nothing = np.zeros(RATE * 3, np.float32)
    one, other = (np.concatenate([nothing, bursts(seed, 6), nothing]) for seed in (1, 2))
    assert [lane for lane, _ in scenes(np.stack([one, other]), RATE)] == [0, 1]
    spaced = np.concatenate(
        [nothing, np.random.default_rng(5).normal(0, 1, RATE * 6).astype(np.float32) * np.abs(bursts(1, 6)), nothing]
    )
    assert [lane for lane, _ in scenes(np.stack([one, spaced]), RATE)] == [None]  # loud and quiet with the first


def test_steady_noise_in_stereo_is_one_scene():
    rain = np.random.default_rng(0).normal(size=(2, RATE * 2)).astype(np.float32)
    assert [lane for lane, _ in scenes(rain, RATE)] == [None]
    duller = np.stack([rain[0], np.convolve(rain[1], np.ones(4, np.float32) / 4, "same")])
    assert [lane for lane, _ in scenes(duller, RATE)] == [None]


def test_a_steady_tone_beside_steady_noise_is_a_sound_of_its_own():
    hum, rain = 0.1 * tone(700, 2, RATE), np.random.default_rng(1).uniform(-0.6, 0.6, RATE * 2).astype(np.float32)
    (left, clear), (right, _) = scenes(np.stack([hum, rain]), RATE)
    assert (left, right) == (0, 1)
    assert np.array_equal(clear, hum)


def test_channels_beyond_what_can_be_mixed_are_refused(pool, tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((80, 2, RATE, 0, "NONE", ""))
        file.writeframes(bytes(80 * 2 * RATE))
    assert "80 channels" in str(refusal(pool, tmp_path / "a.wav"))


def write_films(path, tracks, defaults=(), sizes=()):
    """Write picture tracks (codec, colour, frames a second, count); ``defaults``: the numbers of those that are shown by default."""
    sizes = list(sizes) or [(96, 64)] * len(tracks)
    with av.open(str(path), "w") as container:
        streams = []
        for codec, colour, rate, _ in tracks:
            stream = container.add_stream(codec, rate=rate)
            stream.width, stream.height = sizes[len(streams)]
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.metadata["title"] = colour
            stream.disposition = Disposition.default if len(streams) in defaults else Disposition(0)
            streams.append(stream)
        for stream, size, (_, colour, rate, count) in zip(streams, sizes, tracks, strict=True):
            for number in range(count):
                frame = av.VideoFrame.from_ndarray(np.asarray(picture(colour, size)), "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return path


def colours_of(cuts):
    return {cut.source: colour_of(cut.content) for cut in cuts}


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("defaults", [(), (0,), (1,), (0, 1)])
def test_a_still_before_the_film_hides_no_film(pool, tmp_path, suffix, defaults):
    path = write_films(tmp_path / f"a.{suffix}", [("mjpeg", "green", 25, 1), ("libx264", "red", 25, 75)], defaults)
    found = decode(pool, path)
    assert colours_of(found.cuts) == {None: "red"}
    assert found.cuts[0].span == Span(0, 3000)
    assert [gap.detail for gap in found.gaps] == ["1 of 2 picture tracks hold a still beside the film and are not searched"]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "ts"])
def test_every_camera_is_seen(pool, tmp_path, suffix):
    tracks = [("libx264", "red", 25, 50), ("libx264", "blue", 25, 50)]
    found = decode(pool, write_films(tmp_path / f"a.{suffix}", tracks))
    told = " (blue)" if suffix == "mkv" else ""
    assert colours_of(found.cuts) == {None: "red", f"picture track 2{told}": "blue"}
    assert {cut.span for cut in found.cuts} == {Span(0, 2000)}
    assert not found.gaps


def test_the_default_track_is_the_film_unless_it_is_a_short_title(pool, tmp_path):
    tracks = [("libx264", "red", 25, 50), ("libx264", "blue", 25, 50)]
    assert colours_of(decode(pool, write_films(tmp_path / "a.mkv", tracks, (1,))).cuts)[None] == "blue"
    tracks = [("libx264", "red", 25, 75), ("libx264", "blue", 25, 25)]
    assert colours_of(decode(pool, write_films(tmp_path / "b.mkv", tracks, (1,))).cuts)[None] == "red"


def test_picture_tracks_beyond_the_most_are_told(pool, tmp_path):
    tracks = [("libx264", "red", 25, 10)] * (MAX_PICTURE_TRACKS + 2)
    found = decode(pool, write_films(tmp_path / "a.mkv", tracks))
    assert len(found.cuts) == MAX_PICTURE_TRACKS
    (gap,) = found.gaps
    assert gap.detail == f"2 of {len(tracks)} picture tracks are beyond the {MAX_PICTURE_TRACKS} that are searched"


def test_a_second_camera_with_too_many_pixels_is_told_and_the_first_is_seen(tmp_path):
    tracks = [("libx264", "red", 25, 10), ("libx264", "blue", 25, 10)]
    path = write_films(tmp_path / "a.mkv", tracks, sizes=[(96, 64), (128, 96)])
    with DecodePool(settings(max_pixels=10_000), 1) as pool:
        found = decode(pool, path)
        assert colours_of(found.cuts) == {None: "red"}
        assert [gap.detail for gap in found.gaps] == ["1 of 2 picture tracks exceed max_pixels (10000)"]
    with DecodePool(settings(max_pixels=6_000), 1) as pool:
        assert refusal(pool, path).reason == "too_large"


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
