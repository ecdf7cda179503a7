"""Survey: a map of the archive. Files that are like each other lie near each other, in areas named by their tags and words.

Positions are t-SNE (van der Maaten and Hinton 2008, by openTSNE) over the fifty principal components of the files' mean vectors. What a
kind of segment has in common is subtracted first, since the texts, pictures and sounds of a joint space lie in regions of their own.
A map goes on from the one before: what was on it begins where it was, and what is new beside what it is most like.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import faiss
import numpy as np
from numpy.typing import NDArray

from search import disk
from search.errors import InputError
from search.query.contrast import MAX_PASSAGES, differences
from search.query.facets import FacetCounter, PassingRows
from search.query.searcher import Searcher
from search.query.view import View
from search.store import SqlStore
from search.store.database import now_ms
from search.store.folding import terms
from search.types import KINDS, Channel, Filter, Ids, Modality, Vectors

COMPONENTS, NEIGHBOURS, PERPLEXITY = 50, 45, 15.0
"""Principal components, and neighbours of a file among them; the perplexity is a third of these."""

FEWEST = 30
"""Fewer files are placed by their two principal components alone."""

AT_ONCE = 20_000
"""Vectors that are read at a time."""

FIRST_STEPS, STEPS, STEPS_ON = 250, 400, 60
"""Steps of the layout: exaggerated and plain ones of a first map, and those of one that goes on from the map before."""

MOST_AREAS, WORDS_OF_AREA, NAMED_FILES = 40, 3, 5_000
"""Areas of a map; tags or words that name one; files whose own names count among the words."""

CERTAIN = 3.0
"""Standard deviations from which on a word names an area: of hundreds of words, some differ by less without meaning anything."""

_COUNTER = re.compile(r"[A-Za-z]{1,5}[\d_\W]+")
"""A name that a device has given, such as ``IMG_20240608``: it says nothing."""

_FIRST = (Channel.VISUAL, Channel.TEXT, Channel.SOUND)
"""Channels whose vectors place a file, the first that it has; others come last."""

Places = NDArray[np.float32]
"""Positions (n, 2)."""


@dataclass(frozen=True, slots=True)
class Atlas:
    """A map as it is kept: ``places`` (n, 2) of ``assets`` (n,), ascending, in units of the layout; ``areas`` (n,) to which they belong,
    positions in ``centres`` (k, 2). ``made_at`` is in milliseconds since 1970."""

    space: str
    made_at: int
    assets: Ids
    places: Places
    areas: NDArray[np.int16]
    centres: Places

    def write(self, file: Path) -> None:
        """Store it in the place of the one before."""
        buffer = io.BytesIO()
        kept = {name: getattr(self, name) for name in ("assets", "places", "areas", "centres")}
        np.savez_compressed(buffer, space=np.str_(self.space), made_at=np.int64(self.made_at), **kept)
        file.parent.mkdir(parents=True, exist_ok=True)
        disk.replace(file, buffer.getvalue())

    @classmethod
    def read(cls, file: Path) -> Atlas | None:
        """The map that is stored; None: there is none that can be read."""
        try:
            with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as told:
                return cls(
                    str(told["space"]),
                    int(told["made_at"]),
                    told["assets"],
                    told["places"],
                    told["areas"],
                    told["centres"],
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None


@dataclass(frozen=True, slots=True)
class Area:
    """A part of a map: what its files have more often than others, tags before words; its middle, from 0 to 1 across and down; and its
    number of files."""

    names: tuple[str, ...]
    x: float
    y: float
    files: int


@dataclass(frozen=True, slots=True)
class Survey:
    """A map as it is shown: assets (n,) that pass a filter, a segment of each (n,), what they are, their places (n, 2) from 0 to 1, and their
    areas (n,), positions in ``named``. ``files`` pass the filter; those among them that are not in ``assets`` came after the map was made."""

    space: str
    made_at: int
    files: int
    assets: Ids
    segments: Ids
    media: tuple[Modality, ...]
    places: Places
    areas: NDArray[np.int16]
    named: tuple[Area, ...]


def charted(searcher: Searcher, view: View, before: Atlas | None, *, threads: int = 1) -> Atlas:
    """A map of all files of which a space holds something, which goes on from the one before. Without change it is that one.

    Raises:
        InputError: openTSNE is not installed.
    """
    assets, vectors = _means(searcher, view)
    if before is not None and before.space != searcher.space.name:
        before = None
    if before is not None and np.array_equal(before.assets, assets):
        return before
    places = _laid_out(assets, vectors, before, threads)
    areas, centres = _parted(places, before)
    return Atlas(searcher.space.name, now_ms(), assets, places, areas, centres)


def surveyed(atlas: Atlas, searcher: Searcher, view: View, wanted: Filter, store: SqlStore, facets: FacetCounter) -> Survey:
    """What a map shows of the files that pass a filter; areas are named by what is known of these alone."""
    passing = PassingRows.of(searcher, view, wanted)
    columns, firsts = passing.columns, passing.firsts
    kept = np.flatnonzero(passing.has(atlas.assets))
    assets = atlas.assets[kept]
    rows = firsts[np.searchsorted(columns.assets[firsts], assets)]
    low, high = (atlas.places.min(0), atlas.places.max(0)) if len(atlas.places) else (np.zeros(2), np.ones(2))
    span = max(float((high - low).max(initial=0)), 1e-9)
    shown = ((atlas.places[kept] - (low + high) / 2) / span + 0.5).astype(np.float32)
    media = tuple(KINDS[code].modality for code in columns.kinds[rows].tolist())
    areas = np.unique(atlas.areas[kept], return_inverse=True)[1].astype(np.int16)  # those without files are left out
    named = _named(assets, columns.ids[rows], areas, shown, store, facets, wanted)
    return Survey(atlas.space, atlas.made_at, len(firsts), assets, columns.ids[rows], media, shown, areas, named)


def _means(searcher: Searcher, view: View) -> tuple[Ids, Vectors]:
    """The assets (n,), ascending, and their mean vectors (n, d) of the first channel that they have, less what its kind has in common."""
    columns, done, found = view.columns, set[int](), list[tuple[Ids, Vectors]]()
    targets = searcher.targets(view, Filter(), ())
    order = sorted(targets, key=lambda kind: _FIRST.index(kind.channel) if kind.channel in _FIRST else len(_FIRST))
    for kind in order:
        ids = np.sort(targets[kind])
        of = columns.assets[np.searchsorted(columns.ids, ids)]
        new = ~np.isin(of, np.fromiter(done, np.int64, len(done)))
        ids, of = ids[new], of[new]
        if not len(ids):
            continue
        assets, at = np.unique(of, return_inverse=True)
        means = np.zeros((len(assets), searcher.space.dim), np.float32)
        for start in range(0, len(ids), AT_ONCE):
            np.add.at(means, at[start : start + AT_ONCE], searcher.vectors(view, ids[start : start + AT_ONCE]))
        means /= np.bincount(at)[:, None]
        means -= means.mean(0)
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        found.append((assets, means))
        done.update(assets.tolist())
    if not found:
        return np.empty(0, np.int64), np.empty((0, searcher.space.dim), np.float32)
    assets, vectors = np.concatenate([one for one, _ in found]), np.concatenate([one for _, one in found])
    order_of = np.argsort(assets)
    return assets[order_of], vectors[order_of]


def _laid_out(assets: Ids, vectors: Vectors, before: Atlas | None, threads: int) -> Places:
    axes = np.linalg.eigh(vectors.T @ vectors)[1][:, ::-1][:, :COMPONENTS]
    axes = axes * np.where(
        axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])] < 0, -1, 1
    )  # a sign of its own, whatever the library
    parts = np.ascontiguousarray(vectors @ axes, np.float32)
    first = (
        np.ascontiguousarray(parts[:, :2] / max(float(parts[:, :2].std()), 1e-9), np.float32)
        if len(parts)
        else np.empty((0, 2), np.float32)
    )
    if len(assets) < FEWEST:
        return first
    try:
        from openTSNE import TSNEEmbedding
        from openTSNE.affinity import PerplexityBasedNN
        from openTSNE.nearest_neighbors import PrecomputedNeighbors
    except ImportError as error:
        raise InputError("A map needs the package openTSNE.", remedy="Install it: pip install 'sensorium[map]'") from error
    nearest = min(NEIGHBOURS, len(assets) - 1)
    index = faiss.IndexFlatL2(parts.shape[1])
    index.add(parts)
    distances, neighbours = index.search(parts, nearest + 1)
    distances, neighbours = _without_self(distances, neighbours)
    likeness = PerplexityBasedNN(
        perplexity=nearest / 3, knn_index=PrecomputedNeighbors(neighbours, np.sqrt(np.maximum(distances, 0))), n_jobs=threads
    )
    begun = _begun(assets, neighbours, before)
    layout = TSNEEmbedding(first * 1e-4 if begun is None else begun, likeness, n_jobs=threads, random_state=1)
    if begun is None:
        layout.optimize(FIRST_STEPS, exaggeration=12, momentum=0.5, inplace=True)
        layout.optimize(STEPS, exaggeration=1, momentum=0.8, inplace=True)
    else:
        layout.optimize(STEPS_ON, exaggeration=1, momentum=0.5, inplace=True)
    return np.asarray(layout, np.float32)


def _without_self(distances: NDArray[np.float32], neighbours: Ids) -> tuple[NDArray[np.float32], Ids]:
    """Neighbours (n, k) of each row but itself, of k + 1; of copies, which stand in any order, the last is left out where it is not there."""
    own = neighbours == np.arange(len(neighbours))[:, None]
    own[~own.any(1), -1] = True
    shape = (len(neighbours), neighbours.shape[1] - 1)
    return distances[~own].reshape(shape), neighbours[~own].reshape(shape)


def _begun(assets: Ids, neighbours: Ids, before: Atlas | None) -> NDArray[np.float64] | None:
    """Where a map begins that goes on from the one before: None where too few files are on it."""
    if before is None or not len(before.assets):
        return None
    at = np.minimum(np.searchsorted(before.assets, assets), len(before.assets) - 1)
    known = before.assets[at] == assets
    if known.mean() < 0.5 or len(before.assets) < FEWEST:
        return None
    begun = before.places[at].astype(np.float64)
    middle = begun[known].mean(0)
    for row in np.flatnonzero(~known).tolist():
        near = neighbours[row][known[neighbours[row]]][:5]
        begun[row] = begun[near].mean(0) if len(near) else middle
    return begun


def _parted(places: Places, before: Atlas | None) -> tuple[NDArray[np.int16], Places]:
    """The area of each place (n,), and the middles of areas (k, 2): k-means from the middles before, if there are as many."""
    count = int(np.clip(round(len(places) ** 0.5 / 2), 1, MOST_AREAS))
    if len(places) < FEWEST:
        return np.zeros(len(places), np.int16), places.mean(0, keepdims=True) if len(places) else np.empty((0, 2), np.float32)
    if before is not None and 0.5 < count / max(len(before.centres), 1) < 1.5:
        count = len(before.centres)
    clustering = faiss.Kmeans(2, count, niter=25, seed=1, min_points_per_centroid=1, max_points_per_centroid=10_000)
    same = before is not None and len(before.centres) == count
    clustering.train(np.ascontiguousarray(places), init_centroids=before.centres if same and before is not None else None)
    assert clustering.centroids is not None  # noqa: S101 - for the types: it was trained
    _, found = clustering.index.search(np.ascontiguousarray(places), 1)
    return found[:, 0].astype(np.int16), np.asarray(clustering.centroids, np.float32)


def _named(
    assets: Ids, segments: Ids, areas: NDArray[np.int16], places: Places, store: SqlStore, facets: FacetCounter, wanted: Filter
) -> tuple[Area, ...]:  # fmt: skip
    area_of = dict(zip(assets.tolist(), areas.tolist(), strict=True))
    tags, words = (_counted(area_of, told) for told in (facets.tagged(wanted.within), _words(assets, segments, store, wanted)))
    sizes, found = Counter(area_of.values()), list[Area]()
    for area in range(int(areas.max(initial=-1)) + 1):
        inside = sizes[area]
        names = [*_telling(tags, area, inside, len(assets)), *_telling(words, area, inside, len(assets))]
        middle = places[areas == area].mean(0)
        found.append(Area(tuple(dict.fromkeys(names))[:WORDS_OF_AREA], float(middle[0]), float(middle[1]), inside))
    return tuple(found)


def _words(assets: Ids, segments: Ids, store: SqlStore, wanted: Filter) -> dict[int, set[str]]:
    """The words of what was read or written in files, and of the newest files' own names."""
    said: dict[int, set[str]] = {}
    named = store.segments(segments[-NAMED_FILES:].tolist(), wanted).values()
    texts = [
        *store.texts(assets, MAX_PASSAGES, wanted.within),
        *((one.asset, stem) for one in named if not _COUNTER.fullmatch(stem := PurePath(one.path).stem)),
    ]
    for asset, text in texts:
        said.setdefault(asset, set()).update(term for term in terms(text) if len(term) > 2 and not term.isdecimal())
    return said


def _counted(area_of: Mapping[int, int], told: Mapping[int, Sequence[str] | set[str]]) -> dict[int, Counter[str]]:
    """The files of each area that have each value; under -1 all files."""
    found: dict[int, Counter[str]] = {-1: Counter()}
    for asset, values in told.items():
        if (area := area_of.get(asset)) is not None:
            for value in set(values):
                found.setdefault(area, Counter())[value] += 1
                found[-1][value] += 1
    return found


def _telling(counts: Mapping[int, Counter[str]], area: int, inside: int, every: int) -> list[str]:
    here = counts.get(area, Counter())
    rest = Counter({value: counts[-1][value] - number for value, number in here.items()})
    return [one.value for one in differences(here, rest, inside, every - inside, WORDS_OF_AREA) if one.deviations >= CERTAIN]
