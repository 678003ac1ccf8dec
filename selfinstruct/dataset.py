"""The judge's verdicts on any dataset of one row per task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfinstruct.records import Fate
from selfinstruct.runs import open_stored
from selfinstruct.tables import read_table, write_table

if TYPE_CHECKING:
    from pathlib import Path


def kept_rows(folder: Path, file: Path, out: Path) -> int:
    """Write the rows of `file` that the judged run in `folder` kept, with their scores, to `out`; return their number."""
    with open_stored(folder) as run:
        label = run.tree.rows
        scores = {row.request: body["record"]["score"] for row, body in run.store.scan(label, fate=Fate.ACCEPTED)}
    rows = [row for _, row in read_table(file)]
    write_table(out, [{**rows[number], "score": score} for number, score in sorted(scores.items())])
    return len(scores)
