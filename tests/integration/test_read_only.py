"""A home that may be read, and not written: it is searched and served, and what would write says so."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import closing
from dataclasses import replace

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from indexer import run
from search.api.app import create_app
from search.api.service import Service
from search.errors import InputError, StoreError
from search.query import Engine, Term
from search.settings import Settings
from search.store import Database, SqlStore
from search.types import Modality
from tests.integration.test_api_search import assert_problem
from ui import serve
from ui.cli import app


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")


@pytest.fixture
def disk(tmp_path):
    """A file system that can be made read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=200m", "none", str(folder))
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def settings(disk, archive, encoder) -> Settings:
    settings = Settings(home=disk / "home", roots=str(archive))
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    mount("-o", "remount,ro", str(disk))
    assert not os.access(settings.home, os.W_OK)
    return settings


def names(settings, encoder, words: str) -> list[str]:
    with Engine(settings, encoder=encoder) as engine:
        return [hit.segment.path.rsplit("/", 1)[1] for hit in engine.search(Term(words, Modality.TEXT), k=3).hits]


def test_a_read_only_archive_is_searched(settings, encoder):
    assert names(settings, encoder, "red")[0] in {"red.png", "flowers.txt"}


def test_commands_that_read_work_and_those_that_write_say_what_to_do(settings, archive, encoder, monkeypatch):
    monkeypatch.setenv("SENSORIUM_HOME", str(settings.home))
    command = lambda *arguments: CliRunner().invoke(app, list(arguments))  # noqa: E731
    for reading in (["status"], ["failures"], ["verify"]):
        assert command(*reading).exit_code == 0, reading
    told = command("doctor").output
    assert "searching and serving work" in told
    assert "cannot be written" not in told
    with pytest.raises(InputError, match="cannot be written"):
        run.index(settings, run.RunRequest([archive]), encoder=encoder)
    with closing(Database(settings.database)) as database:
        with pytest.raises(StoreError, match="may be read, and not written") as caught, database.writing():
            pass
        assert "copy" in caught.value.remedy


def test_a_read_only_home_is_served_and_what_the_service_writes_goes_in_the_end(settings, archive, encoder):
    with serve._written_beside(settings) as beside:
        service = Service(beside, load=lambda _: encoder)
        with TestClient(create_app(service), base_url="http://localhost", raise_server_exceptions=False) as http:
            found = http.post("/v1/search", json={"query": [{"text": "blue"}], "targets": ["image"], "k": 1}).json()["hits"][0]
            assert found["asset"]["name"] == "blue.png"
            assert http.get(found["links"]["thumbnail"]).status_code == 200
            upload = http.post("/v1/uploads", content=(archive / "pictures" / "red.png").read_bytes())
            assert upload.status_code == 201
            assert_problem(http.post("/v1/index-jobs", json={"paths": ["archive"]}), 409, "read-only")
            assert http.get("/readyz").status_code == 200
        assert beside.home != settings.home
    assert not beside.home.exists()


def test_what_only_the_log_holds_is_found_too(tmp_path, disk, archive, encoder):
    """As after a kill: the last commits are in SQLite's log, and nobody may write them back."""
    home = tmp_path / "home"
    settings = Settings(home=home)
    run.index(settings, run.RunRequest([archive / "pictures"]), encoder=encoder)
    with closing(Database(settings.database)) as keeper, keeper.reading() as connection:
        connection.exec_driver_sql("SELECT * FROM asset")  # a reader: the log is not emptied as the run ends
        run.index(settings, run.RunRequest([archive / "texts"]), encoder=encoder)
        assert (home / "sensorium.db-wal").stat().st_size
        shutil.copytree(home, disk / "home")
    mount("-o", "remount,ro", str(disk))
    there = replace(settings, home=disk / "home")
    with closing(Database(there.database)) as database:
        assert SqlStore(database).counts()["units"] == {"done": 10}
    assert "flowers.txt" in names(there, encoder, "red")
