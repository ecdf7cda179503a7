"""New databases without the work of Alembic: the statements that its migrations run on an empty database are noted once and run again.

What surrounds them in ``Database.upgrade`` stays as it is: files, locks, the transaction. Tests of the migrations run them (``migrations``).
"""

from __future__ import annotations

import threading
from contextlib import closing
from tempfile import TemporaryDirectory
from typing import Any

from alembic import command
from sqlalchemy import event, inspect

from search.store import Database

migrate = command.upgrade
"""Runs migrations, as Alembic does."""
_ASKS = ("SELECT", "PRAGMA")
"""How statements begin that only ask."""


class Schema:
    """Stands for ``alembic.command.upgrade``. Thread-safe."""

    def __init__(self) -> None:
        self._lock, self._noted = threading.Lock(), dict[str, list[tuple[str, Any]]]()

    def upgrade(self, config: Any, revision: str) -> None:
        """Make of an empty database what the migrations make of one; any other is brought up to date by them."""
        connection = config.attributes.get("connection")
        if connection is None or revision != "head" or inspect(connection).get_table_names():
            return migrate(config, revision)
        kind = connection.dialect.name
        with self._lock:
            kind += "".join(str(row) for row in _collations(connection)) if kind == "postgresql" else ""
            if kind not in self._noted:
                statements: list[tuple[str, Any]] = []

                def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
                    if not statement.lstrip().upper().startswith(_ASKS):
                        statements.append((statement, parameters))

                event.listen(connection, "before_cursor_execute", note)
                migrate(config, revision)
                event.remove(connection, "before_cursor_execute", note)
                self._noted[kind] = statements
                return None
        cursor = connection.connection.cursor()
        for statement, parameters in self._noted[kind]:
            cursor.execute(statement, parameters or ())
        return cursor.close()


def copied() -> None:
    """Have new databases of this process and of its forks, where they are SQLite's, be copies of what the migrations make now."""
    command.upgrade = Schema().upgrade
    with TemporaryDirectory() as folder, closing(Database(f"sqlite:///{folder}/first.db")) as database:
        database.upgrade()


def _collations(connection: Any) -> Any:
    """What migrations ask of a server: one without ICU gets other statements."""
    return connection.exec_driver_sql("SELECT count(*) FROM pg_collation WHERE collname = 'und-x-icu'").scalars()
