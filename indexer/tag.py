"""Tagging: give assets labels of a vocabulary, using the vectors that a space holds. Nothing is decoded or embedded again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from search import encoders
from search.errors import InputError
from search.models import Models
from search.ondemand.zeroshot import LabelSet
from search.settings import Settings
from search.store import Database, Labels, Spaces, SqlStore
from search.types import KINDS, Channel, Ids, Vectors

_ASSETS_PER_COMMIT = 2_000
"""Assets whose labels are written in one transaction."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """The result of tagging: assets that were examined, assets that got a label, and the number of assets for each label."""

    assets: int
    tagged: int
    labels: dict[str, int] = field(default_factory=dict)


def tag(
    settings: Settings, labels: Sequence[str], *, space: str = "", channel: Channel = Channel.VISUAL, least: float = 0.5, most: int = 3,
    report: Callable[[int], None] = lambda _: None,
) -> Tagged:  # fmt: skip
    """Give each asset up to ``most`` labels that have a probability of at least ``least`` for one of its segments of ``channel``.

    The labels replace the earlier ones of this space. ``report`` gets the number of vectors that were examined.

    Raises:
        UnknownName: a space that does not exist.
        InputError: invalid labels, or a space that takes in nothing of the channel.
        ModelMissing: the space's encoder is not installed.
    """
    database = Database(settings.database)
    try:
        database.check()
        store, entry = SqlStore(database), Spaces(database).find(space or settings.space)
        kinds = [code for code, kind in enumerate(KINDS) if kind.channel is channel and kind in entry.kinds]
        if not kinds:
            raise InputError(
                f"The space {entry.name} takes in nothing of the channel {channel}.", remedy="Choose another one with --space."
            )
        encoder = encoders.load(entry.encoder, Models.of(settings), settings.device)
        vocabulary = LabelSet(encoder, labels, channel)
        columns = store.columns(entry.key)
        columns = columns.only(np.isin(columns.kinds, kinds))
        found: dict[int, dict[str, float]] = {asset: {} for asset in np.unique(columns.assets).tolist()}
        seen = 0
        for ids, vectors in _among(store, entry.key, entry.space.dim, columns.ids):
            assets = columns.assets[np.searchsorted(columns.ids, ids)]
            _note(found, assets, vocabulary.labels, vocabulary.classify(vectors), least)
            report(seen := seen + len(ids))
        best = {asset: sorted(some.items(), key=lambda one: -one[1])[:most] for asset, some in found.items()}
        for some in _batches(list(best), _ASSETS_PER_COMMIT):
            Labels(database).put(entry.key, {asset: best[asset] for asset in some})
    finally:
        database.close()
    given = Counter(name for some in best.values() for name, _ in some)
    return Tagged(len(best), sum(map(bool, best.values())), dict(given.most_common()))


def _among(store: SqlStore, key: int, dim: int, wanted: Ids) -> Iterator[tuple[Ids, Vectors]]:
    """The vectors of a space, in batches, that belong to ``wanted`` segments."""
    for _, ids, vectors in store.embeddings(key, dim):
        here = np.isin(ids, wanted)
        yield ids[here], vectors[here]


def _note(
    found: dict[int, dict[str, float]], assets: Ids, labels: Sequence[str], shares: NDArray[np.float32], least: float
) -> None:
    """Keep the highest probability of each label for each asset."""
    rows, columns = np.nonzero(shares >= least)
    for asset, label, share in zip(assets[rows].tolist(), columns.tolist(), shares[rows, columns].tolist(), strict=True):
        name = labels[label]
        found[asset][name] = max(share, found[asset].get(name, 0.0))


def _batches(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
