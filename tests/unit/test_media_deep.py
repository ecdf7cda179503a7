"""Deep pictures, and kinds of TIFF that Pillow does not read or reads wrong."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from search.media import DecodePool
from search.types import Modality
from tests.bench.truth.pictures import tiffs
from tests.bench.truth.tiff import tiff
from tests.unit.media_pool import NEEDS, decode, refusal, settings

SQUASHED = replace(NEEDS, fit="squash")
RAMP = np.linspace(0, 255, 64).round()[None].repeat(48, 0).astype(np.uint8)
RGB = np.stack([RAMP, RAMP[:, ::-1], RAMP // 2], -1)


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(max_frames=4), 1) as pool:
        yield pool


def likeness(content: np.ndarray, right: np.ndarray) -> float:
    wanted = np.asarray(Image.fromarray(right).convert("RGB").resize((64, 64), Image.Resampling.BICUBIC))
    return float(np.abs(content.astype(int) - wanted).mean())


@pytest.mark.parametrize("name", [name for name, *_ in tiffs(RGB) if not name.startswith(("icc", "tiff", "packbits", "jpeg"))])
def test_every_kind_of_tiff_looks_right(pool, tmp_path, name):
    make, right = next((make, right) for one, make, right in tiffs(RGB) if one == name)
    make(tmp_path / name, tmp_path)
    found = decode(pool, tmp_path / name, SQUASHED)
    assert likeness(found.content, right) < 2
    assert (found.gaps, found.info.width, found.info.height) == ([], 64, 48)


@pytest.mark.parametrize("turned", [1, 3, 6])
def test_what_ffmpeg_reads_of_a_tiff_is_upright(pool, tmp_path, turned):
    stored = {1: RGB, 3: RGB[::-1, ::-1], 6: np.rot90(RGB)}[turned]
    (tmp_path / "a.tif").write_bytes(tiff(np.ascontiguousarray(stored).astype(np.float32) / 255, kind=3, turned=turned))
    found = decode(pool, tmp_path / "a.tif", SQUASHED)
    assert (found.info.width, found.info.height) == (64, 48)
    assert likeness(found.content, RGB) < 2
    assert decode(pool, tmp_path / "a.tif", replace(SQUASHED, size=0)).info == found.info


@pytest.mark.parametrize("whole", [True, False])
def test_numbers_beyond_one_are_stretched(pool, tmp_path, whole):
    values = RGB.astype(np.float32) * (3 if whole else 0.01)
    (tmp_path / "a.tif").write_bytes(tiff(values, kind=3))
    assert likeness(decode(pool, tmp_path / "a.tif", SQUASHED).content, RGB) < 2


def test_grey_with_a_channel_of_transparency_is_read(pool, tmp_path):
    pair = np.stack([RAMP, np.where(np.arange(64) < 32, 255, 0)[None].repeat(48, 0)], -1).astype("<u2") * 257
    (tmp_path / "a.tif").write_bytes(tiff(pair, photometric=1))
    content = decode(pool, tmp_path / "a.tif", SQUASHED).content
    assert content[:, 40:].min() == 255
    assert np.abs(content[24, 2:28, 0].astype(int) - RAMP[0, 2:28]).max() <= 6


@pytest.mark.parametrize(
    ("pixels", "kind", "told"),
    [
        (np.zeros((8, 8, 3), np.float64), 3, "3 floating-point numbers of 64 bits"),
        (np.zeros((8, 8, 3), np.uint32), 1, "3 whole numbers of 32 bits"),
        (np.zeros((8, 8, 5), np.uint16), 1, "5 whole numbers of 16 bits"),
    ],
)
def test_a_tiff_that_nothing_reads_is_told_by_what_it_holds(pool, tmp_path, pixels, kind, told):
    (tmp_path / "a.tif").write_bytes(tiff(pixels, kind=kind))
    error = refusal(pool, tmp_path / "a.tif")
    assert error.reason == "unsupported"
    assert told in str(error)


def test_a_damaged_deep_tiff_is_no_crash(pool, tmp_path):
    content = tiff(RGB.astype(np.float32) / 255, kind=3)
    for length in (200, len(content) // 2, len(content) - 20):
        (tmp_path / "a.tif").write_bytes(content[:length])
        assert refusal(pool, tmp_path / "a.tif").reason in ("undecodable", "truncated", "unsupported")


def test_depth_of_32_bits_without_a_sign_is_depth(pool, tmp_path):
    millimetres = np.full((48, 64), 1000, np.uint32)
    millimetres[:, 32:] = 3_000_000_000
    (tmp_path / "a.depth.tif").write_bytes(tiff(millimetres))
    found = decode(pool, tmp_path / "a.depth.tif", SQUASHED)
    assert found.info.modality is Modality.DEPTH
    assert np.allclose(found.content[:, :28], 0.5, atol=1e-3)
    assert np.allclose(found.content[:, 36:], 0, atol=1e-3)


def test_an_apng_begins_with_its_first_frame_and_not_with_the_picture_for_others(pool, tmp_path):
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    hidden, *frames = [Image.new("RGB", (40, 40), colour) for colour in colours]
    for name, some in {"two": frames, "one": frames[:1]}.items():
        hidden.save(tmp_path / f"{name}.png", save_all=True, default_image=True, append_images=some, duration=100)
        found = decode(pool, tmp_path / f"{name}.png", SQUASHED)
        content = found.content if found.content.ndim == 4 else found.content[None]
        assert [tuple(frame[30, 30]) for frame in content] == colours[1 : 1 + len(some)]


def test_a_tiff_whose_tags_are_wrong_is_told(pool, tmp_path):
    content = bytearray(tiff(RGB))
    at = content.index(struct.pack("<HHI", 258, 3, 3))
    content[at + 8 : at + 12] = struct.pack("<I", 0xFFFFFF)
    (tmp_path / "a.tif").write_bytes(content)
    assert refusal(pool, tmp_path / "a.tif").reason in ("undecodable", "unsupported")
