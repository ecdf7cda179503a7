"""Exports: frames and timecode against arithmetic, timelines against OpenTimelineIO, bundles against their manifests."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import InputError, MediaError
from search.exports import Excerpt, FrameClock
from search.exports.bundle import FORMATS, zipped
from search.exports.lists import as_vtt
from search.exports.timelines import as_edls, as_otio
from search.types import Modality

NTSC, FILM = Fraction(30_000, 1001), Fraction(24_000, 1001)
RATES = (Fraction(24), Fraction(25), FILM, NTSC, Fraction(30), Fraction(50), Fraction(60_000, 1001), Fraction(120))


def excerpt(name: str = "harbour.mp4", **changes) -> Excerpt:
    digest = hashlib.sha256(name.encode()).hexdigest()
    one = Excerpt(
        7, digest, name, "2024", "default", f"/media/{name}", Modality.VIDEO, "mp4", 1234, 60_000, 1_000, 3_000, "visual", 0.9,
        clock=FrameClock(Fraction(25)),
    )  # fmt: skip
    return replace(one, **changes)


@pytest.mark.parametrize(
    ("rate", "start", "frame", "told"),
    [
        (Fraction(25), "10:00:00:00", 25, "10:00:01:00"),
        (NTSC, "00:00:59;29", 1, "00:01:00;02"),
        (NTSC, "00:09:59;29", 1, "00:10:00;00"),
        (NTSC, "23:59:59;29", 1, "00:00:00;00"),
        (NTSC, "01:00:00:00", 1800, "01:01:00:00"),
        (FILM, "23:59:59:00", 24, "00:00:00:00"),
        (Fraction(60_000, 1001), "00:00:59;59", 1, "00:01:00;04"),
        (Fraction(25), "no timecode", 1, "00:00:00:01"),
        (Fraction(25), "00:00:00:25", 0, "00:00:00:00"),
        (Fraction(25), "01:00:00;00", 0, "01:00:00:00"),
        (Fraction(120), None, 119, "00:00:00:119"),
    ],
)
def test_timecode_counts_from_where_a_medium_begins(rate, start, frame, told):
    assert FrameClock.told(rate, start).timecode(frame) == told


def test_drop_frame_leaves_out_numbers_and_no_frames():
    clock = FrameClock(NTSC, 0, drop=True)
    hour = [clock.timecode(frame) for frame in range(107_892)]
    assert len(set(hour)) == 107_892
    assert hour[-1] == "00:59:59;29"
    assert clock.timecode(107_892) == "01:00:00;00"
    assert all(FrameClock.told(NTSC, hour[frame]).first == frame for frame in range(0, 107_892, 997))


@given(st.sampled_from(RATES), st.integers(0, 10**7))
def test_a_frame_is_found_again_by_its_time_in_milliseconds(rate, frame):
    if rate <= 500:  # a millisecond tells frames apart
        assert FrameClock(rate).frame(round(frame / rate * 1000)) == frame
        assert FrameClock(rate).frame(int(frame / rate * 1000)) == frame


@given(st.sampled_from(RATES), st.integers(0, 86_399), st.integers(0, 3_600_000), st.integers(1, 60_000))
def test_opentimelineio_reads_the_frames_that_were_written(rate, begins, start, length):
    otio = pytest.importorskip("opentimelineio")
    hours, minutes, seconds = begins // 3600, begins // 60 % 60, begins % 60
    clock = FrameClock.told(rate, f"{hours:02}:{minutes:02}:{seconds:02}:00")
    one = excerpt(start_ms=start, end_ms=start + length, duration_ms=5_000_000, clock=clock)
    timeline = otio.adapters.read_from_string(as_otio("cut", [one]), "otio_json")
    (clip,) = timeline.find_clips()
    first, end = clock.span(start, start + length)
    found = clip.source_range
    assert (found.start_time.value, found.duration.value) == (clock.first + first, end - first)
    assert found.start_time.rate == float(rate)
    assert clip.media_reference.available_range.start_time.value == clock.first
    assert clip.media_reference.available_range.end_time_exclusive().value >= found.end_time_exclusive().value
    if clock.first + first < 86_400 * clock.nominal and rate in (
        24,
        25,
        30,
        50,
    ):  # it has no timecode beyond a day, and drops frames by itself
        assert found.start_time.to_timecode(float(rate), drop_frame=False) == clock.timecode(first)


def test_a_timeline_has_tracks_by_medium():
    otio = pytest.importorskip("opentimelineio")
    some = [excerpt(), excerpt("rain.wav", modality=Modality.AUDIO, clock=None), excerpt("cat.jpg", modality=Modality.IMAGE)]
    timeline = otio.adapters.read_from_string(as_otio("cut", some), "otio_json")
    assert [(track.kind, [clip.name for clip in track]) for track in timeline.tracks] == [
        ("Video", ["harbour.mp4"]), ("Audio", ["rain.wav"]),
    ]  # fmt: skip
    assert timeline.tracks[1][0].source_range.duration.value == 2000
    assert timeline.tracks[0][0].media_reference.target_url == "/media/harbour.mp4"


def test_an_edl_counts_sources_from_their_own_start_and_each_rate_apart():
    film = excerpt("harbour day.mp4", clock=FrameClock.told(Fraction(25), "10:00:00:00"), note="gulls\nabove")
    other = excerpt("harbour day two.mp4", start_ms=0, end_ms=40)
    news = excerpt("news.mxf", start_ms=60_060 - 34, end_ms=61_000, clock=FrameClock.told(NTSC, "00:00:00;00"))
    found = as_edls("My cut", [film, other, news])
    assert list(found) == ["25", "29.97-drop"]
    assert found["25"].split("\r\n") == [
        "TITLE: My cut", "FCM: NON-DROP FRAME", "",
        "001  HARBOURD V     C        10:00:01:00 10:00:03:00 01:00:00:00 01:00:02:00",
        "* FROM CLIP NAME: harbour day.mp4", "* SOURCE FILE: /media/harbour day.mp4", "* COMMENT: gulls above",
        "002  HARBOUR2 V     C        00:00:00:00 00:00:00:01 01:00:02:00 01:00:02:01",
        "* FROM CLIP NAME: harbour day two.mp4", "* SOURCE FILE: /media/harbour day two.mp4", "",
    ]  # fmt: skip
    assert "FCM: DROP FRAME" in found["29.97-drop"]
    assert "00:00:59;29 00:01:00;30" not in found["29.97-drop"]
    assert "V     C        00:00:59;29 00:01:01;00 01:00:00;00" in found["29.97-drop"]


def test_a_table_holds_what_a_spreadsheet_must_not_run():
    with zipfile.ZipFile(io.BytesIO(zipped("csv", "All", [excerpt("=cmd.mp4", text='say "so",\nthen')]))) as archive:
        (row,) = csv.DictReader(io.StringIO(archive.read("All.csv").decode("utf-8-sig")))
    assert (row["name"], row["text"], row["start_ms"]) == ("'=cmd.mp4", 'say "so",\nthen', "1000")


def test_subtitles_and_annotations_point_into_the_medium():
    assert as_vtt([excerpt(text="a <b> & c", start_ms=3_723_004, end_ms=3_724_000)]) == (
        "WEBVTT\n\n1\n01:02:03.004 --> 01:02:04.000\na &lt;b&gt; &amp; c\n"
    )
    with zipfile.ZipFile(
        io.BytesIO(zipped("annotations", "All", [excerpt(note="gulls", start_ms=1_500, end_ms=4_000)]))
    ) as archive:
        (item,) = json.loads(archive.read("All.jsonld"))["items"]
    assert item["target"] == {
        "source": "/media/harbour.mp4",
        "selector": {"type": "FragmentSelector", "conformsTo": "http://www.w3.org/TR/media-frags/", "value": "t=1.5,4"},
    }
    assert item["body"]["value"] == "gulls"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_manifest_has_the_hash_of_every_file(kind):
    with zipfile.ZipFile(io.BytesIO(zipped(kind, "My/cut", [excerpt(), excerpt()], lambda one: ("mp4", b"cut")))) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        named = {one["name"]: one["sha256"] for one in manifest["files"]}
        assert named == {
            name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist() if name != "manifest.json"
        }
    assert named
    assert [one["name"] for one in manifest["media"]] == ["harbour.mp4"]


def test_nothing_is_not_exported():
    with pytest.raises(InputError, match="nothing to export"):
        zipped("csv", "All", [])
    with pytest.raises(InputError, match="sound or video"):
        zipped("edl", "All", [excerpt("cat.jpg", modality=Modality.IMAGE)])


def test_a_clip_that_cannot_be_cut_is_left_out_and_told():
    def cut(one):
        if one.name == "gone.mp4":
            raise MediaError("vanished", "The file is gone.")
        return "mp4", b"cut"

    with zipfile.ZipFile(io.BytesIO(zipped("clips", "All", [excerpt("gone.mp4"), excerpt()], cut))) as archive:
        assert archive.namelist() == ["002-harbour.mp4.mp4", "manifest.json"]
        assert json.loads(archive.read("manifest.json"))["left_out"] == [{"name": "001 gone.mp4", "why": "The file is gone."}]
