from __future__ import annotations

import subprocess
import sys

import pytest

from search.errors import MediaError
from search.media import EXTENSIONS, ending, is_media, sniff
from search.media.sniff import sensed
from search.types import Modality
from tests.media_samples import IMAGES, SOUNDS, VIDEOS, picture, tone, write_sound, write_video


@pytest.mark.parametrize("suffix", [*IMAGES, *SOUNDS, *VIDEOS])
def test_content_decides_whatever_the_name_says(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix in IMAGES:
        picture("red").save(path)
    elif suffix in SOUNDS:
        write_sound(path, tone(440, 0.5))
    else:
        write_video(path, [("red", 0.5)])
    head = path.read_bytes()[:4096]
    for name in ("", ".txt", ".jpg", ".mp4", ".wav"):
        assert sniff(head, name) is EXTENSIONS[f".{suffix}"]


@pytest.mark.parametrize(
    "head",
    [
        b"plain words",
        "déjà vu".encode(),
        "text".encode("utf-16"),
        b"<html><p>hello",
        b"WEBVTT\n\n",
        b"%PDF-1.7\n\x80\x81",
    ],
)
def test_texts_are_texts(head):
    assert sniff(head, ".txt") is sniff(head, "") is Modality.TEXT


@pytest.mark.parametrize(
    ("head", "suffix", "reason"),
    [
        (b"", ".jpg", "empty"),
        (b"ab\0\1\2cd" * 50, ".txt", "not_text"),
        (bytes(range(256)), "", "unsupported"),
        (b"these are words", ".jpg", "undecodable"),
        (b"#EXTM3U\n#EXT-X-VERSION:3\n", ".mp4", "unsupported"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", ".mkv", "unsupported"),
        (b"<?xml version='1.0'?>\n<MPD xmlns=''>", ".mp4", "unsupported"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_reason(head, suffix, reason):
    with pytest.raises(MediaError) as caught:
        sniff(head, suffix)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("path", "modality"), [
    ("/a/b.depth.png", Modality.DEPTH), ("b.THERMAL.tiff", Modality.THERMAL), ("/a/Depth/b.png", Modality.DEPTH),
    ("/a/thermal/0001", Modality.THERMAL), ("/thermal/b.depth.png", Modality.DEPTH), ("/a/b.imu.csv", Modality.IMU),
    ("/imu/b.CSV", Modality.IMU), ("/depth/a/b.png", None), ("/depths/b.png", None), ("/a/depth.png", None), ("/a/b.depth", None),
    ("/a/b.csv", None), ("/depth/b.csv", None), ("/imu/b.png", None), ("/a/b.imu.txt", None), ("imu", None), ("", None), ("/", None),
])  # fmt: skip
def test_what_sensors_record_is_known_by_its_name_or_its_folder(path, modality):
    assert sensed(path) is modality


@pytest.mark.parametrize(("name", "known"), [
    ("a.png", ".png"), ("a.Depth.PNG", ".depth.png"), ("x/a.imu.csv", ".imu.csv"), ("imu/a.csv", ""), ("a.csv", ""), ("a", ""), ("a.depth", ""),
    ("depth/a.png", ".png"), ("", ""), (".png", ""),
])  # fmt: skip
def test_of_a_name_that_is_kept_what_says_what_it_holds(name, known):
    assert ending(name) == known
    assert is_media(f"a{known}") == bool(known)


def test_content_decides_whatever_a_sensor_would_be_called():
    png, words = b"\x89PNG\r\n\x1a\n", b"t,ax,ay,az,gx,gy,gz\n"
    assert sniff(png, ".png", Modality.DEPTH) is Modality.DEPTH
    assert sniff(png, ".csv", Modality.IMU) is Modality.IMAGE
    assert sniff(words, ".csv", Modality.IMU) is Modality.IMU
    assert sniff(b"RIFF....AVI ", ".avi", Modality.THERMAL) is Modality.VIDEO
    for head, suffix, hint in ((words, ".png", Modality.DEPTH), (b"\0" * 99, ".csv", Modality.IMU)):
        with pytest.raises(MediaError):
            sniff(head, suffix, hint)


def test_damaged_media_are_left_to_the_decoder_that_their_name_asks_for():
    assert sniff(b"\0" * 4096, ".mp4") is Modality.VIDEO


def test_importing_media_loads_no_decoder():
    heavy = ("av", "PIL", "pypdfium2", "selectolax", "charset_normalizer")
    code = f"import sys, search.media; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
