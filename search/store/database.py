"""The database: connections, transactions, schema revision. SQLite under the home, or the database in the URL."""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import Connection, Engine, Table, create_engine, event, func, inspect, make_url, select, text, update
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from search import disk
from search.errors import DatabaseAway, DiskFull, InputError, NewerDatabase, SensoriumError, StoreError
from search.locks import locked
from search.store import folding
from search.store.sounds import sound
from search.store.tables import REVISION, change

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.pool import ConnectionPoolEntry


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def clock_ms(connection: Connection) -> int:
    """The clock for leases, in milliseconds since 1970. On PostgreSQL it is the server's clock, shared by all machines; on SQLite
    this machine's."""
    if connection.dialect.name != "postgresql":
        return now_ms()
    return int(connection.execute(select(func.extract("epoch", func.clock_timestamp()) * 1000)).scalar_one())


_LOCK = 0x53454E53
"""The number of PostgreSQL's lock for writers."""


_NETWORK: dict[str, int] = {
    "connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000,
}  # fmt: skip
"""What libpq is told unless the URL says otherwise, so that a server which says nothing any more is given up: seconds, the last one milliseconds."""

_AWAY_STATES = ("08", "57P01", "57P02", "57P03", "53300")
"""How the SQLSTATEs begin of a connection that broke, a server that stops, fell over, starts, or has no connection left."""

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.25, 10.0
"""Seconds between two tries to reach a database that is away: so many at first, twice as many each time, and so many at most."""

_log = logging.getLogger(__name__)

_ROOM = "Free some space and run the command again: what was acknowledged is safe, the rest goes on."


def put_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows; of those whose keys are there already, nothing changes."""
    from sqlalchemy.dialects import postgresql, sqlite  # here, since the other one is not loaded by searches

    dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
    connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)


class Database:
    """One database. ``reading`` and ``writing`` give transactions; driver errors are translated into ours."""

    def __init__(self, url: str) -> None:
        """Connect lazily to ``url``, in SQLAlchemy's form. ``postgresql://`` uses the driver from the extra."""
        self.url = url.replace("postgresql://", "postgresql+psycopg://", 1) if url.startswith("postgresql://") else url
        self._outage = _Outage.of(self.url)
        try:
            self.engine: Engine = create_engine(self.url, **self._options())
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
        self._closed = False
        event.listen(self.engine, "checkin", self._take_in)

    @property
    def read_only(self) -> bool:
        """Whether it is a file that can be read but not written: its disk is mounted read-only, or the file belongs to another
        user."""
        file = self.file
        return file is not None and file.exists() and (disk.is_read_only(file) or disk.is_read_only(file.parent))

    def _options(self) -> dict[str, Any]:
        """Options for making connections."""
        if self.read_only:
            return {"creator": self._open_read_only, "poolclass": NullPool}  # whether there is a log is looked at each time
        return _lasting(self.url)

    def _open_read_only(self) -> sqlite3.Connection:
        """A connection to a read-only file. If there is no log beside it, nobody is writing, and SQLite need not create any file."""
        file = self.file
        assert file is not None  # noqa: S101 - for the types: only a file is read-only
        log, shared = (file.with_name(f"{file.name}{ending}") for ending in ("-wal", "-shm"))
        is_logged = shared.exists() or (log.exists() and log.stat().st_size > 0)
        address = f"{file.absolute().as_uri()}?mode=ro{'' if is_logged else '&immutable=1'}"
        return sqlite3.connect(address, uri=True, check_same_thread=False)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database throughout.

        A nested call in the same thread reuses the outer transaction. A thread that needed a second connection while holding one
        could wait for ever.
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
        """The write transaction; there is only one at a time. Increments ``change.count`` unless ``quiet``, which means that
        nothing visible changes."""
        with self._translated(), self._alone() as connection:
            yield connection
            if not quiet:
                connection.execute(update(change).values(count=change.c.count + 1))

    def wait(self, seconds: float = math.inf, stop: threading.Event | None = None) -> bool:
        """Wait until an unreachable database is back. False: it was not back after ``seconds``, or before ``stop`` was set."""
        stop, until, delay = stop or threading.Event(), time.monotonic() + seconds, FIRST_RETRY_SECONDS
        while not stop.wait(delay):
            try:
                self.revision()
            except DatabaseAway:
                if time.monotonic() >= until:
                    return False
            else:
                return True
            delay = min(2 * delay, LAST_RETRY_SECONDS)
        return False

    def attend(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Wait for a server that cannot be reached yet, as ``wait`` does. A file is not away, and not made here.

        Raises:
            DatabaseAway: it could not be reached in time.
        """
        if self.file is not None:
            return
        try:
            self.revision()
        except DatabaseAway:
            if not self.wait(seconds, stop):
                raise

    def version(self) -> int:
        """The number of committed writes. While it stays the same, nothing has changed."""
        with self.reading() as connection:
            return int(connection.execute(select(change.c.count)).scalar_one())

    def revision(self) -> str | None:
        """The schema's revision; None for a database without tables."""
        with self.reading() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

    def exists(self) -> bool:
        """Whether the database exists. Does not create it."""
        file = self.file
        return (file is None or file.exists()) and self.revision() is not None

    @property
    def file(self) -> Path | None:
        """The file of an SQLite database."""
        url = make_url(self.url)
        return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None

    def check(self) -> None:
        """Check that the schema is the one that this program knows.

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
        """Create the tables, or migrate older ones. A database from a newer program is left unchanged."""
        if (file := self.file) and not self.read_only:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not file.exists():
                with suppress(OSError):  # SQLite's own error is clearer
                    file.touch(mode=0o600)  # private texts go in here; SQLite gives its log the same mode
                _keep_folders(file)
        if (revision := self.revision()) == REVISION:
            return
        if revision is not None and revision not in _known_revisions():
            self.check()

        from alembic import command  # slow to import, and rarely needed

        with self._translated(), self._alone() as connection:  # if another process was first, nothing is left to do
            config = alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def flush(self) -> None:
        """Write SQLite's log back and empty it, so that no deleted data stays in it."""
        if self.file:
            with self._translated(), self.engine.connect() as connection:
                connection.rollback()
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close every connection. Those in use by other threads are closed when they are returned."""
        self._closed = True
        self.engine.dispose()

    def _take_in(self, _: object, connection: ConnectionPoolEntry) -> None:
        if self._closed:
            connection.close()

    @contextmanager
    def _alone(self) -> Iterator[Connection]:
        """A transaction during which nobody else writes, in any process. So rows are numbered in the order of their commits.

        Writers wait in a queue. SQLite alone would retry at random, and an unlucky writer would give up.
        """
        if self.read_only:
            raise _read_only(f"{self.file} may be read, and not written.")
        write = self.engine.execution_options(sensorium_write=True)
        turn = locked(self.file.with_name(f"{self.file.name}-writer")) if self.file else nullcontext()
        with turn, write.begin() as connection:
            if not self.file:
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        except SensoriumError:
            raise
        except DBAPIError as error:
            translated = self._translate(error)
            if isinstance(translated, DatabaseAway):
                self._outage.begin(str(translated))
            raise translated from error
        except PoolTimeout as error:
            raise StoreError("Every connection to the database is in use.", remedy="Try again in a moment.") from error
        except OSError as error:  # of the lock's file
            raise _disk_error(error) from error
        else:
            self._outage.end(began)

    def _translate(self, error: DBAPIError) -> SensoriumError:
        reason = str(error.orig)
        if self.file is None and _is_away(error):
            return DatabaseAway(
                f"The database cannot be reached: {reason.strip().splitlines()[0]}."
                if reason.strip()
                else "The database cannot be reached.",
                remedy="Check that its server runs and that SENSORIUM_DATABASE_URL names it. What was acknowledged is safe.",
            )
        if "disk is full" in reason or "No space left" in reason:
            return DiskFull(
                f"There is no room left for the database: {reason}.",
                remedy=_ROOM,
            )
        if "locked" in reason and isinstance(error, OperationalError):
            return StoreError("The database is busy.", remedy="Another process holds it; try again when that is done.")
        if "readonly database" in reason or "read-only transaction" in reason:
            return _read_only(f"The database cannot be written: {reason}.")
        if "unable to open database file" in reason:
            return StoreError(
                f"{self.file} cannot be opened.",
                remedy="Check that its folder is there, and that both may be read. If they may not be written, and it was not closed where it was"
                " written last, open it once where they may: sensorium status",
            )
        if "not a database" in reason or "malformed" in reason:
            return StoreError(
                f"{self.file or 'The database'} is damaged: {reason}.",
                remedy="Restore it from a backup, or move it away and index again.",
            )
        if "no such table" in reason or ("relation" in reason and "does not exist" in reason):
            return StoreError("There is no archive here yet.", remedy="Run `sensorium index PATH` first.")
        return StoreError(f"The database failed: {reason}.", remedy="Run `sensorium doctor`.")


class _Outage:
    """Whether a database is away, shared by everything in this process. So the log gets one line when it goes away and one when
    it is back."""

    _known: ClassVar[dict[str, _Outage]] = {}

    def __init__(self) -> None:
        self._since: float | None = None
        self._lock = threading.Lock()

    @classmethod
    def of(cls, url: str) -> _Outage:
        """The outage state of a database."""
        return cls._known.setdefault(url, cls())

    def begin(self, told: str) -> None:
        """Note that it could not be reached."""
        with self._lock:
            first, self._since = self._since is None, self._since or time.monotonic()
        if first:
            _log.warning("%s It is tried again until it is back.", told)

    def end(self, began: float) -> None:
        """Note that it answered a transaction begun at ``began``. While a server stops, some connections still answer after
        others have failed."""
        if self._since is None or began < self._since + FIRST_RETRY_SECONDS:
            return
        with self._lock:
            since, self._since = self._since, None
        if since is not None:
            _log.warning("The database is back after %.0f seconds.", time.monotonic() - since)


def _lasting(url: str) -> dict[str, Any]:
    """Options for an engine whose connections survive a restart of the server: each is tested before use, and dead ones are
    replaced."""
    if not url.startswith("postgresql"):
        return {}
    named = make_url(url).query
    return {"pool_pre_ping": True, "connect_args": {name: value for name, value in _NETWORK.items() if name not in named}}


def _is_away(error: DBAPIError) -> bool:
    """Whether the connection failed, rather than the statement."""
    state = getattr(error.orig, "sqlstate", None)
    if state is None:  # libpq's own errors, and those of connecting, have none
        return error.connection_invalidated or (isinstance(error, OperationalError) and error.statement is None)
    return error.connection_invalidated or str(state).startswith(_AWAY_STATES)


def alembic_config() -> Config:
    """The configuration of the migrations. In a checkout they lie beside the packages, in a wheel inside them."""
    from alembic.config import Config

    here = Path(__file__).parent
    checkout = here.parent.parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(checkout if checkout.is_dir() else here / "migrations"))
    return config


def _read_only(told: str) -> StoreError:
    return StoreError(
        told, remedy="Mount its disk so that it may be written, or use a copy. Searching and `sensorium serve` work as it is."
    )


def _disk_error(error: OSError) -> SensoriumError:
    if disk.full(error):
        return DiskFull(f"There is no room left: {error}.", remedy=_ROOM)
    return StoreError(
        f"The disk fails: {error}.", remedy="Check the disk and the folder's permissions, then run the command again."
    )


def _keep_folders(file: Path) -> None:
    """Sync the folders of a new database, so that they survive a power cut. SQLite itself syncs only the innermost folder."""
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
    cursor.execute("PRAGMA secure_delete = ON")  # overwrite the bytes of deleted rows
    cursor.close()
    functions = {"sensorium_spaced": folding.spaced, "sensorium_distinct": folding.distinct, "sensorium_sound": sound}
    for name, function in functions.items():  # for the triggers of migrations 0007 and 0008
        connection.create_function(name, 1, function, deterministic=True)


def _set_wal(cursor: Any) -> None:  # noqa: ANN401
    """Switch a new database to WAL, once in its life. SQLite does not wait for another process that is doing the same."""
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
