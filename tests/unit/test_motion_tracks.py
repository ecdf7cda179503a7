"""Tracks become velocities: GPX, FIT, tables and drones' telemetry, good and bad."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest

from search.media import DecodePool
from search.types import Channel, Modality, Span, Stamp
from tests.bench.truth.recorded_tracks import METRES
from tests.fit_files import fit
from tests.unit.media_pool import NEEDS, decode, refusal, settings

START = dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def pool():
    with DecodePool(settings(), 1) as pool:
        yield pool


def points(seconds=20, east=0.0, north=5.0, up=1.0):
    """A straight ride: seconds, latitude, longitude, height."""
    cos = np.cos(np.radians(47.0))
    return [(n, 47.0 + n * north / METRES, 8.5 + n * east / METRES / cos, 500.0 + n * up) for n in range(seconds)]


def gpx(rows, *, stamp=lambda n: (START + dt.timedelta(seconds=n)).isoformat(), before=""):
    marks = "".join(
        f'<trkpt lat="{lat}" lon="{lon}"><ele>{up}</ele>{f"<time>{stamp(n)}</time>" if stamp else ""}</trkpt>'
        for n, lat, lon, up in rows
    )
    return f'<?xml version="1.0"?>{before}<gpx xmlns="http://www.topografix.com/GPX/1/1"><trk><name>To  school</name><trkseg>{marks}</trkseg></trk></gpx>'


def ride(found):
    return np.concatenate([cut.content for cut in found.cuts], axis=1)


def test_a_track_is_cut_into_windows_of_velocity(pool, tmp_path):
    path = tmp_path / "a.gpx"
    path.write_text(gpx(points(east=3.0)))
    found = decode(pool, path)
    assert (found.info.modality, found.info.format, found.info.duration_ms, found.info.title) == (
        Modality.IMU,
        "gpx",
        19_000,
        "To school",
    )
    assert found.info.stamps == (Stamp("tags", "2024-05-01T10:00:00Z"),)
    assert found.info.position == pytest.approx((47.0, 8.5))
    assert [cut.channel for cut in found.cuts] == [Channel.MOTION] * 10
    assert found.cuts[1].span == Span(2000, 4000)
    assert found.cuts[0].content.shape == (3, 8)
    np.testing.assert_allclose(ride(found), np.tile([[3.0], [5.0], [1.0]], 77), atol=0.02)
    assert found.gaps == []


def test_every_format_tells_the_same_ride(pool, tmp_path):
    rows, since = points(north=5.0), START.timestamp()
    cues = "".join(
        f"{n + 1}\n00:00:{n:02},000 --> 00:00:{n:02},900\nFrameCnt : {n}, DiffTime : 33ms\n2024-05-01 12:00:{n:02},123\n"
        f"[iso : 100] [shutter : 1/500.0] [latitude: {lat:.7f}] [longitude: {lon:.7f}] [rel_alt: 1.0 abs_alt: {up}]\n\n"
        for n, lat, lon, up in rows
    )
    pytest.importorskip("fitdecode")
    files = {
        "a.fit": fit([(since + n, *rest) for n, *rest in rows]),
        "b.gps.csv": "time,latitude,longitude,altitude\n" + "".join(f"{n},{lat},{lon},{up}\n" for n, lat, lon, up in rows),
        "c.track.csv": "timestamp;lat;lon;ele\n"
        + "".join(f"{(since + n) * 1000:.0f};{lat};{lon};{up}\n" for n, lat, lon, up in rows),
        "d.srt": cues,
    }
    for name, content in files.items():
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        found = decode(pool, path)
        assert (name, found.info.modality, found.info.duration_ms) == (name, Modality.IMU, 19_000)
        np.testing.assert_allclose(ride(found), np.tile([[0.0], [5.0], [1.0]], 77), atol=0.06)
        stamps = [one.text for one in found.info.stamps]
        assert stamps == {"b": [], "d": ["2024-05-01T12:00:00"]}.get(name[0], ["2024-05-01T10:00:00Z"])


def test_what_is_wrong_with_a_track_is_told(pool, tmp_path):
    path = tmp_path / "a.gpx"
    rows = points(60)
    broken = [
        *rows[:20],
        (5, *rows[20][1:]),
        (21, 95.0, 8.5, 0),
        (22, float("nan"), 8.5, 0),
        *rows[23:25],
        *[(n + 100, *rest) for n, *rest in rows[25:]],
    ]
    path.write_text(gpx(broken))
    found = decode(pool, path)
    assert [gap.detail for gap in found.gaps] == [
        "no positions for 101 s",
        "3 of 60 points hold no position, or a time that does not go forward",
    ]
    assert found.gaps[0].span == Span(24_000, 125_000)
    assert np.isfinite(ride(found)).all()
    assert np.abs(ride(found)[1] - 5).max() < 0.1
    path.write_text(gpx(rows)[:-600])
    assert decode(pool, path).info.duration_ms > 40_000


def test_two_time_zones_are_one_clock(pool, tmp_path):
    path, east = tmp_path / "a.gpx", dt.timezone(dt.timedelta(hours=2))
    path.write_text(
        gpx(points(), stamp=lambda n: (START + dt.timedelta(seconds=n)).astimezone(east if n > 9 else None).isoformat())
    )
    found = decode(pool, path)
    assert (found.info.duration_ms, found.gaps) == (19_000, [])


@pytest.mark.parametrize(("content", "reason", "said"), [
    (gpx(points(), stamp=None), "undecodable", "no times"),
    (gpx(points(1)), "undecodable", "no two hold positions"),
    (gpx([]), "no_content", "no points"),
    (gpx(points(), before='<!DOCTYPE gpx [<!ENTITY a "b">]>'), "undecodable", "entities"),
    ("<gpx><trk", "undecodable", "not valid GPX"),
])  # fmt: skip
def test_what_is_no_track_is_refused(pool, tmp_path, content, reason, said):
    path = tmp_path / "a.gpx"
    path.write_text(content)
    found = refusal(pool, path)
    assert (found.reason, said in str(found)) == (reason, True)


def test_a_track_may_cross_the_date_line_and_know_no_heights(pool, tmp_path):
    path = tmp_path / "a.gps.csv"
    path.write_text("time,lat,lon\n" + "".join(f"{n},0,{(179.999 + n * 10 / METRES + 180) % 360 - 180}\n" for n in range(30)))
    found = decode(pool, path, replace(NEEDS, window_ms=5000))
    np.testing.assert_allclose(ride(found)[0], 10, atol=0.05)
    assert np.isnan(ride(found)[2]).all()


def test_a_million_rows_are_read_in_a_stream():

    from search.media.decode import tracks

    lines = (b"%d,47.0,%.7f,500\n" % (n, 8.5 + n * 1e-6) for n in range(30_000))
    found = list(tracks.table(lines, {"time": 0, "lat": 1, "lon": 2, "up": 3}, ",", 1.0, replace(NEEDS, window_ms=5000)))
    assert len(found) == 6_001
    assert found[-1].span == Span(29_995_000, 30_000_000) or found[-1].span.end <= 30_000_000
