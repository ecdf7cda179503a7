"""`sensorium index --engine ray` on a cluster of three nodes: what is killed loses nothing, and what was committed is not done again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.pipeline import Progress
from indexer.run import RunRequest, index
from search.errors import ClusterAway, InputError
from search.store import Database, SqlStore
from tests.waiting import until

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'sensorium[ray]'")

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
FILES = 24


@pytest.fixture(scope="module")
def nodes():
    """A cluster of three nodes on this machine, and its parts."""
    from ray.cluster_utils import Cluster as Nodes

    small = {"num_cpus": 2, "object_store_memory": 100 << 20}
    made = Nodes(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    try:
        yield made, [made.add_node(**small) for _ in range(2)]
    finally:
        made.shutdown()


@pytest.fixture
def cluster(nodes, settings):
    from indexer.cluster import Cluster

    def make(paths=(), **more):
        return Cluster(settings, nodes[0].address, paths, **{"workers": 2, "towers": 2, **more})

    return make


@pytest.fixture
def media(tmp_path) -> Path:
    """Pictures that differ, and a file that no decoder can read."""
    folder = tmp_path / "media"
    folder.mkdir()
    for number, file in enumerate(sorted((SAMPLE / "images").iterdir())[:FILES]):
        shutil.copy(file, folder / f"{number}{file.suffix}")
    (folder / "poison.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4)
    return folder


def counts(settings) -> tuple[dict[str, int], list[int]]:
    """Units by state, and the segments of every asset that has any."""
    with closing(Database(settings.database)) as database:
        store = SqlStore(database)
        columns = store.columns(1)
        return store.counts()["units"], sorted(columns.ids.tolist())


def files(settings) -> int:
    with closing(Database(settings.database)) as database:
        return len(set(SqlStore(database).columns(1).assets.tolist()))


def test_workers_encoders_and_a_node_that_die_lose_nothing(cluster, nodes, settings, media):
    made, (node, _) = nodes
    killed = []

    def kill(tally, done, scanning):
        """Kill a worker and an encoder at once, and a node when it has begun to work."""
        if not killed:
            ray.kill(others.hands[0], no_restart=False)
            ray.kill(others.towers[0], no_restart=False)
            made.remove_node(node, allow_graceful=False)
            killed.append(node)

    with cluster([media]) as others:
        report = others.reporting(kill)
        summary = index(settings, RunRequest([media], report=report), load=others.load)
        whole = others.together(summary.progress)
    assert killed
    assert others.errors == []
    assert not summary.stopped
    assert sum(counts(settings)[0].values()) == FILES + 1
    assert counts(settings)[0] == {"done": FILES, "failed": 1}
    assert files(settings) == FILES
    assert whole.done <= FILES
    again = index(settings, RunRequest([media]))
    assert (again.progress.done, again.scan.unchanged) == (0, FILES + 1)


def test_the_driver_is_killed_and_what_was_committed_stays(nodes, settings, media):
    command = [
        sys.executable, "-m", "ui.cli", "index", str(media), "--engine", "ray", "--address", nodes[0].address, "--home", str(settings.home),
        "--encoders", "1", "--json",
    ]  # fmt: skip
    driver = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, process_group=0, env=os.environ | {"TERM": "dumb"}
    )
    try:

        def begun() -> bool:
            assert driver.poll() is None or driver.returncode == 4, driver.stderr.read().decode()
            return settings.home.joinpath("sensorium.db").exists() and len(counts(settings)[1]) > 0

        until(begun)
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.communicate()
    before = counts(settings)[1]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stderr  # of the file that no decoder can read
    units, after = counts(settings)
    assert units == {"done": FILES, "failed": 1}
    assert set(before) <= set(after)
    assert files(settings) == FILES


def test_a_node_that_does_not_see_the_files_takes_no_part(cluster, settings, media, tmp_path):
    with cluster([tmp_path / "elsewhere"], towers=0) as others:
        until(lambda: len(others.errors) == 2)
        assert others.load is None or others.towers
        assert index(settings, RunRequest([media])).progress.done == FILES
    assert all("does not see" in told and "Mount it" in told for told in others.errors)


def test_a_cluster_that_is_not_there_says_so(settings):
    from indexer.cluster import Cluster

    with pytest.raises(ClusterAway, match="cannot be reached"), Cluster(settings, "127.0.0.1:9", ()):
        pass


def test_several_machines_need_a_database_that_serves_them(cluster, monkeypatch):
    there = [{"Alive": True, "NodeManagerAddress": address, "Resources": {}} for address in ("10.0.0.1", "10.0.0.2")]
    monkeypatch.setattr(ray, "nodes", lambda: there)
    with pytest.raises(InputError, match="SQLite serves one"), cluster():
        pass
    assert not ray.is_initialized()


def test_a_worker_that_was_started_again_is_counted_with_what_it_had_done(cluster):
    others = cluster()
    others._lives = {"first": Progress(done=3, failures={"empty": 1}), "second": Progress(done=2)}
    assert others.together(replace(Progress(), done=1)).done == 6
