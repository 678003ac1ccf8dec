"""Counts that can be added up: the sum of two sets of rows is what counting them together gives. Knows no run."""

from __future__ import annotations

from typing import Any, Self

from selfinstruct.records import Frozen


class Additive(Frozen):
    """Fields are whole numbers, dicts of such (or of Additive), Additive, or tuples that are sets in order.

    Numbers are added, dicts key by key, sets united. No fractions: their sum would depend on the order. A model with nothing
    but defaults is the zero. Two dicts with the same keys in another order are equal; a sum keeps the left one's order.
    """

    def __add__(self, other: Self) -> Self:
        """Return the counts of both together."""
        return self.model_copy(update={name: _sum(value, getattr(other, name)) for name, value in self})


def _sum(one: Any, other: Any) -> Any:  # noqa: ANN401 - one of the kinds named above
    if isinstance(one, dict):
        both = {key: _sum(value, other[key]) if key in other else value for key, value in one.items()}
        return both | {key: value for key, value in other.items() if key not in one}
    if isinstance(one, tuple):
        return tuple(sorted({*one, *other}))
    return one + other
