"""The command line as programs know it: commands, arguments and options; and what importing it costs."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from indexer.verify import Check
from search.errors import REASONS
from search.store.sql import Failure
from search.types import Answer, Channel, Coverage, Hit, Modality, Segment
from ui import doctor, phrasing, show, status
from ui.cli import app, hasten
from ui.terminal import Console

ROOT = Path(__file__).parents[2]
SURFACE = Path(__file__).with_suffix(".txt")
"""A line a command: what programs know of it. Add the options that are new."""


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


def surface() -> dict[str, set[str]]:
    """Of each command its arguments and options, the required ones with an exclamation mark."""
    return {
        " ".join(["sensorium", *path]): {
            name + ("!" if one.required else "")
            for one in command.params
            for name in ([*one.opts, *one.secondary_opts] if one.param_type_name == "option" else [one.name.upper()])
        }
        for path, command in commands(typer.main.get_command(app))
    }


def test_every_command_keeps_the_options_that_programs_know():
    """What programs call may grow, and loses nothing; no more becomes required."""
    found = surface()
    for line in SURFACE.read_text().splitlines():
        name, _, options = line.partition(":")
        known = set(options.split())
        assert known <= found[name], name
        assert {one for one in found[name] - known if one.endswith("!")} == set(), name


def test_help_loads_no_engine():
    program = "import sys, ui.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"numpy", "sqlalchemy", "faiss", "onnxruntime", "av", "PIL", "indexer", "search.store", "search.query", "ui.show"}
    assert not heavy & set(loaded)


def test_a_search_loads_neither_the_indexer_nor_the_rules_of_languages():
    program = "import sys, search.query, ui.show; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"indexer", "snowballstemmer", "rapidfuzz", "sqlalchemy.dialects.postgresql", "search.planning"} & set(loaded)


@pytest.mark.parametrize(("asked", "built"), [("status", {"status", "fields"}), ("eval", {"eval", "fields"}), ("serach", None)])
def test_only_the_command_that_is_asked_is_built(monkeypatch, asked, built):
    monkeypatch.setattr(app, "registered_commands", app.registered_commands)
    monkeypatch.setattr(app, "registered_groups", app.registered_groups)
    monkeypatch.setattr("gc.disable", lambda: None)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    every = set(typer.main.get_command(app).commands)
    hasten(asked)
    assert set(typer.main.get_command(app).commands) == (built or every)


def help_of(*arguments: str) -> str:
    done = CliRunner().invoke(app, [*arguments, "--help"])
    assert done.exit_code == 0
    return done.output


def test_help_of_a_search_is_grouped_and_shows_examples():
    told = help_of("search")
    titles = [line for line in told.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == ["Arguments:", "Ask:", "Filter:", "Output:", "Options:", "Examples:"]
    sections = dict(zip(titles, re.split(r"\n\w+:\n", told)[1:], strict=True))
    assert "--image PATH" in sections["Ask:"]
    assert "--since DATE" in sections["Filter:"]
    assert "--json" in sections["Output:"]
    assert "\n  sensorium search --image photo.jpg --in audio,text\n" in told


@pytest.mark.parametrize("path", [path for path, _ in commands(typer.main.get_command(app))], ids=" ".join)
def test_help_fits_the_terminal_and_names_no_types_of_python(path):
    told = help_of(*path)
    assert max(map(len, told.splitlines())) <= 80
    assert not re.search(r"<\w+", told) or path[:1] == ("tokens",)


def test_every_example_is_a_command_that_can_be_parsed():
    root = typer.main.get_command(app)
    examples = [line for path, _ in commands(root) for line in help_of(*path).partition("\nExamples:\n")[2].splitlines()]
    assert len(examples) > 20
    for line in examples:
        for one in line.split("&&"):
            given = shlex.split(one)
            assert given.pop(0) == "sensorium"
            command = root
            while given and given[0] in getattr(command, "commands", {}):
                command = command.commands[given.pop(0)]
            if given != ["COMMAND", "--help"]:
                command.make_context("sensorium", given)  # refuses options that are not there


def test_the_models_fit_a_screen(tmp_path):
    done = CliRunner().invoke(app, ["models", "--home", str(tmp_path)])
    lines = done.output.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert "`sensorium models list`" in done.output


def test_the_doctor_knows_every_extra(monkeypatch):
    """As this environment's metadata tell them, and as those of this very pyproject.toml would."""
    assert doctor.extras()["postgres"] == ["psycopg"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    told = [f"{one}; extra == '{extra}'" for extra, packages in extras.items() for one in packages]
    monkeypatch.setattr("importlib.metadata.requires", lambda _: ["numpy>=2.2", *told])
    assert {extra: len(packages) for extra, packages in doctor.extras().items()} == {
        extra: len(packages) for extra, packages in extras.items()
    }


@pytest.mark.parametrize(
    ("checks", "last"),
    [
        ([Check("disk", True, "5 GB"), Check("index", True, "whole")], "All is well. 2 checks passed."),
        ([Check("disk", False, "0 GB", "Free some space."), Check("index", True, "whole")], "1 of 2 checks failed. Follow the advice below each ✗."),
    ],
)  # fmt: skip
def test_the_doctor_ends_with_one_line_that_sums_up(checks, last, capsys):
    doctor.render(checks)
    assert capsys.readouterr().out.splitlines()[-1] == last


LONG = "/archive/2024/" + "a folder of a very long name/" * 3 + "harbour at sunset, from the pier.jpg"


def shown(monkeypatch, *, terminal: bool) -> list[str]:
    page = io.StringIO()
    monkeypatch.setattr(show, "out", Console(file=page, width=80, force_terminal=terminal, color_system=None))
    segment = Segment(7, 3, Modality.IMAGE, Channel.VISUAL, LONG, None, None)
    hit = Hit(rank=1, score=1.0, confidence=0.9, cosine=0.5, space="pocket", segment=segment, span=None)
    show.hits(Answer((hit,), 1, 10, Coverage(1, 1, 0, 0, 0, {}), {"total": 3.0}))
    return page.getvalue().splitlines()


def test_a_terminal_leaves_folders_out_before_it_breaks_the_name_of_a_file(monkeypatch):
    (line,) = (line for line in shown(monkeypatch, terminal=True) if "●" in line)
    assert line.endswith("…/harbour at sunset, from the pier.jpg")
    assert len(line) <= 80


def test_a_program_gets_the_whole_path_on_one_line(monkeypatch):
    (line,) = (line for line in shown(monkeypatch, terminal=False) if "●" in line)
    assert line.endswith(LONG)


@pytest.mark.parametrize("confidence", [None, 0.0, 0.04, 0.05, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("verdict", [None, "yes", "unsure", "no"])
def test_dots_of_the_terminal_are_the_bars_of_the_page(confidence, verdict):
    assert show.band(confidence, verdict).count("●") == phrasing.band(confidence, verdict)[0]


def test_no_module_of_the_page_or_terminal_keeps_a_scale_of_its_own():
    """Scores become words and bars by ``words.band`` alone: nothing else compares a confidence with a number."""
    own = re.compile(r"(confidence|probability|sure)\)?\s*[<>]=?\s*0?\.\d")
    files = [*(ROOT / "ui").rglob("*.py"), *(ROOT / "ui/page/components").glob("*.js")]
    assert len(files) > 40
    assert [path.name for path in files if own.search(path.read_text())] == []


def test_a_mistaken_date_is_told_with_the_way_to_write_it():
    refused = CliRunner().invoke(app, ["search", "x", "--since", "yesterday"]).exception
    assert str(refused) == "--since: 'yesterday' is not a date."
    assert refused.remedy == "Use YYYY-MM-DD, such as 2024-05-31."


def test_the_ledger_tells_a_reason_once(capsys):
    show.failures([Failure("/a/empty.jpg", "empty", "The file has no bytes.", REASONS["empty"], None)])
    told = capsys.readouterr().out
    assert told.count("The file has no bytes.") == 1
    assert "/a/empty.jpg" in told


@pytest.mark.parametrize(
    ("assets", "told"),
    [(1, "1 file has speech that is not transcribed (1:00)."), (74, "74 files have speech that is not transcribed (1:00).")],
)
def test_speech_without_a_reader_is_told_in_a_sentence(assets, told):
    assert phrasing.wordless("speech", "none", assets, 60_000) == (told, "Add a reader: `sensorium readers add speech:base`.")


def test_status_speaks_of_files_and_problems_not_of_units_and_the_ledger(capsys):
    found = {
        "home": "/home/sensorium", "database_bytes": 4_200_000, "collections": {"default": ["/archive"]}, "away": {},
        "spaces": [{"name": "pocket", "dim": 768}], "files": {"present": 1_204, "missing": 2}, "assets": {"audio": 1, "image": 1_203},
        "segments": {"image/visual": 1_203, "audio/sound": 1}, "units": {"done": 1_200, "pending": 3, "quarantined": 1},
        "ledger": {"too_slow": 1}, "passed": [], "unread": [{"channel": "speech", "why": "none", "assets": 1, "duration_ms": 0}], "vectors": [],
    }  # fmt: skip
    status.render(found)
    told = " ".join(capsys.readouterr().out.split())
    assert "files 1,204 files, 2 missing; 1,204 segments to search" in told
    assert "holds 1 sound, 1,203 images" in told
    assert "indexed 1,200 done, 3 waiting, 1 given up" in told
    assert "problems 1 too slow. `sensorium failures` says what to do." in told
    assert "speech 1 file has speech that is not transcribed. Add a reader: `sensorium readers add speech:base`." in told
    assert "units" not in told
    assert "ledger" not in told
