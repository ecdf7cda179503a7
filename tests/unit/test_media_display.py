"""What a frame of film looks like: turned, mirrored, woven of two fields, in other colours than a screen's, seen through."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from search.media import DecodePool
from search.media.decode import light
from search.media.decode.display import unwoven
from tests.media_samples import colour_of, corner
from tests.unit.media_pool import NEEDS, decode, settings

SQUASHED = replace(NEEDS, fit="squash", rate=0)
FLAT = (200, 40, 40)
MATRICES = {
    "rotated-90": (0, 1, -1, 0), "rotated-180": (-1, 0, 0, -1), "rotated-270": (0, -1, 1, 0), "mirrored": (-1, 0, 0, 1),
    "upside-down": (1, 0, 0, -1), "transposed": (0, 1, 1, 0), "transversed": (0, -1, -1, 0),
}  # fmt: skip
"""Display matrices, a b c d: a pixel at (x, y) is shown at (a x + c y, b x + d y)."""
UNDONE = {
    "rotated-90": Image.Transpose.ROTATE_90, "rotated-180": Image.Transpose.ROTATE_180, "rotated-270": Image.Transpose.ROTATE_270,
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT, "upside-down": Image.Transpose.FLIP_TOP_BOTTOM, "transposed": Image.Transpose.TRANSPOSE,
    "transversed": Image.Transpose.TRANSVERSE,
}  # fmt: skip


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(), 1) as pool:
        yield pool


def write(path, pixels, codec="libx264", form="yuv420p", count=5, matrix=None, full=False, tags=(2, 2, 2), **options):
    """A film of one picture (H, W, 3 or 4). ``matrix``: by which it becomes YUV; ``tags``: matrix, primaries and transfer that are told."""
    given = {3: "rgb24", 4: "rgba"}[pixels.shape[2]] if pixels.dtype == np.uint8 else "rgb48le"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options=options)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = form
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = tags
        context.color_range = ColorRange.JPEG if full else ColorRange.MPEG
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(pixels, given)
            frame = frame.reformat(format=form, dst_colorspace=matrix, dst_color_range=context.color_range)
            frame.colorspace, frame.color_primaries, frame.color_trc = tags
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def flat(size=(128, 96), colour=FLAT):
    return np.asarray(Image.new("RGB", size, colour))


def mean_of(found):
    return found.cuts[0].content.mean(axis=(0, 1, 2))


@pytest.mark.parametrize("how", MATRICES)
def test_a_film_that_is_turned_and_mirrored_is_upright(pool, tmp_path, how):
    upright = corner((128, 96))
    path = write(tmp_path / "a.mp4", np.asarray(upright.transpose(UNDONE[how])))
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44
    a, b, c, d = (one << 16 for one in MATRICES[how])
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    found = decode(pool, path, SQUASHED)
    assert (found.info.width, found.info.height) == (128, 96)
    frame = found.cuts[0].content[0]
    assert colour_of(frame[4:28, 4:28]) == "red"
    assert colour_of(frame[36:]) == colour_of(frame[:, 36:]) == "blue"


@pytest.mark.parametrize("filter_", ["bicubic", "bilinear"])
def test_of_two_fields_one_moment_is_shown(pool, tmp_path, filter_):
    woven = np.zeros((288, 352, 3), np.uint8)
    woven[::2, :176] = 220  # a white half in the first field, which has moved to the other side in the second
    woven[1::2, 176:] = 220
    path = write(tmp_path / "a.mpg", woven, "mpeg2video", flags="+ildct+ilme", qmin="1", qmax="2")
    frame = decode(pool, path, replace(SQUASHED, filter=filter_)).cuts[0].content[0].astype(int)
    assert frame[4:-4, 4:28].mean() == pytest.approx(220, abs=12)
    assert frame[4:-4, 36:-4].mean() == pytest.approx(0, abs=12)


def test_a_frame_whose_fields_agree_keeps_its_lines():
    """Edges of shapes and slopes are no comb."""
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[20:40, 10:30] = 200
    picture += np.arange(0, 64, dtype=np.uint8)[:, None, None]
    assert (unwoven(picture) == picture).all()
    assert picture.flags.writeable


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_frame_of_hardly_any_lines_stays_as_it_is(rows):
    picture = np.full((rows, 8, 3), 90, np.uint8)
    assert (unwoven(picture) == picture).all()


@pytest.mark.parametrize(("transfer", "signal"), [(light.PQ, 0.5806), (light.HLG, 0.75)])
def test_white_of_hdr_is_shown_as_browsers_do(pool, tmp_path, transfer, signal):
    pixels = np.full((96, 128, 3), round(signal * 65535), np.uint16)
    path = write(tmp_path / "a.mp4", pixels, form="yuv420p10le", matrix=Colorspace.BT2020, tags=(9, 9, transfer))
    assert mean_of(decode(pool, path, SQUASHED)) == pytest.approx([187] * 3, abs=2)


# codes 1/15 to 13/15, grey; code x (1, 3/4, 1/2): what Chromium 156 draws on a screen of sRGB
CHROMIUM = {
    (light.PQ, 1000): ([1, 6, 18, 34, 54, 80, 112, 153, 200, 229, 250, 255, 255], {6: (96, 37, 10), 8: (184, 64, 16)}),
    (light.PQ, 4000): ([1, 6, 18, 34, 54, 80, 112, 153, 198, 210, 222, 235, 248], {6: (96, 37, 10), 9: (239, 78, 18)}),
    (light.PQ, 400): ([1, 9, 24, 44, 68, 99, 138, 187, 241, 255, 255, 255, 255], {6: (119, 48, 15), 8: (225, 80, 22)}),
    (light.HLG, 1000): ([3, 16, 31, 46, 61, 76, 91, 107, 126, 150, 179, 207, 225], {6: (84, 52, 32), 10: (165, 95, 64)}),
}  # fmt: skip


@pytest.mark.parametrize(("transfer", "nits"), CHROMIUM)
def test_light_of_hdr_is_mapped_as_browsers_do(transfer, nits):
    greys, colours = CHROMIUM[transfer, nits]
    codes = np.arange(1, 14)[None, :, None] / 15 * np.ones(3)
    drawn = light.srgb((codes * 65535).round().astype(np.uint16), 9, transfer, nits)[0, :, 1]
    assert drawn.astype(int) == pytest.approx(greys, abs=2)
    for step, colour in colours.items():
        code = (np.array([[[1, 0.75, 0.5]]]) * step / 15 * 65535).round().astype(np.uint16)
        assert np.abs(light.srgb(code, 9, transfer, nits)[0, 0].astype(int) - colour).mean() <= 5


def test_a_wide_gamut_is_brought_into_that_of_the_screen(pool, tmp_path):
    """What stands for a middling green of P3 is a stronger green of sRGB; grey stays grey."""
    path = write(tmp_path / "a.mp4", flat(colour=(90, 160, 90)), matrix=Colorspace.ITU709, tags=(1, 12, 1))
    assert mean_of(decode(pool, path, SQUASHED)) == pytest.approx([60, 162, 81], abs=5)
    path = write(tmp_path / "b.mp4", flat(colour=(120, 120, 120)), matrix=Colorspace.ITU709, tags=(1, 12, 1))
    assert mean_of(decode(pool, path, SQUASHED)) == pytest.approx([120] * 3, abs=2)


@pytest.mark.parametrize(
    ("name", "codec", "size", "matrix"),
    [
        ("a.mp4", "libx264", (1280, 720), Colorspace.ITU709),
        ("b.mp4", "libx264", (1280, 544), Colorspace.ITU601),
        ("c.mp4", "libx264", (720, 1280), Colorspace.ITU709),
        ("a.webm", "libvpx", (1280, 720), Colorspace.ITU709),
        ("b.webm", "libvpx-vp9", (1280, 720), Colorspace.ITU601),
        ("a.ts", "mpeg2video", (1280, 720), Colorspace.ITU709),
        ("a.avi", "mjpeg", (1280, 720), Colorspace.ITU601),
    ],
)
def test_where_no_matrix_is_told_it_is_the_one_that_browsers_take(pool, tmp_path, name, codec, size, matrix):
    full = codec == "mjpeg"
    form = "yuvj420p" if full else "yuv420p"
    path = write(tmp_path / name, flat(size), codec, form, count=2, matrix=matrix, full=full)
    assert mean_of(decode(pool, path, SQUASHED)) == pytest.approx(FLAT, abs=5)


@pytest.mark.parametrize(("codec", "form"), [("mjpeg", "yuvj420p"), ("prores_ks", "yuv422p10le")])
def test_what_the_container_says_of_colours_counts_before_the_decoder(pool, tmp_path, codec, form):
    """Small films of BT.709, and large ones of BT.601, whose decoders tell nothing or something else."""
    for size, matrix, told in (((128, 96), Colorspace.ITU709, 1), ((1280, 720), Colorspace.ITU601, 6)):
        full = codec == "mjpeg"
        path = write(
            tmp_path / f"{told}.mov", flat(size), codec, form, count=2, matrix=matrix, full=full, tags=(told, told, told)
        )
        assert mean_of(decode(pool, path, SQUASHED)) == pytest.approx(FLAT, abs=5)


@pytest.mark.parametrize(
    ("name", "codec", "form", "options"),
    [
        ("a.webm", "libvpx-vp9", "yuva420p", {"auto-alt-ref": "0"}),
        ("b.webm", "libvpx", "yuva420p", {"auto-alt-ref": "0"}),
        ("a.mov", "qtrle", "argb", {}),
        ("b.mov", "prores_ks", "yuva444p10le", {}),
        ("c.mov", "png", "rgba", {}),
    ],
)
def test_colours_that_cannot_be_seen_do_not_come_out(pool, tmp_path, name, codec, form, options):
    pixels = np.zeros((96, 128, 4), np.uint8)
    pixels[:] = (200, 40, 40, 255)
    pixels[:, 64:] = (30, 60, 220, 0)
    frame = decode(pool, write(tmp_path / name, pixels, codec, form, **options), SQUASHED).cuts[0].content[-1].astype(int)
    assert frame[:, 4:28].mean(axis=(0, 1)) == pytest.approx(FLAT, abs=6)
    assert frame[:, 36:-4].mean() == pytest.approx(255, abs=4)


def test_a_fourth_byte_that_means_nothing_hides_nothing(pool, tmp_path):
    pixels = np.zeros((96, 128, 4), np.uint8)
    pixels[:] = (200, 40, 40, 0)
    path = write(tmp_path / "a.avi", pixels, "rawvideo", "bgra")
    assert mean_of(decode(pool, path, SQUASHED)) == pytest.approx(FLAT, abs=3)
