"""Reads the judged table of a run that exists."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from selfinstruct.judged import JudgedTask, aspects, candidates
from selfinstruct.records import Classification, Fate, Instance, Instruction, Judgement, Record, Response
from selfinstruct.stage import stage_parents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.runs import StoredRun
    from selfinstruct.store import RecordRow


def tasks(run: StoredRun, *, every: int = 1) -> Iterator[JudgedTask]:
    """Yield every accepted instance of `run` with its answers and their verdicts, in admission order, up to its last row.

    `every` above 1 reads only the instances of every so manyth request.
    """
    stages = run.recipe.stages
    kinds: dict[str, type[Record]] = {stage.label: stage.writes() for stage in stages}
    judges = aspects(stages)
    label = next(one for one in stage_parents(stages) if kinds[one] is Instance)
    found = run.store.scan(fate=Fate.ACCEPTED, upto=run.closing) if every == 1 else _some(run, every)
    for _, group in groupby(found, key=lambda one: one[0].request):
        rows = [(row, kinds[row.stage], body["record"]) for row, body in group]
        for row, _, record in rows:
            if row.stage == label:
                yield _task(row, record, rows, judges=judges)


def _some(run: StoredRun, every: int) -> Iterator[tuple[RecordRow, Any]]:
    first = next(label for label, parent in run.tree.parents.items() if parent is None)
    last = int(run.closing.partition(".")[0]) + 1 if run.closing else run.store.worked()[first]
    for row, body in run.store.of_requests(range(0, last, every)):
        within = run.closing is None or row.path <= f"{run.closing}~"  # as the store has it
        if within and row.fate == Fate.ACCEPTED:
            yield row, body


def _task(
    row: RecordRow,
    record: Any,  # noqa: ANN401 - a stored body
    rows: list[tuple[RecordRow, type[Record], Any]],
    *,
    judges: int,
) -> JudgedTask:
    above = {kind: found for one, kind, found in rows if row.path.startswith(f"{one.path}.")}
    under = [(kind, found) for one, kind, found in rows if one.path.startswith(f"{row.path}.")]
    instruction = above.get(Instruction) or {}
    classification = above.get(Classification)
    return JudgedTask(
        id=row.id,
        path=row.path,
        instruction=instruction.get("text", ""),
        input=record["input"],
        candidates=tuple(
            candidates(
                (Response.model_validate(found) for kind, found in under if kind is Response),
                [Judgement.model_validate(found) for kind, found in under if kind is Judgement],
                judges=judges,
            )
        ),
        is_classification=classification["is_classification"] if classification else None,
        shown=tuple(instruction.get("shown", ())),
    )
