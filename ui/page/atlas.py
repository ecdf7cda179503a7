"""The map of the archive: what is alike lies near each other. The browser reads it from the API, and sends what it leads to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ui.page import frame, look
from ui.page.components import chart
from ui.page.state import State


def show() -> None:
    """Draw the map."""
    chart({}, sent)


def sent(told: Mapping[str, Any]) -> None:
    """What the map sends: a file to open, some to ask with, or the mark of those to show."""
    if told.get("kind") == "shown":
        frame.recount()
        look.forget()
        frame.go(State.of({"fields": [["mark", str(told.get("value", ""))]]}))
    else:
        look.sent({**told})
