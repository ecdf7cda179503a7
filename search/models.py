"""Models on this machine: weights and what belongs to them, each in a folder of its own with a manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from search.errors import ModelMissing


@dataclass(frozen=True, slots=True)
class Source:
    """Where the files of a model come from: a repository of the hub, its ``revision``, and the ``files`` (patterns) that are wanted."""

    repository: str
    files: tuple[str, ...]
    revision: str = "main"
    licence: str = ""
    notice: str = ""
    """What has to be accepted once before the model is loaded; empty: nothing."""


@dataclass(frozen=True, slots=True)
class Model:
    """The files of a model, all of them checked. ``name`` is the encoder's; ``revision`` changes whenever a file does."""

    name: str
    folder: Path
    revision: str
    licence: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)

    @property
    def rest(self) -> str:
        """The name without its family."""
        return self.name.partition(":")[2]


class Models:
    """The models in a folder."""

    def __init__(self, folder: Path, *, offline: bool = False) -> None:
        """``offline``: nothing is ever fetched."""
        self.folder, self.offline = folder, offline

    @classmethod
    def default(cls) -> Models:
        """Those of the settings as they are."""
        from search import settings

        return cls(settings.load().home / "models")

    def find(self, name: str) -> Model:
        """A model's files, each of them checked.

        Raises:
            ModelMissing: it is not here, or a file is not what it should be.
        """
        folder = Path(name.partition(":")[2])
        if not folder.is_dir():
            raise ModelMissing(f"The model {name} is not here.", remedy=f"Fetch it with: sensorium models pull {name}")
        sha256 = {}
        for path in sorted(folder.iterdir()):
            with path.open("rb") as file:
                sha256[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
        revision = hashlib.sha256(repr(sorted(sha256.items())).encode()).hexdigest()[:16]
        return Model(name, folder, revision, sha256=sha256)
