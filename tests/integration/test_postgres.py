"""The way of a file and of a query with everything in PostgreSQL."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from indexer import run
from search.query import Engine, Term
from search.store import Database, SqlStore
from search.types import Modality


@pytest.fixture
def settings(settings, postgres_url):
    return replace(settings, database_url=postgres_url)


def best(settings, encoder, words: str) -> list[str]:
    with Engine(settings, encoder=encoder) as engine:
        return [hit.segment.path.rsplit("/", 1)[1] for hit in engine.search(Term(words, Modality.TEXT), k=3).hits]


def test_an_archive_in_postgresql_is_indexed_found_and_pruned(settings, archive, encoder):
    job = run.Job([archive], prune=True)
    assert run.index(settings, job, encoder=encoder).progress.done == 13
    assert run.index(settings, job, encoder=encoder).progress.done == 0
    assert best(settings, encoder, "red")[0] in {"red.png", "flowers.txt"}
    shutil.rmtree(archive / "pictures")
    assert run.index(settings, job, encoder=encoder).removed == 8
    assert "red.png" not in best(settings, encoder, "red")
    database = Database(settings.database)
    assert SqlStore(database).counts()["units"] == {"done": 5}
    database.close()


def test_the_service_answers_from_postgresql(start, settings, archive, encoder):
    run.index(settings, run.Job([archive]), encoder=encoder)
    http = start(replace(settings, roots=str(archive)))
    found = http.post("/v1/search", json={"query": [{"text": "blue"}], "targets": ["image"], "k": 1})
    assert found.json()["hits"][0]["asset"]["name"] == "blue.png"
    for address in ("/v1/assets", "/v1/collections", "/v1/failures", "/v1/index-jobs", "/v1/status"):
        assert http.get(address).status_code == 200, address
