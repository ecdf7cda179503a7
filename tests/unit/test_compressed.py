"""The page's files: sent compressed to who takes that, packed once, and otherwise as they are."""

from __future__ import annotations

import gzip

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient

from ui import compressed
from ui.compressed import Compressed

SCRIPT = b"const words = 'the same words again and again';\n" * 500


@pytest.fixture
def web(tmp_path):
    (tmp_path / "main.js").write_bytes(SCRIPT)
    (tmp_path / "small.js").write_bytes(b"1;")
    (tmp_path / "font.woff2").write_bytes(bytes(5_000))
    routes = [Mount("/static", StaticFiles(directory=tmp_path)), Route("/text", lambda _: PlainTextResponse("x" * 5_000))]
    with TestClient(Starlette(routes=routes, middleware=[Middleware(Compressed)])) as client:
        yield client


def raw(client: TestClient, path: str, method: str = "GET", **headers: str) -> tuple[dict[str, str], bytes]:
    with client.stream(method, path, headers={"accept-encoding": "gzip"} | headers) as answer:
        return {"status": str(answer.status_code), **answer.headers}, b"".join(answer.iter_raw())


def test_scripts_are_compressed_once(web, monkeypatch):
    headers, body = raw(web, "/static/main.js")
    assert gzip.decompress(body) == SCRIPT
    assert (headers["content-encoding"], headers["content-length"]) == ("gzip", str(len(body)))
    assert len(body) < len(SCRIPT) / 10
    assert "Accept-Encoding" in headers["vary"]
    assert headers["content-type"].startswith(("text/javascript", "application/javascript"))
    monkeypatch.setattr(compressed.gzip, "compress", lambda *_, **__: pytest.fail("it was packed again"))
    assert raw(web, "/static/main.js")[1] == body
    head, nothing = raw(web, "/static/main.js", "HEAD")
    assert (head["content-length"], nothing) == (str(len(body)), b"")
    unchanged, nothing = raw(web, "/static/main.js", **{"if-none-match": headers["etag"]})
    assert (unchanged["status"], nothing) == ("304", b"")


@pytest.mark.parametrize("encoding", ["identity", "br", "gzip;q=0", ""])
def test_who_does_not_take_it_gets_the_file_itself(web, encoding):
    headers, body = raw(web, "/static/main.js", **{"accept-encoding": encoding})
    assert "content-encoding" not in headers
    assert body == SCRIPT


def test_what_gains_nothing_or_is_no_file_of_the_page_is_left_alone(web):
    for path in ("/static/small.js", "/static/font.woff2", "/text"):
        headers, body = raw(web, path)
        assert "content-encoding" not in headers
        assert int(headers["content-length"]) == len(body)
    assert raw(web, "/static/none.js")[0]["status"] == "404"
    part, body = raw(web, "/static/main.js", range="bytes=0-9")
    assert (part["status"], body) == ("206", SCRIPT[:10])


def test_what_is_kept_is_bounded(web, monkeypatch):
    monkeypatch.setattr(compressed, "MAX_KEPT_BYTES", 1)
    for _ in range(3):
        assert gzip.decompress(raw(web, "/static/main.js")[1]) == SCRIPT
