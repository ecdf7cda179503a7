"""An archive through everything that happens to one, in any order, held against a dictionary of what lies where.

SENSORIUM_FUZZ_EXAMPLES: how many such lives (8 in `make test`, always the same ones).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from PIL import Image

from indexer import pipeline, run
from indexer.delete import What, delete
from indexer.verify import verify
from search.query import Engine, Term, searcher
from search.settings import Settings
from search.store import Database, Queue
from search.store.intake import Again
from search.types import Modality
from tests.fakes.encoder import COLOURS, FakeEncoder
from tests.fuzz.conftest import EXAMPLES, FUZZ


def _picture(colour: tuple[int, int, int]) -> bytes:
    Image.new("RGB", (16, 16), colour).save(file := io.BytesIO(), "png")
    return file.getvalue()


BROKEN = b"\x89PNG\r\n\x1a\n and nothing more"
CONTENTS = {
    ".txt": [f"Page {number} is {colour}.\n".encode() for number, colour in enumerate([*COLOURS][:5])],
    ".png": [*map(_picture, [*COLOURS.values()][:5]), BROKEN],
}
"""What files hold; all but one make exactly one segment."""
FOLDERS = ("a", "b", "b/c", "d")
some = st.randoms(use_true_random=False)


class Archive(RuleBasedStateMachine):
    """``files`` is what lies on the disk, ``present`` and ``missing`` what the archive shall know: path -> content."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch = Path(tempfile.mkdtemp(prefix="archive-"))
        self.folder, self.settings = self.scratch / "files", Settings(self.scratch / "home")
        self.settings.home.mkdir()
        shutil.copy(TEMPLATE, self.settings.home / "sensorium.db")
        self.files: dict[Path, bytes] = {}
        self.present: dict[Path, bytes] = {}
        self.missing: dict[Path, bytes] = {}
        self.encoder, self.asking = FakeEncoder(), FakeEncoder()
        self.engine: Engine | None = None
        self.clock = 0

    @initialize()
    def begin(self) -> None:
        for number, (suffix, contents) in enumerate(CONTENTS.items()):
            for content in contents:
                self.write(self.folder / FOLDERS[number] / f"{len(self.files)}{suffix}", content)
        self.index(prune=False, retry=False)

    def teardown(self) -> None:
        self.restart()
        shutil.rmtree(self.scratch)

    # What happens to the files

    def write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.files[path] = content
        self.stamp(path)

    def stamp(self, path: Path) -> None:
        """Give a file a time of its own, so that every change is seen."""
        self.clock += 1
        os.utime(path, ns=(self.clock, self.clock))

    @rule(
        what=st.lists(st.sampled_from(["add", "add", "copy", "touch", "remove", "rename", "rename_folder"]), min_size=1, max_size=8),
        random=some, indexed=st.booleans(), prune=st.booleans(), retry=st.booleans(),
    )  # fmt: skip
    def disturb(self, what, random, indexed, prune, retry) -> None:
        """Change some files, and perhaps have the archive learn of it at once."""
        for name in what:
            if self.files:
                getattr(self, name)(random)
            else:
                self.add(random)
        if indexed:
            self.index(prune, retry)

    def add(self, random: Random) -> None:
        """Add a file, or change one."""
        suffix = random.choice([*CONTENTS])
        self.write(self.name(random, suffix), random.choice(CONTENTS[suffix]))

    def copy(self, random: Random) -> None:
        source = random.choice(sorted(self.files))
        self.write(self.name(random, source.suffix), self.files[source])

    def touch(self, random: Random) -> None:
        self.stamp(random.choice(sorted(self.files)))

    def remove(self, random: Random) -> None:
        path = random.choice(sorted(self.files))
        path.unlink()
        del self.files[path]

    def rename(self, random: Random) -> None:
        old = random.choice(sorted(self.files))
        new = self.name(random, old.suffix)
        new.parent.mkdir(parents=True, exist_ok=True)
        old.rename(new)
        self.files[new] = self.files.pop(old)

    def rename_folder(self, random: Random) -> None:
        old, new = random.choice(sorted(self.files)).parent, self.folder / random.choice(("e", "f", "d/g"))
        if new.exists() or old in new.parents:
            return
        new.parent.mkdir(parents=True, exist_ok=True)
        old.rename(new)
        self.files = {new / path.relative_to(old) if old in path.parents else path: what for path, what in self.files.items()}

    def name(self, random: Random, suffix: str) -> Path:
        return self.folder / random.choice(FOLDERS) / f"{random.choice('xyz')}{suffix}"

    # What happens to the archive

    def index(self, prune: bool, retry: bool) -> None:
        held, before = self.held(), self.encoder.encoded
        job = run.RunRequest([self.folder], retry=Again() if retry else None, prune=prune)
        run.index(self.settings, job, encoder=self.encoder)
        self.taken_in(prune=prune)
        assert self.encoder.encoded - before == len(self.held() - held - {BROKEN}), "embedded twice, or not"
        assert [check for check in verify(self.settings, deep=True) if not check.ok] == []

    @rule(units=st.integers(0, 3))
    def crash(self, units) -> None:
        """End a run after some units, as a failing database would, and go on with it in the next."""
        left = [units]

        def put(queue, finished, whole=Queue.put):
            if left[0] < len(finished):
                raise RuntimeError("crashed")
            left[0] -= len(finished)
            return whole(queue, finished)

        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(RuntimeError):
            patch.setattr(Queue, "put", put)
            patch.setattr(pipeline, "COMMIT_UNITS", 1)
            run.index(self.settings, run.RunRequest([self.folder]), encoder=self.encoder)
        done, before = self.done(), self.encoder.encoded
        run.index(self.settings, run.RunRequest([self.folder]), encoder=self.encoder)
        assert self.encoder.encoded - before == len(self.done() - done), "a committed unit was embedded again"
        self.taken_in(prune=False)
        assert [check for check in verify(self.settings) if not check.ok] == []

    @rule()
    def prune(self) -> None:
        run.prune(self.settings, None)
        self.missing = {}

    @precondition(lambda self: self.present or self.missing)
    @rule(random=some)
    def delete_path(self, random) -> None:
        path = random.choice(sorted(self.present | self.missing))
        path = random.choice([path, path.parent])
        delete(self.settings, What(paths=[path]))
        self.forget(lambda one, _: one == path or path in one.parents)

    @precondition(lambda self: self.present or self.missing)
    @rule(random=some)
    def delete_asset(self, random) -> None:
        content = random.choice(sorted(self.held()))
        asset = self.ask("SELECT id FROM asset WHERE digest = ?", hashlib.sha256(content).digest())[0][0]
        delete(self.settings, What(assets=[asset]))
        self.forget(lambda _, what: what == content)

    @rule()
    def rebuild(self) -> None:
        run.rebuild(self.settings)

    @rule(name=st.sampled_from(["gen-*/vectors.faiss", "gen-*/ids.npy", "gen-*/manifest.json", "CURRENT"]), random=some)
    def damage(self, name, random) -> None:
        for file in self.settings.home.glob(f"index/fake/{name}"):
            content = bytearray(file.read_bytes())
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
            file.write_bytes(content)
        self.restart()

    @rule()
    def restart(self) -> None:
        if self.engine:
            self.engine.close()
        self.engine = None

    # What must be so

    @invariant()
    def what_sql_holds_is_what_was_met(self) -> None:
        rows = self.ask("SELECT l.path, a.digest, l.state FROM location l JOIN asset a ON a.id = l.asset_id")
        for state, known in (("present", self.present), ("missing", self.missing)):
            told = {Path(os.fsdecode(path)): digest for path, digest, of in rows if of == state}
            assert told == {path: hashlib.sha256(content).digest() for path, content in known.items()}

    @invariant()
    def what_is_there_is_found_once_and_nothing_else(self) -> None:
        if self.engine is None:
            self.engine = Engine(self.settings, encoder=self.asking)
        hits = self.engine.search(Term("red", Modality.TEXT), k=1000, group="segment").hits
        found = [self.present[Path(hit.segment.path)] for hit in hits]
        assert len(found) == len({*found}), "found twice"
        assert {*found} == {*self.present.values()} - {BROKEN}

    def taken_in(self, *, prune: bool) -> None:
        gone = {} if prune else self.missing | self.present
        self.present = dict(self.files)
        self.missing = {path: content for path, content in gone.items() if path not in self.files}

    def forget(self, which) -> None:
        self.present = {path: what for path, what in self.present.items() if not which(path, what)}
        self.missing = {path: what for path, what in self.missing.items() if not which(path, what)}

    def held(self) -> set[bytes]:
        return {*self.present.values(), *self.missing.values()}

    def done(self) -> set[int]:
        return {id_ for (id_,) in self.ask("SELECT id FROM unit WHERE state = 'done'")}

    def ask(self, question: str, *values: object) -> list[tuple]:
        with contextlib.closing(sqlite3.connect(self.settings.home / "sensorium.db")) as connection:
            return connection.execute(question, values).fetchall()


@pytest.fixture(scope="module", autouse=True)
def template(tmp_path_factory):
    """An empty archive, to begin from."""
    global TEMPLATE
    TEMPLATE = tmp_path_factory.mktemp("template") / "sensorium.db"
    database = Database(f"sqlite:///{TEMPLATE}")
    database.upgrade()
    database.flush()
    database.close()


def test_an_archive_holds_and_finds_what_its_files_say(monkeypatch):
    monkeypatch.setattr(searcher, "_NOTICED", math.inf)  # look at every search, however slow this machine is
    run_state_machine_as_test(Archive, settings=profile(FUZZ, max_examples=int(EXAMPLES or 8), stateful_step_count=30))
