"""The manifest of an installed model: ``manifest.json`` beside the folder of its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from search.disk import sync
from search.models.files import MANIFEST, ManifestFile, inside, revision


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """A model's origin and files.

    source     the repository, or the path, that it came from
    revision   the commit of the repository; empty where it came from elsewhere
    notice     what has to be accepted before it is loaded, and ``accepted`` whether it was
    pulled_at  when it came, in ISO 8601
    folder     where the files lie, beside the manifest
    files      by their names below that folder
    """

    name: str
    source: str
    revision: str
    licence: str
    notice: str
    accepted: bool
    pulled_at: str
    folder: str
    files: Mapping[str, ManifestFile]

    @property
    def sha256(self) -> dict[str, str]:
        """The hash of each file."""
        return {name: entry.sha256 for name, entry in self.files.items()}

    @property
    def bytes(self) -> int:
        """The total size of the files."""
        return sum(entry.bytes for entry in self.files.values())

    @property
    def space(self) -> str:
        """The revision of spaces made with this model. It depends on the files alone."""
        return revision(self.sha256)

    def write(self, place: Path) -> None:
        """Write the manifest into a model's folder, atomically and durably."""
        draft = place / f".{MANIFEST}"
        draft.write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")
        sync(draft)
        draft.replace(place / MANIFEST)
        sync(place)


def parse(content: bytes, of: str = "") -> ModelManifest:
    """Parse an untrusted manifest; ``of``: the model that it should belong to.

    Raises:
        ValueError: it is invalid, names files outside its folder, or belongs to another model.
    """
    try:
        told = json.loads(content)
        told["files"] = {name: ManifestFile(str(entry["sha256"]), int(entry["bytes"])) for name, entry in told["files"].items()}
        manifest = ModelManifest(**told)
        texts = (manifest.name, manifest.source, manifest.revision, manifest.licence, manifest.notice, manifest.folder)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not all(isinstance(text, str) for text in texts) or not isinstance(manifest.accepted, bool):
        raise ValueError("a value of another kind than it should be")
    if not all(map(inside, (manifest.folder, *manifest.files))):
        raise ValueError("a file outside the model's folder")
    if of and manifest.name != of:
        raise ValueError(f"it is that of {manifest.name}")
    return manifest
