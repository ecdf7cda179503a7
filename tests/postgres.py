"""A PostgreSQL server of the tests' own, on a socket in a temporary folder. Without its programs on this machine the tests skip."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

DURABLE_ENOUGH = "-c fsync=off -c full_page_writes=off"
"""The folder goes away with the server: nothing of it has to survive a power cut. What was committed survives ``stop``, ``immediate`` too: with
``synchronous_commit=off`` that would lose the last commits, and the index would hold segments that the database has forgotten."""


def programs() -> Path | None:
    """Where PostgreSQL's programs are; the newest of several."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name))


class Server:
    """A server with its socket and its data in ``folder``. PostgreSQL refuses to run as root: then it runs as its own user, or as nobody."""

    def __init__(self, where: Path | None = None) -> None:
        """``where`` its programs are; by default those of ``programs``."""
        self._where = where or programs()
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: the path of a socket has 107 bytes at most
        self._user = _user()
        if self._user is not None:
            shutil.chown(self.folder, self._user, pwd.getpwnam(self._user).pw_gid)
        self._call("initdb", "--auth=trust", "--username=sensorium", "--encoding=UTF8", "--no-sync")

    def start(self) -> None:
        """Run, and wait until it takes connections."""
        self._call("pg_ctl", "start", "-w", "-o", f"-c listen_addresses='' -k {self.folder} {DURABLE_ENOUGH}")

    def stop(self, mode: str = "immediate") -> None:
        """End, and every connection with it: ``fast`` says good-bye to them, ``immediate`` does not."""
        self._call("pg_ctl", "stop", "-w", "-m", mode)

    def restart(self, mode: str, seconds: float = 0.0) -> None:
        """Be away for so long."""
        self.stop(mode)
        time.sleep(seconds)
        self.start()

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(host=str(self.folder), user="sensorium", dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql://sensorium@/{name}?host={self.folder}"

    def _call(self, program: str, *arguments: str) -> None:
        assert self._where is not None
        command = [str(self._where / program), "-D", str(self.folder / "data"), *arguments]
        environment = os.environ | {"LC_ALL": "C.UTF-8"}
        with (self.folder / "log").open("ab") as log:
            subprocess.run(command, user=self._user, env=environment, cwd="/", stdout=log, stderr=log, check=True)


@contextmanager
def server(where: Path | None = None) -> Iterator[Server]:
    """Run a server; everything of it goes in the end."""
    made = Server(where)
    try:
        made.start()
        try:
            yield made
        finally:
            if (made.folder / "data" / "postmaster.pid").exists():
                made.stop()
    finally:
        shutil.rmtree(made.folder, ignore_errors=True)


def _user() -> str | None:
    if os.geteuid() != 0:
        return None
    return "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One server for all tests of this process."""
    if programs() is None:
        pytest.skip("no PostgreSQL server is installed: apt-get install postgresql")
    with server() as running:
        yield running


@pytest.fixture
def postgres_url(postgres: Server) -> str:
    """The URL of an empty database."""
    return postgres.database()
