"""Chooses two answers of a task to learn a preference from, or says which guard refuses. Knows no stage, store or file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from selfinstruct.judged import best_first
from selfinstruct.records import DropReason, Frozen

if TYPE_CHECKING:
    from random import Random

    from selfinstruct.judged import Candidate

Strategy = Literal["zephyr", "max-min", "margin"]
"""zephyr: the best against a random other one (Zephyr's binarisation of UltraFeedback). max-min: against the worst. margin:
against the nearest one below it that keeps the margin: hard pairs, for a model that already does well."""

FEW_CHARACTERS = 200
"""Added to both lengths before they are compared: "Yes." and "Certainly not." differ by little that a model could learn."""


class Guards(Frozen):
    """What a pair must be, so that it teaches what is better and not what is longer."""

    least_chosen: float = 4.5
    """The chosen answer scores at least this."""
    least_margin: Annotated[float, Field(gt=0)] = 0.5
    """Chosen minus rejected is at least this; above zero, so a tie is never a pair."""
    most_length_ratio: Annotated[float, Field(gt=1)] = 3.0
    """The longer of the two answers is at most so many times as long, 200 characters added to both. No published figure:
    judges prefer the longer answer (FastChat 3911: it wins 68 %), and such pairs teach just that."""


def pair(
    candidates: Sequence[Candidate], *, strategy: Strategy, guards: Guards, draw: Random
) -> tuple[Candidate, Candidate] | DropReason:
    """Return (chosen, rejected), or the first guard that leaves none: each asked in turn of those that are left."""
    scored = best_first(candidates)
    if len(scored) < 2:  # noqa: PLR2004 - a pair has two
        return DropReason(rule="too_few_answers", figure=len(scored), threshold=2)
    best, others = scored[0], scored[1:]
    if _score(best) < guards.least_chosen:
        return DropReason(rule="chosen_score", figure=_score(best), threshold=guards.least_chosen)
    other_texts = [one for one in others if one.text != best.text]
    if not other_texts:
        return DropReason(rule="equal_text", figure=len(scored))
    lower = [one for one in other_texts if _score(best) - _score(one) >= guards.least_margin]
    if not lower:
        margin = _score(best) - _score(other_texts[-1])
        return DropReason(rule="margin", figure=margin, threshold=guards.least_margin)
    near = [one for one in lower if length_ratio(best.text, one.text) <= guards.most_length_ratio]
    if not near:
        ratio = min(length_ratio(best.text, one.text) for one in lower)
        return DropReason(rule="length_gap", figure=round(ratio, 2), threshold=guards.most_length_ratio)
    match strategy:
        case "max-min":
            return best, near[-1]
        case "margin":
            return best, near[0]
        case "zephyr":
            return best, draw.choice(near)


def length_ratio(one: str, other: str) -> float:
    """Return how many times as long the longer text is, 1 for equal lengths."""
    shorter, longer = sorted((len(one), len(other)))
    return (longer + FEW_CHARACTERS) / (shorter + FEW_CHARACTERS)


def _score(candidate: Candidate) -> float:
    assert candidate.score is not None  # noqa: S101 - sorted out above
    return candidate.score
