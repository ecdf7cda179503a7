"""Alembic's entry: runs on the connection that the program hands over, or on SENSORIUM_DATABASE_URL from the command line."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from search.settings import load
from search.store.database import Database
from search.store.tables import described, metadata


def run(connection: Connection) -> None:
    context.configure(
        connection=connection, target_metadata=metadata, render_as_batch=True, compare_type=True, include_object=described
    )  # fmt: skip
    with context.begin_transaction():
        context.run_migrations()


if (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:
    database = Database(load().database)
    with database.engine.connect() as connection, connection.begin():
        run(connection)
