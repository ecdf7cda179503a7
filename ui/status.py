"""What the archive holds, as a dictionary and as text; and the figures of an evaluation."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from search import wire
from search.errors import SensoriumError
from search.mirror import mirrored
from search.settings import Settings
from search.store import Database, Readers, Spaces, SqlStore
from ui import phrasing, show
from ui.options import archive

LEAST_RECALL = 0.95
"""The recall that lists promise."""


def gather(settings: Settings) -> dict[str, Any]:
    """Counts of everything in the archive; raises StoreError where there is none."""
    with closing(archive(settings)) as database:
        return _gathered(settings, database)


def _gathered(settings: Settings, database: Database) -> dict[str, Any]:
    store, file = SqlStore(database), database.file
    return {
        "home": str(settings.home),
        "database_bytes": file.stat().st_size if file else None,
        "collections": store.collections(),
        "spaces": [wire.space(entry) for entry in Spaces(database).all()],
        **store.counts(),
        "passed": [asdict(one) for one in store.passed()],
        "away": store.away(),
        "unread": [asdict(one) for one in Readers(database).unread()],
        "vectors": _vectors(settings, store),
        "recall": wire.recall(settings.home, Spaces(database).all()),
    }


def render(found: dict[str, Any]) -> None:
    """Print what ``gather`` found."""
    size = f", {found['database_bytes'] / 1e6:.1f} MB" if found["database_bytes"] else ""
    show.out.print(f"[bold]{escape(found['home'])}[/]{size}", highlight=False)
    for name, roots in found["collections"].items():
        told = [
            show.name(root) + (f" (away, {phrasing.count(found['away'][root], 'file')})" if root in found["away"] else "")
            for root in roots
        ]
        show.out.print(f"  {escape(name)}: {escape(', '.join(told))}", highlight=False, soft_wrap=True)
    rows = [
        ("files", _files(found)),
        (
            "holds",
            ", ".join(phrasing.count(number, phrasing.MEDIA[medium]) for medium, number in found["assets"].items())
            or "nothing yet",
        ),
        ("indexed", _indexed(found["units"])),
        ("problems", _problems(found["ledger"])),
    ]
    for known, title in ((True, "no reader for"), (False, "not media")):
        if by_suffix := {one["suffix"]: one["count"] for one in found["passed"] if one["known"] is known}:
            rows.append((title, phrasing.suffixes(by_suffix) + show.extras(by_suffix)))
    for one in found["unread"]:
        title = "on-screen text" if one["channel"] == "ocr" else "speech"
        rows.append((title, " ".join(phrasing.wordless(one["channel"], one["why"], one["assets"], one["duration_ms"]))))
    spaces = ", ".join(f"{space['name']} ({space['dim']} dimensions)" for space in found["spaces"])
    rows.append(("spaces", spaces or "none"))
    rows += [("vectors", told["where"] + (f": {told['error']}" if told["error"] else _filled(told))) for told in found["vectors"]]
    rows += [("recall@10", _recall(told)) for told in found.get("recall", [])]
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for row in rows:
        table.add_row(*map(escape, row))
    show.out.print(table)


def _vectors(settings: Settings, store: SqlStore) -> list[dict[str, Any]]:
    """Of each space, how far a server that keeps vectors too is filled. Empty if none is set."""
    found = []
    for key, space in store.spaces():
        with mirrored(settings, store, key, space) as mirror:
            if mirror is None:
                return []
            told: dict[str, Any] = {"space": space.name, "where": mirror.address.name, "behind": None, "error": ""}
            if mirror.address.scheme == "milvus":
                told["consistency"] = mirror.address.consistency
            try:
                if mark := mirror.mark():
                    told["behind"] = len(store.added(key, after=mark.embedding)[0])
            except SensoriumError as error:
                told["error"] = str(error)
            found.append(told)
    return found


def _recall(told: dict[str, Any]) -> str:
    """What lists find of what an exact scan finds."""
    on = "questions asked" if told["real"] else "samples"
    low = "" if told["recall"] >= LEAST_RECALL else ", too little: everything is scanned until more lists are looked at"
    return f"{told['recall']:.3f} by {told['asked']} in {told['kind']} of {told['space']}, on {told['questions']} {on}{low}"


def _filled(told: dict[str, Any]) -> str:
    """How far a server is filled with a space."""
    behind, level = told["behind"], told.get("consistency")
    how = f", consistency {level}" if level else ""
    if behind is None:
        return f" holds nothing of {told['space']} yet{how}"
    return (
        f" holds all of {told['space']}{how}"
        if not behind
        else f" lacks {phrasing.count(behind, 'segment')} of {told['space']}{how}"
    )


def _files(found: dict[str, Any]) -> str:
    """Files by whether they are where they were."""
    counts = dict(found["files"])
    told = [phrasing.count(counts.pop("present", 0), "file"), *(f"{number:,} {what}" for what, number in counts.items())]
    return f"{', '.join(told)}; {phrasing.count(sum(found['segments'].values()), 'segment')} to search"


def _indexed(units: dict[str, int]) -> str:
    """Files by how far they are, in each of the spaces."""
    names = {"done": "done", "pending": "waiting", "leased": "in progress", "failed": "failed", "quarantined": "given up"}
    return ", ".join(f"{units[state]:,} {told}" for state, told in names.items() if units.get(state)) or "nothing yet"


def _problems(ledger: dict[str, int]) -> str:
    if not ledger:
        return "none"
    told = ", ".join(f"{number:,} {reason.replace('_', ' ')}" for reason, number in ledger.items())
    return f"{told}. `sensorium failures` says what to do."


def render_figures(found: dict[str, Any]) -> None:
    """Print an evaluation as a table, a row a direction."""
    names = ("queries", "R@1", "R@5", "R@10", "MRR", "nDCG@10", "median_rank")
    table = Table("direction", *names, box=None, pad_edge=False, header_style="dim")
    for direction, row in found["directions"].items():
        table.add_row(direction, *(f"{row[name]:.3f}" if isinstance(row[name], float) else str(row[name]) for name in names))
    show.out.print(table)


def render_errors(found: dict[str, Any]) -> None:
    """Print an evaluation of a reader as a table, a row a language, and how fast it was."""
    names = ("files", "words", "WER", "substitutions", "deletions", "insertions")
    table = Table("language", *names, box=None, pad_edge=False, header_style="dim")
    for language, row in (*found["languages"].items(), ("all", found["asr"])):
        table.add_row(language, *(f"{row[name]:.3f}" if isinstance(row[name], float) else str(row[name]) for name in names))
    show.out.print(table)
    failed = f"; {found['asr']['failed']} files could not be read" if found["asr"]["failed"] else ""
    show.out.print(f"[dim]{found['asr']['times_real_time']} times real time{failed}[/]", highlight=False)
