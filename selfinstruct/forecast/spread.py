"""Ranges that hold nine times in ten, from few observations. Pure functions of numbers; knows no run.

A forecast is a ratio (tokens per row) of a small sample, times the rows that are wanted. Its range is that of a prediction:
it covers the error of the sample and the chance of what is still to come.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from selfinstruct.judging.agreement import wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL = 0.9
"""How often a range holds what it tells of."""
TAIL = (1 + LEVEL) / 2
REQUESTS = 8
"""From so many requests on, the differences between requests are believed as well as those between branches."""


def student(share: float, degrees: int) -> float:
    """Return the quantile of Student's t; for 0.95 to 0.05 % or better (expansion in 1/degrees, Fisher 1941)."""
    z = NormalDist().inv_cdf(share)
    if degrees == 1:
        return math.tan(math.pi * (share - 0.5))
    if degrees == 2:  # noqa: PLR2004 - has a closed form
        return (2 * share - 1) * math.sqrt(2 / (1 - (2 * share - 1) ** 2))
    powers = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(power / float(degrees) ** order for order, power in enumerate(powers, 1))


def predicted(
    rows: NDArray[np.float64], spent: NDArray[np.float64], requests: NDArray[np.int64], *, wanted: float
) -> NDArray[np.float64]:
    """Return low, middle and high of what `wanted` rows take, shape (3, columns of `spent`).

    `rows` (branches) are the rows that came of each branch, `spent` (branches, columns) what it took, `requests` its
    request, counted from 0. What a branch takes beyond its rows' share is what varies. The range is symmetric in the
    logarithm, so that it is never below zero. With one branch it is from 0 to infinity. Needs a row.
    """
    whole = _range(rows, spent, wanted=wanted)
    count = int(requests.max()) + 1
    if count < REQUESTS:
        return whole
    sums = np.zeros((count, 1 + spent.shape[1]))
    np.add.at(sums, requests, np.column_stack([rows, spent]))
    other = _range(sums[:, 0], sums[:, 1:], wanted=wanted)
    return np.stack([np.minimum(whole[0], other[0]), whole[1], np.maximum(whole[2], other[2])])


def _range(rows: NDArray[np.float64], spent: NDArray[np.float64], *, wanted: float) -> NDArray[np.float64]:
    seen = len(rows)
    ratio = spent.sum(axis=0) / rows.sum()
    middle = wanted * ratio
    if seen == 1:
        return np.stack([0 * middle, middle, np.where(middle > 0, np.inf, 0.0)])
    more = wanted / rows.mean()  # branches that are still to come
    variance = ((spent - np.outer(rows, ratio)) ** 2).sum(axis=0) / (seen - 1) * more * (1 + more / seen)
    relative = np.sqrt(variance) / np.where(middle > 0, middle, 1.0)
    factor = np.exp(np.minimum(student(TAIL, seen - 1) * relative, 50.0))
    return np.stack([middle / factor, middle, middle * factor])


def share(kept: NDArray[np.float64], made: NDArray[np.float64]) -> tuple[float, float]:
    """Return the range of a rate from counts by branch: Wilson's, for as many independent cases as the counts are worth.

    What comes of one branch is alike, so that ten answers to one instruction tell less than ten answers to ten: the
    count is divided by how much more the rate varies between branches than independent cases would make it (Kish).
    """
    total = float(made.sum())
    if not total:
        return 0.0, 1.0
    rate = float(kept.sum()) / total
    by_chance = rate * (1 - rate) * total
    between = float(((kept - rate * made) ** 2).sum())
    cases = total / max(1.0, between / by_chance if by_chance else 1.0)
    return wilson(rate, cases, z=NormalDist().inv_cdf(TAIL))


def at_most(count: int) -> float:
    """Return the highest rate at which none of `count` cases is still seen one time in twenty (Clopper and Pearson)."""
    return float(1 - (1 - TAIL) ** (1 / count))
