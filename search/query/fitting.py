"""Fit a calibration: compute the weights of its directions from questions with known answers.

Everything is cross-fitted by question: verdict lines and probability errors come from models that have not seen the question.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from search.query.calibration import CLASSES, Calibration, Direction, line_class, log_words, znorm
from search.query.verdict import BEST, Profile, alike, features
from search.types import Kind, Modality, Vectors

FALSE_SHARE = 0.05
"""The share of absent questions that may be called found."""

KEPT_SHARE = 0.95
"""The share of present questions that are not called absent."""

HITS = 10
"""The number of hits of a question on which the probability of a hit is fitted."""

NEAR_MISS = 0.3
"""The weight of an absent question with neighbours in the archive, relative to a foreign one. There are many, and few people mean them by "not here"."""

THINNED = 0.2
"""The weight of a question of whose answers some were taken away, relative to one that has all of them. Such questions show how little may be there, but
most archives hold as much of a thing as they do by nature."""

ANSWERED = 1 / 3
"""The share of questions that are taken to have an answer, where the probability of a hit is fitted."""

FOLDS = 5
BINS = 10
"""The number of bins of a reliability diagram."""

FEWEST = 20
"""Questions of a direction, present and absent ones each, below which no verdict is fitted: the least for a line of 5 %, see split conformal."""

_RIDGE = 1.0
"""The ridge penalty of the logistic models, on standardised features."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Archive:
    """Segments of a kind (n, dim), and how they answer the cohort's questions, by the modality of these questions."""

    kind: Kind
    vectors: Vectors
    profiles: Mapping[Modality, Profile]

    @classmethod
    def of(cls, calibration: Calibration, kind: Kind, vectors: Vectors) -> Archive:
        """The archive made of these vectors (n, dim), n >= 1."""
        cohort, ids = calibration.impostors(kind), np.arange(len(vectors), dtype=np.int64)
        return cls(
            kind, vectors, {asked: Profile.of(ids, vectors, cohort, some) for asked, some in calibration.questions.items()}
        )


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A question for an archive, and the rows of the archive that answer it. No rows: the answer is absent. ``words`` 0: the
    question is not text.

    ``foreign``: nothing in the archive is like what is asked for. Otherwise an absent answer was removed, and similar content may
    remain. ``thinned``: some answers were taken away, so that few are left.
    """

    archive: Archive
    asked: Modality
    vector: NDArray[np.float32]
    words: int
    right: frozenset[int]
    foreign: bool = False
    thinned: bool = False

    @property
    def weight(self) -> float:
        """How much the case counts."""
        return THINNED if self.thinned else 1.0 if self.right or self.foreign else NEAR_MISS


@dataclass(slots=True)
class _Table:
    """The cases of a direction: features (n, f), whether the answer is there (n,), and weights (n,). For their hits: case, z, log10
    of segments, log of words, right, each (hits,)."""

    names: list[str]
    features: Numbers
    present: Numbers
    foreign: NDArray[np.bool_]
    weights: Numbers
    classes: NDArray[np.intp]
    case: NDArray[np.intp]
    z: Numbers
    size: Numbers
    words: Numbers
    right: Numbers
    logits: Numbers


def fit(calibration: Calibration, cases: Sequence[Case]) -> Calibration:
    """Fit the directions of a calibration on cases. Directions with too few cases are left out."""
    by_direction: dict[tuple[Modality, Modality], list[Case]] = defaultdict(list)
    for case in cases:
        by_direction[case.asked, case.archive.kind.content].append(case)
    tables = {key: _table(calibration, some) for key, some in by_direction.items()}
    directions: dict[tuple[Modality, Modality], Direction] = {}
    for key, table in tables.items():
        absent, present = int((1 - table.present).sum()), int(table.present.sum())
        if min(absent, present) < FEWEST:
            continue
        weights = _balanced(table)
        table.logits = _crossed(table.features, table.present, np.arange(len(table.present)), weights)
        beta = logistic(table.features, table.present, weights)
        verdict = {"": float(beta[0])} | dict(zip(table.names, map(float, beta[1:]), strict=True))
        lines, doubts, passed = _lines(table)
        directions[key] = Direction(1.0, 0.0, 0.0, verdict, lines, doubts, present, absent, passed)
    return _with_hits(calibration, directions, {key: tables[key] for key in directions})


def _lines(table: _Table) -> tuple[tuple[float, ...], tuple[float, ...], float]:
    """Lines and doubts by archive size and question length, and the share of near misses that pass their line. A class with too
    few questions uses those of its size, or else all."""
    absent = (table.present == 0) & (table.foreign if (table.foreign & (table.present == 0)).sum() >= FEWEST else True)
    lines, doubts = [], []
    for number in range(CLASSES):
        own, size = table.classes == number, table.classes % (CLASSES // 2) == number % (CLASSES // 2)
        some, there = (
            next((mask & part for part in (own, size) if (mask & part).sum() >= FEWEST), mask)
            for mask in (absent, table.present == 1)
        )
        lines.append(conformal(table.logits[some], FALSE_SHARE))
        doubts.append(min(lines[-1], -conformal(-table.logits[there], 1 - KEPT_SHARE)))
    misses = (table.present == 0) & ~table.foreign
    passed = float((table.logits > np.array(lines)[table.classes])[misses].mean()) if misses.any() else 0.0
    return tuple(lines), tuple(doubts), passed


def conformal(scores: Numbers, share: float) -> float:
    """Split conformal: the least bound that a new score, exchangeable with ``scores`` (n,), exceeds with a probability of at most
    ``share``.

    That is the ceil((n + 1)(1 - share))-th smallest score; the largest if n is too small.
    """
    rank = min(math.ceil((len(scores) + 1) * (1 - share)), len(scores))
    return float(np.sort(scores)[rank - 1])


def logistic(x: Numbers, y: Numbers, weights: Numbers, ridge: float = _RIDGE) -> Numbers:
    """Weights (1 + f,) of a logistic regression of y (n,) on x (n, f), the constant first; by Newton's method, with a ridge on standardised features."""
    mean, spread = x.mean(axis=0), x.std(axis=0).clip(1e-9)
    design = np.column_stack([np.ones(len(x)), (x - mean) / spread])
    penalty = np.diag([1e-9, *[ridge] * x.shape[1]])
    beta = np.zeros(design.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        gradient = design.T @ (weights * (y - chance)) - penalty @ beta
        hessian = (design * (weights * chance * (1 - chance))[:, None]).T @ design + penalty
        step = np.linalg.solve(hessian, gradient)
        beta += step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-9))
        if float(np.abs(step).max()) < 1e-8:
            break
    slopes = beta[1:] / spread
    return np.concatenate([[beta[0] - slopes @ mean], slopes])


def reliability(
    chances: Numbers, right: Numbers, weights: Numbers | None = None
) -> tuple[float, tuple[tuple[float, float, int], ...]]:
    """The expected calibration error, 0..1, and the bins of a reliability diagram: mean chance, share of right ones, how many.
    All (n,); hits of weight 0 do not count."""
    weights = np.ones(len(chances)) if weights is None else weights
    places = np.minimum((chances * BINS).astype(int), BINS - 1)
    bins, error = list[tuple[float, float, int]](), 0.0
    for at in range(BINS):
        here = (places == at) & (weights > 0)
        if here.any():
            chance, share = (float(np.average(some[here], weights=weights[here])) for some in (chances, right))
            bins.append((chance, share, int(here.sum())))
            error += float(weights[here].sum()) * abs(chance - share)
    return error / max(float(weights.sum()), 1e-9), tuple(bins)


def _table(calibration: Calibration, cases: Sequence[Case]) -> _Table:
    rows, hits = [], list[tuple[int, float, float, float, float]]()
    cohort = calibration.impostors(cases[0].archive.kind)
    for number, case in enumerate(cases):
        vectors, profile = case.archive.vectors, case.archive.profiles[case.asked]
        cosines = vectors @ case.vector
        best = np.argsort(-cosines, kind="stable")[:HITS]
        allowed = np.ones(len(profile.ids), np.bool_)
        rows.append(features(
            calibration, case.asked, case.archive.kind, case.vector, cosines[best], vectors[best[:BEST]], profile, allowed, len(vectors), case.words,
            alike(calibration, case.asked, case.vector),
        ))  # fmt: skip
        magnitude = math.log10(len(vectors))
        deviations = znorm(cosines[best], cohort, case.vector)
        hits += [
            (number, float(one), magnitude, log_words(case.words), float(int(row) in case.right))
            for one, row in zip(deviations, best, strict=True)
        ]
    names = sorted(rows[0])
    of_case = np.array([hit[0] for hit in hits], np.intp)
    z, size, words, right = (np.array([hit[at] for hit in hits], np.float64) for at in (1, 2, 3, 4))
    present = np.array([float(bool(case.right)) for case in cases])
    foreign = np.array([case.foreign for case in cases])
    weights = np.array([case.weight for case in cases])
    classes = np.array([line_class(len(case.archive.vectors), case.words) for case in cases])
    return _Table(
        names,
        np.array([[row[name] for name in names] for row in rows]),
        present,
        foreign,
        weights,
        classes,
        of_case,
        z,
        size,
        words,
        right,
        np.zeros(len(cases)),
    )


def _with_hits(
    calibration: Calibration, directions: Mapping[tuple[Modality, Modality], Direction], tables: Mapping[tuple[Modality, Modality], _Table]
) -> Calibration:  # fmt: skip
    """Fit what a hit's z-norm means by direction, together with the terms that all directions share. Measure the error of the
    probabilities."""
    if not tables:
        return replace(calibration, directions={}, shared={})
    columns, rights, weights, cases, before = [], [], [], [], 0
    for at, table in enumerate(tables.values()):
        own = np.zeros((len(table.z), 3 * len(tables)))
        own[:, 3 * at : 3 * at + 3] = np.column_stack([np.ones(len(table.z)), table.z, table.logits[table.case]])
        columns.append(np.column_stack([own, table.size, table.words]))
        rights.append(table.right)
        weights.append(_of_hits(table) * 1000.0)
        cases.append(table.case + before)
        before += len(table.present)
    x, y, w, case = np.concatenate(columns), np.concatenate(rights), np.concatenate(weights), np.concatenate(cases)
    beta = logistic(x, y, w)
    crossed = 1 / (1 + np.exp(-_crossed(x, y, case, w)))
    made, at = {}, 0
    for number, (key, table) in enumerate(tables.items()):
        error, bins = reliability(crossed[at : at + len(table.z)], table.right, _of_hits(table))
        at += len(table.z)
        offset, slope, here = (float(weight) for weight in beta[1 + 3 * number : 4 + 3 * number])
        made[key] = replace(directions[key], slope=max(slope, 0.05), offset=offset, here=max(here, 0.0), error=error, bins=bins)
    shared = {"offset": float(beta[0]), "log_segments": float(beta[-2]), "log_words": float(beta[-1])}
    return replace(calibration, directions=made, shared=shared)


def _crossed(x: Numbers, y: Numbers, case: NDArray[np.intp], weights: Numbers) -> Numbers:
    """Logits (n,) of rows, from models that have not seen their case."""
    logits = np.zeros(len(y))
    for held in _folds(case):
        beta = logistic(x[~held], y[~held], weights[~held])
        logits[held] = beta[0] + x[held] @ beta[1:]
    return logits


def _folds(case: NDArray[np.intp]) -> Iterator[NDArray[np.bool_]]:
    of_case = np.random.default_rng(0).permutation(int(case.max()) + 1) % FOLDS
    return (of_case[case] == fold for fold in range(FOLDS))


def _balanced(table: _Table, share: float = 0.5) -> Numbers:
    """The weights (n,) of the cases, scaled so that those whose answer is there have this share of the total, which is n."""
    there = table.present == 1
    sums = [max(float(table.weights[some].sum()), 1e-9) for some in (there, ~there)]
    return np.asarray(table.weights * np.where(there, share / sums[0], (1 - share) / sums[1]) * len(there), np.float64)


def _of_hits(table: _Table) -> Numbers:
    """The weights (hits,) of the hits, 1 in all."""
    weights = _balanced(table, ANSWERED)[table.case]
    return np.asarray(weights / weights.sum(), np.float64)
