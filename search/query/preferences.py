"""Preferences: of what an answer shows, somebody says that one is nearer to what is sought, or farther from it; what was found is ranked anew.

If what is sought looked like some segment, which of the shown ones would have been chosen? The likelier the actual choice, the likelier it
is that segment: log-odds that are added to its score (Cox et al. 2000, "The Bayesian image retrieval system, PicHunter"). On held-out captions
this found far more than to move the question's vector (Rocchio), which does not look at what was not chosen: see ``bench feedback``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.errors import QueryError
from search.index import nearest
from search.query.searcher import SpaceScan
from search.query.view import among
from search.types import KINDS, Ids, Kind, Modality, Vectors

SHOWN = 10
"""The best segments, among which somebody chooses. What is further down is compared less carefully, so that more of them tell less."""

SHARPNESS, WEIGHT = 1.5, 0.6
"""How surely the nearest is chosen: per standard deviation of cosines; and what a choice weighs beside the question."""

MAX_PREFERENCES = 32
"""Preferences of one question, at most."""

_LEAST_SPREAD = 0.02
"""Of cosines, where an archive holds next to nothing else."""


@dataclass(frozen=True, slots=True)
class Preference:
    """A ``segment`` is ``nearer`` to what is sought than what else was shown, or it is not."""

    segment: int
    nearer: bool = True


@dataclass(frozen=True, slots=True)
class _Choice:
    """A preference in one space: the vectors (n, dim) of what was shown, the chosen one first, and the sharpness of cosines to them."""

    content: Modality
    nearer: bool
    shown: Vectors
    sharpness: float

    def evidence(self, vectors: Vectors) -> NDArray[np.float32]:
        """What it says for segments with vectors (m, dim): log-odds (m,), 0 for what the choice tells nothing of."""
        cosines = (vectors @ self.shown.T) * self.sharpness
        shares = np.exp(cosines - cosines.max(axis=1, keepdims=True))
        chosen = np.clip(shares[:, 0] / shares.sum(axis=1), 1e-6, 1 - 1e-6)
        usual = 1 / len(self.shown)
        told = np.log(chosen / usual) if self.nearer else np.log((1 - chosen) / (1 - usual))
        return np.asarray(WEIGHT * told, np.float32)


class Choices:
    """What preferences say in each space of a question. To be used inside ``Question.reading``."""

    def __init__(self, scans: Sequence[SpaceScan]) -> None:
        self._scans = scans
        self._known: list[list[_Choice]] = [[] for _ in scans]
        self._best: dict[tuple[int, int], Ids] = {}
        self._near: dict[tuple[int, int, int], Ids] = {}
        self.farther = np.empty(0, np.int64)
        """Segments that are farther: they are found no more."""

    def add(self, preference: Preference, shown: Ids) -> None:
        """Take in that of some shown segments, without that of the preference, it is the nearest, or is not.

        Raises:
            QueryError: no space of the question holds the segment.
        """
        known = False
        for scan, choices in zip(self._scans, self._known, strict=True):
            if (kind := _kind(scan, preference.segment)) is None:
                continue
            known = True
            others = np.array([one for one in shown.tolist() if _alike(_kind(scan, one), kind)], np.int64)
            if not len(others):
                continue  # a choice of one
            vectors = np.stack([scan.vector(one) for one in (preference.segment, *others.tolist())])
            spread = max(float((scan.view.samples[kind][1] @ vectors[0]).std()), _LEAST_SPREAD)
            choices.append(_Choice(kind.content, preference.nearer, vectors, SHARPNESS / spread))
        if not known:
            raise QueryError(
                f"There is no segment {preference.segment} in what is searched.",
                remedy="Take a segment's number from a hit of this search.",
            )
        if not preference.nearer:
            self.farther = np.append(self.farther, preference.segment)

    def evidence(self, at: int, ids: Ids) -> NDArray[np.float32]:
        """What the preferences say in the space at a position for segments (n,): log-odds (n,), 0 for what they tell nothing of."""
        scan, told = self._scans[at], np.zeros(len(ids), np.float32)
        if not self._known[at] or not len(ids):
            return told
        columns = scan.view.columns
        held = np.flatnonzero(scan.view.live.index.holds(ids) & among(ids, columns.ids))
        kinds = columns.kinds[np.searchsorted(columns.ids, ids[held])]
        wanted, back = np.unique(ids[held], return_inverse=True)
        vectors = scan.view.live.index.reconstruct(wanted)[back]
        for choice in self._known[at]:
            here = np.isin(
                kinds, [code for code, kind in enumerate(KINDS) if _pictured(kind.content) == _pictured(choice.content)]
            )
            told[held[here]] += choice.evidence(vectors[here])
        return told

    def candidates(self, at: int, count: int) -> Ids:
        """The ``count`` best segments of the question in the space at a position, and as many that are nearest to each that was chosen. Each is
        looked for once, however many preferences follow."""
        scan = self._scans[at]
        if (at, count) not in self._best:
            self._best[at, count] = scan.best(count)[0]
        found = [self._best[at, count]]
        for number, choice in enumerate(self._known[at]):
            key = (at, number, count)
            if choice.nearer and key not in self._near:
                near = [
                    nearest(scan.view.live.index, choice.shown[0], count, within)[0]
                    for kind, within in scan.targets.items()
                    if _pictured(kind.content) == _pictured(choice.content)
                ]
                self._near[key] = np.concatenate([np.empty(0, np.int64), *near])
            found.append(self._near.get(key, np.empty(0, np.int64)))
        return np.concatenate(found)


def _kind(scan: SpaceScan, segment: int) -> Kind | None:
    columns = scan.view.columns
    at = int(np.searchsorted(columns.ids, segment))
    held = (
        at < len(columns.ids)
        and columns.ids[at] == segment
        and bool(scan.view.live.index.holds(np.array([segment], np.int64))[0])
    )
    return KINDS[columns.kinds[at]] if held else None


def _alike(kind: Kind | None, other: Kind) -> bool:
    return kind is not None and _pictured(kind.content) == _pictured(other.content)


def _pictured(content: Modality) -> Modality:
    """Pictures and the pictures of films are compared with each other, and nothing else is with anything."""
    return Modality.IMAGE if content is Modality.VIDEO else content
