"""What the commands share: the app, options that several have, talk on stderr, and a run carried out. No command."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfinstruct.errors import BadInputError, Exit

if TYPE_CHECKING:
    from selfinstruct.pipeline import Report
    from selfinstruct.recipe import Recipe
    from selfinstruct.runner import Limits

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
Urls = Annotated[
    list[str] | None, typer.Option("--base-url", help="OpenAI-compatible server; several of one model share the calls.")
]
Model = Annotated[str | None, typer.Option("-m", "--model", help="Model name; found by itself when there is one.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="Recipe field, for instance stages.respond.n=2.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")]
MaxTime = Annotated[str | None, typer.Option("--max-time", help="Stop cleanly after, for instance, 90s, 30m or 8h.")]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", min=1, help="Stop cleanly at so many tokens, in and out.")
]
MaxCost = Annotated[
    float | None, typer.Option("--max-cost", min=0, help="Stop cleanly at this cost, by the prices given beside it.")
]
PriceIn = Annotated[float, typer.Option("--price-in", min=0, help="Price of a million prompt tokens.")]
PriceOut = Annotated[float, typer.Option("--price-out", min=0, help="Price of a million written tokens.")]
GpuHour = Annotated[float, typer.Option("--gpu-hour", min=0, help="Price of an hour of the serving machine.")]
VllmPath = Annotated[
    Path | None,
    typer.Option(
        "--vllm", help="Python, environment or command that has vLLM [default: this one's, or the one on PATH]."
    ),
]
Replicas = Annotated[int, typer.Option("--replicas", min=1, help="Servers, each with its share of the GPUs.")]
Against = Annotated[
    list[Path] | None, typer.Option("--against", help="Dataset or X.novelty: nothing near to its texts is kept.")
]
Events = Annotated[
    Path | None, typer.Option("--events", help="Append what happens as JSON lines; - is stderr, without other talk.")
]
Metrics = Annotated[
    int | None,
    typer.Option("--metrics", min=0, max=65535, help="Port on 127.0.0.1 for Prometheus; 0 takes a free one."),
]

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="PostgreSQL database for a new run [default: $SELFINSTRUCT_STORE, else a file in its folder].",
    ),
]

Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        help="Processes that do all but the first stage, for a run in PostgreSQL; others join with `work`, 0: only those.",
    ),
]


def carry_out(  # noqa: PLR0913 - what the options of several commands give
    recipe: Recipe,
    folder: Path,
    *,
    n: int,
    quiet: bool,
    limits: Limits | None = None,
    events: Path | None = None,
    metrics: int | None = None,
    store: str | None = None,
    workers: int | None = None,
    again: str = "",
    tell_exports: bool = True,
) -> Report:
    """Run or resume it under a watcher, tell how it ended, print its files (`tell_exports`).

    `again` is what goes on with it, where that is not the report's `resume`.
    """
    from selfinstruct import pipeline
    from selfinstruct.console import Watcher
    from selfinstruct.runner import Limits

    with Watcher(folder, quiet=quiet, events=events, metrics=metrics) as watcher:
        report = pipeline.run_sync(
            recipe, folder, target=n, limits=limits or Limits(), watch=watcher, handle_signals=True, store=store,
            workers=workers,
        )  # fmt: skip
        watcher.ended(report)
    if again and report.remedy.startswith("selfinstruct resume"):
        report = replace(report, remedy=again)
    summarise(report, quiet=quiet or str(events) == "-")
    for path, _ in report.exports.values() if tell_exports else ():
        typer.echo(path)
    return report


def summarise(report: Report, *, quiet: bool) -> None:
    """Tell how it ended: everything, or with --quiet only what keeps it from being done."""
    from selfinstruct.console import summary

    if not quiet:
        with suppress(OSError):  # who read stderr is gone; the run is what it is, and its exit status says so
            summary(report)
    elif report.exit_status is not Exit.DONE:
        say(report.message)
        say(f"  try: {report.remedy}")


def flags_of(
    base_url: list[str] | None, model: str | None, seed: int | None, against: list[Path] | None
) -> dict[str, Any]:
    """Return the recipe fields that these options stand for."""
    return {
        "engines.writer.base_url": base_url,
        "engines.writer.model": model,
        "seed": seed,
        "stages.bootstrap.gates.rouge.against": [str(path) for path in against] if against else None,
    }


def limits_of(
    max_time: str | None, max_tokens: int | None, max_cost: float | None, *, price: tuple[float, float, float]
) -> Limits:
    """Return the caps of an invocation; `price` is in, out, GPU hour.

    Raises:
        BadInputError: a time that is none, or a cap on cost without a price.
    """
    from selfinstruct.price import Price
    from selfinstruct.runner import Limits

    if max_cost is not None and not any(price):
        msg = "--max-cost without a price: nothing would ever cost anything"
        raise BadInputError(msg, remedy="add --gpu-hour, or --price-in and --price-out")
    prices = Price(per_million_in=price[0], per_million_out=price[1], per_gpu_hour=price[2])
    return Limits(seconds=seconds(max_time), tokens=max_tokens, cost=max_cost, price=prices)


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
