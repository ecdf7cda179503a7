"""Starting the command: help, and a search on a small home, each a process of its own. Medians of five."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.bench.report import ROOT, SAMPLE, Figure, seconds


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as home:
        _sensorium(home, "index", str(SAMPLE / "images"))
        yield Figure("sensorium --help", median(seconds(lambda: _sensorium(home, "--help")) for _ in range(5)), "s", most=0.5)
        words = ("search", "a cat looking up", "--json")
        yield Figure("sensorium search", median(seconds(lambda: _sensorium(home, *words)) for _ in range(5)), "s", most=2.0)


def _sensorium(home: str, *arguments: str) -> None:
    command = [str(Path(sys.executable).parent / "sensorium"), *arguments]
    subprocess.run(command, env=os.environ | {"SENSORIUM_HOME": home}, cwd=ROOT, check=True, capture_output=True)
