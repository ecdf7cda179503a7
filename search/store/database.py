"""The database: connections, transactions, the schema's revision. SQLite under the home, or what the URL names."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, func, inspect, make_url, select, text, update
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from search import disk
from search.errors import DiskFull, InputError, NewerDatabase, SensoriumError, StoreError
from search.locks import locked
from search.store import folding
from search.store.sounds import sound
from search.store.tables import REVISION, change

if TYPE_CHECKING:
    from alembic.config import Config


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def clock_ms(connection: Connection) -> int:
    """The time of leases, in milliseconds since 1970: PostgreSQL's, whose clock is one for all machines; on SQLite this machine's."""
    if connection.dialect.name != "postgresql":
        return now_ms()
    return int(connection.execute(select(func.extract("epoch", func.clock_timestamp()) * 1000)).scalar_one())


_LOCK = 0x53454E53
"""The number of PostgreSQL's lock for writers."""


_ROOM = "Free some space and run the command again: what was acknowledged is safe, the rest goes on."


class Database:
    """One database. ``reading`` and ``writing`` give transactions; errors of the driver come out as ours."""

    def __init__(self, url: str) -> None:
        """Connect lazily to ``url``, in SQLAlchemy's form; ``postgresql://`` means the driver that the extra brings."""
        self.url = url.replace("postgresql://", "postgresql+psycopg://", 1) if url.startswith("postgresql://") else url
        try:
            self.engine: Engine = create_engine(self.url)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise InputError(
                f"SENSORIUM_DATABASE_URL cannot be used: {error}.", remedy="Example: sqlite:////path/sensorium.db"
            ) from error
        self._open = threading.local()
        """The connection of a thread that is reading."""
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
            self._snapshot = self.engine  # what a transaction of SQLite sees anyway
        else:
            self._snapshot = self.engine.execution_options(isolation_level="REPEATABLE READ")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database throughout.

        One inside another, in a thread, is the same one: whoever needed a second connection while it holds one could wait for it for ever.
        """
        outer: Connection | None = getattr(self._open, "connection", None)
        with self._translated():
            if outer is not None:
                yield outer
                return
            with self._snapshot.connect() as connection:
                self._open.connection = connection
                try:
                    yield connection
                finally:
                    self._open.connection = None

    @contextmanager
    def writing(self, *, quiet: bool = False) -> Iterator[Connection]:
        """A transaction that writes, the only one at its time. Moves ``change.count`` on, unless ``quiet``: nothing to see changes."""
        with self._translated(), self._alone() as connection:
            yield connection
            if not quiet:
                connection.execute(update(change).values(count=change.c.count + 1))

    def version(self) -> int:
        """The number of committed writes: as long as it stays, nothing has changed."""
        with self.reading() as connection:
            return int(connection.execute(select(change.c.count)).scalar_one())

    def revision(self) -> str | None:
        """The schema's revision; None for a database without tables."""
        with self.reading() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

    def exists(self) -> bool:
        """Whether there is anything to open, without creating it."""
        file = self.file
        return (file is None or file.exists()) and self.revision() is not None

    @property
    def file(self) -> Path | None:
        """The file of an SQLite database."""
        url = make_url(self.url)
        return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None

    def check(self) -> None:
        """Make sure that the schema is the one that this program knows.

        Raises:
            NewerDatabase: a later program wrote it.
            StoreError: it is older; ``upgrade`` mends that.
        """
        revision = self.revision()
        if revision == REVISION:
            return
        if revision is not None and revision not in _known_revisions():
            raise NewerDatabase(
                f"The database has revision {revision}; this Sensorium knows {REVISION} and older.",
                remedy="Install the newer Sensorium that wrote it. Nothing was changed.",
            )
        raise StoreError(
            f"The database has revision {revision or 'none'}; {REVISION} is needed.",
            remedy="Run `sensorium db upgrade`.",
        )

    def upgrade(self) -> None:
        """Create the tables, or bring older ones up to date. A database from a newer program is left alone."""
        if file := self.file:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not file.exists():
                with suppress(OSError):  # what SQLite says of it is better
                    file.touch(mode=0o600)  # private texts go in here; SQLite gives its log the same mode
                _keep_folders(file)
        if (revision := self.revision()) == REVISION:
            return
        if revision is not None and revision not in _known_revisions():
            self.check()
        from alembic import command  # takes its time, and is seldom needed

        with self._translated(), self._alone() as connection:  # and if another process was first, there is nothing left to do
            config = alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def flush(self) -> None:
        """Have SQLite's log written back and emptied, so that nothing of what was deleted stays in it."""
        if self.file:
            with self._translated(), self.engine.connect() as connection:
                connection.rollback()
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()

    @contextmanager
    def _alone(self) -> Iterator[Connection]:
        """A transaction while which no other writes, here or elsewhere, so that rows are numbered in the order of their commits.

        Writers wait in a queue: SQLite alone would have them try again and again, until one of them has had no luck for too long.
        """
        write = self.engine.execution_options(sensorium_write=True)
        turn = locked(self.file.with_name(f"{self.file.name}-writer")) if self.file else nullcontext()
        with turn, write.begin() as connection:
            if not self.file:
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SensoriumError:
            raise
        except DBAPIError as error:
            raise self._translate(error) from error
        except PoolTimeout as error:
            raise StoreError("Every connection to the database is in use.", remedy="Try again in a moment.") from error
        except OSError as error:  # of the lock's file
            raise _disk_error(error) from error

    def _translate(self, error: DBAPIError) -> SensoriumError:
        reason = str(error.orig)
        if "disk is full" in reason or "No space left" in reason:
            return DiskFull(
                f"There is no room left for the database: {reason}.",
                remedy=_ROOM,
            )
        if "locked" in reason and isinstance(error, OperationalError):
            return StoreError("The database is busy.", remedy="Another process holds it; try again when that is done.")
        if "not a database" in reason or "malformed" in reason:
            return StoreError(
                f"{self.file or 'The database'} is damaged: {reason}.",
                remedy="Restore it from a backup, or move it away and index again.",
            )
        if "no such table" in reason or ("relation" in reason and "does not exist" in reason):
            return StoreError("There is no archive here yet.", remedy="Run `sensorium index PATH` first.")
        return StoreError(f"The database failed: {reason}.", remedy="Run `sensorium doctor`.")


def alembic_config() -> Config:
    """The migrations' configuration: beside the packages in a checkout, inside them in a wheel."""
    from alembic.config import Config

    here = Path(__file__).parent
    checkout = here.parent.parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(checkout if checkout.is_dir() else here / "migrations"))
    return config


def _disk_error(error: OSError) -> SensoriumError:
    if disk.full(error):
        return DiskFull(f"There is no room left: {error}.", remedy=_ROOM)
    return StoreError(
        f"The disk fails: {error}.", remedy="Check the disk and the folder's permissions, then run the command again."
    )


def _keep_folders(file: Path) -> None:
    """Make the folders that hold a new database survive a power cut. SQLite sees to the names inside the last of them alone."""
    for folder in file.parents:
        with suppress(OSError):  # a folder that may not be opened was not made by us
            disk.sync(folder)


def _known_revisions() -> set[str]:
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()}


def _prepare_sqlite(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's own object
    connection.isolation_level = None  # transactions are begun by us, see below
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 120000")
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        _set_wal(cursor)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA secure_delete = ON")  # deleted means gone: its bytes are overwritten
    cursor.close()
    functions = {"sensorium_spaced": folding.spaced, "sensorium_distinct": folding.distinct, "sensorium_sound": sound}
    for name, function in functions.items():  # for the triggers of migrations 0007 and 0008
        connection.create_function(name, 1, function, deterministic=True)


def _set_wal(cursor: Any) -> None:  # noqa: ANN401
    """Turn a new database to WAL, once in its life. SQLite does not wait while another process is doing just that."""
    for _ in range(300):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            time.sleep(0.1)
        else:
            return
    raise sqlite3.OperationalError("database is locked")


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("sensorium_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
