"""What the values of pictures mean: profiles, code points, gammas. Expected values are computed here, by their definitions."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from search.media import DecodePool
from search.media.decode.colour import MAX_PROFILE
from tests.bench.truth.profiles import GAMMAS, PRIMARIES, cmyk_icc, grey_icc, icc
from tests.unit.media_pool import NEEDS, decode, settings

SQUASHED = replace(NEEDS, fit="squash")
CHIPS = np.array(
    [[200, 100, 50], [60, 120, 180], [128, 128, 128], [30, 90, 40], [235, 235, 235], [20, 20, 20], [150, 60, 120], [90, 200, 190]]
)
"""Colours that are within sRGB whatever the primaries."""
P3 = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(max_frames=4), 1) as pool:
        yield pool


def chips(colours: np.ndarray = CHIPS) -> Image.Image:
    return Image.fromarray(colours.astype(np.uint8)[None].repeat(64, 0).repeat(8, 1))


def seen(content: np.ndarray) -> np.ndarray:
    return content[32, 4::8].astype(int)


def encoded(light: np.ndarray) -> np.ndarray:
    light = light.clip(0, 1)
    return (np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255).round()


def meant(name: str) -> np.ndarray:
    """What the colours are under a profile of the bench, in sRGB."""
    light = (CHIPS / 255.0) ** GAMMAS[name] @ np.array(PRIMARIES[name])
    return encoded(light @ np.linalg.inv(np.array(PRIMARIES["srgb"])))


def display_p3() -> np.ndarray:
    """What the colours are with sRGB's curve and the primaries of P3, in sRGB."""
    light = np.where(CHIPS / 255 <= 0.04045, CHIPS / 255 / 12.92, ((CHIPS / 255 + 0.055) / 1.055) ** 2.4)
    return encoded(light @ np.array(PRIMARIES["p3"]) @ np.linalg.inv(np.array(PRIMARIES["srgb"])))


def png(path, image, *chunks, **options):
    info = PngImagePlugin.PngInfo()
    for kind, data in chunks:
        info.add(kind, data)
    image.save(path, pnginfo=info, **options)


@pytest.mark.parametrize("name", ["p3", "adobe", "prophoto"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "avif"])
def test_a_profile_says_what_values_mean(pool, tmp_path, name, suffix):
    options = {
        "jpg": {"quality": 100, "subsampling": 0},
        "webp": {"lossless": True},
        "avif": {"quality": 100, "subsampling": "4:4:4"},
    }
    chips().save(tmp_path / f"a.{suffix}", icc_profile=icc(name), **options.get(suffix, {}))
    found = decode(pool, tmp_path / f"a.{suffix}", SQUASHED)
    assert np.abs(seen(found.content) - meant(name)).max() <= 4
    assert found.gaps == []


def test_a_profile_of_grey_or_of_inks_is_used_too(pool, tmp_path):
    grey, inks = chips().convert("L"), chips().convert("CMYK")
    grey.save(tmp_path / "grey.png", icc_profile=grey_icc(1.0))
    want = encoded(np.asarray(grey)[0, 4::8, None].repeat(3, 1) / 255.0)
    assert np.abs(seen(decode(pool, tmp_path / "grey.png", SQUASHED).content) - want).max() <= 2
    inks.save(tmp_path / "inks.tif", icc_profile=cmyk_icc())
    assert np.abs(seen(decode(pool, tmp_path / "inks.tif", SQUASHED).content) - CHIPS).mean() > 10


def test_grey_may_have_a_profile_of_colours(pool, tmp_path):
    linear = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    chips().convert("L").save(tmp_path / "a.jpg", quality=100, icc_profile=linear)
    found = decode(pool, tmp_path / "a.jpg", SQUASHED)
    assert np.abs(seen(found.content) - np.asarray(chips().convert("L"))[0, 4::8, None]).max() <= 2
    assert found.gaps == []


@pytest.mark.parametrize(
    ("profile", "why"),
    [
        (b"x" * 300, "cannot open profile"),
        (icc("p3")[:200], "cannot"),
        (cmyk_icc(), "it is of CMYK colours, the picture of RGB"),
        (grey_icc(1.0), "it is of GRAY colours, the picture of RGB"),
        (icc("p3").ljust(MAX_PROFILE + 1, b"\0"), f"{MAX_PROFILE} are at most"),
    ],
    ids=["noise", "cut", "inks", "grey", "huge"],
)
@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_a_profile_that_cannot_be_used_is_told_and_the_picture_seen(pool, tmp_path, suffix, profile, why):
    chips().save(tmp_path / f"a.{suffix}", icc_profile=profile)
    found = decode(pool, tmp_path / f"a.{suffix}", SQUASHED)
    assert np.abs(seen(found.content) - CHIPS).max() <= 1
    assert [gap.reason for gap in found.gaps] == ["colours"]
    assert why in found.gaps[0].detail


def test_a_profile_in_pieces_of_which_one_is_missing_is_told(pool, tmp_path):
    chips().save(tmp_path / "a.jpg", quality=100, subsampling=0, icc_profile=icc("p3").ljust(100_000, b"\0"))
    content = (tmp_path / "a.jpg").read_bytes()
    at = content.index(b"\xff\xe2")
    (tmp_path / "a.jpg").write_bytes(content[:at] + content[at + 2 + int.from_bytes(content[at + 2 : at + 4], "big") :])
    found = decode(pool, tmp_path / "a.jpg", SQUASHED)
    assert np.abs(seen(found.content) - CHIPS).max() <= 4
    assert [(gap.reason, gap.detail) for gap in found.gaps] == [("colours", "what it says of its colours is damaged")]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (b"iCCP", b"k\0\0" + zlib.compress(bytes(80 << 20))), (b"iCCP", b"k\0\1" + zlib.compress(icc("p3"))), (b"iCCP", b"k\0"), (b"iCCP", b""),
        (b"iCCP", b"k\0\0noise"), (b"gAMA", b"\0"), (b"cHRM", b"\0" * 30), (b"sRGB", b""),
    ],
    ids=["bomb", "method", "cut", "empty", "noise", "gamma", "primaries", "intent"],
)  # fmt: skip
def test_a_damaged_chunk_of_colours_is_told_and_the_picture_seen(pool, tmp_path, kind, data):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), (200, 100, 50)).save(buffer, "PNG")
    content = buffer.getvalue()
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    (tmp_path / "a.png").write_bytes(content[:33] + chunk + content[33:])
    found = decode(pool, tmp_path / "a.png", SQUASHED)
    assert (found.content == [200, 100, 50]).all()
    assert [gap.reason for gap in found.gaps] == ["colours"]


def test_any_bytes_for_a_profile_leave_a_picture(pool, tmp_path):
    chance = np.random.default_rng(3)
    for number in range(60):
        profile = bytearray((icc("p3"), cmyk_icc(), grey_icc(2.0))[number % 3])
        for at in chance.integers(0, min(len(profile), 500), 1 + number // 6):
            profile[at] = chance.integers(256)
        chips().convert(("RGB", "CMYK", "L")[number % 3]).save(tmp_path / "a.tif", icc_profile=bytes(profile))
        found = decode(pool, tmp_path / "a.tif", SQUASHED)
        assert found.content.shape == (64, 64, 3)
        assert {gap.reason for gap in found.gaps} <= {"colours"}


def test_what_shines_through_has_its_colours_too(pool, tmp_path):
    image = chips()
    image.putalpha(Image.fromarray(np.repeat([[255] * 32 + [0] * 32], 64, 0).astype(np.uint8)))
    image.save(tmp_path / "a.png", icc_profile=icc("adobe"))
    got = seen(decode(pool, tmp_path / "a.png", SQUASHED).content)
    assert np.abs(got[:4] - meant("adobe")[:4]).max() <= 2
    assert got[4:].min() == 255


def test_an_animation_has_the_colours_of_its_profile(pool, tmp_path):
    chips().save(
        tmp_path / "a.webp", save_all=True, append_images=[chips(CHIPS[::-1])], lossless=True, icc_profile=icc("p3"), duration=100
    )
    first, last = decode(pool, tmp_path / "a.webp", SQUASHED).content
    assert np.abs(seen(first) - meant("p3")).max() <= 2
    assert np.abs(seen(last) - meant("p3")[::-1]).max() <= 2


def test_code_points_of_a_png_go_before_its_profile(pool, tmp_path):
    png(tmp_path / "a.png", chips(), (b"cICP", bytes([12, 13, 0, 1])), icc_profile=icc("prophoto"))
    assert np.abs(seen(decode(pool, tmp_path / "a.png", SQUASHED).content) - display_p3()).max() <= 1


def test_gamma_and_primaries_of_a_png_count_where_nothing_better_does(pool, tmp_path):
    linear = (b"gAMA", struct.pack(">I", 100_000))
    png(tmp_path / "gamma.png", chips(), linear)
    assert np.abs(seen(decode(pool, tmp_path / "gamma.png", SQUASHED).content) - encoded(CHIPS / 255)).max() <= 1
    png(tmp_path / "noise.png", chips(), linear, icc_profile=b"x" * 300)
    assert np.abs(seen(decode(pool, tmp_path / "noise.png", SQUASHED).content) - encoded(CHIPS / 255)).max() <= 1
    png(tmp_path / "p3.png", chips(), (b"gAMA", struct.pack(">I", 45_455)), (b"cHRM", P3))
    assert np.abs(seen(decode(pool, tmp_path / "p3.png", SQUASHED).content) - meant("p3")).max() <= 2
    for name, chunks in {
        "srgb": ((b"sRGB", b"\0"), linear), "usual": ((b"gAMA", struct.pack(">I", 45_455)),), "none": ((b"cHRM", P3),), "zero": ((b"gAMA", bytes(4)),),
    }.items():  # fmt: skip
        png(tmp_path / f"{name}.png", chips(), *chunks)
        found = decode(pool, tmp_path / f"{name}.png", SQUASHED)
        assert np.abs(seen(found.content) - CHIPS).max() == 0, name
        assert found.gaps == []


@pytest.mark.parametrize(("transfer", "half", "white"), [(16, 132, 148), (18, 99, 191)])
def test_bright_light_is_brought_down_as_browsers_do(pool, tmp_path, transfer, half, white):
    """Chromium 156 shows 187 for diffuse white of either curve, and these values for 128."""
    values = np.repeat(np.array([0, 128, white, 255, 0, 128, white, 255])[:, None], 3, 1)
    png(tmp_path / "a.png", chips(values), (b"cICP", bytes([9, transfer, 0, 1])))
    assert np.abs(seen(decode(pool, tmp_path / "a.png", SQUASHED).content)[:4, 0] - [0, half, 187, 255]).max() <= 1


def test_code_points_of_an_avif_count(pool, tmp_path):
    chips().save(tmp_path / "a.avif", quality=100, subsampling="4:4:4")
    content = bytearray((tmp_path / "a.avif").read_bytes())
    at = content.index(b"colrnclx") + 8
    content[at : at + 4] = struct.pack(">HH", 12, 13)
    (tmp_path / "a.avif").write_bytes(content)
    got = seen(decode(pool, tmp_path / "a.avif", SQUASHED).content)
    assert np.abs(got - display_p3()).max() <= 2


def test_a_profile_in_jpeg_2000_counts(pool, tmp_path):
    chips().save(tmp_path / "a.jp2")
    content = (tmp_path / "a.jp2").read_bytes()
    at, header = content.index(b"colr") - 4, content.index(b"jp2h") - 4
    size = int.from_bytes(content[at : at + 4], "big")
    box = b"colr\2\0\0" + icc("adobe")
    box = struct.pack(">I", len(box) + 4) + box
    whole = struct.pack(">I", int.from_bytes(content[header : header + 4], "big") + len(box) - size)
    (tmp_path / "a.jp2").write_bytes(content[:header] + whole + content[header + 4 : at] + box + content[at + size :])
    found = decode(pool, tmp_path / "a.jp2", SQUASHED)
    assert found.gaps == []
    assert np.abs(seen(found.content) - meant("adobe")).max() <= 4


def test_lab_becomes_colours(pool, tmp_path):
    to_lab = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")),
        "RGB",
        "LAB",
    )
    lab = ImageCms.applyTransform(chips(), to_lab)
    assert lab is not None
    for name, options in {"with": {}, "without": {"icc_profile": None}}.items():
        lab.save(tmp_path / f"{name}.tif", **options)
        found = decode(pool, tmp_path / f"{name}.tif", SQUASHED)
        assert np.abs(seen(found.content) - CHIPS).max() <= 6, name  # 8 bits of a and b are coarse
        assert found.gaps == []


def test_thumbnails_and_embedding_see_the_same_colours(pool, tmp_path):
    chips().save(tmp_path / "a.png", icc_profile=icc("prophoto"))
    small, large = (decode(pool, tmp_path / "a.png", replace(NEEDS, size=size, fit="pad")).content for size in (64, 320))
    assert np.abs(small[32, 4::8].astype(int) - large[160, 20::40]).max() <= 2
    assert np.abs(seen(small) - meant("prophoto")).max() <= 2


def test_a_picture_that_says_nothing_is_taken_as_it_is(pool, tmp_path):
    buffer = io.BytesIO()
    chips().save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    assert (seen(decode(pool, tmp_path / "a.png", SQUASHED).content) == CHIPS).all()
