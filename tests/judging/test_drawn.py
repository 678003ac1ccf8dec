"""Which rows a person is shown: the same ones again, of all scores, more of them near the threshold."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise
from pathlib import Path

from selfinstruct.judging.drawn import order, stratum
from selfinstruct.judging.scored import ScoredRow, ScoredTable


def table(digest: str = "a", **scores: int) -> ScoredTable:
    """So many rows of each score: s45=9 makes nine of 4.5."""
    rows = [
        ScoredRow(f"{name}-{number}", "Do.", "", "Done.", int(name[1:]) / 10)
        for name, count in scores.items()
        for number in range(count)
    ]
    return ScoredTable(Path("run"), digest, (0.0, 5.0), 4.5, rows, len(rows))


def test_every_row_comes_once_and_in_the_same_order() -> None:
    """Nobody is asked twice, a second sitting goes on where the first stopped, and another run has another order."""
    rows = table(s50=300, s45=200, s20=37)
    drawn = list(order(rows))
    assert sorted(drawn) == sorted(rows.rows)
    assert list(order(rows)) == drawn
    assert list(order(table("b", s50=300, s45=200, s20=37))) != drawn


def test_rare_scores_are_seen_and_near_ones_more_often() -> None:
    """Of 1,000 rows of 5 and a few others, fifty labels hold every score; those at the threshold come most often."""
    rows = table(s50=1000, s45=100, s40=30, s20=20, s0=20)
    first = Counter(row.score for row in islice(order(rows), 50))
    assert set(first) == {5.0, 4.5, 4.0, 2.0, 0.0}
    assert first[4.5] > first[5.0] > first[2.0] > first[0.0] >= 2


def test_nobody_can_count_off_whose_turn_it_is() -> None:
    """With two scores in even turns, neither do turns alternate, nor does one side come first."""
    scores = [row.score for row in islice(order(table(s50=500, s40=500)), 100)]
    assert scores.count(5.0) == 50
    assert 20 < sum(one != other for one, other in pairwise(scores)) < 80


def test_scores_between_half_points_belong_to_the_one_below() -> None:
    """A median of 4.25 is no 4.5."""
    assert [stratum(score) for score in (0, 0.49, 4.25, 4.5, 4.99, 5)] == [0, 0, 4.0, 4.5, 4.5, 5.0]
