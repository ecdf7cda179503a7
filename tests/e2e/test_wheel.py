"""The wheel holds all that the program needs: installed elsewhere, away from the checkout, it makes a database and indexes."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)], cwd=ROOT, check=True, capture_output=True
    )
    (wheel,) = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place / "site")
    return place / "site"


def test_it_indexes_away_from_the_checkout(installed, tmp_path):
    (tmp_path / "note.txt").write_text("A note about boats on the lake.")
    (tmp_path / "run.py").write_text(
        f"import sys; sys.path[:0] = [{str(installed)!r}]\n"
        "import search; assert search.__file__.startswith(sys.path[0]), search.__file__\n"
        "from ui.cli import main; main()\n"
    )
    for arguments in (["index", "note.txt"], ["search", "a boat", "--json"]):
        done = subprocess.run(
            [sys.executable, "-P", "run.py", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False,
            env=os.environ | {"SENSORIUM_HOME": str(tmp_path / "home")},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert "note.txt" in done.stdout


def test_it_is_typed_carries_its_licences_and_leaves_training_out(installed):
    for package in ("search", "indexer", "ui"):
        assert (installed / package / "py.typed").exists()
    assert sorted(file.parts[-3] for file in installed.glob("ui/texts/*/LC_MESSAGES/page.mo")) == ["de", "sv"]
    (licences,) = installed.glob("*.dist-info/licenses")
    assert (licences / "LICENSE").exists()
    assert (licences / "search" / "encoders" / "pocket" / "NOTICE").exists()
    assert not (installed / "search" / "encoders" / "pocket" / "training").exists()
