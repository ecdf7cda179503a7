"""Errors on the line: every one is a problem (RFC 9457, application/problem+json) with what to do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from search import errors
from search.errors import Problem, SensoriumError

TYPES = "/v1/problems/"
MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger(__name__)

_KINDS: tuple[tuple[type[SensoriumError], int, str, str], ...] = (
    (errors.UnknownName, 422, "unknown-name", "A name is not known"),
    (errors.QueryError, 422, "query", "The query cannot be answered"),
    (errors.InputError, 422, "input", "The request cannot be"),
    (errors.MediaError, 422, "media", "The media cannot be read"),
    (errors.ModelMissing, 503, "model-missing", "The model is not here"),
    (errors.NewerDatabase, 503, "newer-database", "The database is from a newer version"),
    (errors.StoreError, 503, "store", "The database cannot be used"),
    (errors.DiskFull, 507, "disk-full", "There is no room left"),
    (errors.IndexDamaged, 503, "index-damaged", "The index is damaged"),
)
_REMEDIES = {
    404: "Check the address; /v1/docs lists every one.",
    413: "Send media to POST /v1/uploads, and search with the id that it answers.",
    405: "/v1/docs says which methods an address takes.",
}


def install(api: FastAPI, hide: Callable[[str], str]) -> None:
    """Have every error of ``api`` answered as a problem. ``hide`` takes the server's own paths out of a text."""

    def ours(_: Request, error: Exception) -> Response:
        problem = error if isinstance(error, Problem) else _of(error)
        return respond(problem, hide=hide)

    api.add_exception_handler(SensoriumError, ours)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(Exception, _unexpected)


def respond(problem: Problem, *, hide: Callable[[str], str] = str, **more: Any) -> JSONResponse:  # noqa: ANN401
    """A problem as a response."""
    body = {
        "type": TYPES + problem.kind, "title": problem.title, "status": problem.status,
        "detail": hide(str(problem)), "remedy": hide(problem.remedy),
    }  # fmt: skip
    return JSONResponse(body | more, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)


def not_found(what: str, id_: object) -> Problem:
    """Something with this id is not there."""
    title = f"There is no such {what}"
    return Problem(
        404, f"no-{what}", title, f"There is no {what} {id_}.", remedy="Take the id from a list or a search; it may be gone."
    )


def _of(error: Exception) -> Problem:
    for kind, status, name, title in _KINDS:
        if isinstance(error, kind):
            return Problem(status, name, title, str(error), remedy=error.remedy)
    remedy = getattr(error, "remedy", "")
    return Problem(500, "error", "The service failed", str(error), remedy=remedy)


def _invalid(_: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    details = [{"where": _where(one["loc"]), "message": one["msg"]} for one in found[:20]]
    told = "; ".join(f"{one['where']}: {one['message']}" for one in details[:3])
    problem = Problem(
        422,
        "validation",
        "The request is not valid",
        f"{told}.",
        remedy="Mend the fields named; /v1/docs shows what is expected.",
    )
    return respond(problem, errors=details)


def _where(location: Iterable[int | str]) -> str:
    return ".".join(_printable(str(part)) for part in location)[:200]


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _http(_: Request, error: Exception) -> Response:
    status, headers = 500, None
    if isinstance(error, HTTPException):
        status, headers = error.status_code, error.headers
    title = HTTPStatus(status).phrase
    problem = Problem(status, title.lower().replace(" ", "-"), title, f"{title}.", remedy=_REMEDIES.get(status, "See /v1/docs."))
    problem.headers |= headers or {}
    return respond(problem)


def _unexpected(request: Request, error: Exception) -> Response:
    """Our own fault: told without its insides, which go to the log."""
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return respond(
        Problem(
            500,
            "internal",
            "The service failed",
            "Something went wrong in the service.",
            remedy="Try again. If it fails again, look into the service's log.",
        )
    )
