"""Cases: what people have collected, to be put in order, noted and handed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from search.api.schemas import CaseDetail
from ui import phrasing
from ui.page import frame
from ui.page.components import casefile
from ui.page.state import State


def show(state: State) -> None:
    """Draw a case, or the list of all where none is named."""
    client = frame.client()
    listed = [
        {"name": one.name, "count": phrasing.count(one.count, "moment"), "href": State(view="case", case=one.id).href()}
        for one in client.cases().cases
    ]
    case = None if state.case is None else described(client.case(state.case))
    casefile({"cases": listed, "case": case, "all": State(view="case").href()}, lambda told: _sent(state, told))


def described(case: CaseDetail) -> dict[str, Any]:
    """What the page shows of a case."""
    return {
        "id": case.id, "version": case.version, "name": case.name, "note": case.note,
        "exhibits": [
            {
                "sha256": one.sha256, "name": one.name, "start_ms": one.start_ms, "end_ms": one.end_ms, "note": one.note, "question": one.question,
                "asset": one.asset.id if one.asset else None, "medium": str(one.asset.modality) if one.asset else "file", "segment": one.segment,
                "thumbnail": one.links.thumbnail if one.links else None,
                "href": State(view="case", case=case.id, opened=one.segment).href() if one.segment else None,
            }
            for one in case.exhibits
        ],
    }  # fmt: skip


def _sent(state: State, told: Mapping[str, Any]) -> None:
    if told.get("kind") == "open" and isinstance(told.get("segment"), int):
        frame.go(replace(state, opened=told["segment"]))
    elif told.get("kind") == "go":
        frame.go(State.link(str(told.get("to", ""))))
