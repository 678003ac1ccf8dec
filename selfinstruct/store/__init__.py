"""One run, one folder, append-only tables, one owner. The only part that knows SQL; knows no stage, engine or recipe."""

from __future__ import annotations

import fcntl
import os
import socket
import sqlite3
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import sqlalchemy as sa

from selfinstruct.errors import BadInputError, DamageError, NoRoomError
from selfinstruct.store.read import RunReader
from selfinstruct.store.schema import (
    FORMAT,
    CallRow,
    Outcome,
    RecordRow,
    WorkRow,
    child_path,
    meta,
    metadata,
    pack,
    request_path,
)
from selfinstruct.store.write import RunStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = [
    "CallRow",
    "Outcome",
    "RecordRow",
    "RunReader",
    "RunStore",
    "WorkRow",
    "child_path",
    "open_run",
    "read_run",
    "request_path",
]


def _engine(path: Path) -> sa.Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
        connection.execute("PRAGMA page_size=16384")  # 2.9 KB rows: fewer, fuller pages
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")  # a commit survives power loss; costs nothing beside the calls
        return connection

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.QueuePool)


class _Snapshot(sqlite3.Connection):
    """One read transaction for as long as it is open: a run that goes on is seen as it stood at one moment."""

    def rollback(self) -> None:
        """Stay in it: SQLAlchemy ends a transaction after each question."""


def _snapshot(path: Path) -> sa.Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None, factory=_Snapshot)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("BEGIN")
        return connection

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.StaticPool)


def _own(folder: Path) -> IO[str]:
    """Take the folder's lock. The kernel frees it when the owner dies, so a kill leaves nothing to clean."""
    lock = (folder / "lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read().strip() or "another process"
        lock.close()
        msg = f"{folder} is in use by {owner}"
        raise BadInputError(msg, remedy="wait for it, stop it, or give another folder with -o") from None
    lock.seek(0)
    lock.truncate()
    lock.write(f"pid {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
    lock.flush()
    return lock


def open_run(folder: Path) -> RunStore:
    """Own the run in `folder` (made when absent) for writing.

    Raises:
        BadInputError: another process owns it, or it was written by another version.
        NoRoomError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _own(folder)
    except OSError as error:
        msg = f"cannot write to {folder}: {error.strerror}"
        raise NoRoomError(msg, remedy="give a folder with room and write access with -o") from error
    engine = _engine(folder / "run.db")
    store = RunStore(folder, engine=engine, lock=lock)
    try:
        metadata.create_all(engine)
        known = store.get_meta()
        if not known:
            with engine.begin() as connection:
                connection.execute(sa.insert(meta), [pack({"key": "format", "value": str(FORMAT)})])
        _check_format(folder, known)
    except sa.exc.OperationalError as error:
        store.close()
        msg = f"cannot write to {folder}: {error.orig}"
        raise NoRoomError(msg, remedy=f"make room, then: selfinstruct resume {folder}") from error
    except sa.exc.DatabaseError as error:
        store.close()
        msg = f"{folder / 'run.db'}: {error.orig}"
        raise DamageError(msg, remedy="restore the run folder from a copy, or give another one with -o") from error
    except BadInputError:
        store.close()
        raise
    store.begin()
    return store


@contextmanager
def read_run(folder: Path) -> Iterator[RunReader]:
    """Open the run in `folder` for reading, whoever owns it.

    Raises:
        BadInputError: there is no run, or it was written by another version.
        DamageError: the file is not a database any more.
    """
    path = folder / "run.db"
    if not path.is_file():
        msg = f"no run in {folder} (no run.db)"
        raise BadInputError(msg, remedy=f"start one: selfinstruct run -n 100 -o {folder}")
    store = RunReader(folder, engine=_snapshot(path))
    try:
        _check_format(folder, store.get_meta())
        yield store
    except sa.exc.DatabaseError as error:
        msg = f"{path}: {error.orig}"
        raise DamageError(msg, remedy="restore the run folder from a copy") from error
    finally:
        store.close()


def _check_format(folder: Path, known: Mapping[str, str]) -> None:
    if known and known.get("format") != str(FORMAT):
        msg = f"{folder} has store format {known.get('format')}, this version writes {FORMAT}"
        raise BadInputError(msg, remedy="use the selfinstruct version that wrote it")
