"""The output format of answers: the JSON of the command line and of the service."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.types import Answer, Box, Coverage, Dated, Hit, Segment, Span

if TYPE_CHECKING:  # the client, which knows no database, imports this too
    from search.ondemand.evidence import Evidence
    from search.planning.plan import Plan, PlanRow
    from search.query.why import Why
    from search.store.spaces import SpaceEntry

_EPOCH = datetime.date(1970, 1, 1)


def answer(found: Answer, whys: Sequence[Why] = ()) -> dict[str, Any]:
    """An answer as JSON values; with ``whys``, each hit says why it was found."""
    hits = [hit(one) for one in found.hits]
    return {
        "hits": [one | {"why": asdict(why)} for one, why in zip(hits, whys, strict=True)] if whys else hits,
        "generation": found.generation,
        "searched": found.searched,
        "coverage": coverage(found.coverage),
        "timings_ms": found.timings_ms,
        "heard": found.heard,
        "notes": list(found.notes),
        "found": asdict(found.found) if found.found else None,
        "estimate": asdict(found.estimate) if found.estimate else None,
        "review": asdict(found.review) if found.review else None,
        "line": found.line,
        "more": found.more,
        "limit": found.limit,
    }


def plan(found: Plan) -> dict[str, Any]:
    """A plan as JSON values: its steps, and the answer to it; null: no step could be taken."""
    return {
        "question": found.question, "steps": [plan_row(number, one) for number, one in enumerate(found.rows, 1)], "together": found.together,
        "calls": found.calls, "stopped": found.stopped, "notes": list(found.notes), "answer": answer(found.answer) if found.answer else None,
    }  # fmt: skip


def evidence(found: Evidence) -> dict[str, Any]:
    """Evidence as JSON values; without claims the question cannot be answered from what was searched."""
    return {
        "answerable": bool(found.claims), "coverage": coverage(found.coverage),
        "claims": [
            {
                "segment": one.hit.segment.id, "asset": one.hit.segment.asset, "path": one.hit.segment.path, "span": _time(one.hit.span), "said": one.said,
                "answer": one.answered and {"text": one.answered.text, "written_by": one.answered.model, "confidence": round(one.answered.confidence, 4)},
            }
            for one in found.claims
        ],
    }  # fmt: skip


def plan_row(number: int, row: PlanRow) -> dict[str, Any]:
    """A step of a plan as JSON values."""
    possible = row.possible
    return {
        "number": number, "skill": str(row.step.skill), "form": row.step.form, "part": row.step.part, "useful": row.step.useful,
        "possible": round(possible.value, 4), "worth": round(row.worth, 4), "coverage": round(possible.coverage, 4),
        "chance": None if possible.chance is None else round(possible.chance, 4), "recall": possible.recall, "ms": possible.ms,
        "state": row.state, "gain": None if row.gain is None else round(row.gain, 2), "why": possible.why, "remedy": possible.remedy,
    }  # fmt: skip


def coverage(found: Coverage) -> dict[str, Any]:
    """Coverage as JSON values."""
    return asdict(found) | {"without": dict(found.without), "unread": dict(found.unread)}


def space(entry: SpaceEntry) -> dict[str, Any]:
    """A space of an archive as JSON values."""
    of = entry.space
    return {
        "name": of.name, "encoder": entry.encoder, "revision": of.revision, "dim": of.dim, "default": entry.default,
        "accepts": sorted(of.accepts), "kinds": [str(kind) for kind in entry.kinds], "collections": list(entry.collections),
    }  # fmt: skip


def recall(home: Path, entries: Iterable[SpaceEntry]) -> list[dict[str, Any]]:
    """Recall@10 of lists, by space, kind and direction, as JSON values: of samples, and of questions of people (``real``)."""
    if not any((home / "index").glob("*/effort.json")):  # everything is scanned, as in most archives
        return []
    from search.query.recall_check import kept_recall

    return [
        {"space": entry.space.name, **asdict(one), "kind": str(one.kind)} for entry in entries for one in kept_recall(home, entry)
    ]


def hit(found: Hit) -> dict[str, Any]:
    """A hit as JSON values. ``span`` is in time. ``evidence`` says which segments were merged. For text it also has the text, the
    marks, the reader or source, and the reader's confidence."""
    segment = found.segment
    evidence: dict[str, Any] = {"cosine": round(found.cosine, 4), "segments": list(found.evidence)}
    evidence["track"] = segment.track
    if segment.text is not None:
        evidence |= read(segment) | {"marks": [list(mark) for mark in found.marks]}
    if found.starts_ms is not None:
        evidence["starts_ms"] = found.starts_ms
    if found.others:
        evidence["others"] = list(found.others)
    if found.span and found.span.unit == "char":
        evidence["characters"] = {"start": found.span.start, "end": found.span.end}
    return {
        "rank": found.rank,
        "score": round(found.score, 4),
        "confidence": None if found.confidence is None else round(found.confidence, 4),
        "channel": str(segment.channel),
        "space": found.space,
        "asset": {"id": segment.asset, "modality": str(segment.modality), "path": segment.path, "date": date(segment.dated)},
        "span": _time(found.span),
        "stretch": _time(found.stretch),
        "segment": segment.id,
        "judged": found.judged,
        "evidence": evidence,
        "steps": [
            {"segment": one.segment, "channel": str(one.channel), "span": _time(one.span), "chance": round(one.chance, 4)}
            for one in found.steps
        ],
        "box": None if found.box is None else box(found.box),
    }


def box(found: Box) -> dict[str, Any]:
    """A part of a picture as JSON values: percent, and the W3C media fragment."""
    left, top, width, height = (round(number, 2) for number in found)
    fragment = "xywh=percent:" + ",".join(f"{number:g}" for number in (left, top, width, height))
    return {"left": left, "top": top, "width": width, "height": height, "fragment": fragment}


def date(dated: Dated | None) -> dict[str, Any] | None:
    """When an asset was taken, as JSON values: the first and last possible day, and the source. None: no date is known."""
    if dated is None or dated.first is None or dated.last is None:
        return None
    first, last = ((_EPOCH + datetime.timedelta(days=day)).isoformat() for day in (dated.first, dated.last))
    return {"first": first, "last": last, "written": dated.text, "source": None if dated.source is None else str(dated.source)}


def read(segment: Segment) -> dict[str, Any]:
    """The text of a segment as JSON values, with its reader or source, and the reader's confidence."""
    return {
        "text": segment.text, "source": segment.source, "language": segment.language, "confidence": segment.confidence,
        "translated": segment.detail is not None and segment.detail.translated, "track": segment.track,
    }  # fmt: skip


def sentence(words: str) -> str:
    """A decoder's message as a sentence, with a capital letter and a full stop."""
    words = words.strip()
    return words[:1].upper() + words[1:] + ("" if not words or words[-1] in ".!?…" else ".")


def _time(span: Span | None) -> dict[str, int] | None:
    return {"start_ms": span.start, "end_ms": span.end} if span and span.unit == "ms" else None
