"""The bench of truth still judges: right files are right, and a wrong expectation is told as wrong."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.bench.bench_truth import cases, figures, judged
from tests.bench.truth.drawing import chart, drawn, number

FEW = ("h264.mp4", "mpeg4.avi", "plain.jpg", "stereo.wav", "exif-original.jpg")


@pytest.mark.parametrize("size", [(320, 240), (256, 256), (160, 120)])
def test_a_frame_tells_its_number(size):
    from PIL import Image

    for told in (0, 1, 299, 2047, 4095):
        small = np.asarray(Image.fromarray(drawn(told, told)).resize(size, Image.Resampling.BILINEAR))
        assert number(small) == told


def test_what_is_blended_or_mirrored_tells_no_number():
    first, second = drawn(6, 1), drawn(7, 1)
    blend = ((first.astype(int) + second) // 2).astype(np.uint8)
    assert number(blend) is None
    assert number(first[:, ::-1]) is None
    assert number(chart(320, 240)) is None


def test_judges_films_pictures_sounds_and_dates(tmp_path: Path):
    for program in ("ffmpeg", "ffprobe", "exiftool"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program} here")
    some = [case for case in cases() if case.name in FEW]
    assert len(some) == len(FEW)
    film, sound = (next(case for case in some if case.name == name) for name in ("mpeg4.avi", "stereo.wav"))
    late = replace(film.expect, scenes=(0, 60, 120, 195, 260), tone=None)
    higher = replace(sound.expect, tones=[replace(tone, hertz=tone.hertz + 100) for tone in sound.expect.tones])
    wrong = [replace(film, name="wrong.avi", expect=late), replace(sound, name="wrong.wav", expect=higher)]
    try:
        rows = list(judged(tmp_path, [*some, *wrong]))
    except LookupError as missing:
        pytest.skip(str(missing))
    failed = {(row.file, row.what) for row in rows if not row.ok}
    assert failed == {("wrong.avi", "moments"), ("wrong.wav", "heard")}, rows
    assert {row.file for row in rows} == {*FEW, "wrong.avi", "wrong.wav"}
    assert next(figure for figure in figures(rows) if figure.name == "judgements that fail").value == len(failed)
