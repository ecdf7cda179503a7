"""What is there before anything is asked: how much the archive holds, and what is new. An empty one says how to fill it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from search.api.schemas import Status
from ui.page import frame, library, look, words
from ui.page.components import grid

NEWEST = 48


def show() -> None:
    """Draw the page as it is before a question."""
    status = frame.client().status()
    if status.assets:
        grid(_newest(status), look.sent, key="newest")
    else:
        library.welcome(status)


def _newest(status: Status) -> dict[str, Any]:
    entries = frame.client().assets(limit=NEWEST).assets
    held = ", ".join(words.count(status.assets[one], words.MEDIA[one]) for one in words.MEDIA if status.assets.get(one))
    return {
        "cards": [look.new_card(entry) for entry in entries], "more": False, "sure": 0, "marked": None,
        "summary": f"{held}. The newest:",
    }  # fmt: skip
