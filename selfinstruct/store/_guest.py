"""Connections to a run in PostgreSQL that another process owns. Holds no lock: what may be written, leases say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from selfinstruct.store._postgres import PostgresHold

if TYPE_CHECKING:
    from selfinstruct.store._postgres import Postgres

LEADER = """
SELECT token FROM owner WHERE EXISTS (
    SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE datname = current_database() AND locktype = 'advisory' AND objsubid = 1 AND granted
    AND (classid::bigint << 32 | objid::bigint) = :key)
"""
"""A lock on one 64-bit number stands there as two of 32 (PostgreSQL 15, 54.12: pg_locks)."""


class Guest(PostgresHold):
    """One that writes by leave of its leases."""

    def __init__(self, place: Postgres) -> None:
        """Connect.

        Raises:
            BadInputError: the schema is gone.
        """
        super().__init__(place)
        place.insist(self.session)

    def insert(self, table: sa.TableClause, *, again: bool) -> sa.Insert:
        """Add rows; a former holder of the lease may have written the same."""
        del again
        return super().insert(table, again=True)

    def leader(self, connection: sa.Connection) -> str | None:
        """Return the token of the run's owner; None while there is none."""
        token: str | None = connection.scalar(sa.text(LEADER), {"key": self._key})
        return token

    def regain(self) -> bool:
        """Connect again; the leases tell what was taken over meanwhile."""
        self.session.invalidate()
        self.session.close()
        self.session = self.engine.connect()
        return True
