"""What a small run has brought, to be looked at: some rows, and one drop of each rule. Model text is shown, never trusted."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from selfinstruct.forecast.model import DropExample, Example, Sample
from selfinstruct.records import Fate
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.runs import StoredRun

SHOWN_DROPS = 8
"""Rules that are shown, the most frequent first."""


def sample(run: StoredRun, rows: int) -> Sample:
    """Return the first `rows` finished rows, and every rule that dropped something, with the first record it dropped."""
    found = islice(run.store.scan(run.tree.rows, fate=Fate.ACCEPTED, upto=run.closing), rows)
    kept = tuple(Example(**{name: body["record"][name] for name in Example.model_fields}) for _, body in found)
    drops: dict[tuple[str, str], DropExample] = {}
    for row, body in run.drops():
        key = row.stage, str(row.rule)
        if key in drops:
            drops[key] = drops[key].model_copy(update={"count": drops[key].count + 1})
        else:
            drops[key] = _drop(row.stage, body)
    return Sample(rows=kept, drops=tuple(sorted(drops.values(), key=lambda one: (-one.count, one.stage, one.rule))))


def _drop(stage: str, body: dict[str, dict[str, object]]) -> DropExample:
    drop, record = body["drop"], body["record"]
    text = next((str(record[name]) for name in ("instruction", "text", "output", "chosen") if record.get(name)), "")
    return DropExample(
        stage=stage, rule=str(drop["rule"]), count=1, figure=drop["figure"], threshold=drop["threshold"], text=text
    )


def sheet(told: Sample, *, width: int) -> Iterator[str]:
    """Yield lines of at most `width` characters."""
    for row in told.rows:
        score = "" if row.score is None else f"{row.score:g}"
        yield _line(f"{score:>4}  ", row.instruction, width)
        if row.input:
            yield _line("      with ", row.input, width)
        yield _line("      ->   ", row.output, width)
    if told.drops:
        yield f"dropped: {sum(one.count for one in told.drops)}, for instance"
    for one in told.drops[:SHOWN_DROPS]:
        yield _line(
            f"{one.count:>4}  {printable(f'{one.stage}/{one.rule}', longest=30)}{_figures(one)}: ", one.text, width
        )
    if more := told.drops[SHOWN_DROPS:]:
        yield f"      and {sum(one.count for one in more)} by {len(more)} other rules: selfinstruct drops RUN"


def _figures(one: DropExample) -> str:
    if one.figure is None:
        return ""
    against = "" if one.threshold is None else f" against {printable(one.threshold, longest=12)}"
    return f" {printable(one.figure, longest=12)}{against}"


def _line(head: str, text: str, width: int) -> str:
    return head + printable(text, longest=max(20, width - len(head)))
