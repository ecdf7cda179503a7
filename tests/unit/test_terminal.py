"""The terminal: nothing that a file is called or says steers it."""

from __future__ import annotations

import io
import re

import pytest
from rich.progress import Progress
from rich.table import Table

from tests.commands import forked, real
from ui import show, terminal

NASTY = "\x1b]0;title\x07\x1b[2J\x9b31m\x90q\x7f\r\u202egpj\u2066.exe\u200f\b\0"
STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
OURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def printed(*things, **options) -> str:
    """What a console writes, without the codes that Rich writes for styles and progress."""
    file = io.StringIO()
    terminal.Console(file=file, force_terminal=True, width=200, **options).print(*things, markup=False, highlight=False)
    return OURS.sub("", file.getvalue())


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), *map(ord, terminal.BIDI)])
def test_every_steering_character_is_a_symbol(code):
    shown = terminal.visible(f"a{chr(code)}b", one_line=True)
    assert (shown[0], shown[-1], len(shown)) == ("a", "b", 3)
    assert chr(code) not in shown
    assert not STEERING.search(shown)


def test_what_is_printed_in_tables_and_lines_keeps_its_layout_and_loses_its_codes():
    table = Table("a\nb")
    table.add_row(NASTY)
    for thing in (NASTY, table):
        shown = printed(thing)
        assert not STEERING.search(shown)
        assert "␛]0;title" in shown  # Rich drops the bell by itself
        assert "␛[2J" in shown
        assert shown.count("\n") >= 1


def test_progress_shows_names_as_symbols():
    file = io.StringIO()
    with Progress(console=terminal.Console(file=file, force_terminal=True, width=200)) as progress:
        progress.add_task(NASTY, total=3)
    assert "␛]0;" in file.getvalue()
    assert not STEERING.search(OURS.sub("", file.getvalue()).replace("\r", ""))


def test_a_name_is_one_line():
    assert "\n" not in show.name("/a/evil\n1  ●●●●●  fake.png")


def test_lines_of_echo_are_symbols(capsys):
    terminal.echo(NASTY)
    assert not STEERING.search(capsys.readouterr().out)


def test_a_search_and_the_ledger_print_names_and_texts_as_symbols(settings, tmp_path, monkeypatch):
    """As a whole command, the first in a process that starts afresh."""
    from indexer.run import RunRequest, index

    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "red\x1b]0;owned\x07.txt").write_text("It is red. \x1b[2J\u202e\x9b5m")
    (folder / "bad\x1b[2J.png").write_bytes(b"no picture")
    index(settings, RunRequest([folder]))
    for run, *arguments in (
        (real, "search", "red"),
        (forked, "failures"),
        (forked, "status"),
        (forked, "delete", "--dry-run", folder),
        (forked, "index", folder / "no\x1b[2J"),
    ):
        done = run(*arguments, "--home", settings.home)
        assert not STEERING.search(done.stdout + done.stderr), arguments
        if arguments[0] in ("search", "failures"):
            assert "␛" in done.stdout
