"""Vectors in PostgreSQL, by the extension pgvector: float16, with a graph (HNSW) for each kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from search.errors import InputError, SensoriumError
from search.index.remote import Address, Mark, away, failed, first_line
from search.types import Ids, Vectors

OLDEST_VERSION = (0, 8)
"""The first version with iterative scans, which go on until enough rows pass the filter."""

MAX_DIMENSIONS = 4000
"""Dimensions that its graph takes."""

TUPLES_PER_EFFORT = 400
"""Rows that an iterative scan looks at, at most, for each unit of effort."""


class PgVectors:
    """See ``RemoteVectors``. A table in the database of the archive; its comment is the mark."""

    most = 10_000
    most_effort = 1000

    def __init__(self, address: Address, name: str, dim: int) -> None:
        """Raises InputError if vectors are too wide."""
        if dim > MAX_DIMENSIONS:
            raise InputError(
                f"pgvector takes {MAX_DIMENSIONS} dimensions, not {dim}.", remedy="Unset SENSORIUM_VECTORS, or use Milvus."
            )
        self._address, self._name, self._dim = address, name, dim
        url = address.uri.replace("postgresql://", "postgresql+psycopg://", 1)
        self._engine = create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10, "tcp_user_timeout": 60_000})
        event.listen(self._engine, "connect", self._prepare)

    def mark(self) -> Mark | None:  # noqa: D102 - documented at the seam, like the next nine
        with self._begun() as connection:
            query = text("SELECT obj_description(to_regclass(:name), 'pg_class')")
            told = connection.execute(query, {"name": self._name}).scalar()
        return Mark(**json.loads(told)) if told else None

    def begin(self) -> None:  # noqa: D102
        self.drop()
        with self._begun() as connection:
            columns = f"id bigint PRIMARY KEY, kind smallint NOT NULL, v halfvec({self._dim}) NOT NULL"
            connection.execute(text(f"CREATE TABLE {self._name} ({columns})"))

    def put(self, ids: Ids, kinds: NDArray[np.int8], vectors: Vectors) -> None:  # noqa: D102
        with self._begun() as connection:
            connection.execute(text(f"CREATE TEMPORARY TABLE arriving (LIKE {self._name}) ON COMMIT DROP"))
            cursor = connection.connection.cursor()
            with cursor.copy("COPY arriving FROM STDIN WITH (FORMAT BINARY)") as copy:
                copy.set_types(["int8", "int2", "halfvec"])
                for row in zip(ids.tolist(), kinds.tolist(), map(HalfVector, vectors.astype(np.float16)), strict=True):
                    copy.write_row(row)
            taken = "ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, v = excluded.v"
            connection.execute(text(f"INSERT INTO {self._name} SELECT * FROM arriving {taken}"))  # noqa: S608 - the name is ours

    def remove(self, ids: Ids) -> None:  # noqa: D102
        with self._begun() as connection:
            connection.execute(text(f"DELETE FROM {self._name} WHERE id = ANY(:ids)"), {"ids": ids.tolist()})  # noqa: S608

    def settle(self, mark: Mark, *, scrub: bool = False) -> None:  # noqa: D102
        with self._begun() as connection:
            kinds = connection.execute(text(f"SELECT DISTINCT kind FROM {self._name}")).scalars().all()  # noqa: S608
            for kind in kinds:
                graph = f"USING hnsw (v halfvec_ip_ops) WITH (m = 16, ef_construction = 128) WHERE kind = {kind}"
                connection.execute(text(f"CREATE INDEX IF NOT EXISTS {self._name}_{kind} ON {self._name} {graph}"))
            told = json.dumps({"embedding": mark.embedding, "removal": mark.removal})
            connection.exec_driver_sql(f"COMMENT ON TABLE {self._name} IS '{told}'")
        with self._answered(), self._engine.connect() as connection:
            # Removed rows take up the room of a scan until then: a search for ten near them may find none.
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            alone.execute(text(f"VACUUM (ANALYZE) {self._name}" if scrub else f"ANALYZE {self._name}"))

    def search(  # noqa: D102
        self, queries: Vectors, k: int, kind: int, effort: int, only: Ids | None = None, without: Ids | None = None
    ) -> list[Ids]:
        allowed, ids = "", None
        if only is not None:
            allowed, ids = "AND id = ANY(%(ids)s)", only.tolist()
        elif without is not None:
            allowed, ids = "AND id <> ALL(%(ids)s)", without.tolist()
        # The kind is written out, so that the planner sees that its graph can be used.
        query = f"SELECT id FROM {self._name} WHERE kind = {int(kind)} {allowed} ORDER BY v <#> %(v)s LIMIT {int(k)}"  # noqa: S608
        with self._begun() as connection:
            scan = {
                "hnsw.ef_search": effort,
                "hnsw.iterative_scan": "strict_order",
                "hnsw.max_scan_tuples": TUPLES_PER_EFFORT * effort,
            }
            chosen = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in scan.items())
            connection.exec_driver_sql(f"SELECT {chosen}")
            found = []
            for one in queries:
                rows = connection.exec_driver_sql(query, {"v": HalfVector(one.astype(np.float16)), "ids": ids})
                found.append(np.fromiter(rows.scalars(), np.int64))
        return found

    def ids(self) -> Ids:  # noqa: D102
        with self._begun() as connection:
            return np.fromiter(connection.execute(text(f"SELECT id FROM {self._name} ORDER BY id")).scalars(), np.int64)  # noqa: S608

    def copies(self, ids: Ids) -> dict[int, NDArray[np.float32]]:  # noqa: D102
        query = text(f"SELECT id, v FROM {self._name} WHERE id = ANY(:ids)")  # noqa: S608
        with self._begun() as connection:
            return {id_: v.to_numpy().astype(np.float32) for id_, v in connection.execute(query, {"ids": ids.tolist()})}

    def drop(self) -> None:  # noqa: D102
        with self._begun() as connection:
            connection.execute(text(f"DROP TABLE IF EXISTS {self._name}"))

    def close(self) -> None:  # noqa: D102
        self._engine.dispose()

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        """A transaction."""
        with self._answered(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Errors of the driver become ours."""
        try:
            yield
        except SensoriumError:
            raise
        except DBAPIError as error:
            gone = error.connection_invalidated or (
                isinstance(error, OperationalError | InterfaceError)
                and str(getattr(error.orig, "sqlstate", None) or "08")[:3] in {"08", "57P", "533"}
            )
            raise (away if gone else failed)(self._address, error.orig or error) from error
        except PoolTimeout as error:
            raise away(self._address, error) from error

    def _prepare(self, connection: Any, _: object) -> None:  # noqa: ANN401 - psycopg's own
        """Make the extension known to a new connection, and the database if it is not there yet.

        Raises:
            InputError: it is not installed, may not be added, or is too old.
        """
        with connection.cursor() as cursor:
            version = cursor.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
            if version is None:
                try:
                    cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
                except Exception as error:
                    raise InputError(
                        f"The extension pgvector cannot be added to the database: {first_line(error)}.",
                        remedy="Install it on the database's server (Debian: postgresql-NN-pgvector), and let its owner run: CREATE EXTENSION vector",
                    ) from error
                version = cursor.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
        connection.commit()
        if tuple(map(int, version[0].split(".")[:2])) < OLDEST_VERSION:
            raise InputError(
                f"pgvector {version[0]} is too old: {'.'.join(map(str, OLDEST_VERSION))} is needed.",
                remedy="Upgrade it on the server, then: ALTER EXTENSION vector UPDATE",
            )
        register_vector(connection)
        connection.commit()
