"""Photographs with a film behind them, as phones write them."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from search.media import DecodePool
from search.media.decode.behind import SOURCE
from search.types import Channel, Modality, Span
from tests.media_samples import colour_of, picture, tone, write_video
from tests.unit.media_pool import NEEDS, decode, settings

GOOGLE = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"
 GCamera:%s="1"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""
SAMSUNG = b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data"
TRAILER = b"SEFH\x6a\0\0\0\x01\0\0\0\0\0\x30\x0a\x20\0\0\0\x10\0\0\0\x18\0\0\0SEFT"


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(), 1) as pool:
        yield pool


def still(colour="blue", **options):
    file = io.BytesIO()
    picture(colour).save(file, "JPEG", **options)
    return file.getvalue()


def film(tmp_path, scenes=(("red", 1.0), ("green", 2.0)), **options):
    return write_video(tmp_path / "film.mp4", list(scenes), **options).read_bytes()


def motion(tmp_path, kind, **options):
    behind = film(tmp_path, **options)
    if kind == "samsung":
        return still() + SAMSUNG + behind + TRAILER
    return still(xmp=GOOGLE % kind.encode()) + behind


@pytest.mark.parametrize("kind", ["MotionPhoto", "MicroVideo", "samsung"])
def test_the_film_behind_a_still_is_found_with_its_times(pool, tmp_path, kind):
    path = tmp_path / "a.jpg"
    path.write_bytes(motion(tmp_path, kind))
    found = decode(pool, path)
    assert (found.info.modality, found.info.format) == (Modality.IMAGE, "jpeg")
    first, *shots = found.cuts
    assert (first.span, colour_of(first.content), first.source) == (None, "blue", None)
    assert [(shot.span, colour_of(shot.content), shot.source) for shot in shots] == [
        (Span(0, 1000), "red", SOURCE),
        (Span(1000, 3000), "green", SOURCE),
    ]
    assert not found.gaps


def test_that_its_sound_is_not_searched_is_told(pool, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(motion(tmp_path, "MotionPhoto", sound=tone(440, 3)))
    found = decode(pool, path)
    assert {cut.channel for cut in found.cuts} == {Channel.VISUAL}
    assert [gap.detail for gap in found.gaps] == [f"the sound of the {SOURCE} is not searched"]
    assert not decode(pool, path, replace(NEEDS, rate=0)).gaps


@pytest.mark.parametrize("left", [40, 2000])
def test_a_film_that_is_cut_short_is_told_and_the_still_is_seen(pool, tmp_path, left):
    whole, behind = motion(tmp_path, "MotionPhoto"), len(film(tmp_path))
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[: len(whole) - behind + left])
    found = decode(pool, path)
    assert [colour_of(cut.content) for cut in found.cuts] == ["blue"]
    (gap,) = found.gaps
    assert gap.reason == "not_sampled"
    assert gap.detail.startswith(f"the {SOURCE} is not searched")


@pytest.mark.parametrize(
    "content",
    [
        lambda tmp_path: still(xmp=GOOGLE % b"MotionPhoto"),  # a copy that a program has written without the film
        lambda tmp_path: still() + TRAILER,
        lambda tmp_path: still() + b"\0\0\0\x18ftyp",
        lambda tmp_path: still(xmp=GOOGLE % b"MotionPhoto") + b"ftyp" * 9 + b"\xff\xff\xff\xffftypmp42",
        lambda tmp_path: still() + film(tmp_path),  # nothing says that it is there
    ],
)
def test_a_still_without_a_film_is_a_still(pool, tmp_path, content):
    path = tmp_path / "a.jpg"
    path.write_bytes(content(tmp_path))
    found = decode(pool, path)
    assert [(cut.span, colour_of(cut.content)) for cut in found.cuts] == [(None, "blue")]
    assert not found.gaps


def test_a_film_behind_a_still_leads_to_no_other_file(pool, tmp_path):
    path = tmp_path / "a.jpg"
    (tmp_path / "other.txt").write_text("private")
    path.write_bytes(
        still(xmp=GOOGLE % b"MotionPhoto")
        + b"\0\0\0\x18ftypmp42"
        + b"\0\0\0\0mp42isom"
        + f"#EXTM3U\n{tmp_path}/other.txt".encode()
    )
    found = decode(pool, path)
    assert [colour_of(cut.content) for cut in found.cuts] == ["blue"]
    assert "private" not in "".join(gap.detail for gap in found.gaps)
