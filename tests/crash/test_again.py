"""Running again is free: what was embedded is not embedded again, whatever is done to names, times and modes."""

from __future__ import annotations

import json
import os
import shutil
from random import Random

import pytest

from tests.crash.driver import done
from tests.crash.media import Files


@pytest.fixture(scope="module")
def indexed(preloaded, tmp_path_factory):
    """A home and its archive, with the files two folders down."""
    folder = tmp_path_factory.mktemp("again")
    files = Files(folder / "archive" / "year" / "trip", Random(1))
    files.add(12)
    files.add_clip()
    home = folder / "home"
    assert preloaded.run("index", folder / "archive", home=home).code == 0
    return home, folder / "archive"


def touch(archive):
    for path in archive.rglob("*.*"):
        os.utime(path, (1, 1))


def chmod(archive):
    for path in archive.rglob("*"):
        path.chmod(0o700)


def rename_a_file(archive):
    path = next(archive.rglob("*.png"))
    path.rename(path.with_stem("renamed"))


def rename_a_folder(archive):
    (archive / "year").rename(archive / "another year")


def copy(archive):
    path = next(archive.rglob("*.wav"))
    shutil.copy(path, path.with_stem("copy"))


def nothing(archive):
    """Scan a second time."""


@pytest.mark.parametrize("change", [nothing, touch, chmod, rename_a_file, rename_a_folder, copy])
def test_nothing_is_embedded_again_after(change, preloaded, indexed):
    home, archive = indexed
    before = done(home / "sensorium.db")
    change(archive)
    ran = preloaded.run("index", archive, "--json", home=home)
    assert ran.code == 0, ran.err
    summary = json.loads(ran.out.splitlines()[-1])
    assert (summary["progress"]["done"], summary["progress"]["segments"], summary["removed"]) == (0, 0, 0)
    assert done(home / "sensorium.db") == before, "segments or vectors were made anew"
    assert preloaded.run("verify", "--deep", home=home).code == 0
