"""Every error that Sensorium raises on purpose. Each says which, why, and what to do.

SensoriumError
├── InputError            the caller asked for something that cannot be: exit code 2
│   ├── QueryError        no terms, terms that cancel out, an unknown segment
│   └── UnknownName       a space, model, modality, channel or collection that is not there; lists those that are
├── MediaError            a file that cannot be read as media; ``reason`` is a word of the ledger
├── ModelMissing          weights that are not here and cannot be fetched: exit code 5
├── ReaderHangs           a reader that gives no sign of life any more; the next run goes on behind the file that it hangs on
├── ExportRefused         an export of a model that finds less than the original
├── StoreError            the database
│   ├── NewerDatabase     was written by a newer Sensorium
│   └── DatabaseAway      cannot be reached at the moment: what failed may be tried again from its start
├── ClusterAway           the Ray cluster cannot be reached at the moment, or has no room for workers
├── VectorsAway           the server that keeps vectors beside the database cannot be reached at the moment
├── ObjectsAway           object storage cannot be reached at the moment, or refuses us
├── DiskFull              no room to write
├── IndexDamaged          a generation on disk that is not what its manifest says; it is rebuilt from SQL
├── Problem               what the service answers instead of what was asked for: an HTTP status, a kind, a title
└── ServiceError          what the client raises
    ├── ServiceAway       nobody answers
    ├── ServiceLoading    503: it is there, but not ready; ask again after ``retry_after`` seconds
    ├── Refused           4xx: the request cannot be, as it is or at the moment; ``kind`` says which problem
    └── ServiceFailed     anything else: the service's own fault
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class SensoriumError(Exception):
    """Base of all errors. ``remedy`` says what to do. The command line prints it below the message and exits with ``exit_code``."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class InputError(SensoriumError):
    """The caller asked for something impossible."""

    exit_code = 2


class QueryError(InputError):
    """A query without meaning: no terms, terms that cancel out, a segment that does not exist."""


class UnknownName(InputError):
    """A name that is not in its registry. Lists similar names, or else all known ones."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3)
        remedy = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(names) or 'none yet'}."
        super().__init__(f"There is no {what} named {name!r}.", remedy=remedy)


class MediaError(SensoriumError):
    """A file that cannot be read as media. ``reason`` is one of ``REASONS``; ``str()`` gives the detail."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail, remedy=REASONS[reason])
        self.reason = reason


class ModelMissing(SensoriumError):
    """Weights that are not installed and cannot be fetched."""

    exit_code = 5


class ReaderHangs(SensoriumError):
    """A reader that no longer gives a sign of life. The file on which it hangs is in the ledger, so that the next run continues
    after it."""


class StillLoading(SensoriumError):
    """A model that is being loaded; try again soon."""


class ExportRefused(SensoriumError):
    """An export that does not find what the original finds. ``report`` is the encoders' report with the figures."""

    def __init__(self, message: str, *, remedy: str, report: Any) -> None:  # noqa: ANN401 - errors know no encoders
        super().__init__(message, remedy=remedy)
        self.report = report


class StoreError(SensoriumError):
    """The database cannot be used as it is."""


class NewerDatabase(StoreError):
    """The database was written by a newer Sensorium than this one."""


class DatabaseAway(StoreError):
    """The database cannot be reached, or broke the connection. If a transaction was interrupted, it is not known whether it was
    committed."""


class VectorsAway(SensoriumError):
    """The server that keeps vectors beside the database cannot be reached. SQL holds everything that it holds."""


class ClusterAway(SensoriumError):
    """The Ray cluster cannot be reached, or lets no worker start. What was committed is safe; the next run continues."""


class ObjectsAway(SensoriumError):
    """Object storage cannot be reached, or refuses us. What was committed is safe; the next run continues."""


class DiskFull(SensoriumError):
    """There is no room to write; what was acknowledged is safe."""


class IndexDamaged(SensoriumError):
    """A generation on disk is not what its manifest says. SQL holds the truth: it is rebuilt from there."""


class Problem(SensoriumError):
    """An error answer of the service (RFC 9457). ``kind`` is the last part of its type."""

    def __init__(self, status: int, kind: str, title: str, detail: str, *, remedy: str = "", **headers: str) -> None:
        super().__init__(detail, remedy=remedy)
        self.status, self.kind, self.title = status, kind, title
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class ServiceError(SensoriumError):
    """The service did not do what was asked. ``status`` is HTTP's, 0 if there was no answer; ``problem`` is the whole answer."""

    def __init__(self, message: str, *, remedy: str = "", status: int = 0, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.problem: Mapping[str, Any] = problem or {}

    @property
    def kind(self) -> str:
        """The kind of the problem: the last part of its type, such as ``empty-archive``."""
        return str(self.problem.get("type", "")).rpartition("/")[2]


class ServiceAway(ServiceError):
    """There is no answer at the service's address."""


class ServiceLoading(ServiceError):
    """The service is not ready yet; try again after ``retry_after`` seconds."""

    retry_after = 1.0


class Refused(ServiceError):
    """The request is invalid, or not possible at the moment."""


class ServiceFailed(ServiceError):
    """The service failed through its own fault."""


REASONS = {
    "empty": "The file has no bytes. Copy it again from where it came from.",
    "unreadable": "Check the permissions of the file and of its folders, then index again.",
    "vanished": "The file went away or changed while it was read. Index again.",
    "unsupported": "Sensorium does not read this format. Convert it to a common one (JPEG, PNG, MP4, WAV, TXT, PDF).",
    "undecodable": "The file is damaged or is not what its name says. Open it in another program; replace it if that fails too.",
    "truncated": "The end of the file is missing. What could be read is indexed; copy the file again for the rest.",
    "not_text": "The file is named like a text but holds binary data. Rename it after what it is.",
    "too_large": "The file exceeds a limit. Make a smaller copy, or raise the limit that the message names.",
    "too_slow": "Decoding took longer than its limit. Try the file alone; convert it if it stays slow.",
    "killed": "The decoder crashed on this file or ran out of memory. It was not tried more than three times.",
    "no_content": "The file holds nothing that can be searched: no picture, no sound, no words.",
    "not_sampled": "Part of the file could not be decoded, and so cannot be found.",
    "credentials": "Its content credentials were not checked, so its origin may be unknown.",
    "not_read": "Part of it could not be read, so its words cannot be found.",
    "colours": "The picture is indexed; its colours may be a little off, for what the file says of them cannot be used. Convert it to sRGB.",
    "no_sound": "The sound track could not be decoded. The pictures are indexed.",
    "no_picture": "The pictures could not be decoded. The sound is indexed.",
    "reader": "The reader failed on this file. What else is known of it can be found. Run `sensorium retry` to try it again.",
    "encoder": "The model failed on this file. Run `sensorium doctor`, then `sensorium index --retry`.",
}
"""The words of the ledger, each with its remedy."""

PARTLY = frozenset({"truncated", "not_sampled", "not_read", "colours", "credentials", "no_sound", "no_picture", "reader"})
"""Those that leave a file in the archive: the rest of it can be found."""
