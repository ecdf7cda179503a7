"""Content from the web: only where the service is set to fetch it, by https, from public addresses that are looked up once, after each redirect anew."""

from __future__ import annotations

import http.server
import ipaddress
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from search.api import fetch as fetching
from search.api.fetch import fetch, is_public, public_address
from search.errors import Problem
from tests.integration.test_api_search import assert_problem

HERE, INNER = "127.0.0.1", "10.0.0.7"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1",
        "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "2002:a00:1::1",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2001:db8::1", "2001:0:7f00:1::",
    ],
)  # fmt: skip
def test_an_address_that_is_not_of_the_public_internet_is_none(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_an_address_of_the_public_internet_is_one(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.fixture
def names(monkeypatch):
    """Hosts with their addresses; which of them were looked up."""
    known, asked = {}, []
    real = socket.getaddrinfo

    def look_up(host, *rest, **options):
        try:
            ipaddress.ip_address(host)
        except ValueError:
            asked.append(host)
            if host not in known:
                raise socket.gaierror(-2, "Name or service not known") from None
            address = known[host].pop(0) if len(known[host]) > 1 else known[host][0]
            found = address if isinstance(address, tuple) else (address,)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 443)) for one in found]
        return real(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    known["asked"] = asked
    return known


def refused(url: str, why: str) -> None:
    with pytest.raises(Problem, match=why) as caught:
        list(fetch(url, 1 << 20))
    assert (caught.value.status, caught.value.kind) == (422, "url")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://a.test/x", "Only https"), ("ftp://a.test/x", "Only https"), ("file:///etc/passwd", "no address"), ("//a.test/x", "Only https"),
        ("https://a.test:8443/x", "usual port"), ("https://a.test:99999/", "no address"), ("https://user@a.test/", "name or a password"),
        ("https://:secret@a.test/", "name or a password"), ("https:///x", "no address"), ("https://", "no address"), ("x", "no address"),
        ("https://[::1/", "no address"), ("https://a.test/" + "x" * 3_000, "no address"), ("https://" + "ä" * 300 + "/", "no address"),
        ("https://127.0.0.1/", "not on the public"), ("https://[::1]/", "not on the public"), ("https://[::ffff:127.0.0.1]/", "not on the public"),
        ("https://nowhere.test/", "not known"),
    ],
)  # fmt: skip
def test_an_address_that_may_not_be_called_is_refused(names, url, why):
    refused(url, why)


def test_numbers_in_disguise_are_looked_up_as_the_system_does_and_refused():
    for host in ("127.1", "0x7f000001", "2130706433", "0177.0.0.1"):
        refused(f"https://{host}/", "not on the public|not known")


def test_a_host_with_one_address_inside_is_refused_whole(names):
    names["mixed.test"] = [("1.1.1.1", INNER)]
    with pytest.raises(Problem, match="not on the public"):
        public_address("mixed.test")


class Handler(http.server.BaseHTTPRequestHandler):
    content = b""

    def do_GET(self):
        self.server.seen.append((self.headers["Host"], self.path))
        where, _, rest = self.path.strip("/").partition("/")
        if where == "to":
            self.send_response(302)
            self.send_header("Location", rest if "://" in rest else f"/{rest}")
            self.end_headers()
        elif where == "status":
            self.send_response(int(rest))
            self.end_headers()
        elif where == "trickle":
            while True:
                self.wfile.write(b"H")
                self.wfile.flush()
                time.sleep(0.05)
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.content) + (where == "cut")))
            self.end_headers()
            self.wfile.write(self.content)

    def log_message(self, *_):
        pass


@contextmanager
def web(folder, monkeypatch, host="good.test"):
    """A server on this machine that proves to be ``host``; only the address of this machine counts as public."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", key, "-out", certificate]  # fmt: skip
    subprocess.run([*made, "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"], check=True, capture_output=True)
    server = http.server.ThreadingHTTPServer((HERE, 0), Handler)
    server.daemon_threads, server.seen = True, []
    server.handle_error = lambda *_: None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    trusting = ssl.create_default_context
    monkeypatch.setattr(fetching, "PORT", server.server_port)
    monkeypatch.setattr(fetching, "is_public", lambda address: str(address) == HERE)
    monkeypatch.setattr(ssl, "create_default_context", lambda: trusting(cafile=certificate))
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def served(tmp_path, monkeypatch, names, archive):
    monkeypatch.setattr(Handler, "content", (archive / "pictures" / "red.png").read_bytes())
    names["good.test"] = [HERE]
    with web(tmp_path, monkeypatch) as server:
        yield server


def test_what_is_public_is_fetched_and_its_host_is_looked_up_once(served, names):
    names["good.test"] = [HERE, INNER]  # as of a name that is rebound at once
    assert b"".join(fetch("https://good.test/a%20b/ä.png?q=1 2#part", 1 << 20)) == Handler.content
    ((host, path),) = served.seen
    assert host.startswith("good.test")
    assert path == "/a%20b/%C3%A4.png?q=1%202"
    assert names["asked"] == ["good.test"]


def test_each_redirect_is_looked_at_afresh(served, names):
    names["inner.test"] = [INNER]
    assert b"".join(fetch("https://good.test/to/to/red.png", 1 << 20)) == Handler.content
    for further, why in (
        ("https://inner.test/x", "not on the public"),
        ("http://good.test/x", "Only https"),
        (f"https://{INNER}/x", "not on the public"),
        ("https://a@good.test/x", "name or a password"),
    ):
        refused(f"https://good.test/to/{further}", why)
    names["good.test"] = [HERE, INNER]
    refused("https://good.test/to/red.png", "not on the public")  # the same name, and another address by now
    names["good.test"] = [HERE]
    refused("https://good.test/" + "to/" * 6 + "red.png", "leads on more than 3")


def test_what_is_too_large_cut_slow_or_no_answer_is_refused(served, names, monkeypatch):
    with pytest.raises(Problem, match="more than"):
        list(fetch("https://good.test/red.png", 10))
    refused("https://good.test/status/404", "status 404")
    refused("https://good.test/status/204", "status 204")
    refused("https://good.test/cut", "ended before")
    names["other.test"] = [HERE]
    refused("https://other.test/red.png", "Nobody answers")  # the certificate is another's
    monkeypatch.setattr(fetching, "TOTAL_SECONDS", 1.0)
    refused("https://good.test/trickle", "Nobody answers")  # each byte comes soon enough, the answer never


def test_a_service_fetches_only_if_it_is_set_to(start, indexed, served):
    asked = {"url": "https://good.test/red.png"}
    for settings in (indexed, replace(indexed, fetch_urls=True, offline=True)):
        assert_problem(start(settings).post("/v1/uploads/fetch", json=asked), 403, "fetching-off")
    assert served.seen == []
    http = start(replace(indexed, fetch_urls=True))
    answer = http.post("/v1/uploads/fetch", json=asked)
    assert (answer.status_code, answer.json()["modality"]) == (201, "image")
    found = http.post("/v1/search", json={"query": [{"upload": answer.json()["id"]}], "targets": ["image"], "k": 1})
    assert found.json()["hits"][0]["asset"]["name"] == "red.png"
    assert_problem(http.post("/v1/uploads/fetch", json={"url": "https://good.test/status/500"}), 422, "url")
    assert len(list((indexed.home / "uploads").iterdir())) == 1
