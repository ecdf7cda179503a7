from __future__ import annotations

import wave
from dataclasses import replace

import av
import numpy as np
import pytest

from search.media import DecodePool
from search.types import Channel, Modality, Span
from tests.media_samples import SOUNDS, picture, pitch_of, tone, write_sound
from tests.unit.media_pool import NEEDS, decode, refusal, settings


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(), 1) as pool:
        yield pool


@pytest.mark.parametrize("suffix", SOUNDS)
def test_every_sound_format_gives_its_pitch_in_windows(pool, tmp_path, suffix):
    found = decode(pool, write_sound(tmp_path / f"a.{suffix}", tone(440, 5)))
    assert found.info.modality is Modality.AUDIO
    assert found.info.duration_ms == pytest.approx(5000, abs=60)
    assert found.gaps == []
    assert [(cut.channel, cut.modality) for cut in found.cuts] == [(Channel.SOUND, Modality.AUDIO)] * 3
    assert [cut.span.start for cut in found.cuts] == pytest.approx([0, 2000, 4000], abs=30)
    assert found.cuts[-1].span.end == pytest.approx(5000, abs=60)
    assert found.cuts[0].content.shape == (32000,)
    assert found.cuts[0].content.dtype == np.float32
    for cut in found.cuts:
        assert pitch_of(cut.content, 16000) == pytest.approx(440, abs=5)
        assert np.percentile(np.abs(cut.content), 95) == pytest.approx(0.5, abs=0.05)


def test_a_sound_shorter_than_a_window_is_one_short_window(pool, tmp_path):
    (cut,) = decode(pool, write_sound(tmp_path / "a.wav", tone(440, 0.1))).cuts
    assert cut.span == Span(0, 100)
    assert cut.content.shape == (1600,)


def test_a_rest_too_short_to_mean_anything_is_dropped(pool, tmp_path):
    assert len(decode(pool, write_sound(tmp_path / "a.wav", tone(440, 2.2))).cuts) == 1
    assert len(decode(pool, write_sound(tmp_path / "b.wav", tone(440, 2.3))).cuts) == 2


def test_silence_in_a_sound_file_is_still_a_sound(pool, tmp_path):
    (cut,) = decode(pool, write_sound(tmp_path / "a.wav", np.zeros(44100, np.float32))).cuts
    assert cut.content.max() == 0


def test_a_sound_file_without_samples_has_no_content(pool, tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
    assert refusal(pool, tmp_path / "a.wav").reason == "no_content"


@pytest.mark.parametrize("share", [0, 1])
def test_channels_of_one_scene_are_mixed_and_a_silent_one_takes_nothing_away(pool, tmp_path, share):
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="stereo")
        left, right = (
            (tone(440, 1, 16000) * 30000).astype(np.int16),
            (tone(440, 1, 16000) * 30000 * share).astype(np.int16),
        )
        frame = av.AudioFrame.from_ndarray(np.stack([left, right], 1).reshape(1, -1), "s16", "stereo")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (cut,) = decode(pool, path).cuts
    assert pitch_of(cut.content, 16000) == pytest.approx(440, abs=3)
    assert np.abs(cut.content).max() == pytest.approx(0.46, abs=0.02)


def test_a_cover_does_not_make_a_sound_a_video(pool, tmp_path):
    path, cover = tmp_path / "a.mp3", tmp_path / "cover.png"
    picture("red").save(cover)
    samples = (tone(440, 1) * 32767).astype(np.int16)
    with av.open(str(path), "w") as container, av.open(str(cover)) as source:
        stream = container.add_stream("libmp3lame", rate=44100, layout="mono")
        art = container.add_stream_from_template(source.streams.video[0])
        art.disposition = av.stream.Disposition.attached_pic
        packet = next(source.demux(source.streams.video[0]))
        packet.stream = art
        frame = av.AudioFrame.from_ndarray(samples[None], "s16p", "mono")
        frame.sample_rate = 44100
        packets = [*stream.encode(frame), *stream.encode()]
        container.mux(packets[0])
        container.mux(packet)
        container.mux(packets[1:])
    found = decode(pool, path)
    assert found.info.modality is Modality.AUDIO
    assert {cut.channel for cut in found.cuts} == {Channel.SOUND}


def test_an_mp4_with_nothing_but_sound_is_a_sound(pool, tmp_path):
    path = write_sound(tmp_path / "a.m4a", tone(440, 1)).rename(tmp_path / "b.mp4")
    assert decode(pool, path).info.modality is Modality.AUDIO


@pytest.mark.parametrize("suffix", ["wav", "flac", "m4a"])
def test_a_cut_off_sound_is_used_as_far_as_it_goes_and_the_loss_told(pool, tmp_path, suffix):
    rng = np.random.default_rng(1)
    path = write_sound(tmp_path / f"a.{suffix}", (tone(440, 20) + rng.normal(0, 0.05, 20 * 44100)).astype(np.float32))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if suffix == "m4a":
        assert refusal(pool, path).reason == "truncated"
        return
    found = decode(pool, path)
    assert 3 <= len(found.cuts) <= 6
    assert [gap.reason for gap in found.gaps][-1:] == ["truncated"]


def test_a_title_and_a_wrong_name(pool, tmp_path):
    path = tmp_path / "a.flac"
    write_sound(path, tone(440, 1))
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.flac"), "w") as target:
        target.metadata["title"] = "A Tone"
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    found = decode(pool, (tmp_path / "b.flac").rename(tmp_path / "c.jpg"))
    assert (found.info.title, found.info.format) == ("A Tone", "flac")


@pytest.mark.parametrize(
    "content",
    [b"\0" * 5000, b"ID3" + b"\xff" * 3000, b"RIFF\x10\0\0\0WAVEjunk", b"OggS" + bytes(2000), b"fLaC" + bytes(100)],
)
def test_rubbish_is_told_as_such(pool, tmp_path, content):
    (tmp_path / "a.mp3").write_bytes(content)
    assert refusal(pool, tmp_path / "a.mp3").reason in ("undecodable", "no_content")


@pytest.mark.parametrize("suffix", ["wav", "mp3", "ogg"])
def test_a_sound_that_nobody_wants_gives_only_what_is_known_of_it(pool, tmp_path, suffix):
    path = write_sound(tmp_path / f"a.{suffix}", tone(440, 3))
    whole, found = decode(pool, path), decode(pool, path, replace(NEEDS, rate=0))
    assert found.info == whole.info
    assert (found.cuts, found.gaps) == ([], [])


def test_a_cut_off_sound_that_nobody_wants_is_no_failure(pool, tmp_path):
    path = write_sound(tmp_path / "a.wav", tone(440, 3))
    path.write_bytes(path.read_bytes()[:-100_000])
    assert decode(pool, path, replace(NEEDS, rate=0)).gaps == []
