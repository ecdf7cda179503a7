"""The client of the API, typed: ``Client`` waits, ``AsyncClient`` awaits. Both make the calls of ``search.api.calls``.

with Client("http://127.0.0.1:8571") as client:
    for hit in client.search("boats at sunset", targets=["video"]).hits:
        print(hit.asset.name, hit.links.moment)
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar
from urllib.parse import urlsplit

import anyio
import httpx2

from search import traces
from search.api import calls
from search.api.calls import Call
from search.api.schemas import BASE, Job
from search.errors import SensoriumError, ServiceAway
from search.settings import load

ADDRESS = "http://127.0.0.1:8571"
TIMEOUT = httpx2.Timeout(60.0, connect=5.0)
_CHUNK_BYTES = 1 << 20

P = ParamSpec("P")
T = TypeVar("T")


def _waiting(build: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], T]:
    @functools.wraps(build)
    def method(self: Client, /, *args: P.args, **options: P.kwargs) -> T:
        return self.send(build(*args, **options))

    return method


def _awaiting(build: Callable[P, Call[T]]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    @functools.wraps(build)
    async def method(self: AsyncClient, /, *args: P.args, **options: P.kwargs) -> T:
        return await self.send(build(*args, **options))

    return method


class Client:
    """Calls the API and waits for its answers. Threads may share it.

    Every call raises ServiceAway (no connection), ServiceLoading (try again soon), Refused (4xx) or ServiceFailed.
    """

    def __init__(
        self, address: str = ADDRESS, *, token: str | None = None, transport: httpx2.BaseTransport | None = None
    ) -> None:  # fmt: skip
        """``token``: made by `sensorium tokens add`; None: the local token of this user's home, if the service is on this
        machine.

        ``transport`` replaces the network, in tests.
        """
        self._http = httpx2.Client(base_url=address, timeout=TIMEOUT, transport=transport, headers=_bearer(address, token))

    search = _waiting(calls.search)
    why = _waiting(calls.why)
    encoded = _waiting(calls.encoded)
    duplicates = _waiting(calls.duplicates)
    reuse = _waiting(calls.reuse)
    plan = _waiting(calls.plan)
    export = _waiting(calls.export)
    embeddings = _waiting(calls.embeddings)
    mask = _waiting(calls.mask)
    saved, saved_new = _waiting(calls.saved), _waiting(calls.saved_new)
    save = _waiting(calls.save)
    seen = _waiting(calls.seen)
    forget_saved = _waiting(calls.forget_saved)
    set_field = _waiting(calls.set_field)
    cases = _waiting(calls.cases)
    make_case = _waiting(calls.make_case)
    case = _waiting(calls.case)
    collect = _waiting(calls.collect)
    change_case = _waiting(calls.change_case)
    delete_case = _waiting(calls.delete_case)
    facets = _waiting(calls.facets)
    browse = _waiting(calls.browse)
    contrast = _waiting(calls.contrast)
    judgements = _waiting(calls.judgements)
    judge = _waiting(calls.judge)
    sample = _waiting(calls.sample)
    forget_judgements = _waiting(calls.forget_judgements)
    assets = _waiting(calls.assets)
    asset = _waiting(calls.asset)
    segments = _waiting(calls.segments)
    regions = _waiting(calls.regions)
    provenance = _waiting(calls.provenance)
    motion = _waiting(calls.motion)
    segment = _waiting(calls.segment)
    ask = _waiting(calls.ask)
    translate = _waiting(calls.translate)
    imagine = _waiting(calls.imagine)
    imagining = _waiting(calls.imagining)
    stop_imagining = _waiting(calls.stop_imagining)
    media = _waiting(calls.media)
    thumbnail = _waiting(calls.thumbnail)
    preview = _waiting(calls.preview)
    sprite = _waiting(calls.sprite)
    upload = _waiting(calls.upload)
    fetch = _waiting(calls.fetch)
    get_upload = _waiting(calls.get_upload)
    pin_upload = _waiting(calls.pin_upload)
    unpin_upload = _waiting(calls.unpin_upload)
    delete_upload = _waiting(calls.delete_upload)
    index = _waiting(calls.index)
    jobs = _waiting(calls.jobs)
    job = _waiting(calls.job)
    job_errors = _waiting(calls.job_errors)
    cancel_job = _waiting(calls.cancel_job)
    status = _waiting(calls.status)
    collections = _waiting(calls.collections)
    failures = _waiting(calls.failures)
    retry = _waiting(calls.retry)
    map, make_map = _waiting(calls.map), _waiting(calls.make_map)

    def send(self, call: Call[T]) -> T:
        """Make a call."""
        with _reaching():
            response = self._http.send(_request(self._http, call, _pieces(call.content)))
        return _parsed(call, response)

    def job_events(self, id: int) -> Iterator[Job]:  # noqa: A002 - as the API calls it
        """A job's progress as a stream: its current state, then every change until it has ended. Raises ServiceAway if the
        service ends first."""
        call = calls.job_events(id)
        with _reaching(), self._http.stream(call.method, BASE + call.path) as response:
            if response.is_error:
                response.read()
                raise calls.trouble(response)
            job = None
            for line in response.iter_lines():
                if line.startswith("data: "):
                    yield (job := Job.model_validate_json(line.removeprefix("data: ")))
            _check_ended(job)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()


class AsyncClient:
    """Like ``Client``, for async programs."""

    def __init__(
        self, address: str = ADDRESS, *, token: str | None = None, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:  # fmt: skip
        """``token`` as for ``Client``. ``transport`` replaces the network: ``httpx2.ASGITransport(app)`` calls an app in this
        process."""
        self._http = httpx2.AsyncClient(base_url=address, timeout=TIMEOUT, transport=transport, headers=_bearer(address, token))

    search = _awaiting(calls.search)
    why = _awaiting(calls.why)
    encoded = _awaiting(calls.encoded)
    duplicates = _awaiting(calls.duplicates)
    reuse = _awaiting(calls.reuse)
    plan = _awaiting(calls.plan)
    export = _awaiting(calls.export)
    embeddings = _awaiting(calls.embeddings)
    mask = _awaiting(calls.mask)
    saved, saved_new = _awaiting(calls.saved), _awaiting(calls.saved_new)
    save = _awaiting(calls.save)
    seen = _awaiting(calls.seen)
    forget_saved = _awaiting(calls.forget_saved)
    set_field = _awaiting(calls.set_field)
    cases = _awaiting(calls.cases)
    make_case = _awaiting(calls.make_case)
    case = _awaiting(calls.case)
    collect = _awaiting(calls.collect)
    change_case = _awaiting(calls.change_case)
    delete_case = _awaiting(calls.delete_case)
    facets = _awaiting(calls.facets)
    browse = _awaiting(calls.browse)
    contrast = _awaiting(calls.contrast)
    judgements = _awaiting(calls.judgements)
    judge = _awaiting(calls.judge)
    sample = _awaiting(calls.sample)
    forget_judgements = _awaiting(calls.forget_judgements)
    assets = _awaiting(calls.assets)
    asset = _awaiting(calls.asset)
    segments = _awaiting(calls.segments)
    regions = _awaiting(calls.regions)
    provenance = _awaiting(calls.provenance)
    motion = _awaiting(calls.motion)
    segment = _awaiting(calls.segment)
    ask = _awaiting(calls.ask)
    translate = _awaiting(calls.translate)
    imagine = _awaiting(calls.imagine)
    imagining = _awaiting(calls.imagining)
    stop_imagining = _awaiting(calls.stop_imagining)
    media = _awaiting(calls.media)
    thumbnail = _awaiting(calls.thumbnail)
    preview = _awaiting(calls.preview)
    sprite = _awaiting(calls.sprite)
    upload = _awaiting(calls.upload)
    fetch = _awaiting(calls.fetch)
    get_upload = _awaiting(calls.get_upload)
    pin_upload = _awaiting(calls.pin_upload)
    unpin_upload = _awaiting(calls.unpin_upload)
    delete_upload = _awaiting(calls.delete_upload)
    index = _awaiting(calls.index)
    jobs = _awaiting(calls.jobs)
    job = _awaiting(calls.job)
    job_errors = _awaiting(calls.job_errors)
    cancel_job = _awaiting(calls.cancel_job)
    status = _awaiting(calls.status)
    collections = _awaiting(calls.collections)
    failures = _awaiting(calls.failures)
    retry = _awaiting(calls.retry)
    map, make_map = _awaiting(calls.map), _awaiting(calls.make_map)

    async def send(self, call: Call[T]) -> T:
        """Make a call."""
        with _reaching():
            response = await self._http.send(_request(self._http, call, _async_pieces(call.content)))
        return _parsed(call, response)

    async def job_events(self, id: int) -> AsyncIterator[Job]:  # noqa: A002
        """A job's progress as a stream: its current state, then every change until it has ended. Raises ServiceAway if the
        service ends first."""
        call = calls.job_events(id)
        with _reaching():
            async with self._http.stream(call.method, BASE + call.path) as response:
                if response.is_error:
                    await response.aread()
                    raise calls.trouble(response)
                job = None
                async for line in response.aiter_lines():
                    if line.startswith("data: "):
                        yield (job := Job.model_validate_json(line.removeprefix("data: ")))
                _check_ended(job)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        await self.close()


def _check_ended(job: Job | None) -> None:
    if job is None or job.ended_at is None:
        raise ServiceAway("The service ended, and the job goes on when it starts again.", remedy="Ask for its events again then.")


def cookie_name(host: str) -> str:
    """The name of the cookie with the token for the service at an address. It contains the port, because browsers do not separate
    cookies by port."""
    return f"sensorium-{urlsplit(f'//{host}').port or 80}"


def _bearer(address: str, token: str | None) -> dict[str, str]:
    """The authorization header. The token of this user's home is sent to this machine only."""
    if token is None and urlsplit(address).hostname in ("127.0.0.1", "::1", "localhost"):
        with suppress(OSError, ValueError, SensoriumError):
            token = (load().home / "token").read_text("ascii").strip()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _request(http: httpx2.Client | httpx2.AsyncClient, call: Call[Any], content: Any) -> httpx2.Request:  # noqa: ANN401
    headers = {**call.headers, **traces.headers()}
    if isinstance(call.content, Path):
        headers["Content-Length"] = str(call.content.stat().st_size)
    return http.build_request(call.method, BASE + call.path, params=call.params, json=call.json, content=content, headers=headers)


def _parsed(call: Call[T], response: httpx2.Response) -> T:
    if response.is_error:
        raise calls.trouble(response)
    return call.parse(response)


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except httpx2.TransportError as error:
        raise ServiceAway(
            f"The service does not answer: {error or type(error).__name__}.",
            remedy="Start it with `sensorium serve`, or check the address.",
        ) from error


def _pieces(content: bytes | Path | None) -> bytes | Iterator[bytes] | None:
    return _read(content) if isinstance(content, Path) else content


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            yield piece


def _async_pieces(content: bytes | Path | None) -> bytes | AsyncIterator[bytes] | None:
    return _async_read(content) if isinstance(content, Path) else content


async def _async_read(path: Path) -> AsyncIterator[bytes]:
    async with await anyio.open_file(path, "rb") as file:
        while piece := await file.read(_CHUNK_BYTES):
            yield piece
