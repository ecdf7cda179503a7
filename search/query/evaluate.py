"""Evaluation: how well an archive answers queries with known right answers. A manifest has one query per line:

    {"query": {"text": "…"}, "targets": ["image"], "under": "photos", "relevant": ["photos/a.jpg"]}

The query is one of text, image, audio, video (a path). Paths are relative to the working folder. Queries are answered as a search
answers them: a text is also searched by its words, unless the line says ``"words": false`` (by meaning alone) or ``true`` (by
words alone). ``"spoken": true`` means that an audio file contains a spoken question.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from search.errors import InputError
from search.folders import absolute
from search.query.algebra import Term
from search.query.engine import MAX_HITS, Engine
from search.types import Filter, Modality


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A query, its targets, and the files that answer it. ``words``: True by words alone, False by meaning alone. ``spoken``:
    what is said in it is the question."""

    query: Term
    wanted: Filter
    relevant: frozenset[str]
    words: bool | None = None
    spoken: bool = False

    @property
    def direction(self) -> str:
        """As in ``text->image``."""
        return f"{self.query.modality}->{'+'.join(self.wanted.modalities) or 'any'}"


def read_manifest(file: Path) -> Iterator[JudgedQuery]:
    """The judged queries of a manifest.

    Raises:
        InputError: the file cannot be read, or a line is not as above; says which.
    """
    try:
        lines = file.read_text("utf-8").split("\n")  # splitlines would also split at characters that a text may contain
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}.", remedy="Give a file with a JSON object on each line.") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _judged(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise InputError(
                    f"{file}, line {number}: {type(error).__name__}: {error}.",
                    remedy='A line looks like {"query": {"text": "…"}, "targets": ["image"], "relevant": ["a.jpg"]}.',
                ) from error


def _judged(line: dict[str, Any]) -> JudgedQuery:
    ((kind, content),) = line["query"].items()
    modality = Modality(kind)
    if not isinstance(content, str) or not isinstance(line["relevant"], list) or not line["relevant"]:
        raise ValueError("the query is not a text, or nothing is relevant")
    term = Term(content if modality is Modality.TEXT else Path(content), modality)
    under = (absolute(line["under"]),) if line.get("under") else ()
    targets = tuple(Modality(name) for name in line.get("targets", ()))
    relevant = frozenset(absolute(path) for path in line["relevant"])
    words, spoken = line.get("words"), line.get("spoken", False)
    if not (words is None or (isinstance(words, bool) and modality is Modality.TEXT)):
        raise ValueError("words is true or false, and of a text")
    if not isinstance(spoken, bool) or (spoken and modality is not Modality.AUDIO):
        raise ValueError("spoken is true or false, and of an audio")
    return JudgedQuery(term, Filter(modalities=targets, under=under), relevant, words, spoken)


def evaluate(
    engine: Engine, judged: list[JudgedQuery], progress: Callable[[int], None] = lambda _: None, spaces: Sequence[str] = ()
) -> dict[str, Any]:
    """Quality figures by direction, in the default space or in the named ones: queries, R@1, R@5, R@10, MRR, nDCG@10 (shares, 0
    to 1) and the median rank of the first right answer.

    Assets are ranked. If the answer is not among the first 1,000, the query counts with that rank, and with 0 in every share.
    """
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    assets = engine.store.assets_of({path for one in judged for path in one.relevant})
    for start in range(0, len(judged), _QUERIES_AT_ONCE):
        some = judged[start : start + _QUERIES_AT_ONCE]
        engine.prepare([one.query for one in some if not one.words], spaces)
        runs = []
        for number, one in enumerate(some, start + 1):
            ranked = engine.rank(one.query, one.wanted, k=MAX_HITS, spaces=spaces, words=one.words, spoken=one.spoken).tolist()
            # A file that is not indexed cannot be found. It still counts, under an id of its own.
            runs.append(_Run(ranked, {assets.get(path, path) for path in one.relevant}))
            progress(number)
        for one, figures in zip(some, _measure(runs), strict=True):
            found[one.direction].append(figures)
    return {"directions": {direction: _summary(found[direction]) for direction in sorted(found)}}


_QUERIES_AT_ONCE = 512
"""Queries whose texts are encoded, and whose answers are judged, at once."""


@dataclass(frozen=True, slots=True)
class _Run:
    """The assets as ranked, and those that are right."""

    ranked: list[int]
    relevant: set[int | str]

    @property
    def rank(self) -> int:
        return next((rank for rank, asset in enumerate(self.ranked, 1) if asset in self.relevant), MAX_HITS)


def _measure(runs: list[_Run]) -> list[dict[str, float]]:
    """The figures of each query."""
    import ir_measures
    from ir_measures import RR, Qrel, ScoredDoc, Success, nDCG

    measures = {Success @ 1: "R@1", Success @ 5: "R@5", Success @ 10: "R@10", RR: "MRR", nDCG @ 10: "nDCG@10"}
    qrels = [Qrel(str(number), str(asset), 1) for number, run in enumerate(runs) for asset in run.relevant]
    docs = [
        ScoredDoc(str(number), str(asset), -float(rank))
        for number, run in enumerate(runs)
        for rank, asset in enumerate(run.ranked)
    ]
    figures = [dict.fromkeys(measures.values(), 0.0) | {"rank": float(run.rank)} for run in runs]
    for metric in ir_measures.iter_calc(measures, qrels, docs):
        figures[int(metric.query_id)][measures[metric.measure]] = metric.value
    return figures


def _summary(figures: list[dict[str, float]]) -> dict[str, float]:
    shares = {name: round(fmean(one[name] for one in figures), 4) for name in figures[0] if name != "rank"}
    return {"queries": len(figures), **shares, "median_rank": median(one["rank"] for one in figures)}
