"""Files as archives hold them: under any name, among what machines leave, on disks that come and go."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from indexer import scan as scanning
from indexer.run import RunRequest, index, prune
from search.errors import InputError
from search.query import Engine, Term
from search.store import Database, Spaces, SqlStore
from search.store.catalogue import AssetFilter, Catalogue
from search.types import Modality


@pytest.fixture
def store(settings):
    database = Database(settings.database)
    yield SqlStore(database)
    database.close()


@pytest.fixture
def go(settings, archive, encoder):
    def again(*paths, **job):
        return index(settings, RunRequest(list(paths) or [archive], **job), encoder=encoder)

    return again


def names(settings, encoder, text="red", **options) -> list[str]:
    with Engine(settings, encoder=encoder) as engine:
        return [hit.segment.path for hit in engine.search(Term(text, Modality.TEXT), k=50, group="asset", **options).hits]


def test_a_suffix_does_not_decide(go, archive, store):
    pictures = archive / "pictures"
    (pictures / "red.png").rename(pictures / "red.original")
    (pictures / "blue.png").rename(pictures / "blue")
    assert go().progress.done == 13
    assert store.counts()["assets"]["image"] == 8


@pytest.mark.parametrize(("name", "form"), [("a.jp2", "jpeg2000"), ("a.tga", "tga"), ("a.ppm", "ppm")])
def test_further_pictures_are_read(go, archive, settings, name, form):
    Image.new("RGB", (40, 30), (12, 200, 99)).save(archive / name)
    assert go().progress.failed == 0
    database = Database(settings.database)
    page = Catalogue(database).page(AssetFilter(name=name), before=None, limit=5)
    database.close()
    assert [one.format for one in page] == [form]


def test_what_no_reader_takes_is_counted_by_suffix_and_opened_once(go, archive, store, settings, monkeypatch):
    for name in ("a.zip", "b.ZIP", "c.exe", "scan.djvu", "design.xcf", "nothing"):
        (archive / name).write_bytes(b"\0\1\2 no media " * 20)
    assert go().scan.passed == {".zip": 2, ".exe": 1, ".djvu": 1, ".xcf": 1, "": 1}
    assert {(one.suffix, one.known, one.count) for one in store.passed()} == {
        (".zip", False, 2), (".exe", False, 1), ("", False, 1), (".djvu", True, 1), (".xcf", True, 1),
    }  # fmt: skip
    (key,) = (entry.key for entry in Spaces(store._database).all())
    coverage = store.coverage(key)["default"]
    assert (coverage.unread, coverage.whole) == ({".djvu": 1, ".xcf": 1}, False)
    monkeypatch.setattr(scanning, "is_media_by_content", lambda path: pytest.fail(f"{path} was opened again"))
    assert sum(go().scan.passed.values()) == 6
    (archive / "c.exe").unlink()
    (archive / "a.zip").unlink()
    assert go().scan.passed == {".zip": 1, ".djvu": 1, ".xcf": 1, "": 1}
    assert {one.suffix for one in store.passed()} == {".zip", "", ".djvu", ".xcf"}


def test_what_dates_a_file_beside_it_is_not_passed_over(go, archive, store):
    pictures = archive / "pictures"
    for name in ("red.xmp", "green.png.xmp", "blue.png.supplemental-metada.json", "nobody.xmp", "notes.json"):
        (pictures / name).write_text("{}")
    assert go().scan.passed == {".xmp": 1, ".json": 1}
    assert {(one.suffix, one.count) for one in store.passed()} == {(".xmp", 1), (".json", 1)}
    (pictures / "red.png").unlink()
    assert go().scan.passed == {".xmp": 2, ".json": 1}


def test_what_was_passed_over_and_is_media_now_is_taken(go, archive, store):
    (archive / "a.dat").write_bytes(b"\0\1\2 no media " * 20)
    go()
    Image.new("RGB", (44, 33), (1, 200, 3)).save(archive / "a.dat", "PNG")
    summary = go()
    assert (summary.progress.done, summary.scan.passed) == (1, {})
    assert store.passed() == []


def test_what_machines_leave_is_left_out_and_counted(go, archive, store):
    for folder in ("@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found", "private", "mine"):
        (archive / folder).mkdir()
        Image.new("RGB", (40, 30), tuple(os.urandom(3))).save(archive / folder / "a.png")
    (archive / "private" / ".nomedia").touch()
    (archive / "._red.png").write_bytes(b"\0\5\x16\7" + b"\0" * 99)
    summary = go()
    assert (summary.progress.done, summary.scan.excluded) == (14, 6)
    assert go(exclude=["mine/"]).scan.missing == 1
    assert go(exclude=["!#recycle"]).progress.done == 1


def test_a_root_that_is_empty_now_is_away_and_nothing_is_forgotten(go, archive, store, settings, encoder):
    go()
    away = archive.parent / "unplugged"
    archive.rename(away)
    archive.mkdir()
    summary = go(prune=True)
    assert (summary.scan.away, summary.scan.missing, summary.kept_away) == (13, 0, 13)
    assert (store.missing(), store.away()) == ([], {str(archive): 13})
    with pytest.raises(InputError, match="13 files are away"):
        prune(settings, None)
    found = names(settings, encoder)
    assert str(archive / "pictures" / "red.png") in found
    with Engine(settings, encoder=encoder) as engine:
        answer = engine.search(Term("red", Modality.TEXT), k=1)
        assert (answer.coverage.away, answer.hits[0].segment.missing) == (13, False)
    archive.rmdir()
    away.rename(archive)
    before = encoder.encoded
    summary = go()
    assert (summary.scan.away, summary.scan.unchanged, store.away()) == (0, 13, {})
    assert encoder.encoded == before


def test_only_yes_forgets_what_is_away(go, archive, store):
    go()
    shutil.rmtree(archive)
    assert go(prune=True, yes=True).removed == 13
    assert store.counts()["files"] == {}


def test_a_root_nobody_knows_is_still_an_error(go, archive):
    go()
    with pytest.raises(InputError, match="not there"):
        go(archive / "nix")


def test_of_several_places_the_one_that_is_there_is_shown(go, archive, settings, encoder, tmp_path, store):
    other = tmp_path / "other"
    shutil.copytree(archive, other)
    go(archive)
    go(other)
    archive.rename(tmp_path / "unplugged")
    go(archive)
    assert all(path.startswith(str(other)) for path in names(settings, encoder))
    page = Catalogue(store._database).page(AssetFilter(), before=None, limit=50)
    assert len(page) == 13
    assert all(one.location.path.startswith(str(other)) for one in page)


def test_what_lay_on_another_device_is_away_until_that_is_back(go, archive, store, monkeypatch):
    go()
    with store._database.writing() as connection:  # as of a disk that was mounted at archive/tones
        connection.exec_driver_sql("UPDATE location SET device = device + 1 WHERE CAST(path AS TEXT) LIKE '%/tones/%'")
    kept = archive.parent / "tones"
    (archive / "tones").rename(kept)
    (archive / "tones").mkdir()
    summary = go()
    assert (summary.scan.away, summary.scan.missing) == (3, 0)
    for file in list(kept.iterdir())[1:]:
        shutil.copy2(file, archive / "tones")
    summary = go()
    assert (summary.scan.away, summary.scan.missing) == (1, 0)
    summary = go()
    assert (store.away(), summary.scan.missing) == ({str(archive): 1}, 0)


def test_a_disk_that_goes_away_during_a_run_costs_nothing(go, archive, store, monkeypatch):
    go()
    gone = archive.parent / "unplugged"
    real = scanning.walk

    def walk(root, exclusions, within):
        for number, item in enumerate(real(root, exclusions, within)):
            if number == 3:
                archive.rename(gone)
                archive.mkdir()
            yield item

    monkeypatch.setattr(scanning, "walk", walk)
    summary = go()
    monkeypatch.undo()
    assert summary.scan.missing == 0
    assert store.counts()["assets"] == {"image": 8, "audio": 3, "text": 2}
    archive.rmdir()
    gone.rename(archive)
    assert go().scan.unchanged == 13
    assert store.counts()["files"] == {"present": 13}


def test_a_known_file_that_cannot_be_reached_keeps_what_is_known_of_it(go, archive, store, monkeypatch):
    go()
    file = archive / "pictures" / "red.png"
    os.utime(file, (5, 5))

    def broken(path, *_args, **_options):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(scanning, "open", broken, raising=False)
    assert go().scan.missing == 0
    monkeypatch.undo()
    assert store.counts()["assets"]["image"] == 8
    assert store.counts()["files"] == {"present": 13}


def test_exchanged_files_of_one_size_and_time_change_places(go, archive, settings, encoder):
    one, two = archive / "a.bmp", archive / "b.bmp"
    for file, colour in ((one, (255, 0, 0)), (two, (0, 0, 255))):
        Image.new("RGB", (40, 30), colour).save(file)
        os.utime(file, (1_000_000_000, 1_000_000_000))
    go()
    for file, to in ((one, "c"), (two, "a.bmp"), (archive / "c", "b.bmp")):
        file.rename(archive / to)
    before = encoder.encoded
    summary = go()
    assert summary.scan.hashed_bytes > 0
    assert encoder.encoded == before
    with Engine(settings, encoder=encoder) as engine:
        best = [
            hit.segment.path for hit in engine.search(Term("red", Modality.TEXT), k=50).hits if hit.segment.path.endswith(".bmp")
        ]
    assert Path(best[0]).name == "b.bmp"


def test_new_rights_cost_a_hash_and_change_nothing(go, archive, encoder):
    go()
    before = encoder.encoded
    (archive / "pictures" / "red.png").chmod(0o600)
    summary = go()
    assert (summary.scan.unchanged, summary.scan.changed) == (13, 0)
    assert summary.scan.hashed_bytes == (archive / "pictures" / "red.png").stat().st_size
    assert (go().scan.hashed_bytes, encoder.encoded) == (0, before)
