"""Commands that tell how the archive and this installation are: `status`, `failures`, `verify`, `doctor`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from search.settings import Settings, load
from ui import phrasing
from ui.options import Home, Json, archive


def status(home: Home = None, as_json: Json = False) -> None:
    """Show what the archive holds, what waits and what failed."""
    from ui import show
    from ui.status import gather, render

    found = gather(load({"home": home}))
    if as_json:
        show.emit(found)
    else:
        render(found)


def failures(
    collection: Annotated[str | None, typer.Option(help="Only files of this collection.")] = None,
    unread: Annotated[bool, typer.Option("--unread", help="Also list files whose speech or text is not read.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """List what could not be indexed, why, and what to do."""
    from search import wire
    from search.store import Readers, SqlStore
    from ui import show

    settings = load({"home": home})
    database = archive(settings)
    store, readers = SqlStore(database), Readers(database)
    within = None if collection is None else (collection,)
    wordless = readers.unread(within)
    files = readers.unread_files(within) if unread else []
    passed = store.passed(collection)
    lines, coverage = store.failures(collection=collection), _coverage(store, settings, collection)
    if as_json:
        counts = Counter((line.reason, line.remedy) for line in lines)
        show.emit({
            "coverage": {name: wire.coverage(of) for name, of in coverage.items()},
            "reasons": [{"reason": reason, "count": count, "remedy": remedy} for (reason, remedy), count in counts.items()],
            "failures": [asdict(line) for line in lines], "passed": [asdict(one) for one in passed], "away": store.away(),
            "unread": [asdict(one) for one in wordless], **({"unread_files": [asdict(one) for one in files]} if unread else {}),
        })  # fmt: skip
        return
    for name, of in coverage.items():
        if hidden := phrasing.unseen(of):
            show.err.print(f"{name}: {hidden}.", highlight=False, markup=False)
    if lines:
        show.failures(lines)
    elif not any(one.known for one in passed):
        show.err.print("No file failed.")
    for root, count in store.away().items():
        show.err.print(
            f"Away: {show.name(root)} ({phrasing.count(count, 'file')}). Mount it and index it again.",
            highlight=False,
            markup=False,
        )
    show.passed(passed)
    show.unread(wordless, files)


def verify(
    deep: Annotated[bool, typer.Option(help="Also compare all copies, and answers with brute force.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be repaired, and say what was done.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Check that database, index and thumbnails agree.

    Examples:
      sensorium verify --deep
      sensorium verify --repair
    """
    from ui.doctor import render

    settings = load({"home": home})
    archive(settings).close()
    if repair:
        from indexer.repair import repair as mend

        done, checks = mend(settings, deep=deep)
        _report(checks, as_json, render, mended=done)
    else:
        from indexer.verify import verify as run

        _report(run(settings, deep=deep), as_json, render)


def doctor(home: Home = None, as_json: Json = False) -> None:
    """Check this installation and archive, and say what to do."""
    from ui.doctor import examine, render

    _report(examine(load({"home": home})), as_json, render)


def _coverage(store: Any, settings: Settings, collection: str | None) -> dict[str, Any]:  # noqa: ANN401
    """How much of each collection can be found in the space that is searched."""
    from search.store import Spaces

    if collection is not None:
        store.collection(collection)
    spaces = Spaces(archive(settings))
    found = store.coverage(spaces.find(settings.space).key) if spaces.all() else {}
    return {name: of for name, of in found.items() if collection in (None, name)}


def _report(checks: Any, as_json: bool, render: Any, mended: Sequence[str] = ()) -> None:  # noqa: ANN401
    from ui import show

    if as_json:
        show.emit({"checks": [asdict(check) for check in checks], "mended": list(mended)})
    else:
        for sentence in mended:
            show.out.print(f"[green]Repaired:[/] {sentence}", highlight=False, soft_wrap=True)
        render(checks)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)
