"""Bins of fixed bounds: hundredths for scores and likenesses, eight to a doubling for lengths. Quantiles are read off them."""

from __future__ import annotations

from math import ceil, floor
from typing import TYPE_CHECKING

from pydantic import Field, NonNegativeInt

from selfinstruct.figures.additive import Additive

if TYPE_CHECKING:
    from collections.abc import Mapping

HUNDREDTHS = 100
_GRAIN = 1e-6
"""Of a bin: 4.35 is one of 435 hundredths, which floating point calls 434.99999999999994."""
PER_DOUBLING = 8
"""Bins to a doubling of length, each at most an eighth as wide as its lower bound; lengths below 16 have one each."""

Bins = dict[int, NonNegativeInt]
"""Number of a bin -> how many are in it. Empty bins are left out."""


def hundredths(value: float) -> int:
    """Return the bin of a score: `value` in hundredths, rounded down, so that what reaches a threshold and its bin agree."""
    return floor(value * HUNDREDTHS + _GRAIN)


def length_bin(length: int) -> int:
    """Return the bin of a length: the length itself below 16, then eight bins to a doubling."""
    shift = max(0, length.bit_length() - (2 * PER_DOUBLING).bit_length() + 1)
    return PER_DOUBLING * shift + (length >> shift)


def length_bounds(number: int) -> tuple[int, int]:
    """Return the shortest length of a bin, and the shortest of the next one."""
    shift = max(0, number // PER_DOUBLING - 1)
    low = (number - PER_DOUBLING * shift) << shift
    return low, low + (1 << shift)


def place(bins: Mapping[int, int], q: float) -> int | None:
    """Return the bin in which the quantile `q` (0 to 1; nearest rank) lies; None where there is nothing."""
    rank = max(1, ceil(q * sum(bins.values()) - 1e-9))
    for number in sorted(bins):
        rank -= bins[number]
        if rank <= 0:
            return number
    return None


class Lengths(Additive):
    """Lengths of one text of each row."""

    characters: Bins = Field(default_factory=dict)
    words: Bins = Field(default_factory=dict)
    """By `length_bin`. Words are what `text/tokens.py` counts: in Chinese, Japanese and Thai its units."""

    def quantile(self, q: float, unit: str = "characters") -> float | None:
        """Return it as the middle of its bin, so at most a sixteenth off; exact below 16; None without a row."""
        number = place(getattr(self, unit), q)
        if number is None:
            return None
        low, beyond = length_bounds(number)
        return (low + beyond - 1) / 2

    @property
    def rows(self) -> int:
        """How many texts were measured."""
        return sum(self.characters.values())


class KeptDropped(Additive):
    """Bins in hundredths of what was kept and of what was dropped."""

    kept: Bins = Field(default_factory=dict)
    dropped: Bins = Field(default_factory=dict)
    thresholds: tuple[float, ...] = ()
    """In force: one for a run, all different ones for a version that several runs made."""

    @property
    def total(self) -> int:
        """How many were measured."""
        return sum(self.kept.values()) + sum(self.dropped.values())

    def all(self) -> Bins:
        """Return kept and dropped together."""
        return {
            number: self.kept.get(number, 0) + self.dropped.get(number, 0) for number in {**self.kept, **self.dropped}
        }

    def quantile(self, q: float, *, kept: bool = False) -> float | None:
        """Return it, of all or of the kept ones; None where there is none."""
        number = place(self.kept if kept else self.all(), q)
        return None if number is None else number / HUNDREDTHS

    def mean(self, *, kept: bool = False) -> float | None:
        """Return the mean, of all or of the kept ones; None where there is none."""
        bins = self.kept if kept else self.all()
        total = sum(bins.values())
        return sum(number * count for number, count in bins.items()) / total / HUNDREDTHS if total else None
