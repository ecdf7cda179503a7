"""Things that people labelled, from files of COCO (JSON) and YOLO (texts beside pictures). Each names a picture of the archive."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from search.errors import InputError
from search.folders import absolute, spellings
from search.store import Catalogue, Database, SqlStore
from search.store.things import Things
from search.types import LONGEST_LABEL, Box, Thing

LARGEST = 512 << 20
"""Bytes of a file, at most."""

NAMES = ("classes.txt", "obj.names")
"""Files with the names of YOLO's classes, one a line; besides them, YAML files with ``names``."""

_TOLD = 10
"""Unknown files that are named."""

_PIXEL = 1e-3
"""Percent of a side below which a box has no extent."""


@dataclass(slots=True)
class Labelled:
    """What came of files: the ``assets`` and ``things`` that were labelled; how many boxes were ``skipped``, as they have no extent or stand for a
    crowd; and how many pictures are ``unknown`` to the archive, the first of them in ``names``."""

    assets: int = 0
    things: int = 0
    skipped: int = 0
    unknown: int = 0
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Labels:
    """A picture's path, the things in it, and how many boxes were skipped."""

    path: str
    things: list[Thing]
    skipped: int = 0


def import_labels(database: Database, path: Path, *, pictures: Path | None = None, dry: bool = False) -> Labelled:
    """Replace what was imported of the pictures that a COCO file, or a folder of YOLO's, names. Their paths begin at ``pictures``, or else where the
    file lies. With ``dry``, nothing is written.

    Raises:
        InputError: it cannot be read, or is neither; says where.
    """
    store = SqlStore(database)
    roots = [root for some in store.collections().values() for root in some]
    given = list(_yolo(path, pictures) if path.is_dir() else _coco(database, path, pictures or path.parent))
    spelled = [spellings(absolute(one.path), roots) for one in given]
    known = store.assets_of(one for some in spelled for one in some)
    told, found = Labelled(), dict[int, list[Thing]]()
    for one, some in zip(given, spelled, strict=True):
        asset = next((known[spelling] for spelling in some if spelling in known), None)
        if asset is None:
            told.unknown += 1
            told.names += [one.path] if len(told.names) < _TOLD else []
            continue
        found.setdefault(asset, []).extend(one.things)
        told.skipped += one.skipped
    told.assets, told.things = len(found), sum(map(len, found.values()))
    if found and not dry:
        Things(database).put(found)
    return told


def _coco(database: Database, path: Path, pictures: Path) -> Iterator[_Labels]:
    try:
        given = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON: {error}.", remedy="Give a COCO file, or the folder of a YOLO data set.") from error
    try:
        names = {one["id"]: _label(one["name"], path) for one in given["categories"]}
        by_picture: dict[Any, list[Mapping[str, Any]]] = {one["id"]: [] for one in given["images"]}
        for one in given["annotations"]:
            by_picture[one["image_id"]].append(one)
        for image in given["images"]:
            where = str(pictures / image["file_name"])
            size = image.get("width"), image.get("height")
            if not all(size):
                size = _size(database, where)
            boxes = [one for one in by_picture[image["id"]] if not one.get("iscrowd")] if all(size) else []
            things = [
                Thing(names[one["category_id"]], box, _share(one.get("score")), at_ms=image.get("at_ms"))
                for one in boxes
                if (box := _inside(*(100 * float(side) / float(size[at % 2]) for at, side in enumerate(one["bbox"][:4]))))
                is not None
            ]
            yield _Labels(where, things, len(by_picture[image["id"]]) - len(things))
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise InputError(
            f"{path} is no COCO file: {type(error).__name__}: {error}.",
            remedy="It has images, annotations with boxes, and categories.",
        ) from error


def _size(database: Database, path: str) -> tuple[int | None, int | None]:
    """The size in pixels of a picture of the archive."""
    asset = SqlStore(database).assets_of([absolute(path)]).get(absolute(path))
    found = Catalogue(database).assets([asset]).get(asset) if asset else None
    return (found.width, found.height) if found else (None, None)


def _yolo(folder: Path, pictures: Path | None) -> Iterator[_Labels]:
    names = _classes(folder)
    listed: dict[Path, dict[str, str]] = {}
    for path in sorted(folder.rglob("*.txt")):
        parts = path.parent.relative_to(folder).parts
        beside = pictures or folder.joinpath(*("images" if part == "labels" else part for part in parts))
        if beside not in listed:
            listed[beside] = _stems(beside)
        if path.name in NAMES or not (pictures or "labels" in parts or path.stem in listed[beside]):
            continue  # such as a list of files, or what somebody wrote about the data set
        rows = list(_rows(path, names))
        things = [Thing(label, box, share) for label, box, share in rows if box is not None]
        yield _Labels(str(beside / listed[beside].get(path.stem, path.stem)), things, len(rows) - len(things))


def _stems(folder: Path) -> dict[str, str]:
    """The names of the files in a folder, by what stands before their suffix."""
    try:
        return {os.path.splitext(name)[0]: name for name in sorted(os.listdir(folder), reverse=True) if not name.endswith(".txt")}
    except OSError:
        return {}


def _rows(path: Path, names: Sequence[str]) -> Iterator[tuple[str, Box | None, float | None]]:
    """The labels, boxes and confidences of a text: a class and its box by middle and size, or its outline, in parts of the picture."""
    for number, line in enumerate(_text(path).splitlines(), 1):
        cells = line.split()
        if not cells:
            continue
        try:
            at, *numbers = int(cells[0]), *map(float, cells[1:])
            label = names[at] if at >= 0 else names[len(names)]
        except (ValueError, IndexError):
            raise InputError(
                f"Line {number} of {path} is no label: {line[:40]!r}.",
                remedy=f"Write a class of {len(names)}, counted from 0, and its box.",
            ) from None
        if len(numbers) in (4, 5):
            x, y, width, height = numbers[:4]
            yield (
                label,
                _inside(100 * (x - width / 2), 100 * (y - height / 2), 100 * width, 100 * height),
                _share(numbers[4] if numbers[4:] else None),
            )
        elif len(numbers) >= 6 and len(numbers) % 2 == 0:
            xs, ys = numbers[::2], numbers[1::2]
            yield label, _inside(100 * min(xs), 100 * min(ys), 100 * (max(xs) - min(xs)), 100 * (max(ys) - min(ys))), None
        else:
            raise InputError(
                f"Line {number} of {path} has {len(numbers)} numbers.", remedy="A box has four, an outline six or more."
            )


def _classes(folder: Path) -> list[str]:
    """The names of a YOLO data set's classes."""
    for place in (folder, folder / "labels"):
        for name in NAMES:
            if (place / name).is_file():
                return [_label(line, place / name) for line in _text(place / name).splitlines() if line.strip()]
    for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
        try:
            given = yaml.safe_load(_text(path))
        except (yaml.YAMLError, RecursionError) as error:
            raise InputError(f"{path} is no YAML: {str(error).splitlines()[0]}.", remedy="Save it again.") from error
        told = given.get("names") if isinstance(given, dict) else None
        if isinstance(told, dict):
            told = [told[number] for number in range(len(told)) if number in told]
        if isinstance(told, list) and told:
            return [_label(one, path) for one in told]
    raise InputError(
        f"{folder} does not say what its classes are named.",
        remedy=f"Put a file {NAMES[0]} into it, with a name a line, or a data.yaml with names.",
    )


def _label(given: object, path: Path) -> str:
    label = " ".join(str(given).split())
    if not re.search(r"\w", label) or len(label) > LONGEST_LABEL:
        raise InputError(
            f"{path} has a class {label[:40]!r}.",
            remedy=f"A name has a letter or a digit, and at most {LONGEST_LABEL} characters.",
        )
    return label


def _inside(left: float, top: float, width: float, height: float) -> Box | None:
    """A box in percent, as far as it lies in the picture; None: it has no extent there."""
    right, bottom = min(left + width, 100.0), min(top + height, 100.0)
    left, top = max(left, 0.0), max(top, 0.0)
    return (left, top, right - left, bottom - top) if right - left > _PIXEL and bottom - top > _PIXEL else None


def _share(given: object) -> float | None:
    """A confidence; None: it is none."""
    return float(given) if isinstance(given, int | float) and 0 <= given <= 1 else None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as opened:
            content = opened.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise InputError(f"{path} is larger than {LARGEST >> 20} MB.", remedy="Split it.")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}.", remedy="Give a COCO file, or the folder of a YOLO data set."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8.", remedy="Save it as UTF-8.") from error
