"""Who works on which request when several processes carry one run: leases that end by themselves. Knows no work, only numbers.

A request that others may work on has a row: free (until 0), held (by `owner`, until a moment of the database's clock), or
settled (until -1) and soon collected by the run's owner. Whoever holds rows locks them in the transaction that it writes
in (`held`): a lease that was taken over, or thrown away with all others, ends its former holder's writing at once. Rows are
locked in the order of their numbers everywhere, so that no two wait for each other.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from selfinstruct.store.schema import leases, workers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from selfinstruct.store.place import Place

owners = sa.table("owner", sa.column("token", sa.String))
"""Who owns the run: made and kept where that is decided."""

FREE, SETTLED = 0.0, -1.0
NOW = sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)


class Look(NamedTuple):
    """What the owner of a run sees of those who work for it."""

    settled: list[int]
    """Requests that were settled, until they are collected: a look whose answer is lost loses nothing."""
    free: int
    held: int
    """Leases that nobody has, or that have run out; those that somebody has."""
    told: dict[str, str]
    """Worker -> what it last told of itself."""
    there: set[str]
    """Workers that were heard of in time."""


def offering(number: int) -> tuple[sa.Executable, list[dict[str, object]]]:
    """Return what lets others take a request."""
    free = insert(leases).on_conflict_do_nothing()
    return free, [{"request": number, "owner": "", "until": FREE}]


def settling(number: int, owner: str) -> tuple[sa.Executable, list[dict[str, object]]]:
    """Return what tells the owner of the run that all that came of a request has its fate."""
    row = sa.update(leases).where(leases.c.request == sa.bindparam("r"), leases.c.owner == sa.bindparam("o"))
    return row.values(until=SETTLED), [{"r": number, "o": owner}]


def clear(connection: sa.Connection) -> None:
    """Throw all leases away: who worked for an earlier owner of the run may write no more."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(leases.c.request).order_by(leases.c.request).with_for_update())
    connection.execute(sa.delete(leases))
    connection.execute(sa.delete(workers))


def held(connection: sa.Connection, owner: str, numbers: Collection[int]) -> set[int]:
    """Return which of these requests are `owner`'s, for as long as the transaction lasts."""
    mine = sa.select(leases.c.request).where(leases.c.owner == owner, leases.c.request.in_(numbers))
    return set(connection.execute(mine.order_by(leases.c.request).with_for_update()).scalars())


class Leases:
    """The questions and answers that are no part of a lineage's writing; each a transaction of its own."""

    def __init__(self, engine: sa.Engine, place: Place) -> None:
        self._engine, self._place = engine, place

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise self._place.told(error, writing=True) from error

    def clear(self) -> None:
        """See above."""
        with self._transaction() as connection:
            clear(connection)

    def take(self, owner: str, *, seconds: float, most: int = 1) -> list[int]:
        """Take the first requests that are free or whose holder was not heard of in time."""
        free = sa.select(leases.c.request).where(leases.c.until >= FREE, leases.c.until < NOW)
        chosen = free.order_by(leases.c.request).limit(most).with_for_update(skip_locked=True)
        mine = _update(chosen).values(owner=owner, until=NOW + seconds).returning(leases.c.request)
        with self._transaction() as connection:
            return sorted(connection.execute(mine).scalars())

    def renew(self, owner: str, told: str, *, seconds: float) -> set[int]:
        """Say that `owner` is there, with what it tells of itself; return the requests that it still has."""
        longer = _update(_of(owner)).values(until=NOW + seconds).returning(leases.c.request)
        with self._transaction() as connection:
            ours = set(connection.execute(longer).scalars())
            _tell(connection, owner, told, seconds)  # second, as everywhere: `clear` would wait for us, and we for it
        return ours

    def leave(self, owner: str, told: str) -> None:
        """Give back what `owner` still has; its last words stay."""
        with self._transaction() as connection:
            connection.execute(_update(_of(owner)).values(owner="", until=FREE))
            _tell(connection, owner, told, None)

    def free(self, owner: str, numbers: Collection[int]) -> None:
        """Give some requests back."""
        some = _of(owner).where(leases.c.request.in_(numbers))
        with self._transaction() as connection:
            connection.execute(_update(some).values(owner="", until=FREE))

    def look(self, *, collected: Collection[int] = (), withdraw: bool = False) -> Look:
        """See what was settled and who is there, and forget what was `collected`; `withdraw`: nobody may take any more."""
        settled = sa.select(leases.c.request).where(leases.c.until == SETTLED).order_by(leases.c.request)
        ours = sa.select(workers.c.owner, workers.c.told, workers.c.until >= NOW).where(
            workers.c.owner.startswith(sa.select(owners.c.token).scalar_subquery())  # not who came for an earlier owner
        )
        is_held = leases.c.until >= NOW
        counts = sa.select(
            sa.func.count().filter(~is_held), sa.func.count().filter(is_held)
        ).where(leases.c.until >= FREE)  # fmt: skip
        with self._transaction() as connection:
            if withdraw:
                connection.execute(sa.delete(leases).where(leases.c.until >= FREE, leases.c.until < NOW))
            if collected:
                gone = sa.delete(leases).where(leases.c.until == SETTLED, leases.c.request.in_(collected))
                connection.execute(gone)
            through = list(connection.execute(settled).scalars())
            free, taken = connection.execute(counts).one()
            rows = connection.execute(ours).all()
        there = {name for name, _, is_there in rows if is_there}
        return Look(through, int(free), int(taken), {name: told for name, told, _ in rows}, there)


def _of(owner: str) -> sa.Select[tuple[int]]:
    mine = sa.select(leases.c.request).where(leases.c.owner == owner, leases.c.until > FREE)
    return mine.order_by(leases.c.request).with_for_update()


def _update(chosen: sa.Select[tuple[int]]) -> sa.Update:
    """Change the rows that a locking question gives; it is asked once, which a subquery need not be."""
    found = chosen.cte("chosen")
    return sa.update(leases).where(leases.c.request.in_(sa.select(found.c.request)))


def _tell(connection: sa.Connection, owner: str, told: str, seconds: float | None) -> None:
    until = FREE if seconds is None else NOW + seconds
    there = insert(workers).values(owner=owner, told=told, until=until)
    connection.execute(there.on_conflict_do_update(index_elements=["owner"], set_={"told": told, "until": until}))
