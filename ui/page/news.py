"""What has come to standing questions since somebody last looked: which question, how many finds, and a link that opens them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from search.api.schemas import SavedQuestionNews
from search.errors import ServiceError
from ui import phrasing
from ui.page import frame, look
from ui.page.components import notice
from ui.page.state import State

_MOST = 8
"""Standing questions that are looked at."""


def show() -> None:
    """Draw a line for each standing question that has new finds."""
    rows = [
        {
            "name": one.name, "count": phrasing.count(len(one.segments), "new find"), "until": one.until,
            "href": State(text=f"={one.form}", after=one.seen_until).href(),
        }
        for one in _news(frame.token())
        if one.segments
    ]  # fmt: skip
    if rows:
        notice({"rows": rows}, _sent)


@st.cache_data(ttl=20, max_entries=100, show_spinner=False)
def _news(of: str) -> list[SavedQuestionNews]:  # noqa: ARG001 - of each token its own
    """What is new; nothing for who may not see saved questions, or while they cannot be asked."""
    client = frame.client()
    try:
        told = client.saved()
        standing = [one for one in told.questions if one.false_alarms is not None and one.seen_until < told.last_segment]
        return [client.saved_new(one.name) for one in standing[:_MOST]]
    except ServiceError:
        return []


def _sent(told: Mapping[str, Any]) -> None:
    if told.get("kind") == "go":
        frame.go(State.link(str(told.get("to", ""))))
    elif told.get("kind") == "seen" and isinstance(told.get("until"), int):
        try:
            frame.client().seen(str(told.get("name")), told["until"])
        except ServiceError as error:
            st.toast(phrasing.plain(f"{error} {error.remedy}"))
        _news.clear()
        look.forget()
