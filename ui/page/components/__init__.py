"""The parts that are drawn in the browser. Each is a script and a style beside this file; all share ``dom.js`` and ``base.css``.

A part gets ``data`` and sends back mappings with a ``kind``; they arrive at a callback, before the page is made again.
Data reaches the document as text only, never as markup.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from ui import i18n

_FOLDER = Path(__file__).parent


class PagePart:
    """A part of the page that the browser draws."""

    def __init__(self, name: str, *scripts: str) -> None:
        self._name = name
        script = "\n".join((_FOLDER / file).read_text("utf-8") for file in ("dom.js", *scripts, f"{name}.js"))
        style = "\n".join((_FOLDER / file).read_text("utf-8") for file in ("base.css", f"{name}.css"))
        self._says = i18n.spoken_by(script)
        self._mount = component(f"sensorium_{name}", css=style, js=script)

    def __call__(
        self, data: Mapping[str, Any], sent: Callable[[Mapping[str, Any]], None] | None = None, *, key: str = ""
    ) -> None:
        """Draw it with ``data``; ``sent`` takes what it sends."""
        key = key or self._name

        def receive() -> None:
            told = st.session_state[key]["sent"]
            if sent and isinstance(told, Mapping):
                sent(told)

        self._mount(
            key=key, data={**data, "language": i18n.language(), "messages": i18n.texts(*self._says)}, on_sent_change=receive
        )


bar, rail, months, grid, stage, shelf, casefile, chart, notice = (
    PagePart("bar", "capture.js", "history.js"),
    PagePart("rail"),
    PagePart("months"),
    PagePart("grid", "hand.js", "tray.js", "menu.js"),
    PagePart("stage", "capture.js", "written.js", "texts.js", "hand.js", "deck.js", "layer.js", "why.js", "making.js"),
    PagePart("shelf", "hand.js"),
    PagePart("casefile", "hand.js"),
    PagePart("chart", "hand.js"),
    PagePart("notice"),
)
