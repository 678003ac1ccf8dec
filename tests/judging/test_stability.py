"""Flips, sides and repeats are counted as they are, with what they rest on."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest

from selfinstruct.judging.agreement import Z
from selfinstruct.judging.stability import Repeats, Scores, orders
from tests.support.biased import World


def test_flips_and_the_side_they_fall_to() -> None:
    """A mixed pair of verdicts is a flip, also with a tie in it; which side it leans to follows from the order."""
    told = [("chosen", "chosen")] * 6 + [("rejected", "rejected")] * 2
    found = orders(
        [
            *told,
            ("chosen", "rejected"),
            ("chosen", "rejected"),
            ("rejected", "chosen"),
            ("equal", "chosen"),
            ("equal", "rejected"),
            ("equal", "equal"),
        ]
    )
    assert found.flips.value == pytest.approx(5 / 14, abs=1e-6)
    assert found.flips.rests_on == {"pairs": 14}
    assert found.first.value == pytest.approx(3 / 5, abs=1e-6)
    assert found.first.rests_on == {"flips": 5}


def test_a_bias_of_position_shows() -> None:
    """A judge that favours the first answer flips more, and to that side; one without bias to either."""
    biased, honest = (orders(World(tasks=800, position=position).verdicts()) for position in (0.4, 0.0))
    assert biased.first.low is not None
    assert biased.first.low > 0.5
    assert honest.first.low is not None
    assert honest.first.high is not None
    assert honest.first.low <= 0.5 <= honest.first.high
    assert biased.flips.low is not None
    assert honest.flips.high is not None
    assert biased.flips.low > honest.flips.high


def test_no_pair_no_share() -> None:
    """Nothing judged in both orders; or nothing that flipped."""
    assert orders([(), ("chosen",)]).flips.why == "no pair was judged in both orders"
    assert orders([("chosen", "chosen")] * 5).first.why == "no verdict changed with the order"


def test_alpha_as_defined() -> None:
    """Krippendorff's alpha by the definition: observed over expected disagreement of all pairs, units of any size."""
    units = [[1.0, 2.0], [3.0, 3.0, 4.0], [5.0, 5.0], [2.0, 2.0], [1.0, 1.0, 1.0], [4.0, 3.0]]
    values = [value for unit in units for value in unit]
    observed = sum(sum((a - b) ** 2 for a, b in combinations(unit, 2)) * 2 / (len(unit) - 1) for unit in units) / 14
    expected = sum((a - b) ** 2 for a, b in combinations(values, 2)) * 2 / (14 * 13)
    scores = Scores("none")
    for _ in range(10):
        scores.add(units)  # every unit ten times: alpha changes only by the count of values
    found = scores.agreement().alpha
    wanted = 1 - (139 / 140) * observed / (expected * 13 / 14)
    assert found.value == pytest.approx(wanted, abs=1e-6)


def test_repeats_of_one_judge_and_of_several() -> None:
    """Two votes of each of two judges: both are told; the noisier judge agrees less; one vote says nothing."""
    told = {}
    for noise in (0.1, 0.8):
        repeats = Repeats()
        for task in World(votes=2, noise=noise).table()[0]:
            repeats.add(task)
        told[noise] = repeats
    calm, noisy = told[0.1].itself(), told[0.8].itself()
    assert calm.exact.low is not None
    assert noisy.exact.high is not None
    assert calm.exact.low > noisy.exact.high
    assert (calm.alpha.value or 0) > 0.8 > (noisy.alpha.value or 0)
    assert noisy.distance.value == pytest.approx(
        0.8 * 1.128, abs=0.1
    )  # two draws of a normal lie 1.128 deviations apart
    assert told[0.1].each_other().exact.rests_on == {"tasks": 200, "answers": 600}
    single = Repeats()
    for task in World(judges=("qwen-j",)).table()[0]:
        single.add(task)
    assert single.itself().exact.why
    assert single.each_other().alpha.why


@pytest.mark.parametrize(("tasks", "answers", "mean"), [(20, 8, 0.9), (60, 4, 0.6)])
def test_equal_scores_hold_nineteen_in_twenty(tasks: int, answers: int, mean: float) -> None:
    """Tasks on which a judge is steady and such on which it is not: the true share lies within, as often as is said."""
    draw, held = Random(f"{tasks} {mean}"), 0
    for _ in range(300):
        scores = Scores("none")
        for _ in range(tasks):
            steady = draw.betavariate(mean, 1 - mean)
            scores.add([4.0, 4.0 if draw.random() < steady else 3.0] for _ in range(answers))
        found = scores.agreement().exact
        assert found.low is not None
        assert found.high is not None
        assert 0 <= found.low <= found.high <= 1
        held += found.low <= mean <= found.high
    assert 0.91 <= held / 300 <= 0.99


def test_all_equal_and_too_few() -> None:
    """Votes that never differ agree wholly, and alpha has nothing to measure; few tasks give no interval of a mean."""
    equal, few = Scores("none"), Scores("none")
    for _ in range(20):
        equal.add([[4.0, 4.0]])
    few.add([[4.0, 3.0]])
    assert equal.agreement().exact.value == 1
    assert (equal.agreement().exact.low, equal.agreement().exact.high) == pytest.approx((1 / (1 + Z**2 / 20), 1))
    assert "nothing to agree about" in equal.agreement().alpha.why
    assert "it takes 10 tasks" in few.agreement().distance.why
    assert Scores("none").agreement().alpha.why == "none"
