"""The verdict: whether the archive contains what a question asks for.

The best of many unrelated segments always look good compared with the rest, so the archive's own scores say little. Three things
say more: how the best segments compare with the space's impostor cohort, how many segments are near the question, and whether
similar questions would be answered (pseudo-captions, contrasted with questions that nothing here answers, after MA-PaPSP, arXiv
2601.22570). A logistic model of each direction (``calibration.Direction``) weighs these features. Its line is split-conformal on
questions whose answer was not there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from search.query.calibration import Calibration, Direction, line_class, log_words, spread_of
from search.types import Ids, Kind, Modality, Vectors

BEST = 5
"""The best segments of a kind that a verdict looks at."""

PROFILED = 500
"""Segments of a kind's sample that are compared with the cohort's questions."""

SHARES = (0.02, 0.05)
"""Shares of a sample whose best segments are averaged: their nearness to the question shows how much is there."""

ACTIVE = 0.2
"""The share of the cohort's questions that count as answered: those nearest to the archive."""

SMOOTHING = 0.1
"""The cosine distance over which the weight of a similar question falls by a factor of e."""


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """How a sample of a kind's segments answers the cohort's questions.

    ``ids`` (m,), ``vectors`` (m, dim); ``mean`` and ``spread`` (m,) of each segment's cosines to the questions; ``activity``
    (questions,): how near the archive comes to each question, in standard deviations.
    """

    ids: Ids
    vectors: Vectors
    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    activity: NDArray[np.float32]

    @classmethod
    def of(cls, ids: Ids, vectors: Vectors, cohort: Vectors, questions: Vectors) -> Profile:
        """The profile of a sample (m,), m >= 1, from a cohort of contents (n, dim) and questions (k, dim)."""
        if len(ids) > PROFILED:
            some = np.linspace(0, len(ids) - 1, PROFILED).astype(np.intp)
            ids, vectors = ids[some], vectors[some]
        cosines = vectors @ questions.T
        mean, spread = cosines.mean(axis=1), cosines.std(axis=1).clip(1e-3)
        theirs = cohort @ questions.T
        by_question = (cosines - theirs.mean(axis=0)) / theirs.std(axis=0).clip(1e-3)
        both = by_question + (cosines - mean[:, None]) / spread[:, None]
        return cls(ids, vectors, mean, spread, _top(both.T, SHARES[0]))


@dataclass(frozen=True, slots=True)
class Judgement:
    """A direction's judgement of a question: the log-odds that the answer is among the segments of a kind, and the line and doubt
    for this number of segments."""

    kind: Kind
    logit: float
    line: float
    doubt: float
    absent: int


def judge(direction: Direction, kind: Kind, found: Mapping[str, float], segments: int, words: int) -> Judgement | None:
    """Judge a question from its features; None if the direction's verdict was never fitted."""
    if not direction.verdict:
        return None
    logit = direction.verdict.get("", 0.0) + sum(
        weight * found.get(name, 0.0) for name, weight in direction.verdict.items() if name
    )
    at = line_class(segments, words)
    return Judgement(kind, logit, direction.lines[at], direction.doubts[at], direction.absent)


Alike: TypeAlias = Mapping[str, NDArray[np.float32]]
"""How near a question lies to each of the cohort's questions (k,): as a whole, ``near``, and in its wording, ``near_wording``."""


def alike(calibration: Calibration, asked: Modality, vector: NDArray[np.float32]) -> Alike:
    """How near a question's ``vector`` (dim,) is to the cohort's questions."""
    found = {"near": np.einsum("nd,d->n", calibration.questions[asked], vector)}
    if calibration.wording:
        start, end = calibration.wording
        part = vector[start:end]
        found["near_wording"] = np.einsum("nd,d->n", calibration.worded(asked), part / max(float(np.linalg.norm(part)), 1e-9))
    return found


def features(
    calibration: Calibration, asked: Modality, kind: Kind, vector: NDArray[np.float32], cosines: NDArray[np.float32], best: Vectors,
    profile: Profile, allowed: NDArray[np.bool_], segments: int, words: int, alike: Alike,
) -> dict[str, float]:  # fmt: skip
    """The features of a question, by name.

    ``cosines`` (k,) and ``best`` (k, dim) are those of the best segments, best first, k >= 1. ``allowed`` (m,) says which of the
    profile's segments may be found, of ``segments`` in all. ``words`` is the number of words in the question, 0 if it is not
    text. ``alike`` is how near it is to the cohort's questions.
    """
    cohort = calibration.impostors(kind)
    questions = calibration.questions[asked]
    mean, spread = spread_of(cohort, vector)
    z = (cosines[:BEST] - mean) / spread
    theirs = np.einsum(
        "nd,kd->nk", best[:BEST], questions
    )  # in this thread: BLAS would wake others, which costs more than it saves
    t = (cosines[:BEST] - theirs.mean(axis=1)) / theirs.std(axis=1).clip(1e-3)
    own = np.einsum("nd,d->n", profile.vectors, vector)
    both = ((own - mean) / spread + (own - profile.mean) / profile.spread)[allowed]
    if not len(both):
        both = z + t
    found = {
        "z1": float(z[0]), "z5": float(z.mean()), "t1": float(t[0]), "t5": float(t.mean()),
        "share2": float(_top(both[None], SHARES[0])[0]), "share5": float(_top(both[None], SHARES[1])[0]),
        "log_segments": math.log10(max(segments, 1)), "log_words": log_words(words),
    }  # fmt: skip
    for number, (start, end) in enumerate(calibration.parts):
        found[f"part{number}"] = float(_cosine(best[:BEST, start:end], vector[start:end]).mean())
    for name, nearness in alike.items():
        found |= _nearness(name, nearness, profile.activity)
    return found


def _nearness(name: str, alike: NDArray[np.float32], activity: NDArray[np.float32]) -> dict[str, float]:
    """How much nearer the question is to questions that the archive answers than to others, and how well it answers similar
    questions."""
    active = activity >= np.quantile(activity, 1 - ACTIVE)
    weights = np.exp((alike - alike.max()) / SMOOTHING)
    return {
        name: float(np.sort(alike[active])[-BEST:].mean() - np.sort(alike[~active])[-BEST:].mean()) if (~active).any() else 0.0,
        f"{name}_smooth": float(weights @ activity / weights.sum()),
    }


def _top(scores: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """The mean (n,) of the best share of each row (n, m), of at least one value."""
    count = max(1, round(share * scores.shape[1]))
    return np.asarray(np.partition(scores, -count, axis=1)[:, -count:].mean(axis=1), np.float32)


def _cosine(vectors: NDArray[np.float32], vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosines (n,) of parts of vectors (n, some) with a part of another (some,)."""
    lengths = np.linalg.norm(vectors, axis=-1) * np.linalg.norm(vector)
    return np.asarray(np.einsum("...d,d->...", vectors, vector) / np.maximum(lengths, 1e-9), np.float32)
