"""The page's script: Streamlit runs it again for everything that happens. What is shown follows from the address alone."""

from __future__ import annotations

import streamlit as st

from search import traces
from search.errors import ServiceError
from ui.page import atlas, casebook, frame, home, imagined, library, look, moment, question, rail, trouble
from ui.page.state import State


def desk(state: State) -> None:
    """Draw what was found, or the archive where nothing is asked, and beside it what it can be narrowed by."""
    with st.container(key="desk"):
        beside, found = st.container(key="beside"), st.container(key="found")
        with found:
            filled = True
            try:
                if state.asks:
                    imagined.show(state)
                    look.show(state)
                else:
                    filled = home.show(state)
            except ServiceError as error:
                trouble.show(error)
        if filled:
            with beside:
                rail.show(state)


def main() -> None:
    """Draw the page."""
    state = State.read({name: st.query_params.get_all(name) for name in st.query_params})
    frame.begin(state)
    question.show(state)
    try:
        if state.view == "library":
            library.show(state)
        elif state.view == "case":
            casebook.show(state)
        elif state.view == "map":
            atlas.show()
        else:
            desk(state)
        if state.opened is not None:
            moment.show(state, state.opened)
    except ServiceError as error:
        trouble.show(error)


with traces.span("page"):
    main()
