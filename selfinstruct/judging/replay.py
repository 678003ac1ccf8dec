"""The works of a stage that asks no model, once more, from what a run has stored. Nothing is written."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NoReturn

from selfinstruct.errors import BadInputError
from selfinstruct.judged import aspects
from selfinstruct.pool import Pool
from selfinstruct.records import Fate, Record, content_id
from selfinstruct.stage import Work, stage_parents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.runs import StoredRun


def replayed(run: StoredRun, label: str) -> Iterator[tuple[str, Work]]:
    """Yield (path, work) of stage `label` on each accepted record that it reads, in order, up to the run's last row.

    Raises:
        BadInputError: the stage asks a model.
    """
    stages = {stage.label: stage for stage in run.recipe.stages}
    if not stages[label].free:
        msg = f"stage {label} asks a model: it cannot be worked out again without calls"
        raise BadInputError(msg, remedy=f"selfinstruct resume {run.folder}")
    parent = stage_parents(run.recipe.stages)[label]
    earlier = list(stages)[: list(stages).index(label)]
    found = run.store.scan(fate=Fate.ACCEPTED, upto=run.closing)
    pool = Pool(())
    for _, group in groupby(found, key=lambda one: one[0].request):
        places = [
            (row.stage, row.path, stages[row.stage].writes().model_validate(body["record"]))
            for row, body in group
            if row.stage in earlier
        ]
        for stage, path, record in places:
            if stage == parent:
                yield path, _work(run, label, path, record, places, pool)


def _work(
    run: StoredRun, label: str, path: str, record: Record, places: list[tuple[str, str, Record]], pool: Pool
) -> Work:
    return Work(
        id=content_id("replay", label, record.id),
        stage=label,
        record=record,
        ancestors=tuple(one for _, other, one in places if path.startswith(f"{other}.")),
        below=tuple(one for _, other, one in places if other.startswith(f"{path}.")),
        failed_below=0,
        pool=pool,
        run_seed=run.recipe.seed,
        language=run.recipe.language,
        attempt=1,
        ask=_nobody,
        aspects=aspects(run.recipe.stages),
    )


async def _nobody(engine: str, _request: object) -> NoReturn:
    msg = f"a stage that is worked out again asked {engine}"
    raise RuntimeError(msg)
