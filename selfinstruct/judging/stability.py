"""Whether a judge says the same again: of a pair shown in the other order, of an answer voted on twice. Knows no store."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING

from selfinstruct.judging.agreement import Z, wilson
from selfinstruct.judging.bias import given_scores
from selfinstruct.judging.estimate import FEWEST, Blocks, Estimate, Sums, share
from selfinstruct.records import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from selfinstruct.judged import JudgedTask

_SAME = 1e-9


class Orders(Frozen):
    """What became of pairs that were judged in both orders."""

    flips: Estimate
    """Share of the pairs whose winner changed with the order."""
    first: Estimate
    """Share of those flips that lean to whoever was shown first: a half where the order changes verdicts by chance."""


def orders(verdicts: Iterable[Sequence[str]]) -> Orders:
    """Return it of pairs of verdicts: who won with `chosen` shown first, and who with `rejected` shown first.

    Either is `chosen` or `rejected`; any other word is a tie.
    """
    pairs = flips = followed = 0
    for one in verdicts:
        if len(one) != 2:  # noqa: PLR2004 - one per order
            continue
        # Wins of the answer shown first less those of the other; a judge that is of one mind gives each of them one.
        lean = _won(one[0], "chosen", "rejected") + _won(one[1], "rejected", "chosen")
        pairs += 1
        flips += lean != 0
        followed += lean > 0
    return Orders(
        flips=share(flips, pairs, of="pairs", why="no pair was judged in both orders"),
        first=share(followed, flips, of="flips", why="no verdict changed with the order"),
    )


def _won(verdict: str, first: str, second: str) -> int:
    return (verdict == first) - (verdict == second)


class Agreement(Frozen):
    """How far scores of the same answer agree."""

    exact: Estimate
    """Share of pairs of scores that are equal."""
    distance: Estimate
    """Mean absolute difference of two scores, in points."""
    alpha: Estimate
    """Krippendorff's alpha for intervals: 1 where all agree, 0 where they agree as by chance."""


class Scores:
    """Sums over scores of the same answer, two at a time."""

    def __init__(self, why: str) -> None:
        self._why = why
        self._blocks = Blocks()

    def add(self, answers: Iterable[Sequence[float]]) -> None:
        """Take in a task: for each of its answers the scores that it was given. One score alone says nothing."""
        sums: Sums = defaultdict(float)
        for scores in answers:
            if len(scores) > 1:
                _add(sums, scores)
        if sums:
            self._blocks.add(sums)

    def agreement(self) -> Agreement:
        """Return it; unknown where no answer has two scores."""
        total = self._blocks.total()
        answers = round(total["answers",])
        return Agreement(
            exact=self._share(_exact, answers),
            distance=self._estimate(_distance, answers, otherwise=""),
            alpha=self._estimate(_alpha, answers, otherwise="all scores are equal: there is nothing to agree about"),
        )

    def _share(self, figure: Callable[[Sums], float | None], answers: int) -> Estimate:
        """Return a share of the answers with Wilson's interval, for as many draws as the jackknife finds them to be worth.

        Answers cluster in tasks: for single draws (of a judge that likes some tasks better than others) it would be too
        narrow. Where all are alike nothing is known of clusters, and each task counts once.
        """
        found = self._estimate(figure, answers, otherwise="")
        if found.value is None or found.high is None:
            return found
        reach = found.high - found.value
        worth = found.value * (1 - found.value) * (Z / reach) ** 2 if reach else self._blocks.tasks
        low, high = wilson(found.value, min(worth, answers))
        return found.model_copy(update={"low": round(low, 6), "high": round(high, 6)})

    def _estimate(self, figure: Callable[[Sums], float | None], answers: int, *, otherwise: str) -> Estimate:
        rests_on = {"tasks": self._blocks.tasks, "answers": answers}
        found = self._blocks.interval(figure)
        if found:
            return Estimate(value=found[0], low=found[1], high=found[2], rests_on=rests_on)
        few = f"it takes {FEWEST} tasks with such answers; there are {self._blocks.tasks}"
        why = self._why if not answers else few if self._blocks.tasks < FEWEST else otherwise
        return Estimate(rests_on=rests_on, why=why)


class Repeats:
    """Collects how far a judge agrees with itself, and how far judges agree with each other.

    `refereed`: judge stages in which a referee decides on doubtful answers. Its vote, the first, is left out: it was asked
    only where others do not agree.
    """

    def __init__(self, refereed: Collection[str] = ()) -> None:
        self._refereed = frozenset(refereed)
        self._same = Scores("no verdict rests on two votes of one judge")
        self._others = Scores("no verdict rests on votes of two judges")

    def add(self, task: JudgedTask) -> None:
        """Take in a task. Verdicts of different judge stages (aspects) are never held against each other."""
        same, others = [], []
        for verdict in (one for answer in task.candidates for one in answer.verdicts):
            given: dict[str, list[float]] = defaultdict(list)
            decided = verdict.provenance.stage in self._refereed and "doubtful" in verdict.flags
            for judge, score in given_scores(verdict)[decided:]:
                given[judge].append(score)
            same += list(given.values())
            others.append([fmean(scores) for scores in given.values()])
        self._same.add(same)
        self._others.add(others)

    def itself(self) -> Agreement:
        """Return how far votes of one judge on one answer agree."""
        return self._same.agreement()

    def each_other(self) -> Agreement:
        """Return how far judges agree, each with the mean of its votes."""
        return self._others.agreement()


def _add(sums: Sums, scores: Sequence[float]) -> None:
    gaps = [abs(one - other) for one, other in combinations(scores, 2)]
    sums["answers",] += 1
    sums["exact",] += fmean(gap < _SAME for gap in gaps)
    sums["distance",] += fmean(gaps)
    sums["apart",] += sum(gap * gap for gap in gaps) / (len(scores) - 1)
    sums["scores",] += len(scores)
    sums["sum",] += sum(scores)
    sums["squares",] += sum(score * score for score in scores)


def _exact(sums: Sums) -> float | None:
    return sums["exact",] / sums["answers",] if sums["answers",] else None


def _distance(sums: Sums) -> float | None:
    return sums["distance",] / sums["answers",] if sums["answers",] else None


def _alpha(sums: Sums) -> float | None:
    """Krippendorff 2011, interval metric: 1 - (n - 1) x what scores of one answer differ by / what any two scores do."""
    everything = sums["scores",] * sums["squares",] - sums["sum",] ** 2
    if everything <= _SAME * sums["scores",] * sums["squares",]:
        return None
    return 1 - (sums["scores",] - 1) * sums["apart",] / everything
