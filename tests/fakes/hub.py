"""A hub on this machine: it answers what huggingface_hub asks for when a model is pulled, and misbehaves on demand.

Repositories are dictionaries from names to bytes; commits and hashes follow from the content. What it was asked stands in ``asked``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import huggingface_hub.constants
import pytest

LARGE = 2_000
"""Files of at least this many bytes are kept as large ones: with a SHA-256, behind a redirect."""


class Hub:
    """``misbehave`` maps a part of an address to a status, or to a function of the handler that says whether it has answered."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.asked: list[tuple[str, str, str]] = []  # method, path, range
        self.misbehave: dict[str, object] = {}
        self.slow = 0.0  # seconds before each further 64 KB
        self.cut: list[int] = []  # after how many bytes of a large file the next connections break
        self.lie = False  # other bytes than the hashes say
        self.headers: list[dict[str, str]] = []  # of each request, in small letters, and its path
        self.address = ""

    def commit(self, repository: str) -> str:
        told = sorted((name, hashlib.sha256(content).hexdigest()) for name, content in self.repositories[repository].items())
        return hashlib.sha1(repr(told).encode()).hexdigest()

    def info(self, repository: str) -> dict:
        siblings = []
        for name, content in self.repositories[repository].items():
            told = {
                "rfilename": name,
                "size": len(content),
                "blobId": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
            }
            if len(content) >= LARGE:
                told["lfs"] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 134}
            siblings.append(told)
        return {"id": repository, "sha": self.commit(repository), "siblings": siblings, "cardData": {"license": "mit"}}

    def ranges(self, name: str) -> list[str]:
        """The ranges of a file that were asked for, in order; empty where all of it was."""
        return [part for _, path, part in self.asked if path.startswith("/cdn/") and path.endswith(name)]


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path, self.headers.get("Range", "")))
        self.hub.headers.append({name.lower(): value for name, value in self.headers.items()} | {"path": path})
        for part, what in self.hub.misbehave.items():
            if part in path:
                return self.refuse(*what) if isinstance(what, tuple) else self.refuse(what)
        if asked := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path):
            return self.about(*asked.groups())
        if asked := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([0-9a-f]{40})/(.+)", path):
            return self.resolve(*asked.groups())
        if asked := re.fullmatch(r"/cdn/([^/]+/[^/]+)/(.+)", path):
            return self.content(self.hub.repositories[asked[1]][asked[2]])
        return self.refuse(404)

    def about(self, repository: str, revision: str) -> None:
        if repository not in self.hub.repositories:
            return self.refuse(401, "RepoNotFound")
        if revision not in {"main", self.hub.commit(repository)}:
            return self.refuse(404, "RevisionNotFound")
        return self.answer(200, json.dumps(self.hub.info(repository)).encode(), {"Content-Type": "application/json"})

    def resolve(self, repository: str, commit: str, name: str) -> None:
        content = self.hub.repositories[repository].get(name)
        if content is None or commit != self.hub.commit(repository):
            return self.refuse(404, "EntryNotFound")
        told = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
        if len(content) >= LARGE:
            return self.answer(
                302, b"", told | {"Location": f"{self.elsewhere()}/cdn/{repository}/{name}", "X-Linked-Size": str(len(content))}
            )
        return self.content(content, told)

    def elsewhere(self) -> str:
        """The same server under another name, as large files come from another host than the hub."""
        return f"http://localhost:{self.server.server_port}"

    def content(self, content: bytes, told: dict[str, str] | None = None) -> None:
        if self.hub.lie:
            content = bytes(len(content))
        size, begin = len(content), 0
        if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            begin = int(asked[1])
            told = (told or {}) | {"Content-Range": f"bytes {begin}-{size - 1}/{size}"}
        cut = self.hub.cut.pop(0) if self.hub.cut and size >= LARGE else size
        self.answer(206 if begin else 200, b"", told or {}, length=size - begin)
        for at in range(begin, min(size, begin + cut), 65_536):
            self.wfile.write(content[at : min(at + 65_536, begin + cut)])
            time.sleep(self.hub.slow)
        if begin + cut < size:
            self.close_connection = True

    def refuse(self, status: int, code: str = "") -> None:
        self.answer(status, b"{}", {"X-Error-Code": code} if code else {})

    def answer(self, status: int, body: bytes, headers: dict[str, str], length: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients that are killed leave broken pipes."""


@contextlib.contextmanager
def serving() -> Iterator[tuple[Hub, str]]:
    """A hub and its address."""
    hub = Hub()
    with Server(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub})) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hub, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def unreachable() -> str:
    """An address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Iterator[Hub]:
    """A hub that huggingface_hub in this process, and in those that it starts, takes for the real one."""
    with serving() as (hub, address):
        turn_to(address, monkeypatch, tmp_path)
        hub.address = address
        yield hub


def turn_to(address: str, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(
        huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    for name, value in {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf")}.items():
        monkeypatch.setenv(name, value)
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


def weights(size: int = 5_000, seed: int = 0) -> bytes:
    """A safetensors file of one tensor of bytes that follow from ``seed``."""
    import numpy as np

    header = json.dumps({"weight": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + np.random.default_rng(seed).bytes(size)
