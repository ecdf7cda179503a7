from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace
from PIL import Image, ImageFilter

from search.media import DecodePool
from search.types import Channel, DateSource, Modality, Needs, Span, Stamp
from tests.media_samples import VIDEOS, colour_of, corner, pitch_of, tone, write_sound, write_video
from tests.unit.media_pool import NEEDS, decode, refusal, settings

SCENES = [("red", 2.0), ("blue", 2.6), ("green", 1.4)]


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(), 1) as pool:
        yield pool


@pytest.mark.parametrize("suffix", VIDEOS)
def test_every_video_format_gives_its_shots_and_its_sound(pool, tmp_path, suffix):
    found = decode(pool, write_video(tmp_path / f"a.{suffix}", SCENES, sound=tone(440, 6)))
    assert (found.info.modality, found.info.width, found.info.height) == (Modality.VIDEO, 128, 96)
    assert found.info.duration_ms == pytest.approx(6000, abs=100)
    assert found.gaps == []
    shots = found.of(Channel.VISUAL)
    assert [colour_of(shot.content) for shot in shots] == ["red", "blue", "green"]
    assert [shot.span.start for shot in shots] == pytest.approx([0, 2000, 4600], abs=80)
    assert [shot.span.end for shot in shots] == pytest.approx([2000, 4600, 6000], abs=80)
    assert [len(shot.content) for shot in shots] == [2, 3, 1]
    assert all(shot.modality is Modality.VIDEO and shot.content.shape[1:] == (64, 64, 3) for shot in shots)
    windows = found.of(Channel.SOUND)
    assert [window.span.start for window in windows] == pytest.approx([0, 2000, 4000], abs=50)
    assert all(pitch_of(window.content, 16000) == pytest.approx(440, abs=5) for window in windows)
    assert all(window.modality is Modality.AUDIO for window in windows)


def test_a_long_shot_comes_in_pieces_of_ten_seconds_with_a_frame_a_second(pool, tmp_path):
    shots = decode(pool, write_video(tmp_path / "a.mp4", [("red", 24.0)], fps=10)).cuts
    assert [shot.span for shot in shots] == [Span(0, 10_000), Span(10_000, 20_000), Span(20_000, 24_000)]
    assert [len(shot.content) for shot in shots] == [10, 10, 4]


def test_a_shot_a_little_longer_than_a_piece_leaves_no_splinter(pool, tmp_path):
    shots = decode(pool, write_video(tmp_path / "a.mp4", [("red", 10.3)], fps=10)).cuts
    assert [shot.span for shot in shots] == [Span(0, 5150), Span(5150, 10_300)]


def test_a_flash_is_not_a_cut(pool, tmp_path):
    shots = decode(pool, write_video(tmp_path / "a.mp4", [("red", 1.0), ("yellow", 0.08), ("red", 1.0)])).cuts
    assert len(shots) == 1
    assert {colour_of(frame) for frame in shots[0].content} == {"red"}


def test_a_shot_shorter_than_a_second_still_gives_a_frame_of_its_own(pool, tmp_path):
    shots = decode(pool, write_video(tmp_path / "a.mp4", [("red", 1.0), ("blue", 0.6), ("green", 1.0)])).cuts
    assert [(colour_of(shot.content), len(shot.content)) for shot in shots] == [("red", 1), ("blue", 1), ("green", 1)]


def test_frames_are_taken_by_time_where_their_rate_varies(pool, tmp_path):
    times = [0, 0.04, 0.08, 0.12, 0.16, 3.0, 3.04, 3.08, 6.0, 6.5]
    path = write_video(tmp_path / "a.mkv", [("red", 5), ("blue", 3), ("green", 2)], fps=1, times=times)
    shots = decode(pool, path).cuts
    assert [colour_of(shot.content) for shot in shots] == ["red", "blue", "green"]
    assert [shot.span.start for shot in shots] == [0, 3000, 6000]


def test_a_slide_show_loses_no_slide(pool, tmp_path):
    colours = ["red", "blue", "green", "yellow", "grey"]
    shots = decode(pool, write_video(tmp_path / "a.mp4", [(colour, 1.0) for colour in colours], fps=1)).cuts
    assert [colour_of(shot.content) for shot in shots] == colours


def test_a_single_frame_is_a_video_still(pool, tmp_path):
    (shot,) = decode(pool, write_video(tmp_path / "a.mp4", [("red", 1.0)], fps=1)).cuts
    assert shot.content.shape == (1, 64, 64, 3)


def test_a_transport_stream_that_starts_late_starts_at_nought(pool, tmp_path):
    path = write_video(tmp_path / "a.ts", SCENES, output_ts_offset="4000", sound=tone(440, 6))
    shots = decode(pool, path).of(Channel.VISUAL)
    assert [shot.span.start for shot in shots] == pytest.approx([0, 2000, 4600], abs=120)


def test_two_transport_streams_one_after_the_other_run_on(pool, tmp_path):
    first, second = (write_video(tmp_path / f"{name}.ts", [(name, 2.0)]) for name in ("red", "blue"))
    (tmp_path / "a.ts").write_bytes(first.read_bytes() + second.read_bytes())
    shots = decode(pool, tmp_path / "a.ts").cuts
    assert [colour_of(shot.content) for shot in shots] == ["red", "blue"]
    assert shots[-1].span.end == pytest.approx(4000, abs=200)


@pytest.mark.parametrize("degrees", [90, -90, 180])
def test_a_video_filmed_upright_is_upright(pool, tmp_path, degrees):
    path = tmp_path / "a.mp4"
    upright = corner((96, 128))
    stored = np.asarray(upright.rotate(-degrees, expand=True))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width = stored.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.set_display_rotation(degrees)
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(stored, "rgb24")))
        container.mux(stream.encode())
    found = decode(pool, path, NEEDS.__class__(64, "squash", 16000, 2000, 300))
    assert (found.info.width, found.info.height) == (96, 128)
    frame = found.cuts[0].content[0]
    assert colour_of(frame[4:28, 4:28]) == "red"
    assert colour_of(frame[36:]) == colour_of(frame[:, 36:]) == "blue"


def test_pixels_that_are_not_square_are_shown_as_meant(pool, tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 72, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 2
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (72, 96), "red"))))
        container.mux(stream.encode())
    assert (decode(pool, path).info.width, decode(pool, path).info.height) == (144, 96)


def test_silence_in_a_video_is_not_indexed(pool, tmp_path):
    sound = np.concatenate([tone(440, 2), np.zeros(2 * 44100, np.float32)])
    found = decode(pool, write_video(tmp_path / "a.mkv", [("red", 4.0)], sound=sound))
    assert len(found.of(Channel.SOUND)) <= 2
    assert found.of(Channel.SOUND)[0].span.start == 0
    assert found.gaps == []


def test_a_video_without_pictures_gives_its_sound_and_says_so(pool, tmp_path):
    whole = write_video(tmp_path / "a.mkv", [("red", 3.0)], sound=tone(440, 3))
    path = tmp_path / "b.mkv"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        streams = {stream: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None and packet.stream.type == "audio":
                packet.stream = streams[packet.stream]
                target.mux(packet)
    found = decode(pool, path)
    assert found.info.modality is Modality.VIDEO
    assert {cut.channel for cut in found.cuts} == {Channel.SOUND}
    assert [gap.reason for gap in found.gaps] == ["no_picture"]


def test_a_video_without_anything_has_no_content(pool, tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 64
        container.start_encoding()
    assert refusal(pool, path).reason in ("no_content", "undecodable")


@pytest.mark.parametrize("suffix", ["mkv", "webm", "avi", "ts"])
def test_a_cut_off_video_is_used_as_far_as_it_goes(pool, tmp_path, suffix):
    path = write_video(tmp_path / f"a.{suffix}", [("red", 6.0), ("blue", 6.0)], sound=tone(440, 12))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    found = decode(pool, path)
    assert colour_of(found.of(Channel.VISUAL)[0].content) == "red"
    assert suffix == "ts" or "truncated" in [gap.reason for gap in found.gaps]


def test_a_cut_off_video_without_its_index_says_that_it_is_cut_off(pool, tmp_path):
    path = write_video(tmp_path / "a.mp4", SCENES)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refusal(pool, path).reason == "truncated"


def test_a_cut_off_video_that_begins_with_its_index_is_used(pool, tmp_path):
    path = write_video(tmp_path / "a.mp4", [("red", 6.0), ("blue", 6.0)], movflags="faststart")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    found = decode(pool, path)
    assert colour_of(found.cuts[0].content) == "red"
    assert "truncated" in [gap.reason for gap in found.gaps]


def test_damage_in_the_middle_is_told_and_the_rest_is_used(pool, tmp_path):
    path = write_video(tmp_path / "a.avi", [("red", 4.0), ("blue", 4.0)])
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    path.write_bytes(bytes(data))
    assert decode(pool, path).cuts


def test_the_day_of_recording_is_told(pool, tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["creation_time"] = "2018-04-19T22:46:00.000000Z"
        container.metadata["title"] = "Cars"
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (64, 64)))))
        container.mux(stream.encode())
    info = decode(pool, path).info
    assert (info.stamps, info.title) == ((Stamp(DateSource.TAGS, "2018-04-19T22:46:00Z"),), "Cars")


@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.mkv", "a.txt"])
@pytest.mark.parametrize("kind", ["hls", "concat", "sdp", "hidden"])
def test_playlists_cannot_make_the_decoder_read_other_files(pool, tmp_path, name, kind):
    canary = write_sound(tmp_path / "canary.wav", tone(440, 1))
    text = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{canary}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile {canary}\n",
        "sdp": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio 5004 RTP/AVP 0\r\n",
        "hidden": f"\0\0\0\0#EXTM3U\n#EXTINF:1,\n{canary}\n",
    }[kind]
    (tmp_path / name).write_text(text)
    assert refusal(pool, tmp_path / name).reason in ("unsupported", "undecodable", "not_text")


def test_a_video_of_too_many_pixels_is_refused(tmp_path):
    path = write_video(tmp_path / "a.mp4", [("red", 0.5)])
    with DecodePool(settings(max_pixels=10_000), 1) as small:
        assert refusal(small, path).reason == "too_large"


WITHOUT_PICTURES = replace(NEEDS, size=0)
WITHOUT_SOUND = replace(NEEDS, rate=0)


@pytest.mark.parametrize("suffix", VIDEOS)
def test_where_no_pictures_are_wanted_a_video_gives_only_its_sound(pool, tmp_path, suffix):
    path = write_video(tmp_path / f"a.{suffix}", SCENES, sound=tone(440, 6))
    whole, found = decode(pool, path), decode(pool, path, WITHOUT_PICTURES)
    assert found.info == whole.info
    assert [cut.span for cut in found.cuts] == [cut.span for cut in whole.of(Channel.SOUND)]
    assert {cut.channel for cut in found.cuts} == {Channel.SOUND}
    assert found.gaps == []


@pytest.mark.parametrize("suffix", VIDEOS)
def test_where_no_sound_is_wanted_a_video_gives_only_its_pictures(pool, tmp_path, suffix):
    path = write_video(tmp_path / f"a.{suffix}", SCENES, sound=tone(440, 6))
    found = decode(pool, path, WITHOUT_SOUND)
    assert [colour_of(cut.content) for cut in found.cuts] == ["red", "blue", "green"]
    assert found.gaps == []


@pytest.mark.parametrize("needs", [WITHOUT_PICTURES, replace(NEEDS, size=0, rate=0)])
def test_a_video_of_which_nothing_is_wanted_is_no_failure(pool, tmp_path, needs):
    found = decode(pool, write_video(tmp_path / "a.mp4", SCENES), needs)
    assert (found.info.modality, found.info.width, found.cuts, found.gaps) == (Modality.VIDEO, 128, [], [])


@pytest.mark.parametrize(("seconds", "needs"), [(2, WITHOUT_PICTURES), (12, WITHOUT_SOUND)])
def test_a_track_shorter_than_one_that_is_not_wanted_is_not_cut_off(pool, tmp_path, seconds, needs):
    assert decode(pool, write_video(tmp_path / "a.mp4", SCENES, sound=tone(440, seconds)), needs).gaps == []


def test_pictures_that_nobody_wants_are_not_told_to_be_missing(pool, tmp_path):
    path = write_video(tmp_path / "a.mp4", SCENES, sound=tone(440, 6))
    content = bytearray(path.read_bytes())
    at = content.rindex(b"avc1")
    content[at : at + 4] = b"xxxx"
    path.write_bytes(content)
    assert [gap.reason for gap in decode(pool, path).gaps] == ["no_picture"]
    assert decode(pool, path, WITHOUT_PICTURES).gaps == []
    assert refusal(pool, path, WITHOUT_SOUND).reason == "unsupported"


def test_frames_are_scaled_by_the_filter_that_is_wanted(pool, tmp_path):
    path, rng = tmp_path / "a.mkv", np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (480, 640, 3), np.uint8)).filter(ImageFilter.GaussianBlur(2))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=1)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "bgr0"
        for packet in [*stream.encode(av.VideoFrame.from_image(noise)), *stream.encode(None)]:
            container.mux(packet)
    for filter_, nearest in (("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)):
        (cut,) = decode(pool, path, replace(NEEDS, fit="squash", filter=filter_)).cuts
        wanted = np.asarray(noise.resize((64, 64), nearest), np.float32)
        assert np.abs(cut.content[0] - wanted).mean() < 4


def write_slides(path, starts, rate=30):
    """Write frames that come at these times in milliseconds; a bar tells the number of each, up to 11."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"bf": "3", "b-pyramid": "none", "x264-params": "scenecut=0"})
        stream.width, stream.height, stream.pix_fmt = 128, 128, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, start in enumerate(starts):
            slide = Image.new("RGB", (128, 128), "white")
            slide.paste("black", (0, 8 * min(number, 11), 16, 8 * min(number, 11) + 8))
            frame = av.VideoFrame.from_image(slide)
            frame.pts, frame.time_base = start, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def slides_seen(pool, path):
    """The numbers of the slides that are sampled, and when."""
    seen: dict[int, list[int]] = {}
    for shot in decode(pool, path).of(Channel.VISUAL):
        assert len(shot.times) == len(shot.content)
        for time, picture in zip(shot.times, shot.content, strict=True):
            bar = int(picture[:, 3].mean(axis=1).argmin()) * 128 // (8 * len(picture))
            seen.setdefault(bar, []).append(time)
    return seen


def test_the_last_slide_counts_though_the_film_ends_with_its_frame(pool, tmp_path):
    """A film without its repeated frames states a tenth of a second for the last one, which stays on screen."""
    seen = slides_seen(pool, write_slides(tmp_path / "a.mkv", [0, 3_000, 7_900, 9_700], rate=10))
    assert {slide: min(times) for slide, times in seen.items()} == {0: 0, 1: 3_000, 2: 7_900, 3: 9_700}


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_slides_that_differ_little_are_each_sampled_at_the_time_at_which_they_come(pool, tmp_path, suffix):
    """Slides shown from 0.6 to 25 s, so alike that no cut lies between them, from a coder that leaves frames unreferenced."""
    lasts = [8, 0.9, 15, 2, 0.6, 25, 1.5, 40, 0.7, 3, 12, 5]
    starts = [round(1000 * sum(lasts[:number])) for number in range(len(lasts))]
    path = write_slides(tmp_path / f"a.{suffix}", [*starts, 113_600])
    seen = slides_seen(pool, path)
    assert sorted(seen) == list(range(12))
    assert [min(seen[number]) for number in range(12)] == pytest.approx(starts, abs=40)
    assert all(
        time < start + 1000 * last
        for number, (start, last) in enumerate(zip(starts, lasts, strict=True))
        if number < 11
        for time in seen[number]
    )


@pytest.mark.parametrize(("size", "matrix"), [((1280, 720), "bt709"), ((640, 480), "smpte170m")])
def test_colours_that_the_file_tells_no_matrix_of_follow_the_size(pool, tmp_path, size, matrix):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        red = av.VideoFrame.from_image(Image.new("RGB", size, (200, 40, 40)))
        dst = {"bt709": Colorspace.ITU709, "smpte170m": Colorspace.ITU601}[matrix]
        red = red.reformat(format="yuv420p", dst_colorspace=dst)
        red.colorspace = 2  # unspecified
        for _ in range(3):
            container.mux(stream.encode(red))
        container.mux(stream.encode())
    mean = decode(pool, path).cuts[0].content.mean(axis=(0, 1, 2))
    assert mean == pytest.approx([200, 40, 40], abs=4)


def test_a_thumbnail_has_square_pixels(pool, tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 72, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 2
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (72, 96), "red"))))
        container.mux(stream.encode())
    assert decode(pool, path, Needs(144, "inside", rate=0, moments=(0,))).content.shape == (1, 96, 144, 3)


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        ("mkv", "mpeg2video", {"bf": "2", "g": "12"}), ("ts", "mpeg2video", {"bf": "2", "g": "15"}), ("mp4", "mpeg4", {"bf": "2", "g": "12"}),
        ("mp4", "libx264", {"preset": "veryfast", "bf": "3", "g": "300", "sc_threshold": "0"}), ("mp4", "libx264", {"preset": "veryfast", "bf": "3"}),
    ],
)  # fmt: skip
def test_a_shot_that_begins_with_a_frame_that_is_skipped_begins_with_that_frame(pool, tmp_path, suffix, codec, options):
    path = tmp_path / f"a.{suffix}"
    begins = (0, 31, 63, 95, 127, 160, 194)
    texture = (np.arange(96)[:, None] % 40).astype(np.uint8)[
        :, :, None
    ]  # plain colours would drift over the edge of a histogram's bin
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.options, stream.bit_rate = 128, 96, "yuv420p", options, 2_000_000
        for number in range(220):
            scene = sum(number >= begin for begin in begins)
            pixels = np.empty((96, 128, 3), np.uint8)
            pixels[:] = ((220, 40, 40), (40, 60, 220), (60, 200, 60))[scene % 3] - texture
            pixels[40:60, (number * 2) % 100 : (number * 2) % 100 + 20] = 255  # what moves keeps the encoder from copying
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())
    shots = decode(pool, path, replace(NEEDS, rate=0)).of(Channel.VISUAL)
    assert [shot.span.start for shot in shots] == pytest.approx([begin * 40 for begin in begins], abs=1)
