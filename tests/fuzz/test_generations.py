"""Damaged generations: whatever is done to their files, no answer comes of it, and the index is written again from the database.

A case restores two generations in each of two spaces, changes them, and holds the engine's answers against brute force over SQL's vectors.
SENSORIUM_DAMAGE_CASES: how many (60). SENSORIUM_DAMAGE_SEED: where they begin (1); each case has its own, told when it fails.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from indexer import run
from search.index.generations import folder_name
from search.live import LiveIndex
from search.query import Engine, Term
from search.settings import Settings
from search.types import Filter, Kind, Modality
from tests.conftest import make_archive
from tests.fakes.encoder import COLOURS, PITCHES, FakeEncoder
from tests.fuzz.decoding import InProcess

CASES = int(os.environ.get("SENSORIUM_DAMAGE_CASES", "60"))
SEED = int(os.environ.get("SENSORIUM_DAMAGE_SEED", "1"))
FILES = ("vectors.faiss", "ids.npy", "manifest.json", "CURRENT")
EVERYTHING = 100
"""More hits than the archive has segments."""


class Home:
    """A home with two generations of each of two spaces, and its index as it was when whole."""

    def __init__(self, folder: Path) -> None:
        self.settings, self._whole = Settings(folder / "home"), folder / "whole"
        self.encoder, other = FakeEncoder(), FakeEncoder()
        other.space = replace(other.space, name="other")
        archive, others = make_archive(folder / "archive"), folder / "others"
        others.mkdir()
        for number in range(13):  # as many as in the archive
            (others / f"{number}.txt").write_text(f"Leaf {number}.")
        self.job = run.RunRequest([archive])
        for text in ("The night is black.", "Green leaves."):  # the second is in the second generation alone
            for path, encoder in ((archive, self.encoder), (others, other)):
                (path / f"{len(text)}.txt").write_text(f"{text} It is one of the {path.name}.")
                run.index(self.settings, run.RunRequest([path]), encoder=encoder)
        shutil.copytree(self.index, self._whole)

    @property
    def index(self) -> Path:
        return self.settings.home / "index"

    def file(self, name: str, *, space: str = "fake", generation: int = 2) -> Path:
        folder = self.index / folder_name(("fake", "other").index(space) + 1, space)
        return folder / name if name == "CURRENT" else folder / f"gen-{generation:08d}" / name

    def restore(self) -> None:
        """Make the index whole again."""
        shutil.rmtree(self.index)
        shutil.copytree(self._whole, self.index)

    def changed(self) -> bool:
        """Whether the generation that serves is another than was written."""
        whole = [self._whole / self.file(name).relative_to(self.index) for name in FILES]
        return any(
            not file.exists() or file.read_bytes() != was.read_bytes()
            for file, was in zip(map(self.file, FILES), whole, strict=True)
        )

    def seal(self) -> None:
        """Make the hashes fit what the files hold now, as if it had been written so."""
        manifest = self.file("manifest.json")
        told = json.loads(manifest.read_bytes())
        told["sha256"] = {name: _sha256(self.file(name)) for name in FILES[:2]}
        manifest.write_text(json.dumps(told))
        self.file("CURRENT").write_text(f"gen-00000002 {_sha256(manifest)}\n")

    def audit(self) -> bool:
        """Answers equal brute force over the vectors in SQL; says whether damage was noticed."""
        with Engine(self.settings, encoder=self.encoder) as engine:
            key = engine.store.space_id(self.encoder.space)
            truth = {int(id_): vector for _, ids, vectors in engine.store.embeddings(key, self.encoder.space.dim)
                     for id_, vector in zip(ids, vectors, strict=True)}  # fmt: skip
            for words in (*COLOURS, *PITCHES):
                vector = self.encoder.encode(Modality.TEXT, [words])[0]
                expected = {id_: float(vector @ row) for id_, row in truth.items()}
                found = engine.search(Term(words, Modality.TEXT), Filter(), k=EVERYTHING, group="segment").hits
                hits = [hit for hit in found if hit.space]  # words alone also find what the space does not hold
                assert {hit.segment.id: hit.cosine for hit in hits} == pytest.approx(expected, abs=1e-3)
                by_kind: dict[Kind, list[float]] = {}
                for hit in (one for one in hits if not one.marks):  # what holds the word itself goes before what only means it
                    by_kind.setdefault(Kind(hit.segment.modality, hit.segment.channel), []).append(hit.cosine)
                assert all((np.diff(cosines) <= 1e-6).all() for cosines in by_kind.values())  # scores are rounded to float32
            return engine.live.damage is not None

    def mend(self, how: str) -> None:
        """Write the index again by a rebuild, or as the next run does by itself."""
        if how == "rebuild":
            run.rebuild(self.settings)
        else:
            run.index(self.settings, self.job, encoder=self.encoder)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "DecodePool", InProcess)
        yield Home(tmp_path_factory.mktemp("damage"))


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def flip(home: Home, random: Random) -> None:
    """Turn over up to eight bits of a file."""
    file = home.file(random.choice(FILES))
    content = bytearray(file.read_bytes())
    for bit in random.sample(range(8 * len(content)), random.choice((1, 1, 2, 8))):
        content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def truncate(home: Home, random: Random) -> None:
    file = home.file(random.choice(FILES))
    os.truncate(file, random.randrange(file.stat().st_size))


def zero(home: Home, random: Random) -> None:
    """Have a page, or a sector, read as zeros."""
    file = home.file(random.choice(FILES))
    content, size = bytearray(file.read_bytes()), random.choice((64, 512, 4096))
    at = random.randrange(-(-len(content) // size)) * size
    content[at : at + size] = bytes(len(content[at : at + size]))
    file.write_bytes(content)


def append(home: Home, random: Random) -> None:
    with home.file(random.choice(FILES)).open("ab") as file:
        file.write(random.randbytes(random.choice((1, 8, 4096))))


def remove(home: Home, random: Random) -> None:
    home.file(random.choice(FILES[:3])).unlink()


def exchange(home: Home, random: Random, **other: object) -> None:
    """Put one or more files of a generation in the place of the other's, and the other way round."""
    for name in random.sample(FILES[:3], random.randint(1, 3)):
        ours, theirs = home.file(name), home.file(name, **other)
        kept = ours.read_bytes()
        ours.write_bytes(theirs.read_bytes())
        theirs.write_bytes(kept)


def exchange_generations(home: Home, random: Random) -> None:
    exchange(home, random, generation=1)


def exchange_spaces(home: Home, random: Random) -> None:
    exchange(home, random, space="other")


def exchange_folders(home: Home, _: Random) -> None:
    """Everything of one space, with its CURRENT, in the place of the other."""
    ours, theirs = folder_name(1, "fake"), folder_name(2, "other")
    for one, two in ((ours, "between"), (theirs, ours), ("between", theirs)):
        (home.index / one).rename(home.index / two)


def older_manifest(home: Home, _: Random) -> None:
    home.file("manifest.json").write_bytes(home.file("manifest.json", generation=1).read_bytes())


def permute_ids(home: Home, random: Random) -> None:
    _write_ids(home, np.array(random.sample((ids := np.load(home.file("ids.npy"))).tolist(), len(ids))))


def forge_ids(home: Home, random: Random) -> None:
    """Other ids, of which the hashes know: in another order, twice the same, of nobody, of another type, too few."""
    ids = np.load(home.file("ids.npy"))
    forged = [
        np.array(random.sample(ids.tolist(), len(ids))), np.repeat(ids[:1], len(ids)), ids + 1, -ids, ids[::-1], ids[:-1],
        ids.astype(np.float64), ids.astype(np.int32), ids.astype("S8"), ids.reshape(-1, 1), ids[0], ids * 2**32,
    ]  # fmt: skip
    _write_ids(home, random.choice(forged))
    home.seal()


def forge_vectors(home: Home, random: Random) -> None:
    """Bits of the vectors turned over, of which the hashes know: whatever FAISS reads of it."""
    file = home.file("vectors.faiss")
    content = bytearray(file.read_bytes())
    for _ in range(random.choice((1, 8, 64))):
        at = random.randrange(len(content)) if random.random() < 0.5 else random.randrange(64)
        content[at] ^= 1 << random.randrange(8)
    file.write_bytes(content)
    home.seal()


def forge_older(home: Home, random: Random) -> None:
    """The older vectors and ids under the newer's name, of which the hashes know."""
    for name in random.choice((FILES[:1], FILES[1:2], FILES[:2])):
        home.file(name).write_bytes(home.file(name, generation=1).read_bytes())
    home.seal()


def forge_manifest(home: Home, random: Random) -> None:
    """A field of the manifest that says something else, of which CURRENT knows."""
    file = home.file("manifest.json")
    told = json.loads(file.read_bytes())
    del told["created_at"]  # may be anything
    told[random.choice([*told])] = random.choice((None, -1, 0, 1.5, 2.0, 2**70, True, "2", [], {}, {"ids.npy": 1}))
    file.write_text(json.dumps(told | {"created_at": 0}))
    home.file("CURRENT").write_text(f"gen-00000002 {_sha256(file)}\n")


def _write_ids(home: Home, ids: np.ndarray) -> None:
    array = io.BytesIO()
    np.save(array, ids)
    home.file("ids.npy").write_bytes(array.getvalue())


DAMAGES: tuple[Callable[[Home, Random], None], ...] = (
    flip, truncate, zero, append, remove, exchange_generations, exchange_spaces, exchange_folders, older_manifest, permute_ids,
    forge_ids, forge_vectors, forge_older, forge_manifest,
)  # fmt: skip
FORGED = DAMAGES[10:]
"""Hashes do not tell of these, and what they change may mean nothing: that the answers are right is all that counts."""


@pytest.mark.timeout(600 + 4 * CASES)
def test_no_damaged_generation_is_searched_and_each_is_mended(home):
    refused = harmless = 0
    for number, damage in zip(range(CASES), itertools.cycle(DAMAGES)):
        random = Random(SEED + number)
        home.restore()
        damage(home, random)
        changed, how = home.changed(), random.choice(("rebuild", "index"))
        try:
            noticed = home.audit()
            assert noticed == changed or damage in FORGED, "not noticed" if changed else "nothing was damaged"
            home.mend(how)
            assert not home.audit(), f"still damaged after {how}"
        except Exception as error:
            raise AssertionError(f"seed {SEED + number}, {damage.__name__}, {how}: {error!r}") from error
        refused, harmless = refused + noticed, harmless + (not noticed)
    print(f"{CASES} cases from seed {SEED}: {refused} refused and mended, {harmless} without a meaning, 0 wrong answers")
    assert refused >= CASES * 0.7


def test_an_older_generation_that_is_whole_serves_and_the_database_adds_the_rest(home):
    home.restore()
    whole = _sha256(home.file("manifest.json", generation=1))
    home.file("CURRENT").write_text(f"gen-00000001 {whole}\n")
    assert not home.audit()


def test_what_is_damaged_while_the_engine_runs_is_noticed_at_its_next_look(home):
    home.restore()
    with Engine(home.settings, encoder=home.encoder) as engine:
        home.file("CURRENT").write_text("gen-00000002 " + "0" * 64 + "\n")
        assert len(engine.search(Term("red", Modality.TEXT), k=EVERYTHING, group="segment").hits) == len(engine.live.index)
        assert isinstance(engine.live, LiveIndex)
        assert re.search("CURRENT|manifest", str(engine.live.damage))
