"""Ranges: against published tables, and by how often they hold in samples from a known population."""

from __future__ import annotations

import numpy as np
import pytest

from selfinstruct.forecast.spread import LEVEL, at_most, predicted, share, student


@pytest.mark.parametrize(
    ("degrees", "value"),
    [(1, 6.3138), (2, 2.9200), (3, 2.3534), (5, 2.0150), (7, 1.8946), (10, 1.8125), (30, 1.6973), (1000, 1.6464)],
)
def test_student_is_the_published_table(degrees: int, value: float) -> None:
    """The 0.95 column of any table of Student's t."""
    assert student(0.95, degrees) == pytest.approx(value, rel=5e-4)


def test_a_rate_of_independent_cases_is_wilsons() -> None:
    """8 of 10, each in its own branch: (0.541, 0.931) by the formula of Wilson (1927) at 90 %; never beyond 0 and 1."""
    kept = np.array([1.0] * 8 + [0.0] * 2)
    low, high = share(kept, np.ones(10))
    assert (low, high) == pytest.approx((0.5408, 0.9314), abs=5e-4)
    assert share(np.zeros(5), np.ones(5))[0] == 0
    assert share(np.ones(5), np.ones(5))[1] == 1
    assert share(np.zeros(3), np.zeros(3)) == (0, 1)


def test_what_comes_of_one_branch_counts_once() -> None:
    """Ten answers to each of ten branches, all alike within a branch, tell about as much as ten answers."""
    kept = np.array([1.0] * 8 + [0.0] * 2)
    alone, alike = share(kept, np.ones(10)), share(10 * kept, np.full(10, 10.0))
    mixed = share(np.full(10, 8.0), np.full(10, 10.0))
    assert alike[1] - alike[0] == pytest.approx(alone[1] - alone[0], rel=0.1)
    assert mixed[1] - mixed[0] < 0.4 * (alike[1] - alike[0])


def test_none_of_many_is_the_rule_of_three() -> None:
    """None of 59 cases: at most 5 %; none of one: at most 95 %."""
    assert at_most(59) == pytest.approx(0.05, abs=1e-3)
    assert at_most(1) == pytest.approx(0.95)


def test_what_is_in_proportion_to_rows_has_no_spread() -> None:
    """Calls that are always three to a row are known for any order; and ranges scale with what they tell of."""
    rows = np.array([2.0, 0.0, 5.0, 1.0])
    other = np.array([1.0, 7.0, 2.0, 2.0])
    spent = np.column_stack([3 * rows, other, 10 * other])
    low, middle, high = predicted(rows, spent, np.array([0, 0, 1, 1]), wanted=80)
    assert (low[0], middle[0], high[0]) == pytest.approx((240, 240, 240))
    assert (low[2], middle[2], high[2]) == pytest.approx((10 * low[1], 10 * middle[1], 10 * high[1]))
    assert middle[1] == pytest.approx(120)
    assert 0 < low[1] < middle[1] < high[1]


def test_one_branch_tells_no_spread() -> None:
    """From nothing to infinity, and zero where nothing is spent."""
    low, middle, high = predicted(np.array([2.0]), np.array([[6.0, 0.0]]), np.array([0]), wanted=10)
    assert (low.tolist(), middle.tolist(), high.tolist()) == ([0, 0], [30, 0], [np.inf, 0])


@pytest.mark.parametrize(("branches", "wanted"), [(10, 1000), (40, 100), (200, 1000)])
def test_a_range_holds_nine_times_in_ten(branches: int, wanted: int) -> None:
    """Skewed counts, rows and tokens tied together: what an order really takes lies within, about as often as is said."""
    draw = np.random.default_rng(7)

    def population(size: int) -> tuple[np.ndarray, np.ndarray]:
        kept = draw.random(size) < 0.7
        rows = kept * draw.poisson(1.5, size)
        return rows.astype(float), 200 + kept * draw.lognormal(6, 0.8, size) + 300 * rows

    held, tried = 0, 0
    for _ in range(600):
        rows, tokens = population(branches)
        if not rows.any():  # then only a bound from below is told, and by another rule
            continue
        tried += 1
        low, _, high = predicted(rows, tokens[:, None], np.zeros(branches, int), wanted=wanted)
        future_rows, future_tokens = population(wanted * 2)
        last = int(np.searchsorted(future_rows.cumsum(), wanted)) + 1
        held += bool(low[0] <= future_tokens[:last].sum() <= high[0])
    assert LEVEL - 0.06 <= held / tried <= LEVEL + 0.06


def test_requests_that_differ_widen_a_range() -> None:
    """Twelve requests, alike within: branches are no longer taken as independent."""
    draw = np.random.default_rng(3)
    dear = np.repeat(draw.lognormal(0, 1, 12), 8)
    rows, requests = np.ones(96), np.repeat(np.arange(12), 8)
    together = predicted(rows, dear[:, None], requests, wanted=500)
    apart = predicted(rows, dear[:, None], np.zeros(96, int), wanted=500)
    assert together[2, 0] / together[0, 0] > 1.5 * apart[2, 0] / apart[0, 0]
    assert together[1, 0] == apart[1, 0]
