"""What the terminal shows: tables of hits, progress, sizes and times. Data goes to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.text import Text

from search.folders import is_address
from search.media import extra_of
from search.types import Answer, Hit, Span
from ui import passage_text, phrasing
from ui.terminal import Console, visible

if TYPE_CHECKING:
    from indexer.pipeline import Progress as Done
    from indexer.scan import Tally
    from search.ondemand.evidence import Evidence
    from search.planning.plan import Plan
    from search.query.why import Why
    from search.store.readings import Unread, UnreadFile
    from search.store.sql import Passed

out = Console()
err = Console(stderr=True)

ICONS = {
    "image": "▣ image", "audio": "♪ sound", "video": "▶ video", "text": "¶ text", "depth": "▣ depth", "thermal": "▣ thermal", "imu": "∿ motion",
}  # fmt: skip


def emit(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Print JSON on one line of stdout."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def name(path: str) -> str:
    """A path as it can be printed: relative where that is shorter, bytes that are no text shown as such."""
    near = path if not path or is_address(path) else os.path.relpath(path)
    shown = near if len(near) < len(path) else path
    return visible(os.fsencode(shown).decode("utf-8", "backslashreplace"), one_line=True)


def span(where: Span | None) -> str:
    """A span in time; empty for one in characters, and for none."""
    return f"{phrasing.clock(where.start)} – {phrasing.clock(where.end)}" if where and where.unit == "ms" else ""


def band(confidence: float | None, verdict: str | None = None) -> str:
    """How well a hit matches, as up to four dots, on the scale of ``words.band``; empty where nothing is known."""
    full, _ = phrasing.band(confidence, verdict)
    colour = "green" if full > 2 else "yellow" if full > phrasing.WEAK else "bright_black"
    return f"[{colour}]{'●' * full}{'○' * (4 - full)}[/]" if full else ""


def shortened(path: str, room: int) -> str:
    """A path as ``name`` shows it; folders that do not fit into ``room`` columns of a terminal are left out, the file's name never is."""
    shown = name(path)
    if not out.is_terminal:
        return shown
    while cell_len(shown) > room and "/" in (rest := shown.removeprefix("…/")).rstrip("/"):
        shown = "…/" + rest.partition("/")[2]
    return shown


def columns(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> list[str]:
    """Lines of a table: cells of markup, each column as wide as its widest cell. Unlike rich's tables these break no file name."""
    cells = [
        [Text.from_markup(cell) for cell in row]
        for row in (*([[f"[dim]{title}[/]" for title in header]] if header else []), *rows)
    ]
    widths = [max(cell.cell_len for cell in column) for column in zip(*cells, strict=True)]
    for row in cells:
        for cell, width in zip(row[:-1], widths, strict=False):
            cell.pad_right(width - cell.cell_len)
    return [Text("  ").join(row).markup for row in cells]


def lines(some: Iterable[str]) -> None:
    """Print lines of markup to stdout, without white space at their ends; none is broken."""
    for line in some:
        text = Text.from_markup(line)
        text.rstrip()
        out.print(text, highlight=False, soft_wrap=True)


def said(hit: Hit) -> list[str]:
    """What stands below a hit: of a text the words, those that were asked for in bold, and who read it; else its sound track."""
    segment, found = hit.segment, list[str]()
    if hit.steps:
        places = (f"{span(one.span)} {one.channel} {one.chance:.0%}" for one in hit.steps)
        found.append(f"[dim]{' → '.join(places)}[/]")
    if segment.text:
        cut = passage_text.pieces(segment.text, hit.marks, 140)
        texts = [(escape(" ".join(text.split("\n"))), marked) for text, marked in cut]
        found.append("".join(f"[bold]{text}[/]" if marked else f"[dim]{text}[/]" for text, marked in texts))
    if segment.text and segment.source:
        translated = segment.detail is not None and segment.detail.translated
        told = passage_text.origin(segment.channel, segment.source, segment.confidence, translated=translated)
        sure = f" ({told['sure']} confidence)" if told["sure"] else ""
        found.append(f"[dim italic]{told['label']}{sure}, {escape(told['by'])}[/]")
    elif hit.box:
        found.append(f"[dim]{phrasing.place(hit.box)}[/]")
    elif segment.track:
        found.append(f"[dim italic]{escape(segment.track)}[/]")
    return found


def plan(found: Plan) -> None:
    """Print a plan as a table of what is useful and possible, and the answer to it."""
    rows = [
        (
            str(number), str(row.step.skill), escape(row.step.form), f"{row.step.useful:.0%}", f"{row.possible.value:.0%}", f"{row.worth:.0%}",
            "" if row.possible.ms is None else f"{row.possible.ms:.0f} ms", row.state, "" if row.gain is None else f"{row.gain:+.1f}",
        )
        for number, row in enumerate(found.rows, 1)
    ]  # fmt: skip
    lines(columns(rows, ("step", "skill", "question", "useful", "possible", "worth", "took", "", "relevant")))
    for number, row in enumerate(found.rows, 1):
        if row.possible.why:
            err.print(f"Step {number}: {row.possible.why} {row.possible.remedy}", highlight=False, markup=False)
    if found.stopped:
        err.print(f"Stopped: {found.stopped}", highlight=False, markup=False)
    if found.answer and found.answer.hits:
        out.print()
        hits(found.answer, estimate=any(row.step.skill == "count" for row in found.rows))
    for row in found.rows:
        if row.state == "offered" and row.step.skill in ("ask", "translate") and found.answer and found.answer.hits:
            best = found.answer.hits[0].segment
            told = (
                f"sensorium ask {best.asset} {shlex.quote(row.step.form)}"
                if row.step.skill == "ask"
                else f"sensorium translate --segment {best.id} --to {row.step.form}"
            )
            err.print(f"A model may go on: {told}", highlight=False, markup=False)


def claims(found: Evidence) -> None:
    """Print what the moments of an answer say, and what a model answered of each."""
    from search.ondemand.evidence import CANNOT

    out.print()
    if not found.claims:
        seen = found.coverage
        out.print(f"{CANNOT} {seen.seen:,} of {seen.files:,} files are searchable.", highlight=False)
    for one in found.claims:
        where = f"{name(one.hit.segment.path)} {span(one.hit.span)}".strip()
        out.print(f"{where}, segment {one.hit.segment.id}", highlight=False, markup=False, soft_wrap=True)
        if one.said:
            out.print(f"  says: {' '.join(one.said.split())}", highlight=False, markup=False, soft_wrap=True)
        if one.answered:
            told = f"  {one.answered.model} answers (written by a model, may be wrong): {one.answered.text}"
            out.print(told, highlight=False, markup=False, soft_wrap=True)


def _match(hit: Hit, verdict: str | None) -> str:
    """What a person said of a hit, or how well it matches."""
    if hit.judged is None:
        return band(hit.confidence, verdict)
    return "[green]✓ right[/]" if hit.judged else "[bright_black]✗ wrong[/]"


def _medium(hit: Hit) -> str:
    sound_of_video = hit.segment.modality == "video" and hit.segment.channel == "sound"
    return f"[cyan]{'▶ video ♪' if sound_of_video else ICONS[hit.segment.modality]}[/]"


def evidence(why: Why) -> list[str]:
    """Why a hit was found, in lines."""
    parts = []
    for space in why.spaces:
        terms = " ".join(f"{escape(one.term)} {one.evidence:+.1f}" for one in space.terms)
        parts.append(f"{escape(space.space)}: {terms} kind {space.kind:+.1f} start {space.start:+.1f}")
    if why.words is not None:
        parts.append(f"words {why.words:+.1f}" + (f" ({escape(', '.join(why.matched))})" if why.matched else ""))
    told = [f"[dim]{why.score:+.1f} by {why.by} = {'; '.join(parts)}[/]"]
    if len(why.channels) > 1:
        told.append(f"[dim]this file: {', '.join(f'{one.channel} {one.score:+.1f}' for one in why.channels)}[/]")
    if above := why.above:
        needs = f", a cosine of {above.cosine:.3f}" if above.cosine is not None else ""
        heavier = f"; more weight for “{escape(above.heavier)}” lifts it" if above.heavier else ""
        told.append(f"[dim]the hit above has {above.lacks:.1f} more{needs}{heavier}[/]")
    return told


def hits(answer: Answer, *, estimate: bool = False, whys: Sequence[Why] = ()) -> None:
    """Print an answer as a table, with ``estimate`` how much there is, and below each hit why it was found."""
    verdict = answer.found.verdict if answer.found else None
    rows = [
        (str(hit.rank), _match(hit, verdict), _medium(hit), span(hit.span), f"[dim]{hit.segment.id}[/]", "")
        for hit in answer.hits
    ]
    head, *table = columns(rows, ("", "match", "medium", "time", "segment", "found"))
    indent = max(Text.from_markup(line).cell_len for line in table)
    below = Text.from_markup(head).plain.index("medium")
    lines([head])
    apart = False
    for hit, line, why in zip_longest(answer.hits, table, whys):
        if not apart and phrasing.band(hit.confidence, verdict)[0] == phrasing.WEAK:
            apart = True
            lines([f"{' ' * below}[dim]{phrasing.WEAKER if hit is not answer.hits[0] else phrasing.NOTHING}[/]"])
        others = f" [dim]{phrasing.burst(len(hit.others))}[/]" if hit.others else ""
        path = shortened(hit.segment.path, out.width - indent - len(Text.from_markup(others)))
        lines([f"{line}[bold]{escape(path)}[/]{others}"])
        for text in [*said(hit), *(evidence(why) if why else ())]:
            out.print(Padding(Text.from_markup(text), (0, 0, 0, below)), highlight=False)
    err.print(f"[dim]{phrasing.count(answer.searched, 'segment')} searched in {answer.timings_ms['total']:.0f} ms[/]")
    if estimate and answer.estimate:
        err.print(f"{phrasing.estimate(answer.estimate)}.", highlight=False)
    if estimate and answer.review:
        err.print(f"{phrasing.review(answer.review)}.", highlight=False)
    if answer.limit is not None:
        err.print(f"[dim]{phrasing.ended(answer.limit)}[/]", highlight=False)
    for note in answer.notes:
        err.print(note, highlight=False, markup=False)
    if hidden := phrasing.unseen(answer.coverage):
        err.print(f"[dim]{hidden}. `sensorium failures` says why.[/]", highlight=False)


def not_taken(scan: Tally) -> list[str]:
    """What a scan met and did not take, in sentences."""
    found = []
    if scan.away:
        found.append(
            f"{phrasing.count(scan.away, 'file')} away: the folder is empty or does not exist. No file was marked as missing."
        )
    if scan.excluded:
        found.append(f"{scan.excluded:,} excluded (hidden files, system files, or by a pattern).")
    if scan.passed:
        found.append(f"Not media, or no reader for it: {phrasing.suffixes(scan.passed)}{extras(scan.passed)}.")
    return found


def extras(suffixes: Iterable[str]) -> str:
    """What to install so that some files without a reader have one, to be added to their counts; empty where nothing helps."""
    wanted = sorted({extra for suffix in suffixes if (extra := extra_of(suffix))})
    return f"; pip install 'sensorium[{','.join(wanted)}]' reads some of them" if wanted else ""


def passed(files: Sequence[Passed]) -> None:
    """Print the files that no reader takes, by suffix."""
    for known, title in ((True, "No reader for"), (False, "Not media")):
        if counts := {one.suffix: one.count for one in files if one.known is known}:
            out.print(
                f"[bold]{title}[/] ({sum(counts.values())})  {escape(phrasing.suffixes(counts, 30) + extras(counts))}",
                highlight=False,
                soft_wrap=True,
            )


def failures(lines: list[Any]) -> None:
    """Print the ledger, grouped by reason, each with its remedy."""
    reasons: dict[str, list[Any]] = {}
    for line in lines:
        reasons.setdefault(line.reason, []).append(line)
    for reason, some in reasons.items():
        out.print(f"[bold]{reason}[/] ({len(some)})  [green]{escape(some[0].remedy)}[/]", highlight=False)
        for line in some:
            where = f" {span(line.span)}" if line.span else ""
            detail = "" if some[0].remedy.startswith(line.detail) else f"  [dim]{escape(line.detail)}[/]"
            out.print(f"  {escape(name(line.path))}{where}{detail}", highlight=False, soft_wrap=True)


def unread(some: Sequence[Unread], files: Sequence[UnreadFile]) -> None:
    """Print what no reader has read: on stdout if there are ``files`` to list, else on stderr, with how to list them."""
    for one in some:
        told, remedy = phrasing.wordless(one.channel, one.why, one.assets, one.duration_ms)
        where = out if files else err
        where.print(f"[bold]{told}[/]", highlight=False)
        where.print(f"  [green]{remedy}[/]", highlight=False, soft_wrap=True)  # a command stays whole
        for file in (file for file in files if (file.channel, file.why) == (one.channel, one.why)):
            length = f" {phrasing.clock(file.duration_ms)}" if file.duration_ms else ""
            out.print(f"  {escape(name(file.path))}[dim]{length}[/]", highlight=False, soft_wrap=True)
    if some and not files:
        err.print("[dim]`sensorium failures --unread` lists them.[/]", highlight=False)


@contextmanager
def indexing(*, as_json: bool, quiet: bool = False) -> Iterator[Any]:
    """A report function for the indexer: a bar with rate and time left on stderr, or a JSON event a second on stdout."""
    if as_json:
        from indexer.events import Events

        yield Events(emit, every=1.0)
        return
    bar = Progress(
        TextColumn("[cyan]{task.description}"), BarColumn(bar_width=30), TextColumn("{task.completed}/{task.fields[of]}"),
        TextColumn("[dim]{task.fields[rate]}"), TimeRemainingColumn(compact=True), TextColumn("[dim]{task.fields[current]}"),
        console=err, transient=True, disable=quiet,
    )  # fmt: skip
    with bar:
        yield _Bar(bar)


class _Bar:
    """Feeds rich's progress bar from the pipeline's counts."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("scanning", total=None, of="?", rate="", current="")
        self._reader = ""

    def __call__(self, tally: Tally, done: Done, scanning: bool) -> None:
        task = self._bar.tasks[0]
        if (done.stage or done.reader) != self._reader:  # another kind of work: its rate is another
            self._reader = done.stage or done.reader
            self._bar.reset(self._task)
        if done.stage:
            rate = f"{task.speed:,.0f} vectors/s" if task.speed else ""
            self._bar.update(
                self._task, completed=done.stage_done, total=done.stage_of or None, of=f"{done.stage_of or '?'}", rate=rate,
                description=done.stage, current="",
            )  # fmt: skip
            return
        if done.reader:
            rate = f"{task.speed:.2g} files/s" if task.speed else ""
            self._bar.update(
                self._task, completed=round(done.behind, 2), total=done.to_read, of=str(done.to_read), rate=rate,
                description=phrasing.reading(done.reader), current=name(done.current)[-40:],
            )  # fmt: skip
            return
        ended = done.done + done.failed
        total = max(tally.queued, ended)
        rate = f"{task.speed:.1f} files/s" if task.speed else ""
        self._bar.update(
            self._task, completed=ended, total=None if scanning else total, of=f"{total}{'+' if scanning else ''}",
            description="scanning, indexing" if scanning else "indexing", rate=rate, current=name(done.current)[-40:],
        )  # fmt: skip


def round_of(*, as_json: bool) -> Callable[[Any], None]:
    """What tells of a round of watching: a line with the time, or a JSON event."""

    def tell(found: Any) -> None:  # noqa: ANN401 - indexer.watch needs a package of its own
        scan, work = found.scan, found.progress
        if as_json:
            emit({"event": "round"} | asdict(found))
            return
        counts = {
            "indexed": work.done, "already known": scan.files - scan.unchanged - work.done - work.failed - scan.rejected,
            "unchanged": scan.unchanged, "gone": found.missing, "failed": work.failed + scan.rejected,
        }  # fmt: skip
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count > 0)
        if told:
            out.print(f"[dim]{time.strftime('%H:%M:%S')}[/] {told}", highlight=False)

    return tell


@contextmanager
def counting(what: str, total: int) -> Iterator[Any]:
    """A function that takes how many of ``total`` are done, and shows them on stderr."""
    columns = (
        TextColumn("[cyan]{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed}/{task.total}"),
    )
    with Progress(*columns, TimeRemainingColumn(compact=True), console=err, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def transferring(what: str) -> Iterator[Callable[[int, int], None]]:
    """A function that takes how many bytes are here, and how many there are, and shows them on stderr with rate and time left."""
    columns = (TextColumn("[cyan]{task.description}"), BarColumn(bar_width=30), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(compact=True), console=err, transient=True) as bar:
        task = bar.add_task(escape(what), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
