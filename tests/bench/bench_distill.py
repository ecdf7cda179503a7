"""Text towers: what one that is fitted to `pocket:multilingual` keeps of its recall, with more and fewer captions.

Pictures and captions are of Flickr8k, on which the teacher was trained too; those that are measured were kept from the tower alone. Each of them
is asked for by its first caption.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps

from search import encoders
from search.encoders import Encoder
from search.encoders.text_tower import TextTower, sentences_of
from search.errors import ModelMissing
from search.types import Modality, Vectors
from tests.bench.report import Figure, Skipped, given

MEASURED, FITTED, K, LEAST = 400, (500, 2_000), 10, 0.9


def run() -> Iterator[Figure]:
    folder, captions = given("flickr8k"), dict[str, str]()
    with (folder / "captions.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            captions.setdefault(row["image"], row["caption"])
    order = np.random.default_rng(0).permutation(len(captions))[: MEASURED + max(FITTED)]
    names = [list(captions)[at] for at in order]
    try:
        teacher = encoders.load("pocket:multilingual")
    except ModelMissing as error:
        raise Skipped(str(error)) from error
    base, texts = encoders.load("pocket"), [captions[name] for name in names]
    vectors = _batched(teacher, Modality.TEXT, texts)
    sentences = sentences_of(base, texts)
    side = (teacher.needs.size, teacher.needs.size)
    pictures = _batched(
        teacher, Modality.IMAGE, [np.asarray(ImageOps.fit(Image.open(folder / "images" / name).convert("RGB"), side)) for name in names[:MEASURED]]
    )  # fmt: skip
    known = _recall(vectors[:MEASURED], pictures)
    yield Figure(f"R@{K} of the teacher, among {MEASURED} pictures", known, "")
    for count in FITTED:
        some = slice(MEASURED, MEASURED + count)
        tower = TextTower.fit(teacher.space, sentences[some], vectors[some], base)
        kept = _recall(tower.encode(Modality.TEXT, texts[:MEASURED]), pictures) / known
        yield Figure(f"the share that a tower keeps, of {count:,} captions", kept, "", least=LEAST)


def _batched(encoder: Encoder, modality: Modality, contents: list) -> Vectors:
    size = encoder.needs.batch
    return np.concatenate([encoder.encode(modality, contents[at : at + size]) for at in range(0, len(contents), size)])


def _recall(asked: Vectors, pictures: Vectors) -> float:
    scores = asked @ pictures.T
    return float(((scores > np.diag(scores)[:, None]).sum(axis=1) < K).mean())
