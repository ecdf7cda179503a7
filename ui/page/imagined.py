"""Imagine: pictures that a model makes of the words that are asked, to pick from. They are shown as such, and kept for the session alone."""

from __future__ import annotations

import base64
from dataclasses import replace

import streamlit as st

from search.api.schemas import Imagining
from search.errors import ServiceError
from ui.i18n import tr
from ui.page import frame
from ui.page.state import State

_BEGUN = "imagining"
_EVERY = 1.0
"""Seconds between two looks at how far the model is."""


def show(state: State) -> None:
    """Draw what was imagined of the question, and what begins it; nothing where no model is set."""
    model = frame.known().imagines
    if not model or not state.question or state.form is not None:
        return
    held: tuple[str, str] | None = st.session_state.get(_BEGUN)
    id_ = held[1] if held and held[0] == state.question else ""
    with st.expander(tr("Imagine it"), expanded=bool(id_)):
        st.caption(
            tr(
                "{model} makes pictures of what you ask. Those that you pick are searched with, beside the words. They are invented, and not kept.",
                model=model,
            )
        )
        if not id_:
            if st.button(tr("Imagine four pictures")):
                st.session_state[_BEGUN] = (state.question, frame.client().imagine(state.question).id)
                st.rerun()
            return
        try:
            running = frame.client().imagining(id_).state in ("waiting", "running")
        except ServiceError:  # it has been forgotten
            st.session_state.pop(_BEGUN, None)
            return
        st.fragment(lambda: _told(state, id_), run_every=_EVERY if running else None)()


def _told(state: State, id_: str) -> None:
    told = frame.client().imagining(id_)
    running = told.state in ("waiting", "running")
    if running:
        st.progress(
            told.progress, text=tr("Imagining {number} of {count} …", number=len(told.pictures) + 1, count=len(told.seeds))
        )
    if told.trouble:
        st.caption(told.trouble)
    _pictures(state, told)
    if told.checked is not None:
        st.caption(tr("The model's safety checker looked at each.") if told.checked else tr("The model has no safety checker."))
    if st.button(tr("Stop") if running else tr("Throw away")):
        frame.client().stop_imagining(id_)
        st.session_state.pop(_BEGUN, None)
        frame.go(replace(state, imagined=()))
        st.rerun(scope="app")
    if not running and st.session_state.get(f"{_BEGUN}-{id_}") is None:
        st.session_state[f"{_BEGUN}-{id_}"] = True
        st.rerun(scope="app")  # which ends the looking


def _pictures(state: State, told: Imagining) -> None:
    for column, one in zip(st.columns(max(len(told.seeds), 1)), told.pictures, strict=False):
        with column:
            if one.held_back:
                st.caption(tr("Held back by the safety checker, seed {seed}", seed=one.seed))
                continue
            st.image(
                base64.b64decode(one.png.partition(",")[2]), caption=tr("Imagined, seed {seed}", seed=one.seed), width="stretch"
            )
            on = one.upload in state.imagined
            if st.checkbox(tr("Search with it"), value=on, key=f"{told.id}-{one.seed}") != on:
                kept = tuple(other for other in state.imagined if other != one.upload) if on else (*state.imagined, one.upload)
                frame.go(replace(state, imagined=kept, opened=None))
                st.rerun(scope="app")
