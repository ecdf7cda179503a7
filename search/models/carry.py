"""Importing a model on a machine without a network: a folder, or a .tar of one, becomes a model as if it had been pulled.

The input is not trusted. It is checked member by member: only plain files, with names inside the folder, no pickles, and only if
there is room.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO

from search import disk
from search.errors import DiskFull, InputError, ModelMissing
from search.models import Models, ModelSource, Report, files
from search.models.files import MANIFEST
from search.models.manifest import ModelManifest, parse

MARGIN_BYTES = 64 << 20
"""Bytes that an import leaves free."""

STEP_BYTES = 1 << 20
"""Bytes that are copied at a time."""

MANIFEST_BYTES = 4 << 20
"""The longest manifest that is read, in bytes."""


@dataclass(frozen=True, slots=True)
class Member:
    """An imported file: its stated size, and a function that opens it."""

    size: int
    open: Callable[[], IO[bytes]]


def carry(
    models: Models,
    path: Path,
    name: str = "",
    *,
    source: Callable[[str], ModelSource | None] = lambda _: None,
    report: Report | None = None,
) -> ModelManifest:
    """Import a model from a folder or a .tar, under the name in its manifest, or else ``name``.

    ``source`` returns the data about a model of that name: its licence, its notice, and the wanted files.

    Raises:
        InputError: there is nothing at ``path``, it holds something forbidden, or the model's name is unknown.
        ModelMissing: a file is not the one that the manifest names, or is a pickle.
        DiskFull: there is no room.
    """
    try:
        with _opened(path) as members:
            told = _manifest(members)
            if not (name := name or (told.name if told else "")):
                raise InputError(f"{path} does not say which model it is.", remedy="Say --name FAMILY:MODEL.")
            known = source(name)
            wanted = _wanted(members, told, known)
            if not wanted:
                raise InputError(
                    f"There is no model in {path}.", remedy="Name the folder with the files of one, or a .tar of it."
                )
            with models.locked(name):
                return _take(models, name, path, wanted, told, known, report or (lambda *_: None))
    except tarfile.TarError as error:
        raise InputError(f"{path} cannot be read as a .tar: {error}.", remedy="Make it with: tar -cf MODEL.tar FOLDER") from error
    except OSError as error:
        if disk.full(error):
            raise DiskFull(f"There is no room left under {models.folder}.", remedy="Free some space.") from error
        raise InputError(f"The model cannot be taken over: {error}.", remedy="Check the path and its permissions.") from error


def _take(
    models: Models,
    name: str,
    path: Path,
    wanted: dict[str, Member],
    told: ModelManifest | None,
    known: ModelSource | None,
    report: Report,
) -> ModelManifest:
    place = models.place(name)
    draft = place / "import"
    place.mkdir(exist_ok=True)
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir()
    total = sum(member.size for member in wanted.values())
    if total + MARGIN_BYTES > (free := shutil.disk_usage(draft).free):
        raise DiskFull(
            f"{total / 1e6:.0f} MB are to come, and {free / 1e6:.0f} MB are free under {draft}.", remedy="Free some space."
        )
    try:
        done = 0
        for file, member in wanted.items():
            _copy(member, draft / file, lambda size, done=done: report(done + size, total))  # type: ignore[misc]
            done += member.size
        entries = files.survey(draft)
        if told and (wrong := next((file for file in told.files if told.files[file] != entries.get(file)), "")):
            raise ModelMissing(
                f"{wrong} is not the file that the manifest of {path} names.",
                remedy="Copy the model again from where it is whole.",
            )
        origin, commit = (told.source, told.revision) if told else (str(path.absolute()), "")
        licence, notice = (known or told or ModelSource("", ())).licence, (known or told or ModelSource("", ())).notice
        return models.publish(ModelManifest(name, origin, commit, licence, notice, False, "", "", entries), draft)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _copy(member: Member, target: Path, tell: Callable[[int], None]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with member.open() as file, target.open("xb") as copy:
        while chunk := file.read(min(STEP_BYTES, member.size - size)):  # never more than was said, and room made for
            copy.write(chunk)
            size += len(chunk)
            tell(size)


def _wanted(members: dict[str, Member], told: ModelManifest | None, known: ModelSource | None) -> dict[str, Member]:
    if told:
        return {file: members[f"{told.folder}/{file}"] for file in told.files if f"{told.folder}/{file}" in members}
    patterns = known.files if known else ("*",)
    return {name: one for name, one in members.items() if files.counts(name) and any(fnmatchcase(name, one) for one in patterns)}


def _manifest(members: dict[str, Member]) -> ModelManifest | None:
    if MANIFEST not in members:
        return None
    with members[MANIFEST].open() as file:
        content = file.read(MANIFEST_BYTES)
    try:
        return parse(content)
    except ValueError:
        return None  # that of another program: a file like others, which do not count


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[dict[str, Member]]:
    """The files at a path, by their names below the imported folder."""
    if path.is_dir():
        yield _folder(path)
        return
    with tarfile.open(path, "r:") as tar:  # never packed: weights hardly shrink, and what is packed may swell without bound
        yield _tar(tar, path.stat().st_size)


def _folder(folder: Path) -> dict[str, Member]:
    found = {}
    for root, folders, names in os.walk(folder):
        for name in (*names, *folders):
            path = Path(root, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise InputError(f"{path} is no plain file.", remedy="Copy the folder with: cp -rL FOLDER COPY, and import that.")
        for path in (Path(root, name) for name in names):
            found[path.relative_to(folder).as_posix()] = Member(path.stat().st_size, _opener(path))
    return found


def _opener(path: Path) -> Callable[[], IO[bytes]]:
    return lambda: path.open("rb")


def _tar(tar: tarfile.TarFile, size: int) -> dict[str, Member]:
    found = {}
    for one in tar:
        name = PurePosixPath(one.name).as_posix()
        if one.isdir():
            continue
        if not one.isreg() or one.issparse():
            raise InputError(f"{one.name!r} is no plain file.", remedy="Make the .tar without links: tar -chf MODEL.tar FOLDER")
        if not files.inside(name) or name in found:
            raise InputError(
                f"{one.name!r} would not lie in the model's folder, or lies there twice.", remedy="Make the .tar anew."
            )
        found[name] = Member(one.size, _extractor(tar, one))
    if sum(member.size for member in found.values()) > size:
        raise InputError("The .tar is shorter than what it says to hold.", remedy="Copy it again from where it is whole.")
    tops = {name.partition("/")[0] for name in found}
    if len(tops) == 1 and all("/" in name for name in found):  # the folder that was packed
        found = {name.partition("/")[2]: member for name, member in found.items()}
    return found


def _extractor(tar: tarfile.TarFile, one: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def opened() -> IO[bytes]:
        file = tar.extractfile(one)
        if file is None:
            raise tarfile.ReadError(f"{one.name} has no content")
        return file

    return opened
