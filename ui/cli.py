"""The command line. Data goes to stdout, progress and errors to stderr; ``--json`` everywhere.

Exit codes: 0 ok, 1 error, 2 usage, 3 nothing found, 4 some files failed, 5 a model is not here and cannot be fetched.
Commands stand in ``ui.commands``. Each imports what it needs when it runs, so that help comes at once.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from search.errors import SensoriumError
from ui import usage
from ui.commands import (
    additions,
    archive,
    calibration,
    compare,
    contests,
    copies,
    database,
    exporting,
    health,
    judging,
    measure,
    models,
    motion,
    narrowing,
    plan,
    provenance,
    saved,
    search,
    service,
    tokens,
    writing,
)
from ui.terminal import complain

app = typer.Typer(
    cls=usage.Group, context_settings=usage.WIDTH, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False,
    rich_markup_mode=None,
    help="""Search media archives by meaning: find images, video, sound and text with any of them.

    Examples:
      sensorium demo
      sensorium index ~/Pictures ~/Videos
      sensorium search boats on the shore at sunset
      sensorium COMMAND --help
    """,
)  # fmt: skip

COMMANDS: dict[str, tuple[Callable[..., Any], ...]] = {
    "Archive": (archive.index, archive.watch, archive.retry, archive.delete, archive.tag),
    "Search": (
        search.search,
        search.similar,
        plan.plan,
        narrowing.facets,
        narrowing.contrast,
        narrowing.survey,
        copies.duplicates,
        copies.reuse,
        exporting.export,
        writing.ask,
        writing.translate,
        judging.judge,
        provenance.provenance,
        motion.motion,
    ),
    "State": (health.status, health.failures, health.verify, health.doctor),
    "Service": (service.serve, service.demo, service.mcp, contests.dres),
    "Measure": (measure.evaluate, calibration.calibration),
}
"""Titles of help -> the commands below them, in this order."""

GROUPS = {
    "Search": {"fields": narrowing.fields, "things": narrowing.things, "saved": saved.saved},
    "State": {"db": database.db},
    "Service": {"tokens": tokens.app},
    "Measure": {"bench": measure.measuring},
    "Models": {"models": models.models, "spaces": additions.spaces, "readers": additions.readers},
}
"""Titles of help -> the groups of commands below them."""

for title, commands in COMMANDS.items():
    for command in commands:
        app.command({measure.evaluate: "eval", narrowing.survey: "map"}.get(command), rich_help_panel=title)(command)
additions.spaces.command("diff")(compare.diff)
additions.spaces.command("calibrate")(calibration.calibrate)
for title, groups in GROUPS.items():
    for name, group in groups.items():
        usage.dress(group.registered_commands)
        app.add_typer(group, name=name, cls=usage.Group, rich_help_panel=title)
usage.dress(app.registered_commands)


BRIEF = (
    search.search, search.similar, plan.plan, narrowing.facets, narrowing.contrast, judging.judge, health.status, health.failures,
)  # fmt: skip
"""Commands that answer from what is stored and end."""


def hasten(asked: str) -> None:
    """Spare what a command does not need. Typer builds every command, which takes longer than many run. One of ``BRIEF`` ends before there
    is anything to collect, and asks too little of BLAS for threads of it, one a core, to do more than wait for each other."""
    for one in app.registered_commands:
        if one.callback is not None and asked == (one.name or one.callback.__name__):
            app.registered_commands, app.registered_groups = [one], app.registered_groups[:1]  # one alone would be no group
            if one.callback in BRIEF:
                gc.disable()
                os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
            return


def main() -> None:
    """Run the command; errors become a message with what to do, and an exit code."""
    hasten(next(iter(sys.argv[1:]), ""))
    try:
        app()
    except SensoriumError as error:
        complain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
