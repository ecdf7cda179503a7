"""Several processes at once on one home: nothing is done twice, nothing is left, and nobody is told that the database is locked."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.delete import drop_strangers
from indexer.run import RunRequest, index
from indexer.verify import verify
from search import encoders
from search.errors import UnknownName
from search.query import Engine, Term
from search.settings import Settings
from search.store import Database, Spaces, SqlStore
from search.types import Modality
from tests.fakes.encoder import FakeEncoder
from tests.processes import PROCESSES
from tests.waiting import LONG, until

SECONDS = float(os.environ.get("SENSORIUM_WORKERS_SECONDS", "4"))
"""How long the processes go at it."""
WORKERS = int(os.environ.get("SENSORIUM_WORKERS", "4"))

RED = Term("red", Modality.TEXT)


class Stuck(FakeEncoder):
    """Says when it has something to encode, and never comes to an end of it."""

    def __init__(self, begun):
        super().__init__()
        self.begun = begun

    def encode(self, modality, batch):
        self.begun.set()
        threading.Event().wait()


class Slow(FakeEncoder):
    """Takes its time, so that a run is still at work when it is looked at."""

    def encode(self, modality, batch):
        time.sleep(0.05 * len(batch))
        return super().encode(modality, batch)


def pictures(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        Image.fromarray(rng.integers(0, 255, (24, 24, 3), np.uint8)).save(folder / f"{seed}-{number}.png")


def once(settings: Settings, folder: Path, slow: bool = True) -> None:
    index(settings, RunRequest([folder]), encoder=Slow() if slow else FakeEncoder())


def stuck(settings: Settings, folder: Path, begun) -> None:
    index(settings, RunRequest([folder]), encoder=Stuck(begun))


def keep_going(settings: Settings, folder: Path, number: int, errors, told) -> None:
    """Add files, index, search, and make, fill, search and drop a space, again and again.

    What went wrong goes into ``errors``, how often each was done into ``told``.
    """
    encoders.load = lambda *_, **__: FakeEncoder()
    name, turn, end, done = f"space-{number}", 0, time.monotonic() + SECONDS, Counter()
    try:
        with ExitStack() as stack:
            engine = None
            while time.monotonic() < end:
                turn += 1
                pictures(folder / str(number), 5, number * 100_000 + turn)
                index(settings, RunRequest([folder]))
                engine = engine or stack.enter_context(Engine(settings))
                for _ in range(5):
                    assert engine.search(RED, k=5).hits
                done += Counter(runs=1, searches=5)
                if turn % 3 == 1:
                    space_comes_and_goes(settings, engine, name, folder)
                    done += Counter(runs=1, searches=1, spaces=1)
    except BaseException:
        errors.put(traceback.format_exc())
    told.put(done)


def space_comes_and_goes(settings: Settings, engine: Engine, name: str, folder: Path) -> None:
    with closing(Database(settings.database)) as database:
        spaces = Spaces(database)
        spaces.fill(spaces.add(replace(FakeEncoder().space, name=name), "fake"))
        index(settings, RunRequest([folder], spaces=[name]))
        assert engine.search(RED, k=5, spaces=[name]).hits
        spaces.drop(name)
        drop_strangers(settings.home, SqlStore(database))
    with pytest.raises(UnknownName):
        engine.search(RED, spaces=[name])


def start(target, *arguments):
    process = PROCESSES.Process(target=target, args=arguments)
    process.start()
    return process


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request, tmp_path) -> Settings:
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return Settings(tmp_path / "home", database_url=url)


def assert_whole(settings: Settings, files: int) -> None:
    with closing(Database(settings.database)) as database:
        assert SqlStore(database).counts()["units"] == {"done": files}
    assert [check for check in verify(settings, deep=True) if not check.ok] == []


def test_processes_that_index_the_same_folder_share_the_work(settings, tmp_path):
    pictures(tmp_path / "archive", 60, 1)
    processes = [start(once, settings, tmp_path / "archive") for _ in range(3)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert_whole(settings, 60)
    assert list((settings.home / "workers").iterdir()) == []


def test_what_a_killed_worker_had_is_done_by_one_that_lives(settings, tmp_path):
    pictures(tmp_path / "archive", 60, 1)
    begun = PROCESSES.Event()
    doomed = start(stuck, settings, tmp_path / "archive", begun)
    assert begun.wait(LONG)
    other = start(once, settings, tmp_path / "archive")
    workers = settings.home / "workers"
    until(lambda: len(list(workers.glob("[!.]*"))) == 2)
    os.kill(doomed.pid, signal.SIGKILL)
    other.join()
    doomed.join()
    assert (doomed.exitcode, other.exitcode) == (-signal.SIGKILL, 0)
    assert_whole(settings, 60)


@pytest.mark.timeout(SECONDS + 900)
def test_nobody_is_told_that_the_database_is_locked(settings, tmp_path):
    """Nor of anything else that others do: all index, search, and make and drop spaces."""
    errors, told = PROCESSES.Queue(), PROCESSES.Queue()
    (tmp_path / "archive").mkdir()
    processes = [start(keep_going, settings, tmp_path / "archive", number, errors, told) for number in range(WORKERS)]
    done = sum((told.get() for _ in processes), Counter())
    for process in processes:
        process.join()
    assert errors.empty(), errors.get()
    once(settings, tmp_path / "archive", slow=False)
    assert_whole(settings, sum(1 for _ in (tmp_path / "archive").glob("*/*.png")))
    print(
        f"{WORKERS} processes for {SECONDS:g} s on {settings.database_url.partition(':')[0] or 'sqlite'}: {dict(done)}, 0 errors"
    )
