"""Intervals hold what they say, and where nothing can be known nothing is said."""

from __future__ import annotations

from random import Random

import pytest

from selfinstruct.judging.estimate import BLOCKS, FEWEST, Blocks, Sums, share, t_quantile


def mean(sums: Sums) -> float | None:
    return sums["sum",] / sums["number",] if sums["number",] else None


def blocks(values: list[float]) -> Blocks:
    made = Blocks()
    for value in values:
        made.add({("sum",): value, ("number",): 1.0})
    return made


def test_wilson_as_published() -> None:
    """Known values (Newcombe 1998, table I: 81 of 263, 15 of 148, 1 of 29), and the ends stay within 0 and 1."""
    for part, whole, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (1, 29, 0.0061, 0.1718)):
        found = share(part, whole, of="pairs")
        assert [found.low, found.high] == pytest.approx([low, high], abs=5e-5)
        assert found.rests_on == {"pairs": whole}
    assert share(0, 29, of="pairs").low == 0
    assert share(29, 29, of="pairs").high == 1
    assert share(0, 0, of="pairs", why="none").why == "none"


def test_student_as_tabled() -> None:
    """The 97.5 % quantiles of the usual table."""
    for freedom, wanted in ((9, 2.262), (19, 2.093), (63, 1.998), (1000, 1.962)):
        assert t_quantile(freedom) == pytest.approx(wanted, abs=1e-3)


def test_the_mean_has_its_textbook_interval() -> None:
    """With a task a block, the jackknife of a mean is the t interval, exactly."""
    values = [1.0, 4.0, 2.0, 8.0, 5.0, 7.0, 1.5, 3.0, 6.0, 2.5]
    middle = sum(values) / 10
    error = (sum((one - middle) ** 2 for one in values) / 9 / 10) ** 0.5
    found = blocks(values).interval(mean)
    reach = t_quantile(9) * error
    assert found is not None
    assert list(found) == pytest.approx([middle, middle - reach, middle + reach], abs=1e-6)


@pytest.mark.parametrize("tasks", [FEWEST, BLOCKS, 10 * BLOCKS + 7])
def test_nineteen_in_twenty(tasks: int) -> None:
    """Over 300 seeded samples the interval of a mean holds the true one in 95 %, give or take what 300 allow."""
    draw = Random(tasks)
    held = 0
    for _ in range(300):
        found = blocks([draw.gauss(3, 1) for _ in range(tasks)]).interval(mean)
        assert found is not None
        held += found[1] <= 3 <= found[2]
    assert 0.91 <= held / 300 <= 0.99


@pytest.mark.parametrize("counting", [FEWEST, BLOCKS - 1, BLOCKS, 3 * BLOCKS + 5])
def test_every_task_is_left_out_once(counting: int) -> None:
    """Also one that says nothing of the figure alone, but of what is held equal: however many say something."""
    made = blocks([1.0] * counting)
    for _ in range(2 * BLOCKS + 3):
        made.add({("quiet",): 1.0}, counts=False)
    seen: list[Sums] = []
    made.interval(lambda sums: float(not seen.append(sums)))  # type: ignore[func-returns-value]
    total, others = seen[0], seen[1:]
    for name, count in ((("quiet",), 2 * BLOCKS + 3), (("number",), counting)):
        assert total[name] == count
        assert sum(total[name] - one[name] for one in others) == count


def test_too_little_is_told_as_nothing() -> None:
    """No task, few tasks, a figure that hangs on one task alone: no interval."""
    assert blocks([]).interval(mean) is None
    assert blocks([1.0] * (FEWEST - 1)).interval(mean) is None
    alone = blocks([1.0] * 20)
    alone.add({("rare",): 1.0}, counts=False)
    assert alone.interval(lambda sums: 1.0 if sums["rare",] else None) is None
