"""The state of the service and the archive: for people, for probes, for Prometheus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from itertools import islice
from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from search import wire
from search.api import links
from search.api import schemas as s
from search.api.cursors import Cursor, cut, key_of
from search.api.index_jobs import Token
from search.api.places import Places, printable
from search.api.prefixed import public
from search.api.problems import not_found
from search.api.seen import Seen, Sight
from search.api.service import Service
from search.query.spoken import hears
from search.readers.windows import FAMILY as REGIONS
from search.store.spaces import SpaceEntry
from search.types import Coverage

MAX_TAGS, MAX_ROOTS = 100, 1_000
"""The most tags and roots that a list names."""


def router(service: Service) -> APIRouter:
    """The routes that report the state."""
    routes = APIRouter(tags=["status"])

    @routes.get("/status", operation_id="status", summary="What there is, and how the service is")
    def status(seen: Sight) -> s.Status:
        """Counts of the archive, whether the engine is ready, and what is being indexed."""
        return _status(service, seen)

    @routes.get("/collections", operation_id="collections", summary="Collections and roots")
    def collections(seen: Sight, limit: Annotated[int, Query(ge=1, le=1_000)] = 500, cursor: Cursor = None) -> s.Collections:
        """A page of the collections, oldest first, each with its files by modality and how much of it can be found; and the folders that
        index jobs may name."""
        page, following = cut(seen.catalogue.collections(after=key_of(cursor) or 0, limit=limit + 1), limit)
        places, known, covered = seen.places, seen.places.collections(), service.coverage([one.name for one in page])
        entries = [
            s.Collection(
                name=one.name,
                roots=[_root(places, path, shown=places.shown(one.name)) for path in known.get(one.name, ())],
                files=one.files,
                coverage=links.coverage(covered.get(one.name, Coverage())),
            )
            for one in page
        ]
        roots = [_root(places, path, shown=places.shown(None)) for path in islice(places.roots().values(), MAX_ROOTS)]
        return s.Collections(collections=entries, cursor=following, roots=roots, tags=seen.labels.names(MAX_TAGS))

    @routes.get("/failures", operation_id="failures", summary="What could not be searched, and why")
    def failures(
        seen: Sight, collection: s.Words | None = None, reason: s.Words | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100, cursor: Cursor = None,
    ) -> s.Failures:  # fmt: skip
        """The ledger: counts by reason with what to do, and a page of its lines."""
        if collection is not None:
            seen.store.collection(collection)
        found = seen.catalogue.ledger(collection=collection, reason=reason, after=key_of(cursor) or 0, limit=limit + 1)
        page, following = cut(found, limit)
        return links.failures(page, seen.catalogue.reasons(collection), seen.places, following)

    @routes.post("/failures/retry", status_code=202, operation_id="retry", summary="Try failures again")
    def retry(asked: s.RetryRequest, response: Response, seen: Sight, key: Token = None) -> s.Job:
        """Try files again that could not be searched, and nothing else. An index job like any other: watch it, or cancel it."""
        if asked.collection is not None:
            seen.store.collection(asked.collection)
        lines = seen.catalogue.lines(asked.failures)
        if missing := set(asked.failures) - lines.keys():
            raise not_found("failure", min(missing))
        job = service.jobs.ask_again(asked, sorted({line.path for line in lines.values()}), key, seen)
        response.headers["Location"] = public(f"{s.BASE}/index-jobs/{job.id}")
        return service.jobs.tell(job, seen)

    return routes


def probes(service: Service) -> list[Route]:
    """The routes at the root: ``/livez``, ``/readyz`` and ``/metrics``."""

    own = CapacityLimiter(2)  # threads reserved for these requests

    async def live(_: Request) -> Response:
        return JSONResponse({"live": True})

    def ready() -> Response:
        state, _error = service.state()
        is_ready = state in ("ready", "empty")
        return JSONResponse({"ready": is_ready, "engine": state}, 200 if is_ready else 503)

    def metrics() -> Response:
        return Response(service.metrics.render(service.figures()), media_type=CONTENT_TYPE_LATEST)

    def beside(answer: Callable[[], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(_: Request) -> Response:
            return await to_thread.run_sync(answer, limiter=own)

        return endpoint

    served = {"/livez": live, "/readyz": beside(ready), "/metrics": beside(metrics)}
    return [Route(path, endpoint) for path, endpoint in served.items()]


def _space(entry: SpaceEntry, seen: Seen) -> s.SpaceEntry:
    told = wire.space(entry)
    known = [name for name in told["collections"] if seen.within is None or name in seen.within]
    return s.SpaceEntry(**told | {"collections": known})


def _root(places: Places, path: str, *, shown: bool) -> s.Root:
    return s.Root(name=places.tell(path), path=printable(path) if shown else None)


def _status(service: Service, seen: Seen) -> s.Status:
    state, error = service.state()
    running = service.jobs.running(seen)
    entries = service.spaces.all()
    spaces = [_space(entry, seen) for entry in entries]
    recall = [s.RecallFigure(**told) for told in wire.recall(service.settings.home, entries)]
    hide, settings = service.places.hide, service.settings
    return s.Status(
        engine=state, detail=hide(str(error)) if error else None, remedy=hide(error.remedy) if error else None,
        generation=service.generation(), collections=sorted(seen.places.collections()), spaces=spaces, recall=recall,
        job=service.jobs.tell(running, seen) if running else None, hears=hide(hears(service.readers) or "") or None,
        regions=any(reader.name == REGIONS for reader in service.readers.all()),
        answers=hide(settings.captioner) or None, translates=hide(settings.translator) or None, imagines=hide(settings.imaginer) or None,
        masks=hide(settings.masker) or None, version=version("sensorium"), **seen.counts(),
    )  # fmt: skip
