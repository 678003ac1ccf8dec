"""How a run ended: its funnel, its files, and what to type next. Writes to stderr only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from selfinstruct.console.screen import Stderr
from selfinstruct.console.words import rules
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from selfinstruct.judging.balance import Balance, Spread
    from selfinstruct.ledger import Accounts
    from selfinstruct.pipeline import Report


def funnel(accounts: Accounts) -> Table:
    """Return the funnel of a finished run: one line per stage, the run's own last."""
    table = Table(title_justify="left")
    table.add_column("stage")
    for column in ("generated", "accepted", "dropped", "failed", "open"):
        table.add_column(column, justify="right")
    table.add_column("dropped by")
    for label, ledger in accounts.stages.items():
        counts = (ledger.generated, ledger.accepted, ledger.dropped, ledger.failed, ledger.open)
        table.add_row(escape(label), *map(str, counts), escape(rules(accounts.drops_by_stage[label])))
    table.add_section()
    run = accounts.ledger
    table.add_row("run", *map(str, (run.generated, run.accepted, run.dropped, run.failed, run.open)), "")
    return table


def labels(balance: Balance) -> Table:
    """Return how the labels of classification tasks are spread: as written, and as selected."""
    table = Table(title_justify="left")
    table.add_column("labels")
    for column in ("tasks", "rows", "one label only", "evenness"):
        table.add_column(column, justify="right")
    table.add_column("most frequent")
    written = f"as written, {balance.topped_up} tasks topped up" if balance.rounds else "as written"
    for name, spread in ((written, balance.written), ("as selected", balance.kept)):
        table.add_row(name, *_figures(spread))
    return table


def _figures(spread: Spread) -> tuple[str, ...]:
    even = (f"{spread.one_label:.1%}", f"{spread.evenness:.3f}") if spread.several else ("-", "-")
    most = ", ".join(f"{printable(label, longest=40)} {share:.1%}" for label, share in spread.most)
    return (str(spread.tasks), str(spread.rows), *even, escape(most))


def summary(report: Report) -> None:
    """Print how a run ended, its funnel, its files and what to type next."""
    console = Stderr(stderr=True)
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
