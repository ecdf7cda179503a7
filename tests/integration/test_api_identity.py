"""Identity: every route takes a role, and nobody does more than theirs."""

from __future__ import annotations

import re
import stat
from contextlib import ExitStack
from dataclasses import replace

import pytest
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from typer.testing import CliRunner

from search.api import identity
from search.api.app import create_app
from search.api.client import Client
from search.api.identity import ROLES, Access
from search.api.service import Service
from search.errors import InputError, Refused
from search.store import Database
from search.store.tokens import Role, Tokens
from tests.integration.test_api_search import assert_problem
from ui import serve
from ui.cli import app as command

OPEN = {("GET", "/livez"), ("GET", "/readyz")}
LISTED = {key: role for key, role in ROLES.items() if role is not None}
ELSEWHERE = "/v1/docs", "/v1/docs/oauth2-redirect", "/v1/openapi.json"
"""Routes that are no calls of ours, but of the documentation."""


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(settings, request):
    return settings if request.param == "sqlite" else replace(settings, database_url=request.getfixturevalue("postgres_url"))


@pytest.fixture
def door(indexed, encoder):
    """A service that asks for tokens; the secrets of a token for each role; what keeps them."""
    with ExitStack() as stack:
        service = Service(indexed, load=lambda _: encoder, runner=lambda *_: None)
        tokens = Tokens(service.database)
        secrets = {role: tokens.add(f"the {role}", role, days=1)[1] for role in Role}
        access = Access(tokens, indexed.home, local=True)
        http = stack.enter_context(
            TestClient(create_app(service, access), base_url="http://localhost:8571", raise_server_exceptions=False)
        )
        http.service, http.tokens, http.secrets, http.access = service, tokens, secrets, access
        yield http


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def every_route(routes, prefix="") -> set[tuple[str, str]]:
    found = set()
    for route in routes:
        if isinstance(route, Mount):
            found |= every_route(route.routes, prefix + route.path)
        elif isinstance(route, Route):
            found |= {(method, re.sub(r":\w+\}", "}", prefix + route.path)) for method in route.methods or ()}
        else:
            assert not isinstance(route, WebSocketRoute), route
            inner = getattr(route, "original_router", None)
            found |= every_route(inner.routes, prefix) if inner else set()
    return {(method, path) for method, path in found if method not in ("HEAD", "OPTIONS") and path != "/"}


def test_every_route_is_in_the_table(door):
    routes = every_route(door.app.routes)
    assert routes >= {("GET", "/v1/status"), ("POST", "/v1/search"), ("GET", "/livez"), ("GET", "/v1/assets/{id}/media")}
    assert {path for path in routes if "static" not in path[1]} == set(ROLES)


def test_each_role_does_what_it_may_and_nothing_else(door):
    wrong = [
        {},
        bearer("wrong"),
        bearer(door.secrets[Role.ADMIN][:-1]),
        {"Authorization": "Basic eDp5"},
        {"Cookie": "sensorium-8571=x"},
    ]
    for (method, path), needed in ROLES.items():
        address = path.replace("{id}", "1").replace("{kind}", "token")
        if needed is None:
            assert (method, path) in OPEN
            assert door.request(method, address).status_code in (200, 503)
            continue
        for headers in wrong:
            assert_problem(door.request(method, address, headers=headers, json={}), 401, "token")
        for role in Role:
            answer = door.request(method, address, headers=bearer(door.secrets[role]), json={})
            if role < needed:
                assert_problem(answer, 403, "role")
            else:
                assert answer.status_code not in (401, 500), (method, path, answer.text)
                assert answer.status_code != 403 or not answer.json()["type"].endswith("/role"), (method, path)


def test_an_unlisted_address_takes_an_admin(door):
    assert door.get("/v1/secret/door", headers=bearer(door.secrets[Role.INGESTER])).status_code == 403
    assert door.get("/v1/secret/door", headers=bearer(door.secrets[Role.ADMIN])).status_code == 404
    assert door.get("/v1/status/", headers=bearer(door.secrets[Role.READER])).status_code == 403
    assert door.get("/else").status_code == 401


def test_only_the_front_door_takes_a_token_in_the_address(door):
    secret = door.secrets[Role.READER]
    assert door.get(f"/v1/status?token={secret}").status_code == 401
    answer = door.get(f"/?token={secret}&q=red", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?q=red")
    cookie = answer.headers["set-cookie"]
    assert "sensorium-8571=" in cookie
    assert "httponly" in cookie.lower()
    assert "samesite=lax" in cookie.lower()
    assert door.get("/v1/status").status_code == 200  # by the cookie
    assert_problem(door.post("/v1/index-jobs", json={"paths": ["archive"]}), 403, "role")
    door.cookies.clear()
    assert door.get("/?token=wrong", follow_redirects=False).status_code == 401
    assert "set-cookie" not in door.get("/?token=wrong", follow_redirects=False).headers


def test_whoever_comes_through_a_prefix_stays_below_it(indexed, encoder):
    service = Service(replace(indexed, prefix="/archive"), load=lambda _: encoder, runner=lambda *_: None)
    tokens = Tokens(service.database)
    secret = tokens.add("me", Role.READER, days=1)[1]
    with TestClient(create_app(service, Access(tokens, indexed.home, local=True)), base_url="http://localhost:8571") as http:
        asked = http.get("/", headers={"Accept": "text/html"})
        assert asked.status_code == 401
        assert '<form action="/archive/">' in asked.text
        for path in ("/", "/archive/"):
            answer = http.get(f"{path}?token={secret}&q=red", follow_redirects=False)
            assert (answer.status_code, answer.headers["location"]) == (303, "/archive/?q=red")


def test_a_person_without_a_token_is_shown_where_to_get_one(door):
    answer = door.get("/", headers={"Accept": "text/html"})
    assert answer.status_code == 401
    assert "sensorium serve" in answer.text
    assert "<form" in answer.text


def test_a_socket_without_a_token_is_closed(door):
    with pytest.raises(WebSocketDisconnect), door.websocket_connect("/_stcore/stream"):
        pass


def test_tokens_that_were_revoked_or_have_expired_or_are_of_another_archive_are_refused(door, tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "KNOWN_SECONDS", 0)
    secret = door.secrets[Role.READER]
    assert door.get("/v1/status", headers=bearer(secret)).status_code == 200
    door.tokens.revoke("the reader")
    assert door.get("/v1/status", headers=bearer(secret)).status_code == 401
    _, old = door.tokens.add("old", Role.ADMIN, days=1e-9)
    assert door.get("/v1/status", headers=bearer(old)).status_code == 401
    other = Database(f"sqlite:///{tmp_path / 'other.db'}")
    other.upgrade()
    _, foreign = Tokens(other).add("foreign", Role.ADMIN, days=None)
    other.close()
    assert door.get("/v1/status", headers=bearer(foreign)).status_code == 401
    assert door.get("/v1/status", headers=bearer("x" * 100_000)).status_code in (400, 401, 431)


def test_secrets_are_stored_nowhere(door):
    entry, secret = door.tokens.add("new", Role.READER, days=None)
    assert entry in door.tokens.all()
    with door.service.database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM token").all()
    assert secret not in repr(rows)
    with pytest.raises(InputError, match="already"):
        door.tokens.add("new", Role.READER, days=None)


def test_the_local_token_lies_in_a_file_for_its_owner_alone(door, indexed):
    file = indexed.home / "token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secret = file.read_text().strip()
    assert door.get("/v1/status", headers=bearer(secret)).status_code == 200
    assert Access(door.tokens, indexed.home, local=True).local == secret  # and stays
    assert Access(door.tokens, indexed.home, local=False).caller(secret) is None  # nobody elsewhere gets in with it
    file.unlink()
    file.symlink_to(indexed.home / "sensorium.db")
    with pytest.raises(InputError, match="token file"):
        Access(door.tokens, indexed.home, local=True)


def test_other_machines_are_not_served_without_a_token(indexed, encoder):
    for tokens in (True, False):
        with pytest.raises(InputError, match="Anybody who can reach"):
            serve.run(indexed, host="0.0.0.0", port=0, roots=[], page=False, ready=lambda *_: None, tokens=tokens)


def test_the_command_makes_lists_and_revokes_tokens(indexed, monkeypatch):
    monkeypatch.setenv("SENSORIUM_HOME", str(indexed.home))
    monkeypatch.setenv("SENSORIUM_DATABASE_URL", indexed.database_url)
    run = lambda *arguments: CliRunner().invoke(command, ["tokens", *arguments])  # noqa: E731
    secret = run("add", "laptop", "--role", "ingester").stdout.strip()
    assert len(secret) > 40
    assert "laptop  ingester  until" in run("list").stdout
    assert secret not in run("list", "--json").stdout
    assert run("add", "x", "--role", "king").exit_code != 0
    assert run("revoke", "laptop").exit_code == 0
    assert run("list").stdout == ""
    assert run("revoke", "laptop").exit_code != 0


def test_the_client_shows_its_token(door):
    def transport(request):
        answer = door.request(request.method, str(request.url), headers=dict(request.headers), content=request.content)
        return httpx2.Response(answer.status_code, headers=dict(answer.headers), content=answer.content)

    import httpx2

    with Client("http://localhost:8571", token=door.secrets[Role.READER], transport=httpx2.MockTransport(transport)) as client:
        assert client.status().assets
    with (
        Client("http://localhost:8571", token="wrong", transport=httpx2.MockTransport(transport)) as client,
        pytest.raises(Refused) as refused,
    ):
        client.status()
    assert refused.value.kind == "token"
