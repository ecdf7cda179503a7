"""How help reads: options and commands in groups, examples as they are typed, plain names for values, the terminal's whole width."""

from __future__ import annotations

import inspect
import re
import shutil
from collections.abc import Iterable
from typing import Any, Final

from typer.core import TyperCommand, TyperGroup

WIDTH: Final = {"max_content_width": min(shutil.get_terminal_size().columns, 120)}
"""Context settings of every command: help is as wide as the terminal, up to where lines are too long to read."""

_EXAMPLES = "Examples:"
"""A docstring's last part begins with this line. Its lines are printed as they are."""

_VALUES: Final = {"str": "TEXT", "int": "N", "int range": "N", "float": "N", "float range": "N", "path": "PATH", "Path": "PATH"}
"""A type, as Typer spells it -> what people give."""


class _Plain:
    """What help of a command and of a group of commands share."""

    help: str | None

    def format_help_text(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002 - Typer's
        """Write what the command does, without its examples."""
        if text := self._parts()[0]:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(text)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002 - Typer's
        """Write the examples, line by line."""
        if examples := self._parts()[1]:
            with formatter.section(_EXAMPLES.rstrip(":")):
                formatter.write("".join(f"{line}\n" for line in examples.splitlines()))

    def _parts(self) -> tuple[str, str]:
        text, _, examples = inspect.cleandoc(self.help or "").partition(f"\n{_EXAMPLES}\n")
        return text.rstrip(), examples

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - Typer's
        """Write arguments, then options by group. A group of one option joins the others."""
        groups: dict[str, list[tuple[str, str]]] = {}
        given = [(param, record) for param in self.get_params(ctx) if (record := param.get_help_record(ctx))]  # type: ignore[attr-defined]
        names = [param.rich_help_panel for param, _ in given if param.rich_help_panel]
        for param, (name, told) in given:
            if param.param_type_name == "argument":
                groups.setdefault("Arguments", []).append((re.sub(r" <.*>", "", name), told))
                continue
            panel = param.rich_help_panel if names.count(param.rich_help_panel) > 1 else "Options"
            groups.setdefault(panel, []).append((re.sub(r"<(?:list\[)?([\w ]+)\]?>", _value, name), told))
        last = groups.pop("Options", [])
        _write(formatter, groups | ({"Options": last} if last else {}))


class Command(_Plain, TyperCommand):
    """A command whose help reads well."""


class Group(_Plain, TyperGroup):
    """A group of commands, listed by what they are for."""

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - Typer's
        """Write commands, then options."""
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - Typer's
        """Write a line for each command: the first sentence of its help."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            if command := self.get_command(ctx, name):
                told = inspect.cleandoc(command.help or "").partition("\n\n")[0]
                first = re.split(r"(?<=\.)\s", " ".join(told.split()))[0].rstrip(".")
                groups.setdefault(getattr(command, "rich_help_panel", None) or "Commands", []).append((name, first))
        _write(formatter, groups)


def _value(match: re.Match[str]) -> str:
    return _VALUES.get(match[1], match[1].upper())


def _write(formatter: Any, groups: dict[str, list[tuple[str, str]]]) -> None:  # noqa: ANN401 - Typer's
    """Write groups whose columns stand under each other."""
    first = max((len(name) for rows in groups.values() for name, _ in rows if len(name) <= 24), default=0)
    for title, rows in groups.items():
        with formatter.section(title):
            formatter.write_dl([(name.ljust(first), told) for name, told in rows], col_max=24)


def dress(commands: Iterable[Any]) -> None:
    """Have commands that are registered in a group print such help."""
    for one in commands:
        one.cls, one.context_settings = Command, WIDTH
