"""Judgements as files that other programs evaluate: a manifest for `sensorium eval`, and topics, qrels and a run as TREC has them.

A file is named by the first half of its SHA-256, so it keeps its name in every archive. Programs order a run by its scores, and equal ones
as they like: so scores here are the ranks, from the last one up.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from search import disk
from search.errors import InputError
from search.query.algebra import Term
from search.query.engine import MAX_HITS, Engine
from search.types import Modality

MANIFEST, TOPICS, QRELS, RUN = "manifest.jsonl", "topics.tsv", "qrels.txt", "run.txt"
"""The names of the files."""


@dataclass(frozen=True, slots=True)
class Exported:
    """How many questions were written, the judgements of files in them, and the files in the run."""

    questions: int
    judgements: int
    ranked: int


def write(engine: Engine, folder: Path, *, k: int = MAX_HITS, progress: Callable[[int], None] = lambda _: None) -> Exported:
    """Write what people judged into a folder, and how the archive answers these questions now: the best ``k`` files each.

    The manifest holds the questions of which a right file is known. Judgements of files that are gone are left out.

    Raises:
        InputError: nobody has judged anything, or the folder cannot be written.
    """
    judged = engine.judgements.questions()
    if not judged:
        raise InputError(
            "Nobody has judged anything yet.", remedy='Judge files: sensorium judge "a dog" --right 12,17 --wrong 40'
        )
    manifest, topics, qrels, run = list[str](), list[str](), list[str](), list[str]()
    for number, (question, said) in enumerate(judged.items(), 1):
        ranked = engine.rank(Term(question, Modality.TEXT), k=k).tolist()
        assets = engine.catalogue.assets([*ranked, *(one.asset for one in said)])
        named = {id_: asset.digest[:32] for id_, asset in assets.items()}
        right = [assets[one.asset].location.path for one in said if one.right and one.asset in assets]
        if right:
            manifest.append(json.dumps({"query": {"text": question}, "relevant": right}))
        topics.append(f"{number}\t{question}")
        qrels += [f"{number} 0 {named[one.asset]} {int(one.right)}" for one in said if one.asset in named]
        found = [named[id_] for id_ in ranked if id_ in named]
        run += [f"{number} Q0 {name} {rank} {len(found) - rank + 1} sensorium" for rank, name in enumerate(found, 1)]
        progress(number)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, lines in ((MANIFEST, manifest), (TOPICS, topics), (QRELS, qrels), (RUN, run)):
            disk.replace(folder / name, "".join(f"{line}\n" for line in lines).encode())
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}.", remedy="Choose another folder.") from error
    return Exported(len(topics), len(qrels), len(run))
