"""Verification: whether what the archive says of itself is so. Reads the tables itself, without the code that wrote them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sqlalchemy import text

from search.query.live import LiveIndex
from search.settings import Settings
from search.store import Database, SqlStore
from search.types import Space

SAMPLE = 500
"""Vectors compared with the index's own copies, and, if deep, queries compared with brute force."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was looked at: whether it holds, what was seen, and what to do if it does not."""

    name: str
    ok: bool
    seen: str
    remedy: str = ""


def verify(settings: Settings, *, deep: bool = False) -> list[Check]:
    """Look at the database, and at the index of every space; ``deep`` also compares answers with brute force."""
    database = Database(settings.database)
    try:
        database.check()
        checks = _rows(database)
        store = SqlStore(database)
        for key, space in store.spaces():
            checks += _space(settings, store, key, space, deep=deep)
        return checks
    finally:
        database.close()


_QUESTIONS = {
    "the database file is whole": (
        "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check != 'ok'",
        "damaged pages",
    ),
    "no row points to one that is gone": ("SELECT count(*) FROM pragma_foreign_key_check", "dangling rows"),
    "every finished unit's segments have a vector": (
        "SELECT count(*) FROM unit u JOIN segment s ON s.asset_id = u.asset_id LEFT JOIN embedding e"
        " ON e.segment_id = s.id AND e.space_id = u.space_id WHERE u.state = 'done' AND e.id IS NULL",
        "segments without a vector",
    ),
    "every finished unit has segments": (
        "SELECT count(*) FROM unit u WHERE u.state = 'done' AND NOT EXISTS"
        " (SELECT 1 FROM segment s WHERE s.asset_id = u.asset_id)",
        "finished units without a segment",
    ),
    "no vector belongs to an unfinished unit": (
        "SELECT count(*) FROM embedding e JOIN segment s ON s.id = e.segment_id LEFT JOIN unit u"
        " ON u.asset_id = s.asset_id AND u.space_id = e.space_id WHERE u.state IS NULL OR u.state != 'done'",
        "such vectors",
    ),
    "every file that failed is in the ledger": (
        "SELECT count(*) FROM unit u WHERE u.state IN ('failed', 'quarantined') AND NOT EXISTS"
        " (SELECT 1 FROM ledger l WHERE l.asset_id = u.asset_id)",
        "failed units without a line",
    ),
    "every vector has its space's dimension": (
        "SELECT count(*) FROM embedding e JOIN space s ON s.id = e.space_id WHERE length(e.vector) != 2 * s.dim",
        "vectors of another length",
    ),
}


def _rows(database: Database) -> list[Check]:
    sqlite = database.file is not None
    checks = []
    with database.reading() as connection:
        for name, (question, what) in _QUESTIONS.items():
            if "pragma" in question and not sqlite:
                continue
            count = connection.execute(text(question)).scalar_one()
            checks.append(Check(name, count == 0, f"{count} {what}", "Restore a backup, or index into a new home."))
    return checks


def _space(settings: Settings, store: SqlStore, key: int, space: Space, *, deep: bool) -> list[Check]:
    live = LiveIndex(store, settings.home, space, key)
    name = f"space {space.name}"
    mend = "Run `sensorium db rebuild`."
    generation = live.damage.args[0] if live.damage else f"generation {live.generation}"
    checks = [Check(f"{name}: the generation on disk is what was written", live.damage is None, generation, mend)]
    missing, extra = live.differences()
    seen = f"{len(live.index)} segments; {len(missing)} only in the database, {len(extra)} only in the index"
    checks.append(Check(f"{name}: index and database hold the same segments", not len(missing) and not len(extra), seen, mend))
    ids = live.index.ids()
    some = np.sort(np.random.default_rng(len(ids)).choice(ids, min(SAMPLE, len(ids)), replace=False))
    truth = store.vectors(key, space.dim, some)
    rows = np.array([truth.get(int(id_), np.full(space.dim, np.nan)) for id_ in some], np.float32).reshape(-1, space.dim)
    unit = int(np.sum(np.abs(np.linalg.norm(rows, axis=1) - 1) < 5e-3))
    checks.append(Check(f"{name}: vectors are finite and of unit length", unit == len(some), f"{unit} of {len(some)} sampled"))
    same = int(np.all(live.index.reconstruct(some) == rows, axis=1).sum())
    checks.append(Check(f"{name}: the index's copies equal the database's", same == len(some), f"{same} of {len(some)}", mend))
    if deep:
        checks.append(_brute_force(store, live, key, space, rows))
    return checks


def _brute_force(store: SqlStore, live: LiveIndex, key: int, space: Space, queries: np.ndarray) -> Check:
    """Compare the index's best score of each query with the best over all vectors in SQL."""
    best = np.full(len(queries), -np.inf, np.float32)
    for _, _, vectors in store.embeddings(key, space.dim):
        best = np.maximum(best, (queries @ vectors.T).max(axis=1))
    _, scores = live.index.search(queries, 1)
    equal = int(np.isclose(scores[:, 0], best, atol=1e-3).sum())
    seen = f"{equal} of {len(queries)} sampled queries"
    return Check(f"space {space.name}: answers equal brute force", equal == len(queries), seen, "Run `sensorium db rebuild`.")
