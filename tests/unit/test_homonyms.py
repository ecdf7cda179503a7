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

MODULES = {
    "app": 2, "ask": 2, "building": 4, "catalogue": 2, "dates": 2, "encoder": 4, "engine": 3, "evaluate": 2, "forms": 2, "jobs": 3, "judging": 2,
    "labels": 2, "languages": 2, "media": 2, "models": 2, "passages": 3, "reader": 3, "readers": 2, "tokens": 3, "weights": 2, "wire": 2, "words": 4,
    "written": 2,
}  # fmt: skip
"""Names that several modules still share, and how many. This list may only shrink."""

CLASSES = {
    "Beside": 2, "Calibration": 2, "Clock": 3, "Engine": 3, "Entry": 3, "Events": 2, "Job": 2, "Judged": 2, "Known": 3, "Manifest": 2, "Part": 2,
    "Refused": 2, "Runner": 2, "Scan": 3, "Size": 2, "Source": 2, "Surroundings": 2, "Text": 2, "Tokens": 2, "Vocabulary": 2, "Wanted": 2,
    "Weights": 3, "Words": 2, "Written": 2,
}  # fmt: skip
"""Names that several public classes still share, and how many. This list may only shrink."""


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
        if not dotted.startswith(MIRRORS):
            yield dotted.rpartition(".")[2], dotted


def names_of_classes() -> Iterator[tuple[str, str]]:
    for dotted, file in modules():
        if not dotted.startswith(MIRRORS):
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    yield node.name, dotted


@pytest.mark.parametrize(
    ("names", "known"), [(names_of_modules, MODULES), (names_of_classes, CLASSES)], ids=["modules", "classes"]
)
def test_a_name_has_one_meaning(names, known):
    found = list(names())
    shared = {name: count for name, count in Counter(name for name, _ in found).items() if count > 1}
    assert len(found) > 100
    new = {name: [place for one, place in found if one == name] for name, count in shared.items() if count > known.get(name, 1)}
    assert new == {}, "Another name says which of them is meant."
    gone = {name: shared.get(name, 1) for name, count in known.items() if shared.get(name, 1) < count}
    assert gone == {}, "The list may only shrink: write the smaller number, or take the name off."
