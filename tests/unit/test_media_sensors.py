"""What sensors see and feel: depth, heat and motion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from search.media import DecodePool
from search.media.decode.motion import MAX_LINES
from search.types import IMU_RATE, NEAREST_METRES, Channel, Modality, Span
from tests.unit.media_pool import NEEDS, decode, refusal, settings

HEADER = "t,ax,ay,az,gx,gy,gz\n"


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(), 1) as pool:
        yield pool


def save(folder, name, values, mode=None):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.asarray(values), mode).save(path)
    return path


def ramp(dtype, top, height=64, width=64):
    """Values that grow from left to right."""
    return np.tile(np.linspace(0, top, width), (height, 1)).astype(dtype)


# Depth and heat.


def test_millimetres_become_inverse_depth_and_near_is_1(pool, tmp_path):
    metres = np.full((64, 64), 2.0)
    metres[:, :16], metres[:, 16:32], metres[:, 32:40] = 0, 0.3, 65
    found = decode(pool, save(tmp_path, "a.depth.png", (metres * 1000).astype(np.uint16)))
    assert (found.info.modality, found.info.format, found.info.width, found.info.height) == (Modality.DEPTH, "png", 64, 64)
    (cut,) = found.cuts
    assert (cut.channel, cut.modality, cut.span) == (Channel.VISUAL, Modality.DEPTH, None)
    assert (cut.content.shape, cut.content.dtype) == ((64, 64), np.float32)
    assert cut.content[0, [4, 24, 36, 60]] == pytest.approx([0, 1, NEAREST_METRES / 65, NEAREST_METRES / 2], abs=1e-3)


@pytest.mark.parametrize(("name", "values", "middle"), [
    ("a.depth.tiff", np.full((32, 32), 4.0, np.float32), NEAREST_METRES / 4),
    ("a.depth.tif", np.full((32, 32), 4000, np.int32), NEAREST_METRES / 4),
    ("a.depth.png", np.full((32, 32), 51, np.uint8), 0.2),
    ("a.thermal.jpg", np.full((32, 32), 51, np.uint8), 0.2),
    ("a.depth.tiff", np.full((32, 32), np.nan, np.float32), 0),
    ("a.depth.tiff", np.full((32, 32), -np.inf, np.float32), 0),
    ("a.depth.tiff", np.full((32, 32), -3, np.float32), 0),
    ("a.depth.tiff", np.full((32, 32), 3e38, np.float32), 0),
    ("a.thermal.tiff", np.full((32, 32), np.nan, np.float32), 0),
    ("a.thermal.png", np.full((32, 32), 29_315, np.uint16), 0),
])  # fmt: skip
def test_values_of_every_depth_are_understood(pool, tmp_path, name, values, middle):
    content = decode(pool, save(tmp_path, name, values)).content
    assert content.dtype == np.float32
    assert content[32, 32] == pytest.approx(middle, abs=5e-3)


def test_the_coldest_is_0_and_the_hottest_1_whatever_a_dead_pixel_says(pool, tmp_path):
    counts = ramp(np.uint16, 1000) + np.uint16(29_000)
    counts[3, 3] = 65_535
    content = decode(pool, save(tmp_path, "a.thermal.tiff", counts)).content
    assert (content.min(), content.max()) == (0, 1)
    assert content[40] == pytest.approx(np.linspace(0, 1, 64), abs=0.03)


@pytest.mark.parametrize(("fit", "corner"), [("crop", 0.5), ("squash", 0.5), ("pad", 0.0)])
def test_pictures_of_sensors_are_fitted_like_others(pool, tmp_path, fit, corner):
    path = save(tmp_path, "a.thermal.png", np.full((30, 90), 128, np.uint8))
    content = decode(pool, path, replace(NEEDS, fit=fit, filter="bilinear")).content
    assert content.shape == (64, 64)
    assert content[0, 0] == pytest.approx(corner, abs=0.01)
    assert content[32, 32] == pytest.approx(0.5, abs=0.01)


def test_the_orientation_of_a_picture_of_a_sensor_counts(pool, tmp_path):
    image = Image.fromarray(ramp(np.uint16, 60_000, width=32))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.thermal.png", exif=exif)
    found = decode(pool, tmp_path / "a.thermal.png")
    assert (found.info.width, found.info.height) == (64, 32)
    assert found.content[2, 32] < 0.1 < 0.9 < found.content[-3, 32]


def test_a_coloured_picture_in_such_a_folder_stays_an_image(pool, tmp_path):
    found = decode(pool, save(tmp_path, "depth/a.png", np.full((8, 8, 3), 200, np.uint8)))
    assert found.info.modality is found.cuts[0].modality is Modality.IMAGE
    assert found.content.shape == (64, 64, 3)


def test_a_grey_picture_elsewhere_stays_an_image(pool, tmp_path):
    assert decode(pool, save(tmp_path, "depths/a.png", ramp(np.uint8, 255))).info.modality is Modality.IMAGE
    assert decode(pool, save(tmp_path, "Thermal/a.png", ramp(np.uint8, 255))).info.modality is Modality.THERMAL


def test_what_lies_behind_the_first_page_is_told(pool, tmp_path):
    pages = [Image.fromarray(ramp(np.uint16, top)) for top in (1000, 2000, 3000)]
    pages[0].save(tmp_path / "a.depth.tiff", save_all=True, append_images=pages[1:])
    assert [gap.reason for gap in decode(pool, tmp_path / "a.depth.tiff").gaps] == ["not_sampled"]


def test_an_encoder_of_sounds_is_given_no_depth(pool, tmp_path):
    path = save(tmp_path, "a.depth.png", ramp(np.uint16, 9000))
    found = decode(pool, path, replace(NEEDS, size=0))
    assert (found.info.modality, found.info.width, found.cuts, found.gaps) == (Modality.DEPTH, 64, [], [])


def test_a_damaged_picture_of_a_sensor_is_told_with_its_reason(pool, tmp_path):
    path = save(tmp_path, "a.depth.png", np.random.default_rng(0).integers(0, 9000, (200, 200)).astype(np.uint16))
    content = path.read_bytes()
    path.write_bytes(content[:100])
    assert refusal(pool, path).reason in ("undecodable", "truncated")
    path.write_bytes(content[: len(content) // 2])
    found = decode(pool, path)
    assert (found.info.modality, [gap.reason for gap in found.gaps]) == (Modality.DEPTH, ["truncated"])
    path.write_bytes(b"these are words")
    assert refusal(pool, path).reason == "undecodable"


# Motion.


def table(seconds, rate=400, header=HEADER, unit=1.0, begin=0.0):
    """Readings whose ax is the time in seconds, and whose gz is minus that."""
    times = np.arange(round(seconds * rate)) / rate
    rows = (f"{begin + time / unit:.9f},{time:.6f},0,9.81,0.1,0.2,{-time:.6f}" for time in times)
    return header + "\n".join(rows) + "\n"


def write(folder, text, name="a.imu.csv"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_table_is_cut_into_windows_that_follow_each_other(pool, tmp_path):
    found = decode(pool, write(tmp_path, table(5)))
    assert (found.info.modality, found.info.format) == (Modality.IMU, "csv")
    assert found.info.duration_ms == pytest.approx(5000, abs=5)
    assert [cut.span for cut in found.cuts] == [Span(0, 2000), Span(2000, 4000), Span(4000, 5000)]
    assert {(cut.channel, cut.modality, cut.content.dtype) for cut in found.cuts} == {
        (Channel.MOTION, Modality.IMU, np.dtype("f4"))
    }
    assert [cut.content.shape for cut in found.cuts] == [(6, 800), (6, 800), (6, 400)]
    assert found.cuts[1].content[:, 0] == pytest.approx([2, 0, 9.81, 0.1, 0.2, -2], abs=1e-4)
    assert not found.gaps


@pytest.mark.parametrize("rate", [50, 100, 200, 1000])
def test_any_rate_becomes_ours(pool, tmp_path, rate):
    first, *_ = decode(pool, write(tmp_path, table(4, rate))).cuts
    assert first.content.shape == (6, 2 * IMU_RATE)
    assert first.content[0] == pytest.approx(np.arange(800) / IMU_RATE, abs=1e-4)


@pytest.mark.parametrize(("header", "unit"), [
    ("t,ax,ay,az,gx,gy,gz\n", 1e-3),
    ("timestamp,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z\n", 1e-6),
    ("Timestamp,AccX,AccY,AccZ,GyroX,GyroY,GyroZ\n", 1e-9),
    ("time_ms,ax,ay,az,gx,gy,gz\n", 1e-3),
    ('# of a telephone\n\n"time (s)","accel.x (m/s^2)","accel.y (m/s^2)","accel.z (m/s^2)","gyro.x","gyro.y","gyro.z"\n', 1.0),
])  # fmt: skip
def test_columns_and_units_have_many_names(pool, tmp_path, header, unit):
    found = decode(pool, write(tmp_path, table(2, header=header, unit=unit, begin=1.6e9 / unit)))
    (cut,) = found.cuts
    assert cut.span == Span(0, 2000)
    assert cut.content[0] == pytest.approx(np.arange(800) / IMU_RATE, abs=1e-4)
    assert cut.content[2:5, 7] == pytest.approx([9.81, 0.1, 0.2])


def test_tables_of_drones_are_understood(pool, tmp_path):
    """Of the layout of the EuRoC data: turning first, and nanoseconds."""
    turning, pushing = (
        [f"{letter}_RS_S_{axis} [{unit}]" for axis in "xyz"] for letter, unit in (("w", "rad s^-1"), ("a", "m s^-2"))
    )
    rows = "".join(f"{1403636579758555392 + n * 5_000_000},1,2,3,4,5,6\r\n" for n in range(400))
    (cut,) = decode(pool, write(tmp_path, ",".join(["#timestamp [ns]", *turning, *pushing]) + "\r\n" + rows)).cuts
    assert cut.content.shape == (6, 799)  # 200 a second until 1.995 seconds
    assert cut.content[:, 5].tolist() == [4, 5, 6, 1, 2, 3]


def test_columns_may_stand_in_any_order_among_others_and_be_parted_otherwise(pool, tmp_path):
    rows = "".join(f"x;{n % 7};7;6;5;4;3;2;{n / 400}\n" for n in range(800))
    (cut,) = decode(pool, write(tmp_path, "name;steps;gz;gy;gx;az;ay;ax;t\n" + rows)).cuts
    assert cut.content[:, 100].tolist() == [2, 3, 4, 5, 6, 7]


def test_a_folder_named_imu_holds_tables_of_motion(pool, tmp_path):
    assert decode(pool, write(tmp_path, table(1), "IMU/a.CSV")).info.modality is Modality.IMU


def test_over_a_hole_nothing_is_made_up(pool, tmp_path):
    lines = table(4).splitlines(keepends=True)
    later = [f"{float(line.split(',', 1)[0]) + 3600},{line.split(',', 1)[1]}" for line in lines[1:]]
    found = decode(pool, write(tmp_path, "".join(lines + later)))
    assert [cut.span.start for cut in found.cuts] == [0, 2000, 3_600_000, 3_602_000]
    assert found.info.duration_ms == pytest.approx(3_604_000, abs=5)


def test_lines_that_say_nothing_are_passed_over_and_told(pool, tmp_path):
    lines = table(2).splitlines(keepends=True)
    for at, bad in (
        (9, "nonsense\n"),
        (99, "0.2,nan,1,1,1,1,1\n"),
        (199, "1,2\n"),
        (299, lines[250]),
        (399, "0.9,1e300,1,1,1,1,1\n"),
        (499, "\n"),
    ):
        lines[at] = bad
    found = decode(pool, write(tmp_path, "".join(lines)))
    assert found.cuts[0].content[0] == pytest.approx(np.arange(800) / IMU_RATE, abs=1e-4)
    assert [gap.reason for gap in found.gaps] == ["not_sampled"]
    assert found.gaps[0].detail.startswith("5 of 799 lines")


ROWS = "".join(f"{{}},{n},1,1,1,1,1\n" for n in range(500))


@pytest.mark.parametrize(("text", "reason"), [
    (b"", "empty"),
    (HEADER, "no_content"),
    (HEADER + "\n\n\n", "no_content"),
    (HEADER + "0,1,2,3,4,5,6\n", "undecodable"),
    (HEADER + "nan,nan,nan,nan,nan,nan,nan\n" * 500, "undecodable"),
    (HEADER + "0,inf,1,1,1,1,1\n1,-inf,1,1,1,1,1\n", "undecodable"),
    (HEADER + ROWS.replace("{}", "7"), "undecodable"),
    (HEADER + ROWS.format(*range(500, 0, -1)), "undecodable"),
    (HEADER + "1e300,1,1,1,1,1,1\n-1e300,1,1,1,1,1,1\n1e301,1,1,1,1,1,1\n", "undecodable"),
    ("a,b,c\n1,2,3\n", "undecodable"),
    ("t,ax,ay,az\n0,1,2,3\n1,1,2,3\n", "undecodable"),
    ("0,1,2,3,4,5,6\n" * 500, "undecodable"),
    ("words and nothing else", "undecodable"),
    ("x" * 200_000, "undecodable"),
    (HEADER + "1" * 500_000, "undecodable"),
    (table(1).encode("utf-16"), "undecodable"),
    (bytes(range(256)) * 100, "not_text"),
    (b"\0" * 5000, "not_text"),
    ("#EXTM3U\n" + HEADER, "unsupported"),
])  # fmt: skip
def test_a_table_that_is_none_is_told_with_its_reason(pool, tmp_path, text, reason):
    assert refusal(pool, write(tmp_path, text)).reason == reason


def test_what_turns_binary_later_is_read_so_far(pool, tmp_path):
    found = decode(pool, write(tmp_path, table(2).encode() + bytes(range(256)) * 200))
    assert len(found.cuts) == 1
    assert [gap.reason for gap in found.gaps] == ["not_sampled"]


def test_a_picture_that_is_named_like_a_table_is_a_picture(pool, tmp_path):
    path = save(tmp_path, "a.png", ramp(np.uint8, 255))
    assert decode(pool, path.rename(tmp_path / "a.imu.csv")).info.modality is Modality.IMAGE


def test_of_an_endless_table_the_beginning_is_read(pool, tmp_path):
    row = b"%d,1,2,3,4,5,6\n"
    text = HEADER.replace("t,", "t_ns,").encode() + b"".join(row % (n * 2_500_000) for n in range(MAX_LINES + 5))
    found = decode(pool, write(tmp_path, text), replace(NEEDS, window_ms=600_000))
    assert found.info.duration_ms == pytest.approx(MAX_LINES * 2.5, abs=3)
    assert sum(cut.content.shape[1] for cut in found.cuts) == MAX_LINES
    assert [gap.reason for gap in found.gaps] == ["not_sampled"]
