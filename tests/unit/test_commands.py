"""The command line as programs know it: commands, arguments and options; and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from ui.cli import app

SURFACE = Path(__file__).with_suffix(".txt")
"""A line a command: its arguments and options, the required ones with an exclamation mark."""


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


def line(path: tuple[str, ...], command: Any) -> str:
    names = (
        name + ("!" if one.required else "")
        for one in command.params
        for name in (sorted([*one.opts, *one.secondary_opts]) if one.param_type_name == "option" else [one.name.upper()])
    )
    return f"{' '.join(['sensorium', *path])}: {' '.join(sorted(names))}".strip()


def test_commands_and_their_options_are_those_that_programs_know():
    found = sorted(line(*one) for one in commands(typer.main.get_command(app)))
    assert found == SURFACE.read_text().splitlines()


def test_help_loads_no_engine():
    program = "import sys, ui.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"numpy", "sqlalchemy", "faiss", "onnxruntime", "av", "PIL", "indexer", "search.store", "search.query", "ui.show"}
    assert not heavy & set(loaded)
