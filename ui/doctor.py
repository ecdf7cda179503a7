"""The doctor: looks at the installation and the archive, and says what to do about each thing that is wrong."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
from collections.abc import Iterable, Mapping

from rich.markup import escape

from indexer.verify import Check, verify
from search import disk, encoders
from search.errors import ModelMissing, SensoriumError
from search.models import Models
from search.settings import Settings
from search.store import Database
from search.store.spaces import encoder_name
from search.store.tables import REVISION
from search.types import Modality
from ui import phrasing, show

LOW_SPACE_BYTES = 1 << 30
"""Bytes."""

EXTRA = re.compile(r"""(?P<package>[\w.-]+)[^;]*;.*\bextra == ['"](?P<extra>[\w-]+)['"]""")
"""A requirement of one of the program's extras, as its metadata spell it."""


def examine(settings: Settings) -> list[Check]:
    """Every check, in the order in which things depend on each other; one that fails does not stop the others."""
    checks: list[Check] = []
    for step in (_program, _media, _index, _models, _disk, _database):
        try:
            checks += step(settings)
        except (SensoriumError, OSError, ImportError) as error:
            checks.append(
                Check(
                    step.__name__.strip("_"),
                    False,
                    str(error),
                    getattr(error, "remedy", "") or "Install Sensorium again.",
                )
            )
    return checks


def _program(_: Settings) -> Iterable[Check]:
    version = importlib.metadata.version("sensorium")
    yield Check("program", True, f"sensorium {version}, Python {platform.python_version()}, {platform.platform()}")
    lacking = {extra: [one for one in packages if not _installed(one)] for extra, packages in extras().items()}
    here = ", ".join(extra for extra, packages in lacking.items() if not packages)
    more = ", ".join(extra for extra, packages in lacking.items() if packages)
    yield Check("extras", True, f"installed: {here or 'none, the core needs none'}{f'; available: {more}' if more else ''}")


def extras() -> dict[str, list[str]]:
    """The extras of this program, each with the packages that it needs."""
    found: dict[str, list[str]] = {}
    for requirement in importlib.metadata.requires("sensorium") or ():
        if match := EXTRA.match(requirement):
            found.setdefault(match["extra"], []).append(match["package"])
    return found


def _media(_: Settings) -> Iterable[Check]:
    from search.media import ffmpeg, versions
    from search.media.sandbox import confine

    yield Check("decoders", True, ", ".join(f"{name} {version}" for name, version in versions().items()))
    oldest = ".".join(map(str, ffmpeg.OLDEST))
    for source, version in ffmpeg.versions().items():
        seen = f"{version} of {source}" + (f", older than {oldest}, has known holes" if ffmpeg.outdated(version) else "")
        yield Check(
            "ffmpeg", not ffmpeg.outdated(version), seen, "Install Sensorium from requirements.lock; unset IMAGEIO_FFMPEG_EXE."
        )
    yield from _confinement(confine.absent())


def _confinement(absent: Mapping[str, str]) -> Iterable[Check]:
    """What decoders run with, and each protection that they lack. The filter of system calls alone holds the most; without it, all is not well."""
    from search.media.sandbox import confine

    held = [name for name in confine.REMEDIES if name not in absent]
    yield Check("confinement", bool(held), f"decoders run with {', '.join(held) or 'limits alone'}", "Run Sensorium on Linux.")
    for name, why in absent.items():
        yield Check(
            "confinement", confine.SECCOMP in held, f"absent: {name} ({why}). {confine.REMEDIES[name]}", confine.REMEDIES[name]
        )


def _index(_: Settings) -> Iterable[Check]:
    from search.index import capabilities

    yield Check("FAISS", True, capabilities())


def _installed(distribution: str) -> bool:
    try:
        return bool(importlib.metadata.version(distribution))
    except importlib.metadata.PackageNotFoundError:
        return False


def _models(settings: Settings) -> Iterable[Check]:
    models = Models.of(settings)
    for name in models.names():
        try:
            manifest = models.get(name)
            wrong, remedy = models.damage(manifest), models.mending(manifest)
        except ModelMissing as error:
            wrong, remedy = str(error), error.remedy
        yield Check("model files", not wrong, wrong or f"{name} is whole", remedy)
    encoder = encoders.load(encoder_name(Database(settings.database), settings.space), models, settings.device)
    encoder.encode(Modality.TEXT, ["a test"])
    yield Check("model", True, f"{encoder.space.name}, revision {encoder.space.revision}, {encoder.space.dim} dimensions")
    if isinstance(encoder, encoders.SelfMeasuring) and (choice := encoder.choice()) is not None:
        yield Check("model", True, f"{encoder.space.name} on this machine: {choice}")


def _disk(settings: Settings) -> Iterable[Check]:
    folder = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    yield Check("disk", free > LOW_SPACE_BYTES, f"{free / 1e9:.1f} GB free under {folder}", "Free some space, or move the home.")
    if disk.is_read_only(settings.home):
        yield Check("home", True, f"{settings.home} is read-only: searching and serving work, indexing does not")
    open_to_all = disk.exposed(settings.home)
    seen = f"others may read {', '.join(map(str, open_to_all[:3]))}" if open_to_all else "only its owner may read it"
    yield Check("privacy", not open_to_all, seen, f"chmod -R go= {settings.home}")


def _database(settings: Settings) -> Iterable[Check]:
    database = Database(settings.database)
    try:
        if not database.exists():
            yield Check("archive", True, f"none in {settings.home} yet: `sensorium index PATH` makes one")
            return
        database.check()
        yield Check("database", True, f"revision {REVISION}, {database.engine.dialect.name}")
    finally:
        database.close()
    yield from verify(settings)


def render(checks: list[Check]) -> None:
    """Print a line a check, what to do below each that fails, and a last line that sums up."""
    for check in checks:
        mark = "[green]✓[/]" if check.ok else "[red]✗[/]"
        show.out.print(f"{mark} {escape(check.name)}  [dim]{escape(check.seen)}[/]", highlight=False, soft_wrap=True)
        if not check.ok and check.remedy:
            show.out.print(f"  [yellow]{escape(check.remedy)}[/]", highlight=False, soft_wrap=True)
    failed = [check for check in checks if not check.ok]
    if failed:
        told = f"[red]{len(failed)} of {phrasing.count(len(checks), 'check')} failed.[/] Follow the advice below each ✗."
    else:
        told = f"[green]All is well.[/] {phrasing.count(len(checks), 'check')} passed."
    show.out.print(told, highlight=False, soft_wrap=True)
