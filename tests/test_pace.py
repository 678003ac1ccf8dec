"""Speed and time left, against sequences whose future is known."""

from __future__ import annotations

from random import Random

import pytest

from selfinstruct.pace import LONGEST_SECONDS, Pace


def paced(counts: list[float], *, every: float = 1.0) -> Pace:
    pace = Pace()
    for number, count in enumerate(counts):
        pace.add(number * every, {"rows": count})
    return pace


def test_what_grows_evenly_ends_when_it_must() -> None:
    """Three a second: 700 more take 233 s, and there is no spread."""
    pace = paced([3.0 * second for second in range(101)])
    assert pace.rate("rows", over=30) == pytest.approx(3)
    assert pace.speed("rows") == pytest.approx(3)
    left = pace.left("rows", 1000)
    assert left is not None
    assert (left.seconds, left.least, left.most) == pytest.approx((700 / 3,) * 3)


def test_nothing_is_said_too_early() -> None:
    """Not before anything came, not after a few seconds or a few things, not of what jumps about, not when it is reached."""
    assert Pace().rate("rows", over=30) is None
    assert Pace().left("rows", 10) is None
    assert paced([0.0] * 50).left("rows", 10) is None
    assert paced([5.0 * second for second in range(5)]).left("rows", 1000) is None
    assert paced([0.1 * second for second in range(60)]).left("rows", 1000) is None
    assert paced([*[0.0] * 5, *[1.0] * 55, *[500.0] * 2]).left("rows", 1000) is None
    assert paced([3.0 * second for second in range(101)]).left("rows", 300) is None


def test_what_stops_coming_takes_the_estimate_with_it() -> None:
    """A server that is stuck: the time left is taken back instead of being counted down."""
    pace = paced([*(3.0 * second for second in range(60)), *[180.0] * 120])
    assert pace.left("rows", 1000) is None
    assert pace.rate("rows", over=30) == 0


def test_what_an_earlier_process_made_does_not_count() -> None:
    """A resumed run begins with 900 rows: its speed is what it adds."""
    assert paced([900 + 2.0 * second for second in range(31)]).speed("rows") == pytest.approx(2)


def test_a_window_forgets() -> None:
    """Ten a second for an hour, then one: half a minute later the recent speed is one; samples stay few."""
    pace = paced([*(10.0 * second for second in range(3600)), *(36_000.0 + second for second in range(60))])
    assert pace.rate("rows", over=30) == pytest.approx(1)
    assert len(pace._samples) <= LONGEST_SECONDS + 3


def test_looks_closer_than_a_second_are_merged() -> None:
    """Told four times a second, a minute is sixty samples; the latest figure counts all the same."""
    pace = paced([float(number) for number in range(241)], every=0.25)
    assert 60 <= len(pace._samples) <= 63
    assert pace.rate("rows", over=30) == pytest.approx(4)


def test_four_times_in_five_the_truth_lies_within_the_spread() -> None:
    """Rows that come in bursts at random moments, 300 runs looked at half-way: 80 % within, give or take what 300 allow."""
    within = told = 0
    for seed in range(300):
        draw = Random(seed)
        counts, moment = [0.0], 0.0
        while counts[-1] < 800:
            moment += 1
            counts.append(counts[-1] + (draw.randint(1, 12) if draw.random() < 0.4 else 0))
        half = next(second for second, count in enumerate(counts) if count >= 400)
        left = paced(counts[: half + 1]).left("rows", 800)
        if left is not None:
            told += 1
            within += left.least <= moment - half <= left.most
    assert told >= 295
    assert 0.73 <= within / told <= 0.88
