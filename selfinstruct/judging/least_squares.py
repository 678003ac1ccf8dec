"""Least squares within tasks, summed up task by task: what a score owes to one thing, others held equal."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from selfinstruct.judging.estimate import FEWEST, Blocks, Estimate, Sums

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCORE = "score"
_NOTHING = 1e-9
"""Share of its own variation below which a column is explained by the others."""


class Regression:
    """Fits the score by named columns. A task is added as groups of rows that are compared with each other only.

    The intervals are those of whole tasks left out (`Blocks`): robust to any dependence within a task.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._blocks = Blocks()
        self._answers = 0
        self.columns: set[str] = set()

    @property
    def tasks(self) -> int:
        """In how many tasks the target varies."""
        return self._blocks.tasks

    def add(self, groups: Sequence[Sequence[Mapping[str, float]]], *, within: bool = True) -> None:
        """Add a task: rows of column -> value (absent: 0), one of them SCORE. Not `within`: compared with all other tasks."""
        sums: Sums = defaultdict(float)
        varies = not within
        for rows in groups:
            names = sorted({name for row in rows for name in row})
            self.columns |= set(names) - {SCORE}
            means = {name: sum(row.get(name, 0.0) for row in rows) / len(rows) if within else 0.0 for name in names}
            centred = [[row.get(name, 0.0) - means[name] for name in names] for row in rows]
            varies = varies or any(row.get(self._target, 0.0) != rows[0].get(self._target, 0.0) for row in rows)
            for row in centred:
                for at, one in enumerate(names):
                    for place in range(at, len(names)):
                        sums[one, names[place]] += row[at] * row[place]
        self._answers += varies * sum(map(len, groups))
        self._blocks.add(sums, counts=varies)

    def fit(self, controls: Sequence[str], *, how: str, inseparable: str) -> Estimate:
        """Return the target's coefficient, with `controls` held equal; `inseparable` says why where they cannot be."""
        rests_on = {"tasks": self.tasks, "answers": self._answers}
        if self.tasks < FEWEST:
            return Estimate(
                rests_on=rests_on,
                why=f"it takes {FEWEST} tasks whose answers differ in {self._target}; there are {self.tasks}",
            )
        found = self._blocks.interval(lambda sums: _first(sums, [self._target, *controls]))
        if found is None:
            return Estimate(rests_on=rests_on, why=inseparable)
        return Estimate(value=found[0], low=found[1], high=found[2], rests_on=rests_on, how=how)


def _first(sums: Sums, names: Sequence[str]) -> float | None:
    """Return the first coefficient of the normal equations, None where the others explain its column: it comes last."""
    order = [*names[1:], names[0]]
    table = [[_product(sums, one, other) for other in (*order, SCORE)] for one in order]
    for at, row in enumerate(table):
        if row[at] <= _NOTHING * _product(sums, order[at], order[at]):
            if at == len(order) - 1:
                return None
            continue  # a control that the others explain adds nothing
        for below in table[at + 1 :]:
            share = below[at] / row[at]
            for place in range(at, len(row)):
                below[place] -= share * row[place]
    return table[-1][-1] / table[-1][-2]


def _product(sums: Sums, one: str, other: str) -> float:
    return sums.get((min(one, other), max(one, other)), 0.0)
