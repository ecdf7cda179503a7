"""Generations: immutable, hashed snapshots of an index on disk, under ``index/<key>-<digest of the space's name>/``.

    gen-00000007/vectors.faiss  ids.npy  manifest.json
    gen-00000007/columns.npz              what filters need to know of the ids, which only large archives have
    gen-00000007/lists-0.faiss  lists-0.npy   the coded lists of a large kind, by its position in ``KINDS``, and their ids
    CURRENT                     the name of the current one, and the SHA-256 of its manifest
    coverage.json               how much of a large archive can be searched, as it was counted last
    effort.json                 how hard those lists are looked at, as it was measured last

A generation is written beside the others, synced, renamed into place, and only then named in CURRENT. So after a kill at any
moment either the old or the new one is current. Nothing is used before its SHA-256 was checked, because FAISS silently loads a
file with a flipped bit and then gives wrong answers.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import faiss
import numpy as np
from numpy.typing import NDArray

from search import disk
from search.errors import DiskFull, IndexDamaged, SensoriumError
from search.index.coded import CodedLists, Effort, opened, written
from search.index.flat import FlatIndex, is_scan
from search.locks import locked
from search.types import Ids

FORMAT = 1
FILES = ("vectors.faiss", "ids.npy")
COLUMNS = "columns.npz"
LISTS = re.compile(r"lists-(\d{1,3})\.(faiss|npy)")
"""The files of lists, which only large archives have."""


@dataclass(frozen=True, slots=True)
class GenerationManifest:
    """The content of a generation. ``last_embedding`` and ``last_removal`` are the SQL sequence numbers that it covers."""

    format: int
    generation: int
    space: str
    dim: int
    count: int
    last_embedding: int
    last_removal: int
    created_at: int
    sha256: dict[str, str]


class Generations:
    """The generations of one space."""

    def __init__(self, folder: Path, key: int, space: str, dim: int) -> None:
        """``folder`` has one folder for each space, named by ``key``, the space's id in SQL. Nothing is created before the first
        write."""
        self._folder = folder / folder_name(key, space)
        self._space, self._dim = space, dim
        self._adopt(folder)

    @property
    def folder(self) -> Path:
        """The folder of this space's generations."""
        return self._folder

    @property
    def coverage(self) -> Path:
        """The file that keeps the coverage of the space."""
        return self._folder / "coverage.json"

    def current(self) -> GenerationManifest | None:
        """The manifest of the current generation; None if there is none.

        Raises:
            IndexDamaged: CURRENT or the manifest is not what was written.
        """
        try:
            line = (self._folder / "CURRENT").read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _damaged(self._folder / "CURRENT", str(error)) from error
        if not (named := re.fullmatch(rb"(gen-\d{8}) ([0-9a-f]{64})\n", line)):
            raise _damaged(self._folder / "CURRENT", f"it says {line[:40]!r}")
        return self._read_manifest(*(word.decode("ascii") for word in named.groups()))

    def stamp(self) -> int:
        """A number that changes whenever another generation becomes current; 0: there is none."""
        try:
            return (self._folder / "CURRENT").stat().st_mtime_ns
        except OSError:
            return 0

    def load(self) -> tuple[GenerationManifest, FlatIndex] | None:
        """Check and map the current generation; None if there is none.

        Raises:
            IndexDamaged: a file is missing or altered. SQL holds everything that it held.
        """
        if (manifest := self.current()) is None:
            return None
        folder = self._path(manifest.generation)
        for name in manifest.sha256:
            if (seen := _sha256(folder / name)) != manifest.sha256[name]:
                raise _damaged(folder / name, f"its SHA-256 is {seen[:12]}…, not {manifest.sha256[name][:12]}…")
        try:
            scan = faiss.read_index(str(folder / "vectors.faiss"), faiss.IO_FLAG_MMAP_IFC)
            ids = np.load(folder / "ids.npy", allow_pickle=False)
        except (OSError, ValueError, RuntimeError, EOFError, MemoryError) as error:
            raise _damaged(folder, str(error)) from error
        if not is_scan(scan, self._dim, manifest.count):
            raise _damaged(folder / "vectors.faiss", f"it does not hold {manifest.count} vectors of dimension {self._dim}")
        if ids.dtype != np.int64 or ids.shape != (manifest.count,) or not np.all(ids[:-1] < ids[1:]):
            raise _damaged(folder / "ids.npy", f"it does not hold {manifest.count} ids in their order")
        return manifest, FlatIndex(self._dim, scan, ids, mapped=_is_mapped(scan, folder / "vectors.faiss"))

    def lists(self, manifest: GenerationManifest, *, mapped: bool = True) -> dict[int, CodedLists]:
        """The lists of a generation that ``load`` has checked, by kind; ``mapped``: to be searched, not changed.

        Raises:
            IndexDamaged: they are not what belongs to the generation.
        """
        folder, found = self._path(manifest.generation), {}
        try:
            held = np.load(folder / "ids.npy", allow_pickle=False)
            for name in manifest.sha256:
                if (told := LISTS.fullmatch(name)) and told[2] == "faiss":
                    ids = np.load(folder / f"lists-{told[1]}.npy", allow_pickle=False)
                    if ids.dtype != np.int64 or ids.ndim != 1 or not np.all(ids[:-1] < ids[1:]) or not is_among(ids, held):
                        raise _damaged(folder / name, "its ids are not those of the generation")
                    lists = opened(folder / name, ids, mapped=mapped)
                    if lists.ivf.d != self._dim:
                        raise _damaged(folder / name, f"its vectors are not of dimension {self._dim}")
                    found[int(told[1])] = lists
        except (OSError, ValueError, RuntimeError, EOFError, MemoryError) as error:
            raise _damaged(folder, str(error)) from error
        return found

    def columns(self, manifest: GenerationManifest) -> dict[str, NDArray[Any]] | None:
        """The columns of a generation that ``load`` has checked; None if it has none.

        Raises:
            IndexDamaged: they cannot be read, or are not of one length.
        """
        if COLUMNS not in manifest.sha256:
            return None
        file = self._path(manifest.generation) / COLUMNS
        try:
            with np.load(file, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError, MemoryError, BadZipFile) as error:
            raise _damaged(file, str(error)) from error

    def efforts(self, generation: int) -> dict[int, Effort]:
        """How hard to look at the lists of a generation, by kind; none where that was not measured, or cannot be read."""
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            told = json.loads((self._folder / "effort.json").read_bytes())
            if told["generation"] == generation:
                return {int(kind): _effort(one) for kind, one in told["kinds"].items()}
        return {}

    def save_efforts(self, generation: int, efforts: Mapping[int, Effort]) -> None:
        """Keep what was measured of the lists of a generation. A disk that cannot take it costs only that it is measured again."""
        content = {"generation": generation, "kinds": {str(kind): asdict(one) for kind, one in efforts.items()}}
        with suppress(OSError):
            disk.replace(self._folder / "effort.json", json.dumps(content, indent=1).encode())

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Lock out other writers of generations of this space."""
        self._make_folder()
        with locked(self._folder / "lock"):
            yield

    def write(
        self, index: FlatIndex, *, last_embedding: int, last_removal: int, lists: Mapping[int, CodedLists] | None = None,
        columns: Mapping[str, NDArray[Any]] | None = None,
    ) -> GenerationManifest:  # fmt: skip
        """Write what is live in ``index`` as the next generation and make it current; the one before is kept. Call it inside
        ``writing``. ``lists`` are those of large kinds, ``columns`` what filters need to know.

        Raises:
            DiskFull: there is no room.
            SensoriumError: the disk fails in another way. In both cases the old generation stays current, and nothing of the new one remains.
        """
        self._make_folder()
        self._sweep()
        number = max((int(path.name[4:]) for path in self._written()), default=0) + 1
        draft = self._folder / f"tmp-{number:08d}"
        try:
            draft.mkdir()
            manifest = self._write_files(draft, number, index, last_embedding, last_removal, lists or {}, columns)
            draft.rename(self._path(number))
            disk.sync(self._folder)
            sealed = _sha256(self._path(number) / "manifest.json")
            _write(self._folder / "CURRENT.tmp", f"gen-{number:08d} {sealed}\n".encode())
            os.replace(self._folder / "CURRENT.tmp", self._folder / "CURRENT")
            disk.sync(self._folder)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            if disk.full(error):
                raise DiskFull(
                    f"No room to write the index under {self._folder}: {error}.",
                    remedy="Free some space and run `sensorium index` again; searching goes on meanwhile.",
                ) from error
            raise SensoriumError(
                f"The index could not be written under {self._folder}: {error}.",
                remedy="Check the disk and the folder's permissions, then run `sensorium index` again. Nothing is lost.",
            ) from error
        self._drop(number - 1)
        return manifest

    def drop_former(self) -> None:
        """Delete all but the newest generation, and the coverage. Older ones would still contain what was deleted since."""
        self.coverage.unlink(missing_ok=True)
        self._drop(max((int(path.name[4:]) for path in self._written()), default=0))

    def _drop(self, before: int) -> None:
        for path in self._written():
            if int(path.name[4:]) < before:
                shutil.rmtree(path, ignore_errors=True)

    def _write_files(
        self, folder: Path, number: int, index: FlatIndex, last_embedding: int, last_removal: int, lists: Mapping[int, CodedLists],
        columns: Mapping[str, NDArray[Any]] | None,
    ) -> GenerationManifest:  # fmt: skip
        scan, ids = index.compact()
        with (folder / "vectors.faiss").open("wb") as file:  # ours, since FAISS does not mind when closing its own fails
            faiss.write_index(scan, faiss.PyCallbackIOWriter(file.write))  # type: ignore[attr-defined] # not in the stubs
        disk.sync(folder / "vectors.faiss")
        _write_array(folder / "ids.npy", ids)
        for kind, one in lists.items():
            _write(folder / f"lists-{kind}.faiss", written(one))
            _write_array(folder / f"lists-{kind}.npy", one.ids)
        if columns is not None:
            with (folder / COLUMNS).open("wb") as file:
                np.savez(file, **columns)
            disk.sync(folder / COLUMNS)
        names = (*FILES, *([COLUMNS] if columns is not None else []), *_files(map(str, lists)))
        hashes = {name: _sha256(folder / name) for name in names}
        manifest = GenerationManifest(
            FORMAT,
            number,
            self._space,
            self._dim,
            len(ids),
            last_embedding,
            last_removal,
            time.time_ns() // 10**6,
            hashes,
        )
        _write(folder / "manifest.json", json.dumps(asdict(manifest), indent=1).encode())
        disk.sync(folder)
        return manifest

    def _read_manifest(self, name: str, sealed: str) -> GenerationManifest:
        file = self._folder / name / "manifest.json"
        try:
            content = file.read_bytes()
            if (seen := hashlib.sha256(content).hexdigest()) != sealed:
                raise _damaged(file, f"its SHA-256 is {seen[:12]}…, not {sealed[:12]}…")
            manifest = GenerationManifest(**json.loads(content))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise _damaged(file, str(error)) from error
        wanted: dict[str, Any] = {"format": FORMAT, "generation": int(name[4:]), "space": self._space, "dim": self._dim}
        for field, value in wanted.items():
            if (told := getattr(manifest, field)) != value or type(told) is not type(value):
                raise _damaged(file, f"{field} is {told!r}, not {value!r}")
        numbers = (manifest.count, manifest.last_embedding, manifest.last_removal)
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise _damaged(file, "its counts are not whole numbers")
        hashes = manifest.sha256
        if not isinstance(hashes, dict) or not {*hashes} >= {*FILES} or not all(isinstance(one, str) for one in hashes.values()):
            raise _damaged(file, "it does not name the files")
        kinds = {told[1] for name in hashes if (told := LISTS.fullmatch(name))}
        if {*hashes} - {COLUMNS} != {*FILES, *_files(kinds)}:
            raise _damaged(file, "it names other files than a generation has")
        return manifest

    def _adopt(self, index: Path) -> None:
        """Take over the folder of an older home, named after the space only, if it holds this space and no other."""
        former = re.sub(r"[^\w.-]+", "_", self._space)
        if former in (".", "..") or not (index / former).is_dir() or self._folder.exists():
            return
        with suppress(
            OSError, ValueError, IndexError, AttributeError
        ):  # damaged, or another process was first: it is written anew
            named = (index / former / "CURRENT").read_text("ascii").split()[0]
            manifest = json.loads((index / former / Path(named).name / "manifest.json").read_bytes())
            if manifest.get("space") == self._space:
                (index / former).rename(self._folder)
                disk.sync(index)

    def _make_folder(self) -> None:
        """Create the space's folder and sync it, so that a power cut cannot remove it together with its content."""
        if not self._folder.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            disk.sync(self._folder.parent)
            disk.sync(self._folder.parent.parent)

    def _path(self, number: int) -> Path:
        return self._folder / f"gen-{number:08d}"

    def _written(self) -> list[Path]:
        return [path for path in self._folder.glob("gen-*") if re.fullmatch(r"gen-\d{8}", path.name)]

    def tidy(self) -> None:
        """Remove what killed writers left: drafts, generations that never became current, and those older than the previous one."""
        if self._left():
            with self.writing():
                for path in self._left():
                    shutil.rmtree(path, ignore_errors=True)

    def _left(self) -> list[Path]:
        drafts = [*self._folder.glob("tmp-*")]
        try:
            serving = self.current()
        except IndexDamaged:  # reported elsewhere, and repaired by the next write
            serving = None
        if serving is None:
            return drafts
        kept = (serving.generation, serving.generation - 1)
        return drafts + [path for path in self._written() if int(path.name[4:]) not in kept]

    def _sweep(self) -> None:
        """Remove the drafts of killed writers."""
        for path in self._folder.glob("tmp-*"):
            shutil.rmtree(path, ignore_errors=True)


INDEX = r"\d+-[0-9a-f]{12}"
"""What ``folder_name`` returns, as a regular expression."""


def folder_name(key: int, space: str) -> str:
    """The name of a space's folder. It is different for every space, whatever the spaces are called."""
    return f"{key}-{hashlib.sha256(space.encode()).hexdigest()[:12]}"


def _is_mapped(scan: Any, file: Path) -> bool:  # noqa: ANN401 - faiss has no types
    """Whether the rows of a FAISS index lie in a mapping of the file, as this system tells it."""
    begin, size, name = int(scan.codes.data() or 0), scan.codes.size(), str(file.resolve())
    with suppress(OSError):
        for line in Path("/proc/self/maps").read_text("utf-8", "replace").splitlines():
            if size and line.endswith(name):
                first, last = (int(one, 16) for one in line.split(maxsplit=1)[0].split("-"))
                if first <= begin and begin + size <= last:
                    return True
    return False


def _damaged(path: Path, why: str) -> IndexDamaged:
    return IndexDamaged(
        f"{path} is damaged: {why}.",
        remedy="Nothing is lost: run `sensorium db rebuild` to write it again from the database.",
    )


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise _damaged(file, str(error)) from error


def _files(kinds: Iterable[str]) -> list[str]:
    """The files of the lists of some kinds."""
    return [f"lists-{kind}.{end}" for kind in kinds for end in ("faiss", "npy")]


def is_among(ids: Ids, held: Ids) -> bool:
    """Whether all of some ids are held; both ascending."""
    at = np.searchsorted(held, ids)
    return not len(ids) or bool(at[-1] < len(held) and np.array_equal(held[at], ids))


def _effort(told: Mapping[str, Any]) -> Effort:
    """An effort as ``save_efforts`` wrote it; ValueError for one that means nothing."""
    effort = Effort(**{**told, "asked": {name: (recall, count) for name, (recall, count) in told["asked"].items()}})
    numbers = (effort.probes, effort.rescored, effort.learned, effort.least, *effort.questions.values())
    shares = (*effort.recall.values(), *(recall for recall, _ in effort.asked.values()))
    if not all(type(one) is int and one > 0 for one in numbers) or not all(0 <= one <= 1 for one in shares):
        raise ValueError("no effort")
    return effort


def _write(file: Path, content: Any) -> None:  # noqa: ANN401 - bytes, or an array of them
    file.write_bytes(content)
    disk.sync(file)


def _write_array(file: Path, array: Any) -> None:  # noqa: ANN401 - of any type
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    _write(file, content.getvalue())
