"""Imagined pictures: made in the background, one question at a time, kept as uploads that expire, and never in the archive."""

from __future__ import annotations

import base64
import io
import logging
import secrets
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastapi import APIRouter, Response

from search.api import schemas as s
from search.api.lazy_models import LazyModel
from search.api.problems import not_found
from search.api.uploads import Uploads
from search.errors import Problem, SensoriumError
from search.ondemand import imagine
from search.ondemand.imagine import ImaginingStopped, Wish
from search.types import Modality

if TYPE_CHECKING:  # torch takes seconds to import
    from search.ondemand.diffusion import Imaginer

MAX_KEPT, MAX_WAITING = 100, 8
"""Questions of which the pictures are remembered, and those that wait for the model."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class ImaginingJob:
    """What is being imagined for one question."""

    id: str
    wish: Wish
    state: s.ImaginingState = "waiting"
    progress: float = 0.0
    checked: bool | None = None
    trouble: str | None = None
    pictures: list[tuple[int, str, bool]] = field(default_factory=list)
    """Of each its seed, its upload, and whether the model held it back."""
    stop: threading.Event = field(default_factory=threading.Event)


class Imaginings:
    """The questions of which pictures are imagined. Thread-safe."""

    def __init__(self, model: LazyModel[Imaginer], uploads: Uploads, name: str) -> None:
        """``name`` is the model's as callers see it; empty: none is set."""
        self.name = name
        self._model, self._uploads = model, uploads
        self._jobs: OrderedDict[str, ImaginingJob] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, wish: Wish) -> ImaginingJob:
        """Begin to imagine.

        Raises:
            Problem: too many wait already (429).
        """
        with self._lock:
            if sum(one.state in ("waiting", "running") for one in self._jobs.values()) >= MAX_WAITING:
                raise Problem(
                    429, "busy", "Too much is being imagined", f"{MAX_WAITING} questions wait for the model.",
                    remedy="Try again in a minute, or stop one of yours.", retry_after="60",
                )  # fmt: skip
            job = ImaginingJob(secrets.token_hex(16), wish)
            self._jobs[job.id] = job
            while len(self._jobs) > MAX_KEPT:
                self._jobs.popitem(last=False)[1].stop.set()
        threading.Thread(target=self._run, args=(job,), name="imagine", daemon=True).start()
        return job

    def find(self, id_: str) -> ImaginingJob:
        """A question by its id.

        Raises:
            Problem: there is none (404).
        """
        with self._lock:
            if job := self._jobs.get(id_):
                return job
        raise not_found("imagining", id_)

    def stop(self, id_: str) -> None:
        """Stop to imagine, and forget what was made; raises as ``find`` does."""
        job = self.find(id_)
        job.stop.set()
        with self._lock:
            self._jobs.pop(id_, None)
        for _, upload, _ in job.pictures:
            with suppress(Problem):  # it has expired
                self._uploads.delete(upload)

    def pictures(self, job: ImaginingJob) -> list[s.ImaginedPicture]:
        """The pictures that are made and have not expired."""
        found = []
        for seed, upload, held_back in job.pictures:
            with suppress(Problem, OSError):
                shown = base64.b64encode(self._uploads.find(upload).path.read_bytes()).decode()
                found.append(
                    s.ImaginedPicture(seed=seed, upload=upload, png=f"data:image/png;base64,{shown}", held_back=held_back)
                )
        return found

    def close(self) -> None:
        """Stop all of them."""
        with self._lock:
            for job in self._jobs.values():
                job.stop.set()

    def _loaded(self, job: ImaginingJob) -> Imaginer:
        """The model, however long it takes to load."""
        while not job.stop.is_set():
            try:
                return self._model.get()
            except Problem as problem:
                if problem.status != 503:
                    raise
        raise ImaginingStopped

    def _run(self, job: ImaginingJob) -> None:
        def report(number: int, done: float) -> None:
            if job.stop.is_set():
                raise ImaginingStopped
            job.progress = (number + done) / len(job.wish.seeds)

        try:
            model = self._loaded(job)
            with self._model.turn:
                report(0, 0.0)
                job.state, job.checked = "running", model.checked
                for one in model.imagine(job.wish, report):
                    made = io.BytesIO()
                    one.picture.save(made, "PNG")
                    kept = self._uploads.add(made.getvalue(), Modality.IMAGE, ".png")
                    job.pictures.append((one.seed, kept.id, one.held_back))
            job.state, job.progress = "done", 1.0
        except ImaginingStopped:
            job.state = "stopped"
        except SensoriumError as error:
            job.state, job.trouble = "failed", f"{error} {error.remedy or ''}".strip()
        except Exception as error:  # noqa: BLE001 - whatever a model raises, the rest of the service stays up and says so
            _log.exception("A picture could not be imagined")
            job.state, job.trouble = "failed", f"The model failed: {type(error).__name__}."


def router(imaginings: Imaginings) -> APIRouter:
    """The routes of imagined pictures."""
    routes = APIRouter(tags=["written"])

    def told(job: ImaginingJob) -> s.Imagining:
        return s.Imagining(
            id=job.id, state=job.state, progress=job.progress, text=job.wish.text, seeds=list(job.wish.seeds),
            imagined_by=imaginings.name, checked=job.checked, trouble=job.trouble, pictures=imaginings.pictures(job),
        )  # fmt: skip

    @routes.post("/imaginings", operation_id="imagine", summary="Imagine pictures of words", status_code=202)
    def begin(asked: s.ImagineRequest) -> s.Imagining:
        """A model begins to make pictures of a text, to choose among and to search with, as `imagined` of a search. They are its own
        invention, expire like uploads, and are never taken into the archive."""
        if not imaginings.name:
            raise Problem(409, "no-imaginer", "No model imagines", imagine.NONE, remedy=imagine.HOW)
        return told(imaginings.begin(Wish.of(asked.text, asked.count, asked.seeds, asked.steps, asked.side)))

    @routes.get("/imaginings/{id}", operation_id="imagining", summary="What is imagined")
    def look(id: s.ImaginingId) -> s.Imagining:  # noqa: A002 - the name in the address
        """How far it is, and the pictures that are made: uploads, each with its seed."""
        return told(imaginings.find(id))

    @routes.delete(
        "/imaginings/{id}", operation_id="stop_imagining", summary="Stop to imagine", status_code=204, response_class=Response
    )
    def stop(id: s.ImaginingId) -> None:  # noqa: A002
        """A picture that was begun is thrown away, and those that were made are removed."""
        imaginings.stop(id)

    return routes
