"""Names of files and folders are words that are found."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from indexer.repair import _requeue
from search.query.operators import parse
from search.store import Passages
from search.store.intake import Intake, Sighting
from search.store.names import MAX_NAMES, READER, SOURCE, Names, name
from search.store.words import ALL_WORDS_BONUS, text_index
from search.types import KINDS


def put(database, *paths: str, digest: bytes = b"1", known: bool = True) -> None:
    intake = Intake(database)
    collection = intake.collection("media", [b"/srv/2019"])
    intake.put_files(collection, intake.begin_scan(), [], [(Sighting(path.encode(), 1, 1), digest.ljust(32)) for path in paths])
    if known:
        with database.writing() as connection:
            connection.execute(sa.text("UPDATE asset SET modality = 'image'"))


def found(database, typed: str) -> list[str]:
    ids = [id_ for id_, _ in text_index(database).search(parse(typed), 10)]
    with database.reading() as connection:
        texts = {row.id: row.text for row in connection.execute(sa.text("SELECT id, text FROM segment"))}
    return [texts[id_] for id_ in ids]


def test_a_file_is_found_by_its_name_and_that_of_its_folder(database):
    put(database, "/srv/2019/Wedding Anna and Tom/A003_C017_0531KX.mov")
    put(database, "/srv/2019/Kaffeekanne_Oma-Herta.png", digest=b"2")
    while Names(database).write(1):
        pass
    wedding = "2019/Wedding Anna and Tom/A003_C017_0531KX.mov"
    for typed in ("A003_C017", "a003c017", '"Wedding Anna and Tom"', "wedding"):
        assert found(database, typed) == [wedding]
    assert found(database, "Herta") == ["2019/Kaffeekanne_Oma-Herta.png"]
    with database.reading() as connection:
        rows = connection.execute(sa.text("SELECT channel, reader_id, source, unit FROM segment")).all()
    assert [tuple(row) for row in rows] == [("text", READER, SOURCE, None)] * 2
    assert Passages(database).missing(1, KINDS, 10) == []


def test_all_words_of_a_question_in_a_name_count_however_long_the_name_and_without_any_other_text(database):
    put(database, "/srv/2019/scans/letters/box seven/A003_C017_0531KX.mov")
    put(database, "/srv/2019/b.jpg", digest=b"2")
    while Names(database).write(1):
        pass
    (_, nats), *others = text_index(database).search(parse("A003_C017"), 10)
    assert nats >= ALL_WORDS_BONUS
    assert not others
    (_, nats), *others = text_index(database).search(parse("letters of 2018"), 10)
    assert nats < 1  # some of the words are no evidence


def test_the_words_follow_a_file_that_is_renamed_copied_or_gone(database):
    names, intake = Names(database), Intake(database)
    put(database, "/srv/2019/old.jpg")
    assert names.write(10) == 1
    put(database, "/srv/2019/new.jpg")
    assert names.write(10) == 1
    assert found(database, "new") == found(database, "old") == ["2019/old.jpg\n2019/new.jpg"]
    collection = intake.collection("media", [])
    scan = intake.begin_scan()
    put(database, "/srv/2019/new.jpg")
    intake.end_scan(collection, scan, [b"/srv/2019"])
    assert names.write(10) == 1
    assert (found(database, "new"), found(database, "old")) == (["2019/new.jpg"], [])
    put(database, "/srv/2019/new.jpg", digest=b"2")  # other bytes under this name
    assert names.write(10) == 2
    assert found(database, "new") == ["2019/new.jpg"]
    intake.delete(paths=[b"/srv/2019/new.jpg"])
    intake.drop_orphans()
    names.write(10)
    assert found(database, "new") == []
    assert names.write(10) == 0


def test_names_wait_until_it_is_known_what_a_file_holds(database):
    put(database, "/srv/2019/a.jpg", known=False)
    assert Names(database).write(10) == 0
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE asset SET modality = 'depth'"))
    assert Names(database).write(10) == 1
    assert found(database, "2019") == []  # no words are looked for in such a medium


def test_nothing_is_written_where_no_name_has_changed(database):
    put(database, "/srv/2019/a.jpg")
    Names(database).write(10)
    with database.reading() as connection:
        before = connection.execute(sa.text("SELECT id FROM segment")).scalars().all()
    with database.writing() as connection:
        connection.execute(sa.text("INSERT INTO renamed (asset_id) SELECT id FROM asset"))
    put(database, "/srv/2019/a.jpg")
    assert Names(database).write(10) == 1
    with database.reading() as connection:
        assert connection.execute(sa.text("SELECT id FROM segment")).scalars().all() == before


def test_names_of_an_asset_that_is_repaired_are_written_again(database):
    put(database, "/srv/2019/a.jpg")
    Names(database).write(10)
    with database.writing() as connection:
        asset = connection.execute(sa.text("SELECT id FROM asset")).scalar_one()
        _requeue(connection, [asset])
    assert found(database, "2019") == []
    assert Names(database).write(10) == 1
    assert found(database, "2019") == ["2019/a.jpg"]


def test_of_endless_copies_some_names_are_written(database):
    put(database, *(f"/srv/2019/copy{number}.jpg" for number in range(100)))
    Names(database).write(10)
    assert len(found(database, "2019")[0].split("\n")) == MAX_NAMES


@pytest.mark.parametrize(
    ("path", "roots", "expected"),
    [
        (b"/srv/a/b/c.jpg", [b"/srv", b"/srv/a"], "a/b/c.jpg"), (b"/srv/a/c.jpg", [b"/"], "srv/a/c.jpg"), (b"/c.jpg", [b"/"], "c.jpg"),
        (b"/srv/a/c.jpg", [b"/srv/a/c.jpg"], "a/c.jpg"), (b"/srv/a/c.jpg", [b"/srv/a/"], "a/c.jpg"), (b"/srv/x/\xff.jpg", [], "x/\ufffd.jpg"),
    ],
)  # fmt: skip
def test_a_name_begins_with_its_root(path, roots, expected):
    assert name(path, roots) == expected
