"""The promise of answers: the engine finds what brute force over the stored vectors finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text

from indexer.verify.checks import Check
from indexer.verify.vectors import SAMPLED_VECTORS, StoredVectors
from search.query import Engine, Near
from search.settings import Settings
from search.types import KINDS, Filter, Grouping, Ids, Kind, Modality, Needs, Space, Vectors


class _Silent:
    """A stand-in for an encoder, for questions that are segments of the archive and need no encoding."""

    needs = Needs(size=32, fit="squash", rate=16_000, window_ms=1_000, characters=100)

    def __init__(self, space: Space) -> None:
        self.space = space

    def encode(self, modality: Modality, batch: Sequence[object]) -> Vectors:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _Question:
    """A query for segments near a ``query`` vector (dim,), under a filter that passes ``among`` (n,)."""

    segment: int
    query: NDArray[np.float32]
    filter: Filter
    among: Ids
    k: int
    group: Grouping


def answers_agree(settings: Settings, truth: StoredVectors) -> Check:
    """Ask the engine what is near sampled segments, for each kind and under filters. Compare with brute force over SQL.

    The engine scans here: a server finds nearly all, not all.
    """
    questions = _questions(truth)
    best = _brute(truth, questions)
    with Engine(replace(settings, vectors=""), encoder=_Silent(truth.space)) as engine:
        equal = sum(_agrees(engine, truth.space.name, asked, found) for asked, found in zip(questions, best, strict=True))
    return Check(
        f"space {truth.space.name}: answers equal brute force",
        equal == len(questions),
        f"{equal} of {len(questions)} sampled questions",
        "Run `sensorium verify --repair`, and tell us if that does not help.",
    )


def _questions(truth: StoredVectors) -> list[_Question]:
    collections = truth.connection.execute(text("SELECT name FROM collection ORDER BY name")).scalars().all()
    rng = np.random.default_rng(len(truth.ids))
    asked = rng.choice(truth.ids, min(len(truth.ids), max(SAMPLED_VECTORS // 20, 1)), replace=False)
    vectors = [
        (int(id_), row.astype(np.float32))
        for ids, rows in truth.vectors()
        for id_, row in zip(ids, rows, strict=True)
        if id_ in asked
    ]
    within = {one: _inside(truth, one) for one in collections[:3]}
    wanted = [
        (Filter((kind.modality,), (kind.channel,), (one,) if one else ()), np.intersect1d(ids, within[one]) if one else ids)
        for kind, ids in _kinds(truth).items()
        for one in ("", *within)
    ]
    shapes: tuple[tuple[int, Grouping], ...] = ((1, "segment"), (5, "moment"), (20, "asset"))
    return [
        _Question(segment, query, *wanted[turn % len(wanted)], *shapes[turn % 3])
        for turn, (segment, query) in enumerate(vectors if wanted else [])
    ]


def _agrees(engine: Engine, space: str, asked: _Question, best: NDArray[np.float32]) -> bool:
    """Whether the engine's answer is as complete and as good: all hits if nothing is merged, else the first."""
    hits = engine.search(Near(asked.segment), asked.filter, k=asked.k, group=asked.group, spaces=(space,)).hits
    got = np.array([hit.cosine for hit in hits[: len(best)]])
    if asked.group == "segment":
        return len(hits) == len(best) and np.allclose(got, best, atol=2e-3)
    return bool(hits) == bool(len(best)) and (not len(got) or bool(abs(got[0] - best[0]) < 2e-3))


def _kinds(truth: StoredVectors) -> dict[Kind, Ids]:
    """The segments of the space that can be found, by kind."""
    query = text(
        "SELECT s.id, a.modality, s.channel FROM segment s JOIN asset a ON a.id = s.asset_id WHERE EXISTS (SELECT 1 FROM location l"
        " WHERE l.asset_id = a.id AND l.state = 'present')"
    )
    names = {(str(kind.modality), str(kind.channel)): kind for kind in KINDS}
    found: dict[Kind, list[int]] = {}
    for id_, modality, channel in truth.connection.execute(query):
        found.setdefault(names[modality, channel], []).append(id_)
    return {kind: np.intersect1d(np.array(ids, np.int64), truth.ids) for kind, ids in found.items()}


def _inside(truth: StoredVectors, collection: str) -> Ids:
    """The segments of a collection that can be found (n,)."""
    there = text(
        "SELECT DISTINCT s.id FROM segment s JOIN location l ON l.asset_id = s.asset_id JOIN collection c ON c.id = l.collection_id"
        " WHERE c.name = :name AND l.state = 'present'"
    )
    return np.array(truth.connection.execute(there, {"name": collection}).scalars().all(), np.int64)


def _brute(truth: StoredVectors, questions: Sequence[_Question]) -> list[NDArray[np.float32]]:
    """The best cosines of each question, at most ``k``, best first. All vectors are read once."""
    best = [np.empty(0, np.float32) for _ in questions]
    for ids, rows in truth.vectors():
        wide = rows.astype(np.float32)
        for at, asked in enumerate(questions):
            scores = wide[np.isin(ids, asked.among)] @ (asked.query / np.linalg.norm(asked.query))
            best[at] = np.sort(np.concatenate([best[at], scores]))[::-1][: asked.k]
    return best
