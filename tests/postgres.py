"""A PostgreSQL server of the tests' own, on a socket in a temporary folder. Without its programs on this machine the tests skip."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

DURABLE_ENOUGH = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"
"""The folder goes away with the server: nothing of it has to survive a power cut."""


def programs() -> Path | None:
    """Where PostgreSQL's programs are; the newest of several."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name))


@contextmanager
def server() -> Iterator[str]:
    """Run a server; gives the socket's folder. PostgreSQL refuses to run as root: then it runs as its own user, or as nobody."""
    where = programs()
    assert where is not None
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: the path of a socket has 107 bytes at most
    try:
        if user is not None:
            shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)

        def call(program: str, *arguments: str) -> None:
            command = [str(where / program), "-D", str(folder / "data"), *arguments]
            environment = os.environ | {"LC_ALL": "C.UTF-8"}
            with (folder / "log").open("ab") as log:
                subprocess.run(command, user=user, env=environment, cwd="/", stdout=log, stderr=log, check=True)

        call("initdb", "--auth=trust", "--username=sensorium", "--encoding=UTF8", "--no-sync")
        options = f"-c listen_addresses='' -k {folder} {DURABLE_ENOUGH}"
        call("pg_ctl", "start", "-w", "-o", options)
        try:
            yield str(folder)
        finally:
            call("pg_ctl", "stop", "-w", "-m", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _user() -> str | None:
    if os.geteuid() != 0:
        return None
    return "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The socket's folder of one server for all tests of this process."""
    if programs() is None:
        pytest.skip("no PostgreSQL server is installed: apt-get install postgresql")
    with server() as folder:
        yield folder


@pytest.fixture
def postgres_url(postgres: str) -> str:
    """The URL of an empty database."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(host=postgres, user="sensorium", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql://sensorium@/{name}?host={postgres}"
