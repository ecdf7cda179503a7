"""Formats that Pillow does not read, or not well: Photoshop's and OpenEXR. The files are written here, by their specifications."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from search.errors import MediaError
from search.media import DecodePool
from search.types import Modality
from tests.bench.truth.profiles import cmyk_icc, icc
from tests.unit.media_pool import NEEDS, decode, refusal, settings
from tests.unit.test_media_colour import CHIPS, chips, encoded, meant, seen

SQUASHED = replace(NEEDS, fit="squash")


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(), 1) as pool:
        yield pool


def psd(pixels: np.ndarray, *, mode: int = 3, resources: dict[int, bytes] | None = None, layers: bytes = b"") -> bytes:
    """A PSD without compression from (H, W, channels) of 8 or 16 bits. ``mode``: 1 grey, 3 RGB, 4 CMYK."""
    height, width, channels = pixels.shape
    head = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", channels, height, width, pixels.dtype.itemsize * 8, mode)
    blocks = b"".join(
        b"8BIM" + struct.pack(">H", number) + b"\0\0" + struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)
        for number, data in (resources or {}).items()
    )
    planes = np.moveaxis(pixels, 2, 0).astype(pixels.dtype.newbyteorder(">")).tobytes()
    return head + bytes(4) + struct.pack(">I", len(blocks)) + blocks + struct.pack(">I", len(layers)) + layers + b"\0\0" + planes


def exr(light: np.ndarray, names: str) -> bytes:
    """An OpenEXR of scan lines without compression from (H, W, channels) float32, whose channels are in the order of the alphabet."""
    height, width, channels = light.shape
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    listed = b"".join(name.encode() + b"\0" + struct.pack("<iB3xii", 2, 0, 1, 1) for name in names) + b"\0"
    told = (
        ("channels", "chlist", listed), ("compression", "compression", b"\0"), ("dataWindow", "box2i", window), ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"), ("pixelAspectRatio", "float", struct.pack("<f", 1)), ("screenWindowCenter", "v2f", bytes(8)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
    )  # fmt: skip
    head = b"\x76\x2f\x31\x01\2\0\0\0"
    head += b"".join(f"{name}\0{kind}\0".encode() + struct.pack("<i", len(data)) + data for name, kind, data in told) + b"\0"
    lines = [struct.pack("<ii", row, 4 * width * channels) + light[row].T.astype("<f4").tobytes() for row in range(height)]
    first = len(head) + 8 * height
    return head + b"".join(struct.pack("<Q", first + row * len(lines[0])) for row in range(height)) + b"".join(lines)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("profile", [None, "adobe"])
def test_the_whole_picture_of_a_psd_is_seen_in_its_colours(pool, tmp_path, bits, profile):
    pixels = np.asarray(chips())
    pixels = pixels if bits == 8 else pixels.astype(np.uint16) * 257
    (tmp_path / "a.psd").write_bytes(psd(pixels, resources={1039: icc(profile)} if profile else None))
    found = decode(pool, tmp_path / "a.psd", SQUASHED)
    assert (found.info.modality, found.info.format, found.info.width, found.info.height) == (Modality.IMAGE, "psd", 64, 64)
    assert np.abs(seen(found.content) - (meant(profile) if profile else CHIPS)).max() <= 2
    assert found.gaps == []


def test_a_psd_of_grey_or_of_inks_is_read_too(pool, tmp_path):
    grey = np.asarray(chips().convert("L"))[..., None]
    for bits in (1, 257):
        (tmp_path / "grey.psd").write_bytes(psd(grey.astype(np.uint8 if bits == 1 else np.uint16) * bits, mode=1))
        assert np.abs(seen(decode(pool, tmp_path / "grey.psd", SQUASHED).content) - grey[0, 4::8]).max() <= 1
    inks = 255 - np.asarray(chips().convert("CMYK"))  # Photoshop stores how little ink there is
    (tmp_path / "inks.psd").write_bytes(psd(inks, mode=4))
    assert np.abs(seen(decode(pool, tmp_path / "inks.psd", SQUASHED).content) - CHIPS).max() <= 1
    (tmp_path / "inks.psd").write_bytes(psd(inks, mode=4, resources={1039: cmyk_icc()}))
    assert np.abs(seen(decode(pool, tmp_path / "inks.psd", SQUASHED).content) - CHIPS).mean() > 10


def test_what_is_written_in_a_psd_is_read(pool, tmp_path):
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        b'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title><rdf:Alt><rdf:li xml:lang="x-default">The harbour at dusk</rdf:li></rdf:Alt>'
        b"</dc:title></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    (tmp_path / "a.psd").write_bytes(psd(np.asarray(chips()), resources={1060: packet}))
    found = decode(pool, tmp_path / "a.psd", replace(NEEDS, size=0, rate=0, metadata=True))
    assert [cut.content for cut in found.cuts] == ["The harbour at dusk"]


def test_an_open_exr_is_light_and_what_is_brighter_than_white_is_white(pool, tmp_path):
    light = ((np.asarray(chips()) / 255.0) ** 2.2).astype(np.float32)
    light[:, 32:40] = 7.5
    (tmp_path / "a.exr").write_bytes(exr(light[..., ::-1], "BGR"))
    found = decode(pool, tmp_path / "a.exr", SQUASHED)
    want = encoded((CHIPS / 255) ** 2.2)
    want[4] = 255
    assert (found.info.format, found.info.width, found.info.height, found.gaps) == ("exr", 64, 64, [])
    assert np.abs(seen(found.content) - want).max() <= 2
    assert decode(pool, tmp_path / "a.exr", replace(NEEDS, size=0)).info == found.info


def test_transparency_of_an_open_exr_is_taken_out_of_its_light(pool, tmp_path):
    light = np.full((64, 64, 4), 0.25, np.float32)
    light[..., 0] = 0.5  # A: so that the light is half as strong as it seems
    (tmp_path / "a.exr").write_bytes(exr(light, "ABGR"))
    content = decode(pool, tmp_path / "a.exr", SQUASHED).content
    half = encoded(np.array(0.5)) / 2 + 255 / 2
    assert np.abs(content.astype(int) - half).max() <= 2


def test_an_open_exr_of_one_channel_is_a_picture_or_depth(pool, tmp_path):
    grey = np.full((64, 64, 1), 0.5, np.float32)
    (tmp_path / "a.exr").write_bytes(exr(grey, "Y"))
    assert np.abs(decode(pool, tmp_path / "a.exr", SQUASHED).content.astype(int) - encoded(np.array(0.5))).max() <= 1
    (tmp_path / "a.depth.exr").write_bytes(exr(grey * 2, "Y"))
    found = decode(pool, tmp_path / "a.depth.exr", SQUASHED)
    assert found.info.modality is Modality.DEPTH
    assert np.allclose(found.content, 0.5)


@pytest.mark.parametrize(
    "make", [lambda: psd(np.asarray(chips())), lambda: exr(np.ones((64, 64, 3), np.float32), "BGR")], ids=["psd", "exr"]
)
def test_damaged_ones_are_told(pool, tmp_path, make):
    content = make()
    told = {"undecodable", "truncated", "unsupported", "too_large", "not_text", None}
    for length in (8, 30, 200, 400, len(content) // 2, len(content) - 1):
        assert outcome(pool, tmp_path / "a.psd", content[:length]) in told
    chance = np.random.default_rng(5)
    for _ in range(40):
        damaged = bytearray(content)
        for at in chance.integers(0, 420, 6):
            damaged[at] = chance.integers(256)
        assert outcome(pool, tmp_path / "a.psd", bytes(damaged)) in told


def outcome(pool, path, content):
    """Why a file cannot be read; None: it can."""
    path.write_bytes(content)
    try:
        found = decode(pool, path, SQUASHED)
    except MediaError as error:
        return error.reason
    assert found.content.shape[:2] == (64, 64)
    return None


def test_layers_are_no_pages(pool, tmp_path):
    rows = struct.pack(">H", 2)
    layer = (
        struct.pack(">iiiiH", 0, 0, 8, 8, 1)
        + struct.pack(">hI", 0, 66)
        + b"8BIMnorm"
        + bytes([255, 0, 0, 0])
        + struct.pack(">I", 0)
    )
    layers = rows + layer * 2 + (b"\0\0" + bytes(64)) * 2
    body = struct.pack(">I", len(layers)) + layers
    (tmp_path / "a.psd").write_bytes(psd(np.asarray(chips()), layers=body))
    found = decode(pool, tmp_path / "a.psd", SQUASHED)
    assert np.abs(seen(found.content) - CHIPS).max() <= 1


def test_a_huge_one_is_refused_before_it_is_decoded(pool, tmp_path):
    content = bytearray(psd(np.asarray(chips())))
    content[14:22] = struct.pack(">II", 30_000, 30_000)
    (tmp_path / "a.psd").write_bytes(content)
    assert refusal(pool, tmp_path / "a.psd").reason == "too_large"
    assert Image.MAX_IMAGE_PIXELS is None or Image.MAX_IMAGE_PIXELS > 0
