"""What several unit tests of the store need."""

from __future__ import annotations

import pytest

from search.store import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """A new database, on SQLite and on PostgreSQL."""
    url = f"sqlite:///{tmp_path / 'a.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = Database(url)
    database.upgrade()
    yield database
    database.close()
