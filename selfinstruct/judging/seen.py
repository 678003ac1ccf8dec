"""Everything of a judged table that its audit tells, counted while the table passes by once. Knows no run and no words."""

from __future__ import annotations

from collections import Counter
from math import floor
from statistics import fmean
from typing import TYPE_CHECKING

from selfinstruct.judging.bias import LengthSlope, OwnFamily, doublings, given_scores
from selfinstruct.judging.estimate import Estimate, share
from selfinstruct.judging.stability import Repeats
from selfinstruct.records import Frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from selfinstruct.judged import JudgedTask

HALF = 0.5
"""Points that a bar of the histogram is wide."""


class Hesitation(Frozen):
    """Entropy of the judge's score, in nats, where the server gives log-probabilities."""

    verdicts: int
    mean: float
    more_than_two: float
    """Share of verdicts with more entropy than a toss-up between two scores (ln 2)."""


class Seen:
    """Counts and estimates. Of each task only scores and lengths stay."""

    def __init__(self, *, families: Mapping[str, str], refereed: Collection[str]) -> None:
        self.slope, self.own, self.repeats = LengthSlope(), OwnFamily(families), Repeats(refereed)
        self.tasks = self.answers = self.scored = 0
        self.writers: Counter[str] = Counter()
        self.judges: Counter[str] = Counter()
        self.histogram: Counter[float] = Counter()
        self.flags: Counter[str] = Counter()
        self.entropies: list[float] = []
        self.choices: list[list[tuple[float, float]]] = []

    def add(self, task: JudgedTask) -> None:
        """Take in a task."""
        for one in (self.slope, self.own, self.repeats):
            one.add(task)
        scored = [(one.score, doublings(one.text)) for one in task.candidates if one.score is not None]
        self.tasks += 1
        self.answers += len(task.candidates)
        self.scored += len(scored)
        self.writers.update(one.model for one in task.candidates)
        self.histogram.update(floor(score / HALF + 0.5) * HALF for score, _ in scored)
        if len(scored) > 1:
            self.choices.append(scored)
        for verdict in (one for answer in task.candidates for one in answer.verdicts):
            self.judges.update(judge for judge, _ in given_scores(verdict))
            self.flags.update(verdict.flags)
            if verdict.entropy is not None:
                self.entropies.append(verdict.entropy)

    def rechosen(self, per_doubling: float) -> tuple[Estimate, Estimate]:
        """Return the share of tasks in which a correction for length puts another answer first, twice.

        First where the judge scored that one lower, then where it had the same score: there the order of writing decided before.
        """
        lower = equal = 0
        for scored in self.choices:
            made = [score - per_doubling * length for score, length in scored]
            raw = [score for score, _ in scored]
            best, after = raw.index(max(raw)), made.index(max(made))
            lower += raw[after] < raw[best]
            equal += after != best and raw[after] == raw[best]
        told = {"of": "tasks", "why": "no task has two scored answers"}
        return share(lower, len(self.choices), **told), share(equal, len(self.choices), **told)

    def hesitation(self) -> Hesitation | None:
        """Return what the entropies say; None where the server gives none."""
        if not self.entropies:
            return None
        doubtful = sum(one > 0.6931 for one in self.entropies)  # noqa: PLR2004 - ln 2
        return Hesitation(
            verdicts=len(self.entropies),
            mean=round(fmean(self.entropies), 6),
            more_than_two=round(doubtful / len(self.entropies), 6),
        )
