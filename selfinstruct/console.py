"""Shows a run: a live table on a terminal, plain lines elsewhere, and the summary at its end. Writes to stderr only."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from types import TracebackType

    from selfinstruct.ledger import Accounts
    from selfinstruct.pipeline import Progress, Report

PLAIN_SECONDS = 10.0
"""Between two plain lines where there is no terminal."""

COLUMNS = ("made", "kept", "dropped", "failed", "in flight", "per min")


class Watcher:
    """A callable for `pipeline.run(watch=...)`; a context manager around it."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Say nothing at all when `quiet`."""
        self._console = Console(stderr=True, quiet=quiet)
        self._live = (
            Live(console=self._console, auto_refresh=False, transient=True) if self._console.is_terminal else None
        )
        self._next = 0.0
        self._handler = _Handler(self._console)
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        """Take the terminal, and the warnings of the library."""
        logging.getLogger("selfinstruct").addHandler(self._handler)
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        logging.getLogger("selfinstruct").removeHandler(self._handler)
        if self._live is not None:
            self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Show where the run stands."""
        if self._live is not None:
            self._live.update(_table(progress), refresh=True)
        elif progress.seconds >= self._next:
            self._next = progress.seconds + PLAIN_SECONDS
            self._console.print(_line(progress), highlight=False, markup=False, soft_wrap=True)


class _Handler(logging.Handler):
    """Prints warnings above the live table, as plain text."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record on one line."""
        self._console.print(printable(record.getMessage(), longest=400), highlight=False, markup=False, soft_wrap=True)


def _line(progress: Progress) -> str:
    stages = ", ".join(
        f"{label} {progress.tally.fates[label, 'accepted']}/{_made(progress, label)}" for label in progress.stages
    )
    return f"{progress.rows}/{progress.target} rows; {stages}; {progress.tally.calls} calls; {_pace(progress)}"


def _made(progress: Progress, label: str) -> int:
    return sum(progress.tally.fates[label, fate] for fate in ("accepted", "dropped", "failed"))


def _made_before(progress: Progress, label: str) -> int:
    return sum(progress.before[label, fate] for fate in ("accepted", "dropped", "failed"))


def _pace(progress: Progress) -> str:
    """Return rows per minute and the time left at that rate; the rate of this invocation, resumed rows not counted."""
    new = progress.rows - progress.before[progress.rows_stage, "accepted"]
    if new <= 0 or progress.seconds < 1:
        return f"{progress.seconds:.0f} s"
    rate = new / progress.seconds
    left = max(0, progress.target - progress.rows) / rate
    return f"{rate * 60:.0f} rows/min, {_duration(left)} left"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def _table(progress: Progress) -> Table:
    table = Table(title=f"{progress.rows} of {progress.target} rows  ({_pace(progress)})", title_justify="left")
    table.add_column("stage")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    table.add_column("dropped by")
    fates = progress.tally.fates
    for label in progress.stages:
        drops = {rule: count for (stage, rule), count in progress.tally.drops.items() if stage == label and count}
        table.add_row(
            label,
            str(_made(progress, label)),
            *(str(fates[label, fate]) for fate in ("accepted", "dropped", "failed")),
            str(progress.tally.in_flight[label]),
            f"{(_made(progress, label) - _made_before(progress, label)) / max(progress.seconds, 1) * 60:.0f}",
            escape(_rules(drops)),
        )
    tokens = progress.tally.prompt_tokens + progress.tally.completion_tokens
    table.caption = f"{progress.tally.calls} calls, {tokens:,} tokens; {escape(printable(', '.join(progress.models)))}"
    return table


def _rules(drops: dict[str, int]) -> str:
    return ", ".join(f"{rule} {count}" for rule, count in sorted(drops.items(), key=lambda item: (-item[1], item[0])))


def funnel(accounts: Accounts) -> Table:
    """Return the funnel of a finished run: one line per stage, the run's own last."""
    table = Table(title_justify="left")
    table.add_column("stage")
    for column in ("generated", "accepted", "dropped", "failed", "open"):
        table.add_column(column, justify="right")
    table.add_column("dropped by")
    for label, ledger in accounts.stages.items():
        counts = (ledger.generated, ledger.accepted, ledger.dropped, ledger.failed, ledger.open)
        table.add_row(label, *map(str, counts), escape(_rules(accounts.drops_by_stage[label])))
    table.add_section()
    run = accounts.ledger
    table.add_row("run", *map(str, (run.generated, run.accepted, run.dropped, run.failed, run.open)), "")
    return table


def summary(report: Report) -> None:
    """Print how a run ended, its funnel, its files and what to type next."""
    console = Console(stderr=True)
    console.print(funnel(report.accounts))
    calls = report.accounts.calls
    console.print(
        f"{report.message}; {calls['total']} calls ({report.reused} answers reused), {calls['prompt_tokens']:,} tokens in, "
        f"{calls['completion_tokens']:,} out; {report.accounts.surplus} surplus rows kept",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    for kind, (path, manifest) in report.exports.items():
        console.print(f"  {kind}: {manifest.rows} rows in {path}", highlight=False, markup=False, soft_wrap=True)
    if report.scripted:
        console.print("made by the scripted engine: for trying out, never to be published", markup=False)
    if report.remedy:
        console.print(f"next: {report.remedy}", highlight=False, markup=False, soft_wrap=True)
