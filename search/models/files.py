"""The files of a model: which of them count, their hashes, and which are refused because reading them can run code."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from search.errors import ModelMissing

MANIFEST = "manifest.json"

PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"}
"""Endings of files that are pickles by custom; CTranslate2's ``model.bin`` is none, as its first bytes tell."""

MAX_HEADER_BYTES = 100_000_000
"""The longest header of a safetensors file, in bytes, that its format allows."""


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A file as the manifest knows it."""

    sha256: str
    bytes: int


def counts(name: str) -> bool:
    """Whether a file is part of a model. Documents, code and hidden files are not, so that they do not change the revision."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in path.parts)
    return not (hidden or path.suffix in {".md", ".py"} or path.name in {MANIFEST, "LICENSE", "NOTICE"})


def inside(name: str) -> bool:
    """Whether an untrusted name stays below the folder to which it is joined."""
    parts = name.split("/")
    return bool(name) and "\0" not in name and "\\" not in name and not any(part in {"", ".", ".."} for part in parts)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex. The file is read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def revision(sha256: Mapping[str, str]) -> str:
    """An identifier for the files of a model: the same files give the same revision, wherever they come from."""
    return hashlib.sha256(repr(sorted(sha256.items())).encode()).hexdigest()[:16]


def survey(folder: Path) -> dict[str, ManifestFile]:
    """Every file of a folder that counts, by its name below the folder; each is read.

    Raises:
        ModelMissing: one is a pickle.
        OSError: one cannot be read.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if counts(name) and path.is_file():
            refuse_pickle(path)
            found[name] = ManifestFile(digest(path), path.stat().st_size)
    return found


def refuse_pickle(path: Path, name: str = "") -> None:
    """Raise ModelMissing if a file is a pickle, by its name or by its first bytes."""
    suffix = PurePosixPath(name or path.name).suffix.lower()
    if (suffix in PICKLES and not (suffix == ".bin" and _is_ctranslate2(path))) or _holds_pickle(path):
        raise pickled(name or str(path))


def pickled(name: str) -> ModelMissing:
    """The error for weights that are pickles."""
    return ModelMissing(
        f"{name} is a pickle: reading it can run any code, so that it is never taken.",
        remedy="Take the model's .safetensors file instead; where there is none, convert it on a machine that may be lost:"
        " torch.load(…, weights_only=True), then safetensors.torch.save_file.",
    )


def _is_ctranslate2(path: Path) -> bool:
    """Whether a file begins like CTranslate2's models: a version, then the length and name of the model's specification.

    No pickle does: a version is below 32, and no byte below 32 is a pickle instruction.
    """
    with path.open("rb") as file:
        head = file.read(64)
    end = 6 + int.from_bytes(head[4:6], "little")
    return 0 < int.from_bytes(head[:4], "little") < 32 and head[6:end].endswith(b"Spec\0") and end < len(head)


def _holds_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(9)
    if head[8:] == b"{" and int.from_bytes(head[:8], "little") <= MAX_HEADER_BYTES:
        return False  # safetensors: a length and JSON; a header of 640 bytes begins as a pickle of protocol 2 does
    if head.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(path) as archive:
                return any(name.endswith(".pkl") for name in archive.namelist())
        except zipfile.BadZipFile:
            return True  # what its reader would make of it nobody knows
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5
