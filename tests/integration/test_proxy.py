"""Behind a proxy: nginx as Debian brings it, with TLS and a path prefix, before two services on one PostgreSQL."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from indexer import run
from search.api.service import Service
from search.settings import Settings
from tests.conftest import make_archive
from tests.fakes.encoder import FakeEncoder
from tests.integration.conftest import LONG, listening
from tests.waiting import until

NGINX = shutil.which("nginx") or (Path("/usr/sbin/nginx").exists() and "/usr/sbin/nginx")

CONFIG = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream archive {{ {upstreams} }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    location /archive/ {{ proxy_pass http://archive/; proxy_set_header Host $http_host; }}
    location /whole/ {{ rewrite ^/whole(/.*)$ /archive$1 break; proxy_pass http://archive; proxy_set_header Host $http_host; }}
    location / {{ proxy_pass http://archive/; }}
  }}
}}
"""


@pytest.fixture(scope="module")
def services(tmp_path_factory, postgres):
    """The ports of two services of one archive, with a home each, and a folder for the uploads of both."""
    if not NGINX:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    folder, encoder = tmp_path_factory.mktemp("proxied"), FakeEncoder()
    media = make_archive(folder / "archive")
    of = Settings(
        home=folder / "one", database_url=postgres.database(), roots=str(media), prefix="/archive", uploads=folder / "uploads",
        hosts="archive.example",
    )  # fmt: skip
    run.index(of, run.RunRequest([media]), encoder=encoder)
    with ExitStack() as stack:
        ports = []
        for home in ("one", "two"):
            service = Service(replace(of, home=folder / home), load=lambda _: encoder, runner=lambda *_: None, patience=LONG)
            ports.append(stack.enter_context(listening(service)))
        for port in ports:
            until(lambda port=port: httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=LONG).status_code == 200)
        yield ports


@pytest.fixture(scope="module")
def proxied(services, tmp_path_factory):
    """A client that calls through the proxy by its name."""
    folder = tmp_path_factory.mktemp("nginx")
    subject = ["-subj", "/CN=archive.example", "-addext", "subjectAltName=DNS:archive.example"]
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-keyout",
        folder / "key.pem",
        "-out",
        folder / "cert.pem",
    ]
    subprocess.run([*made, *subject], check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    upstreams = " ".join(f"server 127.0.0.1:{one};" for one in services)
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, port=port, upstreams=upstreams))
    server = subprocess.Popen([NGINX, "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL)
    trusted = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    trusted.check_hostname = False  # it is called by its address, as there is no such name
    with httpx2.Client(
        base_url=f"https://127.0.0.1:{port}", verify=trusted, timeout=LONG, headers={"Host": f"archive.example:{port}"}
    ) as client:
        try:
            until(lambda: server.poll() is None and reachable(port), lambda: (folder / "error.log").read_text())
            yield client
        finally:
            server.terminate()
            server.wait()


def reachable(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def found(client, **more) -> dict:
    answer = client.post("/archive/v1/search", json={"query": [{"text": "red"}], "k": 2, "group": "segment"} | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_links_and_documentation_lead_through_the_prefix(proxied):
    links = [hit["links"] for hit in found(proxied)["hits"]]
    thumbnail = next(one["thumbnail"] for one in links if one["thumbnail"])
    assert thumbnail.startswith("/archive/v1/assets/")
    assert proxied.get(thumbnail).headers["content-type"].startswith("image/")
    assert proxied.get(links[0]["media"]).status_code == 200
    page = proxied.get("/archive/v1/docs")
    assert page.status_code == 200
    assert "/archive/v1/openapi.json" in page.text
    assert proxied.get("/archive/v1/openapi.json").json()["info"]["title"] == "Sensorium"
    assert proxied.get("/archive/").headers["location"] == "/archive/v1/docs"
    scripts = [part.split('"')[0] for part in page.text.split('src="')[1:]]
    assert scripts
    assert all(proxied.get(script).status_code == 200 for script in scripts)


def test_a_proxy_that_leaves_the_prefix_is_understood_too(proxied):
    assert proxied.get("/whole/v1/collections").status_code == 200
    assert proxied.get("/whole/readyz").status_code == 200


def test_uploads_and_cursors_hold_whichever_service_answers(proxied, services):
    sent = proxied.post("/archive/v1/uploads?name=more.txt", content=b"red flowers").json()["id"]
    for port in services:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=LONG) as alone:
            assert alone.get(f"/v1/uploads/{sent}").status_code == 200
            assert alone.post("/v1/search", json={"query": [{"upload": sent}]}).status_code == 200
    seen, cursor = [], None
    for _ in range(3):
        page = found(proxied, **({"cursor": cursor} if cursor else {}))
        seen += [hit["segment"] for hit in page["hits"]]
        cursor = page["cursor"]
    assert len(set(seen)) == len(seen) == 6
    whole = [hit["segment"] for hit in found(proxied, k=6)["hits"]]
    assert seen == whole


def test_events_of_a_job_come_as_they_happen_from_any_service(proxied, tmp_path):
    made = proxied.post("/archive/v1/index-jobs", json={"paths": ["archive"]}, headers={"Idempotency-Key": "once"})
    assert made.status_code == 202, made.text
    assert made.headers["location"].startswith("/archive/v1/index-jobs/")
    again = proxied.post("/archive/v1/index-jobs", json={"paths": ["archive"]}, headers={"Idempotency-Key": "once"})
    assert again.json()["id"] == made.json()["id"]
    for _ in range(2):
        with proxied.stream("GET", f"{made.headers['location']}/events") as answer:
            lines = answer.iter_lines()
            event = next(lines), next(lines), next(lines)
            assert answer.headers.get("x-accel-buffering") is None  # nginx keeps it for itself
            assert json.loads(event[2].removeprefix("data: "))["id"] == made.json()["id"]
            assert "end" in "".join(event) or any(line == "event: end" for line in lines)


def test_a_lost_host_gives_a_remedy_that_names_the_proxy(proxied):
    lost = proxied.get("/v1/status")
    assert lost.status_code == 421
    assert "proxy_set_header Host $http_host" in lost.json()["remedy"]
    origin = {"Origin": "https://elsewhere.example"}
    foreign = proxied.post("/archive/v1/search", json={"query": [{"text": "red"}]}, headers=origin)
    assert foreign.status_code == 403
    assert "proxy_set_header Host $http_host" in foreign.json()["remedy"]
    own = proxied.post(
        "/archive/v1/search", json={"query": [{"text": "red"}]}, headers={"Origin": f"https://{proxied.headers['host']}"}
    )
    assert own.status_code == 200
