"""`sensorium index --workers`: what one process finds the others take, and what a dead one had begun is not lost."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.pipeline import Progress
from indexer.run import RunRequest, index
from indexer.workers import Workers
from search.store import Database, SqlStore

SAMPLE = Path(__file__).parents[2] / "data" / "sample"


@pytest.fixture
def media(tmp_path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    for number, file in enumerate(sorted((SAMPLE / "images").iterdir())[:12]):
        shutil.copy(file, folder / f"{number}{file.suffix}")
    return folder


def test_a_worker_that_is_killed_loses_no_file(settings, media):
    def kill(tally, done, scanning):
        for process in workers._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    with Workers(settings, 1) as workers:
        summary = index(settings, RunRequest([media], report=kill))
    assert (summary.progress.failed, summary.stopped) == (0, False)
    database = Database(settings.database)
    assert SqlStore(database).coverage(1)["default"].seen == 12
    database.close()


def test_what_ends_a_worker_early_is_told(settings, media):
    with Workers(replace(settings, image_formats="pockett", models=settings.home / "models"), 1) as workers:
        assert index(settings, RunRequest([media])).progress.failed == 0
        workers._processes[0].wait()
    assert len(workers.errors) == 1
    assert "pockett" in workers.errors[0]


def test_counts_add_up(settings):
    workers = Workers(settings, 2)
    workers._done = [Progress(2, 1, 5, 10, "a", {"empty": 1}), Progress(1, 2, 3, 0, "b", {"empty": 1, "killed": 1})]
    assert workers.together(Progress(1, 0, 1, 0, "c")) == Progress(4, 3, 9, 10, "c", {"empty": 2, "killed": 1})


def test_each_worker_has_a_gpu_of_its_own_in_turn(settings, monkeypatch):
    started = []

    class Process:
        stdout, stdin = (), open(os.devnull, "w")  # noqa: SIM115 - closed by the workers

        def __init__(self, *_, env, **__):
            started.append(env["CUDA_VISIBLE_DEVICES"])

        def wait(self):
            return 0

    monkeypatch.setattr("indexer.workers._cards", lambda: ["4", "5", "7"])
    monkeypatch.setattr("indexer.workers.subprocess.Popen", Process)
    with Workers(settings, 3):
        pass
    assert started == ["5", "7", "4"]
