"""What the commands share: the app, options that several have, talk on stderr, and a run carried out. No command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfinstruct.errors import BadInputError, Exit

if TYPE_CHECKING:
    from selfinstruct.pipeline import Report
    from selfinstruct.recipe import Recipe

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: half the start-up time of panels
    help="Grow instruction data from 175 seed tasks with a model you serve yourself; every row accounted for.",
    epilog="New here? `selfinstruct demo` shows everything in under half a minute, without a model.",
)

Folder = Annotated[Path, typer.Argument(help="Run folder.", metavar="RUN")]
Url = Annotated[str | None, typer.Option("--base-url", help="OpenAI-compatible server, for instance vLLM's.")]
Model = Annotated[str | None, typer.Option("-m", "--model", help="Model name; found by itself when there is one.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="Recipe field, for instance stages.respond.n=2.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")]
MaxTime = Annotated[str | None, typer.Option("--max-time", help="Stop cleanly after, for instance, 90s, 30m or 8h.")]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", min=1, help="Stop cleanly at so many tokens, in and out.")
]


def carry_out(
    recipe: Recipe,
    folder: Path,
    *,
    n: int,
    quiet: bool,
    max_time: str | None = None,
    max_tokens: int | None = None,
) -> Report:
    """Run or resume it under a watcher, tell how it ended, print its files."""
    from selfinstruct import pipeline
    from selfinstruct.console import Watcher
    from selfinstruct.runner import Limits

    limits = Limits(seconds=seconds(max_time), tokens=max_tokens)
    with Watcher(quiet=quiet) as watcher:
        report = pipeline.run_sync(recipe, folder, target=n, limits=limits, watch=watcher, handle_signals=True)
    summarise(report, quiet=quiet)
    for path, _ in report.exports.values():
        typer.echo(path)
    return report


def summarise(report: Report, *, quiet: bool) -> None:
    """Tell how it ended: everything, or with --quiet only what keeps it from being done."""
    from selfinstruct.console import summary

    if not quiet:
        summary(report)
    elif report.exit_status is not Exit.DONE:
        say(report.message)
        say(f"  try: {report.remedy}")


def seconds(text: str | None) -> float | None:
    """Read 90, 90s, 30m, 8h, 2d."""
    if text is None:
        return None
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        msg = f"--max-time {text!r} is not a time"
        raise BadInputError(msg, remedy="for instance 90s, 30m or 8h")
    return seconds


def say(text: str, *, quiet: bool = False) -> None:
    """Tell the user: stderr is talk, stdout is data."""
    if not quiet:
        typer.echo(text, err=True)
