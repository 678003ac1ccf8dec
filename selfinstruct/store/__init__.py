"""One run, one folder, append-only tables, one owner. The only part that knows SQL; knows no stage, engine or recipe.

The tables lie in a file of the folder (SQLite), or in a schema of a PostgreSQL database that the folder names.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from contextlib import ExitStack, closing, contextmanager
from typing import IO, TYPE_CHECKING

import sqlalchemy as sa

from selfinstruct.errors import BadInputError, NoRoomError
from selfinstruct.store.leases import Leases, Look, clear
from selfinstruct.store.migrations import check, prepare
from selfinstruct.store.place import TABLES, find, has_run, runs_below
from selfinstruct.store.read import RunReader
from selfinstruct.store.schema import (
    CallRow,
    Outcome,
    RecordRow,
    WorkRow,
    child_path,
    request_path,
)
from selfinstruct.store.worker import WorkerStore, insist_on_database, join_run
from selfinstruct.store.write import RunStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "CallRow",
    "Leases",
    "Look",
    "Outcome",
    "RecordRow",
    "RunReader",
    "RunStore",
    "WorkRow",
    "WorkerStore",
    "child_path",
    "facts_of",
    "has_run",
    "insist_on_database",
    "join_run",
    "open_run",
    "read_run",
    "request_path",
    "runs_below",
]


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


def open_run(folder: Path, *, url: str | None = None) -> RunStore:
    """Own the run in `folder` (made when absent) for writing.

    `url` names the database for the tables of a new run, and may hold its password [default: $SELFINSTRUCT_STORE, else a file
    in the folder]. The folder remembers it, without the password. An older run is brought up to date.

    Raises:
        BadInputError: another process owns it, it lies elsewhere, it was written by another version, or the database does
            not let us in.
        NoRoomError: the folder cannot be made or written. UnreachableError: no database answers. DamageError: it is broken.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _own(folder)
    except OSError as error:
        msg = f"cannot write to {folder}: {error.strerror}"
        raise NoRoomError(msg, remedy="give a folder with room and write access with -o") from error
    with ExitStack() as undo:
        undo.callback(lock.close)
        place = find(folder, url=url)
        try:
            hold = place.own()
            undo.callback(hold.release)
            with hold.transaction() as connection:
                prepare(connection, folder)
                clear(connection)  # who worked for an earlier owner may write no more
        except sa.exc.SQLAlchemyError as error:
            raise place.told(error, writing=True) from error
        undo.pop_all()
    store = RunStore(folder, place=place, hold=hold, lock=lock)
    store.begin()
    return store


@contextmanager
def read_run(folder: Path) -> Iterator[RunReader]:
    """Open the run in `folder` for reading, whoever owns it.

    Raises:
        BadInputError: there is no run, it has no tables yet, or it was written by another version.
        UnreachableError: its database does not answer. DamageError: the file is not a database any more.
    """
    if not has_run(folder):
        msg = f"no run in {folder} (no {TABLES})"
        raise BadInputError(msg, remedy=f"start one: selfinstruct run -n 100 -o {folder}")
    with _reading(folder) as store:
        if not store.get_meta():  # its first start was a moment ago, or was killed in its first moment
            msg = f"{folder} holds a run that never started"
            raise BadInputError(msg, remedy=f"selfinstruct run -n 100 -o {folder}")
        yield store


def facts_of(folder: Path) -> dict[str, str]:
    """Return the run-wide facts of the run in `folder`; empty where there is no run, or none that ever started.

    Raises:
        BadInputError, UnreachableError, DamageError: as `read_run`.
    """
    if not has_run(folder):
        return {}
    with _reading(folder) as store:
        return store.get_meta()


@contextmanager
def _reading(folder: Path) -> Iterator[RunReader]:
    place = find(folder)
    try:
        with closing(RunReader(folder, engine=place.reading(), place=place)) as store:
            if known := store.get_meta():
                check(folder, int(known.get("format", 0)))
            yield store
    except sa.exc.SQLAlchemyError as error:
        raise place.told(error, writing=False) from error
