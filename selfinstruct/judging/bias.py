"""What a judge adds to a score that the answer did not earn: for its length, and for being of the judge's own family.

Reads the judged table once and keeps sums. Knows no store. What it finds is what the scores show: where longer answers, or
those of one model, are better in truth, a judge that says so looks the same; each figure says what was held equal.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from math import log2
from statistics import fmean
from typing import TYPE_CHECKING

from selfinstruct.families import family, same_family
from selfinstruct.judging.estimate import FEWEST, Estimate
from selfinstruct.judging.least_squares import SCORE, Regression

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from selfinstruct.judged import Candidate, JudgedTask
    from selfinstruct.records import Judgement

LENGTH, OWN, WRITER, ALL = "length", "family", "writer ", "all"
ACROSS = "across tasks"
"""How a slope was found where every task has one answer: long tasks may earn their scores, so it is no ground to correct."""


def doublings(text: str) -> float:
    """Return log2(1 + characters): one more for each doubling."""
    return log2(1 + len(text))


class LengthSlope:
    """Points of score per doubling of an answer's length, from answers to the same task by the same model."""

    def __init__(self) -> None:
        self._within, self._across = Regression(LENGTH), Regression(LENGTH)
        self._writers: Counter[str] = Counter()

    def add(self, task: JudgedTask) -> None:
        """Take in a task; answers without a score say nothing."""
        scored = [(one, one.score) for one in task.candidates if one.score is not None]
        rows = [
            {SCORE: score, LENGTH: doublings(one.text), f"{WRITER}{one.model}": 1.0, ALL: 1.0} for one, score in scored
        ]
        self._writers.update(one.model for one, _ in scored)
        if rows:
            self._within.add([rows])
            self._across.add([rows], within=False)

    def estimate(self) -> Estimate:
        """Return the slope within tasks and, with several, writers; that across tasks where no task has two answers to compare.

        A model that writes better and longer is then no length bias. Scores at the end of the scale cannot rise further:
        the slope is rather too flat than too steep.
        """
        others = [f"{WRITER}{name}" for name, _ in self._writers.most_common()[1:]]
        if self._within.tasks >= FEWEST:
            how = "within tasks and writers" if others else "within tasks"
            return self._within.fit(
                others, how=how, inseparable="length cannot be told apart from who wrote the answer"
            )
        if self._across.tasks < FEWEST:
            return self._within.fit(others, how="", inseparable="")
        return self._across.fit([ALL, *others], how=ACROSS, inseparable="all answers are of one length")


def length_slope(tasks: Iterable[JudgedTask]) -> Estimate:
    """Return what one doubling of an answer's length adds to its score."""
    slope = LengthSlope()
    for task in tasks:
        slope.add(task)
    return slope.estimate()


def taken(slope: Estimate) -> float:
    """Return how much of a slope is taken off: none where its interval includes zero, nearly all where it is far from it.

    slope x (1 - (half its interval / slope)^2): a positive-part James-Stein shrinkage. A slope that may be chance would add
    noise to every score; a cut at the interval's edge would move all scores at once for one answer more. A slope across tasks
    is never taken off.
    """
    if slope.value is None or slope.low is None or slope.high is None or not slope.is_sure or slope.how == ACROSS:
        return 0.0
    return slope.value * (1 - ((slope.high - slope.low) / 2 / slope.value) ** 2)


def corrected(
    tasks: Iterable[JudgedTask], slope: Estimate, *, scale: tuple[float, float] | None = None
) -> Iterator[tuple[JudgedTask, dict[str, float]]]:
    """Yield each task, untouched, with the corrected score of each scored answer by its id, within `scale`.

    Answers are compared at the mean length of their task: a task with one answer keeps its score.
    """
    per_doubling = taken(slope)
    for task in tasks:
        off = for_length(task.candidates, per_doubling)
        scores = {one.id: one.score for one in task.candidates if one.score is not None}
        yield task, {which: within(score - off[which], scale) for which, score in scores.items()}


def for_length(answers: Iterable[Candidate], per_doubling: float) -> dict[str, float]:
    """Return the points that each scored answer of a task, by its id, has for being longer than they are in the mean."""
    lengths = {one.id: doublings(one.text) for one in answers if one.score is not None}
    middle = fmean(lengths.values()) if lengths else 0.0
    return {which: per_doubling * (length - middle) for which, length in lengths.items()}


def within(score: float, scale: tuple[float, float] | None) -> float:
    """Return a score, or the end of the scale that it passes."""
    return min(max(score, scale[0]), scale[1]) if scale else score


class OwnFamily:
    """Points that an answer gains from being judged by a model of its writer's family. `families`: see `family`."""

    def __init__(self, families: Mapping[str, str] | None = None) -> None:
        self._families = families
        self._scores = Regression(OWN)
        self._writers: set[str] = set()
        self._judges: set[str] = set()
        self._own = False

    def add(self, task: JudgedTask) -> None:
        """Take in a task: per judge, the answers whose writer is known, each with that judge's mean score."""
        groups: dict[str, list[dict[str, float]]] = defaultdict(list)
        for one in task.candidates:
            writer = family(one.model, families=self._families)
            if not writer:
                continue
            for judge, score in scores_by_judge(one).items():
                own = same_family(judge, one.model, families=self._families)
                groups[judge].append(
                    {SCORE: score, LENGTH: doublings(one.text), OWN: float(own), f"{WRITER}{writer}": 1.0}
                )
                self._own = self._own or own
                self._writers.add(writer)
        self._judges |= {family(judge, families=self._families) for judge in groups if judge}
        if groups:
            self._scores.add(list(groups.values()))

    def gap(self) -> Estimate:
        """Return by how much a judge scores its own family's answers higher than others to the same task, at equal length.

        Its family may write better: see `lift`.
        """
        if why := self._why_not():
            return Estimate(why=why)
        return self._scores.fit([LENGTH], how="within tasks", inseparable="length and family cannot be told apart")

    def lift(self) -> Estimate:
        """Return the gap less what judges of other families see of it: the writers' quality is held equal, and their length."""
        if why := self._why_not():
            return Estimate(why=why)
        if len(self._judges) < 2:  # noqa: PLR2004 - a difference of two differences
            only = next(iter(self._judges), "nobody")
            return Estimate(
                why=f"only {only} judged: better answers and a lifted score look the same; a judge of another family would tell"
            )
        quality = [f"{WRITER}{name}" for name in sorted(self._writers)[1:]]
        return self._scores.fit(
            [LENGTH, *quality],
            how="within tasks, against judges of other families",
            inseparable="no writer was judged both by its own family and by another",
        )

    def _why_not(self) -> str:
        if not self._writers:
            return "no scored answer says which model wrote it"
        if not self._own:
            return "no answer was judged by its writer's own family"
        if len(self._writers) == 1:
            return f"only {next(iter(self._writers))} wrote, and judged itself: there is nothing to compare its answers with"
        return ""


def own_family(tasks: Iterable[JudgedTask], families: Mapping[str, str] | None = None) -> tuple[Estimate, Estimate]:
    """Return (lift, gap) of a table."""
    found = OwnFamily(families)
    for task in tasks:
        found.add(task)
    return found.lift(), found.gap()


def scores_by_judge(answer: Candidate) -> dict[str, float]:
    """Return judge -> mean of all scores that it gave to this answer."""
    given: dict[str, list[float]] = defaultdict(list)
    for verdict in answer.verdicts:
        for judge, score in given_scores(verdict):
            given[judge].append(score)
    return {judge: fmean(scores) for judge, scores in given.items()}


def given_scores(verdict: Judgement) -> list[tuple[str, float]]:
    """Return (judge, score) of every vote behind a verdict; of the verdict itself where there was one vote."""
    return [(one.judge, one.score) for one in verdict.votes] or [(verdict.judge, verdict.score)]
