"""Ask: the box, the pieces of the question, what to look for, and the filters."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

import streamlit as st

from search.errors import ServiceError
from ui.page import frame, look
from ui.page.components import bar
from ui.page.state import FIRST_HITS, State


def show(state: State) -> None:
    """Draw the bar that everything starts from."""
    data = {
        "state": asdict(state), "known": asdict(frame.known()), "here": state.href(opened=None), "asks": state.asks, "alone": state.alone,
        "pictures": _pictures(state), "library": State(view="library").href(), "case": State(view="case").href(), "map": State(view="map").href(),
    }  # fmt: skip
    with st.container(key="top"):
        bar(data, sent)


def sent(told: Mapping[str, Any]) -> None:
    """What the bar and the rail send: a question, a link to follow, or a wish to see all again."""
    look.forget()
    if told.get("kind") == "ask":
        asked, before = (
            State.of(told.get("state", {})),
            State.read({name: st.query_params.get_all(name) for name in st.query_params}),
        )
        same = (asked.text, asked.pieces) == (before.text, before.pieces)
        frame.go(
            replace(
                asked,
                view="search",
                opened=None,
                count=FIRST_HITS,
                preferred=before.preferred if same else (),
                plan=asked.plan and same,
                skip=asked.skip if same else (),
            )
        )
    elif told.get("kind") == "go":
        frame.go(State.link(str(told.get("to", ""))))


@st.cache_data(ttl=3600, show_spinner=False)
def _picture(segment: int, of: str) -> str | None:  # noqa: ARG001 - of each token its own
    thumbnail = frame.client().segment(segment, around=0).segment.links.thumbnail
    return thumbnail and f"{thumbnail}{'&' if '?' in thumbnail else '?'}size=160"


def _pictures(state: State) -> dict[str, str]:
    """Thumbnails of the segments that are asked with; none for what is gone."""
    found: dict[str, str] = {}
    for piece in state.pieces:
        with suppress(ServiceError):
            if piece.kind == "segment" and (picture := _picture(int(piece.value), frame.token())):
                found[piece.value] = picture
    return found
