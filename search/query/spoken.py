"""Spoken questions: the words said in a recording become the query."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from typing import cast

from search import readers
from search.errors import InputError, MediaError, QueryError
from search.media import DecodePool
from search.models import Models
from search.readers import Reader
from search.settings import Settings
from search.store import Readers
from search.types import Channel, Cut, Gap, Info, Modality, Passage


def hears(store: Readers) -> str | None:
    """The name of the archive's reader for spoken questions: the speech reader that was added first. None without one."""
    names = (
        entry.name
        for entry in store.all()
        if Channel.SPEECH in entry.channels and Modality.AUDIO in entry.modalities and entry.name != "written"
    )
    return next(names, None)


class Listener:
    """Transcribes spoken questions with the archive's speech reader, which is loaded on first use. Thread-safe."""

    def __init__(self, settings: Settings, store: Readers) -> None:
        self._settings, self._store = settings, store
        self._lock = threading.Lock()
        self._reader: Reader | None = None

    def hear(self, path: Path, name: str = "") -> str:
        """Transcribe a recording, which errors call ``name``. Empty if nothing is said.

        Raises:
            InputError: the archive has no reader of speech.
            QueryError: the recording cannot be read.
            ModelMissing: the reader's model is not here.
        """
        reader = self._load()
        try:
            with DecodePool(self._settings, 1) as pool, closing(pool.decode(path, reader.needs)) as replies:
                info = cast("Info", next(replies))  # the first reply is always the Info; the pool ensures it
                cuts = (one for one in replies if isinstance(one, Cut | Gap))
                said = [one for one in reader.read(info, cuts) if isinstance(one, Passage) and not one.translated]
        except MediaError as error:
            raise QueryError(f"The recording {name or path} cannot be heard: {error}", remedy=error.remedy) from error
        return " ".join(one.text.strip() for one in said)

    def _load(self) -> Reader:
        with self._lock:
            if self._reader is None:
                name = hears(self._store)
                if name is None:
                    raise InputError("The archive has no reader of speech.", remedy="Add one: sensorium readers add speech:base")
                self._reader = readers.load(name, Models.of(self._settings), self._settings.device)
            return self._reader
