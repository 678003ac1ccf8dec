"""What must be known beside a forecast's figures, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfinstruct.forecast.spread import REQUESTS, at_most

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.forecast.model import Basis

FAR = 3
"""An order of so many times the rows that were seen is told to be far from what it rests on."""


def notes(basis: Basis, rows: int, *, ended: str, furthest: tuple[str, int]) -> Iterator[str]:
    """Yield them, the gravest first; `furthest` is the last stage that was reached, and by how many records."""
    if not basis.rows:
        stage, count = furthest
        share = f"at most {at_most(count):.0%} would be (19 times in 20)"
        yield f"none of {count} records at stage {stage} became a row: {share}, so these figures are the least it can take"
    if basis.scripted:
        yield "a script answered, not a model: only the shape of this is real"
    yield from _of_time(basis, ended)
    if ended != "filled":
        yield "that run did not fill its order: what is under way when the last row is found is not counted"
    if basis.requests < REQUESTS:
        few = "one request" if basis.requests == 1 else f"{basis.requests} requests"
        yield f"rests on {few}: the ranges hold what differs within requests; a larger preview tells more"
    if basis.rows and rows > FAR * basis.rows:
        yield "as the pool grows less of what is proposed is new: not foreseen here (selfinstruct novelty RUN shows it)"


def _of_time(basis: Basis, ended: str) -> Iterator[str]:
    if basis.tokens_per_second is None:
        yield f"how long it takes is not known: that run {'was too quick to time' if ended else 'is under way or was killed'}"
        return
    places = "as many at once as found room" if basis.places is None else f"{basis.places} at once"
    yield f"time is at the speed of that run: {basis.tokens_per_second:,.0f} tokens/s written, answers {places}"
    if not basis.full:
        yield "a run so small does not fill a server: a large one is quicker, by how much it cannot tell"
