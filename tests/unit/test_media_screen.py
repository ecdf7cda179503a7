"""The frame on screen at a time, told by the number that is drawn into it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from search.media import DecodePool
from search.types import Channel, Needs
from tests.bench.truth.drawing import drawn, number
from tests.unit.media_pool import decode, refusal, settings

CODECS = {
    "mp4": "libx264", "mkv": "libx264", "ts": "libx264", "flv": "libx264", "webm": "libvpx", "avi": "mpeg4", "mpg": "mpeg2video", "m2v": "mpeg2video",
}  # fmt: skip
FORMATS = {"ts": "mpegts", "mkv": "matroska", "m2v": "mpeg2video", "mpg": "mpeg", "h265": "hevc", "m4v": "m4v"}
PACED = [0.0, 0.04, 0.5, 0.55, 3.0, 3.02, 9.0, 9.3, 9.4, 20.0]
"""When frames of an uneven film begin, in seconds."""


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(), 1) as pool:
        yield pool


def film(path: Path, times: Sequence[float], codec: str, *, first: int = 0, **options: str) -> Path:
    """Write frames that begin at ``times``, in seconds; each tells its number, counted from ``first``."""
    step = Fraction(1, 1000) if path.suffix in (".mkv", ".mp4") else Fraction(1, 25)
    with av.open(str(path), "w", format=FORMATS.get(path.suffix[1:]), options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.time_base = step
        stream.codec_context.gop_size, stream.codec_context.bit_rate = 60, 2_000_000
        stream.codec_context.max_b_frames = 2
        for at, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(drawn(first + at, first + at >= 100), "rgb24")
            frame.pts, frame.time_base = round(time / step), step
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def shown(pool: DecodePool, path: Path, moments: Sequence[int], lasts_ms: int | None = None) -> list[int | None]:
    """The numbers of the frames on screen at ``moments``."""
    needs = Needs(256, "inside", rate=0, moments=tuple(moments), lasts_ms=lasts_ms)
    cuts = decode(pool, path, needs).cuts
    assert [cut.span.start for cut in cuts] == list(moments)
    assert all(cut.content.shape == (1, 192, 256, 3) for cut in cuts)
    return [number(cut.content[0]) for cut in cuts]


@pytest.mark.parametrize("suffix", CODECS)
def test_the_frame_on_screen_is_shown_in_every_container(pool, tmp_path, suffix):
    path = film(tmp_path / f"a.{suffix}", [at / 25 for at in range(200)], CODECS[suffix])
    begin = decode(pool, path, Needs(64, "crop", rate=0)).cuts[0].span.start  # of some containers, B-frames delay the picture
    wanted = [0, 13, 59, 60, 61, 119, 150, 199]
    for at in wanted:
        assert shown(pool, path, [begin + 40 * at + 17]) == [at]
    assert shown(pool, path, [begin + 40 * at + 17 for at in wanted]) == wanted
    assert shown(pool, path, [0, 60_000]) == [0, 199]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_frame_stays_on_screen_until_the_next_one(pool, tmp_path, suffix):
    path = film(tmp_path / f"a.{suffix}", PACED, "libx264")
    moments = [0, 39, 41, 2990, 3001, 8990, 9350, 19_990, 20_010]
    wanted = [0, 0, 1, 3, 4, 5, 7, 8, 9]
    assert [shown(pool, path, [moment])[0] for moment in moments] == wanted
    assert shown(pool, path, moments) == wanted


@pytest.mark.parametrize("suffix", ["ts", "mkv", "flv"])
def test_times_count_from_where_the_file_begins(pool, tmp_path, suffix):
    path = film(tmp_path / f"a.{suffix}", [at / 25 for at in range(100)], CODECS[suffix], output_ts_offset="3600")
    assert shown(pool, path, [20, 1700, 3900]) == [0, 42, 97]


def test_a_clock_that_begins_anew_is_followed_where_the_length_tells_of_it(pool, tmp_path):
    whole = b"".join(
        film(tmp_path / f"{first}.ts", [at / 25 for at in range(100)], "libx264", first=first).read_bytes() for first in (0, 100)
    )
    path = tmp_path / "a.ts"
    path.write_bytes(whole)
    assert shown(pool, path, [1017, 3017, 5017, 7017], lasts_ms=8000) == [25, 75, 125, 175]


def test_what_is_shown_at_a_time_is_what_was_embedded(pool, tmp_path):
    path = film(tmp_path / "a.ts", [at / 25 for at in range(200)], "libx264")
    shots = decode(pool, path, Needs(256, "squash", rate=0)).of(Channel.VISUAL)
    sampled = {time: number(picture) for shot in shots for time, picture in zip(shot.times, shot.content, strict=True)}
    assert len(sampled) >= 8
    assert shown(pool, path, list(sampled)) == list(sampled.values())


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.avi", "libx264"),
        ("a.avi", "mpeg4"),
        ("a.asf", "libx264"),
        ("a.h264", "libx264"),
        ("a.h265", "libx265"),
        ("a.m4v", "mpeg4"),
    ],
)
def test_frames_out_of_order_come_at_their_times_where_the_file_tells_only_the_order_of_packets(pool, tmp_path, name, codec):
    path = film(tmp_path / name, [at / 25 for at in range(200)], codec)
    found = decode(pool, path, Needs(256, "squash", rate=0))
    shots = found.of(Channel.VISUAL)
    assert found.lasted_ms == pytest.approx(8000, abs=40)
    assert shots[1].span.start == pytest.approx(4000, abs=40)
    sampled = [(time, number(picture)) for shot in shots for time, picture in zip(shot.times, shot.content, strict=True)]
    assert len(sampled) >= 8
    assert [abs(time - 40 * told) <= 40 for time, told in sampled] == [True] * len(sampled)
    assert shown(pool, path, [417, 2457, 7977]) == [10, 61, 199]
    assert [shown(pool, path, [moment])[0] for moment in (2457, 417, 4817)] == [61, 10, 120]


def test_a_frame_lies_inside_the_size_and_is_not_filled_up(pool, tmp_path):
    path = film(tmp_path / "a.mp4", [0, 0.04], "libx264")
    (cut,) = decode(pool, path, Needs(640, "inside", rate=0, moments=(0,))).cuts
    assert cut.content.shape == (1, 480, 640, 3)
    assert np.abs(cut.content[0, ::2, ::2].astype(int) - drawn(0, 0)).mean() < 4


def test_a_sound_shows_no_frame(pool, tmp_path):
    from tests.media_samples import tone, write_sound

    path = write_sound(tmp_path / "a.m4a", tone(440, 1))
    assert refusal(pool, path, Needs(64, "inside", rate=0, moments=(0,))).reason == "no_content"
