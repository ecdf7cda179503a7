"""One meaning for each name: no two public classes share one, and no two modules."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MIRRORS = ("search.api.schemas", "ui.commands.")
"""What may bear the name of something else: a wire schema that of the noun that it carries, a module of commands that of what they command."""

FAMILY = {"building", "encoder", "reader"}
"""Modules that every family of encoders or readers has, under the same name for the same task."""


def modules() -> Iterator[tuple[str, Path]]:
    """Every public module of the three packages, by its dotted name."""
    for package in ("search", "indexer", "ui"):
        for file in sorted((ROOT / package).rglob("*.py")):
            place = file.relative_to(ROOT)
            dotted = ".".join((place.parent if place.name == "__init__.py" else place.with_suffix("")).parts)
            if "training" not in place.parts and not dotted.rpartition(".")[2].startswith("_"):
                yield dotted, file


def names_of_modules() -> Iterator[tuple[str, str]]:
    for dotted, _ in modules():
        name = dotted.rpartition(".")[2]
        if not dotted.startswith(MIRRORS) and not (name in FAMILY and dotted.count(".") == 3):
            yield name, dotted


def names_of_classes() -> Iterator[tuple[str, str]]:
    for dotted, file in modules():
        if not dotted.startswith(MIRRORS):
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    yield node.name, dotted


@pytest.mark.parametrize("names", [names_of_modules, names_of_classes], ids=["modules", "classes"])
def test_a_name_has_one_meaning(names):
    found = list(names())
    assert len(found) > 100
    shared = {name for name, count in Counter(name for name, _ in found).items() if count > 1}
    assert {name: [place for one, place in found if one == name] for name in shared} == {}, (
        "Another name says which of them is meant."
    )
