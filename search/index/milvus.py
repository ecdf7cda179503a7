"""Vectors in Milvus, or in a file of Milvus Lite through the same client. A collection for each space, with a partition and a graph
(HNSW) for each kind. Milvus Lite scans exactly."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from search.errors import SensoriumError
from search.index.remote import Address, Mark, away, failed
from search.types import KINDS, Ids, Vectors

ANSWER_SECONDS, BUILD_SECONDS = 10.0, 600.0
"""Seconds for an answer, and for building an index."""

ROWS_AT_ONCE = 1000
"""Rows in one request."""

EMBEDDING_ROW, REMOVAL_ROW = -1, -2
"""The ids of two rows that hold the mark. Segments have positive ids."""

MARKS = "marks"
"""The partition of these two rows."""

_GONE = (1, 2)
"""Codes of the client's own errors for a server that it cannot reach (UNEXPECTED_ERROR of a call, CONNECT_FAILED)."""

logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs whatever it raises, too


class _Files:
    """Files of Milvus Lite that are open in this process. The client leaves them locked when it is closed."""

    def __init__(self) -> None:
        self._lock, self._users = threading.Lock(), Counter[str]()

    def open(self, path: str) -> None:
        with self._lock:
            self._users[path] += 1

    def close(self, path: str) -> None:
        with self._lock:
            self._users[path] -= 1
            if not self._users[path]:
                from milvus_lite.server_manager import server_manager_instance

                server_manager_instance.release_server(path)


_files = _Files()


class MilvusVectors:
    """See ``RemoteVectors``."""

    most = 16_384
    most_effort = 16_384

    def __init__(self, address: Address, name: str, dim: int) -> None:
        self._address, self._name, self._dim = address, name, dim
        self._client: MilvusClient | None = None
        self._connecting = threading.Lock()
        self._loaded = False

    def mark(self) -> Mark | None:  # noqa: D102 - documented at the seam, like the next nine
        with self._asked() as client:
            if not client.has_collection(self._name, timeout=ANSWER_SECONDS):
                return None
            self._load(client)
            rows = client.get(
                self._name, ids=[EMBEDDING_ROW, REMOVAL_ROW], output_fields=["id", "number"], timeout=ANSWER_SECONDS
            )
            numbers = {int(row["id"]): int(row["number"]) for row in rows}
        return Mark(numbers[EMBEDDING_ROW], numbers[REMOVAL_ROW]) if len(numbers) == 2 else None

    def begin(self) -> None:  # noqa: D102
        self.drop()
        with self._asked() as client:
            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("number", DataType.INT64)
            schema.add_field("v", DataType.FLOAT_VECTOR, dim=self._dim)
            graph = client.prepare_index_params()
            if "lite" in client.get_server_version(
                timeout=ANSWER_SECONDS
            ):  # the graphs of Milvus Lite 3.2 do not lead to some vectors, however hard one looks
                graph.add_index("v", index_type="FLAT", metric_type="IP", params={})
            else:
                graph.add_index("v", index_type="HNSW", metric_type="IP", params={"M": 32, "efConstruction": 400})
            level = self._address.consistency
            client.create_collection(
                self._name, schema=schema, index_params=graph, consistency_level=level, timeout=BUILD_SECONDS
            )
            for partition in (MARKS, *map(_partition, range(len(KINDS)))):
                client.create_partition(self._name, partition, timeout=ANSWER_SECONDS)

    def put(self, ids: Ids, kinds: NDArray[np.int8], vectors: Vectors) -> None:  # noqa: D102
        with self._asked() as client:
            for kind in np.unique(kinds):
                of = np.flatnonzero(kinds == kind)
                for start in range(0, len(of), ROWS_AT_ONCE):
                    some = of[start : start + ROWS_AT_ONCE]
                    rows = [{"id": int(ids[at]), "number": 0, "v": vectors[at].astype(np.float32)} for at in some]
                    client.upsert(self._name, rows, partition_name=_partition(int(kind)), timeout=6 * ANSWER_SECONDS)

    def remove(self, ids: Ids) -> None:  # noqa: D102
        with self._asked() as client:
            for start in range(0, len(ids), ROWS_AT_ONCE):
                client.delete(self._name, ids=ids[start : start + ROWS_AT_ONCE].tolist(), timeout=6 * ANSWER_SECONDS)

    def settle(self, mark: Mark, *, scrub: bool = False) -> None:  # noqa: D102
        with self._asked() as client:
            client.flush(self._name, timeout=BUILD_SECONDS)
            self._load(client)
            numbers = {EMBEDDING_ROW: mark.embedding, REMOVAL_ROW: mark.removal}
            rows = [{"id": id_, "number": number, "v": [0.0] * self._dim} for id_, number in numbers.items()]
            client.upsert(self._name, rows, partition_name=MARKS, timeout=ANSWER_SECONDS)
            client.flush(self._name, timeout=BUILD_SECONDS)
            if scrub:
                client.compact(self._name, timeout=BUILD_SECONDS)

    def search(  # noqa: D102
        self, queries: Vectors, k: int, kind: int, effort: int, only: Ids | None = None, without: Ids | None = None
    ) -> list[Ids]:
        wanted = "" if only is None else f"id in {only.tolist()}"
        wanted = wanted if without is None else f"id not in {without.tolist()}"
        with self._asked() as client:
            found: Sequence[Any] = client.search(
                self._name, data=list(queries), limit=k, filter=wanted, output_fields=["id"], partition_names=[_partition(kind)],
                search_params={"metric_type": "IP", "params": {"ef": max(effort, k)}}, consistency_level=self._address.consistency,
                timeout=ANSWER_SECONDS,
            )  # fmt: skip
        return [np.array([hit["id"] for hit in hits], np.int64) for hits in found]

    def ids(self) -> Ids:  # noqa: D102
        found: list[int] = []
        with self._asked() as client:
            self._load(client)
            rows = client.query_iterator(
                self._name, batch_size=ROWS_AT_ONCE, filter="id >= 0", output_fields=["id"], timeout=ANSWER_SECONDS
            )
            while some := rows.next():
                found += [int(row["id"]) for row in some]
            rows.close()
        return np.sort(np.array(found, np.int64))

    def copies(self, ids: Ids) -> dict[int, NDArray[np.float32]]:  # noqa: D102
        found: dict[int, NDArray[np.float32]] = {}
        with self._asked() as client:
            for start in range(0, len(ids), ROWS_AT_ONCE):
                some = ids[start : start + ROWS_AT_ONCE].tolist()
                rows = client.get(self._name, ids=some, output_fields=["id", "v"], timeout=6 * ANSWER_SECONDS)
                found |= {int(row["id"]): np.array(row["v"], np.float32) for row in rows}
        return found

    def drop(self) -> None:  # noqa: D102
        with self._asked() as client:
            if client.has_collection(self._name, timeout=ANSWER_SECONDS):
                client.drop_collection(self._name, timeout=6 * ANSWER_SECONDS)
        self._loaded = False

    def close(self) -> None:  # noqa: D102
        with self._connecting:
            client, self._client, self._loaded = self._client, None, False
            if client is not None:
                client.close()
                if not self._address.uri.startswith("http"):
                    _files.close(self._address.uri)

    def _load(self, client: MilvusClient) -> None:
        """Have the server hold the collection in memory, which a server that was started again may not."""
        client.load_collection(self._name, timeout=BUILD_SECONDS)

    @contextmanager
    def _asked(self) -> Iterator[MilvusClient]:
        """The client. Its errors become ours."""
        try:
            yield self._connected()
        except SensoriumError:
            raise
        except (grpc.RpcError, grpc.FutureTimeoutError, ConnectionError, TimeoutError) as error:
            raise away(self._address, error) from error
        except MilvusException as error:
            raise (away if _is_gone(error) else failed)(self._address, error) from error
        except Exception as error:  # the client lets out whatever happens in it
            raise failed(self._address, error) from error

    def _connected(self) -> MilvusClient:
        with self._connecting:
            if self._client is None:
                address = self._address
                self._client = MilvusClient(address.uri, token=address.token, db_name=address.database, timeout=ANSWER_SECONDS)
                if not address.uri.startswith("http"):
                    _files.open(address.uri)
            return self._client


def _is_gone(error: MilvusException) -> bool:
    """Whether an error says that the server was not reached."""
    told = str(error)
    return getattr(error, "code", None) in _GONE or "Fail connecting" in told or "Open local milvus failed" in told


def _partition(kind: int) -> str:
    return f"kind_{kind}"
