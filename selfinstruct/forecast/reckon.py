"""Reckons what an order takes from what a run has shown. Knows no SQL and no terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from selfinstruct.forecast.model import Basis, Forecast, Range, Share, Spend, StageForecast
from selfinstruct.forecast.notes import notes
from selfinstruct.forecast.seen import SPENT, Seen, look
from selfinstruct.forecast.spread import at_most, predicted, share
from selfinstruct.price import Price
from selfinstruct.runner import FIRST_GUESS
from selfinstruct.stages.bootstrap import WINDOW

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from selfinstruct.runs import StoredRun

FULL_ROUNDS, FULL_SECONDS = 50, 600.0
"""A run tells the speed of a full server when it made so many calls for each place, so that start and end are a tenth of
it at most; or, where the number of places was found as it went, when it took so long."""
HELD = 4
"""Calls of surplus for each place, at most: what is under way when the last row is found (seen: 1.5 to 3.4)."""


def forecast(run: StoredRun, rows: int, *, price: Price | None = None) -> Forecast | None:
    """Return what `rows` rows of the run's recipe take; None while not one of its requests has come to its end."""
    seen = look(run)
    if seen is None:
        return None
    usage = np.array(run.store.usage(), float)
    basis = _basis(run, seen, usage)
    trunk = {label: seen.made[:, seen.labels.index(label)].sum() for label in run.tree.trunk()}
    furthest = [label for label, made in trunk.items() if made][-1]
    reckoner = _Reckoner(seen, rows, price=price or Price(), basis=basis, furthest=round(float(trunk[furthest])))
    surplus = reckoner.surplus(usage, filled=run.ended == "filled")
    return Forecast(
        rows=rows,
        price=reckoner.price,
        basis=basis,
        stages=tuple(reckoner.stage(place) for place in range(len(seen.labels))),
        surplus=surplus,
        total=reckoner.total(surplus),
        spent=dict(zip(SPENT, map(int, usage), strict=True)),
        notes=tuple(notes(basis, rows, ended=run.ended, furthest=(furthest, reckoner.furthest))),
    )


def _basis(run: StoredRun, seen: Seen, usage: NDArray[np.float64]) -> Basis:
    took = float(run.store.get_meta().get("seconds", 0)) if run.ended else 0.0
    places = None if run.recipe.concurrency == "auto" else run.recipe.concurrency
    return Basis(
        run=str(run.folder),
        requests=int(seen.requests.max()) + 1,
        branches=len(seen.rows),
        rows=round(float(seen.rows.sum())),
        calls=round(float(seen.spent[..., 0].sum())),
        seconds=took or None,
        tokens_per_second=float(usage[2]) / took if took and usage[2] else None,
        places=places,
        full=took >= FULL_SECONDS if places is None else bool(usage[0] >= FULL_ROUNDS * places),
        scripted=run.recipe.scripted,
    )


@dataclass(frozen=True, slots=True)
class _Reckoner:
    """The same sums for every part of a run."""

    seen: Seen
    rows: int
    price: Price
    basis: Basis
    furthest: int
    """Records that came to the last stage on the way to a row that was reached at all."""

    def stage(self, place: int) -> StageForecast:
        """Reckon one stage."""
        made, kept, spent = self.seen.made[:, place], self.seen.kept[:, place], self.seen.spent[:, place]
        low, high = share(kept, made)
        return StageForecast(
            name=self.seen.labels[place],
            share=Share(made=round(float(made.sum())), kept=round(float(kept.sum())), low=low, high=high),
            spend=self._spend(self._ranges(spent)) if spent.any() else None,
        )

    def total(self, surplus: Spend) -> Spend:
        """Reckon all stages together, for what one takes more another may take less, and add the surplus."""
        return _added(self._spend(self._ranges(self.seen.spent.sum(axis=1))), surplus)

    def surplus(self, usage: NDArray[np.float64], *, filled: bool) -> Spend:
        """Reckon what is under way when the last row is found: as much as in the run, at most twice that.

        An order that is small beside what can be under way is overshot: its first requests all start before one has shown
        how many rows it gives, and the runner takes `FIRST_GUESS` for each.
        """
        settled = self.seen.spent.sum(axis=(0, 1))
        beyond = np.maximum(usage - settled, 0) if filled else 0 * settled
        of_request, places = settled / self.basis.requests, self.basis.places
        needed = self.rows * self.basis.requests / max(self.basis.rows, 1)
        early = max(0.0, min(WINDOW, places or WINDOW, self.rows / FIRST_GUESS) - needed)
        if places is not None and of_request[0]:
            early = min(early, (early + HELD * places) / of_request[0])
        return self._spend(self._valued(np.stack([0 * beyond, beyond, np.maximum(2 * beyond, early * of_request)])))

    def _ranges(self, spent: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return low, middle and high of the columns of `_valued`; without a row, only the low can be told."""
        values = self._valued(spent)
        if self.basis.rows:
            low, middle, high = predicted(self.seen.rows, values, self.seen.requests, wanted=self.rows)
            # Where everything came through, the spread cannot show that some of it will not.
            return np.stack([low, middle, np.maximum(high, middle / (1 - at_most(self.basis.rows)))])
        low = values.sum(axis=0) * self.rows / (self.furthest * at_most(self.furthest))
        return np.stack([low, np.full_like(low, np.nan), np.full_like(low, np.inf)])

    def _valued(self, spent: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return calls, tokens in, tokens out, what the tokens cost, seconds, and what both cost: (..., 3) to (..., 6)."""
        price, out = self.price, spent[..., 2]
        tokens = (spent[..., 1] * price.per_million_in + out * price.per_million_out) / 1e6
        seconds = out / (self.basis.tokens_per_second or np.inf)
        both = tokens + seconds / 3600 * price.per_gpu_hour
        return np.stack([*np.moveaxis(spent, -1, 0), tokens, seconds, both], axis=-1)

    def _spend(self, ranges: NDArray[np.float64]) -> Spend:
        """Name the columns. Time at the speed of a server that was not full is an upper bound: nothing bounds it from below."""
        calls, tokens_in, out, tokens, seconds, both = (_range(*map(float, column)) for column in ranges.T)
        hours, timed = self.price.per_gpu_hour > 0, self.basis.tokens_per_second is not None
        priced = self.price != Price() and (timed or not hours)
        if not self.basis.full:
            seconds = seconds.model_copy(update={"low": 0.0})
            both = both.model_copy(update={"low": tokens.low})
        return Spend(
            calls=calls,
            prompt_tokens=tokens_in,
            completion_tokens=out,
            seconds=seconds if timed else None,
            cost=both if priced else None,
        )


def _range(low: float, middle: float, high: float) -> Range:
    return Range(low=low, middle=None if np.isnan(middle) else middle, high=None if np.isinf(high) else high)


def _added(one: Spend, other: Spend) -> Spend:
    def both(name: str) -> Range | None:
        left, right = getattr(one, name), getattr(other, name)
        if left is None or right is None:
            return None
        sums = [a + b if a is not None and b is not None else None for (_, a), (_, b) in zip(left, right, strict=True)]
        return Range(**dict(zip(("low", "middle", "high"), sums, strict=True)))

    return Spend.model_validate({name: both(name) for name in Spend.model_fields})
