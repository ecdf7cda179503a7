"""Verification: checks that the archive's data is consistent.

It does not use the writer's code, so that a mistake of the writer cannot hide itself: it has its own SQL, and its own reading of
the index files. Only ``deep`` uses the engine, whose answers it then checks. Damage that can be repaired is collected for
``indexer.repair``.
"""

from __future__ import annotations

from contextlib import closing

from sqlalchemy import text

from indexer.verify import leftovers, rows
from indexer.verify.brute_force import answers_agree
from indexer.verify.checks import Check, Harm
from indexer.verify.elsewhere import kept_elsewhere
from indexer.verify.vectors import IndexFiles, StoredVectors
from search.settings import Settings
from search.store import Database
from search.store.spaces import LEVELLED
from search.types import MEDIA, Space

__all__ = ["Check", "Harm", "examine", "verify"]


def verify(settings: Settings, *, deep: bool = False) -> list[Check]:
    """Check the database, every vector, the index of every space, and the thumbnails.

    ``deep`` compares all vectors of the index instead of a sample, and the engine's answers with brute force.
    """
    return examine(settings, deep=deep)[0]


def examine(settings: Settings, *, deep: bool = False) -> tuple[list[Check], Harm]:
    """The result of ``verify``, and the damage that can be repaired."""
    database, harm = Database(settings.database), Harm()
    checks: list[Check] = []
    with closing(database):
        database.check()
        whole = rows.matches_texts(database) if database.file and not database.read_only else None
        with database.reading() as connection:
            sqlite = database.file is not None
            checks += rows.promises(connection, harm, sqlite=sqlite)
            checks.append(rows.counters(connection, harm, sqlite=sqlite))
            checks.append(rows.names(connection, harm))
            checks += rows.words(connection, harm, whole, sqlite=sqlite)
            checks.append(leftovers.pictures(connection, harm, settings.home))
            for row in connection.execute(text("SELECT id, name, family, model, revision, dim FROM space ORDER BY id")).all():
                space = Space(row.name, row.family, row.model, row.revision.removesuffix(LEVELLED), row.dim, MEDIA)
                truth = StoredVectors(connection, row.id, space)
                checks += truth.checks(harm)
                checks += IndexFiles(settings.home, truth).checks(harm, deep=deep)
                checks += kept_elsewhere(settings, database, truth, harm, deep=deep)
                if deep and truth.sound and len(truth.ids):
                    checks.append(answers_agree(settings, truth))
            checks.append(leftovers.strangers(connection, harm, settings.home))
    return checks, harm
