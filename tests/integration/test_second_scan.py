"""Running again over files that have not changed: what it costs, and what it must not overlook."""

from __future__ import annotations

import os

import pytest
from sqlalchemy import event

from indexer import scan
from indexer.run import RunRequest, index
from search.store import Database, SqlStore


@pytest.fixture
def folders(tmp_path):
    files = tmp_path / "files"
    for n in range(120):
        folder = files / f"{n % 4}" / f"{n % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{n:03d}.txt").write_text(f"The text of file {n}, which stands alone.")
    return files


@pytest.fixture
def statements(monkeypatch):
    """What is said to databases from here on, and how often they are written to."""
    said: list[str] = []
    open_ = Database.__init__

    def opened(self: Database, url: str) -> None:
        open_(self, url)
        event.listen(self.engine, "before_cursor_execute", lambda _c, _u, statement, *_: said.append(statement))

    monkeypatch.setattr(Database, "__init__", opened)
    return said


def test_a_second_scan_writes_once_and_needs_no_encoder(settings, folders, encoder, statements, monkeypatch):
    index(settings, RunRequest([folders]), encoder=encoder)
    statements.clear()
    monkeypatch.setattr(scan, "FILES_PER_COMMIT", 8)
    monkeypatch.setattr("indexer.run.Pipeline", lambda *_: pytest.fail("a pipeline was begun for nothing"))
    summary = index(settings, RunRequest([folders]), encoder=encoder)
    assert (summary.scan.files, summary.scan.unchanged, summary.scan.new) == (120, 120, 0)
    assert sum(said.startswith("UPDATE location") for said in statements) == 1
    assert sum("FROM location LEFT OUTER JOIN asset" in said for said in statements) == 1


def test_what_changed_among_many_that_did_not_is_noticed(settings, folders, encoder, monkeypatch):
    monkeypatch.setattr(scan, "LOOKUPS_PER_TRANSACTION", 16)
    monkeypatch.setattr(scan, "FILES_PER_COMMIT", 4)
    monkeypatch.setattr(scan, "MARKS_PER_COMMIT", 40)
    index(settings, RunRequest([folders]), encoder=encoder)
    every = sorted(folders.rglob("*.txt"))
    every[3].write_text("Other words than before.")
    every[50].unlink()
    every[70].rename(every[70].with_name("moved.txt"))
    (folders / "0" / "0" / "new.txt").write_text("A new file.")
    summary = index(settings, RunRequest([folders]), encoder=encoder)
    assert (summary.scan.unchanged, summary.scan.changed, summary.scan.new, summary.scan.missing) == (117, 1, 2, 2)
    every[50].write_text("It is back, with other words.")
    back = index(settings, RunRequest([folders]), encoder=encoder)
    assert (back.scan.unchanged, back.scan.changed, back.scan.missing) == (120, 1, 0)
    database = Database(settings.database)
    assert SqlStore(database).counts()["files"] == {"present": 121, "missing": 1}
    database.close()


def test_many_files_of_other_folders_between_two_are_no_hindrance(settings, tmp_path, encoder):
    """The paths of one batch may lie far apart in the index, where a folder with many files stands between them by name."""
    files = tmp_path / "files"
    (files / "m").mkdir(parents=True)
    for name in ("a.txt", "z.txt", *(f"m/{n}.txt" for n in range(40))):
        (files / name).write_text(f"The text of {name}.")
    index(settings, RunRequest([files]), encoder=encoder)
    again = index(settings, RunRequest([files / "a.txt", files / "z.txt"]), encoder=encoder)
    assert (again.scan.files, again.scan.unchanged) == (2, 2)


def test_a_sidecar_that_comes_to_an_unchanged_file_tells_its_date(settings, folders, encoder):
    index(settings, RunRequest([folders]), encoder=encoder)
    file = min(folders.rglob("*.txt"))
    file.with_name(f"{file.name}.xmp").write_text(
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:DateTimeOriginal="1971-05-04T03:02:01"/></rdf:RDF></x:xmpmeta>'
    )
    os.utime(file.parent, ns=(1, 1))  # a folder whose time of change does not tell that anything came is the hardest case
    os.utime(file.parent)
    assert index(settings, RunRequest([folders]), encoder=encoder).scan.unchanged == 120
    database = Database(settings.database)
    store = SqlStore(database)
    rows = store.rows(store.ids(store.spaces()[0][0]))
    assert [int(day) for day in rows.days if 365 <= day < 730] == [365 + 123]
    database.close()
