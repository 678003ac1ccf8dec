"""What more answers per task buy: the best of k, for each k up to as many as there are. Shows where the knee is."""

from __future__ import annotations

from collections import Counter
from math import comb
from typing import TYPE_CHECKING

from selfinstruct.records import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from selfinstruct.judged import JudgedTask


class Best(Frozen):
    """The best of `answers` answers, in the mean over tasks."""

    answers: int
    score: float
    """Mean score of the best."""
    kept: float | None
    """Share of tasks whose best reaches the threshold; None without one."""


class Gain(Frozen):
    """Best of 1, 2, ... answers, of the tasks with as many scored ones as most have that have two or more.

    Tasks with fewer or more are left out: they would bend the curve.
    """

    tasks: int
    best: tuple[Best, ...]


class Gainer:
    """Takes tasks one after the other; keeps sums, not tasks."""

    def __init__(self, threshold: float | None) -> None:
        """Take the score from which an answer is kept."""
        self._threshold = threshold
        self._seen: Counter[int] = Counter()
        self._sums: dict[int, list[tuple[float, float]]] = {}

    def add(self, task: JudgedTask) -> None:
        """Count one task."""
        scores = sorted(one.score for one in task.candidates if one.score is not None)
        if not scores:
            return
        number = len(scores)
        self._seen[number] += 1
        before = self._sums.get(number, [(0.0, 0.0)] * number)
        after = (best_of(scores, k, threshold=self._threshold) for k in range(1, number + 1))
        self._sums[number] = [(a + c, b + d) for (a, b), (c, d) in zip(before, after, strict=True)]

    def result(self) -> Gain | None:
        """Return the curve; None when no task has two scored answers."""
        several = {number: count for number, count in self._seen.items() if number > 1}
        if not several:
            return None
        number = max(several, key=lambda one: (several[one], one))
        count = several[number]
        return Gain(
            tasks=count,
            best=tuple(
                Best(answers=k, score=score / count, kept=None if self._threshold is None else kept / count)
                for k, (score, kept) in enumerate(self._sums[number], 1)
            ),
        )


def best_of(scores: list[float], k: int, *, threshold: float | None = None) -> tuple[float, float]:
    """Return (expected score of the best of `k` of these, chance that it reaches `threshold`), drawn without putting back.

    `scores` ascending. The i-th smallest is the best of k with chance C(i-1, k-1) / C(n, k).
    """
    ways = comb(len(scores), k)
    chances = [comb(place, k - 1) / ways for place in range(len(scores))]
    least = float("inf") if threshold is None else threshold
    mean = sum(chance * score for chance, score in zip(chances, scores, strict=True))
    return mean, sum(chance for chance, score in zip(chances, scores, strict=True) if score >= least)


def gain(tasks: Iterable[JudgedTask], *, threshold: float | None = None) -> Gain | None:
    """Return the curve of `tasks`."""
    gainer = Gainer(threshold)
    for task in tasks:
        gainer.add(task)
    return gainer.result()
