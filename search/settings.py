"""Settings: the only place that reads the environment and the configuration files.

Flags override environment variables, these override ``sensorium.toml`` in the working folder, and that overrides the user's own.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from platformdirs import user_config_path, user_data_path

from search import disk
from search.errors import InputError
from search.log import LEVELS

PREFIX = "SENSORIUM_"
"""The prefix of environment variables that are settings."""

NEAR = 0.8
"""The similarity (``difflib`` ratio) to a setting from which on an unknown variable counts as a misspelling."""

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run of Sensorium may be told. Each field is a key of the TOML files and, as ``SENSORIUM_NAME``, a variable.

    home            where state lives: database, index generations, locks
    database_url    SQLAlchemy URL of the database; empty: SQLite under ``home``
    space           the space to search, and the encoder of a new archive; empty: the archive's default, for a new one ``pocket``
    xclip           a file of trained weights for re-ranking; empty: none are needed
    captioner       the model that answers questions about an asset, such as ``caption:REPOSITORY``, or its folder; empty: none
    imaginer        the model that imagines pictures of words, such as ``imagine:REPOSITORY``, or its folder; empty: none
    translator      the model that translates, such as ``seamless:REPOSITORY``, or its folder; empty: none
    masker          the model that tells which pixels belong to what is pointed at, such as ``mask:REPOSITORY``, or its folder; empty: colours are separated
    models          where the weights of models lie; by default ``models`` under ``home``
    offline         nothing is ever fetched
    device          where encoders that use torch run: ``auto`` (a GPU where there is one), ``cpu``, ``cuda:1``
    decoders        decoding processes; 0: chosen by the number of cores
    encoders        encoding threads; 0: one a core
    readers         assets that a reader reads at once; 0: one a core
    gpu_encoders    on a Ray cluster: encoders, or workers of a reader, that share a GPU; 0: nothing uses GPUs there
    image_formats   formats of pictures that are read, separated by commas; ``heic`` can be added where the extra of that name is installed
    timezone        the zone of files that know none, such as ``Europe/Berlin``; before it, separated by commas, those of paths: ``*tokyo*=Asia/Tokyo``
    exclude         files and folders to leave out besides the usual, as patterns of gitignore, separated by commas; ``!@eaDir`` takes one in again
    max_pixels      a picture, or a video's frame, with more is refused, in pixels
    max_frames      frames taken of what moves in an animation, at most
    max_pages       pages of a picture, or slides of an animation, that are looked at, at most
    decode_seconds  processor time for decoding an image or a text, ten times as long by the clock; sound and video get this much for every minute besides
    image_memory    address space of a decoding process while it reads a picture or a text, in bytes
    decode_memory   address space of a decoding process at any time, so also for sound and video, in bytes
    index_device    where an index is scanned: ``cpu``, ``cuda:0``, …; ``auto``: on the first GPU, where FAISS was built for them and sees one
    index_kind      ``auto``: kinds of more than 200,000 segments get lists of one-bit codes, of which those near the question are looked at, at a
                    measured recall of .95; ``exact``: every vector is looked at; ``ivf``: lists are made when the archive is opened, where none were written
    vectors         a server that also keeps the vectors and scans them: ``milvus://host:port/db``, ``milvus:///folder/file.db`` or ``pgvector``
    roots           folders, and addresses such as ``s3://bucket``, that the service may index, separated like PATH; those of collections count as well
    show_paths      collections whose absolute paths the service shows, separated by commas; ``*``: all
    login           a TOML file by which people log in to the page through an OpenID Connect provider; empty: by tokens alone
    trust_anchors   a file of certificates, in PEM, that one trusts: content credentials signed under them are told as trusted; empty: none
    show_positions  collections whose files are served with the positions that they tell, separated by commas; ``*``: all
    prefix          the path under which a proxy publishes the service, such as ``/archive``; empty: none
    hosts           names, besides addresses and localhost, under which the service may be called, separated by commas
    log_level       what the service writes into its log: ``debug``, ``info``, ``warning`` or ``error``, and what is graver
    log_json        the service's log is an object of JSON a line
    drain_seconds   how long a service that is told to end goes on with the requests that it has, in seconds
    job_webhook     an address that the service tells when an index job is done, failed or cancelled, as standing questions tell theirs
    webhook_secret  with this secret the service signs what it tells webhooks (Standard Webhooks); ``whsec_`` and base64, or any text; empty: unsigned
    fetch_urls      the service fetches content to search with from public addresses that callers name, by https
    upload_bytes    the largest upload, in bytes
    upload_quota    what all uploads together may take, in bytes
    uploads         where uploads lie; by default ``uploads`` under ``home``. Services of one archive behind a proxy share the folder
    upload_hours    how long an upload is kept after it was last used
    cache_bytes     what thumbnails and previews may take on disk, in bytes
    object_bytes    what was fetched from object storage and is kept on disk may take, in bytes
    """

    home: Path
    database_url: str = ""
    space: str = ""
    xclip: str = ""
    captioner: str = ""
    translator: str = ""
    imaginer: str = ""
    masker: str = ""
    models: Path | None = None
    offline: bool = False
    device: str = "auto"
    decoders: int = 0
    encoders: int = 0
    readers: int = 0
    gpu_encoders: int = 1
    image_formats: str = "jpeg,png,gif,webp,tiff,bmp,avif,jpeg2000,ppm,tga,psd,exr,raw,jxl"
    timezone: str = ""
    exclude: str = ""
    max_pixels: int = 250_000_000
    max_frames: int = 32
    max_pages: int = 200
    decode_seconds: int = 30
    image_memory: int = 1 << 30
    decode_memory: int = 3 << 30
    index_device: str = "auto"
    index_kind: str = "auto"
    vectors: str = ""
    roots: str = ""
    show_paths: str = ""
    trust_anchors: str = ""
    show_positions: str = ""
    login: str = ""
    prefix: str = ""
    hosts: str = ""
    log_level: str = "info"
    log_json: bool = False
    drain_seconds: int = 20
    job_webhook: str = ""
    webhook_secret: str = ""
    fetch_urls: bool = False
    upload_bytes: int = 256 << 20
    upload_quota: int = 4 << 30
    uploads: Path | None = None
    upload_hours: int = 24
    cache_bytes: int = 2 << 30
    object_bytes: int = 4 << 30

    @property
    def database(self) -> str:
        """The database's URL; SQLite under ``home`` unless another one is set."""
        return self.database_url or f"sqlite:///{self.home / 'sensorium.db'}"

    @property
    def cores(self) -> int:
        """Cores that this process may use."""
        return cores()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load(flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Merge the sources by precedence.

    Raises:
        InputError: a file that is not TOML, an unknown key, or a value of the wrong type.
    """
    environment = os.environ if environment is None else environment
    known = {field.name: field for field in fields(Settings)}
    merged: dict[str, Any] = {"home": user_data_path("sensorium", appauthor=False)}
    told: dict[str, str] = {}  # setting -> where it was told
    files = (user_config_path("sensorium", appauthor=False) / "sensorium.toml", Path("sensorium.toml"))
    sources = [(f"in {file}", _read_toml(file)) for file in files]
    sources.append(("in the environment", _variables(environment, known)))
    sources.append(("on the command line", {name: value for name, value in (flags or {}).items() if value is not None}))
    for where, values in sources:
        if unknown := sorted(set(values) - set(known)):
            near = difflib.get_close_matches(unknown[0], known, n=3)
            remedy = f"Did you mean {' or '.join(near)}?" if near else f"Known settings: {', '.join(known)}."
            raise InputError(f"Unknown setting {unknown[0]!r} {where}.", remedy=remedy)
        merged |= values
        told |= dict.fromkeys(values, where)
    settings = Settings(**{name: _convert(name, known[name].type, value, told.get(name, "")) for name, value in merged.items()})
    if settings.prefix and not re.fullmatch(r"(/[\w.~-]+)+", settings.prefix):
        raise InputError(
            f"Setting prefix is {settings.prefix!r} {told.get('prefix', '')}.",
            remedy="Write a path without an end, such as /archive.",
        )
    _check_hosts(settings.hosts, told.get("hosts", ""))
    if settings.log_level not in LEVELS:
        raise InputError(
            f"Setting log_level is {settings.log_level!r} {told.get('log_level', '')}.", remedy=f"Known: {', '.join(LEVELS)}."
        )
    disk.protect(settings.home)
    return settings


def pack(settings: Settings) -> dict[str, Any]:
    """Settings as JSON values, for a process that is started with them; ``unpack`` is the inverse."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(settings).items()}


def unpack(told: Mapping[str, Any]) -> Settings:
    """Settings from the output of ``pack``."""
    paths: dict[str, Any] = {name: Path(told[name]) for name in ("home", "models", "uploads") if told.get(name) is not None}
    return Settings(**{**told, **paths})


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError) as error:  # not TOML, not text, numbers or brackets beyond all measure
        raise InputError(f"{file} cannot be read: {error}.", remedy="Mend or remove it.") from error


def _variables(environment: Mapping[str, str], known: Iterable[str]) -> dict[str, str]:
    """The settings in environment variables.

    Raises:
        InputError: a variable has nearly the name of a setting. Other variables are ignored: container systems set ``SENSORIUM_PORT`` and the like.
    """
    variables = {f"{PREFIX}{name.upper()}": name for name in known}
    names = [variable.removeprefix(PREFIX) for variable in variables]
    for name in (name for name, value in environment.items() if value and name.startswith(PREFIX) and name not in variables):
        if near := difflib.get_close_matches(name.removeprefix(PREFIX), names, cutoff=NEAR):
            raise InputError(f"Unknown variable {name}.", remedy=f"Did you mean {' or '.join(PREFIX + one for one in near)}?")
    return {name: value for variable, name in variables.items() if (value := environment.get(variable))}


def _check_hosts(hosts: str, where: str) -> None:
    """Reject a name that can never equal a Host header."""
    for host in filter(None, (one.strip() for one in hosts.split(","))):
        why = (
            "has a scheme" if "://" in host
            else "has a star" if "*" in host
            else "has a path" if "/" in host
            else "has a port" if re.search(r":\d+$", host) and host.count(":") == 1
            else "has letters outside ASCII" if not host.isascii()
            else "" if _HOST.fullmatch(host) or _is_address(host)
            else "is no name of a host"
        )  # fmt: skip
        if why:
            raise InputError(
                f"Setting hosts names {host!r} {where}, which {why} and would never match.",
                remedy="Write bare names, separated by commas, such as sensorium.lan; of others the form in ASCII (xn--…).",
            )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _convert(name: str, kind: object, value: Any, where: str) -> Any:  # noqa: ANN401 - values come from TOML
    try:
        return KINDS[str(kind)][0](value)
    except (ValueError, RuntimeError):  # the latter: the home of somebody who is not there
        raise InputError(f"Setting {name} is {value!r} {where}, not {KINDS[str(kind)][1]}.") from None


def _whole(value: Any) -> int:  # noqa: ANN401
    if not isinstance(value, int | str) or isinstance(value, bool) or (number := int(value)) < 0:
        raise ValueError
    return number


def _flag(value: Any) -> bool:  # noqa: ANN401
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if (word := str(value).lower()) not in known:
        raise ValueError
    return known[word]


def _path(value: Any) -> Path:  # noqa: ANN401
    return Path(_text(value)).expanduser().absolute()


def _text(value: Any) -> str:  # noqa: ANN401
    if not isinstance(value, str | Path):
        raise ValueError  # noqa: TRY004 - a list where a text belongs: the caller says so
    return str(value)


KINDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "int": (_whole, "a whole number of at least 0"),
    "bool": (_flag, "true or false"),
    "Path": (_path, "a path"),
    "Path | None": (_path, "a path"),
    "str": (_text, "text in quotes"),
}
"""Type of a setting -> what makes it of a given value, and how it is called."""
