"""An archive made by the real program in a process of its own, read from its database and its service."""

from __future__ import annotations

import io
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.bench.report import ROOT
from tests.bench.truth.recorder import FOLDER, recorded


@dataclass(frozen=True, slots=True)
class Part:
    """A segment: its channel, its time in milliseconds if it has one, and the content that was embedded or the text."""

    channel: str
    start: int | None
    end: int | None
    text: str | None
    content: np.ndarray | None


@dataclass(frozen=True, slots=True)
class Asset:
    """What is known of a file; ``gaps`` are (reason, detail, start, end) of the ledger."""

    id: int
    modality: str | None
    width: int | None
    height: int | None
    duration_ms: int | None
    parts: Sequence[Part]
    gaps: Sequence[tuple[str, str, int | None, int | None]]
    first_stamp_ms: int | None = None

    def of(self, channel: str) -> list[Part]:
        """Its segments of a channel."""
        return [part for part in self.parts if part.channel == channel]


class Archive:
    """An archive under ``home``. ``space``: the family of encoders that fills it."""

    def __init__(self, home: Path, space: str = "truth", **settings: object) -> None:
        self.home, self._space = home, space
        self._record = home.with_name(home.name + "-content")
        self._record.mkdir(parents=True, exist_ok=True)
        self._settings = {f"SENSORIUM_{name.upper()}": str(value) for name, value in settings.items()}

    def run(self, *arguments: object, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """A command of Sensorium."""
        return subprocess.run(
            self._command(arguments),
            env=self._environment(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def asset(self, path: Path) -> Asset | None:
        """What is known of a file; None: it was never taken in."""
        with closing(sqlite3.connect(f"file:{self.home / 'sensorium.db'}?mode=ro", uri=True)) as database:
            gaps = database.execute(
                "SELECT reason, detail, start_ms, end_ms FROM ledger WHERE path = ?", (os.fsencode(path),)
            ).fetchall()
            row = database.execute(
                "SELECT asset.id, modality, width, height, duration_ms, first_stamp_ms FROM asset JOIN location ON location.asset_id = asset.id WHERE path = ?",
                (os.fsencode(path),),
            ).fetchone()
            if row is None:
                return Asset(0, None, None, None, None, (), gaps) if gaps else None
            own = database.execute("SELECT reason, detail, start_ms, end_ms FROM ledger WHERE asset_id = ?", (row[0],)).fetchall()
            parts = database.execute(
                "SELECT channel, unit, start, end, text, vector FROM segment LEFT JOIN embedding ON segment_id = segment.id "
                "WHERE segment.asset_id = ? ORDER BY start, segment.id", (row[0],),
            ).fetchall()  # fmt: skip
        found = [
            Part(channel, start if unit == "ms" else None, end if unit == "ms" else None, text, self._content(channel, vector))
            for channel, unit, start, end, text, vector in parts
        ]
        return Asset(*row[:5], found, list(dict.fromkeys([*gaps, *own])), row[5])

    def count(self) -> dict[str, int]:
        """How many files there are by name."""
        with closing(sqlite3.connect(f"file:{self.home / 'sensorium.db'}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT path, state FROM location").fetchall()
        return {os.fsdecode(path): state for path, state in rows}

    @contextmanager
    def serving(self) -> Iterator[str]:
        """The address of its service."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with (self.home / "serve.log").open("w") as log:
            process = subprocess.Popen(
                self._command(("serve", "--no-page", "--no-token", "--port", port)),
                env=self._environment(),
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        address = f"http://127.0.0.1:{port}"
        try:
            while True:
                try:
                    urllib.request.urlopen(f"{address}/readyz").close()
                    break
                except OSError:
                    if process.poll() is not None:
                        raise RuntimeError((self.home / "serve.log").read_text()) from None
                    time.sleep(0.2)
            yield address
        finally:
            process.terminate()
            process.wait()

    def _content(self, channel: str, vector: bytes | None) -> np.ndarray | None:
        return recorded(vector, self._record) if vector and self._space == "truth" and channel in ("visual", "sound") else None

    def _command(self, arguments: Sequence[object]) -> list[str]:
        return [sys.executable, "-m", "tests.bench.truth.recorder", *map(str, arguments)]

    def _environment(self) -> dict[str, str]:
        own = {
            "SENSORIUM_HOME": str(self.home),
            "SENSORIUM_SPACE": self._space,
            FOLDER: str(self._record),
            "TZ": "UTC",
            "SENSORIUM_DEVICE": "cpu",
        }
        return os.environ | own | self._settings


def fetch(address: str) -> bytes:
    """What a service answers.

    Raises:
        OSError: it answers with an error.
    """
    with urllib.request.urlopen(address) as answer:
        return answer.read()


def found(address: str, question: str, count: int = 10, **options: object) -> list[dict]:
    """The hits of a search at a service; none where it refuses the question."""
    body = json.dumps({"query": [{"text": question}], "k": count, **options}).encode()
    request = urllib.request.Request(f"{address}/v1/search", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return list(json.loads(answer.read())["hits"])
    except urllib.error.HTTPError:
        return []


def picture(address: str) -> np.ndarray:
    """A picture of a service, (H, W, 3) uint8; raises OSError."""
    return np.asarray(Image.open(io.BytesIO(fetch(address))).convert("RGB"))


@contextmanager
def read(place: Path, space: str = "truth") -> Iterator[tuple[Archive, str]]:
    """An archive of the media in a folder, with what is written in them, and the address of its service."""
    archive = Archive(place / "home", space, show_paths="*")
    archive.run("index", place / "media")
    archive.run("readers", "add", "written")
    with archive.serving() as address:
        yield archive, address
