"""Object storage: what lies at addresses such as ``s3://bucket/folder/file.jpg`` is listed, and fetched into a folder of the home.

Only this module, in the parent process, reaches the network; decoders get the descriptor of what was fetched. Errors of clients
are told in words of ours: theirs may hold parts of credentials.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import importlib
import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from search import cache, disk
from search.errors import DiskFull, InputError, MediaError, ObjectsAway
from search.media.opening import FLAGS, Held
from search.settings import Settings

FETCHES = 8
"""Objects that are fetched at once."""

TRIES = 8
"""How often a request is made, and the content of an object asked for, until its storage counts as away."""

_CHUNK_BYTES = 1 << 20
_LOOK_SHARE = 16
"""The folder of fetched objects is looked through at the latest when a share of its bound has been added: others may use it too."""
_LEFTOVER_SECONDS = 3600
"""A half-fetched object that was not touched for as long was left by a process that died."""
_BITS = (1 << 63) - 1
_PACKAGES = {"gs": "gcsfs", "az": "adlfs", "https": "aiohttp"}
"""What fsspec needs for a scheme."""
_TAGS = ("version_id", "generation", "ETag", "etag", "md5Hash", "content_md5", "md5")
_TIMES = ("mtime", "updated", "last_modified", "LastModified", "Last-Modified", "created")

logging.getLogger("botocore").setLevel(logging.WARNING)  # what it logs below holds signatures


class Stored(NamedTuple):
    """An object as its storage tells of it. ``tag``: 63 bits that change with its ETag or version; ``mtime_ns`` in whole seconds."""

    path: bytes
    size: int
    mtime_ns: int
    tag: int


class _Gone(Exception):
    """The object is not there, or is another one by now."""


class _Broken(Exception):
    """The content of an object broke off."""


class _Store(Protocol):
    """One bucket. Keys are the rest of an address. Its methods raise ObjectsAway, and ``_Gone`` where an object is meant."""

    def list(self, prefix: str) -> Iterator[tuple[str, int, int, str]]:
        """Key, size, time (ns) and tag of every object whose key begins with ``prefix``, in order."""
        ...

    def look(self, key: str) -> tuple[int, int, str]:
        """Size, time (ns) and tag of an object."""
        ...

    def read(self, key: str, start: int, length: int, tag: str) -> tuple[int, str, Iterator[bytes]]:
        """The size and the tag of an object, and its content from byte ``start`` on, ``length`` bytes of it; 0: all. With ``tag``
        only of the object with this tag. The content raises ``_Broken`` if it breaks off."""
        ...


class Objects:
    """The objects of all buckets, as files. What is fetched is kept under its digest, up to the setting ``object_bytes``; what was
    used longest ago goes first. Thread-safe; several processes may share the folder."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is asked for before it is needed."""
        self._home, self.bound, self._offline = settings.home, settings.object_bytes, settings.offline
        self._folder = cache.fetched(settings.home, "")
        self._change = threading.Condition()
        self._stores: dict[tuple[str, str], _Store] = {}
        self._coming = self._kept = 0
        self._added = self.bound  # so that the folder is looked through at first
        self._fetching: dict[bytes, tuple[threading.Lock, int]] = {}

    def list(self, root: bytes) -> Iterator[Stored]:
        """Every object at or below an address, in the order of their names. What only stands for a folder is left out.

        Raises:
            ObjectsAway: the storage does not answer, or refuses us.
            InputError: it cannot be asked.
        """
        store, key, base = self._at(root)
        if key:
            with contextlib.suppress(_Gone):
                yield _stored(root, *store.look(key))
                return
        for name, size, mtime_ns, tag in store.list(f"{key}/" if key else ""):
            if not name.endswith("/"):
                yield _stored(base + name.encode("utf-8", "surrogateescape"), size, mtime_ns, tag)

    def is_empty(self, root: bytes) -> bool:
        """Whether nothing lies at or below an address; raises as ``list`` does."""
        with contextlib.closing(self._listing(root)) as found:
            return next(found, None) is None

    def _listing(self, root: bytes) -> Generator[Stored]:
        yield from self.list(root)

    def look(self, path: bytes) -> Stored | None:
        """An object as it is now; None: it is not there. Raises as ``list`` does."""
        store, key, _ = self._at(path)
        with contextlib.suppress(_Gone):
            return _stored(path, *store.look(key))
        next(iter(store.list(key)), None)  # it tells whether the bucket is there
        return None

    def head(self, stored: Stored, length: int) -> bytes:
        """The first bytes of an object.

        Raises:
            MediaError: ``vanished``, it is not there or another one.
            ObjectsAway: its storage cannot be reached.
        """
        store, key, _ = self._at(stored.path)
        try:
            return b"".join(self._content(store, key, stored, length))
        except _Gone:
            raise MediaError("vanished", "It is not what was scanned.") from None

    def fetch(self, stored: Stored) -> bytes:
        """Fetch an object, unless it changes meanwhile. Returns the SHA-256 of its bytes; raises as ``head`` does, and DiskFull."""
        digest, descriptor = self._fetch(stored)
        os.close(descriptor)
        return digest

    def open(self, path: bytes, digest: bytes, size: int) -> int:
        """A descriptor of the bytes with this digest, which lay at this address when it was scanned.

        Raises:
            MediaError: ``vanished``, others lie there now.
            ObjectsAway, DiskFull: it must be fetched, and cannot.
        """
        with self._once(digest):
            with contextlib.suppress(OSError):
                descriptor = os.open(cache.fetched(self._home, digest.hex()), FLAGS)
                if os.fstat(descriptor).st_size == size:
                    with contextlib.suppress(OSError):
                        os.utime(descriptor)
                    return descriptor
                os.close(descriptor)
            stored = self.look(path)
            if stored is not None and stored.size == size:
                found, descriptor = self._fetch(stored)
                if found == digest:
                    return descriptor
                os.close(descriptor)
            raise MediaError("vanished", "It is not what was scanned.")

    @contextmanager
    def held(self, path: bytes, digest: bytes, size: int) -> Iterator[Held]:
        """The same, to be decoded."""
        descriptor = self.open(path, digest, size)
        try:
            yield Held(Path(os.fsdecode(path)), descriptor)
        finally:
            os.close(descriptor)

    def _fetch(self, stored: Stored) -> tuple[bytes, int]:
        store, key, _ = self._at(stored.path)
        part = self._folder / f".{os.getpid()}.{threading.get_ident()}"
        with self._room(stored.size):
            try:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
                try:
                    with os.fdopen(os.dup(descriptor), "wb") as file:
                        digest = self._copy(store, key, stored, file)
                    os.fsync(descriptor)  # a power cut may leave a name, a size and no content
                    part.replace(cache.fetched(self._home, digest.hex()))
                except BaseException:
                    os.close(descriptor)
                    part.unlink(missing_ok=True)
                    raise
            except OSError as error:
                if disk.full(error):
                    raise DiskFull(
                        "There is no room for what is fetched.", remedy="Free some space, or lower object_bytes."
                    ) from error
                raise ObjectsAway(f"What is fetched cannot be kept in {self._folder}: {error.strerror}.", remedy=_SAFE) from error
            with self._change:
                self._kept += stored.size
            return digest, descriptor

    def _copy(self, store: _Store, key: str, stored: Stored, file: BinaryIO) -> bytes:
        told = hashlib.sha256()
        try:
            for chunk in self._content(store, key, stored):
                told.update(chunk)
                file.write(chunk)
        except _Gone:
            raise MediaError("vanished", "It is not what was scanned.") from None
        return told.digest()

    def _content(self, store: _Store, key: str, stored: Stored, length: int = 0) -> Iterator[bytes]:
        """The bytes of an object, which stays the same, or the first ``length`` of them. Where they break off, they go on from
        there.

        Raises:
            _Gone: it is another one by now.
        """
        at, tag, end = 0, "", min(length or stored.size, stored.size)
        for pause in _pauses():
            size, tag, chunks = store.read(key, at, length and end - at, tag)
            if (size, _number(tag)) != (stored.size, stored.tag):
                raise _Gone
            with contextlib.suppress(_Broken):
                for chunk in chunks:
                    at += len(chunk)
                    yield chunk
            if at >= end:
                return
            time.sleep(pause)
        raise ObjectsAway(f"{os.fsdecode(stored.path)} breaks off again and again.", remedy=_SAFE)

    def _at(self, path: bytes) -> tuple[_Store, str, bytes]:
        """The store of an address, the key in it, and the address up to the key."""
        scheme, _, rest = os.fsdecode(path).partition("://")
        bucket, _, key = rest.partition("/")
        if self._offline:
            raise InputError(
                f"{scheme}://{bucket} is not asked for anything: the setting offline is on.",
                remedy="Take SENSORIUM_OFFLINE away, or index a folder.",
            )
        if scheme == "https" and any(sign in rest for sign in "?#@"):
            raise InputError("An address with ?, # or @ may hold a key, and it would be stored.", remedy="Use one without.")
        with self._change:
            if (scheme, bucket) not in self._stores:
                self._stores[scheme, bucket] = S3Bucket(bucket) if scheme == "s3" else FsspecBucket(scheme, bucket)
            return self._stores[scheme, bucket], key, os.fsencode(f"{scheme}://{bucket}/")

    @contextmanager
    def _room(self, size: int) -> Iterator[None]:
        """Wait until an object of this size has room beside those that are being fetched, and make it."""
        with self._change:
            self._change.wait_for(lambda: not self._coming or self._coming + size <= self.bound)
            self._coming += size
            self._added += size
            if self._kept + self._coming > self.bound or self._added >= self.bound // _LOOK_SHARE:
                self._sweep()
        try:
            yield
        finally:
            with self._change:
                self._coming -= size
                self._change.notify_all()

    def _sweep(self) -> None:
        """Look what the folder holds, and remove what was used longest ago if it is too much."""
        files: list[tuple[int, int, str]] = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat()
                    if not entry.name.startswith("."):
                        files.append((status.st_mtime_ns, status.st_size, entry.path))
                    elif time.time() - status.st_mtime > _LEFTOVER_SECONDS:
                        os.unlink(entry.path)
        self._kept, self._added = sum(size for _, size, _ in files), 0
        for _, size, path in sorted(files):
            if self._kept + self._coming <= self.bound:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
                self._kept -= size

    @contextmanager
    def _once(self, digest: bytes) -> Iterator[None]:
        """One caller fetches these bytes; the others then find them."""
        with self._change:
            lock, waiting = self._fetching.get(digest, (threading.Lock(), 0))
            self._fetching[digest] = lock, waiting + 1
        try:
            with lock:
                yield
        finally:
            with self._change:
                lock, waiting = self._fetching.pop(digest)
                if waiting > 1:
                    self._fetching[digest] = lock, waiting - 1


class S3Bucket:
    """A bucket of S3, or of what speaks like it. Credentials, region and endpoint come from where AWS's own tools take them; without
    credentials it is asked as a public one."""

    def __init__(self, bucket: str) -> None:
        """
        Raises:
            InputError: the package is not installed.
        """
        try:
            session: Any = importlib.import_module("botocore.session").get_session()
            config, errors = importlib.import_module("botocore.config"), importlib.import_module("botocore.exceptions")
        except ModuleNotFoundError:
            raise InputError("s3:// needs the package botocore.", remedy="pip install 'sensorium[s3]'") from None
        self._bucket, self._errors = bucket, errors
        self._unsigned = False
        with self._told():
            self._unsigned = session.get_credentials() is None
            unsigned = {"signature_version": importlib.import_module("botocore").UNSIGNED} if self._unsigned else {}
            retries = {"mode": "standard", "total_max_attempts": TRIES}
            settings = config.Config(
                retries=retries, connect_timeout=10, read_timeout=60, max_pool_connections=2 * FETCHES, **unsigned
            )
            self._client: Any = session.create_client("s3", config=settings)

    def list(self, prefix: str) -> Iterator[tuple[str, int, int, str]]:
        """See ``_Store``."""
        with self._told(of_object=False):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
                for one in page.get("Contents", ()):
                    yield one["Key"], one["Size"], _seconds(one["LastModified"]), one["ETag"]

    def look(self, key: str) -> tuple[int, int, str]:
        """See ``_Store``."""
        with self._told():
            found = self._client.head_object(Bucket=self._bucket, Key=key)
            return found["ContentLength"], _seconds(found["LastModified"]), found["ETag"]

    def read(self, key: str, start: int, length: int, tag: str) -> tuple[int, str, Iterator[bytes]]:
        """See ``_Store``."""
        part = {"Range": f"bytes={start}-{start + length - 1 if length else ''}"} if start or length else {}
        with self._told():
            found = self._client.get_object(Bucket=self._bucket, Key=key, **part, **({"IfMatch": tag} if tag else {}))
        size = int(found["ContentRange"].rpartition("/")[2]) if "ContentRange" in found else found["ContentLength"]
        return size, found["ETag"], self._chunks(found["Body"])

    def _chunks(self, content: Any) -> Iterator[bytes]:  # noqa: ANN401 - botocore is not typed
        with contextlib.closing(content) as body:
            try:
                yield from body.iter_chunks(_CHUNK_BYTES)
            except (self._errors.BotoCoreError, OSError):
                raise _Broken from None

    @contextmanager
    def _told(self, *, of_object: bool = True) -> Iterator[None]:
        """Turn the client's errors into ours."""
        try:
            yield
        except self._errors.ClientError as error:
            status, code = error.response["ResponseMetadata"].get("HTTPStatusCode", 0), error.response["Error"].get("Code", "")
        except (self._errors.BotoCoreError, ValueError) as error:
            status, code = 0, type(error).__name__
        else:
            return
        if of_object and status in (404, 412) and code != "NoSuchBucket":
            raise _Gone
        where = f"s3://{self._bucket}"
        if code == "ParamValidationError":
            raise InputError(f"{where} cannot be the name of a bucket.", remedy="Write it like s3://bucket/folder.")
        if code == "NoSuchBucket":
            raise ObjectsAway(f"There is no bucket {where}.", remedy="Check its name, and AWS_ENDPOINT_URL if it is not at AWS.")
        if status in (400, 401, 403) or "Credential" in code or "Token" in code or "Profile" in code:
            has = "no credentials were found" if self._unsigned else "the credentials were found and do not open it"
            raise ObjectsAway(
                f"{where} may not be read: {has}.",
                remedy="Check them with `aws s3 ls`, and whether they may list and get objects.",
            )
        why = f"it answered with status {status}" if status else "it cannot be reached"
        raise ObjectsAway(f"{where} is away: {why}, {TRIES} times.", remedy=_SAFE)


class FsspecBucket:
    """A bucket behind fsspec's file systems, or a file at an address of HTTPS."""

    def __init__(self, scheme: str, bucket: str) -> None:
        """
        Raises:
            InputError: the package for it is not installed.
        """
        self._alone = scheme == "https"
        self._bucket = f"https://{bucket}" if self._alone else bucket
        try:
            self._files: Any = importlib.import_module("fsspec").filesystem(scheme, use_listings_cache=False)
        except ImportError:
            package = _PACKAGES[scheme]
            raise InputError(f"{scheme}:// needs the package {package}.", remedy=f"pip install fsspec {package}") from None
        except Exception:  # noqa: BLE001 - its text may hold credentials
            raise self._away(scheme) from None

    def list(self, prefix: str) -> Iterator[tuple[str, int, int, str]]:
        """See ``_Store``. Of HTTPS there are no lists."""
        folders = [] if self._alone else [prefix]
        while folders:
            folder = folders.pop()
            found = self._asked(partial(self._files.ls, f"{self._bucket}/{folder}".rstrip("/"), detail=True), [])
            for one in sorted(found, key=lambda one: str(one["name"])):
                key = str(one["name"]).lstrip("/").removeprefix(self._bucket).lstrip("/")
                if one["type"] == "directory":
                    folders.append(f"{key}/")
                elif key.startswith(prefix):
                    yield key, *_looks(one)

    def look(self, key: str) -> tuple[int, int, str]:
        """See ``_Store``."""
        found = self._asked(lambda: self._files.info(f"{self._bucket}/{key}"), None)
        if found is None or found["type"] == "directory":
            raise _Gone
        return _looks(found)

    def read(self, key: str, start: int, length: int, tag: str) -> tuple[int, str, Iterator[bytes]]:
        """See ``_Store``. What changes meanwhile is noticed at the end."""
        size, _, now = self.look(key)
        if tag not in ("", now):
            raise _Gone
        return size, now, self._chunks(key, start, start + length if length else size, now)

    def _chunks(self, key: str, start: int, end: int, tag: str) -> Iterator[bytes]:
        try:
            with self._files.open(f"{self._bucket}/{key}", "rb") as file:
                file.seek(start)
                while start < end and (chunk := file.read(min(_CHUNK_BYTES, end - start))):
                    start += len(chunk)
                    yield chunk
        except FileNotFoundError:
            raise _Gone from None
        except Exception:  # noqa: BLE001 - every file system has errors of its own
            raise _Broken from None
        if self.look(key)[2] != tag:
            raise _Gone

    def _asked(self, ask: Callable[[], Any], nothing: Any) -> Any:  # noqa: ANN401
        """What a file system answers; ``nothing`` where nothing is there."""
        for pause in _pauses():
            try:
                return ask()
            except (FileNotFoundError, NotADirectoryError):
                return nothing
            except PermissionError:
                break
            except Exception:  # noqa: BLE001 - every file system has errors of its own; their texts may hold credentials
                time.sleep(pause)
        raise self._away(self._bucket)

    def _away(self, what: str) -> ObjectsAway:
        return ObjectsAway(f"{what} is away, or may not be read.", remedy=f"Check the name and the credentials. {_SAFE}")


def _looks(told: dict[str, Any]) -> tuple[int, int, str]:
    """Size, time (ns) and tag of what a file system tells. Where it tells neither time nor tag, it looks changed each time."""
    when = next((told[key] for key in _TIMES if told.get(key)), None)
    if isinstance(when, str):
        with contextlib.suppress(ValueError):
            when = dt.datetime.fromisoformat(when)
    mtime_ns = _seconds(when) if isinstance(when, dt.datetime) else int(when) * 10**9 if isinstance(when, int | float) else 0
    tag = next((str(told[key]) for key in _TAGS if told.get(key)), "")
    return int(told.get("size") or 0), mtime_ns, tag or str(mtime_ns or time.time_ns())


def _stored(path: bytes, size: int, mtime_ns: int, tag: str) -> Stored:
    return Stored(path, size, mtime_ns, _number(tag))


def _number(tag: str) -> int:
    return int.from_bytes(hashlib.sha256(tag.strip('"').encode()).digest()[:8], "big") & _BITS


def _seconds(when: dt.datetime) -> int:
    """A time in whole seconds, as nanoseconds: lists and answers tell it with different precision."""
    return int(when.timestamp()) * 10**9


def _pauses() -> Iterator[float]:
    return (min(0.2 * 2**turn, 20.0) for turn in range(TRIES))


_SAFE = "What was committed is safe: run the same command again once it is back."
