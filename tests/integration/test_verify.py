"""Verification finds what is wrong, whatever it is, and repair mends what can be mended."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from indexer.repair import repair
from indexer.run import RunRequest, index
from indexer.verify import verify
from search import cache
from search.query import Engine, Term
from search.store import Database
from search.types import Modality


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request, settings):
    return settings if request.param == "sqlite" else replace(settings, database_url=request.getfixturevalue("postgres_url"))


@pytest.fixture
def indexed(settings, archive, encoder):
    (archive / "broken.png").write_bytes(b"no picture")
    index(settings, RunRequest([archive]), encoder=encoder)
    (archive / "later.txt").write_text("A text that came later, about green things.")
    index(settings, RunRequest([archive]), encoder=encoder)
    return settings


def wrong(settings, **options) -> list[str]:
    return [check.name for check in verify(settings, **options) if not check.ok]


def change(settings, *statements: str) -> None:
    """Do to the database what nobody should."""
    with closing(Database(settings.database)) as database, database.writing() as connection:
        for statement in statements:
            connection.execute(text(statement))


def ask(settings, statement: str):
    with closing(Database(settings.database)) as database, database.reading() as connection:
        return connection.execute(text(statement)).scalar()


def space_folder(settings) -> Path:
    return next((settings.home / "index").iterdir())


def current(settings) -> Path:
    return space_folder(settings) / (space_folder(settings) / "CURRENT").read_text().split()[0]


def mended(settings, archive, encoder) -> bool:
    """Whether all is well after a repair and the next run, and searching finds what it should."""
    done, checks = repair(settings, deep=True)
    if not done or not all(check.ok for check in checks):
        return False
    index(settings, RunRequest([archive]), encoder=encoder)
    with Engine(settings, encoder=encoder) as engine:
        names = {Path(hit.segment.path).name for hit in engine.search(Term("red green", Modality.TEXT), k=50).hits}
    return wrong(settings, deep=True) == [] and {"red.png", "later.txt"} <= names


def test_a_sound_archive_passes(indexed):
    assert wrong(indexed) == wrong(indexed, deep=True) == []
    done, checks = repair(indexed)
    assert done == []
    assert all(check.ok for check in checks)


def test_an_archive_whose_files_are_all_missing_is_sound(indexed, archive, encoder):
    shutil.rmtree(archive)
    archive.mkdir()
    index(indexed, RunRequest([archive]), encoder=encoder)
    assert wrong(indexed, deep=True) == []


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        ("DELETE FROM embedding WHERE id = (SELECT min(id) FROM embedding)", "every finished unit's segments have a vector"),
        ("DELETE FROM segment WHERE asset_id = (SELECT min(asset_id) FROM segment)", "every finished unit has segments"),
        (
            "UPDATE unit SET state = 'pending' WHERE asset_id = (SELECT min(asset_id) FROM segment)",
            "no vector belongs to an unfinished unit",
        ),
        ("DELETE FROM ledger", "every file that failed is in the ledger"),
        ("UPDATE embedding SET vector = {short} WHERE id = 2", "vectors are finite"),
        ("UPDATE embedding SET vector = {zeros} WHERE id = 2", "vectors are finite"),
        ("UPDATE embedding SET vector = {nans} WHERE id = 2", "vectors are finite"),
        ("UPDATE embedding SET vector = (SELECT vector FROM embedding WHERE id = 3) WHERE id = 2", "the index's copies equal"),
    ],
)
def test_rows_that_are_wrong_are_found_and_mended(indexed, archive, encoder, harm, found):
    dim = encoder.space.dim
    blobs = {"short": b"\0\1", "zeros": bytes(2 * dim), "nans": np.full(dim, np.nan, "<f2").tobytes()}
    sqlite = indexed.database.startswith("sqlite")
    spelled = {name: f"x'{blob.hex()}'" if sqlite else rf"'\x{blob.hex()}'::bytea" for name, blob in blobs.items()}
    change(indexed, harm.format(**spelled).replace(":", r"\:"))
    assert any(found in name for name in wrong(indexed, deep=True))
    assert mended(indexed, archive, encoder)


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM segment WHERE reader_id = 0 AND asset_id = (SELECT min(asset_id) FROM segment)",
        "UPDATE segment SET text = 'another' WHERE reader_id = 0 AND asset_id = (SELECT min(asset_id) FROM segment)",
        (
            "INSERT INTO segment (asset_id, channel, ordinal, text, reader_id)"
            " SELECT asset_id, channel, ordinal + 1, text, reader_id FROM segment WHERE reader_id = 0"
        ),
        "DELETE FROM segment WHERE reader_id = 0",
    ],
)
def test_names_that_are_lost_are_found_and_written_again(indexed, archive, encoder, harm):
    change(indexed, harm)
    assert wrong(indexed) == ["the names of files are words"]
    done, checks = repair(indexed)
    assert any("names" in sentence for sentence in done)
    assert all(check.ok for check in checks)
    with Engine(indexed, encoder=encoder) as engine:
        hits = engine.search(Term("later.txt", Modality.TEXT), words=True, k=5).hits
    assert {Path(hit.segment.path).name for hit in hits} == {"later.txt"}
    assert ask(indexed, "SELECT count(*) FROM segment WHERE reader_id = 0") == ask(indexed, "SELECT count(DISTINCT asset_id) FROM location WHERE asset_id IN (SELECT id FROM asset WHERE modality IS NOT NULL)")  # fmt: skip


def test_names_that_are_due_are_not_lost(indexed, archive):
    change(indexed, "UPDATE location SET path = path WHERE id = 1", "DELETE FROM segment WHERE reader_id = 0 AND asset_id = (SELECT asset_id FROM location WHERE id = 1)", "INSERT INTO renamed (asset_id) SELECT asset_id FROM location WHERE id = 1 ON CONFLICT DO NOTHING")  # fmt: skip
    assert wrong(indexed) == []


def test_rows_that_point_to_none_are_removed(indexed, archive, encoder):
    if not indexed.database.startswith("sqlite"):
        pytest.skip("PostgreSQL lets no such row be")
    with closing(sqlite3.connect(indexed.home / "sensorium.db")) as connection:
        connection.execute("DELETE FROM asset WHERE id = 1")
        connection.commit()
    assert "no row points to one that is gone" in wrong(indexed)
    assert mended(indexed, archive, encoder)


def test_numbers_that_would_be_used_again_are_moved_on(indexed, archive, encoder):
    if indexed.database.startswith("sqlite"):
        change(indexed, "UPDATE sqlite_sequence SET seq = 1 WHERE name = 'segment'")
    else:
        change(indexed, "SELECT setval(pg_get_serial_sequence('segment', 'id'), 1)")
    assert wrong(indexed) == ["new rows get new numbers"]
    assert mended(indexed, archive, encoder)


def test_thumbnails_of_nobody_are_removed(indexed):
    ours = cache.picture(indexed.home, bytes(ask(indexed, "SELECT digest FROM asset WHERE id = 1")).hex(), "image-320", "jpg")
    orphan = cache.picture(indexed.home, "ab" * 32, "image-320", "jpg")
    for path in (ours, orphan):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert wrong(indexed) == ["every thumbnail belongs to an asset"]
    assert repair(indexed)[0] == ["1 thumbnails of no asset were removed."]
    assert (ours.exists(), orphan.exists()) == (True, False)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder, now: flip(now / "vectors.faiss"),
        lambda folder, now: flip(now / "ids.npy"),
        lambda folder, now: flip(now / "manifest.json"),
        lambda folder, now: flip(folder / "CURRENT"),
        lambda folder, now: (folder / "CURRENT").write_text("nonsense"),
        lambda folder, now: (folder / "CURRENT").unlink(),
        lambda folder, now: shutil.rmtree(now),
        lambda folder, now: (folder / "tmp-00000009").mkdir(),
        lambda folder, now: shutil.copytree(now, folder / "gen-00000099"),
        lambda folder, now: flip(min(folder.glob("gen-*")) / "vectors.faiss"),
    ],
)
def test_an_index_that_is_wrong_is_found_and_written_again(indexed, archive, encoder, harm):
    harm(space_folder(indexed), current(indexed))
    assert wrong(indexed)
    assert mended(indexed, archive, encoder)


def test_an_index_that_holds_what_was_deleted_is_found(indexed, archive, encoder):
    """As if a deletion had forgotten to tell it."""
    change(indexed, "DELETE FROM asset WHERE id = (SELECT min(asset_id) FROM segment)")
    assert "space fake: index and database hold the same segments" in wrong(indexed)
    assert mended(indexed, archive, encoder)


def test_damaged_pages_are_told_and_not_mended(indexed):
    if not indexed.database.startswith("sqlite"):
        pytest.skip("PostgreSQL checks its own pages")
    with closing(Database(indexed.database)) as database:
        database.flush()
    file = indexed.home / "sensorium.db"
    with closing(sqlite3.connect(file)) as connection:
        page, size = connection.execute(
            "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_master WHERE name = 'ix_location_path'"
        ).fetchone()
    content = bytearray(file.read_bytes())
    content[(page - 1) * size + 8 : page * size] = bytes(size - 8)
    file.write_bytes(content)
    checks = {check.name: check for check in verify(indexed)}
    assert not checks["the database file is whole"].ok
    assert "backup" in checks["the database file is whole"].remedy
