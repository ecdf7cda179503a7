"""Dates as they are written inside files, beside them and in their names; and which of several counts."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from search import zones
from search.errors import InputError, MediaError
from search.media.decode import markup
from search.media.metadata import dates, dating, iptc, recorded, takeout, xmp
from search.media.metadata.circumstances import Told
from search.media.metadata.dating import SidecarDates
from search.types import Dated, DateSource, Info, Modality, Stamp
from search.zones import Zones

NOW = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
E, D, T, N = DateSource.EXIF, DateSource.DIGITIZED, DateSource.TAGS, DateSource.NAME


def day(text: str) -> int:
    return (dt.date.fromisoformat(text) - dt.date(1970, 1, 1)).days


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2019:07:14 12:20:56", "2019-07-14T12:20:56"),
        ("2019:07:14 12:20:56.123", "2019-07-14T12:20:56"),
        ("2019:07:14 12:20", "2019-07-14T12:20:00"),
        ("2019-07-14T12:20:56.000+0200", "2019-07-14T12:20:56+02:00"),
        ("2019-07-14T23:30:00-07:00", "2019-07-14T23:30:00-07:00"),
        ("2019-07-14 12:20:56Z", "2019-07-14T12:20:56Z"),
        ("D:20190714122056+02'00'", "2019-07-14T12:20:56+02:00"),
        ("D:201907141220", "2019-07-14T12:20:00"),
        ("Sun, 14 Jul 2019 12:20:56 +0200", "2019-07-14T12:20:56+02:00"),
        ("20190714", "2019-07-14"),
        ("2019-07", "2019-07"),
        ("1972", "1972"),
        ("1972:00:00 00:00:00", "1972"),
        ("1972:06:00 00:00:00", "1972-06"),
        ("2019:07:14 25:61:00", "2019-07-14"),
        ("2019:07:14 12:20:56+99:00", "2019-07-14T12:20:56"),
        ("2016:12:31 23:59:60", "2016-12-31T23:59:59"),
        ("0000:00:00 00:00:00", None),
        ("    :  :     :  :  ", None),
        ("2019:02:30 10:00:00", None),
        ("2019-13-01", None),
        ("12:20:56", None),
        ("yesterday", None),
        ("", None),
        ("\u0661\u0669\u0667\u0662", None),
        ("9" * 4000, None),
    ],
)
def test_a_date_is_read_as_far_as_it_is_told(written, expected):
    assert dates.normal(written) == expected
    assert expected is None or dates.STAMP.fullmatch(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IMG-20170203-WA0026.jpg", "2017-02-03"),
        ("IMG_20190714_122056.jpg", "2019-07-14T12:20:56"),
        ("PXL_20190714_122056123.jpg", "2019-07-14T12:20:56"),
        ("2019-07-14 12.20.56.jpg", "2019-07-14T12:20:56"),
        ("WhatsApp Image 2019-07-14 at 12.20.56.jpeg", "2019-07-14T12:20:56"),
        ("Screenshot_2019-07-14-12-20-56.png", "2019-07-14T12:20:56"),
        ("FB_IMG_1486157417123.jpg", "2017-02-03T21:30:17Z"),
        ("scan 1972-06-20.tif", "1972-06-20"),
        ("2019-07-14 Wedding/a.jpg", "2019-07-14"),
        ("1972/06/scan.jpg", "1972-06"),
        ("1972/scan.jpg", "1972"),
        ("2019/07/14/a.jpg", "2019-07-14"),
        ("DSC00123.jpg", None),
        ("12345678901.jpg", None),
        ("20991231.jpg", None),
        ("2019-02-31.jpg", None),
        ("backup-2025-11-30/photos/a.jpg", None),
    ],
)
def test_a_name_may_tell_a_date(name, expected):
    assert [stamp.text for stamp in dates.in_name(f"/archive/{name}", NOW)] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("1972", "1972-01-01", "1972-12-31"),
        ("1972-02", "1972-02-01", "1972-02-29"),
        ("2019-07-14", "2019-07-14", "2019-07-14"),
        ("2019-07-14T23:30:00-08:00", "2019-07-14", "2019-07-14"),
        ("2019-07-15T06:30:00Z", "2019-07-14", "2019-07-15"),
        ("1965-03-01T12:00:00Z", "1965-03-01", "1965-03-01"),
    ],
)
def test_a_partial_date_is_a_span_and_so_is_one_whose_zone_is_not_told(text, first, last):
    assert dates.span(text) == (dt.date.fromisoformat(first), dt.date.fromisoformat(last))


def test_of_contradicting_dates_the_most_trusted_counts():
    found = [Stamp(source, f"{2000 + number}-01-01") for number, source in enumerate(DateSource)]
    for number, source in enumerate(DateSource):
        dated = dates.resolve(reversed(found[number:]), NOW)
        assert (dated.source, dated.text) == (source, f"{2000 + number}-01-01")


def test_what_has_not_come_yet_and_the_zero_of_a_clock_are_no_dates():
    never = [
        Stamp(E, "2031-03-02"),
        Stamp(E, "1970-01-01T00:00:00"),
        Stamp(T, "1904-01-01T00:00:00Z"),
        Stamp(E, "2019-45-99"),
        Stamp(E, "0000"),
    ]
    assert dates.resolve(never, NOW) is None
    assert dates.resolve([*never, Stamp(N, "2001-02-03")], NOW).text == "2001-02-03"


def test_a_partial_date_is_made_finer_by_one_that_lies_in_it_and_by_no_other():
    assert dates.resolve([Stamp(T, "1965"), Stamp(N, "1965-03-01")], NOW) == Dated(
        day("1965-03-01"), day("1965-03-01"), T, "1965-03-01"
    )
    assert dates.resolve([Stamp(T, "1965"), Stamp(N, "2019-03-01")], NOW) == Dated(
        day("1965-01-01"), day("1965-12-31"), T, "1965"
    )
    assert dates.resolve([Stamp(T, "1965"), Stamp(DateSource.CHANGED, "1965-03-01")], NOW).text == "1965"


def test_a_time_in_utc_is_put_into_the_zone():
    evening = [Stamp(T, "2019-07-15T06:30:00Z")]
    assert dates.resolve(evening, NOW, lambda: ZoneInfo("America/Los_Angeles")).text == "2019-07-14T23:30:00-07:00"
    told = dates.resolve(evening, NOW)
    assert (told.first, told.last) == (day("2019-07-14"), day("2019-07-15"))
    assert dates.resolve([Stamp(T, "2019-07-14T00:00:00Z")], NOW).text == "2019-07-14"  # a day without a time


def test_quicktime_before_1970_is_not_in_the_future():
    assert dates.quicktime("2031-03-02T12:00:00.000000Z", NOW) == "1965-03-01T12:00:00Z"
    assert dates.quicktime("2019-07-15T06:30:00.000000Z", NOW) == "2019-07-15T06:30:00Z"


def test_a_copy_without_a_time_or_from_the_future_has_no_date():
    assert dates.of_copy(0, NOW, None) == Dated(None, None, DateSource.FILE)
    assert dates.of_copy(4_000_000_000 * 10**9, NOW, None).first is None
    assert dates.of_copy(2**62, NOW, None).first is None
    assert dates.of_copy(1_700_000_000 * 10**9, NOW, None).first == day("2023-11-14")


def test_xmp_tells_when_it_was_taken_digitised_and_changed():
    raw = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
      xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/">
      <rdf:Description xmp:ModifyDate="2024-01-01T00:00:00Z" xmp:CreateDate="2023-01-01">
      <photoshop:DateCreated>1972</photoshop:DateCreated><exif:DateTimeOriginal>1972-06-20T00:00:00</exif:DateTimeOriginal>
      </rdf:Description></rdf:RDF></x:xmpmeta>"""
    assert list(xmp.told(raw).stamps) == [
        Stamp(DateSource.XMP, "1972-06-20T00:00:00"), Stamp(DateSource.XMP, "1972"), Stamp(D, "2023-01-01"),
        Stamp(DateSource.CHANGED, "2024-01-01T00:00:00Z"),
    ]  # fmt: skip
    assert [stamp.text for stamp in xmp.told(raw[: raw.index(b"<exif:")]).stamps] == [
        "1972",
        "2023-01-01",
        "2024-01-01T00:00:00Z",
    ]
    assert xmp.told(b"<!DOCTYPE x><x/>") == Told()


def data_set(number: int, value: bytes) -> bytes:
    return bytes((0x1C, 2, number)) + len(value).to_bytes(2, "big") + value


def test_iptc_tells_days_and_times():
    made = data_set(55, b"20190714") + data_set(60, b"122056+0200") + data_set(62, b"20240105")
    assert iptc.stamps(made) == [Stamp(DateSource.IPTC, "2019-07-14T12:20:56+02:00"), Stamp(D, "2024-01-05")]
    assert iptc.stamps(data_set(55, b"19720600")) == [Stamp(DateSource.IPTC, "1972-06")]
    assert iptc.stamps(data_set(55, b"20190714") + data_set(60, b"noon")) == [Stamp(DateSource.IPTC, "2019-07-14")]
    assert iptc.stamps(made[:20] + b"\x1c\x02") == [Stamp(DateSource.IPTC, "2019-07-14")]


@pytest.mark.parametrize(
    ("tags", "form", "expected"),
    [
        ({"date_recorded": "2019-07-14"}, "matroska", ["2019-07-14"]),
        ({"com.apple.quicktime.creationdate": "2019-07-14T23:30:00-0700", "creation_time": "2019-07-15T06:30:00.000000Z"}, "mov",
         ["2019-07-14T23:30:00-07:00", "2019-07-15T06:30:00Z"]),
        ({"date": "2019-07-14", "creation_time": "12:20:56"}, "wav", ["2019-07-14T12:20:56"]),
        ({"date": "1965", "creation_time": "2019-07-15T06:30:00.000000Z"}, "mp4", ["1965", "2019-07-15T06:30:00Z"]),
        ({"creation_time": "2031-03-02T12:00:00.000000Z"}, "mp4", ["1965-03-01T12:00:00Z"]),
        ({"date": "whenever"}, "mp3", []),
    ],
)  # fmt: skip
def test_tags_tell_dates_the_recording_before_the_file(tags, form, expected):
    assert [stamp.text for stamp in recorded.stamps([tags], form)] == expected


def test_a_place_is_read_and_nonsense_is_none():
    assert recorded.position([{}, {"location": "+35.6762+139.6503/"}]) == (35.6762, 139.6503)
    assert recorded.position([{"location": "+95.0000+139.6503/"}]) is None
    assert recorded.position([{"location": "Tokyo"}]) is None


def test_takeouts_json_tells_time_and_place():
    info = takeout.info(b'{"photoTakenTime":{"timestamp":"1486157417"},"geoData":{"latitude":35.7,"longitude":139.7}}')
    assert (info.stamps, info.position) == ((Stamp(DateSource.TAKEOUT, "2017-02-03T21:30:17Z"),), (35.7, 139.7))
    assert takeout.info(b'{"photoTakenTime":{"timestamp":"never"},"geoData":{"latitude":0,"longitude":0}}') == Info(
        Modality.TEXT, "json"
    )
    for other in (b"[1, 2]", b"{}", b"[" * 100_000, b"\xff"):
        with pytest.raises(MediaError, match="Takeout"):
            takeout.info(other)


@pytest.mark.parametrize(
    ("medium", "beside"),
    [
        ("a.jpg", "a.xmp"), ("a.jpg", "a.jpg.xmp"), ("a.jpg", "a.jpg.XMP"), ("a.jpg", "a.jpg.json"), ("a.jpg", "a.jpg.supplemental-metadata.json"),
        ("a.jpg", "a.jpg.suppl.json"), ("a(1).jpg", "a.jpg.supplemental-metadata(1).json"), ("a(1).jpg", "a.jpg(1).json"),
        ("a-edited.jpg", "a.jpg.supplemental-metadata.json"),
        ("A.JPG", "a.xmp"), ("a.jpg", "a.CR2.xmp"), ("a.jpg", "A.JPG.json"),
        ("a" * 60 + ".jpg", "a" * 46 + ".json"),
    ],
)  # fmt: skip
def test_what_may_tell_a_date_beside_a_file_is_found(tmp_path, medium, beside):
    (tmp_path / medium).touch()
    (tmp_path / "other.jpg").touch()
    assert dating.fingerprint(tmp_path / medium) == ""
    (tmp_path / beside).write_text("one")
    assert dating.beside(tmp_path / medium) == [tmp_path / beside]
    assert dating.beside(tmp_path / "other.jpg") == []
    assert dating.owners(tmp_path / beside) == [tmp_path / medium]
    before = dating.fingerprint(tmp_path / medium)
    (tmp_path / beside).write_text("another")
    assert dating.fingerprint(tmp_path / medium) not in ("", before)


def test_a_sidecar_that_is_a_folder_tells_nothing(tmp_path):
    (tmp_path / "a.xmp").mkdir()

    class Pool:
        def decode(self, path, needs):
            raise MediaError("unreadable", "not a regular file")
            yield

    assert dating.read_beside(Pool(), tmp_path / "a.jpg").stamps == ()


def test_a_page_tells_its_date():
    page = '<html><head><meta property="article:published_time" content="2019-07-14T08:00:00Z"><meta name="Date" content="2019-07-14"></head></html>'
    assert markup.dated(page) == ["2019-07-14", "2019-07-14T08:00:00Z"]


def test_the_setting_names_zones_by_path():
    setting = Zones.of("*tokyo*=Asia/Tokyo, trip/=Europe/Lisbon, America/Los_Angeles")
    assert setting.name("/a/morning-in-tokyo.mp4") == "Asia/Tokyo"
    assert setting.name("/a/trip/x.mp4") == "Europe/Lisbon"
    assert setting.name("/a/x.mp4") == "America/Los_Angeles"
    assert Zones.of("").name("/a/x.mp4") is None


@pytest.mark.parametrize("setting", ["Europe/Berln", "*=nowhere", "../../etc/passwd", "Europe/Berlin,/", "Europe/"])
def test_a_zone_that_does_not_exist_is_named(setting):
    with pytest.raises(InputError, match="does not exist"):
        Zones.of(setting)


def test_the_place_of_a_film_names_its_zone_before_the_setting_does():
    pytest.importorskip("tzfpy")
    info = Info(Modality.VIDEO, "mp4", stamps=(Stamp(T, "2019-07-13T21:30:00Z"),), position=(35.68, 139.7))
    filed = dating.file_under(info, Path("/a/film.mp4"), 1, SidecarDates(), Zones.of("America/Los_Angeles"), NOW)
    assert (filed.dated.text, filed.zone) == ("2019-07-14T06:30:00+09:00", None)
    assert zones.at((0, 0)) is None
    assert zones.at((95, 400)) is None


def test_without_any_date_the_copy_dates_the_file_and_says_so(tmp_path):
    file = tmp_path / "a.jpg"
    file.touch()
    os.utime(file, (1_700_000_000, 1_700_000_000))
    filed = dating.file_under(Info(Modality.IMAGE, "jpeg"), file, file.stat().st_mtime_ns, SidecarDates(), Zones(), NOW)
    assert (filed.dated.source, filed.dated.first, filed.stamps) == (DateSource.FILE, day("2023-11-14"), ())
