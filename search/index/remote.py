"""Vectors that are also kept by a server, which scans them: Milvus, or PostgreSQL with pgvector. What it keeps is a cache, like a
generation: it is filled from SQL and can be dropped at any time.

The server only selects candidates. The exact index beside it scores them, and answers whatever the server does not: a k above its
maximum, a filter under which it finds too few, an outage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from search.errors import InputError, SensoriumError, VectorsAway
from search.index.flat import Bitmap, FlatIndex
from search.index.ivf import MIN_RECALL, RECALL_DEPTH, measured
from search.index.placed import ScanLost
from search.types import Ids, Vectors

SAMPLED_QUERIES = 128
"""Vectors of each kind that are asked for when the effort is chosen."""

WANTED_RECALL = 0.99
"""The recall for which the effort is raised. It leaves room for questions that are harder than those of the sample."""

LEAST_EFFORT = 64
"""The number of candidates that a search in a graph keeps, at first."""

MAX_PUSHED_IDS = 10_000
"""Up to this many ids, a filter is sent to the server. Beyond, more is asked for, and what the filter excludes is left out here."""

CONSISTENCY = {"strong": "Strong", "bounded": "Bounded", "session": "Session", "eventually": "Eventually"}
"""How an address names the consistency levels of Milvus."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The numbers of the last embedding and the last removal in SQL that a server knows of."""

    embedding: int = 0
    removal: int = 0


class RemoteVectors(Protocol):
    """The vectors of one space on a server. Every method raises VectorsAway if the server cannot be reached, and SensoriumError if it fails in another
    way."""

    most: int
    """The largest k."""
    most_effort: int
    """The largest effort that it takes."""

    def mark(self) -> Mark | None:
        """Up to where it is filled. None: it was never filled."""
        ...

    def begin(self) -> None:
        """Start anew, with nothing."""
        ...

    def put(self, ids: Ids, kinds: NDArray[np.int8], vectors: Vectors) -> None:
        """Keep vectors (n, dim) under ids (n,), each with its kind. Those that are there are replaced."""
        ...

    def remove(self, ids: Ids) -> None:
        """Remove ids (n,). Those that are not there are ignored."""
        ...

    def settle(self, mark: Mark, *, scrub: bool = False) -> None:
        """Make everything searchable, then write the mark. ``scrub``: leave nothing of what was removed on its disk, as far as it can."""
        ...

    def search(
        self, queries: Vectors, k: int, kind: int, effort: int, only: Ids | None = None, without: Ids | None = None
    ) -> list[Ids]:
        """For each query (n, dim) up to ``k`` ids of a kind, best first: among ``only`` these, or ``without`` these."""
        ...

    def ids(self) -> Ids:
        """Every id that is kept, ascending (n,)."""
        ...

    def copies(self, ids: Ids) -> dict[int, NDArray[np.float32]]:
        """Its own copies (dim,) of vectors, by id. Those that it does not keep are left out."""
        ...

    def drop(self) -> None:
        """Remove everything of the space."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


@dataclass(frozen=True, slots=True)
class Address:
    """Where vectors are kept. ``scheme`` is ``milvus`` or ``pgvector``, ``name`` how messages call it, without secrets."""

    scheme: str
    name: str
    uri: str = ""
    token: str = ""
    database: str = ""
    consistency: str = "Strong"

    @classmethod
    def parse(cls, told: str, database_url: str) -> Address:
        """Read the setting ``vectors``.

        Raises:
            InputError: it names nothing that can be used.
        """
        if told == "pgvector":
            if not database_url.startswith("postgresql"):
                raise _unusable(
                    "pgvector keeps vectors in the database, and this one is SQLite", "Set SENSORIUM_DATABASE_URL too."
                )
            return cls("pgvector", "pgvector", database_url)
        try:
            parts = urlsplit(told)
            port, options = parts.port or 19_530, parse_qs(parts.query, strict_parsing=bool(parts.query))
        except ValueError as error:
            raise _unusable(f"it cannot be read ({error})") from error
        if parts.scheme != "milvus":
            raise _unusable("it names neither milvus:// nor pgvector")
        if unknown := sorted({*options} - {"consistency", "tls"}):
            raise _unusable(f"it has an unknown option {unknown[0]!r}", "Known options: consistency, tls.")
        level = options.get("consistency", ["strong"])[-1].lower()
        if level not in CONSISTENCY:
            raise _unusable(f"there is no consistency level {level!r}", f"Known: {', '.join(CONSISTENCY)}.")
        if not parts.hostname:
            if not parts.path.endswith(".db"):
                raise _unusable("a file of milvus-lite ends in .db", "Example: milvus:///var/lib/sensorium/vectors.db")
            return cls("milvus", f"Milvus Lite in {parts.path}", parts.path, consistency=CONSISTENCY[level])
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        secure = options.get("tls", ["0"])[-1] in {"1", "true"}
        token = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
        where = f"http{'s' if secure else ''}://{host}:{port}"
        return cls("milvus", f"Milvus at {host}:{port}", where, token, parts.path.strip("/"), CONSISTENCY[level])


def _unusable(why: str, remedy: str = "") -> InputError:
    return InputError(
        f"SENSORIUM_VECTORS cannot be used: {why}.",
        remedy=remedy or "Examples: milvus://127.0.0.1:19530, milvus:///var/lib/sensorium/vectors.db, pgvector.",
    )


def connect(address: Address, name: str, dim: int) -> RemoteVectors:
    """The vectors of a space, kept under ``name``. Nothing is sent yet.

    Raises:
        InputError: the client that it takes is not installed.
    """
    try:
        if address.scheme == "pgvector":
            from search.index.pgvector import PgVectors

            return PgVectors(address, name, dim)
        from search.index.milvus import MilvusVectors

        return MilvusVectors(address, name, dim)
    except ModuleNotFoundError as error:
        raise InputError(
            f"Vectors cannot be kept in {address.name}: {error.name} is not installed.",
            remedy=f"Install it: pip install 'sensorium[{address.scheme}]'",
        ) from error


class RemoteScan:
    """The scan of one kind by a server, as ``PlacedIndex`` wants it. ``recall`` (samples,) is what it reaches for questions of each
    sample, at its ``effort``."""

    selects = True

    def __init__(
        self, remote: RemoteVectors, flat: FlatIndex, ids: Ids, kind: int, samples: Sequence[Vectors],
        lost: Callable[[SensoriumError], None], recall: float = WANTED_RECALL,
    ) -> None:  # fmt: skip
        """Over ``ids`` (n,) of ``flat``, ascending, all of one kind. ``lost`` is told when the server does not answer.

        Raises:
            ScanLost: the server does not answer, or reaches no recall of .95.
        """
        self._remote, self._flat, self._ids, self._kind, self._lost = remote, flat, ids, kind, lost
        self.most = min(remote.most, len(ids))
        self.effort, self.recall = min(LEAST_EFFORT, remote.most_effort), [1.0] * len(samples)
        self._tune([sample[:: max(1, len(sample) // SAMPLED_QUERIES)] for sample in samples], recall)

    def search(self, queries: Vectors, k: int, share: float, allowed: Bitmap | None) -> tuple[NDArray[np.float32], Ids]:
        """See ``PlacedScan``. The scores are those of the exact index. Under a filter the effort is greater by the square of the share that
        it lets through: once for the candidates that it excludes, and once since it may leave those that lie far away."""
        chosen: dict[str, Ids] = {}
        if allowed is not None:
            wanted = allowed.mask(len(self._ids))
            if wanted.sum() <= MAX_PUSHED_IDS:
                chosen["only"] = self._ids[wanted]
            elif (~wanted).sum() <= MAX_PUSHED_IDS:
                chosen["without"] = self._ids[~wanted]
            else:
                k = min(math.ceil(1.5 * k / share) + 32, self.most)
        try:
            effort = min(max(math.ceil(self.effort / share**2), k), self._remote.most_effort)
            found = self._remote.search(queries, k, self._kind, effort, **chosen)
        except SensoriumError as error:
            self._lost(error)
            raise ScanLost(str(error)) from error
        return self._scored(queries, found)

    def _scored(self, queries: Vectors, found: Sequence[Ids]) -> tuple[NDArray[np.float32], Ids]:
        """Scores and rows (n, most found), best first. Ids that are told twice or that are not of this scan are left out."""
        kept = [np.intersect1d(one, self._ids) for one in found]
        width = max(map(len, kept), default=0)
        rows, scores = np.full((len(kept), width), -1, np.int64), np.full((len(kept), width), -np.inf, np.float32)
        for at, (query, ids) in enumerate(zip(queries, kept, strict=True)):
            held = self._flat.holds(ids)
            ids = ids[held]
            own = self._flat.reconstruct(ids) @ query
            best = np.argsort(-own, kind="stable")
            rows[at, : len(ids)] = np.searchsorted(self._ids, ids[best])
            scores[at, : len(ids)] = own[best]
        return scores, rows

    def _tune(self, samples: Sequence[Vectors], recall: float) -> None:
        """Double the effort until every sample of questions reaches the wanted recall against the exact scan."""
        truth = [self._flat.search(sample, RECALL_DEPTH, within=self._ids)[0] for sample in samples]
        while True:
            depth = min(RECALL_DEPTH, self.most)
            self.recall = [
                measured(self._ids, _wide(self.search(sample, depth, 1.0, None)[1], depth), best[:, :depth])
                for sample, best in zip(samples, truth, strict=True)
            ]
            if min(self.recall, default=1.0) >= recall:
                return
            if min(self.recall) >= MIN_RECALL and self.effort >= 8 * LEAST_EFFORT:
                return  # a graph that does not lead everywhere gets no better, only slower
            if self.effort >= self._remote.most_effort:
                if min(self.recall) >= MIN_RECALL:
                    return
                raise ScanLost(f"the recall is {min(self.recall):.2f}, not {MIN_RECALL}, however hard it looks")
            self.effort = min(2 * self.effort, self._remote.most_effort)


def _wide(rows: Ids, depth: int) -> Ids:
    """The first ``depth`` columns, filled up with -1."""
    whole = np.full((len(rows), depth), -1, np.int64)
    some = rows[:, :depth]
    whole[:, : some.shape[1]] = some
    return whole


def away(address: Address, error: BaseException) -> VectorsAway:
    """The error for a server that cannot be reached."""
    return VectorsAway(
        f"{address.name} cannot be reached: {first_line(error)}.",
        remedy="Check that its server runs and that SENSORIUM_VECTORS names it. Searches are answered by the exact index meanwhile;"
        " the next `sensorium index` brings it up to date.",
    )


def failed(address: Address, error: BaseException) -> SensoriumError:
    """The error for a server that answers, and cannot do what it is asked."""
    return SensoriumError(
        f"{address.name} failed: {first_line(error)}.",
        remedy="Look into its log. `sensorium db rebuild` fills it again from the database.",
    )


def first_line(error: BaseException) -> str:
    """The first line of what an error says, without a full stop."""
    message: Any = getattr(error, "message", None) or error
    return str(message).strip().partition("\n")[0].rstrip(".") or type(error).__name__
