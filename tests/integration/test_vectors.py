"""Vectors that a server keeps too: it follows SQL, finds what the exact index finds, and may go away."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer import delete, repair, run, verify
from search.errors import InputError, SensoriumError, VectorsAway
from search.index import FlatIndex
from search.index.placed import PlacedIndex
from search.index.remote import Address, Mark, RemoteScan, connect
from search.mirror import Mirror, mirrored
from search.query import Engine, Term
from search.store import Database, SqlStore
from search.types import Modality
from tests.waiting import until
from ui import status

SERVERS = ("milvus", "pgvector")


@pytest.fixture(params=SERVERS)
def kept(request, settings):
    """Settings by which a server keeps vectors too."""
    if request.param == "milvus":
        return replace(settings, vectors=request.getfixturevalue("milvus").url)
    return replace(settings, vectors="pgvector", database_url=request.getfixturevalue("pgvector_url"))


@pytest.fixture
def indexed(kept, archive, encoder):
    run.index(kept, run.RunRequest([archive]), encoder=encoder)
    return kept


@contextmanager
def mirror_of(settings) -> Iterator[Mirror]:
    with closing(Database(settings.database)) as database:
        store = SqlStore(database)
        ((key, space),) = store.spaces()
        with mirrored(settings, store, key, space) as mirror:
            yield mirror


def hits(engine, words: str = "red") -> list[tuple[int, float]]:
    return [(hit.segment.id, round(hit.cosine, 4)) for hit in engine.search(Term(words, Modality.TEXT), k=5).hits]


def asked(settings, encoder, words: str = "red") -> list[tuple[int, float]]:
    with Engine(settings, encoder=encoder) as engine:
        return hits(engine, words)


def failing(settings) -> list[str]:
    return [f"{check.name}: {check.seen}" for check in verify.verify(settings) if not check.ok]


def test_it_follows_new_rows_and_removals_and_answers_the_same(indexed, archive, encoder, monkeypatch):
    assert failing(indexed) == []
    with Engine(indexed, encoder=encoder) as engine:
        searcher = next(iter(engine.opened()))
        assert isinstance(searcher.live.index, PlacedIndex)
        assert len(searcher.live.index.scans) == 3
        remote, calls = searcher._mirror.remote, []
        real = remote.search
        monkeypatch.setattr(remote, "search", lambda *given, **more: calls.append(given[2]) or real(*given, **more))
        assert hits(engine) == asked(replace(indexed, vectors=""), encoder)
        assert len(set(calls)) == 3
        (archive / "texts" / "more.txt").write_text("Red boats on red water.\n")
        os.remove(archive / "pictures" / "red.png")
        run.index(indexed, run.RunRequest([archive], prune=True), encoder=encoder)
        found = [hit.segment.path.rsplit("/", 1)[1] for hit in engine.search(Term("red boats", Modality.TEXT), k=20).hits]
        assert "more.txt" in found
        assert "red.png" not in found
    assert failing(indexed) == []
    (told,) = status.gather(indexed)["vectors"]
    assert (told["space"], told["behind"], told["error"]) == ("fake", 0, "")


def test_verify_finds_what_is_altered_and_repair_fills_it_again(indexed):
    with mirror_of(indexed) as mirror:
        ids = mirror.remote.ids()
        _, kinds = mirror._store.kinds(mirror._key, ids[:1])
        wrong = np.eye(1, mirror._space.dim, dtype=np.float32)
        mirror.remote.put(ids[:1], kinds, wrong)
        mirror.remote.remove(ids[1:2])
        mirror.remote.put(np.array([10**9]), kinds, wrong)
    told = "\n".join(failing(indexed))
    assert "1 only in the database, 1 only there" in told
    assert f"{len(ids) - 2} of {len(ids) - 1}" in told
    done, checks = repair.repair(indexed)
    assert any("was filled again" in sentence for sentence in done)
    assert all(check.ok for check in checks)


def test_what_is_deleted_is_gone_from_it_at_once(indexed, archive):
    before = failing(indexed)
    with mirror_of(indexed) as mirror:
        count = len(mirror.remote.ids())
        gone = delete.delete(indexed, delete.What(paths=[archive / "pictures"]))
        assert len(mirror.remote.ids()) == count - gone.vectors > 0
        mark, ends = mirror.mark(), mirror._store.sequences()
        assert mark == Mark(*ends)
    assert before == failing(indexed) == []


def test_a_fill_that_was_cut_short_goes_on_and_one_of_another_database_begins_anew(indexed, monkeypatch):
    with mirror_of(indexed) as mirror:
        ids, ends = mirror.remote.ids(), mirror._store.sequences()
        assert mirror.follow() == 0
        mirror.remote.remove(ids[-3:])
        mirror.remote.settle(Mark(ends[0] - 3, ends[1]))
        assert mirror.follow() == 3
        assert mirror.remote.ids().tolist() == ids.tolist()
        mirror.remote.settle(Mark(ends[0] + 1, ends[1]))
        assert mirror.mark() is None
        assert mirror.follow() == len(ids)
        real = mirror.remote.settle
        monkeypatch.setattr(mirror.remote, "settle", lambda *_, **__: (_ for _ in ()).throw(SensoriumError("cut short")))
        with pytest.raises(SensoriumError, match="cut short"):
            mirror.follow(anew=True)
        assert mirror.mark() is None
        monkeypatch.setattr(mirror.remote, "settle", real)
        assert mirror.follow() == len(ids)


def test_an_outage_costs_no_answer_and_its_end_is_noticed(milvus, settings, archive, encoder, caplog, monkeypatch):
    monkeypatch.setattr("search.mirror.LAST_RETRY_SECONDS", 0.5)
    monkeypatch.setattr("search.index.milvus.ANSWER_SECONDS", 1.0)
    caplog.set_level(logging.WARNING)
    there = replace(settings, vectors=milvus.url)
    run.index(there, run.RunRequest([archive]), encoder=encoder)
    with Engine(there, encoder=encoder) as engine:
        expected, searcher = hits(engine), next(iter(engine.opened()))
        milvus.stop()
        try:
            assert hits(engine) == expected
            assert searcher.live.index.lost
            assert caplog.text.count("It is tried again until it is back") == 1
            (archive / "texts" / "more.txt").write_text("Red boats on red water.\n")
            monkeypatch.setattr("indexer.run.OUTAGE_SECONDS", 0.0)
            summary = run.index(there, run.RunRequest([archive]), encoder=encoder)
            assert summary.progress.done == 1
            ((name, error),) = summary.absent.items()
            assert isinstance(error, VectorsAway)
            assert name == f"Milvus at 127.0.0.1:{milvus.port} for fake"
            assert "brings it up to date" in error.remedy
            assert any("cannot be reached" in one for one in failing(there))
            assert "cannot be reached" in status.gather(there)["vectors"][0]["error"]
        finally:
            milvus.start()
        until(lambda: searcher._mirror.epoch, caplog.text)
        assert hits(engine)
        assert not searcher.live.index.lost
    assert "is back" in caplog.text
    assert not run.index(there, run.RunRequest([archive]), encoder=encoder).absent
    assert failing(there) == []


def clustered(count: int, seed: int, dim: int = 32) -> np.ndarray:
    """Unit rows around 50 centres, as embeddings lie."""
    centres, rng = np.random.default_rng(0).standard_normal((50, dim)), np.random.default_rng(seed)
    rows = centres[rng.integers(0, 50, count)] + 0.7 * rng.standard_normal((count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module", params=SERVERS)
def filled(request):
    """A server that keeps pictures (kind 0) and texts that lie apart (kind 1), and their vectors (n, dim)."""
    if request.param == "milvus":
        address = Address.parse(request.getfixturevalue("milvus").url, "")
    else:
        address = Address.parse("pgvector", request.getfixturevalue("vector_server").database())
    apart = np.zeros(32, np.float32)
    apart[0] = 4
    texts = clustered(2000, 3) + apart
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    rows = np.concatenate([clustered(4000, 1), texts])
    with closing(connect(address, "sensorium_large", 32)) as remote:
        remote.begin()
        remote.put(np.arange(1, 6001), (np.arange(6000) >= 4000).astype(np.int8), rows)
        remote.settle(Mark(1, 1))
        yield remote, rows


@pytest.fixture
def large(filled):
    """An index that is scanned by a server, kind by kind, and that server."""
    remote, rows = filled
    flat = FlatIndex(32)
    flat.add(np.arange(1, 6001), rows)

    def scan(of, ids, samples) -> RemoteScan:
        return RemoteScan(remote, of, ids, int(ids[0] > 4000), samples, pytest.fail)

    return PlacedIndex(flat, scan, [np.arange(1, 4001), np.arange(4001, 6001)]), remote


def recall(index, queries: np.ndarray, **options) -> float:
    truth = index.flat.search(queries, 10, **options)[0]
    found = index.search(queries, 10, **options)[0]
    assert (found >= 0).all()
    return float(np.mean([np.isin(one, some).mean() for one, some in zip(truth, found, strict=True)]))


def test_each_direction_finds_nearly_everything_filtered_too(large):
    index, _ = large
    pictures, texts = index.flat.reconstruct(np.arange(5, 4001, 16)), index.flat.reconstruct(np.arange(4005, 6001, 8))
    assert all(min(scan.recall) >= 0.95 for scan in index.scans)
    for queries in (pictures, texts):
        for within in (np.arange(1, 4001), np.arange(4001, 6001)):
            assert recall(index, queries, within=within) >= 0.95
            assert recall(index, queries, within=within[::7]) >= 0.95
            assert recall(index, queries, within=np.setdiff1d(within, within[::50])) >= 0.95


def test_a_filter_that_lets_through_the_worst_alone_has_k_answers(large):
    index, _ = large
    query = clustered(1, 9)
    worst = np.sort(index.flat.search(query, 4000, within=np.arange(1, 4001))[0][0][-400:])
    found = index.search(query, 10, within=worst)[0]
    assert np.isin(found, worst).all()
    assert np.isin(index.flat.search(query, 10, within=worst)[0], found).mean() >= 0.95


def test_neighbours_that_were_removed_do_not_use_up_the_answer(large):
    index, remote = large
    query = clustered(1, 9)
    near = np.sort(index.flat.search(query, 1500)[0][0])
    rows = index.flat.reconstruct(near)
    remote.remove(near)
    remote.settle(Mark(2, 2))
    index.remove(near)
    try:
        found, scores = index.search(query, 10)
        assert (found >= 0).all()
        assert not np.isin(found, near).any()
        np.testing.assert_allclose(scores, index.flat.search(query, 10)[1], atol=0.05)
    finally:
        remote.put(near, (near > 4000).astype(np.int8), rows)


def test_what_it_makes_up_is_not_believed(large, monkeypatch):
    """Ids that it was never given, or tells twice, are left out; answers that are then too few come from the exact index."""
    index, remote = large
    query = clustered(2, 9)
    monkeypatch.setattr(remote, "search", lambda queries, k, *_, **__: [np.array([10**9, 7, 7, -3])] * len(queries))
    np.testing.assert_array_equal(index.search(query, 5)[0], index.flat.search(query, 5)[0])
    assert not index.lost


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("pgvector", "this one is SQLite"),
        ("redis://localhost", "neither milvus"),
        ("milvus:///tmp/vectors", "ends in .db"),
        ("milvus://h?level=strong", "unknown option 'level'"),
        ("milvus://h?consistency=total", "no consistency level 'total'"),
        ("milvus://h:port", "cannot be read"),
    ],
)
def test_an_address_that_cannot_be_used_says_why(told, why):
    with pytest.raises(InputError, match=why) as caught:
        Address.parse(told, "sqlite:///x.db")
    assert caught.value.remedy


def test_an_address_is_told_without_its_secrets():
    told = Address.parse("milvus://user:p%40ss@[::1]:1953/films?tls=1&consistency=bounded", "")
    assert (told.uri, told.token, told.database, told.consistency) == ("https://[::1]:1953", "user:p@ss", "films", "Bounded")
    assert told.name == "Milvus at [::1]:1953"


def test_a_file_of_milvus_lite_is_opened_by_one_process_and_let_go(settings, archive, encoder, tmp_path):
    pytest.importorskip("milvus_lite")
    there = replace(settings, vectors=f"milvus://{tmp_path}/vectors.db?consistency=strong")
    run.index(there, run.RunRequest([archive]), encoder=encoder)
    assert asked(there, encoder) == asked(settings, encoder)
    from milvus_lite.db import MilvusLite

    MilvusLite(str(tmp_path / "vectors.db")).close()  # nobody holds its lock any more
    held = MilvusLite(str(tmp_path / "vectors.db"))
    try:
        with mirror_of(there) as mirror, pytest.raises(VectorsAway, match="Milvus Lite in"):
            mirror.mark()
        assert asked(there, encoder) == asked(settings, encoder)
    finally:
        held.close()


def test_a_database_without_the_extension_says_what_to_install(postgres, postgres_url):
    if any(Path("/usr/share/postgresql").glob("*/extension/vector.control")):
        pytest.skip("this machine's PostgreSQL has pgvector")
    with closing(connect(Address.parse("pgvector", postgres_url), "t1", 32)) as remote:
        with pytest.raises(InputError) as caught:
            remote.mark()
        assert "CREATE EXTENSION vector" in caught.value.remedy
