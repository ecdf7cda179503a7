"""What is there before anything is asked: how much the archive holds, and what is new. An empty one says how to fill it."""

from __future__ import annotations

from ui import phrasing
from ui.page import frame, library, look
from ui.page.state import State


def show(state: State) -> None:
    """Draw the page as it is before a question."""
    status = frame.client().status()
    if not status.assets:
        library.welcome(status)
        return
    if status.job:
        library.watched()
    held = ", ".join(phrasing.count(status.assets[one], noun) for one, noun in phrasing.MEDIA.items() if status.assets.get(one))
    later = " · The other filters count once you search" if set(state.filter()) - {"collections"} or state.channels else ""
    look.newest(state, summary=f"{held} · Newest first{later}")
