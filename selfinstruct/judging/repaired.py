"""The preference pairs that a run's pairing would make under another cut, without a call. Changes nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from selfinstruct.errors import BadInputError
from selfinstruct.judging.cut import Cut
from selfinstruct.judging.length import at_equal_length
from selfinstruct.judging.replay import replayed
from selfinstruct.judging.scored import scale_of
from selfinstruct.pairing import length_ratio
from selfinstruct.records import DropReason, Fate, PreferencePair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.runs import StoredRun


def pairs(run: StoredRun, cut: Cut) -> Iterator[tuple[str, PreferencePair | DropReason]]:
    """Yield (path, pair or why there is none) for each instance: what the run's pairing makes of its answers under this cut.

    Pairs that a judge was shown in both orders are taken as they are stored.

    Raises:
        BadInputError: the run pairs nothing, or a cut below its own would take verdicts that it does not have.
    """
    writers = [one for one in run.recipe.stages if one.writes() is PreferencePair]
    stage = next((one for one in writers if one.free), None)
    if stage is None:
        msg = f"{run.folder} cannot give pairs: its recipe makes none"
        raise BadInputError(msg, remedy="add the stage `pair` (after `respond` and a judge) and start a new run")
    asked = {"least_chosen": cut.min_score, "least_margin": cut.min_margin, "most_length_ratio": cut.max_length_ratio}
    changed = {name: value for name, value in asked.items() if value is not None}
    if unknown := sorted(changed.keys() - type(stage).model_fields.keys()):
        msg = f"stage {stage.label} pairs without {', '.join(unknown)}"
        raise BadInputError(msg, remedy="leave the option out")
    if writers[-1] is not stage:
        yield from _shown_twice(run, cut, stage)
        return
    again: Any = type(stage).model_validate({**stage.model_dump(), "gates": stage.gates, **changed})
    with asyncio.Runner() as loop:
        for path, stored in replayed(run, stage.label):
            work = at_equal_length(stored, cut.per_doubling, scale_of(run))
            for made in loop.run(again.process(work.record, work)):
                yield path, made if isinstance(made, PreferencePair) else made.reason


def own_pairing(run: StoredRun) -> Cut | None:
    """Return the lowest cut for which the pairs of `run` are known; None where every one is."""
    writers = [one for one in run.recipe.stages if one.writes() is PreferencePair]
    if not writers or writers[-1].free:
        return None
    guards: Any = next((one for one in writers if one.free), writers[0])
    return Cut(min_score=guards.least_chosen, min_margin=guards.least_margin, max_length_ratio=guards.most_length_ratio)


def _shown_twice(run: StoredRun, cut: Cut, guards: Any) -> Iterator[tuple[str, PreferencePair]]:  # noqa: ANN401 - a pairing stage
    if cut.per_doubling:
        msg = f"{run.folder}: its pairs were judged in both orders as they are; others, chosen at equal length, never were"
        raise BadInputError(msg, remedy="leave --length-corrected out, or take a format of rows: --format messages")
    margin = guards.least_margin if cut.min_margin is None else cut.min_margin
    ratio = guards.most_length_ratio if cut.max_length_ratio is None else cut.max_length_ratio
    if cut.min_score < guards.least_chosen or margin < guards.least_margin or ratio > guards.most_length_ratio:
        msg = f"{run.folder}: its pairs were judged in both orders, and those beyond its own guards never were"
        own = f"a score of {guards.least_chosen:g}, a margin of {guards.least_margin:g}, a ratio of {guards.most_length_ratio:g}"
        raise BadInputError(msg, remedy=f"stay within {own}; or a new run with other guards")
    for row, body in run.store.scan(run.writer_of(PreferencePair), fate=Fate.ACCEPTED, upto=run.closing):
        pair = PreferencePair.model_validate(body["record"])
        if (
            pair.chosen_score >= cut.min_score
            and pair.margin >= margin
            and length_ratio(pair.chosen, pair.rejected) <= ratio
        ):
            yield row.path, pair
