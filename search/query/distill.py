"""Distilling: a small text tower is fitted to the space of a large model, and it is measured what of its recall the tower keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from search import encoders
from search.encoders import Encoder, ask, text_tower
from search.encoders.text_tower import TextTower
from search.errors import InputError
from search.models import Models
from search.query.algebra import Term
from search.query.engine import Engine
from search.settings import Settings
from search.types import Modality, Vectors

MAX_CAPTIONS, MEASURED = 100_000, 500
"""Captions that are read, and those, held out, by which recall is measured."""
K = 10


@dataclass(frozen=True, slots=True)
class Caption:
    """A text, and the file that it tells of; empty: none is named."""

    text: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Distilled:
    """What a tower keeps. ``fitted`` and ``measured`` count captions. ``teacher`` and ``tower`` are R@10 of the large model and of the tower;
    None: the captions name no files of the archive. ``agrees`` is the share of the large model's first ten files that are among the tower's."""

    file: Path
    fitted: int
    measured: int
    agrees: float
    teacher: float | None = None
    tower: float | None = None

    @property
    def kept(self) -> float:
        """The share of the large model's R@10 that the tower keeps; where it is not known, what they agree on."""
        return self.agrees if self.teacher is None or self.tower is None else self.tower / max(self.teacher, 1e-9)


def read(file: Path) -> list[Caption]:
    """The captions in a file: a line each, a text, or ``{"text": …, "path": …}``.

    Raises:
        InputError: it cannot be read, or holds none.
    """
    try:
        lines = file.read_text("utf-8").splitlines()[:MAX_CAPTIONS]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}.", remedy="Name a text file with a caption in each line.") from None
    found = []
    for number, line in enumerate(lines, 1):
        try:
            told = json.loads(line) if line.startswith("{") else {"text": line}
            text, path = " ".join(str(told["text"]).split()), str(told.get("path") or "")
        except (ValueError, KeyError):
            raise InputError(
                f"Line {number} of {file} is no caption.",
                remedy='Write a text, or {"text": "a dog runs", "path": "/photos/a.jpg"}.',
            ) from None
        if text:
            found.append(Caption(text, path))
    if not found:
        raise InputError(f"{file} holds no captions.", remedy="Write one in each line.")
    return found


def distill(settings: Settings, name: str, captions: Sequence[Caption]) -> Distilled:
    """Fit a text tower for a space of the archive, keep it in the home, and measure it. A file's captions are either fitted or held out.

    Raises:
        UnknownName: there is no such space.
        ModelMissing: the large model is not here, from which the tower learns.
        InputError: the space reads no texts, or the captions are too few.
    """
    held, fitted = _parted(captions)
    with Engine(settings) as engine:
        entry = engine.spaces.find(name)
        if Modality.TEXT not in entry.space.accepts or Modality.TEXT in entry.space.asked_only:
            raise InputError(f"The space {name} reads no texts.", remedy="Choose one that is asked in words.")
        teacher = encoders.load(entry.encoder, Models.of(settings), settings.device)
        texts = [one.text for one in fitted]
        base = encoders.load("pocket")
        vectors, sentences = _asked(teacher, texts), text_tower.sentences_of(base, texts)
        tower = TextTower.fit(entry.space, sentences, vectors, base)
        by_teacher = [_ranked(engine, one, entry.name) for one in held]
    file = tower.save(settings.home)
    load = partial(encoders.load, models=Models.of(settings), device=settings.device)
    with Engine(settings, load=lambda of: tower if of == entry.encoder else load(of)) as engine:
        by_tower = [_ranked(engine, one, entry.name) for one in held]
        known = engine.catalogue.assets(sorted({asset for some in (*by_teacher, *by_tower) for asset in some}))
        paths = {asset: {place.path for place in one.locations} for asset, one in known.items()}
    agrees = (
        float(np.mean([len(set(a) & set(b)) / max(len(a), 1) for a, b in zip(by_teacher, by_tower, strict=True)]))
        if held
        else 0.0
    )
    named = [at for at, one in enumerate(held) if one.path]

    def recall(found: Sequence[Sequence[int]]) -> float:
        return float(np.mean([any(held[at].path in paths.get(asset, ()) for asset in found[at]) for at in named]))

    if not named or not recall(by_teacher):
        return Distilled(file, len(fitted), len(held), agrees)
    return Distilled(file, len(fitted), len(named), agrees, recall(by_teacher), recall(by_tower))


def _parted(captions: Sequence[Caption]) -> tuple[list[Caption], list[Caption]]:
    """What is held out, at most ``MEASURED`` and a fifth, one for each file; and what a tower is fitted on, which tells of other files."""
    by_file: dict[str, list[Caption]] = {}
    for one in captions:
        by_file.setdefault(one.path or one.text, []).append(one)
    keys = sorted(by_file)
    held = {keys[at] for at in np.random.default_rng(0).permutation(len(keys))[: min(MEASURED, len(keys) // 5)]}
    return [by_file[key][0] for key in keys if key in held], [one for key in keys if key not in held for one in by_file[key]]


def _asked(teacher: Encoder, texts: Sequence[str]) -> Vectors:
    size = teacher.needs.batch
    parts = [ask(teacher, texts[at : at + size]) for at in range(0, len(texts), size)]
    return np.concatenate(parts) if parts else np.empty((0, teacher.space.dim), np.float32)


def _ranked(engine: Engine, caption: Caption, space: str) -> list[int]:
    return [int(one) for one in engine.rank(Term(caption.text, Modality.TEXT), k=K, spaces=[space], words=False)]
