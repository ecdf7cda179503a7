"""Watching: the archive follows its folders."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image

from indexer import run
from indexer import watch as watching
from indexer.run import RunRequest
from indexer.verify import verify
from search.errors import DiskFull, InputError
from search.readers.written import WrittenReader
from search.store import Database, Readers, SqlStore
from tests.fakes.encoder import FakeEncoder
from tests.unit.test_media_written import rdf
from tests.waiting import LONG, until

SETTLE = 0.3


def picture(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (24, 24, 3), np.uint8)).save(path)
    return path


class Watched:
    """A watched folder: what is there, what was found, what was told."""

    def __init__(self, settings, folder: Path):
        self.settings, self.folder, self.encoder = settings, folder, FakeEncoder()
        self.rounds, self.notes = [], []
        self.database = Database(settings.database)
        self.store = SqlStore(self.database)

    def names(self) -> list[str]:
        """The files that can be found."""
        (key, _), *_ = self.store.spaces()
        ids = self.store.columns(key).ids.tolist()
        return sorted(os.path.relpath(segment.path, self.folder) for segment in self.store.segments(ids).values())

    def wait(self, condition) -> None:
        """Wait until something is so; what is not so in the end is told with all that happened."""
        until(condition, lambda: f"{self.names()} {self.encoder.encoded} {self.rounds} {self.notes}")

    def wait_for(self, *names: str) -> None:
        self.wait(lambda: self.names() == sorted(names))


@contextmanager
def watched(settings, folder: Path, **options):
    found, stop = Watched(settings, folder), threading.Event()
    events = watching.WatchCallbacks(found.rounds.append, found.notes.append)
    job = RunRequest([folder], prune=options.pop("prune", False), calibrates=options.pop("calibrates", False))
    failed = []

    def go():
        try:
            watching.watch(settings, job, events, settle=SETTLE, stop=stop, encoder=found.encoder, **options)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=go)
    thread.start()
    try:
        found.wait(lambda: found.rounds or failed)
        yield found
    finally:
        stop.set()
        thread.join()
        found.database.close()
    if failed:
        raise failed[0]
    assert [check for check in verify(settings) if not check.ok] == []


@pytest.fixture
def folder(tmp_path):
    picture(tmp_path / "watched" / "first.png", 1)
    return tmp_path / "watched"


def test_watching_looks_at_times_whether_a_space_is_to_be_calibrated(settings, folder, monkeypatch):
    looked = []

    def recalibrate(_, space, encoder):
        looked.append((space.name, encoder))
        return f"The space {space.name} was calibrated."

    monkeypatch.setattr(run, "recalibrate", recalibrate)
    with watched(settings, folder, calibrates=True) as found:
        found.wait(lambda: found.notes)
        picture(folder / "second.png", 2)
        found.wait(lambda: len(found.rounds) == 2)
        assert found.notes == ["The space fake was calibrated."]
        assert looked == [("fake", found.encoder)]  # and not after each round


@pytest.mark.parametrize("polling", [False, True])
def test_files_come_change_move_and_go(settings, folder, monkeypatch, polling):
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.2)
    with watched(settings, folder, polling=polling) as found:
        found.wait_for("first.png")
        picture(folder / "deep" / "er" / "second.png", 2)
        found.wait_for("first.png", "deep/er/second.png")
        picture(folder / "first.png", 3)
        found.wait(lambda: any(entry.scan.changed and entry.progress.done for entry in found.rounds))
        (folder / "first.png").rename(folder / "moved.png")
        found.wait_for("moved.png", "deep/er/second.png")
        (folder / "deep").rename(folder / "deeper")
        found.wait_for("moved.png", "deeper/er/second.png")
        (folder / "moved.png").unlink()
        found.wait_for("deeper/er/second.png")
        assert found.encoder.encoded == 3  # nothing that moved was looked at again


def test_a_folder_that_is_moved_in_whole_is_found(settings, folder, tmp_path):
    for number in range(3):
        picture(tmp_path / "outside" / "deep" / f"{number}.png", 10 + number)
    with watched(settings, folder) as found:
        (tmp_path / "outside").rename(folder / "inside")
        found.wait_for("first.png", *(f"inside/deep/{number}.png" for number in range(3)))
        (folder / "inside").rename(tmp_path / "outside")
        found.wait_for("first.png")


def test_a_file_that_is_still_being_written_is_left_alone(settings, folder, monkeypatch):
    """The watcher's clock goes on by half of what is waited for with each piece, once the watcher has looked at it."""
    whole, looked, held = picture(folder.parent / "whole.png", 4).read_bytes(), threading.Event(), [time.monotonic()]
    real = watching._Watching._has_settled

    def look(self, path, now):
        settled = real(self, path, now)
        if path.endswith(b"growing.png"):
            looked.set()
        return settled

    with watched(settings, folder) as found, (folder / "growing.png").open("wb") as growing:
        monkeypatch.setattr(watching._Watching, "_has_settled", look)
        monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: held[0] if held else time.monotonic()))
        for piece in np.array_split(np.frombuffer(whole, np.uint8), 8):
            looked.clear()
            growing.write(piece.tobytes())
            growing.flush()
            assert looked.wait(LONG)
            held[0] += SETTLE / 2
        assert found.names() == ["first.png"]
        growing.close()
        held.clear()
        found.wait_for("first.png", "growing.png")
        assert all(not entry.progress.failed for entry in found.rounds)


def test_what_is_no_media_or_hidden_is_passed_over_and_bad_files_are_told(settings, folder):
    with watched(settings, folder) as found:
        (folder / "program.exe").write_bytes(b"x")
        picture(folder / ".hidden" / "picture.png", 5)
        picture(folder / ".partial.png", 6)
        (folder / "broken.png").write_bytes(b"no picture")
        found.wait(lambda: any(entry.progress.failed for entry in found.rounds))
        assert found.names() == ["first.png"]
        assert [Path(line.path).name for line in found.store.failures()] == ["broken.png"]


def test_a_picture_of_any_name_is_taken_and_what_machines_leave_is_not(settings, folder):
    with watched(settings, folder) as found:
        picture(folder / "@eaDir" / "thumb.png", 5)
        picture(folder / "@eaDir" / "deep" / "thumb.png", 7)
        picture(folder / "second.png", 6).rename(folder / "second.original")
        found.wait_for("first.png", "second.original")


def test_nothing_is_gone_because_its_disk_is_away(settings, folder):
    with watched(settings, folder) as found:
        folder.rename(folder.with_name("away"))
        time.sleep(4 * SETTLE)
        assert found.names() == ["first.png"]
        folder.with_name("away").rename(folder)


def test_an_empty_folder_in_the_place_of_the_watched_one_makes_nothing_missing(settings, folder, monkeypatch):
    """As when a disk is unmounted and its mount point stays."""
    monkeypatch.setattr(watching, "RESCAN_SECONDS", 0.5)
    with watched(settings, folder, prune=True) as found:
        folder.rename(folder.with_name("away"))
        folder.mkdir()
        rounds = len(found.rounds)
        found.wait(lambda: len(found.rounds) > rounds + 2)
        assert found.names() == ["first.png"]
        picture(folder / "second.png", 2)
        found.wait_for("first.png", "second.png")


def test_gone_files_are_forgotten_if_asked_for(settings, folder):
    picture(folder / "second.png", 2)
    with watched(settings, folder, prune=True) as found:
        (folder / "second.png").unlink()
        found.wait(lambda: found.store.counts()["files"] == {"present": 1})


def test_a_full_disk_is_waited_out(settings, folder, monkeypatch):
    real, full = run.Indexer.tidy, [True, True]

    def tidy(self):
        if full:
            full.pop()
            raise DiskFull("There is no room.")
        return real(self)

    monkeypatch.setattr(run.Indexer, "tidy", tidy)
    monkeypatch.setattr(watching, "FULL_DISK_SECONDS", 0.1)
    with watched(settings, folder) as found:
        found.wait_for("first.png")
        assert len(found.notes) == 2
        assert "no room" in found.notes[0]


def test_a_folder_that_is_none_is_named(settings, folder):
    for path in (folder / "nowhere", folder / "first.png"):
        with pytest.raises(InputError, match="is not a folder"):
            watching.watch(settings, RunRequest([path]), watching.WatchCallbacks())


def test_folders_of_other_machines_are_looked_at_again_and_again(tmp_path):
    mounts = tmp_path / "mounts"
    lines = [
        "/dev/vda / ext4 rw 0 0",
        f"nas:/x {tmp_path}/with\\040space nfs4 rw 0 0",
        f"tmpfs {tmp_path}/with\\040space/in tmpfs rw 0 0",
    ]
    mounts.write_text("\n".join(lines))
    for name, remote in (("", False), ("with space/x", True), ("with space/in/x", False), ("with", False)):
        assert watching.is_remote(tmp_path / name, str(mounts)) is remote


def test_what_comes_changes_and_goes_beside_a_file_is_read_at_once(settings, folder):
    database, reader = Database(settings.database), WrittenReader()
    database.upgrade()
    Readers(database).add(reader.name, reader.revision, sorted(reader.reads), sorted(reader.channels))
    picture(folder / "second.png", 2)

    def texts():
        with database.reading() as connection:
            embedded = "segment JOIN embedding ON segment_id = segment.id JOIN location USING (asset_id)"
            rows = connection.execute(sa.text(f"SELECT path, text FROM {embedded} WHERE text IS NOT NULL"))
            return {(Path(os.fsdecode(row.path)).name, row.text) for row in rows}

    sidecar = folder / "first.png.xmp"
    with watched(settings, folder) as found:
        for words in ("A red bus", "A blue bus"):
            sidecar.write_bytes(rdf("", f'photoshop:Headline="{words}"'))
            found.wait(lambda words=words: texts() == {("first.png", words)})
        sidecar.unlink()
        found.wait(lambda: texts() == set() and len(found.rounds) == 4)
        assert [one.scan.files for one in found.rounds[1:]] == [1, 1, 1]
    database.close()
