"""The whole way: a folder of hostile files is indexed by the command line, and each is either searched or in the ledger."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

from search.errors import REASONS
from search.media import is_media
from tests.bench.report import ROOT
from tests.hostile import cases
from tests.hostile.conftest import SECRET, SEED, was_read

COUNT = 80


def sensorium(home, *arguments):
    environment = {**os.environ, "SENSORIUM_HOME": str(home), "SENSORIUM_DECODE_SECONDS": "10"}
    command = [sys.executable, "-m", "ui.cli", *map(str, arguments), "--json"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_folder_of_hostile_files_is_indexed_and_nothing_of_it_disappears(good, canary, listener, tmp_path):
    archive, home = tmp_path / "archive", tmp_path / "home"
    archive.mkdir()
    cases.write(archive, good, canary, listener.port, count=COUNT, seed=SEED + 1)
    media = [path for path in archive.iterdir() if is_media(str(path)) and not path.name.startswith(".")]
    contents = {hashlib.sha256(path.read_bytes()).digest() for path in media}
    done = sensorium(home, "index", archive)
    assert done.returncode == 4, done.stderr  # some files failed, and that is said
    summary = json.loads(done.stdout.splitlines()[-1])
    work = summary["progress"]
    assert summary["scan"]["files"] == len(media)
    assert work["done"] + work["failed"] == len(contents)
    assert work["done"] > COUNT // 4
    told = json.loads(sensorium(home, "failures").stdout)["failures"]
    assert {line["reason"] for line in told} <= set(REASONS)
    assert len({line["path"] for line in told}) >= work["failed"]
    assert all(line["remedy"] for line in told)
    assert listener.calls == 0
    assert not was_read(canary)
    answer = sensorium(home, "search", "the canary sings of thirteen violet umbrellas").stdout
    assert SECRET not in answer.replace("\\", "").partition('"hits"')[2]
    status = json.loads(sensorium(home, "status").stdout)
    assert status["files"]["present"] == len(media)
