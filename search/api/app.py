"""The application: the API under /v1, probes at the root, behind guards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI
from fastapi_offline import FastAPIOffline
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Mount, Route

from search.api import (
    assets,
    casework,
    copying,
    embeddings,
    explaining,
    exporting,
    field_routes,
    health,
    imaginings,
    index_jobs,
    judgement_routes,
    media_files,
    model_texts,
    problems,
    saved_questions,
    searching,
    segmenting,
    uploads,
)
from search.api.access import Logged
from search.api.drain import Draining
from search.api.guard import Bounded, Guard, Shielded
from search.api.identity import Access, Identified, within_of
from search.api.metrics import Measured
from search.api.prefixed import Prefixed, Rooted, public
from search.api.schemas import BASE, Trouble
from search.api.service import Service

_ABOUT = """Search media archives: find images, video, sound and text with any of them.

Every error is a problem (RFC 9457) that says what to do. Assets and segments are named by ids; paths of the server show only
where a collection is configured to show them."""


def create_api(service: Service) -> FastAPI:
    """The API, to be mounted at ``/v1``."""
    trouble: dict[int | str, dict[str, Any]] = {
        "default": {"model": Trouble, "description": "A problem"}, 422: {"model": Trouble, "description": "The request cannot be"},
    }  # fmt: skip
    # FastAPI's own documentation pages fetch their scripts from the web; these bring them along.
    api = FastAPIOffline(
        redoc_url=None,
        title="Sensorium",
        version=version("sensorium"),
        description=_ABOUT,
        responses=trouble,
        dependencies=[Depends(problems.known_parameters)],
    )
    api.openapi = partial(problems.described, api.openapi)  # type: ignore[method-assign]
    problems.install(api, service.places.hide)
    for router in (
        searching.router(service), segmenting.router(service), explaining.router(service), copying.router(service), exporting.router(service), embeddings.router(service), casework.router(service), saved_questions.router(service), field_routes.router(service), judgement_routes.router(service), assets.router(service), media_files.router(service), uploads.router(service.uploads),
        index_jobs.router(service.jobs, service.drain), model_texts.router(service), imaginings.router(service.imaginings), health.router(service), problems.router(),
    ):  # fmt: skip
        api.include_router(router)
    api.state.seen = lambda scope: service.seen(within_of(scope))
    api.add_middleware(Rooted)
    api.add_middleware(Bounded, unbounded=f"{BASE}/uploads")
    api.add_middleware(Measured, metrics=service.metrics)
    return api


def routes(service: Service) -> list[BaseRoute]:
    """The routes beside the page: the API and the probes."""
    return [*health.probes(service), Mount(BASE, app=create_api(service))]


def guards(service: Service, access: Access | None, scripts: Sequence[str] = ()) -> list[Middleware]:
    """The middleware in front of everything, including the page. ``access`` decides who may call; None: anybody.

    ``scripts``: the inline scripts of the page.
    """
    identified = [] if access is None else [Middleware(Identified, access=access)]
    return [
        Middleware(Prefixed, prefix=service.settings.prefix), Middleware(Logged), Middleware(Shielded, scripts=scripts), Middleware(Draining, drain=service.drain),
        Middleware(Guard, hosts=service.settings.hosts.split(",")), *identified,
    ]  # fmt: skip


def create_app(service: Service, access: Access | None = None) -> Starlette:
    """The API alone; ``/`` redirects to its documentation. Starts the service, and closes it at shutdown.

    ``access`` decides who may call. None means anybody; it is for programs with their own access control.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.start()
        yield
        service.close()

    def front(_: Request) -> RedirectResponse:
        return RedirectResponse(public(f"{BASE}/docs"))

    app = Starlette(routes=[*routes(service), Route("/", front)], middleware=guards(service, access), lifespan=lifespan)
    problems.install(app, service.places.hide)
    return app
