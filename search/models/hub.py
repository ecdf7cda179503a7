"""Fetching models from the hub: pinned to a commit, checked against its hashes, continued after a kill. Only ``models pull`` does
this.

The library knows the hub's address (HF_ENDPOINT changes it) and takes a user's token from HF_TOKEN or its own login.
``hf_hub_download`` is not used, because its partial downloads are lost with the process. Nothing is written outside the models
folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO, cast

from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.errors import HTTPError as NetworkError  # type: ignore[attr-defined] # of whichever HTTP library it uses
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from huggingface_hub.utils import build_hf_headers, disable_progress_bars  # type: ignore[attr-defined]
from huggingface_hub.utils.logging import set_verbosity

from search import disk
from search.errors import DiskFull, InputError, ModelMissing
from search.models import Models, ModelSource, Report, files
from search.models.files import PICKLES, ManifestFile
from search.models.manifest import ModelManifest

TIMEOUT_SECONDS = 30.0
"""How long to wait for what the hub knows of a repository, in seconds."""

STEP_BYTES = 1 << 20
"""After how many bytes what came is on disk, and progress is told."""

MARGIN_BYTES = 64 << 20
"""Bytes that a pull leaves free."""


def pull(
    models: Models, name: str, source: ModelSource, *, revision: str = "", accepted: bool = False, report: Report | None = None
) -> ModelManifest:
    """Fetch a model, or its missing files. A complete model is left unchanged.

    ``revision`` is a branch, tag or commit, by default that of ``source``; ``accepted``: its notice was accepted.

    Raises:
        ModelMissing: fetching is not allowed, the hub does not give it, it is not what the hub says, or the notice was not accepted.
        DiskFull: there is no room.
        InputError: the models folder cannot be written to, or the repository's name is none.
    """
    if models.offline:
        raise ModelMissing(
            "Nothing is fetched while SENSORIUM_OFFLINE is set.",
            remedy=f"Fetch it with: {models.pulling(name)}; or carry it over with: sensorium models import PATH --name {name}",
        )
    _quieten()
    with _told(models, name, source, revision or source.revision), models.locked(name):
        old = models.look(name)
        accepted = accepted or (old is not None and old.accepted and old.notice == source.notice)
        if source.notice and not accepted:
            raise ModelMissing(f"{name}: {source.notice}", remedy=f"Accept that with: {models.pulling(name)} --accept")
        info = _known(source.repository, revision or source.revision)
        wanted = _wanted(info, source)
        licence = source.licence or str(getattr(info.card_data, "license", None) or "")
        if old and old.revision == info.sha and set(old.files) == set(wanted) and not models.damage(old):
            manifest = replace(old, licence=licence, notice=source.notice, accepted=accepted)
            manifest.write(models.place(name))
            return manifest
        draft = _draft(models, name, wanted, old)
        _room(draft, wanted)
        entries = _Pull(draft, source.repository, str(info.sha), wanted, report or (lambda *_: None)).run()
        return models.publish(
            ModelManifest(name, source.repository, str(info.sha), licence, source.notice, accepted, "", "", entries), draft
        )


class _Pull:
    """Fetches files of one commit into a folder, each completely and checked before the next one."""

    def __init__(self, folder: Path, repository: str, commit: str, wanted: dict[str, RepoSibling], report: Report) -> None:
        self._folder, self._repository, self._commit, self._wanted = folder, repository, commit, wanted
        self._report = report
        self._before, self._total = 0, sum(one.size or 0 for one in wanted.values())

    def run(self) -> dict[str, ManifestFile]:
        entries = {}
        for name, told in self._wanted.items():
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            begun = path.exists()
            sha256 = self._fetch(path, told)
            if begun and not sha256:  # what was here was of another file
                path.unlink()
                sha256 = self._fetch(path, told)
            if not sha256:
                path.unlink()
                raise ModelMissing(
                    f"{name} came, but is not the file that the hub names: its hash differs.",
                    remedy="Download it again. If that fails too, something between here and the hub changes the files.",
                )
            files.refuse_pickle(path, name)
            entries[name] = ManifestFile(sha256, path.stat().st_size)
            self._before += entries[name].bytes
        return entries

    def _fetch(self, path: Path, told: RepoSibling) -> str:
        """Fetch the missing part of a file. Returns its SHA-256, or an empty string if it is not the file that the hub names."""
        begun = path.stat().st_size if path.exists() else 0
        if told.size is None or begun > told.size:
            path.unlink(missing_ok=True)
            begun = 0
        url = hf_hub_url(self._repository, told.rfilename, revision=self._commit)
        headers = build_hf_headers(library_name="sensorium")
        headers["Accept-Encoding"] = "identity"  # parts of packed files fit nowhere
        with path.open("ab") as file:
            self._report(self._before + begun, self._total)
            counted = cast("BinaryIO", _Counted(file, lambda size: self._report(self._before + size, self._total)))
            http_get(url, counted, resume_size=begun, headers=headers, expected_size=told.size)
        return _checked(path, told)


class _Counted:
    """A file that is flushed after each write, so that a kill loses little, and then reports its length."""

    def __init__(self, file: BinaryIO, tell: Any) -> None:  # noqa: ANN401
        self._file, self._told = file, tell

    def write(self, chunk: bytes) -> int:
        written = self._file.write(chunk)
        self._file.flush()
        self._told(self._file.tell())
        return written

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - seek, tell, truncate
        return getattr(self._file, name)


def _known(repository: str, revision: str) -> ModelInfo:
    try:
        return HfApi(library_name="sensorium").model_info(
            repository, revision=revision, files_metadata=True, timeout=TIMEOUT_SECONDS
        )
    except HFValidationError as error:
        raise InputError(f"{repository!r} is no name of a repository.", remedy="It looks like owner/name.") from error
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, OSError):  # the library's errors of status 400 are both
            raise
        raise ModelMissing(f"What answers is no hub: {error}.", remedy="Check the network, proxies and HF_ENDPOINT.") from error


def _wanted(info: ModelInfo, source: ModelSource) -> dict[str, RepoSibling]:
    """The wanted files of a repository, by name. Never code, and no file with the name of a pickle, unless the family reads it as
    another format."""
    every = {one.rfilename: one for one in info.siblings or ()}
    matching = {name: one for name, one in every.items() if any(fnmatchcase(name, pattern) for pattern in source.files)}
    wanted = {
        name: one
        for name, one in matching.items()
        if files.counts(name) and (Path(name).suffix.lower() not in PICKLES or name == source.weights)
    }
    if bad := next((name for name in matching if not files.inside(name)), ""):
        raise ModelMissing(f"{source.repository} has a file that would not lie in the model's folder: {bad!r}.")
    if not any(fnmatchcase(name, source.weights) for name in wanted):
        if pickle := next((name for name in every if Path(name).suffix.lower() in PICKLES), ""):
            raise files.pickled(f"{source.repository} has no {source.weights.removeprefix('*')} file; its {pickle}")
        raise ModelMissing(
            f"{source.repository} has no weights that are wanted ({', '.join(source.files)}).",
            remedy="Check the revision, or choose another model: sensorium models list",
        )
    return wanted


def _draft(models: Models, name: str, wanted: dict[str, RepoSibling], old: ModelManifest | None) -> Path:
    """The folder to fetch into, with the files of an earlier pull and those that the installed model shares with the wanted one."""
    place = models.place(name)
    draft = place / "next"
    place.mkdir(exist_ok=True)
    left = [path for path in place.iterdir() if path.is_dir() and not (old and path.name == old.folder)]
    if left and not draft.exists():  # killed between its rename and the manifest's
        left[0].rename(draft)
    draft.mkdir(exist_ok=True)
    for path in [path for path in draft.rglob("*") if path.is_file()]:
        if path.relative_to(draft).as_posix() not in wanted:
            path.unlink()
    for file, entry in old.files.items() if old else ():
        told, mine = wanted.get(file), place / (old.folder if old else "") / file
        alike = told and told.lfs and told.lfs.sha256 == entry.sha256 and mine.is_file() and mine.stat().st_size == told.size
        if alike and not (draft / file).exists():
            (draft / file).parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # file systems without hard links
                (draft / file).hardlink_to(mine)
    return draft


def _room(draft: Path, wanted: dict[str, RepoSibling]) -> None:
    here = sum(path.stat().st_size for path in draft.rglob("*") if path.is_file())
    missing = sum(one.size or 0 for one in wanted.values()) - here
    if missing > 0 and missing + MARGIN_BYTES > (free := shutil.disk_usage(draft).free):
        raise DiskFull(
            f"{missing / 1e6:.0f} MB are to come, and {free / 1e6:.0f} MB are free under {draft}.",
            remedy="Free some space, or set SENSORIUM_MODELS to a folder with more.",
        )


def _checked(path: Path, told: RepoSibling) -> str:
    """The SHA-256 of a file, if it is the one that the hub names; else empty. Large files are compared by SHA-256, others by
    git's hash."""
    sha256 = files.digest(path)
    if told.lfs:
        return sha256 if sha256 == told.lfs.sha256 else ""
    blob = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(STEP_BYTES):
            blob.update(chunk)
    return sha256 if told.blob_id in {None, blob.hexdigest()} else ""


def _quieten() -> None:
    """Send no unnecessary data to the hub, and suppress the library's messages: errors are reported by us."""
    constants.HF_HUB_DISABLE_TELEMETRY = True
    constants.DOWNLOAD_CHUNK_SIZE = STEP_BYTES
    set_verbosity(logging.CRITICAL)
    disable_progress_bars()


@contextlib.contextmanager
def _told(models: Models, name: str, source: ModelSource, revision: str) -> Iterator[None]:
    """Turn errors of the library and of the system into ours."""
    again = f"Try again later; what came is kept: {models.pulling(name)}"
    try:
        yield
    except RevisionNotFoundError as error:
        raise ModelMissing(
            f"{source.repository} has no revision {revision!r}.", remedy="Name a branch, tag or commit of it."
        ) from error
    except EntryNotFoundError as error:
        raise ModelMissing(f"A file of {source.repository} is no longer there.", remedy=again) from error
    except HfHubHTTPError as error:
        raise _refused(error, source, again) from error
    except NetworkError as error:
        raise ModelMissing(
            f"The hub cannot be reached, or was cut off: {error or type(error).__name__}.", remedy=again
        ) from error
    except OSError as error:
        if disk.full(error):
            raise DiskFull(f"There is no room left under {models.folder}.", remedy=f"Free some space. {again}") from error
        if error.errno is None:  # the library's own: fewer bytes came than were promised, or HF_HUB_OFFLINE is set
            raise ModelMissing(f"The hub was cut off: {error}", remedy=again) from error
        raise InputError(
            f"{models.folder} cannot be written to: {error}.", remedy="Set SENSORIUM_MODELS to another folder."
        ) from error


def _refused(error: HfHubHTTPError, source: ModelSource, again: str) -> ModelMissing:
    status = error.response.status_code
    if isinstance(error, GatedRepoError) or status == 403:
        return ModelMissing(
            f"The hub does not give {source.repository} to everybody ({status}).",
            remedy="Ask for it on its page there, and set HF_TOKEN to a token of yours.",
        )
    if isinstance(error, RepositoryNotFoundError) or status in {401, 404}:
        return ModelMissing(
            f"The hub knows no {source.repository}, or shows it only to some ({status}).",
            remedy="Check the name; for one that is private or gated, set HF_TOKEN to a token of yours.",
        )
    return ModelMissing(f"The hub answers {status}.", remedy=again)
