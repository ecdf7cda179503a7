"""SQL statements that are compiled once for all databases of a test process: each engine of SQLAlchemy keeps its own, and every test has one."""

from __future__ import annotations

from typing import Any

import sqlalchemy

KEPT = 4_000
"""Statements that are kept; then all are forgotten."""


class Statements(dict[Any, Any]):
    """Stands for the cache of an engine. A statement is the same for all engines of one dialect that speak to the same version of a server."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_shared(key), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        if len(self) >= KEPT:
            self.clear()
        super().__setitem__(_shared(key), compiled)

    def create_engine(self, url: Any, **options: Any) -> sqlalchemy.Engine:
        """Stands for ``sqlalchemy.create_engine``."""
        engine = sqlalchemy.create_engine(url, **options)
        engine._compiled_cache = self
        return engine


def _shared(key: Any) -> Any:
    """The key of a statement without the engine that it was first compiled for."""
    dialect, *rest = key
    return type(dialect), dialect.server_version_info, *rest
