"""What is there before anything is asked: how much the archive holds, and what is new. An empty one says how to fill it."""

from __future__ import annotations

from dataclasses import asdict

from ui import phrasing
from ui.i18n import mark, tr
from ui.page import frame, library, look, news, question, rail, trouble
from ui.page.components import months as months_part
from ui.page.state import State


def show(state: State) -> bool:
    """Draw the page as it is before a question. Returns whether the archive holds anything."""
    status = frame.client().status()
    if not status.assets:
        library.welcome(status)
        return False
    if status.job:
        library.watched()
    if status.engine == "loading":
        trouble.look_again()  # what is counted follows
    held = ", ".join(phrasing.count(status.assets[one], noun) for one, noun in phrasing.MEDIA.items() if status.assets.get(one))
    counts = rail.counted(state) if state.narrowed else None
    told = phrasing.count(counts.files, "file") if counts else held
    news.show()
    timeline(state)
    look.newest(state, summary=f"{told} · {tr(_ORDERS[state.browse()['order']])}")
    return True


_ORDERS = {
    "added": mark("Newest first"),
    "date": mark("Last taken first"),
    "length": mark("Longest first"),
    "size": mark("Largest first"),
}


def timeline(state: State) -> None:
    """Draw how many files each month has, if there are several; a click or a drag chooses some of them."""
    months = rail.months(state)
    if len(months) > 1:
        months_part({"months": months, "state": asdict(state)}, question.sent)
