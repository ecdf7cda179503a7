"""The command that serves: one process that can be called, told apart from a taken port, and stopped."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys

import httpx2
import pytest
from PIL import Image

from search.api.client import Client
from tests.waiting import LONG


@pytest.fixture
def serve(tmp_path):
    processes = []

    def go(*options):
        command = [sys.executable, "-m", "ui.cli", "serve", "--home", str(tmp_path / "home"), "--no-page", *options]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield go
    for process in processes:
        process.kill()
        process.communicate()


def address(process):
    told = ""
    while process.poll() is None and not (found := re.search(r"http://[\d.]+:\d+", told)):
        told += process.stderr.readline()
    assert found, told
    return found.group()


def test_serve_indexes_a_folder_in_a_process_of_its_own_and_stops_on_an_interrupt(serve, tmp_path, monkeypatch):
    archive = tmp_path / "media"
    archive.mkdir()
    for name, colour in (("red", (220, 20, 20)), ("blue", (20, 20, 220))):
        Image.new("RGB", (64, 64), colour).save(archive / f"{name}.png")
    (archive / "note.txt").write_text("A note on lighthouses.\n")
    process = serve("--port", "0", "--root", str(archive))
    monkeypatch.setenv("SENSORIUM_HOME", str(tmp_path / "home"))  # whose token file the client reads
    with Client(address(process)) as client:
        assert client.status().engine in ("loading", "empty")
        job = client.index(["media"])
        *_, last = client.job_events(job.id)
        assert (last.state, last.progress.files, last.progress.done) == ("done", 3, 3), last
        assert client.search("lighthouses", targets=["text"], k=1).hits[0].asset.name == "note.txt"
        assert client.search("something blue", targets=["image"], k=2).searched == 2
    process.send_signal(signal.SIGINT)
    assert process.wait(LONG) in (0, 130)


def test_a_taken_port_is_told(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = serve("--port", str(port))
        _, told = process.communicate(timeout=LONG)
    assert process.returncode == 2
    assert f"Port {port} of 127.0.0.1 is taken" in told.replace("\n", " ")


def test_everybodys_address_takes_a_token(serve):
    process = serve("--host", "0.0.0.0", "--port", "0")
    _, told = process.communicate(timeout=LONG)
    assert process.returncode == 2
    assert "sensorium tokens add" in told


def test_the_address_that_is_printed_opens_the_service(serve, tmp_path):
    process = serve("--port", "0")
    told = process.stderr.readline()
    (opened,) = re.findall(r"http://[\d.:]+/\?token=\S+", told)
    assert opened.endswith((tmp_path / "home" / "token").read_text().strip())
    with httpx2.Client(follow_redirects=False) as http:
        assert http.get(opened.partition("?")[0]).status_code == 401
        assert http.get(opened).status_code == 303
        assert http.get(opened.partition("?")[0] + "v1/status").status_code == 200  # by the cookie


def test_the_page_and_the_api_are_one_process(tmp_path, monkeypatch, encoder):
    """Streamlit's own app, with the API beside its routes and the guard before both."""
    from starlette.testclient import TestClient

    from search.api.service import Service
    from search.settings import Settings
    from ui import serve as module

    assert module.PAGE.is_file()
    page = tmp_path / "app.py"
    page.write_text("import streamlit as st\nst.write('hello')\n")
    monkeypatch.setattr(module, "PAGE", page)
    monkeypatch.setenv("SENSORIUM_SERVICE", "")
    service = Service(Settings(home=tmp_path / "home"), load=lambda _: encoder)
    with TestClient(module._with_page(service, None, "http://127.0.0.1:1"), base_url="http://localhost") as http:
        assert "streamlit" in http.get("/").text.lower()
        assert http.get("/v1/status").json()["engine"] in ("loading", "empty")
        assert http.get("/livez").json() == {"live": True}
        assert http.get("/", headers={"Host": "evil.example"}).status_code == 421
