"""Processes that tests start for a function of theirs. They are forked from one that has imported what most of that needs, and no test."""

from __future__ import annotations

import multiprocessing

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        "indexer.delete",
        "indexer.run",
        "indexer.verify",
        "psycopg",
        "pytest",
        "search.query",
        "search.store",
        "sqlalchemy.dialects.sqlite",
        "tests.fakes.encoder",
        "tests.forked_decoders",
    ]
)
