"""A run's tables in a schema of their own in a PostgreSQL database. Knows what is PostgreSQL's own, and no table of a run.

The owner holds a session's advisory lock on the very connection that it writes with: who loses the lock loses the connection,
and no commit can come of it. The server frees the lock when the owner dies, so a kill leaves nothing to clean.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from selfinstruct.errors import BadInputError, SelfInstructError, UnreachableError
from selfinstruct.store._postgres_errors import is_lost, meaning
from selfinstruct.store.place import ELSEWHERE, bare, note

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logging.getLogger("psycopg").setLevel(logging.ERROR)  # it warns of lost connections; so do we, with what comes of it

CONNECTING: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
    "application_name": "selfinstruct",
    "client_encoding": "utf8",
}
"""A server that vanished without a word is noticed within 25 s; what the URL says of these goes first."""

SESSION = (
    # The same the other way round: a machine that vanished holds its lock for 25 s, not for Linux' two hours.
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;"
    "SET idle_in_transaction_session_timeout = 0; SET search_path TO "
)

LOCK_TRIES, LOCK_PAUSE = 5, 0.1
"""The server needs a moment to see that a killed owner is gone."""

OWNER = "CREATE TABLE IF NOT EXISTS owner (token text NOT NULL, told text NOT NULL)"


class Postgres:
    """One schema."""

    def __init__(self, folder: Path, url: sa.URL, schema: str, *, known: bool) -> None:
        """Name it; `known` says that it was made before. Nothing is asked yet."""
        self.name = f"{bare(url)} schema {schema}"
        self.folder = folder
        self.schema = schema
        self._url = url
        self._known = known

    def own(self) -> PostgresHold:
        """Take the lock and, for a new run, make the schema; only then the folder says where it is."""
        hold = PostgresHold(self)
        try:
            if self._known:
                self.insist(hold.session)
            hold.take(make=not self._known)
        except BaseException:
            hold.release()
            raise
        self._known = True
        return hold

    def reading(self) -> sa.Engine:
        """Open one read transaction."""
        engine = self.engine(_Snapshot, poolclass=sa.pool.StaticPool)
        try:
            with engine.connect() as connection:
                self.insist(connection)
        except BaseException:
            engine.dispose()
            raise
        return engine

    def engine(self, kind: type[psycopg.Connection[Any]], **options: Any) -> sa.Engine:  # noqa: ANN401 - create_engine's
        """Return an engine whose connections see the schema and nothing else."""
        engine = sa.create_engine(self._url.set(drivername="postgresql+psycopg"), **options)

        @sa.event.listens_for(engine, "do_connect")
        def connect(
            dialect: object, record: object, arguments: tuple[Any, ...], named: dict[str, Any]
        ) -> psycopg.Connection[Any]:
            del dialect, record
            connection = kind.connect(*arguments, **(CONNECTING | named), autocommit=True)
            connection.execute(f'{SESSION} "{self.schema}"'.encode())  # of hex digits
            connection.autocommit = False
            if kind is _Snapshot:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                connection.read_only = True
            return connection

        return engine

    def insist(self, connection: sa.Connection) -> None:
        """An empty schema in its place would have everything asked and paid for again.

        Raises:
            BadInputError: the schema is gone.
        """
        there = connection.scalar(sa.text("SELECT to_regnamespace(:name) IS NOT NULL"), {"name": self.schema})
        connection.rollback()
        if not there:
            msg = f"{self.folder} says that its run lies in {self.name}, which is not there"
            raise BadInputError(msg, remedy=f"restore the database, or remove {self.folder / ELSEWHERE} to start anew")

    def told(self, error: BaseException, *, writing: bool) -> SelfInstructError:
        """Tell a server that is away, one that does not let us in, a full disk, and damage."""
        meant = meaning(error, name=self.name, url=self._url, folder=self.folder, known=self._known)
        if type(meant) is SelfInstructError and not writing:
            meant.remedy = f"selfinstruct verify {self.folder}"
        return meant

    def integrity(self, connection: sa.Connection) -> Iterator[str]:
        """Nothing: pages and indexes are the server's own affair (pg_amcheck); the rows have their digests."""
        del connection
        yield from ()

    def make(self, connection: sa.Connection) -> None:
        """Make the schema, and write down where it is before anybody can see it.

        Raises:
            BadInputError: the database has no room for all characters.
        """
        encoding = connection.scalar(sa.text("SHOW server_encoding"))
        if encoding != "UTF8":
            msg = f"{self.name}: the database is in {encoding}, which has not all characters"
            raise BadInputError(msg, remedy="CREATE DATABASE runs ENCODING 'UTF8' TEMPLATE template0")
        connection.execute(sa.text(f'CREATE SCHEMA "{self.schema}"'))
        note(self.folder, self._url, self.schema)


class PostgresHold:
    """The connection that writes and is the owner, and others for questions."""

    def __init__(self, place: Postgres) -> None:
        """Connect; see `take`."""
        self.engine = place.engine(psycopg.Connection, pool_pre_ping=True)
        self._place = place
        self._key = int.from_bytes(bytes.fromhex(place.schema.removeprefix("run_")), signed=True)
        self._token = secrets.token_hex(8)
        self.session = self.engine.connect()

    def take(self, *, make: bool) -> None:
        """Own the run.

        Raises:
            BadInputError: another process does.
        """
        for _ in range(LOCK_TRIES):
            if self._lock():
                break
            time.sleep(LOCK_PAUSE)
        else:
            _, owner = self._owner()
            msg = f"{self._place.folder} ({self._place.name}) is in use by {owner}"
            raise BadInputError(msg, remedy="wait for it, stop it, or give another folder with -o")
        told = f"pid {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}"
        try:
            with self.transaction() as connection:
                if make:
                    self._place.make(connection)
                connection.execute(sa.text(OWNER))
                connection.execute(sa.text("DELETE FROM owner"))
                values = {"token": self._token, "told": told}
                connection.execute(sa.text("INSERT INTO owner VALUES (:token, :told)"), values)
        except BaseException:
            if make:
                (self._place.folder / ELSEWHERE).unlink(missing_ok=True)
            raise

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Begin on the connection that has the lock."""
        with self.session.begin():
            yield self.session

    def insert(self, table: sa.TableClause, *, again: bool) -> sa.Insert:
        """Add rows; those of a commit whose answer was lost may be there."""
        return insert(table).on_conflict_do_nothing() if again else sa.insert(table)

    def is_lost(self, error: sa.exc.DBAPIError) -> bool:
        """Ask who knows the codes."""
        return is_lost(error)

    def regain(self) -> bool:
        """Connect and take the lock again; whoever had it in between has left a token of its own."""
        if not self.session.closed:  # as it is when an earlier try found nobody
            self.session.invalidate()
            self.session.close()
        self.session = self.engine.connect()
        locked = self._lock()
        token, owner = self._owner()
        if token != self._token:
            msg = f"{self._place.folder}: {owner} took the run over while {self._place.name} was not to be reached from here"
            raise UnreachableError(msg, remedy=f"when that has ended: selfinstruct resume {self._place.folder}")
        return locked

    def release(self) -> None:
        """Close all connections; the lock goes with its own."""
        self.session.close()
        self.engine.dispose()

    def _lock(self) -> bool:
        taken = self.session.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key})
        self.session.rollback()
        return bool(taken)

    def _owner(self) -> tuple[str, str]:
        row = self.session.execute(sa.text("SELECT token, told FROM owner")).first()
        self.session.rollback()
        return (row[0], row[1]) if row else ("", "another process")


class _Snapshot(psycopg.Connection[Any]):
    """One read transaction for as long as it is open: a run that goes on is seen as it stood at one moment."""

    def rollback(self) -> None:
        """Stay in it: SQLAlchemy ends a transaction after each question."""
