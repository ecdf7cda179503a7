"""`--engine ray` on a cluster of three nodes: what is killed loses nothing, nothing is done twice, and no good file is blamed."""

from __future__ import annotations

import importlib.metadata
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from indexer.pipeline import Progress
from indexer.run import RunRequest, index, indexer
from indexer.scan import FolderScan, Tally
from indexer.verify import verify
from search.errors import ClusterAway, InputError, ModelMissing, UnknownName
from search.media.objects import Objects
from search.query import Engine, Term
from search.readers.written import WrittenReader
from search.settings import Settings
from search.store import Database, Queue, Readers
from search.store import tables as t
from search.types import Modality
from tests.waiting import until
from ui.options import place_of

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'sensorium[ray]'")
pytestmark = pytest.mark.filterwarnings("default")  # Ray leaves sockets open

from indexer import cluster as of  # noqa: E402 - needs Ray
from indexer.cluster import Cluster, FarEncoder  # noqa: E402

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
PICTURES, SOUNDS = 30, 4
POISON = (13, 7)
"""Pixels of a picture on which decoders die."""

DYING = f"""
import os, sys
if "search.media.sandbox.child" in sys.orig_argv:
    from PIL import Image
    def opened(*args, plain=Image.open, **kwargs):
        picture = plain(*args, **kwargs)
        if picture.size == {POISON}:
            os._exit(9)
        return picture
    Image.open = opened
"""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """A cluster of three nodes on this machine, one with a GPU by its own account. Decoders on it die of the poison."""
    if not os.environ.get("SENSORIUM_CLUSTER"):
        pytest.skip(
            "a cluster of three nodes costs two minutes of processor: SENSORIUM_CLUSTER=1 pytest tests/integration/test_cluster.py"
        )
    from ray.cluster_utils import Cluster as Nodes

    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(DYING)
    small = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        made = Nodes(initialize_head=True, head_node_args=small)
        made.others = [made.add_node(**small, num_gpus=gpus) for gpus in (1, 0)]
    try:
        yield made
    finally:
        ray._private.worker.global_worker.node = None  # else it says that a driver is still connected
        made.shutdown()


@pytest.fixture
def media(tmp_path) -> Path:
    """Pictures and sounds that differ, and a file of which decoders die."""
    folder = tmp_path / "media"
    folder.mkdir()
    for file in (*sorted((SAMPLE / "images").iterdir())[:PICTURES], *sorted((SAMPLE / "sounds").iterdir())[:SOUNDS]):
        shutil.copy(file, folder / file.name)
    Image.new("RGB", POISON, "red").save(folder / "poison.png")
    return folder


def rows(settings: Settings) -> dict[str, list[tuple[str, int]]]:
    """By the name of a file, its units: state, attempts."""
    with closing(Database(settings.database)) as database, database.reading() as connection:
        query = select(t.location.c.path, t.unit.c.state, t.unit.c.attempts).join(
            t.unit, t.unit.c.asset_id == t.location.c.asset_id
        )
        found: dict[str, list[tuple[str, int]]] = {}
        for path, state, attempts in connection.execute(query):
            found.setdefault(os.path.basename(path).decode(), []).append((state, attempts))
        return found


def assert_whole(settings: Settings) -> None:
    """Every good file is done, at the first attempt; the poison is quarantined after the third."""
    found = rows(settings)
    assert found.pop("poison.png") == [("quarantined", 3)]
    assert Counter(row for some in found.values() for row in some) == {("done", 1): PICTURES + SOUNDS}
    assert [check for check in verify(settings, deep=True) if not check.ok] == []


def vectors(settings: Settings) -> dict[str, np.ndarray]:
    """The vectors of every file, by its name."""
    with closing(Database(settings.database)) as database, database.reading() as connection:
        query = (
            select(t.location.c.path, t.embedding.c.vector)
            .join(t.segment, t.segment.c.asset_id == t.location.c.asset_id)
            .join(t.embedding, t.embedding.c.segment_id == t.segment.c.id)
            .order_by(t.location.c.path, t.segment.c.channel, t.segment.c.start)
        )
        found: dict[str, list[np.ndarray]] = {}
        for path, vector in connection.execute(query):
            found.setdefault(os.path.basename(path).decode(), []).append(np.frombuffer(vector, "<f2").astype(np.float32))
        return {name: np.array(some) for name, some in found.items()}


@pytest.fixture
def shift(monkeypatch) -> list[of._Shift]:
    """What a run does at the moment; it gives nobody work until all workers have started."""
    seen: list[of._Shift] = []
    begun: list[bool] = []

    def give(self, seat, more, plain=of._Shift._give):
        seen[:] = [self]
        begun.extend([True] if all(other.ready for other in self._seats.values()) else [])
        if begun:
            plain(self, seat, more)

    monkeypatch.setattr(of._Shift, "_give", give)
    return seen


def test_workers_encoders_and_a_node_that_die_lose_nothing(nodes, settings, media, tmp_path, shift):
    """And what is found is what a run on one machine finds."""
    killed: dict[str, object] = {}

    def kill(tally, done, scanning):
        busy = [seat for seat in shift[0]._seats.values() if seat.units] if shift else []
        if not killed and len(busy) == 3:
            with_gpu, killed["node"] = nodes.others
            ray.kill(next(seat.actor for seat in busy if seat.node == with_gpu.node_id))
            nodes.remove_node(killed["node"], allow_graceful=False)
        if killed and "encoder" not in killed and done.done and shift[0]._encoders:
            killed["encoder"] = ray.kill(shift[0]._encoders[0], no_restart=False)

    with Cluster(settings, nodes.address) as cluster:
        summary = index(settings, RunRequest([media], report=kill), cluster=cluster)
    assert set(killed) == {"encoder", "node"}
    assert cluster.errors == []
    assert (summary.progress.done, summary.progress.failures) == (PICTURES + SOUNDS, {"killed": 1})
    assert_whole(settings)

    alone = Settings(tmp_path / "alone")
    index(alone, RunRequest([media]))
    here, there = vectors(alone), vectors(settings)
    assert here.keys() - {"poison.png"} == there.keys()
    assert all(np.allclose(there[name], here[name], atol=2e-3) for name in there)
    with Engine(settings) as far, Engine(alone) as near:
        for words in ("a dog", "the sea at sunset", "a cow"):
            term = Term(words, Modality.TEXT)
            found, same = far.search(term, k=10), near.search(term, k=11)
            paths = [hit.segment.path for hit in same.hits if not hit.segment.path.endswith("poison.png")]
            assert [hit.segment.path for hit in found.hits] == paths[:10]


def started(nodes, settings: Settings, media: Path) -> subprocess.Popen[str]:
    """A run from the command line, which has just committed its first files."""
    with closing(Database(settings.database)) as database:
        database.upgrade()
    options = ("--engine", "ray", "--address", nodes.address, "--home", str(settings.home), "--json")
    driver = subprocess.Popen(
        [sys.executable, "-m", "ui.cli", "index", str(media), *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until(lambda: driver.poll() is not None or any(unit == ("done", 1) for some in rows(settings).values() for unit in some))
    except BaseException:
        driver.kill()
        raise
    return driver


def test_a_killed_run_is_gone_on_with(nodes, settings, media):
    """Readings too. What had been committed is not done again."""
    with closing(Database(settings.database)) as database:
        database.upgrade()
        reader, readers = WrittenReader(), Readers(database)
        readers.fill(readers.add("written", reader.revision, sorted(reader.reads), sorted(reader.channels), []))
    driver = started(nodes, settings, media)
    driver.kill()
    driver.communicate()
    assert driver.returncode == -signal.SIGKILL
    before = vectors(settings)
    with Cluster(replace(settings, gpu_encoders=0), nodes.address, nodes=1) as cluster:  # which encodes by itself
        summary = index(settings, RunRequest([media]), cluster=cluster)
    assert summary.progress.done == PICTURES + SOUNDS - len(before)
    assert summary.progress.failures == {"killed": 1}
    found = rows(settings)
    assert found.pop("poison.png") == [("quarantined", 3)]
    assert {state for some in found.values() for state, _ in some} == {"done"}
    after = vectors(settings)
    assert all(np.array_equal(after[name], before[name]) for name in before)
    with closing(Database(settings.database)) as database:
        assert Readers(database).size(1)[0] == {"done": PICTURES + SOUNDS}
    assert [check for check in verify(settings, deep=True) if not check.ok] == []


def test_two_drivers_share_a_collection_and_do_nothing_twice(nodes, settings, media):
    drivers = [started(nodes, settings, media), started(nodes, settings, media)]
    told = [driver.communicate()[1] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [4, 4] or 0 in [driver.returncode for driver in drivers], (
        told
    )  # 4: the poison
    assert_whole(settings)


def test_nodes_of_another_version_are_refused(nodes, settings, media, monkeypatch):
    version = importlib.metadata.version("sensorium")
    monkeypatch.setattr(of.importlib.metadata, "version", lambda _: "99.0")
    with (
        pytest.raises(InputError, match=f"has Sensorium {version}, and this machine 99.0") as caught,
        Cluster(settings, nodes.address, nodes=1) as cluster,
    ):
        index(settings, RunRequest([media]), cluster=cluster)
    assert "same" in caught.value.remedy
    assert {state for some in rows(settings).values() for state, _ in some} == {"pending"}


def test_a_cluster_that_goes_away_ends_the_run_and_nothing_is_lost(nodes, settings, media):
    """The last test of this cluster."""
    driver = started(nodes, settings, media)
    driver.send_signal(signal.SIGSTOP)  # so that it does not come to the end meanwhile
    for node in (*nodes.worker_nodes, nodes.head_node):
        nodes.remove_node(node, allow_graceful=False)
    driver.send_signal(signal.SIGCONT)
    told = driver.communicate()[1]
    assert "gone away" in told and "run the same command again" in told, told  # noqa: PT018
    assert driver.returncode == 1
    units = Counter(unit for some in rows(settings).values() for unit in some)
    assert units.keys() <= {("done", 1), ("pending", 0), ("pending", 1), ("pending", 2)}  # attempts: of the poison
    index(settings, RunRequest([media]))  # where nothing dies of it
    assert Counter(state for some in rows(settings).values() for state, _ in some) == {"done": PICTURES + SOUNDS + 1}


def test_a_head_that_is_not_there_is_named(settings):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(ClusterAway, match=f"{address} cannot be reached") as caught, Cluster(settings, address):
            pass
    assert "ray status" in caught.value.remedy
    with pytest.raises(InputError, match="Ray Client"):
        place_of(settings, "ray", "ray://10.0.0.1:10001")
    with pytest.raises(UnknownName, match="no engine named 'spark'"):
        place_of(settings, "spark", "auto")


@pytest.fixture
def queue(settings, media) -> Queue:
    """The queue of an archive in which nothing is done yet."""
    with indexer(settings) as running:
        collection = running.collection("default", [os.fsencode(media)])
        FolderScan(
            running.intake,
            running.readers,
            running.dates,
            collection,
            [1],
            Tally(),
            running.exclusions,
            Objects(settings),
            stopped=lambda: False,
        ).run([os.fsencode(media)])
    database = Database(settings.database)
    yield Queue(database, 1, "driver")
    database.close()


def a_shift(queue: Queue) -> of._Shift:
    return of._Shift(SimpleNamespace(end=lambda actor: None), queue, None, Progress(), threading.Event(), (), ())


def test_only_a_unit_that_crashes_workers_again_and_again_alone_is_blamed(settings, queue):
    shift = a_shift(queue)
    seat = shift._seats["node", 0] = of._Seat("node", "node", 2, 0.0, ready=True)
    seat.actor = SimpleNamespace(exchange=SimpleNamespace(remote=lambda units: "asked"))

    def goes(crashed: bool) -> list[int]:
        """Give the worker what is next for it; it dies."""
        seat.ready, seat.actor, seat.asked = True, SimpleNamespace(exchange=SimpleNamespace(remote=lambda units: "asked")), None
        shift._give(seat, False)
        had = list(seat.units)
        shift._died(seat, crashed=crashed)
        return had

    for _ in range(9):  # with its node, or for want of memory: nobody's fault
        assert len(goes(False)) == 4
    crowd = goes(True)
    assert goes(True) == crowd
    assert [unit.id for unit in shift._suspects] == crowd
    alone = goes(True)
    assert alone == crowd[-1:]
    assert goes(False) == goes(True) == goes(True) == alone
    assert shift._progress.failures == {"killed": 1}
    states = Counter(unit for some in rows(settings).values() for unit in some)
    assert states == {("quarantined", 1): 1, ("leased", 1): 3, ("pending", 0): PICTURES + SOUNDS + 1 - 4}
    shift._abandon()
    assert Counter(unit for some in rows(settings).values() for unit in some)["pending", 0] == PICTURES + SOUNDS


class Actor:
    """One that answers a call with each of these in turn, or raises it."""

    def __init__(self, *answers):
        self._answers = iter(answers)
        self.call = SimpleNamespace(remote=lambda *_: self)
        self.describe = SimpleNamespace(remote=lambda: SimpleNamespace(get=lambda: ("space", "needs", False)))

    def get(self):
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


CRASH = ray.exceptions.RayError("Worker exit type: SYSTEM_ERROR")
LOST = ray.exceptions.RayError("The actor died because its node has died.")
LACKS = ray.exceptions.RayTaskError("call", "", ModelMissing("There are no weights.", remedy="Fetch them."))


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([CRASH, CRASH, "vectors"], None),
        ([LOST, LOST, LOST, LOST, "vectors"], None),
        ([CRASH, LOST, CRASH, CRASH], RuntimeError),
        ([LACKS], ModelMissing),
        ([ray.exceptions.GetTimeoutError()], ClusterAway),
    ],
)
def test_an_encoder_that_dies_is_nobodys_fault_unless_it_crashes_again_and_again(monkeypatch, answers, outcome):
    monkeypatch.setattr(of, "_pauses", lambda: itertools.repeat(0.0))
    monkeypatch.setattr(of.ray, "get", lambda actor, timeout: actor.get())
    encoder = FarEncoder([Actor(*answers)])
    with nullcontext() if outcome is None else pytest.raises(outcome):
        assert encoder.encode(Modality.TEXT, ["a"]) == "vectors"
