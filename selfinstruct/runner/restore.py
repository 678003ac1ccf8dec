"""Takes up what an earlier process left of unsettled requests. Knows no task and no engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfinstruct.engines.base import Reply
from selfinstruct.records import Fate
from selfinstruct.stage import stage_parents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfinstruct.runner.ask import Answers
    from selfinstruct.runner.plan import Plan, Tally
    from selfinstruct.runner.walk import Made
    from selfinstruct.store import RunReader


def answers(store: RunReader) -> Answers:
    """Return every answer whose work is not done yet."""
    return {call: (prompt, Reply.model_validate(body)) for call, prompt, body in store.answered()}


def unsettled(store: RunReader, plan: Plan) -> set[int]:
    """Return the admitted requests from which something is still to be done, or failed."""
    parents = stage_parents(plan.stages)
    return {n for label, parent in parents.items() if parent for n in store.pending(label, parent=parent)}


def made(store: RunReader, plan: Plan, numbers: Sequence[int], *, tally: Tally) -> Made:
    """Return the finished work of these requests. Free and failed work is done anew: `tally` forgets its counts."""
    stages = {stage.label: stage for stage in plan.stages}
    works = {row.id: row for row in store.works(numbers=numbers)}
    redo = {row.id for row in works.values() if stages[row.stage].free or row.error is not None}
    redo -= {row.id for row in works.values() if row.stage == plan.root.label}
    known: Made = {row.id: [] for row in works.values() if row.id not in redo}
    for row in works.values():
        if row.id in redo and row.error is not None:
            tally.count(row.stage, Fate.FAILED, by=-1)
    for record, body in store.of_requests(numbers):
        if record.work in redo:
            tally.count(record.stage, Fate(record.fate), rule=record.rule, by=-1)
        elif record.fate == Fate.ACCEPTED:
            kind = stages[record.stage].writes()
            known[record.work].append((record.path, kind.model_validate(body["record"])))
    return known
