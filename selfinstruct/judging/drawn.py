"""In which order a person is shown the rows of a judged table: by the judge's score, more of them near the threshold."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from selfinstruct.judging.scored import ScoredRow, ScoredTable

BLOCK = 10
"""Rows that are shuffled together, so that nobody can count off whose turn it is."""


def stratum(score: float) -> float:
    """Return the half point that a score belongs to: medians and means lie between."""
    return int(score * 2) / 2


def by_stratum(rows: Sequence[ScoredRow]) -> dict[float, list[ScoredRow]]:
    """Return the rows of each half point, the lowest first."""
    found: dict[float, list[ScoredRow]] = defaultdict(list)
    for row in rows:
        found[stratum(row.score)].append(row)
    return dict(sorted(found.items()))


def order(table: ScoredTable) -> Iterator[ScoredRow]:
    """Yield all rows, the ones to label first before the others; the same run gives the same order.

    Turns are dealt out by Sainte-Lague: a half point gets a share that falls with its distance from what
    counts as good, 1 / (1 + distance), whatever its number of rows, so that rare scores are seen too. A report weighs them back.
    """
    draw = Random(table.digest)  # noqa: S311 - repeatable sampling, not secrecy
    waiting = by_stratum(table.rows)
    for rows in waiting.values():
        draw.shuffle(rows)
    turns = _turns({score: (1 / (1 + abs(score - table.good)), len(rows)) for score, rows in waiting.items()})
    while block := [waiting[score].pop() for score in islice(turns, BLOCK)]:
        draw.shuffle(block)
        yield from block


def _turns(shares: dict[float, tuple[float, int]]) -> Iterator[float]:
    """Yield whose turn it is until everybody's number is used up; `shares` is score -> (share, number)."""
    taken = dict.fromkeys(shares, 0)
    while waiting := [score for score, (_, number) in shares.items() if taken[score] < number]:
        score = max(waiting, key=lambda one: (shares[one][0] / (2 * taken[one] + 1), one))
        taken[score] += 1
        yield score
