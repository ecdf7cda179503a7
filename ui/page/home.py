"""What is there before anything is asked: how much the archive holds, and what is new. An empty one says how to fill it."""

from __future__ import annotations

from ui import words
from ui.page import frame, library, look

NEWEST = 48


def show() -> None:
    """Draw the page as it is before a question."""
    status = frame.client().status()
    if not status.assets:
        library.welcome(status)
        return
    held = ", ".join(words.count(status.assets[one], noun) for one, noun in words.MEDIA.items() if status.assets.get(one))
    look.newest(NEWEST, summary=f"{held} · Newest first")
