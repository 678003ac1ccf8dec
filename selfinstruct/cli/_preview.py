"""Carries out a preview: a small run of its own, shown. No command."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from selfinstruct.cli._forecasts import show
from selfinstruct.cli._shared import say
from selfinstruct.errors import Exit

if TYPE_CHECKING:
    from pathlib import Path

    from selfinstruct.forecast import Forecast, Sample
    from selfinstruct.pipeline import Report
    from selfinstruct.recipe import Recipe
    from selfinstruct.runner import Limits

SHOWN_ROWS, NARROWEST, WIDEST = 3, 60, 120


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a preview."""

    rows: int
    """To make."""
    order: int
    """Rows to reckon for."""
    as_json: bool
    quiet: bool


def carry_out(recipe: Recipe, folder: Path, wanted: Wanted, *, limits: Limits) -> Exit:
    """Run or resume it, show what it brought and what an order will take, and return how it ended."""
    from selfinstruct import pipeline
    from selfinstruct.console import Watcher
    from selfinstruct.forecast import forecast, sample
    from selfinstruct.runs import open_stored

    with Watcher(folder, quiet=wanted.quiet) as watcher:
        report = pipeline.run_sync(
            recipe, folder, target=wanted.rows, limits=limits, watch=watcher, handle_signals=True
        )
        watcher.ended(report)
    with open_stored(folder) as stored:
        rows = wanted.rows if wanted.as_json else SHOWN_ROWS
        brought, told = sample(stored, rows), forecast(stored, wanted.order, price=limits.price)
    (_print_json if wanted.as_json else _print)(report, brought, told)
    if report.remedy:
        say(f"{report.message}; next: {report.remedy}", quiet=wanted.quiet)
    else:
        say(f"next: selfinstruct resume {folder} -n {wanted.order}   goes on from these rows", quiet=wanted.quiet)
    return report.exit_status


def _print(report: Report, brought: Sample, told: Forecast | None) -> None:
    from selfinstruct.forecast import sheet

    width = min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)
    calls = report.accounts.calls
    typer.echo(f"{report.message}, {calls['total']:,} calls, in {report.folder}; the first of them:")
    for line in sheet(brought, width=width):
        typer.echo(line)
    typer.echo("")
    if told is None:
        typer.echo("nothing can be reckoned from it: not one request has come to its end")
    else:
        show(told)


def _print_json(report: Report, brought: Sample, told: Forecast | None) -> None:
    facts = {
        "run": str(report.folder),
        "message": report.message,
        "exit_status": int(report.exit_status),
        **brought.model_dump(mode="json"),
        "forecast": None if told is None else told.model_dump(mode="json"),
    }
    typer.echo(json.dumps(facts, ensure_ascii=True))
