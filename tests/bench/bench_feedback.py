"""Feedback: how much sooner a known picture is found when somebody says which hits are nearer to it.

A simulated user knows the picture by four of its captions, and asks with the fifth. Among the first ``SHOWN`` hits they choose the one whose
captions share the rarest words with those four. That is one judgement; three follow each other, unless the picture is among the best ten.
"""

from __future__ import annotations

import csv
import math
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np

import search.encoders.pocket
from indexer.run import RunRequest, index
from search.query import Engine, Term
from search.query.preferences import SHOWN, Preference
from search.settings import Settings
from search.types import Filter, Modality
from tests.bench.report import ROOT, Figure, Skipped

sys.path.append(str(Path(search.encoders.pocket.__file__).parent / "training"))

from held_out import split_pictures

QUESTIONS, OTHERS, JUDGEMENTS = 300, 1_500, 3
_WORD = re.compile("[a-z]+")
_COMMON = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "in",
        "on",
        "is",
        "are",
        "and",
        "with",
        "to",
        "at",
        "by",
        "his",
        "her",
        "its",
        "from",
        "for",
        "two",
        "there",
        "it",
        "as",
        "up",
    ]
)


def run() -> Iterator[Figure]:
    folder = ROOT.parent / "shared" / "data" / "flickr8k"
    if not folder.is_dir():
        raise Skipped("the given pictures are not in ../shared/data")
    paths = sorted((folder / "images").iterdir())
    training, held = split_pictures(len(paths))
    rng = np.random.default_rng(0)
    rows = [*held, *rng.choice(training, OTHERS, replace=False).tolist()]
    captions: dict[str, list[str]] = {}
    with (folder / "captions.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            captions.setdefault(row["image"], []).append(row["caption"])
    with tempfile.TemporaryDirectory() as home:
        pictures = Path(home, "pictures")
        pictures.mkdir()
        for row in rows:
            shutil.copy(paths[row], pictures)
        settings = Settings(home=Path(home, "home"))
        index(settings, RunRequest([pictures]))
        with Engine(settings) as engine:
            asked = [paths[row].name for row in rng.choice(held, QUESTIONS, replace=False)]
            yield from _rounds(engine, asked, captions)


def _rounds(engine: Engine, asked: Sequence[str], captions: dict[str, list[str]]) -> Iterator[Figure]:
    words = {
        name: Counter(word for one in some[1:] for word in set(_WORD.findall(one.lower())) - _COMMON)
        for name, some in captions.items()
    }
    known = Counter(word for one in words.values() for word in one)
    first, last, plain_ms, round_ms = [], [], [], []
    for name in asked:
        query = Term(captions[name][0].replace('"', ""), Modality.TEXT)  # quotes would ask for a phrase

        def look(preferences: Sequence[Preference], query: Term = query) -> tuple[list[tuple[str, int]], float]:
            began = time.thread_time()
            hits = engine.search(query, _PICTURES, k=10 + JUDGEMENTS, preferences=preferences).hits
            took = 1_000 * (time.thread_time() - began)
            chosen = {one.segment for one in preferences}
            return [(Path(hit.segment.path).name, hit.segment.id) for hit in hits if hit.segment.id not in chosen], took

        shown, _ = look(())
        shown, took = look(())  # the question is encoded by now
        plain_ms.append(took)
        first.append(name in [one for one, _ in shown[:10]])
        preferences: list[Preference] = []
        while name not in [one for one, _ in shown[:10]] and len(preferences) < JUDGEMENTS:
            nearest = max(shown[:SHOWN], key=lambda one: _shared(words[name], words[one[0]], known))
            preferences.append(Preference(nearest[1]))
            shown, took = look(preferences)
            round_ms.append(took)
        last.append(name in [one for one, _ in shown[:10]])
    yield Figure("known pictures among the best ten, first round", float(np.mean(first)), "")
    yield Figure("after three judgements", float(np.mean(last)), "")
    yield Figure("as many times as in the first round", float(np.mean(last) / np.mean(first)), "", least=1.5)
    yield Figure("processor time of a round beyond a search, p50", median(round_ms) - median(plain_ms), "ms", most=15)


_PICTURES = Filter(modalities=(Modality.IMAGE,))


def _shared(some: Counter[str], others: Counter[str], known: Counter[str]) -> float:
    """The cosine of two pictures' captions, weighted by how rare words are."""
    weight = {word: math.log(len(known) / known[word]) ** 2 for word in some.keys() | others.keys()}
    lengths = [math.sqrt(sum(count * count * weight[word] for word, count in one.items())) for one in (some, others)]
    return sum(count * others[word] * weight[word] for word, count in some.items()) / max(lengths[0] * lengths[1], 1e-9)
