"""The one table behind every export of judged answers: a task, its answers, and what was said of each. Knows no store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from selfinstruct.records import Judgement, Response

if TYPE_CHECKING:
    from selfinstruct.stage import Stage, Work


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer to a task, with every verdict on it."""

    id: str
    text: str
    model: str
    """Who wrote it; empty when that is not known."""
    verdicts: tuple[Judgement, ...] = ()
    """One per judge stage (`provenance.stage` names it): one for a single rubric, four for UltraFeedback's aspects."""
    reasoning: str = ""

    @property
    def score(self) -> float | None:
        """Mean of its verdicts' scores; None for an answer that nobody could score."""
        return fmean(one.score for one in self.verdicts) if self.verdicts else None


@dataclass(frozen=True, slots=True)
class JudgedTask:
    """An instance of an instruction, with all answers to it, in the order in which they were written."""

    id: str
    """Of the instance."""
    path: str
    """Of the instance: text order is admission order."""
    instruction: str
    input: str
    candidates: tuple[Candidate, ...]
    is_classification: bool | None = None
    shown: tuple[str, ...] = ()
    """Ids of the demonstrations that its instruction was written from: seeds, or instructions."""

    @property
    def scored(self) -> list[Candidate]:
        """Return its answers with a score, the best first."""
        return best_first(self.candidates)


def best_first(answers: Iterable[Candidate]) -> list[Candidate]:
    """Return those that have a score, the best first; the earliest among equals."""
    return sorted((one for one in answers if one.score is not None), key=lambda one: -(one.score or 0))


def aspects(stages: Iterable[Stage[Any, Any]]) -> int:
    """Return how many stages of a recipe judge: an answer has a score when each of them gave one."""
    return sum(stage.writes() is Judgement for stage in stages)


def candidates(responses: Iterable[Response], judgements: Sequence[Judgement], *, judges: int = 1) -> list[Candidate]:
    """Return one candidate per response. One that fewer than `judges` judge stages could score has no verdict at all."""
    verdicts: dict[str, list[Judgement]] = {}
    for one in judgements:
        verdicts.setdefault(one.response, []).append(one)
    whole = {response: tuple(found) for response, found in verdicts.items() if len(found) >= judges}
    return [
        Candidate(one.id, one.text, one.provenance.model, whole.get(one.id, ()), one.reasoning) for one in responses
    ]


def below(work: Work) -> list[Candidate]:
    """Return the answers below the instance that a stage works on."""
    return candidates(work.find_below(Response), work.find_below(Judgement), judges=work.aspects)
