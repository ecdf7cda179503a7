"""The log: lines on standard error, as text or as JSON, each with time, level and, during a request, the request's id."""

from __future__ import annotations

import datetime
import json
import logging
from contextvars import ContextVar

LEVELS = ("debug", "info", "warning", "error")

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is being answered; empty outside of one."""

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
"""Control characters -> their escaped form, so that a file name cannot start a new line or control a terminal."""


class _Line(logging.Formatter):
    """``TIME LEVEL LOGGER MESSAGE [REQUEST]``, with a traceback below it where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        request = request_id.get()
        line = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}".translate(_CONTROL)
        line += f" [{request}]" if request else ""
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _Json(logging.Formatter):
    """One JSON object per line: time, level, logger, message; and request, traceback and extra fields of the record, if any."""

    def format(self, record: logging.LogRecord) -> str:
        told = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        told |= {"request": request_id.get()} if request_id.get() else {}
        told |= getattr(record, "told", {})
        told |= {"traceback": self.formatException(record.exc_info)} if record.exc_info else {}
        return json.dumps(told, default=str)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def set_up(level: str, *, as_json: bool) -> None:
    """Send the log of this process to standard error: our own lines from ``level`` on, those of libraries from ``warning`` on."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if as_json else _Line())
    logging.basicConfig(level=max(level_of(level), logging.WARNING), handlers=[handler], force=True)
    for ours in ("search", "indexer", "ui"):
        logging.getLogger(ours).setLevel(level_of(level))


def level_of(name: str) -> int:
    """A level of ``logging`` by its name, one of ``LEVELS``."""
    return int(getattr(logging, name.upper()))
