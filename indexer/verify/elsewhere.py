"""Checks of a server that keeps vectors too."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from indexer.verify.checks import MEND, Check, Harm
from indexer.verify.vectors import SAMPLED_VECTORS, StoredVectors
from search.errors import SensoriumError
from search.mirror import mirrored
from search.settings import Settings
from search.store import Database, SqlStore


def kept_elsewhere(settings: Settings, database: Database, truth: StoredVectors, harm: Harm, *, deep: bool) -> Iterator[Check]:
    """Check that a server that keeps vectors too keeps the same as SQL, up to where it is filled."""
    with mirrored(settings, SqlStore(database), truth.key, truth.space) as mirror:
        if mirror is None:
            return
        name = f"space {truth.space.name}: {mirror.address.name}"
        try:
            mark = mirror.mark()
            kept = np.empty(0, np.int64) if mark is None else mirror.remote.ids()
            some = np.intersect1d(kept, truth.ids)
            if not deep and len(some) > SAMPLED_VECTORS:
                some = np.sort(np.random.default_rng(len(some)).choice(some, SAMPLED_VECTORS, replace=False))
            copies = mirror.remote.copies(some) if len(some) else {}
        except SensoriumError as error:
            yield Check(f"{name} answers", False, str(error), error.remedy)
            return
        told = f", consistency {mirror.address.consistency}" if mirror.address.scheme == "milvus" else ""
        if mark is None:
            yield Check(f"{name} answers", not len(truth.ids), f"it is not filled yet{told}", "Run `sensorium index`.")
            return
        later = truth.numbers > mark.embedding
        yield Check(f"{name} answers", True, f"{len(kept)} vectors, {later.sum()} later ones are searched here{told}")
        gone = truth.removed[truth.removed[:, 0] > mark.removal, 1]
        missing, extra = np.setdiff1d(truth.ids[~later], kept), np.setdiff1d(kept, np.union1d(truth.ids, gone))
        same = sum(
            id_ in copies and np.array_equal(copies[id_], row)
            for ids, rows in truth.vectors()
            if (mine := np.isin(ids, some)).any()
            for id_, row in zip(ids[mine].tolist(), rows[mine].astype(np.float32), strict=True)
        )
        seen = f"{len(missing)} only in the database, {len(extra)} only there"
        yield Check(f"{name} keeps the database's segments", not len(missing) and not len(extra), seen, MEND)
        yield Check(f"{name}: its copies equal the database's", same == len(some), f"{same} of {len(some)}", MEND)
        if len(missing) or len(extra) or same < len(some):
            harm.mirrors.add(truth.space.name)
