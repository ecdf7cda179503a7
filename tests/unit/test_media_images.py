from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from search.media import DecodePool
from search.types import Channel, DateSource, Modality, Stamp
from tests.media_samples import COLOURS, IMAGES, colour_of, corner, picture
from tests.unit.media_pool import NEEDS, decode, refusal, settings


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(max_frames=4, max_pixels=50_000_000), 1) as pool:
        yield pool


@pytest.mark.parametrize("suffix", IMAGES)
def test_every_picture_format_gives_its_colour_and_its_size(pool, tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    picture("red").save(path)
    found = decode(pool, path)
    assert (found.info.modality, found.info.width, found.info.height, found.info.duration_ms) == (
        Modality.IMAGE,
        120,
        80,
        None,
    )
    assert found.info.format == {"jpg": "jpeg"}.get(suffix, suffix)
    (cut,) = found.cuts
    assert (cut.channel, cut.modality, cut.span) == (Channel.VISUAL, Modality.IMAGE, None)
    assert cut.content.shape == (64, 64, 3)
    assert cut.content.dtype == np.uint8
    assert colour_of(cut.content) == "red"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "avif"])
def test_a_turned_picture_is_set_upright(pool, tmp_path, suffix, orientation):
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # ROTATE_180 = 3, ROTATE_90 = 2 ...
    upright = corner((160, 80))
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    stored.save(path, exif=exif)
    found = decode(pool, path, replace(NEEDS, fit="squash"))
    assert (found.info.width, found.info.height) == (160, 80)
    assert colour_of(found.content[4:28, 4:28]) == "red"
    assert colour_of(found.content[36:, :]) == colour_of(found.content[:, 36:]) == "blue"


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff"])
@pytest.mark.parametrize("orientation", [1, 6, 7])
def test_a_crop_is_of_the_upright_picture(pool, tmp_path, suffix, orientation):
    upright, exif, path = corner((1600, 800)), Image.Exif(), tmp_path / f"a.{suffix}"
    exif[0x0112] = orientation
    stored = {1: upright, 6: upright.transpose(Image.Transpose.ROTATE_90), 7: upright.transpose(Image.Transpose.TRANSVERSE)}
    stored[orientation].save(path, exif=exif)
    for crop, colour in (((0, 0, 45, 45), "red"), ((55, 5, 40, 90), "blue"), ((99.99, 0, 0.01, 100), "blue")):
        found = decode(pool, path, replace(NEEDS, fit="squash", crop=crop))
        assert colour_of(found.content) == colour
        assert (found.info.width, found.info.height) == (max(1, crop[2] * 16), crop[3] * 8)
        assert len(found.cuts) == 1


def test_of_an_animation_a_crop_is_of_its_first_frame(pool, tmp_path):
    frames = [picture(name) for name in ("red", "blue", "red")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    found = decode(pool, tmp_path / "a.gif", replace(NEEDS, crop=(10, 10, 50, 50)))
    assert colour_of(found.content) == "red"
    assert found.content.shape == (64, 64, 3)


def test_webp_is_shown_as_it_lies_whatever_its_exif_says(pool, tmp_path):
    """No browser turns it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    corner((160, 80)).save(tmp_path / "a.webp", exif=exif)
    found = decode(pool, tmp_path / "a.webp", replace(NEEDS, fit="squash"))
    assert (found.info.width, found.info.height) == (160, 80)
    assert colour_of(found.content[4:28, 4:28]) == "red"


def test_fits_differ_in_what_they_keep(pool, tmp_path):
    wide = picture("blue", (300, 100))
    wide.paste(COLOURS["red"], (0, 0, 90, 100))
    wide.save(tmp_path / "a.png")
    crop, squash, pad = (decode(pool, tmp_path / "a.png", replace(NEEDS, fit=fit)).content for fit in ("crop", "squash", "pad"))
    assert colour_of(crop[:, :8]) == "blue"
    assert colour_of(squash[:, :16]) == "red"
    assert colour_of(pad[24:40, :16]) == "red"
    assert pad[:20].max() == 0


def test_a_large_photo_decoded_small_looks_like_itself_decoded_whole(pool, tmp_path):
    ramp = np.linspace(0, 255, 2000)
    photo = Image.fromarray(np.stack(np.broadcast_arrays(ramp[None], ramp[:, None], np.float64(90)), -1).astype(np.uint8))
    photo.save(tmp_path / "a.jpg", quality=95)
    want = np.asarray(photo.resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(decode(pool, tmp_path / "a.jpg").content - want).mean() < 2


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(pool, tmp_path, mode):
    clear = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    path = tmp_path / "a.png"
    clear.convert(mode).save(path, **({"transparency": 0} if mode == "P" else {}))
    assert decode(pool, path).content.min() > 250


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("1", "png"),
        ("L", "bmp"),
        ("CMYK", "jpg"),
        ("CMYK", "tiff"),
        ("YCbCr", "tiff"),
        ("I;16", "png"),
        ("I;16", "tiff"),
        ("F", "tiff"),
        ("I", "tiff"),
    ],
)
def test_every_mode_becomes_colours(pool, tmp_path, mode, suffix):
    grey = np.full((80, 120), 0.7)
    grey[:, :60] = 0.2
    scale, kind = {"I;16": (65535, np.uint16), "I": (65535, np.int32), "F": (1, np.float32)}.get(mode, (255, np.uint8))
    image = Image.fromarray((grey * scale).astype(kind))
    image = image if mode in ("I;16", "I", "F") else image.convert(mode)
    image.save(tmp_path / f"a.{suffix}")
    content = decode(pool, tmp_path / f"a.{suffix}").content
    assert content.shape == (64, 64, 3)
    assert content[:, 40:].mean() - content[:, :24].mean() > 60


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "avif"])
def test_an_animation_is_one_cut_of_spread_frames(pool, tmp_path, suffix):
    frames = [picture(colour) for colour in ("red", "red", "green", "green", "blue", "blue", "yellow", "yellow")]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], duration=100)
    found = decode(pool, tmp_path / f"a.{suffix}")
    (cut,) = found.cuts
    assert (found.info.modality, cut.modality, cut.channel, cut.span) == (
        Modality.IMAGE,
        Modality.VIDEO,
        Channel.VISUAL,
        None,
    )
    assert [colour_of(frame) for frame in cut.content] == ["red", "green", "blue", "yellow"]
    assert 700 <= found.info.duration_ms <= 900


def test_a_phone_jpeg_with_a_second_picture_inside_is_a_jpeg(pool, tmp_path):
    picture("red").save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[picture("blue")])
    found = decode(pool, tmp_path / "a.jpg")
    assert (found.info.format, found.content.shape, colour_of(found.content)) == ("jpeg", (64, 64, 3), "red")


def test_when_a_picture_was_taken_is_told(pool, tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2018:04:19 22:46:00"
    picture("red").save(tmp_path / "a.jpg", exif=exif)
    assert decode(pool, tmp_path / "a.jpg").info.stamps == (Stamp(DateSource.EXIF, "2018-04-19T22:46:00"),)


@pytest.mark.parametrize(("stored", "named"), [("jpg", "png"), ("png", "txt"), ("webp", "mp4"), ("gif", "mp3"), ("jpg", "")])
def test_a_picture_under_a_wrong_name_is_still_a_picture(pool, tmp_path, stored, named):
    picture("green").save(tmp_path / f"a.{stored}")
    path = (tmp_path / f"a.{stored}").rename(tmp_path / f"b.{named}")
    assert colour_of(decode(pool, path).content) == "green"


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_the_rest_of_a_cut_off_picture_is_used_and_the_loss_told(pool, tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    rng = np.random.default_rng(1)
    noisy = np.asarray(picture("red", (400, 400))).astype(int) + rng.integers(-30, 30, (400, 400, 3))
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    found = decode(pool, path)
    assert colour_of(found.content[:20]) == "red"
    assert [gap.reason for gap in found.gaps] == ["truncated"]


@pytest.mark.parametrize("suffix", IMAGES)
def test_a_picture_of_which_only_the_head_is_left_is_an_error(pool, tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    picture("red", (200, 200)).save(path)
    path.write_bytes(path.read_bytes()[:60])
    assert refusal(pool, path).reason in ("undecodable", "truncated")


def test_a_huge_picture_is_refused_before_it_is_decoded(pool, tmp_path):
    small = io.BytesIO()
    Image.new("1", (30, 30)).save(small, "png")
    head = b"IHDR" + struct.pack(">II", 30_000, 30_000) + small.getvalue()[24:29]
    (tmp_path / "a.png").write_bytes(small.getvalue()[:12] + head + struct.pack(">I", zlib.crc32(head)) + small.getvalue()[33:])
    error = refusal(pool, tmp_path / "a.png")
    assert error.reason == "too_large"
    assert "max_pixels" in str(error)


def test_a_picture_that_needs_too_much_memory_is_refused_and_the_decoder_lives(tmp_path):
    Image.new("RGBA", (8000, 8000), (1, 2, 3, 128)).save(tmp_path / "a.png", compress_level=1)
    picture("red").save(tmp_path / "b.png")
    with DecodePool(settings(decode_memory=400 << 20), 1) as small:
        assert refusal(small, tmp_path / "a.png").reason in ("too_large", "killed")
        assert colour_of(decode(small, tmp_path / "b.png").content) == "red"


def test_postscript_under_a_pictures_name_is_not_run(pool, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EOF\n")
    assert refusal(pool, tmp_path / "a.jpg").reason == "unsupported"


@pytest.mark.parametrize("filter_", ["bilinear", "bicubic"])
def test_a_picture_is_scaled_by_the_filter_that_is_wanted(pool, tmp_path, filter_):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 110, 3), np.uint8))
    noise.save(tmp_path / "a.png")
    wanted = np.asarray(noise.resize((64, 64), Image.Resampling[filter_.upper()]), np.int16)
    found = decode(pool, tmp_path / "a.png", replace(NEEDS, fit="squash", filter=filter_)).content
    assert np.abs(found - wanted).max() <= 1


@pytest.mark.parametrize("suffix", IMAGES)
def test_a_picture_that_nobody_wants_gives_only_what_is_known_of_it(pool, tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture("red").save(tmp_path / f"a.{suffix}", **({} if suffix in ("gif", "bmp") else {"exif": exif}))
    whole, found = decode(pool, tmp_path / f"a.{suffix}"), decode(pool, tmp_path / f"a.{suffix}", replace(NEEDS, size=0))
    assert found.info == whole.info
    assert (found.cuts, found.gaps) == ([], [])


def test_a_damaged_picture_that_nobody_wants_is_no_failure(pool, tmp_path):
    picture("red", (400, 300)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    assert decode(pool, tmp_path / "a.png", replace(NEEDS, size=0)).gaps == []
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff" + b"\0" * 50)
    assert refusal(pool, tmp_path / "b.jpg", replace(NEEDS, size=0)).reason == "undecodable"
