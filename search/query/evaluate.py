"""Evaluation: how well an archive answers queries whose right answers are known. A manifest holds a query a line:

    {"query": {"text": "…"}, "targets": ["image"], "under": "photos", "relevant": ["photos/a.jpg"]}

The query is one of text, image, audio, video (a path); paths are relative to the working folder.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from search.errors import InputError
from search.query.algebra import Query, Term
from search.query.engine import MOST, Engine
from search.types import Filter, Modality


@dataclass(frozen=True, slots=True)
class Judged:
    """A query, what it may see, and the files that answer it."""

    query: Term
    wanted: Filter
    relevant: frozenset[str]

    @property
    def direction(self) -> str:
        """As in ``text->image``."""
        return f"{self.query.modality}->{'+'.join(self.wanted.modalities) or 'any'}"


def read_manifest(file: Path) -> Iterator[Judged]:
    """The judged queries of a manifest.

    Raises:
        InputError: the file cannot be read, or a line is not as above; says which.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}.", remedy="Give a file with a JSON object on each line.") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _judged(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(
                    f"{file}, line {number}: {type(error).__name__}: {error}.",
                    remedy='A line looks like {"query": {"text": "…"}, "targets": ["image"], "relevant": ["a.jpg"]}.',
                ) from error


def _judged(line: dict[str, Any]) -> Judged:
    ((kind, content),) = line["query"].items()
    modality = Modality(kind)
    if not isinstance(content, str) or not line["relevant"]:
        raise ValueError("the query is not a text, or nothing is relevant")
    term = Term(content if modality is Modality.TEXT else Path(content), modality)
    under = (os.path.abspath(line["under"]),) if line.get("under") else ()
    targets = tuple(Modality(name) for name in line.get("targets", ()))
    relevant = frozenset(os.path.abspath(path) for path in line["relevant"])
    return Judged(term, Filter(modalities=targets, under=under), relevant)


def evaluate(engine: Engine, judged: list[Judged], progress: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
    """Figures by direction: queries, R@1, R@5, R@10, MRR, nDCG@10 (shares, 0 to 1) and the median rank of the first right answer.

    Assets are ranked; a query whose answer is not among the first 1,000 counts with that rank, and 0 in every share.
    """
    runs: dict[str, list[tuple[Judged, list[str]]]] = defaultdict(list)
    for start in range(0, len(judged), 512):
        some = judged[start : start + 512]
        queries: list[Query] = [one.query for one in some]
        engine.terms.prepare(queries)
        for number, one in enumerate(some, start + 1):
            answer = engine.search(one.query, one.wanted, k=_DEPTH, group="asset")
            runs[one.direction].append((one, [hit.segment.path for hit in answer.hits]))
            progress(number)
    return {"directions": {direction: _figures(runs[direction]) for direction in sorted(runs)}}


_DEPTH = MOST


def _figures(runs: list[tuple[Judged, list[str]]]) -> dict[str, Any]:
    import ir_measures
    from ir_measures import RR, Qrel, ScoredDoc, Success, nDCG

    qrels = [Qrel(str(number), path, 1) for number, (one, _) in enumerate(runs) for path in one.relevant]
    docs = [
        ScoredDoc(str(number), path, -float(rank)) for number, (_, paths) in enumerate(runs) for rank, path in enumerate(paths)
    ]
    docs += [ScoredDoc(str(number), "\0nothing", 0.0) for number, (_, paths) in enumerate(runs) if not paths]
    measures = {"R@1": Success @ 1, "R@5": Success @ 5, "R@10": Success @ 10, "MRR": RR, "nDCG@10": nDCG @ 10}
    found = ir_measures.calc_aggregate(measures.values(), qrels, docs)
    ranks = [next((rank for rank, path in enumerate(paths, 1) if path in one.relevant), _DEPTH) for one, paths in runs]
    shares = {name: round(float(found[measure]), 4) for name, measure in measures.items()}
    return {"queries": len(runs), **shares, "median_rank": median(ranks)}
