"""Takes up what an earlier process left of unsettled requests. Knows no task and no engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfinstruct.engines.base import Reply
from selfinstruct.records import Fate, Provenance, Request
from selfinstruct.runner.tree import Place, Tree
from selfinstruct.stage import stage_parents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfinstruct.runner.ask import Answers
    from selfinstruct.runner.plan import Plan, Tally
    from selfinstruct.runner.walk import Made
    from selfinstruct.store import RunReader


def answers(store: RunReader, *, numbers: Sequence[int] | None = None) -> Answers:
    """Return every answer (or those of some requests) whose work is not done yet."""
    return {call: (prompt, Reply.model_validate(body)) for call, prompt, body in store.answered(numbers=numbers)}


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


def begun(known: Made) -> dict[int, Tree]:
    """Return what the first stage made of each request, where it made anything; `known` is left as it is."""
    trees: dict[int, Tree] = {}
    for path, record in (one for found in known.values() for one in found):
        top, _, index = path.partition(".")
        if "." not in index:
            number = int(top)
            request = Request(id=record.parent, parent="", provenance=Provenance(stage="request"), number=number)
            trees.setdefault(number, Tree()).accepted.append(Place(number, top, request).child(path, record))
    return trees
