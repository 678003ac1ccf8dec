"""An estimate with its 95 % interval, and the two ways to one: a share of counted things, and any figure of summed tasks.

Knows no score and no record: numbers in, numbers out.
"""

from __future__ import annotations

from collections import defaultdict
from math import sqrt
from statistics import fmean
from typing import TYPE_CHECKING

from pydantic import Field

from selfinstruct.judging.agreement import Z, wilson
from selfinstruct.records import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Sums = dict[tuple[str, ...], float]
"""Name of what was summed -> its sum."""

BLOCKS = 64
"""Tasks are summed in so many blocks, and an interval comes of leaving out each in turn: memory does not grow with tasks."""
FEWEST = 10
"""Tasks (pairs, answers) below which nothing is said."""


class Estimate(Frozen):
    """A figure with its 95 % interval, or why it cannot be known. To six decimals: equal tables give equal bytes."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    rests_on: dict[str, int] = Field(default_factory=dict)
    """What was counted for it: `tasks`, `answers`, `pairs`, ..."""
    how: str = ""
    """Within what it compares, where that can differ."""
    why: str = ""
    """Why there is no value."""

    @property
    def is_sure(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def share(part: float, whole: int, *, of: str, why: str = "") -> Estimate:
    """Return part / whole with Wilson's interval; unknown (`why`) when there is no whole."""
    if not whole:
        return Estimate(why=why)
    low, high = wilson(part / whole, whole)
    return Estimate(value=round(part / whole, 6), low=round(low, 6), high=round(high, 6), rests_on={of: whole})


def t_quantile(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t (Abramowitz and Stegun 26.7.5: to 0.001 from 6 degrees of freedom on)."""
    z = Z
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * freedom**4)
    )


class Blocks:
    """Sums of tasks, kept apart in blocks, so that any figure of the sums gets an interval: the block jackknife.

    What is left out is always whole tasks: answers to one task may depend on each other as they like.
    """

    def __init__(self) -> None:
        self._blocks: dict[bool, list[Sums]] = {
            side: [defaultdict(float) for _ in range(BLOCKS)] for side in (True, False)
        }
        self._added = {True: 0, False: 0}

    def add(self, sums: Mapping[tuple[str, ...], float], *, counts: bool = True) -> None:
        """Add what one task gives. `counts` is false for a task that alone says nothing about the figure."""
        block = self._blocks[counts][self._added[counts] % BLOCKS]
        self._added[counts] += 1
        for name, value in sums.items():
            block[name] += value

    @property
    def tasks(self) -> int:
        """How many tasks counted."""
        return self._added[True]

    def total(self) -> Sums:
        """Return all sums."""
        return self._without(None)

    def interval(self, figure: Callable[[Sums], float | None]) -> tuple[float, float, float] | None:
        """Return (value, low, high) of `figure`; None where it, or it without one of the blocks, cannot be told."""
        number = min(BLOCKS, self.tasks)
        value = figure(self.total())
        others = [figure(self._without(left_out, number)) for left_out in range(number)]
        known = [one for one in others if one is not None]
        if value is None or number < FEWEST or len(known) < number:
            return None
        middle = fmean(known)
        spread = sqrt((number - 1) / number * sum((one - middle) ** 2 for one in known))
        reach = t_quantile(number - 1) * spread
        return round(value, 6), round(value - reach, 6), round(value + reach, 6)

    def _without(self, left_out: int | None, number: int = BLOCKS) -> Sums:
        """Return all sums but those of one of `number` blocks: tasks that do not count go into as many as the others fill."""
        total: Sums = defaultdict(float)
        for at, block in (one for blocks in self._blocks.values() for one in enumerate(blocks)):
            if at % number != left_out:
                for name, value in block.items():
                    total[name] += value
        return total
