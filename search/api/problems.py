"""API errors: every error is a problem (RFC 9457, application/problem+json) with a remedy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.params import Query
from fastapi.responses import JSONResponse, Response
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from search import errors, log, wire
from search.errors import Problem, SensoriumError

TYPES = "/v1/problems/"
MODEL_RETRY_SECONDS = 30
"""Seconds after which a model that could not be loaded is tried again."""

DATABASE_RETRY_SECONDS = 5
"""Seconds after which callers should retry while the database is away."""

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger(__name__)

_KINDS: tuple[tuple[type[SensoriumError], int, str, str], ...] = (
    (errors.UnknownName, 422, "unknown-name", "A name is not known"),
    (errors.QueryError, 422, "query", "The query cannot be answered"),
    (errors.InputError, 422, "input", "The request cannot be"),
    (errors.MediaError, 422, "media", "The media cannot be read"),
    (errors.ModelMissing, 503, "model-missing", "The model is not here"),
    (errors.NewerDatabase, 503, "newer-database", "The database is from a newer version"),
    (errors.DatabaseAway, 503, "database-away", "The database cannot be reached"),
    (errors.StoreError, 503, "store", "The database cannot be used"),
    (errors.DiskFull, 507, "disk-full", "There is no room left"),
    (errors.IndexDamaged, 503, "index-damaged", "The index is damaged"),
)
_WAITS = ((errors.ModelMissing, MODEL_RETRY_SECONDS), (errors.DatabaseAway, DATABASE_RETRY_SECONDS))

MEANINGS = {
    "ending": (503, "The service ended before the request was finished. Nothing of it was kept."),
    "unknown-name": (
        422,
        "A collection, medium, channel or space of that name is not there. The remedy lists those that are, or near ones.",
    ),
    "query": (
        422,
        "The question has no meaning: terms that cancel each other out, a file that cannot be read, a segment that is not there.",
    ),
    "input": (422, "The request asks for something that cannot be, such as a number out of range."),
    "validation": (422, "A field is missing, of the wrong type, or out of range; `errors` names each."),
    "media": (422, "What was sent is no image, sound, video or text that can be decoded."),
    "form": (422, "A form that is sent as an upload holds one file, and is encoded as RFC 7578 says."),
    "inline": (422, "Media that stand in the request must be base64 (RFC 4648), or a data: URL with base64."),
    "folder": (422, "A folder in a filter is relative to a root of its collection, as hits show it."),
    "not-there": (422, "The folder or file to be indexed does not exist."),
    "idempotency-key": (422, "An Idempotency-Key stands for one request; another one came with it."),
    "cursor": (422, "A cursor goes on with the very request that answered it, and with nothing else."),
    "stale-cursor": (409, "What can be found has changed since the page before. Ask again without a cursor."),
    "empty-archive": (409, "Nothing is indexed yet."),
    "no-captioner": (409, "No model is set that answers questions. The remedy says how to set one."),
    "no-translator": (409, "No model is set that translates. The remedy says how to set one."),
    "no-imaginer": (409, "No model is set that imagines pictures. The remedy says how to set one."),
    "no-text": (409, "The segment has no text that could be translated."),
    "read-only": (409, "The service was started without an indexer."),
    "job-covers": (409, "Another job that has not ended works on the same. Location names it; `POST` to its `/cancel` ends it."),
    "changed": (409, "The file is not the one that was indexed any more. Index its folder again: `POST /v1/index-jobs`."),
    "vanished": (410, "The file is no longer where it was indexed. Index its folder again."),
    "objects-away": (
        503,
        "The object storage of the file cannot be reached, or refuses the service. Nothing is missing from the archive.",
    ),
    "range": (416, "The range begins beyond the end of the file; Content-Range says how long it is."),
    "too-large": (413, "An upload, inlined medium or request exceeds its limit, which the detail names."),
    "uploads-full": (507, "All uploads together take what they may. Delete some, or wait until some expire."),
    "cut-upload": (400, "The connection ended before all was sent. Nothing was kept; send it again."),
    "disk-full": (507, "There is no room on the server's disk. What was acknowledged is safe."),
    "busy": (429, "So many requests of this kind wait already that no more are taken. Retry-After says when to ask again."),
    "loading": (503, "The models are being loaded. Retry-After says when to ask again."),
    "model-missing": (503, "The model could not be loaded. The service tries again by itself; Retry-After says when."),
    "newer-database": (503, "The database was written by a newer Sensorium than the one that serves."),
    "database-away": (
        503,
        "The database cannot be reached at the moment. The service goes on by itself once it is back; Retry-After says when to ask again.",
    ),
    "store": (503, "The database cannot be used at the moment."),
    "index-damaged": (503, "The index on disk is not what was written. It is rebuilt from the database."),
    "no-asset": (404, "No asset has this id. It may have been deleted, or its files forgotten."),
    "no-segment": (404, "No segment has this id."),
    "no-job": (404, "No index job has this id."),
    "no-failure": (404, "No line of the ledger has this id. It may have been indexed meanwhile."),
    "no-case": (404, "No case has this id. It may have been deleted."),
    "changed-meanwhile": (409, "Somebody else has changed the case since it was read. Read it again."),
    "no-map": (404, "Nobody has made a map of the archive yet: `POST /v1/map`."),
    "no-imagining": (404, "No pictures are being imagined under this id. They are forgotten after a while."),
    "no-upload": (404, "No upload has this id. Uploads expire."),
    "no-problem": (404, "No problem is called that."),
    "no-picture": (404, "Texts have no thumbnail."),
    "pictureless": (422, "Things are pointed at in pictures and videos."),
    "no-thing": (422, "A thing is told from what is around it by its colours. Draw a box around it, or take the box itself."),
    "motionless": (422, "Only tracks and recordings of motion tell how something moved."),
    "no-preview": (404, "Only video and sound have a preview."),
    "foreign-host": (421, "The Host header names another service. The setting `hosts` lists the names of this one."),
    "foreign-origin": (403, "A page of another site sent the request; only this service's own page may change anything."),
    "token": (401, "The request shows no token, or one that was revoked, has expired, or is another archive's."),
    "limited": (403, "The token is limited to some collections; what was asked for needs others, or the whole archive."),
    "role": (403, "The token's role does not reach that far; the detail says which does."),
    "webhook": (422, "A webhook cannot be told, or may not be: the detail says why."),
    "url": (422, "The content at an address could not be fetched, or may not be: the detail says why."),
    "fetching-off": (403, "The service fetches nothing from the web, unless the setting `fetch_urls` says so."),
    "positions": (403, "The file is nothing but positions, and the setting `show_positions` does not name its collection."),
    "outside-roots": (403, "Only what lies under the configured roots is indexed."),
    "bad-request": (400, "The request is not HTTP as it should be."),
    "not-found": (404, "There is nothing at this address; /v1/docs lists every one."),
    "method-not-allowed": (405, "The address does not take this method; /v1/docs says which."),
    "error": (500, "The service failed in a way that it has a word for: see the detail."),
    "internal": (500, "The service failed by its own fault. Its log says more."),
}
"""Every kind of problem: its status, and what it means. ``GET /v1/problems/{kind}``, which types point to, answers from here."""

_REMEDIES = {
    404: "Check the address; /v1/docs lists every one.",
    413: "Send media to POST /v1/uploads, and search with the id that it answers.",
    405: "/v1/docs says which methods an address takes.",
}


def install(api: Starlette, hide: Callable[[str], str]) -> None:
    """Make ``api`` answer every error as a problem. ``hide`` removes the server's own paths from a text."""

    def ours(_: Request, error: Exception) -> Response:
        return respond(of(error), hide=hide)

    api.add_exception_handler(SensoriumError, ours)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(Exception, _unexpected)


async def known_parameters(request: Request) -> None:
    """A dependency of every route: query parameters that it does not have are refused, so that a misspelt one is noticed.

    Raises:
        RequestValidationError: there are such parameters.
    """
    route = request.scope["route"]
    known = {field.alias for field in get_flat_params(route.dependant) if isinstance(field.field_info, Query)}
    strange = [name for name in request.query_params if name not in known]
    if strange:
        listed = ", ".join(sorted(known)) or "none"
        raise RequestValidationError(
            [
                {"loc": ("query", name), "msg": f"there is no such parameter; known: {listed}", "type": "extra_forbidden"}
                for name in strange
            ]
        )


def described(schema: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The OpenAPI document that ``schema`` makes, with problems as ``application/problem+json``, which they are sent as."""
    told = schema()
    for path in told["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                if (status == "default" or status >= "400") and "application/json" in answer.get("content", {}):
                    answer["content"] = {MEDIA_TYPE: answer["content"].pop("application/json")}
    return told


def router() -> APIRouter:
    """The route of the problem type URLs."""
    routes = APIRouter(tags=["status"])

    @routes.get("/problems/{kind}", operation_id="problem", summary="What a problem means")
    def problem(kind: Annotated[str, Path(pattern="^[a-z]+(-[a-z]+)*$", max_length=40)]) -> dict[str, str | int]:
        """A kind of problem, as the type of an error names it."""
        if kind not in MEANINGS:
            raise not_found("problem", kind)
        status, meaning = MEANINGS[kind]
        return {"type": TYPES + kind, "status": status, "meaning": meaning}

    return routes


def respond(problem: Problem, *, hide: Callable[[str], str] = str, **more: Any) -> JSONResponse:  # noqa: ANN401
    """A problem as a response. It contains the request id that the log has."""
    body = {
        "type": TYPES + problem.kind, "title": problem.title, "status": problem.status,
        "detail": hide(str(problem)), "remedy": hide(problem.remedy),
    }  # fmt: skip
    if request := log.request_id.get():
        body["request"] = request
    return JSONResponse(body | more, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)


NOT_FOUND = Problem(404, "not-found", "Not Found", "Not Found.", remedy=_REMEDIES[404])


def not_found(what: str, id_: object) -> Problem:
    """A 404 problem: there is no such thing with this id."""
    title = f"There is no such {what}"
    return Problem(
        404, f"no-{what}", title, f"There is no {what} {id_}.", remedy="Take the id from a list or a search; it may be gone."
    )


def of(error: Exception) -> Problem:
    """One of our errors as a problem."""
    if isinstance(error, Problem):
        return error
    for kind, status, name, title in _KINDS:
        if isinstance(error, kind):
            remedy = error.remedy
            if status == 503 and not isinstance(error, errors.DatabaseAway):  # the caller cannot mend it
                _log.warning("%s: %s %s", title, error, remedy)
                remedy = f"Whoever runs the service: {remedy}" if remedy else "Whoever runs the service finds more in its log."
            wait = next((seconds for one, seconds in _WAITS if isinstance(error, one)), None)
            headers = {} if wait is None else {"retry_after": str(wait)}
            return Problem(status, name, title, wire.sentence(str(error)), remedy=remedy, **headers)
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


class Stopped(HTTPException):
    """A problem raised while a body is read. FastAPI lets HTTP errors through, and treats all other errors as invalid bodies."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.status, str(problem))
        self.problem = problem


def _http(_: Request, error: Exception) -> Response:
    if isinstance(error, Stopped):
        return respond(error.problem)
    status, headers = 500, None
    if isinstance(error, HTTPException):
        status, headers = error.status_code, error.headers
    title = HTTPStatus(status).phrase
    problem = Problem(status, title.lower().replace(" ", "-"), title, f"{title}.", remedy=_REMEDIES.get(status, "See /v1/docs."))
    problem.headers |= headers or {}
    return respond(problem)


def _unexpected(_: Request, __: Exception) -> Response:
    """An internal error, answered without details. The error continues to the log."""
    return respond(INTERNAL)


INTERNAL = Problem(
    500, "internal", "The service failed", "Something went wrong in the service.",
    remedy="Try again. If it fails again, look into the service's log: it names the request.",
)  # fmt: skip
