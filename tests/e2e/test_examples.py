"""The examples run as they stand: each as a reader of the README would start it, on a handful of files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import forked
from tests.conftest import make_archive

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PLUGINS = {
    "encoder_plugin": "[sensorium.encoders]\ncolour = encoder_plugin\n",
    "reader_plugin": "[sensorium.readers]\nbrightness = reader_plugin\n",
}


def example(name: str, *arguments: object, home: Path) -> str:
    """What a program of the examples prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"SENSORIUM_HOME": str(home), "PATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return make_archive(tmp_path_factory.mktemp("examples") / "archive")


@pytest.fixture(scope="module")
def first(pictures: Path) -> tuple[Path, str]:
    """The home that the first example made, and what it printed."""
    home = pictures.parent / "home"
    return home, example("index_and_search", pictures, "a red flower", home=home)


@pytest.fixture(scope="module")
def sensorium(first, pictures):
    """The command, with the plug-ins of the examples installed, in the home that the first example made."""
    site = pictures.parent / "site"
    for name, points in PLUGINS.items():
        told = site / f"{name}-1.dist-info"
        told.mkdir(parents=True)
        (told / "METADATA").write_text(f"Name: {name}\nVersion: 1\n")
        (told / "entry_points.txt").write_text(points)
    path = os.pathsep.join(map(str, (EXAMPLES, site)))

    def run(*arguments: object) -> str:
        done = forked(*arguments, env=os.environ | {"SENSORIUM_HOME": str(first[0]), "PYTHONPATH": path})
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_folder_is_indexed_and_asked_in_python(first):
    told = first[1].splitlines()
    assert told[0] == "13 files indexed, 0 failed"
    assert len(told) == 4
    assert all(".png" in line for line in told[1:])


def test_the_service_is_asked_with_a_text_and_with_a_file(served, archive, tmp_path):
    by_text = example("ask_the_service", served.address, "a fire engine", home=tmp_path).splitlines()
    assert len(by_text) == 3
    assert any(" fire-engine.jpg visual http" in line for line in by_text)
    by_file = example("ask_the_service", served.address, archive / "images" / "husky.jpg", home=tmp_path)
    assert " husky.jpg visual http" in by_file


def test_the_encoder_makes_a_space_in_which_texts_find_colours(sensorium):
    sensorium("spaces", "add", "colours", "--encoder", "colour")
    for colour in ("red", "blue", "black"):
        found = json.loads(sensorium("search", colour, "--space", "colours", "--in", "image", "--json"))["hits"]
        assert Path(found[0]["asset"]["path"]).stem == colour
        assert found[0]["space"] == "colours"


def test_what_the_reader_says_is_found_by_its_words(sensorium):
    sensorium("readers", "add", "brightness")
    dark = json.loads(sensorium("search", "dark", "--words", "--json", "-k", "20"))["hits"]
    assert {Path(hit["asset"]["path"]).stem for hit in dark} == {"red", "green", "blue", "black"}
    assert {hit["channel"] for hit in dark} == {"caption"}


def test_an_archive_is_evaluated(first, pictures):
    told = example("evaluate", pictures / "pictures", home=first[0])
    assert told.startswith("text->image: 8 queries, R@1 ")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short_and_named_in_the_readme(path):
    assert len(path.read_text().splitlines()) <= 55
    assert f"examples/{path.name}" in (ROOT / "README.md").read_text()
