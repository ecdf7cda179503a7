"""The command line. Data goes to stdout, progress and errors to stderr; ``--json`` everywhere.

Exit codes: 0 ok, 1 error, 2 usage, 3 nothing found, 4 some files failed, 5 a model is not here and cannot be fetched.
Commands stand in ``ui.commands``. Each imports what it needs when it runs, so that help comes at once.
"""

from __future__ import annotations

import sys

import typer

from search.errors import SensoriumError
from ui import tokens
from ui.commands import (
    additions,
    archive,
    calibration,
    compare,
    database,
    health,
    judging,
    measure,
    models,
    search,
    service,
    writing,
)
from ui.terminal import complain

app = typer.Typer(
    help="Search media archives: find images, video, sound and text with any of them.",
    no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None,
)  # fmt: skip

for command in (
    archive.index, archive.watch, archive.retry, archive.tag, archive.delete,
    search.search, search.similar, judging.judge, writing.ask, writing.translate,
    health.status, health.failures, health.verify, health.doctor,
    calibration.calibration, service.serve, service.demo,
):  # fmt: skip
    app.command()(command)
app.command("eval")(measure.evaluate)
additions.spaces.command("diff")(compare.diff)
additions.spaces.command("calibrate")(calibration.calibrate)
for name, group in {
    "bench": measure.measuring, "spaces": additions.spaces, "readers": additions.readers, "models": models.models, "tokens": tokens.app,
    "db": database.db,
}.items():  # fmt: skip
    app.add_typer(group, name=name)


def main() -> None:
    """Run the command; errors become a message with what to do, and an exit code."""
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
