"""What is not as it should be, said in a sentence with what to do."""

from __future__ import annotations

import streamlit as st

from search.errors import ServiceAway, ServiceError, ServiceLoading
from ui import phrasing
from ui.i18n import tr
from ui.page import frame, look
from ui.page.state import State


def show(error: ServiceError) -> None:
    """Say what the service said; where it will be well again by itself, go on by itself."""
    if isinstance(error, ServiceAway):
        _wait(tr("Connection lost."), tr("Reconnecting…"))
    elif isinstance(error, ServiceLoading):
        _wait(tr("The service is loading its models."), tr("This takes a few seconds. The page continues by itself."))
    elif error.kind == "no-upload":
        _say(
            tr("An uploaded file in this search has expired."),
            tr("Uploads are kept for a limited time. Remove it and add the file again."),
        )
    else:
        title = str(error.problem.get("title") or tr("The service could not do this"))
        _say(f"{title}.", " ".join(part for part in (_told(str(error), title), error.remedy) if part))


def nothing(state: State) -> None:
    """Nothing was found: what could be changed, and one press that changes it."""
    hint = tr("Remove filters or try simpler words.") if state.narrowed else tr("Try other, simpler words.")
    more = f"{hint} {tr('Or drop a similar picture, sound or video here.')}"
    with st.container(key="nothing", horizontal_alignment="center"):
        _say(tr("Nothing found."), more)
        if state.narrowed:
            st.button(tr("Search without filters"), on_click=lambda: frame.go(state.wide()))


def _say(what: str, more: str) -> None:
    with st.container(key="said", horizontal_alignment="center"):
        st.markdown(f"#### {phrasing.plain(what)}", text_alignment="center")
        st.markdown(phrasing.plain(more), text_alignment="center")


def _wait(what: str, more: str) -> None:
    """Say it, and look every second whether it is over."""
    _say(what, more)
    look_again()


@st.fragment(run_every=1.0)
def look_again() -> None:
    """Look every second whether the service has loaded its models, and then draw all anew."""
    try:
        status = frame.client().status()
    except ServiceError:
        return
    if status.engine != "loading":
        look.forget()
        st.rerun()


def _told(detail: str, title: str) -> str:
    return "" if detail.rstrip(".") == title.rstrip(".") else detail
