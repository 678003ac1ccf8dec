"""How far two raters agree, and how sure a share is. Pure functions over numbers; knows no row, run or judge."""

from __future__ import annotations

from math import fsum, sqrt
from random import Random
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

Z = 1.959963984540054
"""Of the two-sided 95 % interval of a normal variable."""
DRAWS = 2000
"""Resamples of a bootstrap: the ends of a 95 % interval then stand on fifty of them each."""


def kappa(pairs: Sequence[tuple[float, float]], weights: Sequence[float] | None = None) -> float | None:
    """Return Cohen's kappa with quadratic weights (Cohen 1968) of (one rater, the other), 1 for full agreement.

    Of two values, true and false, it is Cohen's unweighted kappa (1960). `weights` says how many items a pair stands
    for; one each as a rule. None where chance alone would agree on everything: both always say the same one value.
    """
    counted = weights or [1.0] * len(pairs)
    total = fsum(counted)
    if not total:
        return None

    def mean(values: Sequence[float]) -> float:
        return fsum(value * weight for value, weight in zip(values, counted, strict=True)) / total

    ones, others = [float(one) for one, _ in pairs], [float(other) for _, other in pairs]
    seen = mean([(one - other) ** 2 for one, other in zip(ones, others, strict=True)])
    squares = mean([one**2 for one in ones]) + mean([other**2 for other in others])
    chance = squares - 2 * mean(ones) * mean(others)  # mean square of the difference of two independent draws
    return 1 - seen / chance if chance > 1e-12 * max(1.0, squares) else None


def wilson(share: float, size: float, *, z: float = Z) -> tuple[float, float]:
    """Return the interval (Wilson 1927) of a share that was seen in `size` draws, 95 % by default; everything of no draw.

    `size` need not be whole: of a weighted sample it is `effective_size`.
    """
    if size <= 0:
        return 0.0, 1.0
    middle = (share + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z * sqrt(share * (1 - share) / size + z**2 / (4 * size**2)) / (1 + z**2 / size)
    return max(0.0, middle - half), min(1.0, middle + half)


def effective_size(weights: Sequence[float]) -> float:
    """Return how many equally weighted draws tell as much as these (Kish 1965): (sum w)^2 / sum w^2."""
    squares = fsum(weight**2 for weight in weights)
    return fsum(weights) ** 2 / squares if squares else 0.0


def size_needed(share: float, least: float, *, most: int = 10_000) -> int | None:
    """Return after how many draws a share that stays as it is lies above `least` with its whole Wilson interval.

    None where it never will, or only after more than `most`.
    """
    if share <= least or wilson(share, most)[0] < least:
        return None
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if wilson(share, middle)[0] >= least else (middle + 1, high)
    return low


def bootstrap(
    strata: Sequence[Sequence[T]], statistic: Callable[[Sequence[T]], float | None], *, seed: int, draws: int = DRAWS
) -> tuple[float, float] | None:
    """Return the 95 % percentile interval (Efron 1979) of a statistic, resampled within each stratum.

    None where more than a twentieth of the resamples have no such figure: there is too little to say.
    """
    draw = Random(seed)  # noqa: S311 - repeatable resampling, not secrecy
    figures = []
    for _ in range(draws):
        figure = statistic([one for stratum in strata for one in draw.choices(stratum, k=len(stratum))])
        if figure is not None:
            figures.append(figure)
    if len(figures) < 0.95 * draws:
        return None
    figures.sort()
    edge = int(0.025 * len(figures))
    return figures[edge], figures[-1 - edge]
