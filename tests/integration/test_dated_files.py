"""Twenty-one files whose day is written somewhere, made by exiftool and ffmpeg: each is filed under the right one."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from indexer.run import RunRequest, index
from search.query import Engine, Term
from search.store import Database, SqlStore
from search.store.catalogue import Catalogue
from search.types import DateSource, Filter, Modality

COPIED = 1_764_504_000
"""All files were copied on 2025-11-30, in seconds from 1970."""
DAY = "2019-07-14"

needs_tools = pytest.mark.skipif(not (shutil.which("exiftool") and shutil.which("ffmpeg")), reason="needs exiftool and ffmpeg")

RIGHT = {
    "exif-original.jpg": (DAY, "exif"), "exif-digitized.jpg": (DAY, "digitized"), "exif-datetime.jpg": (DAY, "changed"),
    "xmp-inside.jpg": (DAY, "xmp"), "iptc-inside.jpg": (DAY, "iptc"), "xmp-beside.jpg": (DAY, "sidecar"),
    "scan-corrected.jpg": ("1972-06-20", "sidecar"), "IMG-20170203-WA0026.jpg": ("2017-02-03", "name"), "takeout.jpg": ("2017-02-03", "takeout"),
    "evening-utc-offset.jpg": (DAY, "exif"), "png-text.png": (DAY, "tags"), "evening-in-california.mp4": (DAY, "tags"),
    "morning-in-tokyo.mp4": (DAY, "tags"), "recorded.mkv": (DAY, "tags"), "date.mp4": (DAY, "tags"), "year-only.mp4": ("1965", "tags"),
    "digitised-tape.mp4": ("1965-03-01", "tags"), "broadcast.wav": (DAY, "tags"), "id3.mp3": (DAY, "tags"), "vorbis.flac": (DAY, "tags"),
    "dated.html": (DAY, "tags"),
}  # fmt: skip
ZONES = "*tokyo*=Asia/Tokyo,America/Los_Angeles"


def run(*command) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The files, each telling its day in its own way."""
    place = tmp_path_factory.mktemp("written")
    folder = place / "dated"
    folder.mkdir()
    exif = ("exiftool", "-q", "-overwrite_original")

    def picture(name: str, *tags: str) -> None:
        Image.effect_noise((64, 48), 40 + len(list(folder.iterdir()))).convert("RGB").save(folder / name)
        if tags:
            run(*exif, *tags, folder / name)

    picture("exif-original.jpg", "-DateTimeOriginal=2019:07:14 12:20:56")
    picture("exif-digitized.jpg", "-CreateDate=2019:07:14 12:20:56")
    picture("exif-datetime.jpg", "-ModifyDate=2019:07:14 12:20:56")
    picture("xmp-inside.jpg", "-XMP-exif:DateTimeOriginal=2019:07:14 12:20:56", "-XMP-photoshop:DateCreated=2019:07:14 12:20:56")
    picture("iptc-inside.jpg", "-IPTC:DateCreated=2019:07:14")
    picture("xmp-beside.jpg")
    run("exiftool", "-q", "-o", folder / "xmp-beside.jpg.xmp", "-XMP-exif:DateTimeOriginal=2019:07:14 12:20:56")
    picture("scan-corrected.jpg", "-AllDates=2024:01:05 10:00:00")
    run(
        "exiftool",
        "-q",
        "-o",
        folder / "scan-corrected.xmp",
        "-XMP-exif:DateTimeOriginal=1972:06:20 00:00:00",
        "-XMP-photoshop:DateCreated=1972:06:20",
    )
    picture("IMG-20170203-WA0026.jpg")
    picture("takeout.jpg")
    (folder / "takeout.jpg.supplemental-metadata.json").write_text(
        '{"title":"takeout.jpg","photoTakenTime":{"timestamp":"1486157417"}}'
    )
    picture("evening-utc-offset.jpg", "-DateTimeOriginal=2019:07:14 23:30:00", "-OffsetTimeOriginal=-08:00")
    told = PngInfo()
    told.add_text("Creation Time", "2019-07-14T12:20:56")
    Image.effect_noise((64, 48), 90).convert("RGB").save(folder / "png-text.png", pnginfo=told)

    film = place / "film.mp4"
    run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=1", "-pix_fmt", "yuv420p", film)
    for number, (name, *tags) in enumerate((
        ("evening-in-california.mp4", "creation_time=2019-07-15T06:30:00Z"), ("morning-in-tokyo.mp4", "creation_time=2019-07-13T21:30:00Z"),
        ("recorded.mkv", "DATE_RECORDED=2019-07-14"), ("date.mp4", "date=2019-07-14"), ("year-only.mp4", "date=1965"),
        ("digitised-tape.mp4", "creation_time=1965-03-01T12:00:00Z"),
    )):  # fmt: skip
        told_so = [part for tag in (f"title=film {number}", *tags) for part in ("-metadata", tag)]
        run("ffmpeg", "-v", "error", "-i", film, "-c", "copy", "-map_metadata", "-1", *told_so, folder / name)
    for frequency, (name, *options) in enumerate((
        ("broadcast.wav", "-write_bext", "1", "-metadata", "origination_date=2019-07-14", "-metadata", "origination_time=12:20:56"),
        ("id3.mp3", "-metadata", "date=2019-07-14"), ("vorbis.flac", "-metadata", "date=2019-07-14"),
    ), 300):  # fmt: skip
        run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"sine=f={frequency}:d=2", *options, folder / name)
    page = '<html><head><title>Report</title><meta name="date" content="2019-07-14"></head><body><p>A report about the harbour.</p></body></html>'
    (folder / "dated.html").write_text(page)
    for file in folder.iterdir():
        os.utime(file, (COPIED, COPIED))
    return folder


@pytest.fixture
def dated(written, tmp_path):
    """Copies of the files, with their times."""
    return shutil.copytree(written, tmp_path / "dated")


def found(settings) -> dict[str, tuple[str, str]]:
    """By name: the day, or the part of a date that is told, and where it comes from."""
    database = Database(settings.database)
    try:
        page = Catalogue(database).page(wanted_all(), before=None, limit=100)
        return {os.path.basename(one.location.path): ((one.dated.text or "")[:10], str(one.dated.source)) for one in page}
    finally:
        database.close()


def wanted_all():
    from search.store.catalogue import AssetFilter

    return AssetFilter()


@needs_tools
def test_all_of_twenty_one_dates_are_right(dated, settings, encoder):
    assert index(replace(settings, timezone=ZONES), RunRequest([dated]), encoder=encoder).progress.failed == 0
    assert found(settings) == RIGHT


@needs_tools
def test_without_a_zone_every_file_is_found_on_its_day(dated, settings, encoder):
    index(settings, RunRequest([dated]), encoder=encoder)
    with Engine(settings, encoder=encoder) as engine:

        def on(first: str, last: str, **more) -> set[str]:
            wanted = Filter(since=first, until=last, **more)
            hits = engine.search(Term("anything", Modality.TEXT), wanted, k=200, group="asset").hits
            stacked = engine.store.segments([other for hit in hits for other in hit.others]).values()
            return {os.path.basename(one.path) for one in [*(hit.segment for hit in hits), *stacked]}

        assert on(DAY, DAY) == {name for name, (day, _) in RIGHT.items() if day == DAY}
        assert on("1965-03-01", "1965-03-01") == {"year-only.mp4", "digitised-tape.mp4"}
        assert on("1965-08-01", "1965-08-31") == {"year-only.mp4"}
        assert on("2025-11-01", "2030-01-01") == set()
        assert on(DAY, DAY, dated_by=(DateSource.XMP, DateSource.IPTC)) == {"xmp-inside.jpg", "iptc-inside.jpg"}


@needs_tools
def test_another_zone_and_another_sidecar_date_files_again_without_embedding(dated, settings, encoder):
    index(settings, RunRequest([dated]), encoder=encoder)
    before = encoder.encoded
    index(replace(settings, timezone=ZONES), RunRequest([dated]), encoder=encoder)
    assert found(settings) == RIGHT
    (dated / "scan-corrected.xmp").unlink()
    os.utime(dated, (COPIED, COPIED))
    index(replace(settings, timezone=ZONES), RunRequest([dated]), encoder=encoder)
    assert found(settings)["scan-corrected.jpg"] == ("2024-01-05", "exif")
    assert encoder.encoded == before


def test_an_archive_of_an_older_version_is_dated_by_the_next_run(settings, archive, encoder):
    index(settings, RunRequest([archive]), encoder=encoder)
    database = Database(settings.database)
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE asset SET dated_by = NULL, last_day = day, taken_at = NULL")
    before = encoder.encoded
    index(settings, RunRequest([archive]), encoder=encoder)
    with database.reading() as connection:
        assert {row[0] for row in connection.exec_driver_sql("SELECT dated_by FROM asset")} == {"file"}
    assert SqlStore(database).counts()["files"] == {"present": 13}
    database.close()
    assert encoder.encoded == before
