"""JPEG XL: sizes, colours and dates, by files of libjxl's encoders."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest

from search.media import DecodePool, sniff
from search.types import DateSource, Modality, Stamp
from tests.unit.media_pool import NEEDS, decode, refusal, settings

pylibjxl = pytest.importorskip("pylibjxl")
from search.media.decode.jxl import head_of  # noqa: E402 - where the extra is installed

SQUASHED = replace(NEEDS, fit="squash")
# Two colours side by side, (20, 200, 40) and (200, 60, 40), in the primaries of P3 and with the profile of Adobe RGB, lossy both; red below
# blue after turning, from a JPEG whose EXIF is compressed; two frames. All made by cjxl 0.7.
P3 = base64.b64decode(
    "/wrDQUImNwIAEogAGAK/yigBAFChMsq4wcu5ni8/dFhM27jO0FbbFpYkioxjk3QChySxEoi3VSEETvr/eAhiPoCUByQf7hv8nCqK+Y6IublZOtHYZ2tdA7"
    "P1UhkAQIUUSFWMMTMyY4wXY6biZcaLGWNuPpSCBCwHe77WyrE9yJws0miUZwbfFL7lw8SropTBLV34BQ=="
)
ADOBE = base64.b64decode(
    "/wrDQQqnDANmQCAAIECwdB54BcileygkmdfZs6puM8WFarv5KRl+PQiXc1DphnZQmgUafpkPQeh0zGJsJtjuJujuIfjORpleKYHRaKsGzzYajeBJ/AtcxQ"
    "G/hYSDSFO58OSap4fAQSM4YYahcLUl+JbYdTz4fmFjJl6bkRSsVCBzRxRQa2HyjmqaN87hLIKfHw7hg2gaEJAYzFMBGUVY0IP4wgEAEogAHAK/yigBAFCh"
    "Msq4wcu5ni8/dFhM27jO0FbbFpYkioxjk3QChySxEIi7gVJXJcFRUinMN5ZVAenN3nfLJxioeP5ma2+ifnBhyrzGeg0k540lAgAVUiCPMcbMyLyYjDHvMl"
    "7GzKwn4QCw9QsEQvzNygPOOKBvsl+IDU6Ose1jDr7aw6sPVyAxewE="
)
TURNED = base64.b64decode(
    "AAAADEpYTCANCocKAAAAFGZ0eXBqeGwgAAAAAGp4bCAAAAASanhscAAAAAD/CsMtEBMAAAHjamJyZMBw2wCCIAgtAwJAVAChRoGQq0oAAEDIUdmCoTj/J4"
    "iMEco4pxS0HyFDmKUOMsxA6Q41WB8ynHzMgEMOKixy0LAD20cN/fsjyxx23IGGovtfjHHGJJds8skopzwzzTXbfDPOOQs9NNFFG3000klLPTXVVVt9NdZZ"
    "iz022WWbfTbaacs9N91123033nkLPjjhhRt+OOKJRy755JRXbvnlmGceuuijk1666aejnnrsss9Oe+2234577sELPzzxxRt/PPLJRy/99NRXb/312GcPfv"
    "jij09++eafj3768Mcv//z012///fjn/69gqqoEAEDIUdmCoTj/L4iEUkZZpxSJ8YCQzahBhkl1oKF6sOHcQ44ZUJAPGnLQYQc2FlnmqN/tw44bWtEfeWbw"
    "SYb3vxjjjEs2+WSUU6a5ZptvxjlnoYcmumijj0Y6aamnprpqq6/GOmuxxya7bLPPRjttueemu26778Y778AFH5zwwg0/HPHEI5d8csort/xyzDMPXfTRSS"
    "/d9NNRTz122WenvXbbb8c99+CFH5744o0/Hvnko5d+euqrt/567LMPX/zxyS/f/PPRTz9++eenv37778c//3+BHwCoLAALCIDgABBKRklGAAEBAAABAAEA"
    "AAMAAABYYnJvYkV4aWYbTwAABP5z2ztgjMxYJxlMXzYVL3RSMCWrsAEHzg24DTgPYoPH8BylPALKWuztQrBK9BoZvpeEYXsW9kdCaGiO19A4XKfr6rpd0/"
    "UAAAAAymp4bHCAAAAB4FsAEADcAghgCGAIYP7/DgAAGAAIAAEAAAAAAICAJYki49gJae5YAQAKSQoKCuxpjMGrYlSMUWqUKilKEhJisFJ0dDSEQ4yIYUR0"
    "BENNeClwkSHnuBE3VxRf6P2ku+hE+1n+EigYLXL/A6wWM+4EEDOzGwAgTwgAAOsCgPw2AAAAAAAAAAAAMEDkAdQKKAcDxADCEGCxB45SKCAMARJPAoMIQt"
    "Y7AAA5EAAAABgBAAAAAAAAAAAAAAAAAKAkAQ=="
)
MOVING = base64.b64decode("/wrBBQFYUFwSCAigDAAAaABLGIsVANSKMRjUBSQA6KQYALgk8O8HpUP7AwgIoEwAAEQASxiLFYBdwP8CEgCAjzlq+AM=")


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(), 1) as pool:
        yield pool


def made(path, pixels, **options):
    path.write_bytes(pylibjxl.encode(np.ascontiguousarray(pixels), effort=1, **options))
    return path


@pytest.mark.parametrize("suffix", ["jxl", "jpg"])
def test_a_picture_is_what_was_encoded_whatever_it_is_called(pool, tmp_path, suffix):
    pixels = np.random.default_rng(0).integers(0, 256, (NEEDS.size, NEEDS.size, 3), np.uint8)
    found = decode(pool, made(tmp_path / f"a.{suffix}", pixels, lossless=True), SQUASHED)
    assert (found.info.modality, found.info.format, found.info.width, found.gaps) == (Modality.IMAGE, "jxl", NEEDS.size, [])
    assert np.array_equal(found.cuts[0].content, pixels)


def test_transparent_parts_are_white_and_grey_is_grey(pool, tmp_path):
    clear = np.zeros((20, 20, 4), np.uint8)
    assert decode(pool, made(tmp_path / "clear.jxl", clear, lossless=True), SQUASHED).cuts[0].content.min() == 255
    grey = np.full((20, 20, 1), 77, np.uint8)
    assert np.unique(decode(pool, made(tmp_path / "grey.jxl", grey, lossless=True), SQUASHED).cuts[0].content).tolist() == [77]


@pytest.mark.parametrize(
    ("content", "left", "right"), [(P3, (0, 204, 0), (217, 42, 23)), (ADOBE, (0, 201, 0), (231, 57, 34))], ids=["P3", "Adobe"]
)
def test_colours_are_converted_to_srgb(pool, tmp_path, content, left, right):
    """The right values are those that LittleCMS gives for the colours that were encoded."""
    (tmp_path / "a.jxl").write_bytes(content)
    (cut,) = decode(pool, tmp_path / "a.jxl", SQUASHED).cuts
    width = cut.content.shape[1]
    seen = cut.content[:, : width // 4].mean((0, 1)), cut.content[:, -width // 4 :].mean((0, 1))
    assert seen[0] == pytest.approx(left, abs=6)
    assert seen[1] == pytest.approx(right, abs=6)


def test_a_picture_is_upright_once_and_its_day_is_told(pool, tmp_path):
    (tmp_path / "a.jxl").write_bytes(TURNED)
    found = decode(pool, tmp_path / "a.jxl", SQUASHED)
    assert (found.info.width, found.info.height) == (16, 32)
    assert found.info.stamps == (Stamp(DateSource.EXIF, "2021-05-06T07:08:09"),)
    (cut,) = found.cuts
    assert cut.content[2, 2, 2] > 200 < cut.content[-2, 2, 0]  # blue above red


def test_an_animation_is_one_frame_and_the_rest_is_told(pool, tmp_path):
    (tmp_path / "a.jxl").write_bytes(MOVING)
    found = decode(pool, tmp_path / "a.jxl")
    assert [gap.reason for gap in found.gaps] == ["not_sampled"]
    assert len(found.cuts) == 1


def test_sizes_are_known_before_anything_is_decoded(tmp_path):
    for width, height in [
        (1, 1),
        (8, 256),
        (255, 33),
        (256, 8),
        (300, 200),
        (1920, 1080),
        (1200, 1000),
        (640, 480),
        (500, 400),
        (600, 300),
    ]:
        made(tmp_path / "a.jxl", np.zeros((height, width, 1), np.uint8))
        head = head_of((tmp_path / "a.jxl").read_bytes()[:64])
        assert (head.width, head.height) == (width, height)


def test_a_picture_of_too_many_pixels_or_cut_short_is_refused(tmp_path):
    path = made(tmp_path / "a.jxl", np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8))
    with DecodePool(settings(max_pixels=59_999), 1) as pool:
        assert "200 x 300" in str(refusal(pool, path))
    whole = path.read_bytes()
    for length in (3, 40, len(whole) // 2):
        path.write_bytes(whole[:length])
        with DecodePool(settings(), 1) as pool:
            assert refusal(pool, path).reason == "undecodable"


def test_where_the_setting_leaves_it_out_the_extra_is_named(tmp_path):
    (tmp_path / "a.jxl").write_bytes(P3)
    with DecodePool(settings(image_formats="jpeg"), 1) as pool:
        error = refusal(pool, tmp_path / "a.jxl")
    assert (error.reason, "extra jxl" in str(error)) == ("unsupported", True)
    assert sniff(P3, "") is sniff(TURNED, "") is Modality.IMAGE
