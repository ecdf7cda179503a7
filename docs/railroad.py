# ruff: noqa: D102 - each part has a width, a height, and is drawn from a point at its left
"""Draws the grammar of the text form, as ``search/query/form.py`` states it, as railroad pictures: ``python docs/railroad.py``.

Writes ``docs/form.svg``. A line runs from left to right; a word in a round box is typed as it stands, a square box is another line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from search.query import form

OUTPUT = Path(__file__).with_name("form.svg")
GAP, HIGH, LETTER, LANE = 16, 26, 7.5, 40
TOKENS = re.compile(r'"[^"]*"|[\w-]+|[{}\[\]|]')
LINE, BOX = 'fill="none" stroke="#667" stroke-width="1.5"', 'fill="#eef3fb" stroke="#667"'
TEXT = 'font-family="ui-monospace,monospace" font-size="13" fill="#223" dominant-baseline="central"'


@dataclass(frozen=True)
class Box:
    """A literal or the name of another rule."""

    text: str
    literal: bool

    @property
    def width(self) -> float:
        return len(self.text) * LETTER + 20

    height = LANE

    def draw(self, x: float, y: float) -> list[str]:
        corner = HIGH / 2 if self.literal else 3
        return [
            f'<rect x="{x:g}" y="{y - HIGH / 2:g}" width="{self.width:g}" height="{HIGH}" rx="{corner:g}" {BOX}/>',
            f'<text x="{x + self.width / 2:g}" y="{y:g}" text-anchor="middle" {TEXT}>{escape(self.text)}</text>',
        ]


@dataclass(frozen=True)
class Row:
    """One after the other."""

    parts: Sequence[Part]

    @property
    def width(self) -> float:
        return sum(part.width for part in self.parts) + GAP * max(len(self.parts) - 1, 0)

    @property
    def height(self) -> float:
        return max((part.height for part in self.parts), default=LANE)

    def draw(self, x: float, y: float) -> list[str]:
        found: list[str] = []
        for number, part in enumerate(self.parts):
            found += [_line(x - GAP, y, x, y)] if number else []
            found += part.draw(x, y)
            x += part.width + GAP
        return found


@dataclass(frozen=True)
class Fork:
    """One of several; with ``loop``, as often as wanted, or not at all."""

    parts: Sequence[Part]
    loop: bool = False

    @property
    def width(self) -> float:
        return max((part.width for part in self.parts), default=0) + 2 * GAP

    @property
    def height(self) -> float:
        return sum(part.height for part in self.parts)

    def draw(self, x: float, y: float) -> list[str]:
        found, at = [], y
        for part in self.parts:
            middle = x + (self.width - part.width) / 2
            found += part.draw(middle, at)
            found += [_line(x, y, middle, at), _line(middle + part.width, at, x + self.width, y)]
            at += part.height
        if self.loop:  # an arrow back
            found.append(f'<text x="{x + self.width / 2:g}" y="{y + LANE / 2 - 4:g}" text-anchor="middle" {TEXT}>↺</text>')
        return found


Part = Box | Row | Fork


def _line(x: float, y: float, to_x: float, to_y: float) -> str:
    middle = (x + to_x) / 2
    return f'<path d="M{x:g} {y:g}C{middle:g} {y:g} {middle:g} {to_y:g} {to_x:g} {to_y:g}" {LINE}/>'


def rules() -> dict[str, Part]:
    """The rules of the grammar, by name."""
    lines = re.findall(r"^    (\w+) += (.+)$", form.__doc__ or "", re.MULTILINE)
    return {name: _read(TOKENS.findall(told)) for name, told in lines}


def _read(marks: list[str]) -> Part:
    """A rule up to its end, or to the bracket that closes it."""
    choices: list[list[Part]] = [[]]
    while marks and (mark := marks.pop(0)) not in "]}":
        if mark == "|":
            choices.append([])
        elif mark in "[{":
            inner = _read(marks)
            choices[-1].append(Fork([Row([]), inner], loop=mark == "{"))
        else:
            choices[-1].append(Box(mark.strip('"'), mark.startswith('"')))
    rows = [Row(parts) for parts in choices]
    return rows[0] if len(rows) == 1 else Fork(rows)


def picture() -> str:
    """The grammar as SVG."""
    drawn, y, wide = [], 30.0, 0.0
    for name, part in rules().items():
        x = 110.0
        drawn += [
            f'<text x="8" y="{y:g}" font-weight="bold" {TEXT}>{name}</text>',
            _line(x - GAP, y, x, y),
            *part.draw(x, y),
            _line(x + part.width, y, x + part.width + GAP, y),
        ]
        y, wide = y + part.height + 14, max(wide, x + part.width + 2 * GAP)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {y:g}" width="{wide:g}" height="{y:g}" role="img">'
    return "\n".join(
        [
            head,
            "<title>The text form of questions</title>",
            '<rect width="100%" height="100%" fill="#fff"/>',
            *drawn,
            "</svg>",
            "",
        ]
    )


if __name__ == "__main__":
    OUTPUT.write_text(picture(), encoding="utf-8")
