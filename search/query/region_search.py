"""Search by region: which window of which picture answers. Windows are searched by their codes, not by the index of segments."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.encoders import RegionalEncoder
from search.index.window_codes import WindowCodes
from search.query.calibration import SAMPLED_SEGMENTS, Scale
from search.query.gate import Gate
from search.query.view import View, among, mixed
from search.store.region_rows import CodedPictures, RegionRows
from search.types import KINDS, Box, Channel, Filter, Ids, Kind, Modality

SHARPNESS = 2.0
"""How sharply a box follows the best window: the log of a window's weight, in standard deviations of the picture's windows."""

FILTERS = 4
"""Filters whose codes are kept apart, so that the next search with the same filter scans only these."""

_NONE = np.empty(0, np.int64)

PICTURED = (Kind(Modality.IMAGE, Channel.VISUAL), Kind(Modality.VIDEO, Channel.VISUAL))
"""Kinds of segments that windows can be of."""


@dataclass(frozen=True, slots=True)
class FoundPicture:
    """A picture in which a window answers: its segment, the score in log-odds and as a dot product, when the frame is on screen
    (None: it is a still), and its position among the codes that were searched."""

    segment: int
    score: float
    product: float
    at_ms: int | None
    position: int


@dataclass(frozen=True, slots=True)
class FoundRegions:
    """The pictures that were found, best first; how many were searched; and the codes that were."""

    pictures: list[FoundPicture]
    searched: int
    codes: WindowCodes


class Regions:
    """The coded pictures of one reader. Threads may search at the same time."""

    def __init__(self, rows: RegionRows, reader: int, encoder: RegionalEncoder) -> None:
        """``encoder`` is the one that the codes are of."""
        self._rows, self._reader, self._encoder = rows, reader, encoder
        self._gate, self._following = Gate(), threading.Lock()
        self._begin()

    def _begin(self) -> None:
        width = self._encoder.pointer(np.zeros(self._encoder.space.dim, np.float32), Modality.TEXT).size
        self._codes = WindowCodes(len(self._encoder.windows), width)
        self._known = CodedPictures(_NONE, _NONE, _NONE, _NONE, [])
        self._version = -1
        self._narrow: dict[object, tuple[NDArray[np.intp], WindowCodes]] = {}

    def follow(self, version: int) -> None:
        """Take in what was committed up to a version of the database."""
        with self._following:
            if version == self._version:
                return
            known = self._known
            total, new = self._rows.after(self._reader, int(known.ids[-1]) if len(known.ids) else 0)
            with self._gate.alone():
                if total != len(known.ids) + len(new.ids):  # some are gone
                    stays = np.flatnonzero(among(known.ids, self._rows.ids(self._reader)))
                    self._codes, known = self._codes.only(stays), _only(known, stays)
                self._codes.add(new.codes)
                self._known, self._version = _joined(known, new), version
                self._narrow.clear()

    def search(
        self, question: NDArray[np.float32], view: View, targets: dict[Kind, Ids], wanted: Filter, without: tuple[int, ...]
    ) -> FoundRegions:
        """The pictures whose windows answer. ``question`` (dim,) is what windows are compared
        with; ``targets`` are the segments that pass ``wanted`` and are not of assets in ``without``."""
        with self._gate.shared():
            at, codes = self._within(view, targets, wanted, without)
            best, products = codes.best(question)
            if not len(best):
                return FoundRegions([], len(at), codes)
            some = np.argsort(mixed(np.arange(len(at), dtype=np.int64)))[:SAMPLED_SEGMENTS]
            scale = Scale.of(codes.scores(question, some).max(axis=1))
            rows = _only(self._known, at[best])
        found = zip(self._segments(view, targets, rows), scale.score(products), products, rows.at, best, strict=True)
        pictures = [
            FoundPicture(segment, float(score), float(product), None if time < 0 else int(time), int(position))
            for segment, score, product, time, position in found
            if segment
        ]
        return FoundRegions(pictures, len(at), codes)

    def boxes(self, question: NDArray[np.float32], found: FoundRegions, some: Sequence[FoundPicture]) -> list[Box]:
        """The parts of ``some`` of the found pictures that answer."""
        with self._gate.shared():
            windows = found.codes.scores(question, np.array([one.position for one in some], np.intp))
        return [self.box(own) for own in windows]

    def _within(
        self, view: View, targets: dict[Kind, Ids], wanted: Filter, without: tuple[int, ...]
    ) -> tuple[NDArray[np.intp], WindowCodes]:
        """The positions of the pictures that may be found, and their codes."""
        key = (view.state, wanted, without)
        if (known := self._narrow.get(key)) is None:
            columns = view.columns
            ids = [targets[kind] for kind in PICTURED if kind in targets]
            allowed = np.unique(
                np.concatenate([np.empty(0, np.int64), *(columns.assets[np.searchsorted(columns.ids, some)] for some in ids)])
            )
            at = np.flatnonzero(among(self._known.assets, allowed))
            if len(self._narrow) >= FILTERS:
                self._narrow.clear()
            known = self._narrow[key] = at, self._codes if len(at) == len(self._codes) else self._codes.only(at)
        return known

    def _segments(self, view: View, targets: dict[Kind, Ids], rows: CodedPictures) -> list[int]:
        """The segments that show these pictures: of the same asset, beginning with the same shot. 0: none may be found."""
        columns, kinds = view.columns, [KINDS.index(kind) for kind in PICTURED]
        mine = view.rows(np.unique(rows.assets))
        mine = mine[np.isin(columns.kinds[mine], kinds)]
        ids, allowed = columns.ids[mine], np.zeros(len(mine), np.bool_)
        for kind in PICTURED:
            allowed |= among(ids, targets.get(kind, _NONE))
        mine = mine[allowed]
        found: dict[tuple[int, int], int] = {}
        for asset, start, unit, id_ in zip(
            columns.assets[mine], columns.starts[mine], columns.units[mine], columns.ids[mine], strict=True
        ):
            found.setdefault((int(asset), int(start) if unit else -1), int(id_))
        return [found.get((int(asset), int(start)), 0) for asset, start in zip(rows.assets, rows.starts, strict=True)]

    def box(self, scores: NDArray[np.float32]) -> Box:
        """The part of a picture that answers, from the scores of its windows (n,): as large as a window, in the middle of the windows
        weighted by their scores. Coarse: a window is more than a third of a picture wide."""
        windows = np.array(self._encoder.windows)
        weights = shares_of(scores)
        middle = weights @ (windows[:, :2] + windows[:, 2:] / 2) / weights.sum()
        size = windows[int(scores.argmax()), 2:]
        left, top = np.clip(middle - size / 2, 0, 100 - size)
        return float(left), float(top), float(size[0]), float(size[1])


def shares_of(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much each window of a picture says, as a share (n,) of what the best one says, from their scores (n,)."""
    return np.asarray(np.exp(SHARPNESS * (scores - scores.max()) / max(float(scores.std()), 1e-6)), np.float32)


def _only(rows: CodedPictures, at: NDArray[np.intp]) -> CodedPictures:
    return CodedPictures(rows.ids[at], rows.assets[at], rows.starts[at], rows.at[at], [])


def _joined(one: CodedPictures, other: CodedPictures) -> CodedPictures:
    return CodedPictures(
        np.concatenate([one.ids, other.ids]), np.concatenate([one.assets, other.assets]),
        np.concatenate([one.starts, other.starts]), np.concatenate([one.at, other.at]), [],
    )  # fmt: skip
