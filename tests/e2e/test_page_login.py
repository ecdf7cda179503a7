"""Logging in to the page through an OpenID Connect provider: a real service, and a provider on this machine."""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from tests.e2e.conftest import Served, index

pytest.importorskip("authlib", reason="the extra login is not installed")
from joserfc import jwt
from joserfc.jwk import RSAKey


class Provider(ThreadingHTTPServer):
    """Lets everybody in at once, with the claims that it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.key = RSAKey.generate_key(2048, {"kid": "one"})
        self.claims: dict[str, object] = {}
        self.nonces: dict[str, str] = {}

    def token(self, code: str) -> dict[str, object]:
        now = int(time.time())
        claims = {
            "iss": self.address,
            "aud": "sensorium",
            "sub": "anna",
            "iat": now,
            "exp": now + 600,
            "nonce": self.nonces[code],
        }
        told = jwt.encode({"alg": "RS256", "kid": "one"}, claims | self.claims, self.key)
        return {"access_token": "x", "token_type": "Bearer", "expires_in": 600, "id_token": told}


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        path, asked = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/authorize":
            code = f"code{len(self.server.nonces)}"
            self.server.nonces[code] = asked["nonce"][0]
            self.send_response(302)
            self.send_header("Location", f"{asked['redirect_uri'][0]}?{urlencode({'code': code, 'state': asked['state'][0]})}")
            self.end_headers()
        elif path == "/keys":
            self._send({"keys": [self.server.key.as_dict(private=False)]})
        else:
            here = self.server.address
            self._send({
                "issuer": here, "authorization_endpoint": f"{here}/authorize", "token_endpoint": f"{here}/token", "jwks_uri": f"{here}/keys",
                "response_types_supported": ["code"], "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
            })  # fmt: skip

    def do_POST(self) -> None:
        body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        assert base64.b64decode(self.headers["Authorization"].split()[1]) == b"sensorium:hush"
        self._send(self.server.token(body["code"][0]))

    def _send(self, told: dict[str, object]) -> None:
        content = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quietly."""


@pytest.fixture
def provider():
    with Provider() as one:
        thread = threading.Thread(target=one.serve_forever)
        thread.start()
        yield one
        one.shutdown()
        thread.join()


@pytest.fixture
def guarded(provider, tmp_path, archive):
    """A service whose page takes logins; ``default`` holds the archive."""
    home, file = tmp_path / "home", tmp_path / "login.toml"
    index(home, archive / "images")
    file.touch(0o600)
    service = Served(home, tokens=True, login=file, start=False)
    file.write_text(f"""
[auth]
redirect_uri = "{service.address}/oauth2callback"
cookie_secret = "a secret of more than fourteen bytes"
client_id = "sensorium"
client_secret = "hush"
server_metadata_url = "{provider.address}/.well-known/openid-configuration"
[access]
claim = "groups"
[access.values.archive]
role = "reader"
collections = ["default"]
[access.values.others]
role = "reader"
collections = ["elsewhere"]
""")
    service.start()
    yield service
    service.stop()
    assert "Traceback" not in service.log.read_text(), service.log.read_text()


def visitor(service) -> httpx2.Client:
    return httpx2.Client(base_url=service.address, headers={"Accept": "text/html"}, follow_redirects=True, timeout=120)


def test_people_enter_by_their_claims_and_leave(guarded, provider):
    with visitor(guarded) as anna:
        first = anna.get("/")
        assert first.status_code == 401
        assert "/login" in first.text
        for path in ("/v1/status", "/_stcore/health", "/component/x/y.js", "/_stcore/host-config"):
            assert anna.get(path).status_code == 401, path
        provider.claims = {"groups": ["archive"]}
        entered = anna.get("/login")
        assert entered.status_code == 200, (entered.text, guarded.log.read_text())
        assert entered.url.path == "/"
        assert anna.get("/v1/status").json()["collections"] == ["default"]
        found = anna.post("/v1/search", json={"query": [{"text": "a cat"}]}, headers={"Origin": guarded.address})
        assert found.json()["hits"]
        assert anna.post("/v1/index-jobs", json={"paths": ["images"]}, headers={"Origin": guarded.address}).status_code == 403
        secret = dict(anna.cookies)[f"sensorium-{guarded.port}"]
        anna.get("/auth/logout")
        assert anna.get("/v1/status").status_code == 401
        assert httpx2.get(f"{guarded.address}/v1/status", headers={"Authorization": f"Bearer {secret}"}).status_code == 401
        provider.claims = {"groups": ["others"]}
        assert anna.get("/login").status_code == 200
        assert anna.get("/v1/assets").json()["assets"] == []


def test_who_has_no_role_or_a_cookie_of_their_own_making_stays_outside(guarded, provider):
    with visitor(guarded) as eve:
        provider.claims = {"groups": ["friends"]}
        answer = eve.get("/login")
        assert answer.status_code == 403
        assert "/auth/logout" in answer.text
        assert eve.get("/v1/status").status_code == 401
    with visitor(guarded) as eve:
        provider.claims = {"groups": ["archive"], "iat": int(time.time()) - 48 * 3600}
        assert eve.get("/login").status_code == 401  # that was too long ago
    with visitor(guarded) as eve:
        for cookie in ("x", "chunks-2", base64.urlsafe_b64encode(b'{"is_logged_in": true, "groups": ["archive"]}').decode()):
            eve.cookies.set("_streamlit_user", cookie)
            assert eve.get("/").status_code == 401


def test_the_page_in_a_browser_shows_what_its_visitor_may_see(guarded, provider, browser):
    provider.claims = {"groups": ["archive"]}
    context = browser.new_context()
    page = context.new_page()
    page.goto(guarded.address)
    page.get_by_role("link", name="Log in").click()
    page.get_by_text("Newest first").wait_for()
    context.close()
