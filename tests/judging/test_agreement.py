"""Agreement and intervals give the figures that other programs and textbooks give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.judging.agreement import bootstrap, effective_size, kappa, size_needed, wilson

COUNTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30)


def test_kappa_of_two_verdicts_is_cohens() -> None:
    """Cohen's unweighted kappa: 20 both no, 20 no/yes, 10 yes/no, 50 both yes is 0.348 (sklearn's own test)."""
    pairs = [(0.0, 0.0)] * 20 + [(0.0, 1.0)] * 20 + [(1.0, 0.0)] * 10 + [(1.0, 1.0)] * 50
    assert kappa(pairs) == pytest.approx(0.348, abs=5e-4)


def test_kappa_with_quadratic_weights() -> None:
    """Three values, four of a hundred off by one: 0.9541 (by hand 1 - 0.04 / 0.872, and sklearn's own test)."""
    ones, others = [0] * 46 + [1] * 44 + [2] * 10, [0] * 50 + [1] * 40 + [2] * 10
    assert kappa(list(zip(ones, others, strict=True))) == pytest.approx(1 - 0.04 / 0.872)


def test_kappa_by_its_definition() -> None:
    """One minus the weighed disagreement over the one of all cells at chance, cell by cell."""
    pairs = [(4.5, 5.0), (3.0, 4.5), (5.0, 5.0), (2.5, 2.0), (4.0, 1.5)]
    seen = sum((one - other) ** 2 for one, other in pairs) / 5
    chance = sum((one - other) ** 2 for one, _ in pairs for _, other in pairs) / 25
    assert kappa(pairs) == pytest.approx(1 - seen / chance)


@given(COUNTS, st.data())
def test_a_weight_is_so_many_of_a_kind(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    """Weight 3 is the pair three times."""
    weights = data.draw(st.lists(st.integers(1, 4), min_size=len(pairs), max_size=len(pairs)))
    told = kappa(pairs, weights)
    spelt = kappa([pair for pair, weight in zip(pairs, weights, strict=True) for _ in range(weight)])
    assert told == (None if spelt is None else pytest.approx(spelt))


def test_kappa_where_there_is_nothing_to_agree_on() -> None:
    """Both always the same one value: undefined, and no division by zero; both constant but different: zero."""
    assert kappa([(4.7, 4.7)] * 9) is None
    assert kappa([]) is None
    assert kappa([(1.0, 0.0)] * 9) == 0


@pytest.mark.parametrize(
    ("hits", "size", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_as_published(hits: int, size: int, low: float, high: float) -> None:
    """Textbook values; 81 of 263 is Newcombe's example (Statistics in Medicine 1998, table I, method 3)."""
    assert list(wilson(hits / size, size)) == pytest.approx([low, high], abs=5e-5)


def test_nothing_seen_is_nothing_known() -> None:
    """Of no draw the interval is everything."""
    assert wilson(0.0, 0.0) == (0.0, 1.0)
    assert effective_size([]) == 0


def test_effective_size() -> None:
    """Even weights count fully; one that stands for half of all is worth little."""
    assert effective_size([3.0] * 7) == pytest.approx(7)
    assert effective_size([1.0, 1.0, 1.0, 3.0]) == pytest.approx(36 / 12)


@pytest.mark.parametrize("share", [0.91, 0.95, 1.0])
def test_size_needed_is_the_first_that_does(share: float) -> None:
    """At that size the interval lies above, at one less it does not."""
    size = size_needed(share, 0.9)
    assert size is not None
    assert wilson(share, size)[0] >= 0.9 > wilson(share, size - 1)[0]


def test_size_needed_says_never() -> None:
    """On the edge or below it no number of draws is enough."""
    assert size_needed(0.9, 0.9) is None
    assert size_needed(0.8, 0.9) is None


def test_bootstrap_is_repeatable_and_keeps_strata() -> None:
    """One seed, one interval; of two groups without spread there is none, however different they are."""

    def mean(values: object) -> float:
        listed = list(values)  # type: ignore[call-overload]
        return float(sum(listed) / len(listed))

    spread = [[0, 1, 0, 1, 1, 0, 1, 0, 1, 0]]
    first = bootstrap(spread, mean, seed=1)
    assert first == bootstrap(spread, mean, seed=1)
    assert first is not None
    assert first[0] < 0.5 < first[1]
    assert bootstrap([[0] * 5, [1] * 5], mean, seed=1) == (0.5, 0.5)
    assert bootstrap(spread, lambda _: None, seed=1) is None
