"""A client of DRES 2, the server of contests in searching video (Rossetto et al. 2021): log in, see what runs, submit a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx2

from search.errors import InputError, SensoriumError

SECONDS = 15.0
"""The timeout of a request."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A contest on the server. ``status`` is CREATED, ACTIVE or TERMINATED."""

    id: str
    name: str
    status: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """What the server said of a submission: ``verdict`` is CORRECT, WRONG, INDETERMINATE or UNDECIDABLE."""

    verdict: str
    description: str


class Contest:
    """A session of one user. Leaving it logs out."""

    def __init__(self, address: str, user: str, password: str, *, transport: httpx2.BaseTransport | None = None) -> None:
        """``transport`` replaces the network.

        Raises:
            InputError: the address is none, or the server knows no such user with this password.
            SensoriumError: the server does not answer as DRES does.
        """
        if not address.startswith(("https://", "http://")):
            raise InputError(f"{address} is no address of a server.", remedy="It begins with https:// or http://.")
        self._http = httpx2.Client(base_url=address.rstrip("/"), timeout=SECONDS, transport=transport)
        try:
            self._session = str(self._asked("POST", "/login", {"username": user, "password": password})["sessionId"])
        except BaseException:
            self._http.close()
            raise

    def evaluations(self) -> list[Evaluation]:
        """The contests that this user takes part in."""
        told = self._asked("GET", "/client/evaluation/list")
        return [Evaluation(str(one["id"]), str(one["name"]), str(one.get("status", ""))) for one in told]

    def running(self, name: str = "") -> Evaluation:
        """The contest of a name or an id, or else the only one that runs. Raises InputError where that is none or several."""
        known = self.evaluations()
        found = [one for one in known if (name in (one.id, one.name) if name else one.status == "ACTIVE")]
        if len(found) == 1:
            return found[0]
        names = ", ".join(f"{one.name} ({one.status.lower()})" for one in known) or "none"
        raise InputError(
            f"There is no contest {name}." if name else f"{len(found)} contests run.",
            remedy=f"Name one with --evaluation. There are: {names}.",
        )

    def submit(
        self, evaluation: str, item: str = "", *, start_ms: int | None = None, end_ms: int | None = None, text: str = "", task: str = "", collection: str = "",
    ) -> Submitted:  # fmt: skip
        """Submit an item, or a stretch of it in milliseconds, or a text, to the task that runs or to a named one."""
        given = {"mediaItemName": item, "mediaItemCollectionName": collection, "start": start_ms, "end": end_ms, "text": text}
        answer = {name: value for name, value in given.items() if value not in ("", None)}
        body = {"answerSets": [{**({"taskName": task} if task else {}), "answers": [answer]}]}
        told = self._asked("POST", f"/submit/{evaluation}", body)
        return Submitted(str(told.get("submission", "INDETERMINATE")), str(told.get("description", "")))

    def _asked(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        session = {} if path == "/login" else {"session": self._session}
        try:
            response = self._http.request(method, f"/api/v2{path}", params=session, json=body)
        except httpx2.TransportError as error:
            raise SensoriumError("The contest's server does not answer.", remedy="Look at its address, and try again.") from error
        try:
            told = response.json()
        except ValueError:
            told = None
        why = str(told.get("description", "")) if isinstance(told, dict) else ""
        if response.status_code == 401:
            raise InputError(
                f"The contest's server lets you not in: {why or 'unknown user or password'}.",
                remedy="Look at the user and the password.",
            )
        if not response.is_success or told is None:
            raise SensoriumError(
                f"The contest's server answered {response.status_code}. {why}".strip(),
                remedy="Is a task running, and is this the right contest?",
            )
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        try:
            self._http.get("/api/v2/logout", params={"session": self._session})
        except httpx2.TransportError:
            pass  # the session ends by itself
        finally:
            self._http.close()
