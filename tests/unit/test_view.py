"""What a searcher knows of a changing archive: it follows the changes, and knows what a new one would know."""

from __future__ import annotations

import dataclasses
import random
import threading
import zlib

import numpy as np
import pytest

from search import live
from search.index import FlatIndex
from search.query import searcher as searching
from search.query import view
from search.query.searcher import Searcher
from search.query.view import Grown
from search.store import Database, Finished, Intake, Queue, Spaces, SqlStore
from search.store.asset_dates import Dates
from search.store.intake import Sighting
from search.store.sql import Columns
from search.types import KINDS, Channel, Coverage, Cut, Dated, DateSource, Filed, Filter, Info, Modality, Span
from tests.fakes.encoder import FakeEncoder

FILTERS = (
    Filter(), Filter(modalities=(Modality.VIDEO,)), Filter(collections=("a",)), Filter(under=("/a/1",)), Filter(since="1980-01-01"),
    Filter(collections=("b",), until="2000-01-01"),
)  # fmt: skip


class Archive:
    """An archive that is written to as the indexer does it, by name of files."""

    def __init__(self, settings, url: str) -> None:
        self.settings, self.encoder = settings, FakeEncoder()
        self.database = Database(url)
        self.database.upgrade()
        self.intake, self.store, self.dates = Intake(self.database), SqlStore(self.database), Dates(self.database)
        self.space = Spaces(self.database).add(self.encoder.space, "fake")
        self.collections = {name: self.intake.collection(name, [f"/{name}".encode()]) for name in "ab"}
        self.rng = np.random.default_rng(0)

    def searcher(self) -> Searcher:
        return Searcher(self.settings, self.store, self.space, self.encoder)

    def put(self, *paths: str, content: int = 0, cuts: int = 1) -> None:
        """Take in files; those of one ``content`` above 0 are copies of each other."""
        for path in paths:
            digest = (content or zlib.crc32(path.encode()) + 1_000).to_bytes(32, "big")
            self.intake.put_files(
                self.collections[path[1]], self.intake.begin_scan(), [self.space.key], [(Sighting(path.encode(), 10, 1), digest)]
            )
        self.work(cuts)

    def work(self, cuts: int = 1, space: int = 0, date: Filed | None = None) -> None:
        queue = Queue(self.database, space or self.space.key, "one")
        modality = Modality.VIDEO if cuts > 1 else Modality.IMAGE
        made = [Cut(Channel.VISUAL, modality, Span(n, n + 1) if cuts > 1 else None, np.empty(0, np.uint8)) for n in range(cuts)]
        for unit in queue.lease(100):
            vectors = self.rng.standard_normal((cuts, self.encoder.space.dim)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            queue.put([Finished(unit, Info(modality, "x", 1, 2, 1_000 * cuts), made, vectors, filed=date)])

    def miss(self, path: str) -> None:
        self.intake.end_scan(self.collections[path[1]], 1 << 60, [path.encode()])

    def meet(self, path: str) -> None:
        """Scan a file that is where it was, or was missing."""
        key = self.collections[path[1]]
        known = self.intake.known(key, [path.encode()])
        if known:
            self.intake.seen(self.intake.begin_scan(), [(known[path.encode()], Sighting(path.encode(), 10, 1))])

    def date(self, path: str, day: int) -> None:
        asset = self.store.assets_of([path]).get(path)
        if asset is not None:
            self.dates.put([(asset, Filed(Dated(day, day, DateSource.EXIF, "x")))])


@pytest.fixture(params=["sqlite", "postgresql"])
def archive(request, settings, monkeypatch):
    monkeypatch.setattr(searching, "_NOTICED", 1e9)  # on a busy machine, too, searchers look again at each question
    url = settings.database if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    archive = Archive(settings, url)
    yield archive
    archive.database.close()


@pytest.fixture
def followed(archive, monkeypatch):
    """A searcher that never reads everything again, and knows after each change what a new one knows."""
    archive.put(*(f"/a/{n}.jpg" for n in range(4)))
    searcher = archive.searcher()
    ask(searcher)

    def check() -> Columns:
        with monkeypatch.context() as patch:
            patch.setattr(searcher, "_look_at_all", lambda *_: pytest.fail("everything was read again"))
            now = ask(searcher)
        anew = archive.searcher()
        fresh = ask(anew)
        assert now.columns.same(fresh.columns), (now.columns.ids, fresh.columns.ids)
        assert np.array_equal(now.live.index.ids(), fresh.live.index.ids())
        for wanted in FILTERS:
            ours, theirs = searcher.targets(now, wanted, ()), anew.targets(fresh, wanted, ())
            assert {kind: ids.tolist() for kind, ids in ours.items() if len(ids)} == {
                kind: ids.tolist() for kind, ids in theirs.items() if len(ids)
            }
        for kind in KINDS:
            for ours, theirs in zip(now.samples[kind], fresh.samples[kind], strict=True):
                assert np.array_equal(ours, theirs)
        for asset in np.unique(fresh.columns.assets):
            assert set(now.siblings(np.array([asset]))) == set(fresh.siblings(np.array([asset])))
        assert now.covering.latest == fresh.covering.latest
        anew.close()
        return now.columns

    yield check
    searcher.close()


def ask(searcher: Searcher) -> view.View:
    """What the searcher knows now; everything that it remembers of it has been asked for."""
    now = searcher.current(searcher.store.version())
    for wanted in FILTERS:
        searcher.targets(now, wanted, ())
    now.siblings(now.columns.assets[:1])
    return now


def test_what_comes_is_followed(archive, followed):
    for n in range(12):
        archive.put(f"/{'ab'[n % 2]}/new{n}.jpg", cuts=1 + n % 3)
        assert len(followed().ids) == 4 + sum(1 + m % 3 for m in range(n + 1))


def test_what_goes_and_comes_back_is_followed(archive, followed):
    archive.miss("/a/1.jpg")
    assert len(followed().ids) == 3
    archive.meet("/a/1.jpg")
    assert len(followed().ids) == 4
    archive.miss("/a/2.jpg")
    archive.intake.prune()
    archive.intake.drop_orphans()
    archive.put("/b/x.jpg")
    assert len(followed().ids) == 4
    archive.intake.delete(paths=[b"/a/3.jpg"])
    assert len(followed().ids) == 3


def test_copies_and_files_whose_content_changes_are_followed(archive, followed):
    archive.put("/b/one.jpg", content=7)
    archive.put("/a/1/copy.jpg", content=7)
    followed()
    archive.miss("/b/one.jpg")
    assert len(followed().ids) == 5  # its copy is there
    archive.put("/a/1/copy.jpg", content=8)
    assert len(followed().ids) == 5  # the old content has no file any more
    archive.put("/b/one.jpg", content=8)
    followed()
    archive.intake.delete(paths=[b"/a"])
    assert len(followed().ids) == 1


def test_dates_that_are_found_later_are_followed(archive, followed):
    archive.date("/a/1.jpg", 5_000)
    archive.date("/a/1.jpg", 4_000)
    archive.date("/a/2.jpg", 12_000)
    assert sorted(followed().days.tolist())[-2:] == [4_000, 12_000]


def test_what_another_space_finds_out_of_an_asset_is_followed(archive, followed):
    space = dataclasses.replace(archive.encoder.space, name="other")
    key = Spaces(archive.database).add(space, "other")
    Spaces(archive.database).fill(key)
    archive.work(space=key.key, date=Filed(Dated(77, 77, DateSource.EXIF, "x")))
    assert set(followed().days.tolist()) == {77}


def test_older_segments_into_a_newer_space_are_followed(archive):
    """A space that is filled after readers have read gets ids that lie between those which it holds."""
    archive.put("/a/old.jpg")
    space = Spaces(archive.database).add(dataclasses.replace(archive.encoder.space, name="other"), "other")
    archive.put("/a/new.jpg")
    archive.encoder.space = space.space
    searcher = Searcher(archive.settings, archive.store, space, archive.encoder)
    Spaces(archive.database).fill(space)
    queue = Queue(archive.database, space.key, "one")
    for unit in reversed(queue.lease(2)):  # the file that came last first
        vector = np.eye(1, archive.encoder.space.dim, dtype=np.float32)
        cut = Cut(Channel.VISUAL, Modality.IMAGE, None, np.empty(0, np.uint8))
        queue.put([Finished(unit, Info(Modality.IMAGE, "x", 1, 2), [cut], vector)])
        view = searcher.current(archive.store.version())
    assert view.columns.ids.tolist() == [1, 2]
    searcher.close()


@pytest.mark.parametrize("seed", range(3))
def test_any_changes_in_any_order_are_followed(archive, followed, seed):
    chance = random.Random(seed)
    paths = [f"/{name}/{n}.jpg" for name in "ab" for n in range(5)]
    changes = (
        lambda path: archive.put(path, content=chance.randrange(1, 6), cuts=chance.randrange(1, 3)), archive.miss, archive.meet,
        lambda path: archive.date(path, chance.randrange(15_000)), lambda path: archive.intake.delete(paths=[path.encode()]),
        lambda _: (archive.intake.prune(), archive.intake.drop_orphans()),
    )  # fmt: skip
    for step in range(25):
        chance.choice(changes)(chance.choice(paths))
        if step % 3 == 0:
            followed()
    followed()


@pytest.fixture
def kept(archive, monkeypatch):
    """An archive whose generation brought its columns along, and what opens it."""
    monkeypatch.setattr(live, "KEPT_FROM", 1)
    archive.put(*(f"/a/{n}.jpg" for n in range(6)))
    archive.put("/b/film.mp4", cuts=3)
    searcher = archive.searcher()
    searcher.write_generation()
    searcher.close()

    def opened() -> tuple[bool, Columns]:
        """Whether everything was read again, and the columns."""
        read = list[int]()
        with monkeypatch.context() as patch:
            whole = Searcher._look_at_all
            patch.setattr(Searcher, "_look_at_all", lambda *given: read.append(1) or whole(*given))
            searcher = archive.searcher()
        now = ask(searcher)
        searcher.close()
        assert now.columns.same(archive.store.columns(archive.space.key))
        assert now.live.damage is None
        return bool(read), now.columns

    return opened


def test_an_index_brings_its_columns_along_and_what_came_later_is_read(archive, kept):
    assert kept()[0] is False
    archive.put("/b/new.jpg", "/a/2.jpg", content=9)
    archive.miss("/a/1.jpg")
    archive.date("/a/3.jpg", 5_000)
    archive.intake.delete(paths=[b"/a/4.jpg"])
    anew, columns = kept()
    assert (anew, len(columns.ids), columns.days.max()) == (False, 7, 5_000)


def test_a_large_archive_is_counted_once_for_each_state(archive, kept, monkeypatch):
    monkeypatch.setattr(view, "COUNTED_AT_ONCE", 0)
    kept()
    with monkeypatch.context() as patch:
        patch.setattr(archive.store, "coverage", lambda _: pytest.fail("it was counted again"))
        searcher = archive.searcher()
        assert ask(searcher).seen(Filter()) == Coverage(files=7, seen=7)
        searcher.close()
    archive.put("/b/new.jpg")
    searcher = archive.searcher()
    assert ask(searcher).seen(Filter()) == Coverage(files=8, seen=8)
    searcher._generations.drop_former()
    assert not searcher._generations.coverage.exists()
    searcher.close()


def test_columns_that_are_not_those_of_the_database_are_read_again(archive, kept):
    archive.date("/a/3.jpg", 5_000)
    with archive.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM removal")  # as if it were of a state that nobody noted
    assert kept()[0] is True
    with archive.database.writing() as connection:
        connection.exec_driver_sql("UPDATE change SET count = 1")  # of an older backup
    assert kept()[0] is True


def test_what_searches_hold_does_not_change_under_them(archive, followed):
    searcher = archive.searcher()
    before = ask(searcher)
    columns, targets = before.columns.only(np.arange(len(before.columns.ids))), searcher.targets(before, Filter(), ())
    held = {kind: ids.copy() for kind, ids in targets.items()}
    for n in range(3):
        archive.put(f"/a/more{n}.jpg", cuts=2)
        archive.miss(f"/a/{n}.jpg")
        ask(searcher)
    assert before.columns.same(columns)
    assert all(np.array_equal(ids, held[kind]) for kind, ids in targets.items())
    searcher.close()


def test_an_array_grows_in_its_room_and_beyond_it():
    grown, expected = Grown(np.arange(5)), list(range(5))
    for n in range(40):
        before = grown.array
        grown = grown.grow(np.arange(n, n + 100))
        expected += range(n, n + 100)
        assert before.tolist() == expected[: len(before)]
    assert grown.array.tolist() == expected


def test_an_index_prepares_for_a_filter_once_though_it_grows(monkeypatch):
    index, ids = FlatIndex(4), np.arange(1, 101)
    index.add(ids, np.eye(4, dtype=np.float32)[ids % 4])
    within = Grown(ids[::2].copy())
    index.search(np.eye(4, dtype=np.float32)[:1], 3, within=within.array)
    monkeypatch.setattr(index._fresh, "_way", lambda _: pytest.fail("it was prepared again"))
    grown = within.grow(np.array([500, 501]))
    found, _ = index.search(np.eye(4, dtype=np.float32)[:1], 3, within=grown.array)
    assert np.isin(found[0], ids[::2]).all()
    other = FlatIndex(4)
    other.add(ids, np.eye(4, dtype=np.float32)[ids % 4])
    for some in (ids[:50], ids[::2], ids[1::2], ids[50:]):  # arrays that lie in one memory are told apart
        found, _ = other.search(np.eye(4, dtype=np.float32)[:1], 100, within=some)
        assert sorted(found[found > 0].tolist()) == some.tolist()


def test_a_large_archive_is_counted_in_the_background(archive, monkeypatch):
    monkeypatch.setattr(view, "COUNTED_AT_ONCE", 0)
    monkeypatch.setattr(view, "SETTLE_SECONDS", 0.0)
    archive.put("/a/1.jpg")
    counted, go, count = threading.Event(), threading.Event(), archive.store.coverage

    def slowly(space: int) -> dict[str, Coverage]:
        assert go.wait(60)
        found = count(space)
        counted.set()
        return found

    searcher = archive.searcher()
    monkeypatch.setattr(archive.store, "coverage", slowly)
    archive.put("/a/2.jpg")
    now = searcher.current(archive.store.version())
    assert (len(now.columns.ids), now.seen(Filter()).files) == (2, 1)  # found already, and not counted yet
    go.set()
    assert counted.wait(60)
    searcher.close()
    assert now.seen(Filter()).files == 2
