"""Scores at equal length: what a judge gives for length is taken off before the best answer is chosen. Stored ones stay."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from selfinstruct import judged
from selfinstruct.judging.bias import for_length, within
from selfinstruct.records import Judgement

if TYPE_CHECKING:
    from selfinstruct.stage import Work


def at_equal_length(work: Work, per_doubling: float, scale: tuple[float, float]) -> Work:
    """Return `work` with each score below it less `per_doubling` for every doubling of length over its task's mean, on the scale.

    A task with one answer keeps its score. The scores are copies: `raw_score` finds what the judge said.
    """
    off = for_length(judged.below(work), per_doubling) if per_doubling else {}
    if not off:
        return work
    below = (
        one.model_copy(update={"score": within(one.score - off[one.response], scale)})
        if isinstance(one, Judgement) and one.response in off
        else one
        for one in work.below
    )
    return replace(work, below=tuple(below))


def raw_score(work: Work, output: str) -> float | None:
    """Return what the judge gave the answer `output` of an uncorrected work."""
    return next((one.score for one in judged.best_first(judged.below(work)) if one.text == output), None)
