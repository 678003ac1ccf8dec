"""Takes the tables of an older version to this one's, in one transaction, step by step. Knows no kind of database."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import sqlalchemy as sa

from selfinstruct.errors import LATER, BadInputError
from selfinstruct.store.schema import FORMAT, calls, leases, meta, metadata, pack, unpack, work, workers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)

READABLE = 3
"""The oldest format whose runs are read as they are."""


def _leases(connection: sa.Connection) -> None:
    leases.create(connection)
    workers.create(connection, checkfirst=True)
    for index in (*calls.indexes, *work.indexes):
        index.create(connection, checkfirst=True)


MIGRATIONS: dict[int, Callable[[sa.Connection], None]] = {3: _leases}
"""What takes a format to the next one."""


def prepare(connection: sa.Connection, folder: Path) -> None:
    """Make the tables of a new run, or bring those of an older one up to date. The caller owns the run.

    Raises:
        BadInputError: they are of a format that this version cannot take further.
    """
    known = stored_format(connection, folder)
    if known is None:
        metadata.create_all(connection)
    elif known != FORMAT:
        check(folder, known, oldest=min(MIGRATIONS))
        for step in range(known, FORMAT):
            MIGRATIONS[step](connection)
        log.warning("%s: store format %d became %d", folder, known, FORMAT)
    else:
        return
    connection.execute(sa.delete(meta).where(meta.c.key == "format"))
    connection.execute(sa.insert(meta), [pack({"key": "format", "value": str(FORMAT)})])


def stored_format(connection: sa.Connection, folder: Path) -> int | None:
    """Return the format of the tables, None where there are none yet, 0 where they do not say.

    Raises:
        DamageError: what says so is not what was written.
    """
    look = sa.inspect(connection)
    if not look.has_table(meta.name):
        return None
    if meta.c.digest.name not in {column["name"] for column in look.get_columns(meta.name)}:
        return 1  # before every column had its digest
    row = connection.execute(sa.select(meta).where(meta.c.key == "format")).one_or_none()
    if row is None:
        return None if connection.execute(sa.select(meta).limit(1)).first() is None else 0
    return int(unpack(row._asdict(), place=lambda: f"{folder} fact format")["value"])


def check(folder: Path, known: int, *, oldest: int = READABLE) -> None:
    """Refuse a format that is newer than this version or older than `oldest`.

    Raises:
        BadInputError: with what helps.
    """
    if oldest <= known <= FORMAT:
        return
    msg = f"{folder} has store format {known}, this version writes {FORMAT}"
    if known > FORMAT:
        raise BadInputError(msg, remedy=LATER)
    if known in MIGRATIONS:
        raise BadInputError(msg, remedy=f"selfinstruct resume {folder} brings it up to date")
    raise BadInputError(msg, remedy="use the selfinstruct version that wrote it")
