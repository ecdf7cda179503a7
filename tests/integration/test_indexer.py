"""The indexer over real files: what a second run, a rename, a change, a crash and a bad file do to the archive."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import insert, select

from indexer import pipeline, run
from indexer.run import RunRequest, index, prune, rebuild
from indexer.verify import verify
from indexer.walk import Excluded, Obstacle, Unnamed, walk
from search.errors import DiskFull, InputError, ModelMissing
from search.media import DecodePool
from search.query import Engine, Term
from search.store import Database, Queue, SqlStore, queue
from search.store import tables as t
from search.store.intake import Again, Sighting
from search.types import Filter, Modality
from tests.fakes.encoder import FakeEncoder
from tests.waiting import LONG


@pytest.fixture
def store(settings):
    database = Database(settings.database)
    yield SqlStore(database)
    database.close()


@pytest.fixture
def go(settings, archive, encoder):
    """Index the archive again."""

    def again(**job) -> run.Summary:
        return index(settings, RunRequest([archive], **job), encoder=encoder)

    return again


def healthy(settings) -> bool:
    return all(check.ok for check in verify(settings, deep=True))


def test_everything_is_indexed_once(go, store, settings, encoder):
    summary = go()
    assert (summary.progress.done, summary.progress.failed) == (13, 0)
    assert store.counts()["assets"] == {"image": 8, "audio": 3, "text": 2}
    assert summary.generation == 1
    assert encoder.encoded == summary.progress.segments
    assert healthy(settings)


def test_a_second_run_decodes_and_embeds_nothing(go, encoder, archive):
    go()
    before = encoder.encoded
    os.utime(archive / "texts")
    summary = go()
    assert (summary.scan.unchanged, summary.scan.queued, summary.scan.hashed_bytes) == (13, 0, 0)
    assert encoder.encoded == before
    assert summary.generation is None


def test_touched_renamed_and_copied_files_keep_their_vectors(go, encoder, archive, store, settings):
    go()
    before, ids = encoder.encoded, store.counts()["segments"]
    os.utime(archive / "pictures" / "red.png", (1, 1))
    (archive / "pictures" / "blue.png").rename(archive / "pictures" / "navy.png")
    shutil.copy(archive / "pictures" / "green.png", archive / "texts" / "copy.png")
    summary = go()
    assert encoder.encoded == before
    assert store.counts()["segments"] == ids
    assert summary.scan.missing == 1
    with Engine(settings, encoder=encoder) as engine:
        assert Path(engine.search(Term("blue", Modality.TEXT), k=1).hits[0].segment.path).name == "navy.png"


def test_a_path_that_is_not_there_is_told_before_there_is_an_archive(settings, tmp_path, encoder):
    with pytest.raises(InputError, match="nowhere is not there"):
        index(settings, RunRequest([tmp_path / "nowhere"]), encoder=encoder)
    assert not settings.home.exists()


def test_a_changed_file_replaces_its_vectors(go, archive, settings, encoder, store):
    go()
    Image.new("RGB", (64, 48), (0, 0, 255)).resize((99, 9)).save(archive / "pictures" / "red.png")
    summary = go()
    assert (summary.scan.changed, summary.removed) == (1, 1)
    assert store.counts()["segments"]["image/visual"] == 8
    assert healthy(settings)


def test_a_vanished_file_is_missing_then_pruned_on_request(go, archive, settings, store):
    go()
    (archive / "tones" / "low.wav").unlink()
    go()
    assert store.missing() == [str(archive / "tones" / "low.wav")]
    assert store.counts()["segments"]["audio/sound"] == 3
    assert prune(settings, None) == (1, 1)
    assert store.counts()["segments"]["audio/sound"] == 2
    rebuild(settings)
    assert healthy(settings)


def test_a_file_that_comes_back_is_found_again(go, archive, store, encoder):
    go()
    before = encoder.encoded
    (archive / "tones").rename(archive.parent / "elsewhere")
    assert go().scan.missing == 3
    (archive.parent / "elsewhere").rename(archive / "tones")
    go()
    assert store.missing() == []
    assert encoder.encoded == before


def test_a_root_that_is_not_there_changes_nothing(go, settings, archive, store):
    go()
    archive.rename(archive.parent / "unplugged")
    summary = go()
    assert (summary.scan.away, summary.scan.away_roots, summary.scan.missing) == (13, 1, 0)
    assert store.missing() == []


def test_one_bad_file_never_stops_a_run(go, archive, store, settings):
    bad = archive / "bad"
    bad.mkdir()
    good = (archive / "pictures" / "red.png").read_bytes()
    (bad / "empty.jpg").touch()
    (bad / "truncated.png").write_bytes(good[: len(good) // 2])
    (bad / "binary.txt").write_bytes(bytes(range(256)) * 20)
    (bad / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (bad / "not-a-picture.jpg").write_text("words")
    (bad / "really-a-picture.txt").write_bytes(Image.open(archive / "pictures" / "cyan.png").rotate(90).tobytes()[:0] + good)
    summary = go()
    reasons = {Path(failure.path).name: failure.reason for failure in store.failures()}
    assert {name: reasons.pop(name, None) for name in ("empty.jpg", "binary.txt", "noise.mp4")} == {
        "empty.jpg": "empty", "binary.txt": "not_text", "noise.mp4": "undecodable",
    }  # fmt: skip
    assert {*reasons} == {"truncated.png", "not-a-picture.jpg"}
    assert all(failure.remedy and failure.detail for failure in store.failures())
    assert summary.progress.done >= 13
    assert healthy(settings)
    assert go().progress.failed == 0  # known to fail, and unchanged


def test_a_huge_picture_is_refused_before_it_is_decoded(go, archive, store):
    Image.new("1", (30_000, 30_000)).save(archive / "huge.png")
    go()
    (failure,) = store.failures()
    assert failure.reason == "too_large"
    assert "30000" in failure.detail.replace(",", "").replace("\u202f", "")


def test_files_in_a_folder_that_cannot_be_listed_are_not_missing(go, archive, store, monkeypatch):
    go()
    real, away = os.scandir, os.fsencode(archive / "pictures")

    def scandir(folder):
        if folder == away:
            raise OSError(errno.EIO, "Input/output error")
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    (archive / "texts" / "gone.txt").write_text("A text that goes.")
    go()
    (archive / "texts" / "gone.txt").unlink()
    go()
    assert [os.path.basename(path) for path in store.missing()] == ["gone.txt"]
    assert [failure.reason for failure in store.failures()] == ["unreadable"]


def test_an_unreadable_file_is_in_the_ledger_until_it_can_be_read(go, archive, store):
    link = archive / "pictures" / "link.png"
    link.symlink_to(archive / "nowhere.png")
    go()
    assert [failure.reason for failure in store.failures()] == ["unreadable"]
    Image.new("RGB", (5, 5), (9, 9, 9)).save(archive / "nowhere.png")
    go()
    assert store.failures() == []


def test_names_of_every_kind_are_indexed(go, archive, store):
    folder = os.fsencode(archive / "pictures")
    for number, name in enumerate(
        (b"\xff\xfe.png", "caf\u00e9.png".encode(), "cafe\u0301.png".encode(), b"new\nline.png", b"[b]x[].png")
    ):
        Image.new("RGB", (6, 6 + number), (1, 2, 3)).save(os.path.join(folder, b"tmp.png").decode())
        os.rename(os.path.join(folder, b"tmp.png"), os.path.join(folder, name))
    assert go().progress.done == 18
    assert store.failures() == []


def test_loops_of_folders_end(archive):
    (archive / "loop").symlink_to(archive, target_is_directory=True)
    (archive / "texts" / "up").symlink_to("..", target_is_directory=True)
    found = [item.path for item in walk(os.fsencode(archive))]
    assert len(found) == len(set(found)) == 13


def test_a_link_to_itself_is_an_obstacle(archive):
    (archive / "self.png").symlink_to(archive / "self.png")
    assert [type(item) for item in walk(os.fsencode(archive / "self.png"))] == [Obstacle]


def test_hidden_files_and_other_kinds_are_passed_over(archive):
    (archive / ".hidden.png").touch()
    (archive / "program.exe").touch()
    os.mkfifo(archive / "pipe.png")
    met = list(walk(os.fsencode(archive)))
    assert [os.path.basename(item.path) for item in met if isinstance(item, Excluded)] == [b".hidden.png"]
    assert [os.path.basename(item.sighting.path) for item in met if isinstance(item, Unnamed)] == [b"program.exe"]
    assert sum(isinstance(item, Sighting) for item in met) == 13


def changing(monkeypatch, path, times: int) -> None:
    """The first ``times`` that this file has been read, it has changed meanwhile."""
    real, seen = pipeline.unchanged_since, []

    def look(name, size, mtime):
        if os.fsdecode(name) == str(path) and len(seen) < times:
            seen.append(name)
            return False
        return real(name, size, mtime)

    monkeypatch.setattr(pipeline, "unchanged_since", look)
    monkeypatch.setattr(run, "SETTLE_SECONDS", 0.0)


@pytest.mark.parametrize("also", [False, True])
def test_a_queued_file_that_has_changed_stays_in_its_collection(settings, tmp_path, encoder, also):
    """A run without folders, or with those of another collection, works off what is queued."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (24, 24), "red" if name == "one" else "blue").save(tmp_path / name / "a.png")
    index(settings, RunRequest([tmp_path / "one"], "one"), encoder=encoder)
    with closing(Database(settings.database)) as database:
        with database.writing() as connection:
            connection.exec_driver_sql("UPDATE unit SET state = 'pending'")
        Image.new("RGB", (24, 24), "green").save(tmp_path / "one" / "a.png")
        os.utime(tmp_path / "one" / "a.png", ns=(1, 1))
        summary = index(settings, RunRequest([tmp_path / "two"], "two") if also else RunRequest([]), encoder=encoder)
        assert (summary.progress.done, summary.progress.failed, summary.scan.changed) == (1 + also, 0, 1)
        with database.reading() as connection:
            found = connection.exec_driver_sql(
                "SELECT c.name, l.path FROM location l JOIN collection c ON c.id = l.collection_id"
            ).all()
    assert sorted((name, os.path.basename(os.path.dirname(bytes(path).decode()))) for name, path in found) == [
        (name, name) for name in (("one", "two") if also else ("one",))
    ]


@pytest.mark.parametrize("decoders", [1, 2])
def test_photographs_do_not_wait_behind_films(go, archive, settings, store, monkeypatch, decoders):
    """Large files that come first in the queue leave a decoder to the others, or, if there is only one, come last."""
    go()
    with store._database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM embedding")
        connection.exec_driver_sql("UPDATE unit SET state = 'pending', attempts = 0")
    large = {"high.wav", "low.wav", "middle.wav"}
    for module in (pipeline, queue):
        monkeypatch.setattr(module, "LARGE_BYTES", min(path.stat().st_size for path in (archive / "tones").iterdir()))
    others, begun, decode = threading.Semaphore(0), list[str](), DecodePool.decode

    def noted(self, path, needs):
        begun.append(path.name)
        if path.name in large and decoders > 1:
            assert others.acquire(timeout=LONG), "no other file was decoded meanwhile"
        yield from decode(self, path, needs)
        if path.name not in large:
            others.release()

    monkeypatch.setattr(DecodePool, "decode", noted)
    summary = index(replace(settings, decoders=decoders), RunRequest([]), encoder=FakeEncoder())
    assert summary.progress.done == len(begun) == 13
    if decoders == 1:
        assert set(begun[-3:]) == large


def test_a_file_that_changes_while_it_is_read_is_read_again(go, archive, settings, store, monkeypatch):
    changing(monkeypatch, archive / "pictures" / "red.png", 2)
    summary = go()
    assert (summary.progress.done, summary.progress.failed, store.failures()) == (13, 0, [])
    assert healthy(settings)


def test_a_file_that_never_stops_changing_is_named_and_met_again_by_the_next_run(go, archive, settings, store, monkeypatch):
    with monkeypatch.context() as patch:
        changing(patch, archive / "pictures" / "red.png", 100)
        assert go().progress.failures == {"vanished": 1}
    assert [line.reason for line in store.failures()] == ["vanished"]
    summary = go()
    assert (summary.progress.done, store.failures()) == (1, [])
    assert healthy(settings)


def test_a_killed_run_is_gone_on_with_and_nothing_is_lost_or_doubled(go, settings, archive, encoder, monkeypatch, store):
    real = Queue.put

    def dies(self, finished):
        real(self, finished[:1])
        raise SystemExit("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Queue, "put", dies)
        with pytest.raises(SystemExit):
            go()
    assert store.counts()["units"]["done"] == 1
    go()
    assert store.counts()["units"] == {"done": 13}
    assert healthy(settings)


def test_one_input_that_the_encoder_fails_on_fails_alone(settings, archive, store):
    class Picky(FakeEncoder):
        def _picture(self, pixels):
            if pixels.max() == 0:
                raise RuntimeError("too dark")
            return super()._picture(pixels)

    summary = index(settings, RunRequest([archive]), encoder=Picky())
    assert (summary.progress.done, summary.progress.failures) == (12, {"encoder": 1})
    assert Path(store.failures()[0].path).name == "black.png"


def test_missing_weights_stop_the_run_and_are_no_files_fault(go, settings, archive, store):
    class Absent(FakeEncoder):
        def encode(self, modality, batch):
            raise ModelMissing("vision.onnx is not here", remedy="Install it.")

    for _ in range(4):  # more often than a file may take the indexer down
        with pytest.raises(ModelMissing):
            index(settings, RunRequest([archive]), encoder=Absent())
    assert store.failures() == []
    assert store.counts()["units"] == {"pending": 13}
    assert go().progress.done == 13


def test_an_interrupted_run_ends_soon_and_gives_its_units_back(go, archive, store, monkeypatch):
    real = DecodePool.decode

    def slow(self, path, needs):
        yield from real(self, path, needs)
        time.sleep(0.1)

    def interrupt(tally, done, scanning):
        if done.segments:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DecodePool, "decode", slow)
        assert go(report=interrupt).stopped
    counts = store.counts()["units"]
    assert counts["done"] >= 1
    assert counts["done"] + counts["pending"] <= 13  # what was not hashed yet is not queued either
    assert "leased" not in counts
    assert go().stopped is False
    assert store.counts()["units"] == {"done": 13}
    assert store.missing() == []


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 2.0])
def test_vectors_that_are_not_finite_and_of_unit_length_are_never_stored(settings, archive, store, value):
    class Broken(FakeEncoder):
        def encode(self, modality, batch):
            return super().encode(modality, batch) * np.float32(value)

    with np.errstate(all="ignore"):
        assert index(settings, RunRequest([archive]), encoder=Broken()).progress.done == 0
    assert store.counts()["segments"] == {}


def test_a_full_disk_stops_with_what_to_do(go, settings, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 5_000_000))
    with pytest.raises(DiskFull, match="Only 4 MB"):
        go()


def test_a_database_that_fills_up_during_a_run_says_so_and_the_next_run_goes_on(go, settings, monkeypatch, store):
    import sqlite3

    from sqlalchemy.exc import OperationalError

    real = Queue.put

    def full(self, finished):
        with self._database._translated():
            raise OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))

    with monkeypatch.context() as patch:
        patch.setattr(Queue, "put", full)
        with pytest.raises(DiskFull, match="no room"):
            go()
    assert Queue.put is real
    go()
    assert store.counts()["units"] == {"done": 13}


def test_failed_files_are_tried_again_only_on_request(go, archive, store, settings):
    (archive / "noise.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(5000))
    assert go().progress.failed == 1
    assert go().progress.failed == 0
    assert go(retry=Again()).progress.failed == 1
    assert go(retry=Again("empty")).retried == 0


def test_a_retry_tries_what_it_names_and_nothing_else(archive, settings, encoder, store):
    for name in ("one", "two"):
        (archive / name).mkdir()
        (archive / name / "noise.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + name.encode() * 999)
    os.symlink(archive / "not-there-yet.png", archive / "later.png")
    index(settings, RunRequest([archive]), encoder=encoder)
    assert sorted(line.reason for line in store.failures()) == ["truncated", "truncated", "unreadable"]

    def again(**which):
        summary = index(settings, RunRequest((), retry=Again(**which)), encoder=encoder)
        return summary.retried, summary.progress.done, summary.progress.failed + summary.scan.rejected

    before = encoder.encoded
    assert again(paths=(os.fsencode(archive / "one"),)) == (1, 0, 1)
    assert again(reason="truncated") == (2, 0, 2)
    assert again(reason="too_slow") == (0, 0, 0)
    assert again(collection="another") == (0, 0, 0)
    assert encoder.encoded == before
    (archive / "not-there-yet.png").write_bytes(Path(archive / "pictures" / "red.png").read_bytes())  # what the link leads to
    assert again(reason="unreadable")[0] == 1
    assert sorted(line.reason for line in store.failures()) == ["truncated", "truncated"]
    assert store.collections().keys() == {"default"}


def test_progress_is_reported_and_memory_stays_bounded(settings, archive, encoder):
    seen = []
    index(
        settings, RunRequest([archive], report=lambda tally, done, scanning: seen.append((done.done, scanning))), encoder=encoder
    )
    assert seen[-1][0] == 13
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_no_thread_outlives_a_run(go):
    before = threading.active_count()
    go()
    assert threading.active_count() == before


def test_two_collections_share_an_asset(settings, archive, encoder, store):
    index(settings, RunRequest([archive], "one"), encoder=encoder)
    before = encoder.encoded
    index(settings, RunRequest([archive], "two"), encoder=encoder)
    assert encoder.encoded == before
    assert store.counts()["files"] == {"present": 26}
    assert set(store.collections()) == {"one", "two"}


def test_an_answer_says_what_it_could_not_see(go, archive, settings, encoder, store):
    (archive / "broken.png").write_bytes(b"no picture")
    (archive / "empty.png").touch()
    go()
    with Engine(settings, encoder=encoder) as engine:
        seen = engine.search(Term("red", Modality.TEXT)).coverage
        assert (seen.files, seen.seen, seen.failed, seen.waiting) == (15, 13, 2, 0)
        assert not seen.whole
        (archive / "broken.png").unlink()
        (archive / "empty.png").unlink()
        go()
        assert engine.search(Term("red", Modality.TEXT)).coverage.whole
        assert engine.search(Term("red", Modality.TEXT), Filter(collections=("default",))).coverage.files == 13


def test_seconds_that_could_not_be_decoded_and_missing_channels_are_counted(go, store, settings):
    go()
    (key, _), *_ = store.spaces()
    database = Database(settings.database)
    with database.writing() as connection:
        asset, collection = connection.execute(select(t.location.c.asset_id, t.location.c.collection_id)).first()
        row = {"asset_id": asset, "collection_id": collection, "path": b"/x", "detail": "", "created_at": 1}
        gaps = [("not_sampled", 1_000, 3_500), ("truncated", 9_000, 10_000), ("no_sound", None, None)]
        connection.execute(insert(t.ledger), [row | {"reason": r, "start_ms": a, "end_ms": b} for r, a, b in gaps])
    database.close()
    coverage = store.coverage(key)["default"]
    assert (coverage.files, coverage.seen, coverage.unsampled_ms, coverage.without) == (13, 13, 3_500, {"sound": 1})


def test_a_generation_that_holds_other_vectors_than_the_database_is_not_searched(go, settings, store):
    """As after a database was set back to a backup and indexed into again: the files on disk are sound in themselves."""
    from sqlalchemy import text

    from search.live import LiveIndex

    go()
    ((key, space),) = store.spaces()
    assert LiveIndex(store, settings.home, space, key).damage is None
    first, second = store.ids(key)[:2].tolist()
    before = store.vectors(key, space.dim, np.array([first, second]))
    database = Database(settings.database)
    with database.writing() as connection:
        for id_, other in ((first, second), (second, first)):
            vector = before[other].astype("<f2").tobytes()
            connection.execute(text("UPDATE embedding SET vector = :v WHERE segment_id = :s"), {"v": vector, "s": id_})
    database.close()
    live = LiveIndex(store, settings.home, space, key)
    assert live.damage is not None
    assert live.generation == 0
    np.testing.assert_array_equal(live.index.reconstruct(np.array([first]))[0], before[second])
