"""Prices: a sum of tokens and hours, refused where it could not be one."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from selfinstruct.price import Price


def test_a_cost_is_tokens_in_tokens_out_and_hours() -> None:
    """Each by its own price, and nothing costs anything without one."""
    price = Price(per_million_in=2, per_million_out=8, per_gpu_hour=3)
    assert price.cost(1_000_000, 0, 0) == 2
    assert price.cost(0, 500_000, 0) == 4
    assert price.cost(0, 0, 1800) == 1.5
    assert price.cost(1_000_000, 500_000, 1800) == 7.5
    assert Price().cost(10**9, 10**9, 10**9) == 0


@pytest.mark.parametrize("bad", [-1, float("inf"), float("nan")])
def test_a_price_is_a_number_from_zero_on(bad: float) -> None:
    """A cap on cost must never be reached backwards, or never."""
    with pytest.raises(ValidationError):
        Price(per_million_out=bad)
