"""What reaches the terminal: characters that would steer it, as those of file names and texts may, are shown as symbols."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import typer
from rich.console import Console as RichConsole
from rich.segment import Segment

from search.errors import SensoriumError

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that change the direction of what follows, so that a name can look like another one."""

SYMBOLS: Final = {
    **{code: 0x2400 + code for code in range(0x20)}, 0x7F: 0x2421, **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
    **dict.fromkeys(map(ord, BIDI), 0xFFFD),
}  # fmt: skip
"""C0, DEL, C1 and directions -> what is shown instead: ``␛`` for escape; a replacement character where there is no symbol."""

_LAYOUT: Final = {code: symbol for code, symbol in SYMBOLS.items() if code not in (0x09, 0x0A)}


def visible(text: str, *, one_line: bool = False) -> str:
    """A text that does nothing to a terminal but stand there; with ``one_line``, tabs and ends of lines are symbols, too."""
    return text.translate(SYMBOLS if one_line else _LAYOUT)


def echo(text: str, *, err: bool = False) -> None:
    """Print a line to stdout, or to stderr."""
    typer.echo(visible(text), err=err)


class Console(RichConsole):
    """Rich's console, whose own control codes are the only ones that come out of it."""

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        safe = (part if part.control else Segment(visible(part.text), part.style) for part in buffer)
        return super()._render_buffer(safe)


def complain(error: SensoriumError) -> None:
    """Print an error and what to do about it to stderr."""
    echo(f"Error: {str(error).encode('utf-8', 'backslashreplace').decode()}", err=True)
    if error.remedy:
        echo(error.remedy, err=True)
