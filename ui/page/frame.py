"""The frame around everything: the window's title, the style of the page itself, and the way to the service."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from search.api.client import ADDRESS, Client, cookie_name
from search.api.schemas import Facets
from search.errors import ServiceError
from ui import i18n
from ui.i18n import tr
from ui.page.state import CHANNELS, State

_FOLDER = Path(__file__).parent / "components"
_STYLE = (_FOLDER / "page.css").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class PageChoices:
    """The names to filter by, the spaces to choose among, and the models that hear questions, answer them, and translate; none: empty."""

    collections: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    spaces: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    hears: str = ""
    answers: str = ""
    translates: str = ""
    imagines: str = ""
    regions: bool = False
    moves: bool = False
    """Whether there are recordings of motion."""


def language() -> str:
    """The language of whoever looks at the page: what was chosen, or else what the browser prefers."""
    return i18n.chosen(st.context.cookies.get("sensorium_language"), st.context.locale)


i18n.follow(language)


def client() -> Client:
    """The client of the service, which calls as whoever looks at the page. ``SENSORIUM_SERVICE`` names its address."""
    return _client(token())


def token() -> str:
    """The token of whoever looks at the page; empty: none. What one may see, another may not: it is a key of what is kept."""
    return st.context.cookies.get(cookie_name(st.context.headers.get("Host", "") or ""), "")


@st.cache_resource(show_spinner=False, max_entries=100)
def _client(token: str) -> Client:
    return Client(os.environ.get("SENSORIUM_SERVICE", ADDRESS), token=token)


@st.cache_data(ttl=30, show_spinner=False)
def _told(of: str) -> PageChoices:  # noqa: ARG001 - of each token its own
    told, status = client().collections(limit=1), client().status()
    channels = {kind.partition("/")[2] for kind in status.segments}
    return PageChoices(
        collections=tuple(status.collections), tags=tuple(told.tags),
        spaces=tuple(one.name for one in status.spaces) if len(status.spaces) > 1 else (),
        channels=tuple(channel for channel in CHANNELS if channel in channels), folders=_folders() if status.engine == "ready" else (),
        hears=status.hears or "", answers=status.answers or "", translates=status.translates or "", imagines=status.imagines or "", regions=status.regions, moves=bool(status.assets.get("imu")),
    )  # fmt: skip


def _folders() -> tuple[str, ...]:
    """The folders that hold files, in the order of their names; where there are many, those with the most files."""
    found = client().facets("folder").facets
    return tuple(sorted(one.value for facet in found for one in facet.values if one.value))


def counted(targets: tuple[str, ...], channels: tuple[str, ...], wanted: Mapping[str, Any]) -> Facets:
    """All facets of the files that pass a filter, as of the last seconds. Raises ServiceError."""
    return _counted(targets, channels, repr(wanted), token(), _filter=wanted)


@st.cache_data(ttl=10, max_entries=500, show_spinner=False)
def _counted(targets: tuple[str, ...], channels: tuple[str, ...], of: str, token: str, _filter: Mapping[str, Any]) -> Facets:  # noqa: ARG001 - keys of what is kept
    return client().facets(targets=targets, channels=channels, filter=_filter)


def recount() -> None:
    """Have the next look count anew, because files have changed."""
    _counted.clear()


def known() -> PageChoices:
    """What the service knows, as of the last half minute; nothing while it is away, which the page says elsewhere."""
    try:
        return _told(token())
    except ServiceError:
        return PageChoices()


def begin(state: State) -> None:
    """Set the window up; comes before anything is drawn."""
    views = {"library": tr("Library"), "case": tr("Cases"), "map": tr("Map")}
    about = views.get(state.view) or state.text or ", ".join(piece.label or piece.value for piece in state.pieces)
    st.set_page_config(
        page_title=f"{about[:60]} · Sensorium" if about else "Sensorium", page_icon=str(_FOLDER / "mark.svg"), layout="wide",
        initial_sidebar_state="collapsed",
    )  # fmt: skip
    st.html(f"<style>{_STYLE}</style>")


def go(state: State) -> None:
    """Lead to another state: the browser's address changes, and with it the page."""
    st.query_params.from_dict(state.params())
