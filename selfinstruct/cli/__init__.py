"""The command line. Every command is a few lines over the library; stdout is data, stderr is talk.

One file per family of commands; their order here is the order of --help. Nothing heavy is imported before a command needs
it: `--help` loads typer and rich only.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from selfinstruct import __version__

from selfinstruct.cli import making, working, looking, reporting, calibrating, data, auditing  # isort: skip - order of --help
from selfinstruct.cli import cataloguing, datasets, downloading, viewing, before, serving  # isort: skip - the same
from selfinstruct.cli._shared import app, say
from selfinstruct.errors import Exit, SelfInstructError
from selfinstruct.text.show import printable

__all__ = [
    "auditing",
    "before",
    "calibrating",
    "cataloguing",
    "data",
    "datasets",
    "downloading",
    "looking",
    "main",
    "making",
    "reporting",
    "serving",
    "viewing",
    "working",
]


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"selfinstruct {__version__}")
        raise typer.Exit


@app.callback()
def common(
    *,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=lambda value: _version(wanted=value), is_eager=True)
    ] = False,
) -> None:
    """Take what every command has."""
    del version
    global _verbose  # noqa: PLW0603 - read once, where errors end
    _verbose = verbose


_verbose = False
STOPPED = "stopped; the same command goes on"


def main() -> NoReturn:
    """Run a command; turn errors into one message, a remedy and an exit status."""
    os.environ.setdefault("DO_NOT_TRACK", "1")  # nothing phones home, nor do libraries of ours
    try:
        app()
    except SelfInstructError as error:
        _fail(error, status=error.exit_status, remedy=error.remedy)
    except SystemExit as ended:
        if _interrupted(ended):
            say(STOPPED)
        raise
    except KeyboardInterrupt:
        say(STOPPED)
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output went away (`| head`): that is no error of ours, and nothing more can be said there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.DONE)
    except Exception as error:  # noqa: BLE001 - the end of the line: a fault of ours, told without a traceback
        _fail(
            error,
            status=Exit.FAILED,
            remedy="a fault of selfinstruct; the same command after `selfinstruct -v` shows where",
        )
    sys.exit(Exit.DONE)


def _interrupted(ended: SystemExit) -> bool:
    """Say whether typer made this end of a Ctrl-C, of which it tells nothing; a command that told of it ends otherwise."""
    return isinstance(getattr(ended.__context__, "__cause__", None), KeyboardInterrupt)


def _fail(error: Exception, *, status: Exit, remedy: str) -> NoReturn:
    if _verbose:
        import traceback

        traceback.print_exception(error)
    name = "" if isinstance(error, SelfInstructError) else f"{type(error).__name__}: "
    lines = [printable(line, longest=500) for line in f"{name}{error}".splitlines()]
    say("error: " + "\n".join(lines or [type(error).__name__]))
    if remedy:
        say(f"  try: {printable(remedy, longest=500)}")
    sys.exit(status)
