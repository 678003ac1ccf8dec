"""How far what was added lies from what was there: one distance for all distributions. Knows counts, not what they are of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from selfinstruct.records import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

SPLITS = 200
"""Random splits of all rows together that tell what chance alone gives: its mean is then known to a tenth of its spread."""
SURE = 0.99
"""Share of these splits that lie nearer than a distance that is no chance."""
SHOWN = 3
"""Kinds whose share moved most that are named."""


class Moved(Frozen):
    """One kind of rows, and its share before and among the added."""

    kind: str
    before: float
    added: float


class Drift(Frozen):
    """Two distributions compared. `distance` is total variation: the share of the added that would have to be of another kind.

    It is 0 for equal shares, 1 where no kind is in both, and never 0 by chance: few rows of many kinds always lie apart.
    """

    before: int
    added: int
    """How many were counted on either side."""
    distance: float
    chance: float
    """Mean distance of as many rows drawn at random from all of them."""
    usual: float
    """99 of 100 such draws lie nearer."""
    moved: tuple[Moved, ...]
    """The kinds that moved most, most first."""

    @property
    def excess(self) -> float:
        """What chance does not explain; 0 where the distance is one that chance gives."""
        return max(0.0, self.distance - self.chance) if self.distance > self.usual else 0.0


def drift(before: Mapping[str, int], added: Mapping[str, int]) -> Drift | None:
    """Compare two counts by kind; None where one side has nothing. Equal counts give equal figures: the draws have a seed."""
    kinds = sorted({*before, *added})
    old, new = (np.array([some.get(kind, 0) for kind in kinds], dtype=np.int64) for some in (before, added))
    count = int(new.sum())
    if not count or not old.sum():
        return None
    draw = np.random.default_rng(0)
    pooled = old + new
    apart = sorted(
        _apart(pooled - one, one)
        for one in (draw.multivariate_hypergeometric(pooled, count, method="marginals") for _ in range(SPLITS))
    )
    shares = {
        kind: (was, now) for kind, was, now in zip(kinds, old / old.sum(), new / count, strict=True) if was != now
    }
    most = sorted(shares, key=lambda kind: (-abs(shares[kind][1] - shares[kind][0]), kind))[:SHOWN]
    return Drift(
        before=int(old.sum()),
        added=count,
        distance=_apart(old, new),
        chance=round(sum(apart) / SPLITS, 4),
        usual=apart[int(SURE * SPLITS) - 1],
        moved=tuple(
            Moved(kind=kind, before=round(float(shares[kind][0]), 4), added=round(float(shares[kind][1]), 4))
            for kind in most
        ),
    )


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    return round(float(np.abs(one / one.sum() - other / other.sum()).sum()) / 2, 4)
