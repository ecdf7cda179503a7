"""Pages of a TIFF and slides of an animation: each is seen, or it is told that it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from search.media import DecodePool
from search.types import Channel, Modality
from tests.bench.truth.drawing import drawn, number
from tests.bench.truth.tiff import tiff
from tests.media_samples import colour_of, picture
from tests.unit.media_pool import NEEDS, decode, refusal, settings

PADDED = replace(NEEDS, size=320, fit="pad")


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(max_frames=4, max_pages=12), 1) as pool:
        yield pool


def save(path, count, size=(640, 480), **options):
    some = [Image.fromarray(drawn(one, one, size)) for one in range(1, count + 1)]
    some[0].save(path, save_all=True, append_images=some[1:], **options)


def numbers(cuts):
    return [number(content) for cut in cuts for content in (cut.content if cut.content.ndim == 4 else cut.content[None])]


@pytest.mark.parametrize("suffix", ["tiff", "gif", "webp", "png", "avif"])
@pytest.mark.parametrize("size", [320, 1600])
def test_each_page_and_slide_is_a_cut_of_its_own_at_any_size(pool, tmp_path, suffix, size):
    save(tmp_path / f"a.{suffix}", 7, **({} if suffix == "tiff" else {"duration": 2000}))
    found = decode(pool, tmp_path / f"a.{suffix}", replace(PADDED, size=size))
    assert {(cut.channel, cut.modality, cut.span, cut.content.shape) for cut in found.cuts} == {
        (Channel.VISUAL, Modality.IMAGE, None, (size, size, 3))
    }
    told = [number(cut.content[size // 8 : size * 7 // 8]) for cut in found.cuts]
    assert told == list(range(1, 8))
    assert found.gaps == []
    assert found.info.duration_ms == (None if suffix == "tiff" else 14_000)


def test_slides_stand_alone_amid_what_moves(pool, tmp_path):
    save(tmp_path / "a.gif", 10, duration=[40] * 4 + [3000] + [40] * 5)
    found = decode(pool, tmp_path / "a.gif", replace(PADDED, fit="squash"))
    assert sorted(cut.modality for cut in found.cuts) == [Modality.IMAGE, Modality.VIDEO]
    assert numbers(cut for cut in found.cuts if cut.modality is Modality.IMAGE) == [5]
    assert numbers(cut for cut in found.cuts if cut.modality is Modality.VIDEO) == [1, 4, 7, 10]


def test_what_moves_comes_in_parts_that_fit_into_memory(tmp_path):
    save(tmp_path / "a.gif", 8, duration=40)
    with DecodePool(settings(max_frames=8), 1) as pool:
        found = decode(pool, tmp_path / "a.gif", replace(PADDED, size=1600, fit="squash"))
    assert [len(cut.content) for cut in found.cuts] == [3, 3, 2]
    assert numbers(found.cuts) == list(range(1, 9))


@pytest.mark.parametrize(("suffix", "what"), [("tiff", "pages"), ("gif", "slides")])
def test_pages_beyond_the_most_are_told(pool, tmp_path, suffix, what):
    save(tmp_path / f"a.{suffix}", 15, **({} if suffix == "tiff" else {"duration": 900}))
    found = decode(pool, tmp_path / f"a.{suffix}", replace(PADDED, fit="squash"))
    assert numbers(found.cuts) == list(range(1, 13))
    assert [(gap.reason, gap.detail) for gap in found.gaps] == [
        ("not_sampled", f"only the first 12 of 15 {what} were looked at (max_pages)")
    ]


def test_pages_that_take_too_long_are_told_and_the_others_seen(tmp_path):
    shades = np.random.default_rng(0).integers(0, 255, (40, 1500, 1500), np.uint8)
    some = [Image.fromarray(one) for one in shades]
    some[0].save(tmp_path / "a.tif", save_all=True, append_images=some[1:], compression="tiff_lzw")
    with DecodePool(settings(decode_seconds=1), 1) as pool:
        found = decode(pool, tmp_path / "a.tif", replace(PADDED, size=1600))
    assert 1 <= len(found.cuts) < 40
    (gap,) = found.gaps
    assert gap.reason == "not_sampled"
    assert gap.detail == f"only {len(found.cuts)} of 40 pages or frames were looked at: the others take too long"


def test_a_page_that_cannot_be_read_is_told_and_the_others_seen(pool, tmp_path):
    pages = [tiff(drawn(1, 1)), tiff(np.zeros((4, 4, 3), np.float64), kind=3), tiff(drawn(3, 3))]
    (tmp_path / "a.tif").write_bytes(chained(pages))
    found = decode(pool, tmp_path / "a.tif", replace(PADDED, fit="squash"))
    assert numbers(found.cuts) == [1, 3]
    assert [gap.reason for gap in found.gaps] == ["not_sampled"]
    assert "page 2 cannot be read" in found.gaps[0].detail
    assert "64 bits" in found.gaps[0].detail


def chained(pages: list[bytes]) -> bytes:
    """TIFFs of one page each as one of several: places move by where each page begins."""
    whole = bytearray(b"II*\0\0\0\0\0")
    last = 4
    for page in pages:
        at, body = len(whole), bytearray(page)
        directory = int.from_bytes(body[4:8], "little")
        count = int.from_bytes(body[directory : directory + 2], "little")
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, form, many = (int.from_bytes(body[entry + a : entry + b], "little") for a, b in ((0, 2), (2, 4), (4, 8)))
            long = many * (2 if form == 3 else 1 if form == 7 else 4) > 4
            place = int.from_bytes(body[entry + 8 : entry + 12], "little")
            if tag == 273 and long:
                for one in range(place, place + 4 * many, 4):
                    body[one : one + 4] = (int.from_bytes(body[one : one + 4], "little") + at).to_bytes(4, "little")
            if long or tag == 273:
                body[entry + 8 : entry + 12] = (place + at).to_bytes(4, "little")
        whole[last : last + 4] = (directory + at).to_bytes(4, "little")
        whole += body
        last = at + directory + 2 + 12 * count
    return bytes(whole)


def test_smaller_copies_and_masks_are_no_pages(pool, tmp_path):
    one, two = drawn(1, 1, (640, 480)), drawn(3, 3, (640, 480))
    (tmp_path / "a.tif").write_bytes(chained([tiff(one), tiff(drawn(2, 2), subfile=1), tiff(two), tiff(two, subfile=4)]))
    assert numbers(decode(pool, tmp_path / "a.tif", replace(PADDED, fit="squash")).cuts) == [1, 3]


def test_pages_of_other_shapes_lie_within_the_shape_of_the_first(pool, tmp_path):
    wide, tall = picture("red", (300, 200)), picture("green", (200, 300))
    wide.save(tmp_path / "a.tif", save_all=True, append_images=[tall])
    first, second = (cut.content for cut in decode(pool, tmp_path / "a.tif", PADDED).cuts)
    height = round(320 * 2 / 3)
    top = (320 - height) // 2
    assert colour_of(first[top + 2 : top + height - 2]) == "red"
    assert second[: top - 1].max() == second[top + height + 1 :].max() == 0
    assert colour_of(second[top + 4 : top + height - 4, 100:220]) == "green"


def test_a_file_of_pages_of_which_none_can_be_read_is_an_error(pool, tmp_path):
    (tmp_path / "a.tif").write_bytes(chained([tiff(np.zeros((4, 4, 3), np.float64), kind=3)] * 3))
    assert refusal(pool, tmp_path / "a.tif").reason == "unsupported"


def test_of_several_pictures_in_a_heif_the_main_one_is_seen_and_the_others_are_told(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    file = heif.from_pillow(picture("red", (96, 64)))
    file.add_from_pillow(picture("green", (96, 64)))
    file.save(tmp_path / "a.heic", primary_index=0)
    with DecodePool(settings(image_formats="jpeg,heic"), 1) as pool:
        found = decode(pool, tmp_path / "a.heic")
    assert colour_of(found.content) == "red"
    assert [gap.detail for gap in found.gaps] == ["only the main one of 2 pictures was looked at"]
