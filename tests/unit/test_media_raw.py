"""Raw pictures of cameras. The DNG is written here, by its specification; other kinds are told from each other by their names and first bytes."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from search.media import EXTENSIONS, DecodePool, extra_of, is_readerless, sniff
from search.types import DateSource, Modality, Stamp
from tests.media_samples import colour_of, picture
from tests.unit.media_pool import NEEDS, decode, refusal, settings

pytest.importorskip("rawpy")
SQUASHED = replace(NEEDS, fit="squash")
SIZE = (1600, 1200)


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(), 1) as pool:
        yield pool


def dng(preview: Image.Image | None = None, *, turned: int = 1, when: str = "2021:05:06 07:08:09") -> bytes:
    """A DNG of a sensor that sees red on the left and blue on the right, RGGB in 16 bits; its first directory is the preview, where there is one."""
    width, height = SIZE
    sensor = np.full((height, width), 2000, "<u2")
    sensor[0::2, 0 : width // 2 : 2] = 40_000
    sensor[1::2, width // 2 + 1 :: 2] = 40_000
    common = [
        (271, b"Maker\0"), (272, b"Model\0"), (274, (3, turned)), (50706, (1, 1, 4, 0, 0)), (50708, b"Maker Model\0"),
        (50721, (10, *((1, 1) if at % 4 == 0 else (0, 1) for at in range(9)))), (50728, (5, (1, 1), (1, 1), (1, 1))), (50778, (3, 21)),
    ]  # fmt: skip
    whole = bytearray(b"II*\0\0\0\0\0")

    def put(data: bytes) -> int:
        whole.extend(b"\0" * (len(whole) % 2))
        whole.extend(data)
        return len(whole) - len(data)

    def directory(tags: list) -> int:
        entries = b""
        for tag, value in sorted(tags):
            form, numbers = (2, value) if isinstance(value, bytes) else (value[0], value[1:])
            if isinstance(numbers, bytes):
                data, count = numbers, len(numbers)
            elif form in (5, 10):
                data, count = b"".join(struct.pack("<ii", *one) for one in numbers), len(numbers)
            else:
                data, count = b"".join(struct.pack({1: "<B", 3: "<H", 4: "<I"}[form], one) for one in numbers), len(numbers)
            data = struct.pack("<I", put(data)) if len(data) > 4 else data.ljust(4, b"\0")
            entries += struct.pack("<HHI", tag, form, count) + data
        return put(struct.pack("<H", len(tags)) + entries + bytes(4))

    raw = [
        (254, (4, 0)), (256, (4, width)), (257, (4, height)), (258, (3, 16)), (259, (3, 1)), (262, (3, 32803)), (273, (4, put(sensor.tobytes()))),
        (277, (3, 1)), (278, (4, height)), (279, (4, sensor.nbytes)), (33421, (3, 2, 2)), (33422, (1, 0, 1, 1, 2)), (50714, (4, 0)), (50717, (4, 65535)),
    ]  # fmt: skip
    details = (34665, (4, directory([(36867, when.encode() + b"\0")])))
    if preview is None:
        first = directory([*common, *raw, details])
    else:
        file = io.BytesIO()
        preview.save(file, "JPEG", quality=95)
        shown = [
            (254, (4, 1)), (256, (4, preview.width)), (257, (4, preview.height)), (258, (3, 8, 8, 8)), (259, (3, 7)), (262, (3, 6)),
            (273, (4, put(file.getvalue()))), (277, (3, 3)), (278, (4, preview.height)), (279, (4, len(file.getvalue()))), (330, (4, directory(raw))),
        ]  # fmt: skip
        first = directory([*common, *shown, details])
    whole[4:8] = struct.pack("<I", first)
    return bytes(whole)


def test_the_preview_of_the_camera_is_the_picture(pool, tmp_path):
    (tmp_path / "a.dng").write_bytes(dng(picture("green", SIZE)))
    found = decode(pool, tmp_path / "a.dng", SQUASHED)
    assert (found.info.modality, found.info.format, found.info.width, found.info.height) == (Modality.IMAGE, "raw", *SIZE)
    assert colour_of(found.content) == "green"
    assert found.info.stamps == (Stamp(DateSource.EXIF, "2021-05-06T07:08:09"),)
    assert found.gaps == []
    assert decode(pool, tmp_path / "a.dng", replace(NEEDS, size=0)).info == found.info


@pytest.mark.parametrize("preview", [None, picture("green", (160, 120))], ids=["none", "small"])
def test_without_a_preview_worth_the_name_it_is_developed(pool, tmp_path, preview):
    (tmp_path / "a.dng").write_bytes(dng(preview))
    content = decode(pool, tmp_path / "a.dng", SQUASHED).content.astype(int)
    left, right = content[:, 4:28].mean((0, 1)), content[:, 36:60].mean((0, 1))
    assert left[0] > left[2] + 60
    assert right[2] > right[0] + 60


@pytest.mark.parametrize("turned", [1, 3, 6, 8])
@pytest.mark.parametrize("has_preview", [True, False])
def test_it_is_set_upright(pool, tmp_path, turned, has_preview):
    sides = Image.new("RGB", SIZE, (30, 60, 220))
    sides.paste((220, 30, 30), (0, 0, SIZE[0] // 2, SIZE[1]))
    (tmp_path / "a.dng").write_bytes(dng(sides if has_preview else None, turned=turned))
    found = decode(pool, tmp_path / "a.dng", SQUASHED)
    content = found.content.astype(int)
    red_part = {1: content[:, 4:28], 3: content[:, 36:60], 6: content[4:28], 8: content[36:60]}[turned].mean((0, 1))
    assert red_part[0] > red_part[2] + 60
    assert (found.info.width, found.info.height) == (SIZE if turned in (1, 3) else SIZE[::-1])


def test_other_contents_under_such_a_name_are_what_they_are(pool, tmp_path):
    picture("red").save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").rename(tmp_path / "a.nef")
    found = decode(pool, tmp_path / "a.nef")
    assert (found.info.format, colour_of(found.content)) == ("jpeg", "red")


def test_a_damaged_one_is_told(pool, tmp_path):
    content = dng(picture("green", SIZE))
    for length in (20, 300, len(content) // 3):
        (tmp_path / "a.dng").write_bytes(content[:length])
        assert refusal(pool, tmp_path / "a.dng").reason in ("undecodable", "truncated")


def test_a_huge_one_is_refused_before_it_is_decoded(tmp_path):
    (tmp_path / "a.dng").write_bytes(dng())
    with DecodePool(settings(max_pixels=1_000_000), 1) as pool:
        error = refusal(pool, tmp_path / "a.dng")
    assert (error.reason, "max_pixels" in str(error)) == ("too_large", True)


@pytest.mark.parametrize(
    "head",
    [
        b"FUJIFILMCCD-RAW 0201",
        b"IIRO\x08\0\0\0",
        b"IIU\0\x18\0\0\0",
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
        b"II*\0\x10\0\0\0CR\2\0",
    ],
)
def test_makers_are_told_by_their_first_bytes(head):
    assert sniff(head.ljust(64, b"\0"), "") is Modality.IMAGE


def test_where_the_setting_leaves_it_out_the_extra_is_named(tmp_path):
    (tmp_path / "a.dng").write_bytes(dng())
    with DecodePool(settings(image_formats="jpeg,tiff"), 1) as pool:
        error = refusal(pool, tmp_path / "a.dng")
    assert (error.reason, "extra raw" in str(error)) == ("unsupported", True)


def test_the_suffixes_of_an_extra_are_media_only_where_it_is_installed():
    assert EXTENSIONS[".nef"] is Modality.IMAGE
    assert (is_readerless("a.NEF"), extra_of(".nef")) == (False, None)
    code = (
        "import sys; sys.modules['rawpy'] = None\n"
        "import importlib.util as u; find = u.find_spec; u.find_spec = lambda name, *a: None if name == 'rawpy' else find(name, *a)\n"
        "from search.media import EXTENSIONS, extra_of, is_readerless\n"
        "assert '.nef' not in EXTENSIONS and is_readerless('a.nef') and extra_of('.nef') == 'raw'\n"
        "from ui.show import extras\n"
        "assert extras(['.nef', '.zip']) == '; pip install \\'sensorium[raw]\\' reads some of them'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
