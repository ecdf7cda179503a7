"""Own fields from a table: a CSV file, or the JSON that exiftool writes. Each row names a file of the archive."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.errors import InputError
from search.folders import is_address, spellings
from search.store import Database, Fields, SqlStore
from search.store.fields import LONGEST_VALUE, checked_field

PATHS = ("SourceFile", "path", "file", "filename")
"""Columns that name the file, in any case; exiftool writes the first."""

LARGEST, MOST_COLUMNS = 256 << 20, 500
"""Bytes of a table, and its columns, at most."""

_TOLD = 10
"""Unknown files that are named."""


@dataclass(slots=True)
class Imported:
    """What came of a table: its ``rows``, the ``assets`` that got values, their ``fields``, and how many files are ``unknown`` to the
    archive, the first of them in ``names``."""

    rows: int = 0
    assets: int = 0
    fields: tuple[str, ...] = ()
    unknown: int = 0
    names: list[str] = field(default_factory=list)


def import_table(
    database: Database, table: Path, *, path_column: str = "", columns: Sequence[str] = (), dry: bool = False
) -> Imported:
    """Set the fields that a table names, of the files that it names. Empty cells remove a field from a file.

    Relative paths begin at the table's folder. ``columns``: only these become fields. With ``dry``, nothing is written.

    Raises:
        InputError: the table cannot be read, has no rows, or a column that cannot be a field; says which line.
    """
    rows = list(_rows(table))
    if not rows:
        raise InputError(
            f"The table {table} has no rows.", remedy="Write a line with the names of the columns, and one line for each file."
        )
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    of_path = _path_column(table, names, path_column)
    chosen = _chosen(table, [name for name in names if name != of_path], columns)
    store = SqlStore(database)
    roots = [root for some in store.collections().values() for root in some]
    spelled = {
        number: spellings(_absolute(table, row.get(of_path, "")), roots) for number, row in rows if row.get(of_path, "").strip()
    }
    known = store.assets_of(one for some in spelled.values() for one in some)
    told, values = Imported(rows=len(rows), fields=tuple(chosen.values())), dict[int, dict[str, str]]()
    for number, row in rows:
        asset = next((known[one] for one in spelled.get(number, ()) if one in known), None)
        if asset is None:
            told.unknown += 1
            told.names += [row.get(of_path, "")] if len(told.names) < _TOLD else []
            continue
        values.setdefault(asset, {}).update(_values(table, number, row, chosen))
    told.assets = len(values)
    if values and not dry:
        Fields(database).put(values)
    return told


def _values(table: Path, number: int, row: Mapping[str, str], chosen: Mapping[str, str]) -> dict[str, str]:
    """The values of a row by the names of their fields."""
    for column in chosen:
        if len(row.get(column, "")) > LONGEST_VALUE:
            raise InputError(
                f"Line {number} of {table} has {len(row[column]):,} characters in the column {column!r}.",
                remedy=f"A value has at most {LONGEST_VALUE:,} characters. Leave the column out with --column.",
            )
    return {name: row[column] for column, name in chosen.items() if column in row}


def _path_column(table: Path, names: Sequence[str], given: str) -> str:
    """The column that names the files."""
    if given and given not in names:
        raise InputError(f"{table} has no column {given!r}.", remedy=f"It has: {', '.join(names)}.")
    lower = {name.casefold(): name for name in reversed(names)}
    found = given or next((lower[one.casefold()] for one in PATHS if one.casefold() in lower), "")
    if not found:
        raise InputError(
            f"No column of {table} names the files.",
            remedy=f"Name it {PATHS[1]!r}, or say which with --path-column. It has: {', '.join(names)}.",
        )
    return found


def _chosen(table: Path, names: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    """The columns that become fields, with the names of these."""
    if strange := [name for name in columns if name not in names]:
        raise InputError(f"{table} has no column {strange[0]!r}.", remedy=f"It has: {', '.join(names)}.")
    chosen = {name: checked_field(name) for name in columns or names}
    if not chosen:
        raise InputError(f"{table} has nothing but paths.", remedy="Add a column for each field.")
    if len(chosen) > MOST_COLUMNS:
        raise InputError(f"{table} has {len(chosen):,} columns.", remedy=f"Choose at most {MOST_COLUMNS} with --column.")
    return chosen


def _absolute(table: Path, path: str) -> str:
    return path.strip() if is_address(path.strip()) else os.path.join(os.path.abspath(table.parent), path.strip())


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table by the names of its columns, each with the number of its last line, or of its object."""
    try:
        with table.open("rb") as opened:
            content = opened.read(LARGEST + 1)
    except OSError as error:
        raise InputError(
            f"The table {table} cannot be read: {error.strerror}.", remedy="Give the path of a CSV or JSON file."
        ) from error
    if len(content) > LARGEST:
        raise InputError(f"The table {table} is larger than {LARGEST >> 20} MB.", remedy="Split it.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"Line {line} of {table} is not UTF-8.", remedy="Save the table as UTF-8.") from error
    if "\0" in text:
        raise InputError(f"{table} is no text.", remedy="Save the table as CSV in UTF-8.")
    yield from _objects(table, text) if text.lstrip()[:1] in ("[", "{") else _lines(table, text)


def _lines(table: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file (RFC 4180). Cells are separated by what its first line uses: commas, semicolons or tabs."""
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(lines, [])]
        if twice := next((name for at, name in enumerate(header) if name and name in header[:at]), None):
            raise InputError(f"{table} has the column {twice!r} twice.", remedy="Rename one of them.")
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise InputError(
                    f"Line {lines.line_num} of {table} has {len(cells)} cells; the first line has {len(header)}.",
                    remedy=f"Put cells that contain {delimiter!r} into quotes.",
                )
            yield lines.line_num, {name: cell for name, cell in zip(header, cells, strict=True) if name}
    except csv.Error as error:
        raise InputError(f"Line {lines.line_num} of {table} is no CSV: {error}.", remedy="Check its quotes.") from error


def _objects(table: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The objects of a JSON list, or the one object. Lists become texts; objects and null within them are left out."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{table} is no JSON: {error}.", remedy="Save it again, as `exiftool -json` writes it.") from error
    for number, one in enumerate(given if isinstance(given, list) else [given], 1):
        if not isinstance(one, dict):
            raise InputError(f"Entry {number} of {table} is no object.", remedy="Write a list of objects, one for each file.")
        yield number, {name: told for name, value in one.items() if (told := _text(value)) is not None}


def _text(value: Any) -> str | None:  # noqa: ANN401 - any JSON value
    if isinstance(value, list):
        return ", ".join(_each(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return None if value is None or isinstance(value, dict) else str(value)


def _each(values: Iterable[Any]) -> Iterator[str]:
    return (told for value in values if not isinstance(value, list) and (told := _text(value)) is not None)
