"""Identity: who calls, and whether they have the required role.

A caller sends a token: in the header ``Authorization: Bearer``, or in the cookie that ``/?token=…`` sets. On loopback there is
one more token, in a file of the home that only its owner can read. Every route is in ``ROLES``; a route that is missing there
requires an admin.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, urlencode

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from search import disk
from search.api.client import cookie_name
from search.api.prefixed import public
from search.api.problems import of, respond
from search.api.schemas import BASE
from search.errors import InputError, Problem, SensoriumError
from search.store.tokens import SECRET_BYTES, Role, Tokens, digest
from search.types import Within

KNOWN_SECONDS = 2.0
"""How long a token lookup is cached. It is short, so that revoking a token takes effect soon."""

MAX_KNOWN = 1_000
"""The number of token lookups that are cached."""

MAX_SECRET_CHARACTERS = 200

COOKIE_SECONDS = 30 * 86_400

READER, INGESTER, ADMIN = Role.READER, Role.INGESTER, Role.ADMIN

ROLES: Final[dict[tuple[str, str], Role | None]] = {
    ("GET", "/livez"): None, ("GET", "/readyz"): None, ("GET", "/metrics"): READER,
    **{
        ("GET", BASE + path): READER
        for path in (
            "/status", "/collections", "/failures", "/assets", "/assets/{id}", "/assets/{id}/segments", "/assets/{id}/regions", "/assets/{id}/provenance", "/assets/{id}/motion", "/assets/{id}/reuse", "/segments/{id}", "/segments/{id}/encoded",
            "/assets/{id}/media", "/assets/{id}/thumbnail", "/assets/{id}/preview", "/uploads/{id}", "/imaginings/{id}", "/index-jobs", "/index-jobs/{id}",
            "/index-jobs/{id}/events", "/index-jobs/{id}/errors", "/map", "/problems/{kind}", "/judgements", "/cases", "/cases/{id}", "/saved", "/saved/{name}/new", "/docs", "/docs/oauth2-redirect", "/openapi.json",
        )
    },
    **{("POST", BASE + path): READER for path in ("/search", "/plan", "/why", "/duplicates", "/facets", "/browse", "/contrast", "/exports", "/embeddings", "/uploads", "/uploads/fetch", "/segment", "/assets/{id}/ask", "/segments/{id}/translate", "/imaginings", "/judgements/sample")},
    ("DELETE", f"{BASE}/uploads/{{id}}"): READER, ("DELETE", f"{BASE}/imaginings/{{id}}"): READER,
    **{("POST", BASE + path): INGESTER for path in ("/map", "/index-jobs", "/index-jobs/{id}/cancel", "/failures/retry", "/judgements", "/cases", "/cases/{id}/exhibits")},
    ("DELETE", f"{BASE}/judgements"): INGESTER,
    ("PUT", f"{BASE}/saved/{{name}}"): INGESTER, ("PUT", f"{BASE}/saved/{{name}}/seen"): INGESTER, ("DELETE", f"{BASE}/saved/{{name}}"): INGESTER,
    ("PUT", f"{BASE}/fields/{{name}}"): INGESTER,
    ("PUT", f"{BASE}/cases/{{id}}"): INGESTER, ("DELETE", f"{BASE}/cases/{{id}}"): INGESTER,
    ("PUT", f"{BASE}/uploads/{{id}}/pin"): INGESTER, ("DELETE", f"{BASE}/uploads/{{id}}/pin"): INGESTER,
}  # fmt: skip
"""Method and path of each route -> the role that it takes; None: anybody. What lies outside ``/v1`` is the page, for readers."""

WHOLE: Final = frozenset({("GET", "/metrics")})
"""Routes that tell of the whole archive: not for who is limited to collections."""

LOGIN, LOGGING_OUT = "/login", "/auth/logout"
_LOGGING_IN = ("/auth/login", "/oauth2callback")
"""The addresses of a login, which anybody may call: ours, and those of Streamlit."""

_CALLER, _AGAIN = "sensorium.caller", "sensorium.caller.again"

_PATTERNS = [
    (method, re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))), role) for (method, path), role in ROLES.items()
]


def role_for(method: str, path: str) -> Role | None:
    """The role that a request requires; None: anybody may send it."""
    method = "GET" if method == "HEAD" else method
    for one, pattern, role in _PATTERNS:
        if one == method and pattern.fullmatch(path):
            return role
    inside = path == BASE or path.startswith(f"{BASE}/")
    return READER if not inside or path.startswith(f"{BASE}/static-offline-docs/") else ADMIN


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: what they may do, and the collections that they see."""

    role: Role
    within: Within = None


def within_of(scope: Scope) -> Within:
    """The collections that the caller of a request sees. Where nobody is asked who they are: all."""
    caller: Caller | None = scope.get(_CALLER)
    return caller.within if caller else None


class Logins(Protocol):
    """How people enter who have no token: by what somebody else vouches for."""

    def claims(self, cookies: Mapping[str, str]) -> Mapping[str, Any] | None:
        """What is vouched for of the person with these cookies; None: nothing."""
        ...

    def caller(self, claims: Mapping[str, Any]) -> Caller | None:
        """What somebody with these claims may do; None: nothing."""
        ...

    def until(self, claims: Mapping[str, Any]) -> float:
        """Until when the claims hold, in seconds since 1970."""
        ...


def still(scope: Scope) -> bool:
    """Whether the caller of a request that goes on may do the same as at its start. Queries the database."""
    again: Callable[[], Caller | None] | None = scope.get(_AGAIN)
    return again is None or again() == scope[_CALLER]


class Access:
    """Who may call a service: holders of the archive's tokens, of the token in the home's file if ``local``, and who has logged in."""

    def __init__(self, tokens: Tokens, home: Path, *, local: bool, login: Logins | None = None) -> None:
        """With ``local``, the file is created if there is none.

        Raises:
            InputError: it cannot be written.
        """
        self._tokens, self._known = tokens, dict[str, tuple[float, Caller | None]]()
        self.local, self.login = local_token(home) if local else None, login
        self._entered = dict[str, tuple[float, Caller]]()

    def caller(self, secret: str) -> Caller | None:
        """The holder of a secret; None: nobody. Queries the database."""
        if not secret or len(secret) > MAX_SECRET_CHARACTERS:
            return None
        if self.local and hmac.compare_digest(digest(secret), digest(self.local)):
            return Caller(ADMIN)
        key, now = digest(secret), time.monotonic()
        if entered := self._entered.get(key):
            return entered[1] if entered[0] > time.time() else None
        if (known := self._known.get(key)) and known[0] > now:
            return known[1]
        found = self._tokens.find(secret)
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        caller = None if found is None else Caller(found.role, found.within)
        self._known[key] = now + KNOWN_SECONDS, caller
        return caller

    def admit(self, caller: Caller, until: float) -> str:
        """A secret for somebody who has logged in, which holds until then (seconds since 1970) or the end of the service."""
        now = time.time()
        self._entered = {key: one for key, one in list(self._entered.items()) if one[0] > now}
        secret = secrets.token_urlsafe(SECRET_BYTES)
        self._entered[digest(secret)] = until, caller
        return secret

    def dismiss(self, secret: str) -> None:
        """Forget the secret of somebody who logs out."""
        self._entered.pop(digest(secret), None)


class Identified:
    """Middleware: lets requests through that the caller's role allows."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, set the cookie, or reject: 401 without a valid token, 403 if the role does not suffice."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        answer = await self._answer(scope)
        if answer is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await answer(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response | None:
        """The answer that replaces the request's own; None: the request is let through."""
        method = scope.get("method", "GET")
        needed, headers = role_for(method, scope["path"]), Headers(scope=scope)
        if needed is None:
            return None
        login = self._access.login
        if login and scope["path"] in (LOGIN, LOGGING_OUT, *_LOGGING_IN):
            if scope["path"] == LOGGING_OUT:
                self._access.dismiss(_shown(headers))
            return None
        try:
            if method == "GET" and scope["path"] == "/" and (entered := _entered(scope)):
                known = await to_thread.run_sync(self._access.caller, entered)
                return _welcome(scope, headers, entered) if known else _refused(scope, headers, login=login is not None)
            again = partial(self._access.caller, _shown(headers))
            caller = await to_thread.run_sync(again)
        except SensoriumError as error:  # the database
            return respond(of(error))
        if caller is None:
            if login and method == "GET" and scope["path"] == "/" and (claims := login.claims(_cookies(headers))):
                found = login.caller(claims)
                return _welcome(scope, headers, self._access.admit(found, login.until(claims))) if found else _unknown()
            return _refused(scope, headers, login=login is not None)
        if caller.role < needed:
            return respond(
                Problem(
                    403, "role", "The token does not reach that far", f"This takes the role {needed}; the token has {caller.role}.",
                    remedy=f"Use a token made with: sensorium tokens add NAME --role {needed}",
                )
            )  # fmt: skip
        if caller.within is not None and (method, scope["path"]) in WHOLE:
            return respond(
                Problem(
                    403, "limited", "The token is limited to collections", "This tells of the whole archive.",
                    remedy="Use a token that was made without --collection.",
                )
            )  # fmt: skip
        scope[_CALLER], scope[_AGAIN] = caller, again
        return None


def local_token(home: Path) -> str:
    """The token of the home's owner, from a file that only they can read; made if there is none.

    Raises:
        InputError: it cannot be written, or others may read it.
    """
    file = home / "token"
    try:
        disk.make_private(home)
        with_mode = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(with_mode, "r+", encoding="ascii") as opened:
            os.fchmod(opened.fileno(), 0o600)
            known = opened.read().strip()
            if len(known) < SECRET_BYTES:
                known = secrets.token_urlsafe(SECRET_BYTES)
                opened.seek(0)
                opened.write(known + "\n")
                opened.truncate()
    except (OSError, ValueError) as error:
        raise InputError(
            f"The token file {file} cannot be used: {error}.", remedy="Remove it, or choose another --home."
        ) from error
    return known


def cookie_of(host: str, cookies: str) -> str:
    """The token in a request's cookies; empty if there is none."""
    for part in cookies.split(";"):
        name, _, value = part.strip().partition("=")
        if name == cookie_name(host):
            return value.strip('"')
    return ""


def _shown(headers: Headers) -> str:
    """The token of a request, from its header or cookie. Never from its URL, which ends up in logs and histories."""
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    if scheme:
        return secret.strip() if scheme.lower() == "bearer" else ""
    return cookie_of(headers.get("host", ""), headers.get("cookie", ""))


def _cookies(headers: Headers) -> dict[str, str]:
    return cookie_parser(headers.get("cookie", ""))


def _query(scope: Scope) -> Sequence[tuple[str, str]]:
    return parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)


def _entered(scope: Scope) -> str:
    return next((value for name, value in _query(scope) if name == "token"), "")


def _welcome(scope: Scope, headers: Headers, secret: str) -> Response:
    """Set the cookie, and redirect to the same address without the token."""
    rest = urlencode([(name, value) for name, value in _query(scope) if name != "token"])
    answer = RedirectResponse(
        public(f"/?{rest}" if rest else "/"), 303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    )
    secure = scope.get("scheme") == "https"
    name = cookie_name(headers.get("host", ""))
    answer.set_cookie(name, secret, max_age=COOKIE_SECONDS, httponly=True, samesite="lax", secure=secure)
    return answer


def _refused(scope: Scope, headers: Headers, *, login: bool = False) -> Response:
    """A 401 answer: a form for people, a problem for programs. With ``login``, the form leads to it."""
    if "text/html" in headers.get("accept", "") and not scope["path"].startswith(BASE):
        form = (_LOG_IN.format(public(LOGIN)) if login else "") + _FORM.format(public("/"))
        return _shown_to_people(_BEGINNING + form, 401, WWW_Authenticate="Bearer")
    return respond(
        Problem(
            401, "token", "A token is needed", "The request shows no token that holds.",
            remedy="Send Authorization: Bearer TOKEN, with one of `sensorium tokens add NAME`, or open the address that `sensorium serve` prints.",
            WWW_Authenticate="Bearer",
        )
    )  # fmt: skip


def _unknown() -> Response:
    """A 403 answer for somebody who has logged in and may do nothing."""
    return _shown_to_people(_BEGINNING + _NO_ROLE.format(public(LOGGING_OUT)), 403)


def _shown_to_people(html: str, status: int, **headers: str) -> Response:
    return HTMLResponse(html, status, headers={
        "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    })  # fmt: skip


_BEGINNING = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Sensorium</title><h1>Sensorium</h1>'
_LOG_IN = '<p><a href="{}">Log in</a></p>'
_NO_ROLE = '<p>Your account may do nothing here. Ask whoever runs this service.</p><p><a href="{}">Log out</a></p>'
_FORM = """
<p>Open the address that <code>sensorium serve</code> printed, or enter a token.</p>
<form action="{}"><label>Token <input type="password" name="token" autofocus required></label> <button>Open</button></form></html>"""
