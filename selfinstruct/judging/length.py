"""Scores at equal length: what a judge gives for length is taken off before the best answer is chosen. Stored ones stay."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

from selfinstruct import judged
from selfinstruct.judging.bias import doublings
from selfinstruct.records import Judgement

if TYPE_CHECKING:
    from selfinstruct.stage import Work


def at_equal_length(work: Work, per_doubling: float, scale: tuple[float, float]) -> Work:
    """Return `work` with each score below it less `per_doubling` for every doubling of length over its task's mean, on the scale.

    A task with one answer keeps its score. The scores are copies: `raw_score` finds what the judge said.
    """
    answers = [one for one in judged.below(work) if one.score is not None]
    if not per_doubling or not answers:
        return work
    middle = fmean(doublings(one.text) for one in answers)
    off = {one.id: per_doubling * (doublings(one.text) - middle) for one in answers}
    lowest, highest = scale
    below = (
        one.model_copy(update={"score": min(highest, max(lowest, one.score - off[one.response]))})
        if isinstance(one, Judgement) and one.response in off
        else one
        for one in work.below
    )
    return replace(work, below=tuple(below))


def raw_score(work: Work, output: str) -> float | None:
    """Return what the judge gave the answer `output` of an uncorrected work."""
    return next((one.score for one in judged.best_first(judged.below(work)) if one.text == output), None)
