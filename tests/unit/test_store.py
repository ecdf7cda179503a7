"""The store: its schema, its transactions, the queue and the ledger."""

from __future__ import annotations

import datetime
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from search.errors import InputError, NewerDatabase, StoreError, UnknownName
from search.store import Database, Finished, Intake, Labels, Queue, Readers, Spaces, SqlStore
from search.store import tables as t
from search.store.asset_dates import Dates
from search.store.catalogue import Catalogue
from search.store.database import alembic_config, clock_ms, now_ms
from search.store.intake import Again, Passing, Sighting
from search.store.queue import LARGE_BYTES, LEASE_MS
from search.types import Channel, Cut, Dated, DateSource, Filed, Filter, Gap, Info, Modality, Space, Span, Stamp

LATER = 1 << 60
SPACE = Space("fake", "fake", "fake", "1", 4, frozenset({Modality.TEXT, Modality.IMAGE}))


@pytest.fixture
def intake(database):
    return Intake(database)


@pytest.fixture
def store(database):
    return SqlStore(database)


def sighting(path: str, size: int = 10, mtime: int = 1) -> Sighting:
    return Sighting(path.encode(), size, mtime)


@pytest.fixture
def work(database):
    """The queue of the fake space, as a worker of that name works on it."""
    space = Spaces(database).add(SPACE, "fake").key
    return lambda name="one", place="": Queue(database, space, name, place)


def put(work, unit, *, modality=Modality.IMAGE, cuts=1, text=None, taken=None, duration=None, gaps=()):
    channel = Channel.TEXT if modality is Modality.TEXT else Channel.VISUAL
    made = [Cut(channel, modality, Span(i * 1000, i * 1000 + 1000), text or np.empty(0, np.uint8)) for i in range(cuts)]
    vectors = np.eye(4, dtype=np.float32)[np.arange(cuts) % 4]
    day = taken and (datetime.date.fromisoformat(taken[:10]) - datetime.date(1970, 1, 1)).days
    filed = Filed(Dated(day, day, DateSource.EXIF, taken)) if taken else None
    return work.put([Finished(unit, Info(modality, "x", 1, 2, duration), made, vectors, gaps, filed=filed)])


def queue(intake, *paths: str, collection: str = "c") -> tuple[int, int]:
    key, space = intake.collection(collection, [b"/a"]), Spaces(intake._database).add(SPACE, "fake").key
    intake.put_files(key, intake.begin_scan(), [space], [(sighting(path), path.encode().ljust(32)) for path in paths])
    return key, space


def revisions() -> list[str]:
    return [script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()]


@pytest.mark.usefixtures("migrations")
def test_the_tables_equal_the_head_of_the_migrations(database):
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == t.REVISION == database.revision()
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"include_object": t.described}), t.metadata) == []


@pytest.mark.usefixtures("migrations")
@pytest.mark.parametrize("revision", revisions())
def test_a_database_of_each_revision_with_rows_is_upgraded_and_keeps_them(tmp_path, revision):
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    with database.engine.execution_options(sensorium_write=True).begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.execute(sa.text("INSERT INTO collection (name, created_at) VALUES ('kept', 1)"))
    database.upgrade()
    assert database.revision() == t.REVISION
    assert "kept" in SqlStore(database).collections()


def test_a_database_from_a_newer_program_is_refused_and_left_alone(database):
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    for use in (database.check, database.upgrade):
        with pytest.raises(NewerDatabase, match="9999"):
            use()
    assert database.revision() == "9999"


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "a.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="damaged"):
        Database(f"sqlite:///{tmp_path / 'a.db'}").revision()


def test_waiting_for_a_database_makes_no_file(tmp_path):
    """Who makes it keeps it from others, and syncs its folders."""
    with closing(Database(f"sqlite:///{tmp_path / 'home' / 'a.db'}")) as database:
        database.attend(60)
        assert not (tmp_path / "home").exists()
        database.upgrade()
        assert (tmp_path / "home" / "a.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_sqlite_is_durable(database):
    with database.engine.connect() as connection:
        pragmas = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_writer_takes_the_lock_at_once(database, tmp_path):
    with database.writing():
        other = sqlite3.connect(tmp_path / "a.db", timeout=0, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_writers_on_postgresql_number_their_rows_in_the_order_of_their_commits(database):
    rows, began = sa.insert(t.collection), threading.Event()

    def second():
        began.set()
        with database.writing() as connection:
            connection.execute(rows.values(name="second", created_at=1))

    thread = threading.Thread(target=second)
    with database.writing() as connection:
        thread.start()
        began.wait()
        thread.join(0.2)  # it would be through by then, had it not to wait
        connection.execute(rows.values(name="first", created_at=1))
    thread.join()
    with database.reading() as connection:
        names = connection.execute(sa.select(t.collection.c.name).order_by(t.collection.c.id)).scalars().all()
    assert names == ["first", "second"]


def test_a_reader_sees_one_state_throughout(database):
    def count(connection):
        return connection.execute(sa.select(sa.func.count()).select_from(t.collection)).scalar_one()

    with database.reading() as reader:
        before = count(reader)
        with database.writing() as writer:
            writer.execute(sa.insert(t.collection).values(name="x", created_at=1))
        assert count(reader) == before == 0


@pytest.mark.usefixtures("migrations")
def test_several_that_start_at_once_make_the_tables_once(postgres_url):
    databases = [Database(postgres_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Database.upgrade, databases))
    assert {database.revision() for database in databases} == {t.REVISION}
    for database in databases:
        database.close()


def test_text_with_a_nul_is_kept(intake, work, store):
    queue(intake, "/a/x")
    put(work(), work().lease(1)[0], gaps=[Gap("truncated", "what\0ever")])
    assert [failure.detail for failure in store.failures()] == ["what\ufffdever"]


def test_a_failed_transaction_leaves_nothing_and_moves_no_version(database, store):
    before = store.version()

    def fails():
        with database.writing() as connection:
            connection.execute(sa.insert(t.collection).values(name="x", created_at=1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert store.collections() == {}
    assert store.version() == before


def test_same_bytes_are_queued_once_and_every_place_is_kept(intake, store):
    key, space = intake.collection("c", [b"/a"]), Spaces(intake._database).add(SPACE, "fake").key
    same = b"d" * 32
    assert intake.put_files(key, 1, [space], [(sighting("/a/one"), same), (sighting("/a/two"), same)]) == 1
    assert intake.put_files(key, 1, [space], [(sighting("/a/three"), same)]) == 0
    assert store.counts()["files"] == {"present": 3}


def test_an_attempt_is_counted_before_anything_is_decoded(intake, work, database):
    queue(intake, "/a/x")
    (unit,) = work().lease(5)
    assert unit.attempts == 1
    with database.reading() as connection:
        assert connection.execute(sa.select(t.unit.c.state, t.unit.c.attempts)).one() == ("leased", 1)
    assert work("another").lease(5, suspect=True) == []


def test_a_unit_that_takes_its_worker_down_three_times_is_quarantined_and_no_other_file_is_blamed(intake, work, store):
    queue(intake, "/a/good", "/a/killer", "/a/other")
    for attempt in (1, 2, 3):
        doomed = work(f"worker {attempt}")
        units = doomed.lease(5) or doomed.lease(5, suspect=True)
        assert len(units) == (3 if attempt == 1 else 1)
        while attempt > 1 and units[0].path != b"/a/killer":
            put(doomed, units[0])
            units = doomed.lease(5, suspect=True)
        assert {unit.attempts for unit in units} == {attempt}
        work("the next").take_back([f"worker {attempt}"])
    assert work().lease(5, suspect=True) == []
    assert store.counts()["units"] == {"done": 2, "quarantined": 1}
    (failure,) = store.failures()
    assert (failure.path, failure.reason) == ("/a/killer", "killed")
    assert intake.retry([Spaces(intake._database).add(SPACE, "fake").key], Again()) == (1, {})
    assert len(work().lease(5)) == 1


def test_a_file_that_kills_its_decoder_is_tried_three_times(intake, work, store):
    queue(intake, "/a/killer")
    ended = [work().fail(work().lease(1, suspect=True)[0], "killed", "it died") for _ in range(3)]
    assert ended == [False, False, True]
    assert store.counts()["units"] == {"quarantined": 1}
    assert [line.reason for line in store.failures()] == ["killed"]


def test_what_was_dropped_or_deleted_by_others_ends_no_run(database, intake, work, store):
    """A run knows its spaces, readers and collections from its beginning; others may remove them meanwhile."""
    key, space = queue(intake, "/a/x", "/a/y")
    entry = Spaces(database).add(replace(SPACE, name="second"), "fake")
    reader = Readers(database).add("fake", "1", [Modality.IMAGE], [Channel.OCR])
    (unit, _) = work().lease(2)
    Spaces(database).drop("second")
    Readers(database).remove("fake")
    assert intake.put_files(key, intake.begin_scan(), [space, entry.key], [(sighting("/a/z"), b"/a/z".ljust(32))]) == 1
    assert (Spaces(database).fill(entry), Readers(database).fill(reader)) == (0, 0)
    Labels(database).put(entry.key, {1: [("a dog", 0.9)]})
    Labels(database).put(space, {1: [("a dog", 0.9)], 99: [("a cat", 0.9)]})
    assert (Labels(database).names(9), Labels(database).of(1)) == ({"a dog": 1}, [("a dog", 0.9)])
    twin = intake.collection("twin", [b"/b"])
    intake.put_files(twin, intake.begin_scan(), [space], [(sighting("/b/x"), b"/a/x".ljust(32))])
    intake.delete(collection=key)
    put(work(), unit, gaps=[Gap("truncated", "the end is missing")])
    assert [(line.reason, line.collection) for line in Catalogue(database).ledger()] == [("truncated", None)]
    for write in (
        lambda: intake.put_files(key, 1, [space], [(sighting("/a/w"), b"/a/w".ljust(32))]),
        lambda: intake.reject_file(key, 1, sighting("/a/w"), "unreadable", "It cannot be opened."),
        lambda: intake.pass_over(key, 1, [Passing(b"/a/w.zip", 1, 1, ".zip", False)]),
    ):
        with pytest.raises(InputError, match="was deleted while"):
            write()


def test_units_of_large_files_are_leased_besides_the_others(intake, work):
    queue(intake, "/a/film", "/a/b", "/a/second film", "/a/c", "/a/d")
    with intake._database.writing() as connection:
        film = t.location.c.path.in_([b"/a/film", b"/a/second film"])
        connection.execute(sa.update(t.location).where(film).values(size=LARGE_BYTES))
    names = lambda units: [unit.path.decode() for unit in units]  # noqa: E731
    assert names(work().lease(2, large=0)) == ["/a/b", "/a/c"]
    assert names(work().lease(2, large=1)) == ["/a/d", "/a/film"]
    assert names(work().lease(2, large=0)) == ["/a/second film"]


def test_units_handed_back_have_not_been_tried(intake, work):
    queue(intake, "/a/x")
    work().hand_back(work().lease(5))
    assert [unit.attempts for unit in work().lease(5)] == [1]


def test_a_lease_lasts_as_long_as_its_worker_gives_signs_of_life(intake, work, monkeypatch):
    queue(intake, "/a/x")
    begun, one, two = now_ms(), work("one"), work("two")
    clock = iter(begun + LEASE_MS * step // 4 for step in range(100))
    monkeypatch.setattr("search.store.queue.clock_ms", lambda _: next(clock))
    assert len(one.lease(1, suspect=True)) == 1
    for _ in range(6):
        one.beat()
        assert two.lease(1, suspect=True) == []
    for _ in range(6):
        if units := two.lease(1, suspect=True):
            break
    assert [unit.attempts for unit in units] == [2]


@pytest.mark.parametrize("jump_ms", [-3_600_000, 3_600_000, 7 * 86_400_000])
def test_a_sleeping_laptop_takes_nothing_from_its_own_workers(intake, work, store, monkeypatch, jump_ms):
    """Their locks tell whether they live; the clock tells only of workers elsewhere."""
    queue(intake, "/a/x")
    here, other = work("place_-1", place="place_-"), work("place_-2", place="place_-")
    (unit,) = here.lease(1)
    now = clock = now_ms()
    monkeypatch.setattr("search.store.queue.clock_ms", lambda _: clock)
    for nap in range(1, 4):
        clock = now + nap * jump_ms
        assert not other.waiting()
        assert other.lease(1, suspect=True) == []
        here.beat()
    assert len(put(here, unit)) == 1
    assert store.counts()["units"] == {"done": 1}


def test_a_lease_of_another_machine_runs_out(intake, work, monkeypatch):
    queue(intake, "/a/x")
    work("elsewhere-1").lease(1)
    later = now_ms() + 2 * LEASE_MS
    monkeypatch.setattr("search.store.queue.clock_ms", lambda _: later)
    assert [unit.attempts for unit in work("here-1", place="here-").lease(1, suspect=True)] == [2]


def test_leases_go_by_the_clock_of_the_database(database, monkeypatch):
    """Two machines that share a PostgreSQL may differ by an hour."""
    monkeypatch.setattr("search.store.database.now_ms", lambda: 0)
    with database.reading() as connection:
        assert (clock_ms(connection) > 0) == (connection.dialect.name == "postgresql")


def test_what_a_worker_lost_it_cannot_end(intake, work, store):
    _, space = queue(intake, "/a/x")
    slow, quick = work("slow"), work("quick")
    (unit,) = slow.lease(1)
    quick.take_back(["slow"])
    (same,) = quick.lease(1, suspect=True)
    assert len(put(quick, same)) == 1
    assert put(slow, unit) == []
    assert not slow.fail(unit, "undecodable", "x")
    slow.forget(unit, gone=False)
    slow.hand_back([unit])
    assert store.counts()["units"] == {"done": 1}
    assert len(store.ids(space)) == 1


@pytest.mark.parametrize("gone", [False, True])
def test_bytes_that_changed_in_one_place_are_read_in_another(intake, work, store, gone):
    key, space = intake.collection("c", [b"/a"]), Spaces(intake._database).add(SPACE, "fake").key
    intake.put_files(key, 1, [space], [(sighting("/a/one"), b"d" * 32), (sighting("/a/two"), b"d" * 32)])
    (unit,) = work().lease(1)
    work().forget(unit, gone=gone)
    (same,) = work().lease(1)
    assert (unit.path, same.path, same.attempts) == (b"/a/one", b"/a/two", 1)
    assert store.missing() == (["/a/one"] if gone else [])
    assert [line.reason for line in store.failures()] == ([] if gone else ["vanished"])


def test_two_workers_share_what_there_is(intake, work):
    queue(intake, *(f"/a/{number}" for number in range(10)))
    one, two = work("one").lease(6), work("two").lease(6)
    assert len(one) == 6
    assert len(two) == 4
    assert not {unit.id for unit in one} & {unit.id for unit in two}
    last = work().last()
    assert work().unended(last)
    for worker, units in (("one", one), ("two", two)):
        for unit in units:
            put(work(worker), unit)
    assert not work().unended(last)


def test_two_scans_at_once_do_not_miss_each_others_files(intake, store):
    key, space = queue(intake, "/a/x")
    first, second = intake.begin_scan(), intake.begin_scan()
    intake.put_files(key, second, [space], [(sighting("/a/x"), b"x" * 32)])
    intake.put_files(key, first, [space], [(sighting("/a/y"), b"y" * 32)])
    assert intake.end_scan(key, first, [b"/a"]) == (0, 0)
    assert intake.end_scan(key, second, [b"/a"]) == (0, 0)
    assert store.missing() == []


def test_a_finished_unit_has_its_rows_in_order(intake, work, store):
    _, space = queue(intake, "/a/x")
    put(work(), work().lease(1)[0], cuts=3, gaps=[Gap("truncated", "the end is missing", Span(5, 9))])
    ids = store.ids(space)
    assert len(ids) == 3
    vectors = store.vectors(space, 4, ids)
    assert [int(vectors[int(id_)].argmax()) for id_ in ids] == [0, 1, 2]
    segments = store.segments(ids.tolist())
    assert [segments[int(id_)].span for id_ in ids] == [Span(i * 1000, i * 1000 + 1000) for i in range(3)]
    assert [(f.reason, f.span) for f in store.failures()] == [("truncated", Span(5, 9))]


def test_deleting_an_asset_tells_the_indexes(intake, work, store, database):
    key, space = queue(intake, "/a/x")
    put(work(), work().lease(1)[0], cuts=2)
    ids = store.ids(space)
    assert intake.end_scan(key, LATER, [b"/a"]) == (1, 0)
    assert intake.prune(key) == 1
    assert intake.drop_orphans() == 1
    assert store.removals(space)[1].tolist() == ids.tolist()
    assert len(store.ids(space)) == 0
    assert store.counts()["segments"] == {}


def test_ids_of_segments_are_never_used_again(intake, work, store):
    key, space = queue(intake, "/a/x")
    put(work(), work().lease(1)[0])
    before = store.ids(space).tolist()
    intake.end_scan(key, LATER, [b"/a"])
    intake.prune()
    intake.drop_orphans()
    queue(intake, "/a/y")
    put(work(), work().lease(1)[0])
    assert min(store.ids(space).tolist()) > max(before)


def test_a_scan_marks_only_what_it_did_not_meet_under_its_root(intake, store):
    key, _ = queue(intake, "/a/x", "/ab/y", "/a0")
    assert intake.end_scan(key, LATER, [b"/a"]) == (1, 0)
    assert store.missing() == ["/a/x"]


def test_what_is_away_is_found_and_only_forgotten_when_asked_to(intake, work, store):
    key, space = queue(intake, "/a/x", "/a/y")
    for unit in work().lease(2):
        put(work(), unit)
    assert intake.end_scan(key, LATER, [b"/a"], is_away=lambda path, device: (path, device) == (b"/a/x", None)) == (1, 1)
    assert (store.missing(), store.away(), intake.away(key)) == (["/a/y"], {"/a": 1}, 1)
    assert len(store.columns(space).ids) == 1
    coverage = store.coverage(space)["c"]
    assert (coverage.files, coverage.seen, coverage.away) == (1, 1, 1)
    assert intake.prune(key) == 1
    assert store.counts()["files"] == {"away": 1}
    assert intake.holds(key, b"/a")
    assert intake.prune(key, away=True) == 1
    assert not intake.holds(key, b"/a")


def test_what_is_passed_over_is_known_until_it_is_gone(intake, store):
    key = intake.collection("c", [b"/a"])
    files = [Passing(b"/a/x.zip", 1, 2, ".zip", False), Passing(b"/a/\xff.nef", 3, 4, ".nef", True)]
    intake.pass_over(key, 1, files)
    intake.pass_over(key, 1, [Passing(b"/a/x.zip", 9, 9, ".zip", False)])
    assert intake.passed(key, [b"/a/x.zip", b"/a/y"]) == {b"/a/x.zip": Passing(b"/a/x.zip", 9, 9, ".zip", False)}
    assert [(one.suffix, one.known, one.count) for one in store.passed("c")] == [(".nef", True, 1), (".zip", False, 1)]
    intake.still_passed(key, LATER, [b"/a/x.zip"])
    intake.end_scan(key, LATER, [b"/a"])
    assert [one.suffix for one in store.passed()] == [".zip"]


def test_a_file_is_the_same_as_far_as_its_file_system_tells(intake):
    key, _ = queue(intake, "/a/x")
    known = intake.known(key, [b"/a/x"])[b"/a/x"]
    met = Sighting(b"/a/x", 10, 1, 5, 2**63 - 1, 7)
    assert known.looks_like(met)  # an older version did not look
    intake.seen(LATER, [(known, met)])
    known = intake.known(key, [b"/a/x"])[b"/a/x"]
    assert (known.ctime_ns, known.inode, known.device) == (5, 2**63 - 1, 7)
    assert known.looks_like(met)
    assert known.looks_like(Sighting(b"/a/x", 10, 1, 5, None, 8))  # mounted anew, where inodes do not last
    assert not known.looks_like(Sighting(b"/a/x", 10, 1, 6, 2**63 - 1, 7))
    assert not known.looks_like(Sighting(b"/a/x", 10, 1, 5, 1, 7))


def test_dates_are_kept_with_all_that_was_found_and_looked_for_again(database, intake, work):
    key, _ = queue(intake, "/a/x")
    (unit,) = work().lease(1)
    put(work(), unit)
    kept = Dates(database)
    (placed,) = kept.undated(0, 10)
    assert (placed.path, placed.mtime_ns, kept.undated(placed.asset, 10), kept.at(key, [b"/a/x"])) == (b"/a/x", 1, [], [])
    stamps = (Stamp(DateSource.TAGS, "1965-03-01T12:00:00Z"), Stamp(DateSource.NAME, "1965"))
    kept.put(
        [
            (
                placed.asset,
                Filed(Dated(-1767, -1767, DateSource.TAGS, "1965-03-01T04:00:00-08:00"), stamps, "f" * 64, "America/Los_Angeles"),
            )
        ]
    )
    asset = Catalogue(database).assets([placed.asset])[placed.asset]
    assert (asset.dated, asset.stamps) == (Dated(-1767, -1767, DateSource.TAGS, "1965-03-01T04:00:00-08:00"), stamps)
    assert [(one.zone, one.beside) for one in (*kept.zoned(), *kept.at(key, [b"/a/x"]))] == [
        ("America/Los_Angeles", "f" * 64)
    ] * 2
    kept.again([placed.asset])
    assert [one.asset for one in kept.undated(0, 10)] == [placed.asset]


@pytest.fixture
def mixed(intake, work, store):
    """Three assets in two collections: an old picture, a text, and a clip of 20 seconds."""
    _, space = queue(intake, "/a/old.jpg", "/b/text.txt", collection="one")
    old, text = work().lease(2)
    put(work(), old, taken="2001-05-06T07:08:09")
    put(work(), text, modality=Modality.TEXT, text="words", taken="2020-01-01")
    queue(intake, "/b/cafe\u0301/clip.mp4", collection="two")
    put(work(), work().lease(1)[0], modality=Modality.VIDEO, duration=20_000, taken="2020-06-01")
    return space


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(), ["old.jpg", "text.txt", "clip.mp4"]),
        (Filter(modalities=(Modality.TEXT, Modality.VIDEO)), ["text.txt", "clip.mp4"]),
        (Filter(channels=(Channel.VISUAL,)), ["old.jpg", "clip.mp4"]),
        (Filter(collections=("two",)), ["clip.mp4"]),
        (Filter(under=("/b",)), ["text.txt", "clip.mp4"]),
        (Filter(under=("/b/text.txt", "/a")), ["old.jpg", "text.txt"]),
        (Filter(under=("/b/caf\u00e9",)), ["clip.mp4"]),
        (Filter(since="2020-01-01"), ["text.txt", "clip.mp4"]),
        (Filter(until="2020-01-01"), ["old.jpg", "text.txt"]),
        (Filter(dated_by=(DateSource.EXIF,)), ["old.jpg", "text.txt", "clip.mp4"]),
        (Filter(dated_by=(DateSource.FILE, DateSource.NAME)), []),
        (Filter(shortest_ms=10_000), ["clip.mp4"]),
        (Filter(longest_ms=10_000), []),
        (Filter(collections=("one",), modalities=(Modality.VIDEO,)), []),
    ],
)
def test_filters_let_through_what_they_name(store, mixed, wanted, expected):
    columns = store.columns(mixed)
    ids = columns.ids[store.select(columns, wanted)]
    segments = store.segments(ids.tolist())
    assert [segments[int(id_)].path.rsplit("/", 1)[1] for id_ in ids] == expected


def test_an_unknown_collection_lists_the_known_ones(store, mixed):
    with pytest.raises(UnknownName) as caught:
        store.select(store.columns(mixed), Filter(collections=("onne",)))
    assert "one" in caught.value.remedy


def test_names_that_are_no_text_survive(intake, work, store):
    key, space = intake.collection("c", []), Spaces(intake._database).add(SPACE, "fake").key
    name = b"/a/\xff\xfe.jpg"
    intake.put_files(key, 1, [space], [(Sighting(name, 1, 1), b"x" * 32)])
    put(work(), work().lease(1)[0])
    (segment,) = store.segments(store.ids(space).tolist()).values()
    assert segment.path.encode("utf-8", "surrogateescape") == name


def test_a_transaction_inside_another_needs_no_second_connection(intake, work, store, database):
    """Readers that hold a connection and wait for a second one would wait for each other for ever."""
    _, space = queue(intake, "/a/x")
    put(work(), work().lease(1)[0], cuts=2)
    held: list[int] = []
    for name, change in (("checkout", 1), ("checkin", -1)):
        sa.event.listen(database.engine, name, lambda *_, change=change: held.append(sum(held[-1:]) + change))
    with database.reading() as outer, database.reading() as inner:
        assert inner is outer
        assert len(store.rows(store.ids(space)).ids) == 2
    assert max(held) == 1
    with pytest.raises(StoreError), database.reading(), database.reading() as connection:
        connection.exec_driver_sql("SELECT nonsense")
    with ThreadPoolExecutor(1) as other, database.reading() as mine:
        assert other.submit(lambda: [connection is mine for connection in [_open(database)]]).result() == [False]
    assert store.version()
    assert held[-1] == 0


def _open(database: Database) -> sa.Connection:
    with database.reading() as connection:
        return connection


def test_a_pool_without_a_connection_left_is_told_in_our_words(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    database.upgrade()
    pool = sa.pool.QueuePool(database.engine.pool._creator, pool_size=1, max_overflow=0, timeout=0.01)
    database.engine.dispose()
    database.engine.pool = pool
    with ThreadPoolExecutor(1) as other, database.reading(), pytest.raises(StoreError, match="in use") as caught:
        other.submit(database.version).result()
    assert "again" in caught.value.remedy
    database.close()


@pytest.mark.usefixtures("migrations")
def test_spaces_of_the_first_pocket_encoders_keep_them(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    rows = [
        ("pocket", "1+levelled", "pocket:1"), ("older", "1", "pocket:1"), ("pocket:multilingual", "1-a55d+levelled", "pocket:multilingual:1"),
        ("e5", "1-a55d", "e5"), ("onnx:./pocket", "17", "onnx:./pocket"),
    ]  # fmt: skip
    with database.engine.execution_options(sensorium_write=True).begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0014")
        for name, revision, _ in rows:
            connection.execute(
                sa.text(
                    "INSERT INTO space (name, family, model, revision, dim, accepts, encoder, is_default, kinds, collections, created_at)"
                    " VALUES (:name, 'f', 'm', :revision, 8, 'text', :encoder, false, '', '[]', 1)"
                ),
                {"name": name, "revision": revision, "encoder": "pocket" if name == "older" else name},
            )
    database.upgrade()
    assert [(entry.name, entry.encoder) for entry in Spaces(database).all()] == [(name, encoder) for name, _, encoder in rows]
