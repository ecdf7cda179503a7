"""How long a file lasts is what was decoded of it, whatever its header says."""

from __future__ import annotations

import shutil

import av
import numpy as np
import pytest

from search.media import DecodePool
from search.media.decode.sound import MIN_WINDOW_MS
from search.types import Channel, Needs
from tests.bench.bench_truth import cases
from tests.bench.truth.case import Film
from tests.media_samples import tone, write_video
from tests.unit.media_pool import NEEDS, decode, settings

MADE = (
    "hour.mkv", "hour.webm", "hour.flv", "hour.ts", "hour.opus", "hour.ogg", "hour-fragmented.mp4", "split-2.mkv", "split-2.ts", "part-2.mp4",
    "live.webm", "talk-vfr.mp4", "talk-vfr-simple.mp4", "joined.ts", "joined.flac", "joined.aac", "chained.ogg", "chained.opus", "stream.aac",
    "streamed.flac", "vbr-without-index.mp3", "elementary.m2v",
)  # fmt: skip


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(), 1) as pool:
        yield pool


@pytest.fixture(scope="module")
def scraps(tmp_path_factory):
    if shutil.which("ffmpeg") is None:
        pytest.skip("there is no ffmpeg here")
    return tmp_path_factory.mktemp("scraps")


@pytest.mark.parametrize("name", MADE)
def test_the_length_is_what_was_decoded(pool, tmp_path, scraps, name):
    case = next(one for one in cases() if one.name == name)
    case.make(tmp_path / name, scraps)
    wanted = case.expect.end if isinstance(case.expect, Film) else case.expect.seconds
    found = decode(pool, tmp_path / name)
    assert found.lasted_ms == pytest.approx(1000 * wanted, abs=90)  # B-frames and sound codecs add up to two frames
    assert -50 <= found.lasted_ms - max(cut.span.end for cut in found.cuts) < MIN_WINDOW_MS
    assert [gap for gap in found.gaps if gap.reason == "truncated"] == []


@pytest.mark.parametrize("name", ["h264.flv", "hour.flv"])
def test_flash_video_lasts_as_long_as_it_is_shown_whatever_its_header_counts_in(pool, tmp_path, scraps, name):
    case = next(one for one in cases() if one.name == name)
    case.make(tmp_path / name, scraps)
    with av.open(str(tmp_path / name)) as container:
        stamps = [float(packet.pts * packet.time_base) for packet in container.demux(video=0) if packet.pts is not None]
        wanted = max(stamps) + 0.04 - container.start_time / av.time_base
    assert decode(pool, tmp_path / name).lasted_ms == pytest.approx(1000 * wanted, abs=25)  # sound ends within a packet of it


def test_elementary_mpeg_begins_with_its_first_picture(pool, tmp_path, scraps):
    case = next(one for one in cases() if one.name == "elementary.m2v")
    case.make(tmp_path / "a.m2v", scraps)
    found = decode(pool, tmp_path / "a.m2v")
    assert found.of(Channel.VISUAL)[0].span.start == 0
    assert found.lasted_ms == pytest.approx(1000 * case.expect.end, abs=1)


def test_a_film_lasts_as_long_as_its_longer_track_where_only_the_other_is_wanted(pool, tmp_path):
    path = write_video(tmp_path / "a.mkv", [("red", 6.0)], sound=tone(440, 3))
    assert decode(pool, path).lasted_ms == pytest.approx(6000, abs=50)
    assert decode(pool, path, Needs(0, "crop", 16_000, 2000)).lasted_ms == pytest.approx(6000, abs=50)
    assert decode(pool, path, Needs(64, "crop", 0)).lasted_ms == pytest.approx(6000, abs=50)


def test_a_film_that_was_cut_off_lasts_as_long_as_what_is_left_and_says_so(pool, tmp_path):
    path = write_video(tmp_path / "a.mp4", [("red", 6.0), ("blue", 6.0)], movflags="faststart", sound=np.tile(tone(440, 1), 12))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    found = decode(pool, path)
    assert found.lasted_ms == max(cut.span.end for cut in found.cuts) < 11_000
    (gap,) = [one for one in found.gaps if one.reason == "truncated"]
    assert gap.span.start == pytest.approx(found.of(Channel.VISUAL)[-1].span.end, abs=1)
    assert gap.span.end == pytest.approx(12_000, abs=100)


def test_a_header_that_is_right_is_not_told_again(pool, tmp_path):
    path = write_video(tmp_path / "a.mkv", [("red", 3.0)])
    assert [one for one in pool.decode(path, NEEDS) if type(one).__name__ == "Info"] == [decode(pool, path).info]
