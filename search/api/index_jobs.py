"""Index jobs: requested through the API, run one at a time in a separate process, stored in SQL.

Jobs queue, since one uses the whole machine. A job for a folder that another open job covers is rejected; the error names that
job. A job that was interrupted by a shutdown continues when the service starts again, or in another service of the same archive.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from search.api import fetch, links
from search.api import schemas as s
from search.api.cursors import Cursor, cut, key_of
from search.api.drain import Drain
from search.api.identity import still
from search.api.places import overlaps, printable
from search.api.prefixed import public
from search.api.problems import not_found
from search.api.seen import Seen, Sight
from search.errors import DatabaseAway, Problem, SensoriumError
from search.folders import real
from search.locks import Worker
from search.store import Database, JobBook
from search.store.jobs import OPEN, Job

RETRY_SECONDS = 10.0
"""Seconds before the queue is checked again after a database error."""

QUEUE_POLL_SECONDS = 5.0
"""Seconds between two looks at the queue: other services queue jobs too, and may die while running one."""

BEAT_SECONDS = 2.0
"""Seconds between two writes of a running job's progress. They also let other services cancel it."""

TELL_AGAIN_SECONDS = (10.0, 60.0, 0.0)
"""Seconds after which a webhook that does not answer is told again; after the last it is not."""

_log = logging.getLogger(__name__)

Token = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]
Report = Callable[[dict[str, Any]], None]


class JobRunner(Protocol):
    """Runs one index job to its end, outside of this process."""

    def __call__(self, job: Job, report: Report, stop: threading.Event) -> None:
        """Run the job. ``report`` gets progress (``scanning``, ``scan``, ``work``: the indexer's counts) as it comes; ``stop``
        ends the job early.

        Raises:
            DatabaseAway: the job must start again once the database is back.
            SensoriumError: why it failed.
        """
        ...


@dataclass(slots=True)
class _Run:
    """The job that is running."""

    job: int
    stop: threading.Event
    progress: dict[str, Any]
    cancelled: bool = False


class IndexJobs:
    """The queue of jobs, and the thread that processes it. Thread-safe."""

    def __init__(
        self, database: Database, worker: Worker, runner: JobRunner | None, *, webhook: str = "", secret: str = ""
    ) -> None:  # fmt: skip
        """``worker`` is this service, as others see it. Without a ``runner``, jobs are rejected: the service only reads. A ``webhook`` is
        told of each job that has ended, signed with a ``secret``.

        Raises:
            Problem: the webhook is not allowed.
        """
        if webhook:
            fetch.check_webhook(webhook)
        self._webhook, self._secret = webhook, secret
        self.book, self._database = JobBook(database, worker), database
        self._runner = runner
        self._lock = threading.Lock()
        self._wake, self._closing = threading.Event(), threading.Event()
        self._run: _Run | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start processing the queue."""
        if self._runner is None:
            return
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Interrupt the running job; it continues at the next start."""
        self._closing.set()
        self._wake.set()
        with self._lock:
            if self._run:
                self._run.stop.set()
        if self._thread:
            self._thread.join()

    def ask(self, asked: s.JobRequest, key: str | None, seen: Seen) -> Job:
        """Queue a job that indexes folders. The same ``key`` with the same request returns the same job.

        Raises:
            Problem: a folder is outside the roots, or the collection beyond what the caller sees (403); a folder does not exist (422); another job covers it (409); the key was used for another request (422).
        """
        if seen.within is not None and asked.collection not in seen.within:
            raise _limited(asked.collection)

        def add(body: str) -> Job:
            paths = [seen.places.resolve(path) for path in asked.paths]
            refuse = partial(_refuse_overlap, paths, seen)
            return self.book.add(
                paths, asked.collection, key=_key(key, seen), body=body, retry=asked.retry, prune=asked.prune, refuse=refuse
            )

        return self._once(asked, key, seen, add)

    def ask_again(self, asked: s.RetryRequest, paths: list[str], key: str | None, seen: Seen) -> Job:
        """Queue a job that retries failures, only those at ``paths`` if there are any.

        Raises:
            Problem: no collection is named, although the caller sees some alone (403); failures are already being retried (409); the key was used for another request (422).
        """
        if seen.within is not None and asked.collection is None:
            raise _limited("")

        def add(body: str) -> Job:
            collection, refuse = asked.collection or "", partial(_refuse_second, seen)
            return self.book.add(
                paths, collection, kind="retry", reason=asked.reason, key=_key(key, seen), body=body, refuse=refuse
            )

        return self._once(asked, key, seen, add)

    def ask_map(self, key: str | None, seen: Seen) -> Job:
        """Queue a job that makes a map of the archive.

        Raises:
            Problem: the caller sees some collections alone (403); a map is being made already (409).
        """
        if seen.within is not None:
            raise _limited("")

        def add(body: str) -> Job:
            return self.book.add([], "", kind="map", key=_key(key, seen), body=body, refuse=partial(_refuse_map, seen))

        return self._once(s.Wire(), key, seen, add)

    def _once(self, asked: s.Wire, key: str | None, seen: Seen, add: Callable[[str], Job]) -> Job:
        """The job that an earlier request with this key made, or a new one made by ``add``."""
        if self._runner is None:
            raise Problem(
                409,
                "read-only",
                "This service does not index",
                "It was started without an indexer.",
                remedy="Use `sensorium index`.",
            )
        body = hashlib.sha256(asked.model_dump_json().encode()).hexdigest()
        known = _key(key, seen)
        job = (self.book.with_key(known) if known is not None else None) or add(body)
        if job.body != body:
            raise Problem(
                422, "idempotency-key", "The key was used before", "This Idempotency-Key came with another request.",
                remedy="Make a new key for a new request.",
            )  # fmt: skip
        self._wake.set()
        return job

    def get(self, id_: int, seen: Seen) -> Job:
        """A job; raises Problem (404) where there is none, or none that the caller sees."""
        if (job := self.book.get(id_)) is None or not _sees(seen, job):
            raise not_found("job", id_)
        return job

    def cancel(self, id_: int, seen: Seen) -> Job:
        """End a job early. What was indexed stays. A job that has already ended does not change."""
        self.get(id_, seen)
        with self._lock:
            if self._run and self._run.job == id_:
                self._run.cancelled = True
                self._run.stop.set()
            else:
                self.book.cancel(id_)
        return self.get(id_, seen)

    def running(self, seen: Seen) -> Job | None:
        """The job that is running, here or in another service, if the caller sees it."""
        return next((job for job in self.book.open() if job.state == "running" and _sees(seen, job)), None)

    def tell(self, job: Job, seen: Seen) -> s.Job:
        """A job in the form of the API, with its current progress."""
        run = self._run
        progress = run.progress if run and run.job == job.id else job.progress
        hide = seen.places.hide
        return s.Job(
            id=job.id, state=job.state, kind=job.kind, reason=job.reason, collection=job.collection, folders=[seen.places.tell(path) for path in job.paths],  # type: ignore[arg-type]
            retry=job.retry, prune=job.prune, progress=_progress(job, progress),
            error=job.error and hide(job.error), remedy=job.remedy and hide(job.remedy), created_at=links.moment(job.created_at),
            started_at=None if job.started_at is None else links.moment(job.started_at),
            ended_at=None if job.ended_at is None else links.moment(job.ended_at),
        )  # fmt: skip

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                self._work_off()
            except DatabaseAway:  # the database layer logs it
                self._database.wait(stop=self._closing)
            except SensoriumError as error:
                _log.warning("The queue of jobs cannot be read or written: %s", error)
                self._closing.wait(RETRY_SECONDS)
            except Exception:  # noqa: BLE001 - whatever happens, later jobs run
                _log.exception("The queue of jobs cannot be worked off.")
                self._closing.wait(RETRY_SECONDS)

    def _work_off(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            self.book.take_back()
            job = next((one for one in self.book.open() if one.state == "queued"), None)
            if job is not None and self._begin(job):
                self._execute(job)
            else:
                self._wake.wait(QUEUE_POLL_SECONDS)

    def _begin(self, job: Job) -> bool:
        with self._lock:
            if self._closing.is_set() or not self.book.begin(job.id):
                return False
            self._run = _Run(job.id, threading.Event(), {})
            return True

    def _execute(self, job: Job) -> None:
        run, runner = self._run, self._runner
        assert run is not None and runner is not None  # noqa: S101, PT018 - for the types: set by _begin, and by start
        state, error, remedy, again = "done", None, None, False

        def report(progress: dict[str, Any]) -> None:
            run.progress = progress

        over = threading.Event()
        beat = threading.Thread(target=self._beat, args=(run, over), name="beat", daemon=True)
        beat.start()
        try:
            runner(job, report, run.stop)
        except DatabaseAway:
            again = True
        except SensoriumError as failure:
            state, error, remedy = "failed", str(failure), failure.remedy
        except Exception as failure:  # noqa: BLE001 - whatever happens to one job, the next one runs
            state, error, remedy = "failed", f"{type(failure).__name__}: {failure}", "Look into the service's log."
        over.set()
        beat.join()
        with self._lock:
            self._run = None
        end: Callable[[], object]
        if run.cancelled:
            end = partial(self.book.end, job.id, "cancelled", run.progress)
        elif again or run.stop.is_set():  # the service ends
            end = partial(self.book.hand_back, job.id)
        else:
            end = partial(self.book.end, job.id, state, run.progress, error, remedy)
        self._write_down(end)
        if self._webhook and (ended := self.book.get(job.id)) and ended.state not in OPEN:
            threading.Thread(target=self._tell, args=(ended,), name="job-webhook", daemon=True).start()

    def _tell(self, job: Job) -> None:
        """Tell the webhook how a job ended; where it does not answer, twice more."""
        told = {
            "type": f"job.{job.state}", "id": job.id, "kind": job.kind, "collection": job.collection, "error": job.error, "remedy": job.remedy,
            "progress": _progress(job, job.progress).model_dump(mode="json"), "started_at": job.started_at, "ended_at": job.ended_at,
        }  # fmt: skip
        for pause in TELL_AGAIN_SECONDS:
            try:
                fetch.post(self._webhook, json.dumps(told).encode(), self._secret)
            except SensoriumError as error:
                _log.warning("The webhook could not be told that job %d is %s: %s", job.id, job.state, error)
                if self._closing.wait(pause):
                    return
            else:
                return

    def _write_down(self, write: Callable[[], object]) -> None:
        """Store the outcome of a job as soon as the database can be reached."""
        while True:
            try:
                write()
            except DatabaseAway:
                if not self._database.wait(stop=self._closing):
                    raise
            else:
                return

    def _beat(self, run: _Run, over: threading.Event) -> None:
        """Store the progress of a running job, and end it when another service has cancelled it."""
        while not over.wait(BEAT_SECONDS):
            with suppress(SensoriumError):
                if not self.book.beat(run.job, run.progress) and not over.is_set():
                    run.cancelled = True
                    run.stop.set()
                    return


def _sees(seen: Seen, job: Job) -> bool:
    return seen.within is None or job.collection in seen.within


def _key(key: str | None, seen: Seen) -> str | None:
    """The key under which a request is stored: who sees some collections alone meets no key of others."""
    if key is None or seen.within is None:
        return key
    return hashlib.sha256(repr((key, sorted(seen.within))).encode()).hexdigest()


def _limited(collection: str) -> Problem:
    detail = f"It does not reach the collection {collection!r}." if collection else "It does not reach all collections."
    return Problem(
        403, "limited", "The token is limited to collections", detail, remedy="Name a collection that GET /v1/collections lists."
    )


def _covered(other: Job, title: str) -> Problem:
    return Problem(
        409, "job-covers", title, f"Job {other.id} is {other.state} on it.",
        remedy="Wait for it, or cancel it.", Location=public(f"{s.BASE}/index-jobs/{other.id}"),
    )  # fmt: skip


def _refuse_overlap(paths: Sequence[str], seen: Seen, others: Sequence[Job]) -> None:
    mine = [real(path) for path in paths]
    for other in others:
        if other.kind == "index" and _sees(seen, other) and overlaps(mine, [real(path) for path in other.paths]):
            raise _covered(other, "A job covers this folder already")


def _refuse_second(seen: Seen, others: Sequence[Job]) -> None:
    if other := next((one for one in others if one.kind == "retry" and _sees(seen, one)), None):
        raise _covered(other, "Failures are being tried again already")


def _refuse_map(seen: Seen, others: Sequence[Job]) -> None:
    if other := next((one for one in others if one.kind == "map" and _sees(seen, one)), None):
        raise _covered(other, "A map is being made already")


def router(jobs: IndexJobs, drain: Drain) -> APIRouter:
    """The routes of index jobs."""
    routes = APIRouter(prefix="/index-jobs", tags=["index jobs"])

    @routes.post("", status_code=202, operation_id="index", summary="Index folders")
    def index(asked: s.JobRequest, response: Response, seen: Sight, key: Token = None) -> s.Job:
        """Bring the archive up to date with folders and files under the roots. Jobs run one after another.

        Paths are absolute, or begin with the name of a root as `GET /v1/collections` lists it.
        """
        job = jobs.ask(asked, key, seen)
        response.headers["Location"] = public(f"{s.BASE}/index-jobs/{job.id}")
        return jobs.tell(job, seen)

    @routes.get("", operation_id="jobs", summary="Index jobs, newest first")
    def page(seen: Sight, limit: Annotated[int, Query(ge=1, le=200)] = 50, cursor: Cursor = None) -> s.Jobs:
        """A page of jobs."""
        some, following = cut(jobs.book.page(before=key_of(cursor), limit=limit + 1, within=seen.within), limit)
        return s.Jobs(jobs=[jobs.tell(job, seen) for job in some], cursor=following)

    @routes.get("/{id}", operation_id="job", summary="An index job")
    def get(id: s.Id, seen: Sight) -> s.Job:  # noqa: A002 - the name in the address
        """A job with its progress."""
        return jobs.tell(jobs.get(id, seen), seen)

    @routes.post("/{id}/cancel", operation_id="cancel_job", summary="Cancel an index job")
    def cancel(id: s.Id, seen: Sight) -> s.Job:  # noqa: A002
        """End a job early. What was indexed stays; a job that has ended stays as it is."""
        return jobs.tell(jobs.cancel(id, seen), seen)

    @routes.get(
        "/{id}/events", response_class=StreamingResponse, operation_id="job_events", summary="A job's progress as it comes",
        responses={200: {"content": {"text/event-stream": {}}}},
    )  # fmt: skip
    async def events(id: s.Id, request: Request, seen: Sight) -> StreamingResponse:  # noqa: A002
        """Server-sent events: first how the job is now, then every change, until it has ended, or the service. Coming back misses nothing."""
        await asyncio.to_thread(jobs.get, id, seen)
        return StreamingResponse(_events(jobs, id, seen, request, drain), media_type="text/event-stream", headers=_AS_IT_COMES)

    @routes.get("/{id}/errors", operation_id="job_errors", summary="What a job could not index")
    def errors(id: s.Id, seen: Sight, limit: Annotated[int, Query(ge=1, le=500)] = 100, cursor: Cursor = None) -> s.Failures:  # noqa: A002
        """The lines that the job wrote into the ledger."""
        job, catalogue = jobs.get(id, seen), seen.catalogue
        spell = (job.started_at or job.created_at, job.ended_at)
        found = catalogue.ledger(collection=job.collection or None, spell=spell, after=key_of(cursor) or 0, limit=limit + 1)
        some, following = cut(found, limit)
        return links.failures(some, catalogue.reasons(job.collection or None, spell=spell), seen.places, following)

    return routes


_AS_IT_COMES = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Headers of events. A proxy, such as nginx, keeps an answer back until it has a page of it, unless it is told not to."""


async def _events(jobs: IndexJobs, id_: int, seen: Seen, request: Request, drain: Drain) -> AsyncIterator[str]:
    said, number, silent = "", 0, 0.0
    while not drain.begun and not await request.is_disconnected():
        try:
            if not await asyncio.to_thread(still, request.scope):  # revoked, expired, or another role
                return
            job = await asyncio.to_thread(lambda: jobs.tell(jobs.get(id_, seen), seen))
        except DatabaseAway:
            yield ": the database is away\n\n"
            await asyncio.sleep(RETRY_SECONDS)
            continue
        told = job.model_dump_json()
        if told != said:
            said, number, silent = told, number + 1, 0.0
            yield f"id: {number}\nevent: {'progress' if job.state in OPEN else 'end'}\ndata: {told}\n\n"
        elif (silent := silent + 0.5) >= 15:
            silent = 0.0
            yield ": still here\n\n"
        if job.state not in OPEN:
            return
        await asyncio.sleep(0.5)


def _progress(job: Job, told: dict[str, Any]) -> s.Progress:
    scan, work = told.get("scan", {}), told.get("work", {})
    ended = work.get("done", 0) + work.get("failed", 0)
    to_do = max(scan.get("queued", 0), ended)
    until = job.ended_at or time.time() * 1000
    seconds = max((until - (job.started_at or until)) / 1000, 1e-3)
    rate = ended / seconds if ended else None
    left = (to_do - ended) / rate if rate else None
    to_read, behind = work.get("to_read", 0), work.get("behind", 0.0)
    if reader := work.get("reader", ""):
        left = work["seconds"] / behind * (to_read - behind) if behind else None
    if stage := work.get("stage", ""):
        done, of = work["stage_done"], work["stage_of"]
        left = work["stage_seconds"] / done * (of - done) if done else None
    current = work.get("current", "")
    return s.Progress(
        scanning=told.get("scanning", True) and job.state in OPEN, files=scan.get("files", 0), unchanged=scan.get("unchanged", 0),
        to_do=to_do, done=work.get("done", 0), failed=work.get("failed", 0) + scan.get("rejected", 0),
        segments=work.get("segments", 0), current=printable(os.path.basename(current)),
        files_per_second=rate and round(rate, 2),
        seconds_left=round(left, 1) if left is not None and job.state == "running" else None,
        reader=reader or None, to_read=to_read if reader else 0, behind=round(behind, 3) if reader else 0.0, stage=stage or None,
        stage_done=work.get("stage_done", 0) if stage else 0, stage_of=work.get("stage_of", 0) if stage else 0,
    )  # fmt: skip
