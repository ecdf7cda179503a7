"""Verification: checks that the archive's data is consistent.

It does not use the writer's code, so that a mistake of the writer cannot hide itself: it has its own SQL, and its own reading of
the index files. Only ``deep`` uses the engine, whose answers it then checks. Damage that can be repaired is collected for
``indexer.repair``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, bindparam, text
from sqlalchemy.exc import DatabaseError

from search.locks import held
from search.query import Engine, Near
from search.settings import Settings
from search.store import Database
from search.store.spaces import LEVELLED
from search.types import KINDS, MEDIA, Channel, Filter, Grouping, Ids, Kind, Modality, Needs, Space, Vectors

SAMPLED_VECTORS = 500
"""Vectors that are compared with the index's own copies and have to find themselves, unless all are; questions of ``deep``."""

VECTORS_AT_ONCE = 20_000
"""Vectors that are in memory at the same time."""

MAX_LENGTH_ERROR = 5e-3
"""The largest allowed difference between the length of a stored float16 vector and 1."""

_MEND = "Run `sensorium verify --repair`."
_BACKUP = "Restore a backup, or index into a new home."


@dataclass(frozen=True, slots=True)
class Check:
    """One check: whether it passed, what was seen, and what to do if it failed."""

    name: str
    ok: bool
    seen: str
    remedy: str = ""


@dataclass(slots=True)
class Harm:
    """Damage that can be repaired.

    It holds the ids of assets to embed again, of assets whose names are not written, of units without a ledger line, and of
    readings that lost passages; rows with dangling references (table, row); id counters that lag behind (table, least);
    pictures without an asset; spaces with a damaged index; whether the word index is damaged; and whether there are indexes of
    spaces that are gone.
    """

    assets: set[int] = field(default_factory=set)
    unnamed: set[int] = field(default_factory=set)
    untold: set[int] = field(default_factory=set)
    unread: set[int] = field(default_factory=set)
    dangling: set[tuple[str, int]] = field(default_factory=set)
    counters: dict[str, int] = field(default_factory=dict)
    pictures: list[Path] = field(default_factory=list)
    spaces: set[str] = field(default_factory=set)
    words: bool = False
    strangers: bool = False


def verify(settings: Settings, *, deep: bool = False) -> list[Check]:
    """Check the database, every vector, the index of every space, and the thumbnails.

    ``deep`` compares all vectors of the index instead of a sample, and the engine's answers with brute force.
    """
    return examine(settings, deep=deep)[0]


def examine(settings: Settings, *, deep: bool = False) -> tuple[list[Check], Harm]:
    """The result of ``verify``, and the damage that can be repaired."""
    database, harm = Database(settings.database), Harm()
    checks: list[Check] = []
    with closing(database):
        database.check()
        whole = _matches_texts(database) if database.file and not database.read_only else None
        with database.reading() as connection:
            sqlite = database.file is not None
            checks += _rows(connection, harm, sqlite=sqlite)
            checks.append(_counters(connection, harm, sqlite=sqlite))
            checks.append(_names(connection, harm))
            checks += _words(connection, harm, whole, sqlite=sqlite)
            checks.append(_pictures(connection, harm, settings.home))
            for row in connection.execute(text("SELECT id, name, family, model, revision, dim FROM space ORDER BY id")).all():
                space = Space(row.name, row.family, row.model, row.revision.removesuffix(LEVELLED), row.dim, MEDIA)
                truth = _Truth(connection, row.id, space)
                checks += truth.checks(harm)
                checks += _Index(settings.home, truth).checks(harm, deep=deep)
                if deep and truth.sound and len(truth.ids):
                    checks.append(_answers(settings, truth))
            checks.append(_strangers(connection, harm, settings.home))
    return checks, harm


_QUESTIONS = {
    "every finished unit's segments have a vector": (
        "SELECT DISTINCT u.asset_id FROM unit u JOIN space p ON p.id = u.space_id JOIN asset a ON a.id = u.asset_id"
        " JOIN segment s ON s.asset_id = u.asset_id LEFT JOIN embedding e ON e.segment_id = s.id AND e.space_id = u.space_id"
        " WHERE u.state = 'done' AND e.id IS NULL AND s.reader_id IS NULL AND ',' || p.kinds || ',' LIKE '%,' || a.modality || '/' || s.channel || ',%'",
        "assets lack a vector",
    ),
    "every finished unit has segments": (  # but one of a space that takes in a part of such assets: perhaps they had nothing of it
        "SELECT u.asset_id FROM unit u JOIN space p ON p.id = u.space_id JOIN asset a ON a.id = u.asset_id WHERE u.state = 'done'"
        " AND ',' || p.kinds || ',' LIKE '%,' || a.modality || '/' || CASE a.modality WHEN 'audio' THEN 'sound' WHEN 'text' THEN 'text'"
        " WHEN 'imu' THEN 'motion' ELSE 'visual' END || ',%' AND (a.modality != 'video' OR ',' || p.kinds || ',' LIKE '%,video/sound,%')"
        " AND NOT EXISTS (SELECT 1 FROM segment s WHERE s.asset_id = u.asset_id AND coalesce(s.reader_id, 1) != 0)",  # 0: its name
        "finished assets without a segment",
    ),
    "no vector belongs to an unfinished unit": (
        "SELECT DISTINCT s.asset_id FROM embedding e JOIN segment s ON s.id = e.segment_id LEFT JOIN unit u"
        " ON u.asset_id = s.asset_id AND u.space_id = e.space_id WHERE s.reader_id IS NULL AND (u.state IS NULL OR u.state != 'done')",
        "assets have such vectors",
    ),
}
"""What must be true of every asset; each query finds the assets that violate it."""


def _rows(connection: Connection, harm: Harm, *, sqlite: bool) -> Iterator[Check]:
    if sqlite:
        bad = connection.execute(text("SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check != 'ok'")).all()
        yield Check("the database file is whole", not bad, f"{len(bad)} damaged places", _BACKUP)
        dangling = connection.execute(text('SELECT "table", rowid FROM pragma_foreign_key_check')).all()
        harm.dangling |= {(row[0], row[1]) for row in dangling}
        yield Check("no row points to one that is gone", not dangling, f"{len(dangling)} dangling rows", _MEND)
    for name, (question, what) in _QUESTIONS.items():
        assets = set(connection.execute(text(question)).scalars())
        harm.assets |= assets
        yield Check(name, not assets, f"{len(assets)} {what}", _MEND)
    question = (
        "SELECT u.id FROM unit u WHERE u.state IN ('failed', 'quarantined') AND NOT EXISTS"
        " (SELECT 1 FROM ledger l WHERE l.asset_id = u.asset_id)"
    )
    untold = set(connection.execute(text(question)).scalars())
    harm.untold |= untold
    yield Check("every file that failed is in the ledger", not untold, f"{len(untold)} failed units without a line", _MEND)
    question = (
        "SELECT g.id FROM reading g WHERE g.state = 'done' AND g.passages IS NOT NULL AND g.passages !="
        " (SELECT count(*) FROM segment s WHERE s.asset_id = g.asset_id AND s.reader_id = g.reader_id)"
    )
    unread = set(connection.execute(text(question)).scalars())
    harm.unread |= unread
    yield Check("every reading holds its passages", not unread, f"{len(unread)} readings have lost some", _MEND)
    question = "SELECT count(*) FROM removal r JOIN segment s ON s.id = r.segment_id JOIN embedding e ON e.segment_id = s.id AND e.space_id = r.space_id"
    again = connection.execute(text(question)).scalar_one()
    yield Check(
        "segment numbers are unique",
        not again,
        f"{again} removed segments reappeared" if again else "no removed segment reappeared",
        _BACKUP,
    )


_NAMED = sorted(str(modality) for modality in Modality if Kind(modality, Channel.TEXT) in KINDS)
"""Media whose names are words."""

_NAMES, _NAME = 20, 1_000
"""Files of an asset whose names are written, and characters of a name that are."""


def _names(connection: Connection, harm: Harm) -> Check:
    """Check that each asset has one segment that says the names of its files, and none if it has no file. What a trigger has noted
    is written by the next run."""
    told: dict[int, list[str]] = {}
    for asset, said in connection.execute(text("SELECT asset_id, text FROM segment WHERE reader_id = 0 ORDER BY id")):
        told.setdefault(asset, []).append(said or "")
    named = text(
        "SELECT l.asset_id, l.path FROM location l JOIN asset a ON a.id = l.asset_id WHERE l.state != 'missing' AND a.modality IN :named ORDER BY l.id"
    ).bindparams(bindparam("named", expanding=True))
    files: dict[int, list[str]] = {}
    for asset, path in connection.execute(named, {"named": _NAMED}):
        if len(some := files.setdefault(asset, [])) < _NAMES:
            some.append(bytes(path).rsplit(b"/", 1)[-1].decode("utf-8", "replace").replace("\0", "\ufffd")[-_NAME:])
    wrong = {asset for asset in told if asset not in files}
    for asset, some in files.items():
        said = told.get(asset, [])
        if len(said) != 1 or not all(name in said[0] for name in some):
            wrong.add(asset)
    wrong -= set(connection.execute(text("SELECT asset_id FROM renamed")).scalars())
    harm.unnamed |= wrong
    return Check("the names of files are words", not wrong, f"{len(wrong)} assets lack theirs", _MEND)


def _counters(connection: Connection, harm: Harm, *, sqlite: bool) -> Check:
    """Check that the id counters are not behind the ids in use. Then no id is used twice."""
    behind = {}
    for table in ("asset", "segment", "embedding", "removal"):
        used = [f"SELECT coalesce(max(id), 0) FROM {table}"]  # noqa: S608 - names of our own tables
        if table == "segment":
            used.append("SELECT coalesce(max(segment_id), 0) FROM removal")
        least = max(connection.execute(text(question)).scalar_one() for question in used)
        given = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = :name"
        if not sqlite:
            given = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence(:name, 'id')::regclass), 0)"
        if connection.execute(text(given), {"name": table}).scalar_one() < least:
            behind[table] = least
    harm.counters |= behind
    return Check(
        "new rows get new numbers", not behind, ", ".join(behind) + " would not" if behind else "all counters are ahead", _MEND
    )


def _matches_texts(database: Database) -> bool:
    """Whether FTS5's data of each text matches the text. SQLite treats this check as a write, so it has its own transaction."""
    with database.writing(quiet=True) as connection:
        try:
            connection.exec_driver_sql("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")
        except DatabaseError as error:
            if "malformed" not in str(error):
                raise
            return False
        return True


def _words(connection: Connection, harm: Harm, whole: bool | None, *, sqlite: bool) -> Iterator[Check]:
    """Check that the word index matches the texts of segments, and that the word counts are right.

    ``whole``: SQLite's result for the former, if it was asked.
    """
    if sqlite:
        wrong = int(whole is False)
        counts = "SELECT value AS term, count(*) AS count FROM segment, json_each(sensorium_distinct(text)) WHERE text IS NOT NULL GROUP BY value"
    else:
        wrong = connection.execute(
            text(
                "SELECT count(*) FROM (SELECT id, text FROM segment WHERE text IS NOT NULL) s FULL JOIN words w ON w.id = s.id"
                " WHERE w.words IS DISTINCT FROM sensorium_words(s.text)"
            )
        ).scalar_one()
        counts = "SELECT term, count(DISTINCT id) AS count FROM segment, sensorium_terms(text) GROUP BY term"
    seen = "not compared: SQLite writes for it, and the home may only be read" if sqlite and whole is None else "no difference"
    yield Check("the index of words holds what texts say", not wrong, f"{wrong} differences" if wrong else seen, _MEND)
    one, other = "SELECT term, count FROM word", f"SELECT term, count FROM ({counts}) AS seen"  # noqa: S608 - no values
    question = (
        f"SELECT count(*) FROM (SELECT * FROM ({one} EXCEPT {other}) AS a UNION SELECT * FROM ({other} EXCEPT {one}) AS b) AS c"  # noqa: S608 - no values
    )
    off = connection.execute(text(question)).scalar_one()
    yield Check("every word is counted in the segments that hold it", not off, f"{off} counts are off", _MEND)
    harm.words = bool(wrong or off)


def _pictures(connection: Connection, harm: Harm, home: Path) -> Check:
    known = {bytes(digest).hex() for digest in connection.execute(text("SELECT digest FROM asset")).scalars()}
    pictures = [path for path in (home / "cache").glob("*/*") if path.is_file()]
    orphans = [path for path in pictures if path.name.partition("-")[0] not in known]
    harm.pictures += orphans
    return Check("every thumbnail belongs to an asset", not orphans, f"{len(orphans)} of {len(pictures)} belong to none", _MEND)


def _strangers(connection: Connection, harm: Harm, home: Path) -> Check:
    found = [path for path in (home / "index").glob("*-*") if re.fullmatch(r"\d+-[0-9a-f]{12}", path.name)]
    rows = connection.execute(text("SELECT id, name FROM space")).all()
    known = {f"{row.id}-{hashlib.sha256(row.name.encode()).hexdigest()[:12]}" for row in rows}
    left = [path.name for path in found if path.name not in known]
    harm.strangers = bool(left)
    return Check("every index belongs to a space", not left, f"{len(left)} of {len(found)} belong to none", _MEND)


class _Truth:
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
        yield Check(name, self.sound, seen, _MEND)

    def _assets_of(self, segments: Ids) -> set[int]:
        found: set[int] = set()
        for id_ in segments.tolist():
            asset = self.connection.execute(text("SELECT asset_id FROM segment WHERE id = :id"), {"id": id_}).scalar()
            found |= {asset} if asset is not None else set()
        return found


class _Index:
    """The index of a space on disk."""

    def __init__(self, home: Path, truth: _Truth) -> None:
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
            yield Check(f"{name}: the generation on disk is what was written", False, why, _MEND)
            return
        left = [path.name for path in self._folder.glob("tmp-*")] if not held(self._folder / "lock") else []
        if current is None:  # nothing was written yet: all is read from SQL
            if generations:
                harm.spaces.add(self._space.name)
            yield Check(
                f"{name}: the generation on disk is what was written", not generations, f"none; {len(generations)} unnamed", _MEND
            )
            return
        wrong = {one: self._damage(one) for one in generations}
        broken = [f"{one}: {why}" for one, why in wrong.items() if why]
        yield Check(f"{name}: the generation on disk is what was written", not broken, "; ".join(broken) or current, _MEND)
        newest = current == (generations or [""])[-1] and not left
        yield Check(
            f"{name}: the newest generation serves, and nothing is left over",
            newest,
            f"{current} of {', '.join([*generations, *left])}",
            _MEND,
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
            altered = [file for file in ("vectors.faiss", "ids.npy") if _hash(self._folder / name / file) != hashes[file]]
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
        yield Check(f"space {self._space.name}: index and database hold the same segments", whole, seen, _MEND)
        common = np.intersect1d(held, truth.ids)
        if not deep and len(common) > SAMPLED_VECTORS:
            common = np.sort(np.random.default_rng(len(common)).choice(common, SAMPLED_VECTORS, replace=False))
        same = self._copies(scan, held, common)
        yield Check(
            f"space {self._space.name}: the index's copies equal the database's",
            same == len(common),
            f"{same} of {len(common)}",
            _MEND,
        )
        some = common[: SAMPLED_VECTORS // 4]
        itself = self._finds_itself(scan, some)
        yield Check(f"space {self._space.name}: vectors find themselves", itself == len(some), f"{itself} of {len(some)}", _MEND)

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


class _Silent:
    """A stand-in for an encoder, for questions that are segments of the archive and need no encoding."""

    needs = Needs(size=32, fit="squash", rate=16_000, window_ms=1_000, characters=100)

    def __init__(self, space: Space) -> None:
        self.space = space

    def encode(self, modality: Modality, batch: Sequence[object]) -> Vectors:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _Question:
    """A query for segments near a ``query`` vector (dim,), under a filter that passes ``among`` (n,)."""

    segment: int
    query: NDArray[np.float32]
    filter: Filter
    among: Ids
    k: int
    group: Grouping


def _answers(settings: Settings, truth: _Truth) -> Check:
    """Ask the engine what is near sampled segments, for each kind and under filters. Compare with brute force over SQL."""
    questions = _questions(truth)
    best = _brute(truth, questions)
    with Engine(settings, encoder=_Silent(truth.space)) as engine:
        equal = sum(_agrees(engine, asked, found) for asked, found in zip(questions, best, strict=True))
    return Check(
        f"space {truth.space.name}: answers equal brute force",
        equal == len(questions),
        f"{equal} of {len(questions)} sampled questions",
        "Run `sensorium verify --repair`, and tell us if that does not help.",
    )


def _questions(truth: _Truth) -> list[_Question]:
    collections = truth.connection.execute(text("SELECT name FROM collection ORDER BY name")).scalars().all()
    rng = np.random.default_rng(len(truth.ids))
    asked = rng.choice(truth.ids, min(len(truth.ids), max(SAMPLED_VECTORS // 20, 1)), replace=False)
    vectors = [
        (int(id_), row.astype(np.float32))
        for ids, rows in truth.vectors()
        for id_, row in zip(ids, rows, strict=True)
        if id_ in asked
    ]
    within = {one: _inside(truth, one) for one in collections[:3]}
    wanted = [
        (Filter((kind.modality,), (kind.channel,), (one,) if one else ()), np.intersect1d(ids, within[one]) if one else ids)
        for kind, ids in _kinds(truth).items()
        for one in ("", *within)
    ]
    shapes: tuple[tuple[int, Grouping], ...] = ((1, "segment"), (5, "moment"), (20, "asset"))
    return [
        _Question(segment, query, *wanted[turn % len(wanted)], *shapes[turn % 3])
        for turn, (segment, query) in enumerate(vectors if wanted else [])
    ]


def _agrees(engine: Engine, asked: _Question, best: NDArray[np.float32]) -> bool:
    """Whether the engine's answer is as complete and as good: all hits if nothing is merged, else the first."""
    hits = engine.search(Near(asked.segment), asked.filter, k=asked.k, group=asked.group).hits
    got = np.array([hit.cosine for hit in hits[: len(best)]])
    if asked.group == "segment":
        return len(hits) == len(best) and np.allclose(got, best, atol=2e-3)
    return bool(hits) == bool(len(best)) and (not len(got) or bool(abs(got[0] - best[0]) < 2e-3))


def _kinds(truth: _Truth) -> dict[Kind, Ids]:
    """The segments of the space that can be found, by kind."""
    query = text(
        "SELECT s.id, a.modality, s.channel FROM segment s JOIN asset a ON a.id = s.asset_id WHERE EXISTS (SELECT 1 FROM location l"
        " WHERE l.asset_id = a.id AND l.state = 'present')"
    )
    names = {(str(kind.modality), str(kind.channel)): kind for kind in KINDS}
    found: dict[Kind, list[int]] = {}
    for id_, modality, channel in truth.connection.execute(query):
        found.setdefault(names[modality, channel], []).append(id_)
    return {kind: np.intersect1d(np.array(ids, np.int64), truth.ids) for kind, ids in found.items()}


def _inside(truth: _Truth, collection: str) -> Ids:
    """The segments of a collection that can be found (n,)."""
    there = text(
        "SELECT DISTINCT s.id FROM segment s JOIN location l ON l.asset_id = s.asset_id JOIN collection c ON c.id = l.collection_id"
        " WHERE c.name = :name AND l.state = 'present'"
    )
    return np.array(truth.connection.execute(there, {"name": collection}).scalars().all(), np.int64)


def _brute(truth: _Truth, questions: Sequence[_Question]) -> list[NDArray[np.float32]]:
    """The best cosines of each question, at most ``k``, best first. All vectors are read once."""
    best = [np.empty(0, np.float32) for _ in questions]
    for ids, rows in truth.vectors():
        wide = rows.astype(np.float32)
        for at, asked in enumerate(questions):
            scores = wide[np.isin(ids, asked.among)] @ (asked.query / np.linalg.norm(asked.query))
            best[at] = np.sort(np.concatenate([best[at], scores]))[::-1][: asked.k]
    return best


def _hash(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal; empty where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return ""
