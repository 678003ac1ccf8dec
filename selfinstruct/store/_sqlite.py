"""A run's tables in one file of its folder. Knows what is SQLite's own, and no table."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa

from selfinstruct.errors import DamageError, NoRoomError, SelfInstructError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_SECONDS = 30


class Sqlite:
    """The file. Its owner is who has the folder's lock."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is opened yet."""
        self.name = str(path)
        self._path = path

    def own(self) -> SqliteHold:
        """Open it for writing."""
        return SqliteHold(self._path)

    def reading(self) -> sa.Engine:
        """Open one read transaction."""

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(
                self._path, timeout=WAIT_SECONDS, check_same_thread=False, isolation_level=None, factory=_Snapshot
            )
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("BEGIN")
            return connection

        return sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.StaticPool)

    def told(self, error: BaseException, *, writing: bool) -> SelfInstructError:
        """Tell a full disk from damage."""
        cause = getattr(error, "orig", None) or error
        if writing and isinstance(error, sa.exc.OperationalError | OSError):
            msg = f"cannot write to {self._path.parent}: {cause}"
            return NoRoomError(msg, remedy=f"make room, then: selfinstruct resume {self._path.parent}")
        if isinstance(error, sa.exc.DatabaseError):
            return DamageError(
                f"{self._path}: {cause}", remedy="restore the run folder from a copy, or use another one"
            )
        msg = f"cannot write to {self._path.parent}: {cause}"
        return SelfInstructError(msg, remedy=f"selfinstruct verify {self._path.parent}")

    def integrity(self, connection: sa.Connection) -> Iterator[str]:
        """Have SQLite check its pages."""
        for (verdict,) in connection.exec_driver_sql("PRAGMA integrity_check"):
            if verdict != "ok":
                yield f"sqlite: {verdict}"


class SqliteHold:
    """Connections for writing."""

    def __init__(self, path: Path) -> None:
        """Connections are opened when they are wanted."""

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(path, timeout=WAIT_SECONDS, check_same_thread=False)
            connection.execute("PRAGMA page_size=16384")  # 2.9 KB rows: fewer, fuller pages
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(
                "PRAGMA synchronous=FULL"
            )  # a commit survives power loss; costs nothing beside the calls
            return connection

        self.engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.QueuePool)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Begin at once: Python's own beginning would leave out what makes and changes tables."""
        with self.engine.begin() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def insert(self, table: sa.TableClause, *, again: bool) -> sa.Insert:
        """Add rows; a file is never lost in the middle of a commit."""
        del again
        return sa.insert(table)

    def is_lost(self, error: sa.exc.DBAPIError) -> bool:
        """A file needs no connection."""
        del error
        return False

    def regain(self) -> bool:
        """Never lost."""
        return True

    def release(self) -> None:
        """Close the file."""
        self.engine.dispose()


class _Snapshot(sqlite3.Connection):
    """One read transaction for as long as it is open: a run that goes on is seen as it stood at one moment."""

    def rollback(self) -> None:
        """Stay in it: SQLAlchemy ends a transaction after each question."""
