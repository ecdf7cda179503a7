"""The stored index jobs: a queue of which each machine runs one job at a time, since a job uses the whole machine.

Several services may work on it. A running job is leased, as units of work are (see ``queue``). The lease ends when the service's
lock is free (same home on the same machine), or when its time has run out (elsewhere, by the database's clock).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Select, and_, exists, func, insert, select, update

from search.locks import Worker
from search.store import tables as t
from search.store.database import Database, clock_ms, now_ms
from search.store.queue import LEASE_MS
from search.types import Within

OPEN = ("queued", "running")
"""States of jobs that have not ended."""


@dataclass(frozen=True, slots=True)
class Job:
    """An index job. ``state`` is queued, running, done, failed or cancelled; ``progress`` is its last report.

    A job of the kind ``map`` makes a map of the archive. One of the kind ``retry`` retries failures: for ``reason``, at or under ``paths`` and in ``collection``, if these are not
    empty.
    """

    id: int
    state: str
    kind: Literal["index", "retry", "map"]
    collection: str
    paths: tuple[str, ...]
    reason: str | None
    retry: bool
    prune: bool
    progress: dict[str, Any]
    error: str | None
    remedy: str | None
    key: str | None
    body: str
    created_at: int
    started_at: int | None
    ended_at: int | None


class JobBook:
    """The table of jobs, as ``worker`` works on it. Every method is one transaction."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self._database, self._worker = database, worker

    def add(
        self, paths: Sequence[str], collection: str, *, key: str | None, body: str, retry: bool = False, prune: bool = False,
        kind: Literal["index", "retry", "map"] = "index", reason: str | None = None, refuse: Callable[[Sequence[Job]], None] = lambda _: None,
    ) -> Job:  # fmt: skip
        """Queue a job. If a request with the same ``key`` has already made one, in any service, return that. ``body`` is the hash
        of the request.

        ``refuse`` may raise; it gets the jobs that have not ended. No other job is added in the meantime.
        """
        row = {
            "state": "queued", "kind": kind, "collection": collection, "paths": json.dumps(list(paths)), "reason": reason,
            "retry": retry, "prune": prune, "progress": "{}", "key": key, "body": body, "created_at": now_ms(),
        }  # fmt: skip
        with self._database.writing() as connection:
            if key is not None and (known := connection.execute(select(t.job).where(t.job.c.key == key)).first()):
                return _job(known)
            refuse([_job(one) for one in connection.execute(_open())])
            id_ = connection.execute(insert(t.job).values(row)).inserted_primary_key
            assert id_ is not None  # noqa: S101 - for the types: an insert of one row has a key
            return _job(connection.execute(select(t.job).where(t.job.c.id == id_[0])).one())

    def get(self, id_: int) -> Job | None:
        """A job."""
        return self._first(t.job.c.id == id_)

    def with_key(self, key: str) -> Job | None:
        """The job that a request with this key made."""
        return self._first(t.job.c.key == key)

    def page(self, *, before: int | None = None, limit: int = 50, within: Within = None) -> list[Job]:
        """The newest jobs with ids below ``before``, of some collections."""
        query = select(t.job).order_by(t.job.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(t.job.c.id < before)
        if within is not None:
            query = query.where(t.job.c.collection.in_(within))
        with self._database.reading() as connection:
            return [_job(row) for row in connection.execute(query)]

    def open(self) -> list[Job]:
        """Jobs that have not ended, in the order in which they will run."""
        with self._database.reading() as connection:
            return [_job(row) for row in connection.execute(_open())]

    def counts(self) -> dict[str, int]:
        """How many jobs there are, by state."""
        with self._database.reading() as connection:
            found = connection.execute(select(t.job.c.state, func.count()).group_by(t.job.c.state))
            return {state: count for state, count in found}  # noqa: C416

    def begin(self, id_: int) -> bool:
        """Start a queued job. False: it is no longer queued, or this machine is running another job."""
        other = t.job.alias()
        busy = exists().where(other.c.state == "running", other.c.worker.startswith(self._worker.place))
        which = and_(t.job.c.id == id_, t.job.c.state == "queued", ~busy)
        return self._move(which, leased=True, state="running", started_at=now_ms(), worker=self._worker.name)

    def beat(self, id_: int, progress: dict[str, Any]) -> bool:
        """Extend the lease of a running job and store its progress. False: the job is no longer this worker's, for example
        because it was cancelled."""
        return self._move(self._mine(id_), leased=True, progress=json.dumps(progress))

    def hand_back(self, id_: int) -> None:
        """Put an unfinished job back into the queue. It later continues where it stopped."""
        self._move(self._mine(id_), state="queued", worker=None)

    def take_back(self) -> None:
        """Requeue jobs of dead services, and our own left from before."""
        c = t.job.c
        with self._database.reading() as connection:
            running = connection.execute(select(c.id, c.worker, c.leased_until).where(c.state == "running")).all()
            now = clock_ms(connection) if running else 0
        living = self._worker.living() - {self._worker.name} if running else set()
        for id_, worker, until in running:
            here = worker is not None and worker.startswith(self._worker.place)
            if (here and worker not in living) or (not here and (until or 0) < now):
                self._move(
                    and_(c.id == id_, c.state == "running", c.worker.is_not_distinct_from(worker)), state="queued", worker=None
                )

    def end(self, id_: int, state: str, progress: dict[str, Any], error: str | None = None, remedy: str | None = None) -> bool:
        """Store how this worker's job ended. False: it had already ended."""
        told = json.dumps(progress)
        return self._move(self._mine(id_), state=state, progress=told, error=error, remedy=remedy, ended_at=now_ms())

    def cancel(self, id_: int) -> None:
        """End a job, whichever service runs it. That service notices when it next stores its progress."""
        self._move(and_(t.job.c.id == id_, t.job.c.state.in_(OPEN)), state="cancelled", ended_at=now_ms())

    def _mine(self, id_: int) -> Any:  # noqa: ANN401 - an SQL condition
        return and_(t.job.c.id == id_, t.job.c.state == "running", t.job.c.worker == self._worker.name)

    def _move(self, which: Any, *, leased: bool = False, **values: Any) -> bool:  # noqa: ANN401 - an SQL condition
        """Update a job that meets a condition; ``leased`` extends this worker's lease. Returns whether there was such a job."""
        with self._database.writing(quiet=True) as connection:
            if leased:
                values["leased_until"] = clock_ms(connection) + LEASE_MS
            return connection.execute(update(t.job).where(which).values(**values)).rowcount == 1

    def _first(self, which: Any) -> Job | None:  # noqa: ANN401 - an SQL condition
        with self._database.reading() as connection:
            row = connection.execute(select(t.job).where(which)).first()
        return None if row is None else _job(row)


def _open() -> Select[Any]:
    return select(t.job).where(t.job.c.state.in_(OPEN)).order_by(t.job.c.id)


def _job(row: Any) -> Job:  # noqa: ANN401 - SQLAlchemy's rows are typed by position
    return Job(
        id=row.id, state=row.state, kind=row.kind, collection=row.collection, paths=tuple(json.loads(row.paths)), reason=row.reason, retry=row.retry,
        prune=row.prune, progress=json.loads(row.progress), error=row.error, remedy=row.remedy, key=row.key, body=row.body,
        created_at=row.created_at, started_at=row.started_at, ended_at=row.ended_at,
    )  # fmt: skip
