"""Contact sheets: pictures in rows on pages of A4, with their names, times and notes, as PDF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont

PAGE, DPI = (1240, 1754), 150
"""A4 in pixels, and pixels an inch."""
_MARGIN, _GAP, _HEAD = 75, 24, 90
_COLUMNS, _ROWS = 4, 6
_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf")
_INK, _FAINT, _LINE = (28, 32, 35), (100, 105, 108), (223, 226, 227)


@dataclass(frozen=True, slots=True)
class SheetCell:
    """A picture as JPEG or PNG that the thumbnails made, or None; and what is written below it."""

    picture: bytes | None
    name: str
    when: str = ""
    words: str = ""


def contact_sheet(title: str, cells: Sequence[SheetCell]) -> bytes:
    """A PDF with twenty-four cells a page."""
    count = _COLUMNS * _ROWS
    parts = [cells[start : start + count] for start in range(0, len(cells), count)]
    pages = [
        _page(f"{title} · {number} of {len(parts)}" if len(parts) > 1 else title, part) for number, part in enumerate(parts, 1)
    ]
    file = io.BytesIO()
    pages[0].save(file, "PDF", save_all=True, append_images=pages[1:], resolution=DPI, title=title, quality=88)
    return file.getvalue()


def _page(head: str, cells: Sequence[SheetCell]) -> Image.Image:
    page = Image.new("RGB", PAGE, "white")
    draw = ImageDraw.Draw(page)
    _write(draw, (_MARGIN, _MARGIN), head, 30, PAGE[0] - 2 * _MARGIN, _INK)
    width = (PAGE[0] - 2 * _MARGIN - (_COLUMNS - 1) * _GAP) // _COLUMNS
    height = (PAGE[1] - 2 * _MARGIN - _HEAD) // _ROWS
    for number, cell in enumerate(cells):
        row, column = divmod(number, _COLUMNS)
        left, top = _MARGIN + column * (width + _GAP), _MARGIN + _HEAD + row * height
        room = width, height - 84
        draw.rectangle((left, top, left + room[0], top + room[1]), outline=_LINE)
        if cell.picture is not None:
            with Image.open(io.BytesIO(cell.picture), formats=("JPEG", "PNG")) as picture:
                shown = picture.convert("RGB")
                shown.thumbnail(room)
            page.paste(shown, (left + (room[0] - shown.width) // 2, top + (room[1] - shown.height) // 2))
        lines = [(cell.name, 17, _INK), (cell.when, 15, _FAINT), (cell.words, 15, _FAINT)]
        at = top + room[1] + 6
        for text, size, colour in lines:
            if text:
                _write(draw, (left, at), text, size, width, colour)
                at += size + 6
    return page


def _write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, room: int, colour: tuple[int, int, int]) -> None:
    """Write a line, shortened to the room in pixels."""
    font = _font(size)
    shown = text[:200]
    while shown and draw.textlength(shown if shown == text else f"{shown}…", font=font) > room:
        shown = shown[:-1]
    draw.text(at, shown if shown == text else f"{shown}…", fill=colour, font=font)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font of this machine that has many scripts, or else the one that comes with Pillow."""
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
