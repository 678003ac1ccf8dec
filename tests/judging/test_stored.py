"""The judged table of a run holds what its store holds: every answer once, with its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfinstruct import pipeline, recipe
from selfinstruct.judging import stored
from selfinstruct.records import Fate
from selfinstruct.runs import open_stored

if TYPE_CHECKING:
    from pathlib import Path


def test_every_answer_with_its_verdict(tmp_path: Path) -> None:
    """As many answers as the ledger accepted, as many scored ones as it judged; the best is what the row says."""
    pipeline.run_sync(recipe.load("demo", environment={}), tmp_path / "run", target=20)
    with open_stored(tmp_path / "run") as run:
        table = list(stored.tasks(run))
        counted = run.accounts().stages
        rows = {
            row.parent: body["record"] for row, body in run.store.scan("select", upto=run.closing) if body["record"]
        }
        instances = [row.id for row, _ in run.store.scan("instances", fate=Fate.ACCEPTED, upto=run.closing)]
    assert [task.id for task in table] == instances
    assert sum(len(task.candidates) for task in table) == counted["respond"].accepted
    assert sum(len(task.scored) for task in table) == counted["judge"].accepted
    assert {task.is_classification for task in table} == {True, False}
    for task in table:
        row = rows.get(task.id)
        if row is not None:
            best = task.scored[0]
            assert (task.instruction, task.input) == (row["instruction"], row["input"])
            assert (best.text, best.score) == (row["output"], row["score"])
