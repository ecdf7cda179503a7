"""What many tests share: a small archive of coloured pictures, tones, clips and texts, and the data that stays outside."""

from __future__ import annotations

import gc
import os
from pathlib import Path

# Before torch comes: the processes of a test run share the cores, and small models would spend their time on threads that wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from PIL import Image

from search.media.sandbox import pool
from search.settings import Settings
from tests import commands, decoders, graphs, schema, statements
from tests.fakes.encoder import COLOURS, PITCHES, FakeEncoder
from tests.postgres import postgres, postgres_url
from tests.vectors import milvus, pgvector_url, unused, vector_server

__all__ = ["milvus", "pgvector_url", "postgres", "postgres_url", "unused", "vector_server"]  # fixtures

SHARED = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_finish():
    """What is loaded by now stays: the collector need not look at its millions of objects again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def kept_decoders():
    """Pools hand their decoding processes on to the pools of later tests."""
    pool.Process = decoders.STOCK
    yield
    pool.Process = decoders.REAL
    decoders.STOCK.close()


@pytest.fixture(scope="module")
def fresh_decoders():
    """Pools start and end their own decoding processes, as they do outside of tests; there are no others."""
    decoders.STOCK.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "Process", decoders.REAL)
        yield


@pytest.fixture(scope="session", autouse=True)
def forks():
    """Ends the process that runs of the command line are forked from, if there was one."""
    yield
    commands.end()


@pytest.fixture(scope="session", autouse=True)
def built_commands():
    """The command line is built once, not for every run: typer looks at each of its functions, which takes a tenth of a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", commands.built)
        yield


@pytest.fixture(scope="session", autouse=True)
def copied_schema():
    """New databases are copies of what the migrations made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alembic.command.upgrade", schema.Schema().upgrade)
        yield


@pytest.fixture(scope="session", autouse=True)
def compiled_statements():
    """A statement is compiled for the first database that it is sent to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("search.store.database.create_engine", statements.Statements().create_engine)
        yield


@pytest.fixture(scope="session", autouse=True)
def loaded_graphs():
    """Encoders of the pocket space share their graphs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("search.encoders.pocket.PocketEncoder._session", graphs.session)
        yield


@pytest.fixture(scope="session", autouse=True)
def views_at_once():
    """A change is seen by the next search however slow the machine is: nothing is so dear that it has to wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("search.query.searcher._NOTICED", float("inf"))
        yield


@pytest.fixture
def migrations(monkeypatch):
    """New databases are made by the migrations, as they are outside of tests."""
    monkeypatch.setattr("alembic.command.upgrade", schema.migrate)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Eight pictures, three tones and two texts, named after what they are."""
    return make_archive(tmp_path / "archive")


def make_archive(folder: Path) -> Path:
    for name in ("pictures", "tones", "texts"):
        (folder / name).mkdir(parents=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (64, 48), colour).save(folder / "pictures" / f"{name}.png")
    for name, pitch in PITCHES.items():
        write_tone(folder / "tones" / f"{name}.wav", pitch)
    (folder / "texts" / "flowers.txt").write_text("Red flowers stand in the garden.\n")
    (folder / "texts" / "sea.md").write_text("# The sea\n\nBlue water as far as one can see.\n")
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the shared data is not in {SHARED}")
    return SHARED


def write_tone(path: Path, pitch: float, seconds: float = 2.0) -> None:
    import wave

    samples = 0.5 * np.sin(2 * np.pi * pitch * np.arange(int(16_000 * seconds)) / 16_000)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
