"""Models on this machine: weights and related files, each model in its own folder with a manifest.

A model has the name of its encoder, ``family:rest``. ``rest`` is the family's name for it; or the path of a folder (``./mine``,
``/srv/mine``, ``~/mine``); or ``package:IMPORT.NAME/sub`` for weights in an installed package. Nothing here fetches anything:
``sensorium models pull`` does that (``search.models.hub``), or a folder is imported (``search.models.carry``).
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.util
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, unquote

from search import locks
from search.disk import sync
from search.errors import InputError, ModelMissing
from search.models import files
from search.models.files import MANIFEST
from search.models.manifest import ModelManifest, parse
from search.settings import Settings

PACKAGE = "package:"

_FOLDERS = ("/", "./", "../", "~")
"""The beginnings of rests that are folders."""

Report = Callable[[int, int], None]
"""Callback for progress: bytes that are here, bytes in all."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where the files of a model come from: a repository of the hub, its ``revision``, and the wanted ``files`` (patterns)."""

    repository: str
    files: tuple[str, ...]
    revision: str = "main"
    licence: str = ""
    notice: str = ""
    """The notice that must be accepted once before the model is loaded; empty: none."""
    weights: str = "*.safetensors"
    """How its weights are called. A name that pickles bear is fetched only where it stands here; its content tells whether it is one."""


@dataclass(frozen=True, slots=True)
class Model:
    """The checked files of a model. ``name`` is the encoder's; ``revision`` changes if and only if a file changes."""

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
    """The models in a folder. Several processes may use it at a time; to change a model, a process holds its lock."""

    def __init__(self, folder: Path, *, offline: bool = False, cache: Path | None = None) -> None:
        """``offline``: nothing is ever fetched. ``cache``: the folder in which encoders keep what they measured; None: nowhere."""
        self.folder, self.offline, self.cache = folder, offline, cache

    @classmethod
    def of(cls, settings: Settings) -> Models:
        """The models of the settings."""
        return cls(settings.models or settings.home / "models", offline=settings.offline, cache=settings.home / "cache")

    def find(self, name: str) -> Model:
        """A model's files, each read and checked against its SHA-256. Nothing is fetched.

        Raises:
            ModelMissing: it is not installed, a file is damaged or is a pickle, or its notice was not accepted.
        """
        if (folder := outside(name)) is not None:
            return self._own(name, folder)
        while True:
            manifest = self.get(name)
            if manifest.notice and not manifest.accepted:
                raise ModelMissing(f"{name}: {manifest.notice}", remedy=f"Accept that with: sensorium models accept {name}")
            if not (wrong := self.damage(manifest)):
                return Model(name, self.place(name) / manifest.folder, manifest.space, manifest.licence, manifest.sha256)
            if self.get(name).folder == manifest.folder:  # else it was replaced meanwhile
                raise ModelMissing(wrong, remedy=self.mending(manifest))

    def get(self, name: str) -> ModelManifest:
        """The manifest of an installed model. Its files are not checked.

        Raises:
            ModelMissing: it is not installed.
        """
        file = self.place(name) / MANIFEST
        try:
            manifest = parse(file.read_bytes(), of=name)
        except FileNotFoundError as error:
            raise ModelMissing(f"The model {name} is not here.", remedy=f"Fetch it with: {self.pulling(name)}") from error
        except (OSError, ValueError) as error:
            raise ModelMissing(f"{file} cannot be read: {error}.", remedy=f"Fetch it again with: {self.pulling(name)}") from error
        return manifest

    def look(self, name: str) -> ModelManifest | None:
        """The manifest of a model, or None if it is not installed or cannot be read."""
        with contextlib.suppress(ModelMissing):
            return self.get(name)
        return None

    def names(self) -> list[str]:
        """The names of all installed models, complete or not."""
        return sorted(unquote(file.parent.name) for file in self.folder.glob(f"*/{MANIFEST}"))

    def here(self) -> list[ModelManifest]:
        """The manifests of all installed models, by name. Unreadable ones are left out."""
        return [manifest for name in self.names() if (manifest := self.look(name))]

    def damage(self, manifest: ModelManifest) -> str:
        """The first problem with the files of a model; empty if there is none. Every byte is read, since bits can flip unnoticed."""
        folder = self.place(manifest.name) / manifest.folder
        for name, entry in manifest.files.items():
            path = folder / name
            try:
                files.refuse_pickle(path)
                if (size := path.stat().st_size) != entry.bytes:
                    return f"{path} has {size} bytes instead of {entry.bytes}."
                if files.digest(path) != entry.sha256:
                    return f"{path} is not the file that the manifest names: its SHA-256 differs."
            except OSError as error:
                return f"{path} cannot be read: {error}."
        return ""

    def accept(self, name: str) -> ModelManifest:
        """Record that a model's notice was accepted.

        Raises:
            ModelMissing: the model is not installed.
        """
        self.get(name)
        with self.locked(name):
            manifest = replace(self.get(name), accepted=True)
            manifest.write(self.place(name))
        return manifest

    def remove(self, name: str, used: Collection[str] = (), *, force: bool = False) -> int:
        """Remove a model; returns the freed bytes. ``used`` are the encoders of the archive's spaces.

        Raises:
            ModelMissing: it is not installed.
            InputError: it is in use, and ``force`` is not set.
        """
        manifest = self.get(name)
        if name in used and not force:
            raise InputError(
                f"The archive has a space of {name}: without it nothing can be asked there.",
                remedy="Say --force to remove it still.",
            )
        with self.locked(name):
            (self.place(name) / MANIFEST).unlink(missing_ok=True)
            sync(self.place(name))
            shutil.rmtree(self.place(name))
        return manifest.bytes

    def place(self, name: str) -> Path:
        """The folder of a model."""
        return self.folder / quote(name, safe=" +,=@")

    def pulling(self, name: str) -> str:
        """The command that fetches a model."""
        return f"{'SENSORIUM_OFFLINE=0 ' if self.offline else ''}sensorium models pull {name}"

    def mending(self, manifest: ModelManifest) -> str:
        """What to do about a damaged model."""
        if manifest.revision:
            return f"Fetch it again with: {self.pulling(manifest.name)}"
        return f"Take it over again with: sensorium models import {manifest.source} --name {manifest.name}"

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold a model's lock, so that nobody else changes it. Waits for the current holder."""
        (self.folder / ".locks").mkdir(parents=True, exist_ok=True)
        with locks.locked(self.folder / ".locks" / self.place(name).name):
            yield

    def publish(self, manifest: ModelManifest, draft: Path) -> ModelManifest:
        """Replace the files of the model by those in ``draft``, a folder beside the manifest. After a kill, either the old or the
        new model is in place.

        Call it only while holding the lock.
        """
        place = self.place(manifest.name)
        for path in (*draft.rglob("*"), draft, self.folder, self.folder.parent):
            sync(path)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        manifest = replace(manifest, folder=f"{manifest.space}-{os.urandom(4).hex()}", pulled_at=now)
        draft.rename(place / manifest.folder)
        sync(place)
        manifest.write(place)
        for old in place.iterdir():
            if old.is_dir() and old.name != manifest.folder:
                shutil.rmtree(old)
        return manifest

    def _own(self, name: str, folder: Path) -> Model:
        """A folder of the user. There is no manifest to check it against."""
        try:
            found = files.survey(folder) if folder.is_dir() else {}
        except OSError as error:
            raise ModelMissing(f"{folder} cannot be read: {error}.", remedy="Check its permissions.") from error
        if not found:
            raise ModelMissing(
                f"There is no model in {folder}.", remedy="Check the path: it is that of a folder with the files of a model."
            )
        sha256 = {file: entry.sha256 for file, entry in found.items()}
        return Model(name, folder, files.revision(sha256), sha256=sha256)


def named(setting: str, family: str) -> str:
    """The name of the model in a setting, which may be just a folder, without the family."""
    return setting if ":" in setting and not setting.startswith(_FOLDERS) else f"{family}:{setting}"


def is_repository(rest: str) -> bool:
    """Whether the rest of a model's name, behind its family, is that of a repository: OWNER/NAME."""
    return re.fullmatch(r"[\w.-]+/[\w.-]+", rest) is not None


def outside(name: str) -> Path | None:
    """The folder in a model's name, or None if the model is in the models folder.

    Raises:
        ModelMissing: the package that should contain it is not installed.
    """
    rest = name.partition(":")[2]
    if rest.startswith(PACKAGE):
        module, _, below = rest.removeprefix(PACKAGE).partition("/")
        top, *parts = module.split(".")
        spec = None
        with contextlib.suppress(ImportError, ValueError):  # of names that cannot be a module's
            spec = importlib.util.find_spec(top)  # that of a top level module is found without running its code
        for place in (spec and spec.submodule_search_locations) or ():
            if (folder := Path(place, *parts, below)).is_dir():
                return folder
        raise ModelMissing(f"No installed package has a folder {module}/{below}.", remedy="Install it, or check the name.")
    return Path(os.path.expanduser(rest)).absolute() if rest.startswith(_FOLDERS) else None
