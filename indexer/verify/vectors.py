"""The promises of a space: every stored vector is valid, and the index on disk holds the same as the database."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from indexer.verify.checks import MEND, Check, Harm
from search.locks import held
from search.types import Ids, Space

SAMPLED_VECTORS = 500
"""Vectors that are compared with the index's own copies and have to find themselves, unless all are; questions of ``deep``."""

VECTORS_AT_ONCE = 20_000
"""Vectors that are in memory at the same time."""

MAX_LENGTH_ERROR = 5e-3
"""The largest allowed difference between the length of a stored float16 vector and 1."""


class StoredVectors:
    """The vectors of one space as SQL holds them: ids of segments (n,) in the order of their embeddings' numbers."""

    def __init__(self, connection: Connection, key: int, space: Space) -> None:
        self.connection, self.key, self.space = connection, key, space
        rows = connection.execute(
            text("SELECT id, segment_id FROM embedding WHERE space_id = :space ORDER BY id"), {"space": key}
        ).all()
        self.numbers = np.array([row[0] for row in rows], np.int64)
        self.ids = np.array([row[1] for row in rows], np.int64)
        removed = text("SELECT id, segment_id FROM removal WHERE space_id = :space")
        self.removed = np.array(connection.execute(removed, {"space": key}).all(), np.int64).reshape(-1, 2)
        self.sound = True

    def vectors(self) -> Iterator[tuple[Ids, NDArray[np.float16]]]:
        """All vectors of the right length (n, dim), with their segments, a batch at a time, by ascending segment."""
        query = text(
            "SELECT segment_id, vector FROM embedding WHERE space_id = :space AND segment_id > :after ORDER BY segment_id LIMIT :batch"
        )
        after = -1
        while rows := self.connection.execute(query, {"space": self.key, "after": after, "batch": VECTORS_AT_ONCE}).all():
            after = rows[-1].segment_id
            fits = [row for row in rows if len(row.vector) == 2 * self.space.dim]
            ids = np.array([row.segment_id for row in fits], np.int64)
            yield ids, np.frombuffer(b"".join(bytes(row.vector) for row in fits), "<f2").reshape(-1, self.space.dim)

    def checks(self, harm: Harm) -> Iterator[Check]:
        """Check that every stored vector is valid."""
        good = []
        for ids, rows in self.vectors():
            wide = rows.astype(np.float32)
            lengths = np.sqrt(np.einsum("nd,nd->n", wide, wide))
            good.append(ids[np.abs(lengths - 1) < MAX_LENGTH_ERROR])  # false for what is not finite
        bad = np.setdiff1d(self.ids, np.concatenate([*good, np.empty(0, np.int64)]))
        self.sound = not len(bad)
        harm.assets |= self._assets_of(bad)
        seen = f"{len(self.ids) - len(bad)} of {len(self.ids)}"
        name = f"space {self.space.name}: vectors are finite, of unit length and of {self.space.dim} dimensions"
        yield Check(name, self.sound, seen, MEND)

    def _assets_of(self, segments: Ids) -> set[int]:
        found: set[int] = set()
        for id_ in segments.tolist():
            asset = self.connection.execute(text("SELECT asset_id FROM segment WHERE id = :id"), {"id": id_}).scalar()
            found |= {asset} if asset is not None else set()
        return found


class IndexFiles:
    """The index of a space on disk."""

    def __init__(self, home: Path, truth: StoredVectors) -> None:
        self._truth, self._space = truth, truth.space
        digest = hashlib.sha256(truth.space.name.encode()).hexdigest()
        self._folder = home / "index" / f"{truth.key}-{digest[:12]}"

    def checks(self, harm: Harm, *, deep: bool) -> Iterator[Check]:
        """Check that its files are intact, and hold the same as SQL."""
        name = f"space {self._space.name}"
        generations = sorted(path.name for path in self._folder.glob("gen-*"))
        current, why = self._current()
        if current is None and why:
            harm.spaces.add(self._space.name)
            yield Check(f"{name}: the generation on disk is what was written", False, why, MEND)
            return
        left = [path.name for path in self._folder.glob("tmp-*")] if not held(self._folder / "lock") else []
        if current is None:  # nothing was written yet: all is read from SQL
            if generations:
                harm.spaces.add(self._space.name)
            yield Check(
                f"{name}: the generation on disk is what was written", not generations, f"none; {len(generations)} unnamed", MEND
            )
            return
        wrong = {one: self._damage(one) for one in generations}
        broken = [f"{one}: {why}" for one, why in wrong.items() if why]
        yield Check(f"{name}: the generation on disk is what was written", not broken, "; ".join(broken) or current, MEND)
        newest = current == (generations or [""])[-1] and not left
        yield Check(
            f"{name}: the newest generation serves, and nothing is left over",
            newest,
            f"{current} of {', '.join([*generations, *left])}",
            MEND,
        )
        if broken or not newest:
            harm.spaces.add(self._space.name)
        if not wrong.get(current, "it is gone"):
            for check in self._content(current, deep=deep):
                if not check.ok:
                    harm.spaces.add(self._space.name)
                yield check

    def _current(self) -> tuple[str | None, str]:
        """The generation that CURRENT names and seals, and what is wrong with that file."""
        try:
            line = (self._folder / "CURRENT").read_bytes()
        except FileNotFoundError:
            return None, ""
        except OSError as error:
            return None, f"CURRENT: {error}"
        named = re.fullmatch(rb"(gen-\d{8}) ([0-9a-f]{64})\n", line)
        if named is None:
            return None, f"CURRENT says {line[:40]!r}"
        name, seal = (word.decode() for word in named.groups())
        seen = _hash(self._folder / name / "manifest.json")
        return (name, "") if seen == seal else (None, f"{name}: the manifest is not the one that CURRENT names")

    def _damage(self, name: str) -> str:
        """What is wrong with a generation's files; empty if nothing is."""
        try:
            manifest = json.loads((self._folder / name / "manifest.json").read_bytes())
            hashes: Mapping[str, str] = manifest["sha256"]
            wanted = {"vectors.faiss", "ids.npy"} | {file for file in hashes if re.fullmatch(r"lists-\d{1,3}\.(faiss|npy)", file)}
            altered = [file for file in sorted(wanted) if _hash(self._folder / name / file) != hashes[file]]
            known = (manifest["generation"], manifest["space"], manifest["dim"]) == (
                int(name[4:]),
                self._space.name,
                self._space.dim,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"the manifest cannot be read: {error}"
        return "" if known and not altered else f"{', '.join(altered) or 'manifest.json'} is not what was written"

    def _content(self, name: str, *, deep: bool) -> Iterator[Check]:
        """Check the content of a generation whose files are intact."""
        folder, truth = self._folder / name, self._truth
        manifest = json.loads((folder / "manifest.json").read_bytes())
        held = np.load(folder / "ids.npy", allow_pickle=False)
        scan = faiss.read_index(str(folder / "vectors.faiss"), faiss.IO_FLAG_MMAP_IFC)
        later = truth.ids[truth.numbers > manifest["last_embedding"]]
        gone = truth.removed[truth.removed[:, 0] > manifest["last_removal"], 1]
        ours = np.setdiff1d(np.union1d(held, later), gone)
        missing, extra = np.setdiff1d(truth.ids, ours), np.setdiff1d(ours, truth.ids)
        whole = len(np.unique(held)) == len(held) == scan.ntotal and not len(missing) and not len(extra)
        seen = f"{len(ours)} segments; {len(missing)} only in the database, {len(extra)} only in the index"
        yield Check(f"space {self._space.name}: index and database hold the same segments", whole, seen, MEND)
        common = np.intersect1d(held, truth.ids)
        if not deep and len(common) > SAMPLED_VECTORS:
            common = np.sort(np.random.default_rng(len(common)).choice(common, SAMPLED_VECTORS, replace=False))
        same = self._copies(scan, held, common)
        yield Check(
            f"space {self._space.name}: the index's copies equal the database's",
            same == len(common),
            f"{same} of {len(common)}",
            MEND,
        )
        some = common[: SAMPLED_VECTORS // 4]
        itself = self._finds_itself(scan, some)
        yield Check(f"space {self._space.name}: vectors find themselves", itself == len(some), f"{itself} of {len(some)}", MEND)

    def _copies(self, scan: Any, held: Ids, common: Ids) -> int:  # noqa: ANN401 - FAISS's own
        """The number of common ids with identical bytes in the index and in SQL."""
        codes = faiss.rev_swig_ptr(scan.codes.data(), scan.ntotal * scan.code_size) if scan.ntotal else np.empty(0, np.uint8)
        table = codes.reshape(-1, scan.code_size)
        same = 0
        for ids, rows in self._truth.vectors():
            mine = np.isin(ids, common)
            at = np.searchsorted(held, ids[mine])
            same += int(np.all(table[at] == np.ascontiguousarray(rows[mine]).view(np.uint8), axis=1).sum())
        return same

    def _finds_itself(self, scan: Any, some: Ids) -> int:  # noqa: ANN401
        if not len(some):
            return 0
        queries = np.concatenate([rows[np.isin(ids, some)] for ids, rows in self._truth.vectors()]).astype(np.float32)
        faiss.omp_set_num_threads(1)
        scores, _ = scan.search(queries, 1)
        own = np.einsum("nd,nd->n", queries, queries)
        return int(np.sum(scores[:, 0] >= own - 1e-2))


def _hash(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal; empty where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return ""
