"""Look: the answer as a grid of cards, by file with all its moments or moment by moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from search.api.schemas import AssetEntry, AssetRef, Assets, Found, Hit, Links, Plan, Span
from search.errors import Refused, ServiceError
from ui import passage_text, phrasing
from ui.i18n import mark, percent, plural, tr, whole
from ui.page import frame, trouble
from ui.page.components import grid
from ui.page.state import FIRST_HITS, MAX_HITS, Piece, State

_ANSWER, _PLAN = "answer", "plan"
"""Hits that are less sure than this stand below a line."""
_PAGE = 200
"""Hits or files that one request asks for, at most."""
_LANES = (
    (mark("Pictures"), ("image",), ("visual",)), (mark("Video"), ("video",), ("visual", "motion")), (mark("Sounds"), (), ("sound",)),
    (mark("Said and written"), (), ("text", "speech", "ocr", "caption")),
)  # fmt: skip
"""The lanes of an answer: what they are called, and the media and channels that they show; none: all."""
_TERMS = 16
"""Terms of a question."""
_IN_LANE = 16
"""Cards of a lane."""
_KEPT = 8
"""Answers that are kept, so that what is drawn again is not asked again."""
_RESTARTS = 3
"""How often an answer is begun anew because the archive changes while its pages are read."""
_WALKED = "walked"
_BELOW, _WHOLE = 180, 600
"""Characters of a passage on a card: below a picture, and in its place."""


def show(state: State) -> None:
    """Search, and draw what was found; or a sample of what nobody has judged."""
    if state.sample and state.question:
        sampled(state)
        return
    if lanes(state):
        laned(state)
        return
    found = answer(state)
    if not found.hits:
        trouble.nothing(state)
    shown = cards(state, found.hits, verdict_of(found))
    more = bool(found.cursor) and state.count < MAX_HITS
    took = found.timings_ms.get("total", 0)
    number = whole(len(shown))
    if more:
        summary = tr("{count}+ files", count=number) if state.group == "files" else tr("{count}+ moments", count=number)
    else:
        summary = phrasing.count(len(shown), "file" if state.group == "files" else "moment")
    summary += (
        f" · {tr('{segments} searched', segments=phrasing.count(found.searched, 'segment'))} · {whole(round(max(took, 1)))} ms"
    )
    if found.estimate and shown:
        told = phrasing.estimate(found.estimate)
        summary += f" · {tr('{estimate} match', estimate=told[0].lower() + told[1:])}"
    if found.review:
        summary += f" · {phrasing.review(found.review)}"
    data = {
        "cards": shown, "more": more, "weaker": tr(phrasing.WEAKER), "nothing": tr(phrasing.NOTHING), "marked": state.opened, "question": state.href(opened=None), "asks": True,
        "ended": phrasing.ended(state.count) if found.cursor and not more else phrasing.ended(found.limit) if found.limit else "",
        "summary": summary if shown else "", "unseen": " ".join([*found.notes, phrasing.unseen(found.coverage)]).strip(), "library": State(view="library").href(),
        "check": {"text": tr("Check a random sample"), "href": state.href(sample=True)} if state.question and shown else None,
        "undo": {"text": tr("Undo the last of {choices}", choices=phrasing.count(len(state.preferred), "choice")), "href": state.href(preferred=state.preferred[:-1])} if state.preferred else None,
        "plan": steps(state) if state.plan and state.question else None,
        "steps": {"text": tr("Search its parts one by one"), "href": state.href(plan=True, opened=None)} if found.several and not state.plan else None,
    }  # fmt: skip
    if found.heard is not None:
        text = found.heard.strip()
        written = replace(state, text=text, pieces=(), opened=None)
        data["heard"] = {"text": text, "by": frame.known().hears, "href": written.href()}
    grid(data, sent)


def lanes(state: State) -> list[tuple[str, State]]:
    """What the lanes of a state are called, and the state that shows all of each; a state without lanes has none, nor has a spoken
    question, which each lane would hear anew."""
    if not state.lanes or not state.asks or state.request()["spoken"]:
        return []
    found = []
    for name, media, channels in _LANES:
        targets = [one for one in media or state.targets if not state.targets or one in state.targets]
        through = [one for one in channels if not state.channels or one in state.channels]
        if through and (targets or not media):
            found.append(
                (
                    tr(name),
                    replace(
                        state,
                        lanes=False,
                        plan=False,
                        targets=tuple(targets),
                        channels=tuple(through),
                        count=FIRST_HITS,
                        opened=None,
                    ),
                )
            )
    return found


def laned(state: State) -> None:
    """Draw what was found in lanes, each with the best of one kind, how many there are, and a link to all."""
    drawn, unseen = [], ""
    for name, alone in lanes(state):
        found = answer(alone)
        unseen = unseen or " ".join([*found.notes, phrasing.unseen(found.coverage)]).strip()
        shown = cards(state, found.hits, verdict_of(found))
        held = tr("{count}+ files", count=whole(len(shown))) if found.cursor else phrasing.count(len(shown), "file")
        told = phrasing.estimate(found.estimate) if found.estimate and shown else held
        drawn.append(
            {
                "name": name,
                "told": told if shown else tr("Nothing found"),
                "href": alone.href() if shown else "",
                "cards": shown[:_IN_LANE],
            }
        )
    data = {
        "lanes": drawn, "cards": [], "more": False, "weaker": tr(phrasing.WEAKER), "nothing": tr(phrasing.NOTHING), "marked": state.opened,
        "question": state.href(opened=None), "asks": True, "summary": "", "unseen": unseen, "library": State(view="library").href(),
    }  # fmt: skip
    grid(data, sent)


def sampled(state: State) -> None:
    """Draw the next file of the question's random sample, to be judged."""
    request = state.request()
    drawn = frame.client().sample(
        state.question, 1, targets=request["targets"], channels=request["channels"], filter=request["filter"]
    )
    review = frame.client().judgements(state.question).review if not state.narrowed else answer(state).review
    cards = [_new_card(state, one) | {"judges": True} for one in drawn.files]
    data = {
        "cards": cards, "more": False, "weaker": "", "nothing": "", "marked": state.opened, "question": state.href(opened=None),
        "heading": tr("Is this “{question}”?", question=state.question) if cards else tr("Every file has been judged"),
        "summary": phrasing.review(review) if review else tr("A file drawn at random from {number} that nobody has judged", number=whole(drawn.population)),
        "check": {"text": tr("Back to the answer"), "href": state.href(sample=False)},
    }  # fmt: skip
    grid(data, sent)


def judge(state: State, asset: int, right: bool | None) -> bool:
    """Say whether an asset answers a state's question; None: take it back. Returns whether it was noted; the page says why it was not."""
    request = state.request()
    try:
        if right is None:
            frame.client().forget_judgements(state.question, asset)
        else:
            frame.client().judge(
                state.question, right=[asset] if right else [], wrong=[] if right else [asset], of_sample=state.sample,
                targets=request["targets"], channels=request["channels"], filter=request["filter"],
            )  # fmt: skip
    except ServiceError as error:
        st.toast(phrasing.plain(f"{error} {error.remedy}"))
        return False
    forget()
    return True


def answer(state: State) -> Found:
    """The answer to a state's question; asked once, however often the page is drawn again."""
    if state.plan and state.question and (made := planned(state).answer):
        return made
    request = state.request()
    kept: dict[str, Found] = st.session_state.setdefault(_ANSWER, {})
    wanted, key = request.pop("k"), repr(request)
    found = kept.pop(key, None)
    if found is None:
        found = frame.client().search(**request, k=min(wanted, _PAGE))
    restarts = 0
    while found.cursor and len(found.hits) < wanted:
        try:
            more = frame.client().search(**request, k=min(wanted - len(found.hits), _PAGE), cursor=found.cursor)
        except Refused as error:
            if error.kind != "stale-cursor" or restarts == _RESTARTS:
                raise
            restarts += 1  # the archive has changed: from the beginning
            found = frame.client().search(**request, k=min(wanted, _PAGE))
        else:
            hits = [*found.hits, *more.hits]
            found = found.model_copy(update={"hits": hits, "cursor": more.cursor, "limit": more.limit})
    kept[key] = found
    if len(kept) > _KEPT:
        del kept[next(iter(kept))]
    return found


def answers(state: State) -> list[Found]:
    """The answers that are shown for a state: one, or one for each lane."""
    return [answer(one) for _, one in lanes(state)] or [answer(state)]


def planned(state: State) -> Plan:
    """The plan of a state's question; made once, however often the page is drawn again."""
    request, kept = state.plan_request() | {"k": min(state.count, _PAGE)}, st.session_state.get(_PLAN)
    if not kept or kept[0] != request:
        kept = st.session_state[_PLAN] = (request, frame.client().plan(**request))
    found: Plan = kept[1]
    return found


def steps(state: State) -> dict[str, Any]:
    """The steps of a plan for the grid: what each asks, which leads to a search of its own, how much it is worth, and a link that skips or takes it."""
    found = planned(state)
    rows = []
    for one in found.steps:
        skip = (
            tuple(number for number in state.skip if number != one.number)
            if one.number in state.skip
            else (*state.skip, one.number)
        )
        searches = one.skill not in ("filter", "count", "ask", "translate")
        rows.append({
            "skill": tr(phrasing.SKILLS[one.skill]), "form": one.form, "href": state.href(text=f"={one.form}", plan=False, skip=(), opened=None) if searches else "",
            "worth": tr("{useful} useful × {possible} possible", useful=percent(one.useful), possible=percent(one.possible)), "state": phrasing.step_state(one), "taken": one.state == "taken",
            "skip": {"text": tr("Take") if one.state == "skipped" else tr("Skip"), "href": state.href(skip=skip, opened=None)} if searches and one.state != "impossible" else None,
        })  # fmt: skip
    return {
        "rows": rows,
        "stopped": found.stopped,
        "back": {"text": tr("One search"), "href": state.href(plan=False, skip=(), opened=None)},
    }


def verdict_of(found: Found) -> str | None:
    """What an answer says of itself: yes, unsure or no; None: nothing."""
    return found.found.verdict if found.found else None


def forget() -> None:
    """Have the next look ask again."""
    st.session_state.pop(_ANSWER, None)
    st.session_state.pop(_PLAN, None)
    st.session_state.pop(_WALKED, None)


def cards(state: State, hits: Sequence[Hit], verdict: str | None = None) -> list[dict[str, Any]]:
    """Cards for the grid: one a hit, or one an asset with the strip of all its hits, where its best one stood."""
    groups: dict[int, list[Hit]] = {}
    for hit in hits:
        groups.setdefault(key(state, hit), []).append(hit)
    return [_card(state, group, verdict) for group in groups.values()]


def _card(state: State, hits: Sequence[Hit], verdict: str | None) -> dict[str, Any]:
    best = hits[0]
    bars, sure = phrasing.band(best.confidence, verdict)
    likely = [best, *(hit for hit in hits[1:] if phrasing.band(hit.confidence, verdict)[0] != phrasing.WEAK)]
    moments, others = len(likely) if best.span else 0, sum(len(hit.evidence.others) for hit in hits)
    told = next((hit for hit in likely if hit.evidence.marks), best)
    passage = _said(told, _WHOLE if best.asset.modality == "text" else _BELOW)
    if passage:
        passage |= {"segment": told.segment, "href": state.href(opened=told.segment)}
    return plain_card(best.asset, best.links, passage, best.span) | {
        "segment": best.segment, "href": state.href(opened=best.segment), "channel": tr(best.channel) if best.span or best.channel not in ("visual", "text") else "", "track": best.evidence.track or "",
        "region": best.box and [best.box.left, best.box.top, best.box.width, best.box.height], "bars": bars, "sure": sure, "weak": bars == phrasing.WEAK, "strip": strip(best.asset, likely, verdict), "judged": best.judged,
        "prefers": state.asks and not best.steps and not state.spoken,
        "more": plural("{count} moment", "{count} moments", moments) if moments > 1 else phrasing.burst(others) if others else "",
    }  # fmt: skip


def _said(hit: Hit, room: int) -> dict[str, Any] | None:
    own = hit.asset.modality == "text"
    return passage_text.passage(hit.evidence, hit.channel, own=own, marks=hit.evidence.marks, room=room)


def plain_card(asset: AssetRef, links: Links, passage: dict[str, Any] | None, span: Span | None) -> dict[str, Any]:
    """What every card shows of an asset, asked for or not."""
    medium = tr(phrasing.MEDIA[asset.modality])
    length = phrasing.clock(asset.duration_ms) if asset.duration_ms and asset.modality in ("audio", "video") else ""
    when = f"{phrasing.clock(span.start_ms)} – {phrasing.clock(span.end_ms)}" if span else ""
    return {
        "asset": asset.id, "medium": asset.modality, "name": asset.name, "folder": asset.folder, "missing": asset.missing,
        "day": phrasing.taken(asset.date) if asset.date and asset.date.source not in (None, "file") else "",
        "alt": f"{medium} {asset.name}" + (f", {when}" if when else ""), "passage": passage, "span": when, "length": length,
        "thumbnail": links.thumbnail, "preview": links.preview, "start": span.start_ms if span else 0, "ends": span.end_ms if span else 0, "format": asset.format,
    }  # fmt: skip


def starts(hit: Hit) -> int:
    """Where to play a hit from, in milliseconds: where the first word is said that was asked for, or else where it begins."""
    begins = hit.span.start_ms if hit.span else 0
    return begins if hit.evidence.starts_ms is None else hit.evidence.starts_ms


def key(state: State, hit: Hit) -> int:
    """What the hits of one card have in common."""
    return hit.asset.id if state.group == "files" else hit.segment


def strip(asset: AssetRef, hits: Sequence[Hit], verdict: str | None = None) -> list[dict[str, Any]]:
    """Where in a timed asset its hits lie: shares of its length, from 0 to 1, and how sure each is; a lane for each channel."""
    length, channels = asset.duration_ms, sorted({hit.channel for hit in hits if hit.span}, reverse=True)
    if not length:
        return []
    return [
        {
            "from": hit.span.start_ms / length, "width": min(hit.span.end_ms / length, 1) - hit.span.start_ms / length,
            "lane": channels.index(hit.channel) / len(channels), "height": 1 / len(channels), "at": starts(hit),
            "sure": phrasing.band(hit.confidence, verdict)[0] / 4, "segment": hit.segment, "label": f"{phrasing.clock(hit.span.start_ms)}, {tr(hit.channel)}",
        }
        for hit in hits
        if hit.span
    ]  # fmt: skip


def newest(state: State, *, heading: str = "", summary: str = "") -> None:
    """Draw the archive without a question, in its order: what passes the state's filters, as far as it was walked."""
    entries, cursor = walked(state)
    if entries:
        data = {
            "cards": [_new_card(state, entry) for entry in entries], "more": bool(cursor) and state.count < MAX_HITS, "weaker": "", "nothing": "",
            "marked": state.opened, "question": state.href(opened=None), "heading": heading, "summary": summary,
            "ended": tr("Only the first {files} can be listed. Narrow them with filters, or search.", files=phrasing.count(state.count, "file")) if cursor and state.count >= MAX_HITS else "",
        }  # fmt: skip
        grid(data, sent, key="newest")
    else:
        trouble.nothing(state)


def walked(state: State) -> tuple[list[AssetEntry], str | None]:
    """The first files that pass the state's filters, at most as many as it counts; and the cursor to those that follow.

    Where something else is chosen, too, these are the files of which the default space holds something. The first page is asked for each time, and those below it once: what comes in is newer than what they hold.
    """
    kept: dict[Any, Assets] = st.session_state.setdefault(_WALKED, {})
    found: list[AssetEntry] = []
    cursor = None
    while not found or (cursor and len(found) < state.count):
        wanted = state.browse()
        key = repr((wanted, cursor))
        page = kept.get(key) if cursor else None
        if page is None:
            if wanted["order"] == "added" and not wanted["channels"] and not set(wanted["filter"]) - {"collections"}:
                page = frame.client().assets(
                    modality=state.targets, collection=state.collections, limit=FIRST_HITS, cursor=cursor
                )
            else:
                page = frame.client().browse(**wanted, limit=FIRST_HITS, cursor=cursor)
            kept[key] = page
        found, cursor = [*found, *page.assets], page.cursor
        if not page.assets:
            break
    return found, cursor


def _new_card(state: State, entry: AssetEntry) -> dict[str, Any]:
    begins = _beginning(entry.id, frame.token(), frame.language()) if entry.modality == "text" else None
    return plain_card(entry, entry.links, begins, None) | {
        "segment": entry.segment, "href": state.href(opened=entry.segment) if entry.segment else None, "channel": "", "track": "", "bars": 0, "sure": "", "weak": False, "strip": [], "more": "",
    }  # fmt: skip


@st.cache_data(max_entries=1000, show_spinner=False)
def _beginning(asset: int, of: str, language: str) -> dict[str, Any] | None:  # noqa: ARG001 - of each token and language its own
    """The first words of a text; an asset never changes, so they are asked for once."""
    segments = frame.client().segments(asset, limit=1).segments
    return passage_text.passage(segments[0], segments[0].channel, own=True, room=_WHOLE) if segments else None


def similar(state: State, segment: int, medium: str, label: str, *, add: bool) -> State:
    """The state that asks for more like a segment, or that adds it to what is asked."""
    piece = Piece("segment", str(segment), 1.0, medium, label)
    if add:
        kept = tuple(one for one in state.pieces if (one.kind, one.value) != (piece.kind, piece.value))
        return replace(state, view="search", pieces=(*kept, piece), opened=None)
    return replace(state, view="search", text="", pieces=(piece,), opened=None)


def sent(told: Mapping[str, Any]) -> None:
    """What the grid sends: a card to open, one to add to the question, a wish for more, or a link to follow."""
    state = State.read({name: st.query_params.get_all(name) for name in st.query_params})
    kind, segment = told.get("kind"), told.get("segment")
    if kind == "more":
        frame.go(replace(state, count=min(state.count + FIRST_HITS, MAX_HITS)))
    elif kind == "go":
        frame.go(State.link(str(told.get("to", ""))))
    elif kind == "judge" and isinstance(told.get("asset"), int):
        judge(state, told["asset"], told.get("right") is True)
    elif kind == "open" and isinstance(segment, int):
        frame.go(replace(state, opened=segment))
    elif kind in ("with", "without") and isinstance(told.get("cards"), list):
        frame.go(_with(state, told["cards"], less=kind == "without"))
    elif kind == "prefer" and isinstance(segment, int):
        frame.go(preferring(state, segment, nearer=told.get("nearer") is True))
    elif kind == "marked":
        frame.recount()
        forget()
    elif kind == "add" and isinstance(segment, int):
        frame.go(similar(state, segment, str(told.get("medium")), str(told.get("name")), add=True))


def preferring(state: State, segment: int, *, nearer: bool) -> State:
    """The state in which a segment is nearer to what is sought than what else was shown, or farther."""
    kept = (one for one in state.preferred if abs(one) != segment)
    return replace(state, preferred=(*kept, segment if nearer else -segment), opened=None)


def _with(state: State, cards: Sequence[Any], *, less: bool = False) -> State:
    """The state that asks for more like several cards; ``less``: for what is asked, and less like them."""
    weight = -max(0.1, round(0.5 / max(len(cards), 1), 1)) if less else 1.0
    pieces = [
        Piece.of(
            {
                "kind": "segment",
                "value": one.get("segment"),
                "weight": weight,
                "medium": one.get("medium"),
                "label": one.get("name"),
            }
        )
        for one in cards
        if isinstance(one, Mapping)
    ]
    some = tuple(piece for piece in pieces if piece)
    if less:
        kept = tuple(piece for piece in state.pieces if piece.value not in {one.value for one in some})
        return replace(state, pieces=(*kept, *some)[: _TERMS - bool(state.text)], opened=None, count=FIRST_HITS)
    return replace(state, view="search", text="", pieces=some[:_TERMS], opened=None, count=FIRST_HITS)
