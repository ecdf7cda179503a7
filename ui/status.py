"""What the archive holds, as a dictionary and as text; and the figures of an evaluation."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from search import wire
from search.settings import Settings
from search.store import Readers, Spaces, SqlStore
from ui import show, words
from ui.options import archive


def gather(settings: Settings) -> dict[str, Any]:
    """Counts of everything in the archive; raises StoreError where there is none."""
    database = archive(settings)
    store = SqlStore(database)
    file = database.file
    return {
        "home": str(settings.home),
        "database_bytes": file.stat().st_size if file else None,
        "collections": store.collections(),
        "spaces": [wire.space(entry) for entry in Spaces(database).all()],
        **store.counts(),
        "passed": [asdict(one) for one in store.passed()],
        "away": store.away(),
        "unread": [asdict(one) for one in Readers(database).unread()],
    }


def render(found: dict[str, Any]) -> None:
    """Print what ``gather`` found."""
    size = f", {found['database_bytes'] / 1e6:.1f} MB" if found["database_bytes"] else ""
    show.out.print(f"[bold]{escape(found['home'])}[/]{size}", highlight=False)
    for name, roots in found["collections"].items():
        told = [
            show.name(root) + (f" (away, {words.count(found['away'][root], 'file')})" if root in found["away"] else "")
            for root in roots
        ]
        show.out.print(f"  {escape(name)}: {escape(', '.join(told))}", highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column()
    for key in ("files", "assets", "segments", "units", "ledger"):
        counts = ", ".join(f"{count} {escape(str(name))}" for name, count in found[key].items())
        table.add_row(key, counts or "none")
    for known, title in ((True, "no reader for"), (False, "not media")):
        if by_suffix := {one["suffix"]: one["count"] for one in found["passed"] if one["known"] is known}:
            table.add_row(title, escape(words.suffixes(by_suffix) + show.extras(by_suffix)))
    unread = (f"{one['channel']} of {one['assets']} ({one['why']})" for one in found["unread"])
    table.add_row("unread", ", ".join(unread).replace("(none)", "(no reader)") or "nothing")
    table.add_row("spaces", ", ".join(f"{space['name']} ({space['dim']})" for space in found["spaces"]) or "none")
    show.out.print(table)


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
