"""Deleting: gone from the answers, the database, the index on disk and the thumbnails; the files stay."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import select

from indexer.delete import What, delete
from indexer.run import RunRequest, index
from indexer.verify import verify
from search import cache
from search.errors import InputError, UnknownName
from search.live import LiveIndex
from search.query import Engine, Term
from search.store import Database, SqlStore
from search.store import tables as t
from search.types import Modality


@pytest.fixture
def indexed(settings, archive, encoder):
    index(settings, RunRequest([archive]), encoder=encoder)
    return settings


@pytest.fixture
def store(indexed):
    database = Database(indexed.database)
    yield SqlStore(database)
    database.close()


def healthy(settings) -> bool:
    return all(check.ok for check in verify(settings, deep=True))


def found(settings, encoder, words: str) -> list[str]:
    with Engine(settings, encoder=encoder) as engine:
        return [Path(hit.segment.path).name for hit in engine.search(Term(words, Modality.TEXT), k=50).hits]


def vector_of(settings, path: Path) -> bytes:
    """A vector of a file, as the database and the index's files hold it."""
    database = Database(settings.database)
    query = (
        select(t.embedding.c.vector).join(t.segment, t.segment.c.id == t.embedding.c.segment_id)
        .join(t.location, t.location.c.asset_id == t.segment.c.asset_id).where(t.location.c.path == bytes(path))
    )  # fmt: skip
    with database.reading() as connection:
        vector = connection.execute(query).scalars().first()
    database.close()
    return vector


def test_a_deleted_file_is_found_nowhere_and_nothing_of_it_stays_on_disk(indexed, archive, encoder):
    red = archive / "pictures" / "unlike-any-other.png"
    Image.effect_noise((40, 40), 90).convert("RGB").save(red)
    index(indexed, RunRequest([archive]), encoder=encoder)
    assert red.name in found(indexed, encoder, "red")
    trace = vector_of(indexed, red)
    picture = cache.picture(indexed.home, store_digest(indexed, red), "image-320", "jpg")
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"a thumbnail")
    planned = delete(indexed, What(paths=[red]), dry_run=True)
    assert picture.exists()
    assert red.name in found(indexed, encoder, "red")
    gone = delete(indexed, What(paths=[red]))
    assert gone == planned
    assert (gone.files, gone.assets, gone.thumbnails, gone.bytes) == (1, 1, 1, 11)
    assert red.name not in found(indexed, encoder, "red")
    assert not picture.exists()
    assert red.exists()
    assert healthy(indexed)
    assert len(trace) > 16
    left = [path for path in indexed.home.rglob("*") if path.is_file() and trace in path.read_bytes()]
    assert left == []


def test_a_thumbnail_that_goes_by_itself_meanwhile_stops_nothing(indexed, archive, encoder, monkeypatch):
    red = archive / "pictures" / "red.png"
    monkeypatch.setattr(cache, "pictures_of", lambda home, digest: [home / "cache" / digest[:2] / f"{digest}-image-320.jpg"])
    assert delete(indexed, What(paths=[red])).thumbnails == 0
    assert red.name not in found(indexed, encoder, "red")
    assert [folder.name for folder in indexed.home.glob("index/*/gen-*")] == ["gen-00000002"]  # the one before is gone too


@pytest.mark.parametrize("again", ["index", "delete"])
def test_a_deletion_that_was_killed_half_way_is_ended_by_the_next_run(indexed, archive, encoder, monkeypatch, again):
    red = archive / "pictures" / "red.png"
    with monkeypatch.context() as patch:
        patch.setattr(LiveIndex, "write", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            delete(indexed, What(paths=[red]))
    before = {folder.name for folder in indexed.home.glob("index/*/gen-*")}
    red.unlink()
    if again == "index":
        index(indexed, RunRequest([archive]), encoder=encoder)
    else:
        with pytest.raises(InputError, match="nothing of that"):
            delete(indexed, What(paths=[red]))
    after = {folder.name for folder in indexed.home.glob("index/*/gen-*")}
    assert len(after) == 1
    assert not before & after
    assert healthy(indexed)


def store_digest(settings, path: Path) -> str:
    database = Database(settings.database)
    query = select(t.asset.c.digest).join(t.location).where(t.location.c.path == bytes(path))
    with database.reading() as connection:
        digest = connection.execute(query).scalar_one()
    database.close()
    return digest.hex()


def test_an_asset_that_also_lies_elsewhere_stays_when_one_path_goes(settings, archive, encoder):
    (archive / "copy.png").write_bytes((archive / "pictures" / "red.png").read_bytes())
    index(settings, RunRequest([archive]), encoder=encoder)
    gone = delete(settings, What(paths=[archive / "copy.png"]))
    assert (gone.files, gone.assets, gone.vectors) == (1, 0, 0)
    assert "red.png" in found(settings, encoder, "red")
    gone = delete(settings, What(assets=[asset_of(settings, archive / "pictures" / "red.png")]))
    assert (gone.files, gone.assets) == (1, 1)
    assert healthy(settings)


def asset_of(settings, path: Path) -> int:
    database = Database(settings.database)
    try:
        return SqlStore(database).assets_of([str(path)])[str(path)]
    finally:
        database.close()


def test_a_collection_goes_whole(indexed, archive, encoder, store):
    other = archive.parent / "other"
    other.mkdir()
    (other / "red.png").write_bytes((archive / "pictures" / "red.png").read_bytes())
    index(indexed, RunRequest([other], "other"), encoder=encoder)
    gone = delete(indexed, What(collection="default"))
    assert gone.files > gone.assets > 0
    assert store.collections().keys() == {"other"}
    assert found(indexed, encoder, "red") == ["red.png"]
    assert healthy(indexed)
    assert index(indexed, RunRequest([archive]), encoder=encoder).progress.done == gone.assets


def test_what_is_deleted_leaves_the_ledger_too(settings, archive, encoder):
    (archive / "empty.png").touch()
    (archive / "broken.png").write_bytes(b"no picture")
    index(settings, RunRequest([archive]), encoder=encoder)
    delete(settings, What(paths=[archive / "empty.png", archive / "broken.png"]))
    database = Database(settings.database)
    assert SqlStore(database).failures() == []
    database.close()


def test_a_service_that_runs_forgets_it_at_once(indexed, archive, encoder):
    with Engine(indexed, encoder=encoder) as engine:
        query = Term("red", Modality.TEXT)
        assert any(hit.segment.path.endswith("red.png") for hit in engine.search(query, k=50).hits)
        delete(indexed, What(paths=[archive / "pictures" / "red.png"]))
        assert not any(hit.segment.path.endswith("red.png") for hit in engine.search(query, k=50).hits)


def test_what_is_not_there_cannot_be_deleted(indexed, tmp_path):
    for what in (What(paths=[tmp_path / "nowhere"]), What(assets=[10**6]), What()):
        with pytest.raises(InputError, match="nothing of that"):
            delete(indexed, what)
    with pytest.raises(UnknownName, match="elsewhere"):
        delete(indexed, What(collection="elsewhere"))
