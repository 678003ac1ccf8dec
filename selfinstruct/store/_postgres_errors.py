"""What an error of PostgreSQL or its driver means: by its code, or, where libpq has none, by its words. Asks nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from selfinstruct.errors import BadInputError, DamageError, NoRoomError, SelfInstructError, UnreachableError
from selfinstruct.store.place import VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

TURNED_AWAY = (
    "authentication",
    "password",
    "does not exist",
    "pg_hba",
    "permission denied",
    "support SSL",
    "certificate",
)
"""What libpq's message says when a server is there and does not let us in; it has no code for that."""


def is_lost(error: BaseException) -> bool:
    """Say whether it was the connection, so that the same may work later."""
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None) or ""
    if error.connection_invalidated or state.startswith(("08", "57P", "40")) or state == "53300":
        return True
    turned_away = any(words in str(error.orig) for words in TURNED_AWAY)
    return isinstance(error, sa.exc.OperationalError) and not state and not turned_away


def meaning(error: BaseException, *, name: str, url: sa.URL, folder: Path, known: bool) -> SelfInstructError:
    """Tell a server that is away, one that does not let us in, a full disk, and damage; show no password.

    `name` is of the place, `url` its full address; `known` says that the run of `folder` was there before.
    """
    cause = getattr(error, "orig", None) or error
    state = getattr(cause, "sqlstate", None) or ""
    text = " ".join(str(cause).split())
    if url.password:
        text = text.replace(str(url.password), "***")
    msg = f"{name}: {text}"
    again = f"selfinstruct resume {folder}" if known else "the same command again"
    if state in {"53100", "53200"}:
        return NoRoomError(msg, remedy=f"make room at the server, then: {again}")
    if state == "25006":  # a standby, or set so for its full disk
        return NoRoomError(msg, remedy=f"make the database writable, then: {again}")
    if state == "42501":
        return BadInputError(msg, remedy=f"GRANT CREATE ON DATABASE {url.database} TO {url.username or 'USER'}")
    if is_lost(error):
        return UnreachableError(msg, remedy=f"see that the server runs, then: {again}")
    if not state and isinstance(error, sa.exc.OperationalError):
        login = f"check the URL's user and database; the password in PGPASSWORD, ~/.pgpass or ${VARIABLE}"
        return BadInputError(msg, remedy=login)
    if state.startswith("XX") and isinstance(error, sa.exc.DatabaseError):
        return DamageError(msg, remedy="restore the database from a copy")
    return SelfInstructError(msg, remedy=again)
