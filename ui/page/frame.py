"""The frame around everything: the window's title, the style of the page itself, and the way to the service."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st

from search.api.client import ADDRESS, Client
from ui.page.state import State

_FOLDER = Path(__file__).parent / "components"
_STYLE = (_FOLDER / "page.css").read_text("utf-8")


@st.cache_resource(show_spinner=False)
def client() -> Client:
    """The client of the service, shared by all who look at the page. ``SENSORIUM_SERVICE`` names its address."""
    return Client(os.environ.get("SENSORIUM_SERVICE", ADDRESS))


def begin(state: State) -> None:
    """Set the window up; comes before anything is drawn."""
    about = (
        "Library" if state.view == "library" else state.text or ", ".join(piece.label or piece.value for piece in state.pieces)
    )
    st.set_page_config(
        page_title=f"{about[:60]} · Sensorium" if about else "Sensorium", page_icon=str(_FOLDER / "mark.svg"), layout="wide",
        initial_sidebar_state="collapsed",
    )  # fmt: skip
    st.html(f"<style>{_STYLE}</style>")


def go(state: State) -> None:
    """Lead to another state: the browser's address changes, and with it the page."""
    st.query_params.from_dict(state.params())
