"""Exports: frames and timecode against arithmetic, timelines against OpenTimelineIO, bundles against their manifests."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import zipfile
from dataclasses import replace
from fractions import Fraction
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from search.errors import InputError, MediaError
from search.exports import Excerpt, FrameClock
from search.exports.bundle import FORMATS, zipped
from search.exports.lists import as_annotations, as_coco, as_regions, as_vtt
from search.exports.timelines import as_edls, as_fcpxml, as_otio
from search.types import Modality, Thing

NTSC, FILM = Fraction(30_000, 1001), Fraction(24_000, 1001)
RATES = (Fraction(24), Fraction(25), FILM, NTSC, Fraction(30), Fraction(50), Fraction(60_000, 1001), Fraction(120))


RED = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC")


GULL = Thing("gull", (10, 20, 30, 40), 0.5, None, 1_500, "detect:fake")


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


@settings(deadline=None)
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


def seconds(told: str) -> Fraction:
    return Fraction(told.removesuffix("s"))


@settings(deadline=None)
@given(st.sampled_from(RATES), st.integers(0, 86_399), st.integers(0, 3_600_000), st.integers(1, 60_000))
def test_fcpxml_tells_each_time_as_whole_frames_of_the_mediums_own_rate(rate, begins, start, length):
    hours, minutes, secs = begins // 3600, begins // 60 % 60, begins % 60
    clock = FrameClock.told(rate, f"{hours:02}:{minutes:02}:{secs:02}:00")
    some = [excerpt(start_ms=start, end_ms=start + length, duration_ms=5_000_000, clock=clock), excerpt(clock=clock)]
    root = ElementTree.fromstring(as_fcpxml("cut", some))
    first, end = clock.span(start, start + length)
    asset, (clip, second) = root.find("resources/asset"), root.findall(".//asset-clip")
    frame = 1 / rate
    assert seconds(root.find("resources/format").get("frameDuration")) == frame
    assert seconds(asset.get("start")) == clock.first * frame
    assert (seconds(clip.get("start")), seconds(clip.get("duration"))) == ((clock.first + first) * frame, (end - first) * frame)
    assert (seconds(clip.get("offset")), seconds(second.get("offset"))) == (0, (end - first) * frame)
    assert seconds(asset.get("start")) + seconds(asset.get("duration")) >= seconds(clip.get("start")) + seconds(
        clip.get("duration")
    )
    assert seconds(root.find(".//sequence").get("duration")) == seconds(second.get("offset")) + seconds(second.get("duration"))


def test_fcpxml_has_a_project_for_each_rate_and_media_as_they_lie():
    some = [
        excerpt("harbour day.mp4", note="gulls\x00 & <more>"), excerpt("harbour day.mp4", start_ms=5_000, end_ms=6_000),
        excerpt("news.mxf", clock=FrameClock.told(NTSC, "00:00:59;29"), audible=True), excerpt("rain.wav", modality=Modality.AUDIO, clock=None, source="2024/rain.wav", audible=True),
        excerpt("cat.jpg", modality=Modality.IMAGE),
    ]  # fmt: skip
    root = ElementTree.fromstring(as_fcpxml("My cut", some))
    assert [(one.get("name"), one.find("sequence").get("tcFormat")) for one in root.iter("project")] == [
        ("My cut 25", "NDF"),
        ("My cut 29.97 drop", "DF"),
    ]
    assert [(one.get("name"), one.get("hasVideo"), one.get("hasAudio"), one.find("media-rep").get("src")) for one in root.iter("asset")] == [
        ("harbour day.mp4", "1", None, "file:///media/harbour%20day.mp4"), ("rain.wav", None, "1", "2024/rain.wav"),
        ("news.mxf", "1", "1", "file:///media/news.mxf"),
    ]  # fmt: skip
    assert root.find(".//note").text == "gulls  & <more>"
    assert root.findall(".//asset")[2].get("start") == f"{1799 * 1001}/30000s"
    formats = {one.get("id") for one in root.iter("format")}
    assert {one.get("format") for one in [*root.iter("sequence"), *root.iter("asset-clip")]} == formats


def test_a_iiif_manifest_has_a_canvas_for_each_medium_with_its_stretches():
    some = [
        excerpt(width=1920, height=1080, note="gulls", start_ms=1_500, end_ms=4_000), excerpt(width=1920, height=1080), excerpt("rain.wav", modality=Modality.AUDIO, start_ms=None, end_ms=None),
        excerpt("cat.jpg", modality=Modality.IMAGE, width=640, height=480, duration_ms=None, start_ms=None, end_ms=None), excerpt("a.md", modality=Modality.TEXT, duration_ms=None),
    ]  # fmt: skip
    with zipfile.ZipFile(io.BytesIO(zipped("iiif", "All", some))) as archive:
        manifest = json.loads(archive.read("All.iiif.json"))
        assert [one["name"] for one in json.loads(archive.read("manifest.json"))["left_out"]] == ["a.md"]
    assert (manifest["@context"], manifest["type"], manifest["label"]) == (
        "http://iiif.io/api/presentation/3/context.json", "Manifest", {"none": ["All"]},
    )  # fmt: skip
    extents = [{name: one[name] for name in ("width", "height", "duration") if name in one} for one in manifest["items"]]
    assert extents == [{"width": 1920, "height": 1080, "duration": 60}, {"duration": 60}, {"width": 640, "height": 480}]
    film, sound, picture = manifest["items"]
    assert [one["items"][0]["items"][0]["body"]["type"] for one in (film, sound, picture)] == ["Video", "Sound", "Image"]
    for one in manifest["items"]:
        (painting,) = one["items"][0]["items"]
        assert (painting["motivation"], painting["target"]) == ("painting", one["id"])
    assert [one["target"].partition("#")[2] for one in film["annotations"][0]["items"]] == ["t=1.5,4", "t=1,3"]
    assert film["annotations"][0]["items"][0]["body"]["value"] == "gulls"
    assert "annotations" not in picture
    names = [one["id"] for canvas in manifest["items"] for one in [canvas, *canvas["items"], *canvas.get("annotations", [])]]
    assert len(set(names)) == len(names)


def test_a_contact_sheet_shows_twenty_four_pictures_a_page():
    pdfium = pytest.importorskip("pypdfium2")

    def picture(one):
        if one.name == "gone.mp4":
            raise MediaError("vanished", "The file is gone.")
        file = io.BytesIO()
        Image.new("RGB", (320, 180), (200, 30, 30)).save(file, "JPEG")
        return "", file.getvalue()

    some = [excerpt(note="möwen 鷗"), excerpt("gone.mp4"), *(excerpt(f"{number}.mp4") for number in range(23))]
    with zipfile.ZipFile(io.BytesIO(zipped("sheet", "All", some, picture))) as archive:
        document = pdfium.PdfDocument(archive.read("All.pdf"))
    assert len(document) == 2
    assert [round(side) for side in document[0].get_size()] == [595, 842]  # A4 in points
    page = document[0].render(scale=1).to_pil().convert("RGB")
    red = [
        [
            page.getpixel((36 + 71 + column * 141, 79 + 45 + row * 120))[0]
            - page.getpixel((36 + 71 + column * 141, 79 + 45 + row * 120))[1]
            > 100
            for column in range(4)
        ]
        for row in range(6)
    ]
    assert red == [[True, False, True, True], *[[True] * 4] * 5]


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
    with zipfile.ZipFile(
        io.BytesIO(
            zipped(kind, "My/cut", [excerpt(things=(GULL,)), excerpt()], lambda one: ("mp4", b"cut" if kind == "clips" else RED))
        )
    ) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        named = {one["name"]: one["sha256"] for one in manifest["files"]}
        assert named == {
            name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist() if name != "manifest.json"
        }
    assert named
    assert [one["name"] for one in manifest["media"]] == ["harbour.mp4"]


def test_things_are_told_with_their_boxes_as_annotations_and_as_coco():
    film = excerpt(things=(GULL, Thing("boat", (0, 0, 50, 50))), width=640, height=360)
    seen = [film, replace(film, things=(GULL,)), excerpt("dot.jpg", things=(GULL,))]
    items = json.loads(as_regions("All", seen))["items"]
    assert [(one["body"]["value"], one.get("confidence"), one["target"]["selector"]["value"]) for one in items] == [
        ("gull", 0.5, "t=1.5&xywh=percent:10,20,30,40"), ("boat", None, "xywh=percent:0,0,50,50"), ("gull", 0.5, "t=1.5&xywh=percent:10,20,30,40")
    ]  # fmt: skip
    text, left_out = as_coco("All", seen)
    told = json.loads(text)
    assert [(one.get("at_ms"), one["width"]) for one in told["images"]] == [(1_500, 640), (None, 640)]
    names = {one["id"]: one["name"] for one in told["categories"]}
    assert [(names[one["category_id"]], one["image_id"], one["bbox"]) for one in told["annotations"]] == [
        ("gull", 1, [64, 72, 192, 144]), ("boat", 2, [0, 0, 320, 180])
    ]  # fmt: skip
    assert list(left_out) == ["dot.jpg"]
    with pytest.raises(InputError, match="known of things"):
        zipped("coco", "All", [excerpt()])


def test_a_hit_with_a_box_points_at_that_part():
    (item,) = json.loads(as_annotations("All", [excerpt(start_ms=1_500, end_ms=4_000, box=(10, 20, 30, 40))]))["items"]
    assert item["target"]["selector"]["value"] == "t=1.5,4&xywh=percent:10,20,30,40"


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
