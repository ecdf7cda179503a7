"""The page's script: Streamlit runs it again for everything that happens. What is shown follows from the address alone."""

from __future__ import annotations

import streamlit as st

from search.errors import ServiceError
from ui.page import casebook, frame, home, library, look, moment, question, trouble
from ui.page.state import State


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
        elif state.asks:
            look.show(state)
        else:
            home.show(state)
        if state.opened is not None:
            moment.show(state, state.opened)
    except ServiceError as error:
        trouble.show(error)


main()
