"""Where the tables of a run lie: in its folder, or in a database that its folder names. Knows no table and no driver."""

from __future__ import annotations

import json
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import sqlalchemy as sa

from selfinstruct.errors import BadInputError
from selfinstruct.files import publish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from selfinstruct.errors import SelfInstructError

TABLES, ELSEWHERE = "run.db", "store.json"
"""A run folder holds one of them: its tables, or where they are."""

VARIABLE = "SELFINSTRUCT_STORE"
"""URL of the database for new runs; also where a password may stand, which is never written down."""

AFAR = Path("RUN")
"""Stands in remedies for the folder of a run that is known by its URL alone: it is on another machine."""

EXAMPLE = "postgresql://USER@HOST:5432/DATABASE"
SCHEMA = re.compile(r"run_[0-9a-f]{16}")


class Hold(Protocol):
    """What the owner of a run has: connections, and the right to write, for as long as it lives."""

    engine: sa.Engine
    """For questions."""

    def transaction(self) -> AbstractContextManager[sa.Connection]:
        """Begin a write; it is committed at the end, and fails when this process is the owner no more."""

    def insert(self, table: sa.TableClause, *, again: bool) -> sa.Insert:
        """Return the statement that adds rows; `again`: they may be there already."""

    def is_lost(self, error: sa.exc.DBAPIError) -> bool:
        """Say whether the connection is what failed, and may come back."""

    def regain(self) -> bool:
        """Connect anew and own the run again; False when that may work a little later.

        Raises:
            UnreachableError: another process has owned it since.
        """

    def release(self) -> None:
        """Let another own it."""


class Place(Protocol):
    """A kind of database."""

    name: str
    """For messages; holds no password."""

    def own(self) -> Hold:
        """Take the run for this process; made when it is not there.

        Raises:
            BadInputError: another process has it. sqlalchemy.exc.DBAPIError: see `told`.
        """

    def reading(self) -> sa.Engine:
        """Return an engine whose every question sees the run at one and the same moment."""

    def told(self, error: BaseException, *, writing: bool) -> SelfInstructError:
        """Return what a driver's error means for the user."""

    def integrity(self, connection: sa.Connection) -> Iterator[str]:
        """Yield what the database itself finds broken in its files."""


def has_run(folder: Path) -> bool:
    """Say whether `folder` is a run's."""
    return any((folder / name).is_file() for name in (TABLES, ELSEWHERE))


def runs_below(folder: Path) -> list[Path]:
    """Return the run folders that are `folder` or at most two folders below it."""
    traces = (
        path for depth in ("", "*/", "*/*/") for name in (TABLES, ELSEWHERE) for path in folder.glob(depth + name)
    )
    return sorted({path.parent for path in traces})


def find(folder: Path, *, url: str | None = None) -> Place:
    """Return where the run of `folder` lies, or will lie: at `url`, at $SELFINSTRUCT_STORE, else in the folder.

    Raises:
        BadInputError: a URL that is none, or a run that lies elsewhere already.
    """
    wanted = parse(url, source="--store") if url else None
    usual = os.environ.get(VARIABLE, "").strip()
    if (folder / ELSEWHERE).is_file():
        there, schema = _noted(folder / ELSEWHERE)
        if wanted is not None and not _same(wanted, there):
            msg = f"the run of {folder} lies in {bare(there)}, not in {bare(wanted)}"
            raise BadInputError(msg, remedy="leave --store out, or start a new run with another -o")
        full = wanted or (parse(usual, source=f"${VARIABLE}") if usual else there)
        return _postgres(folder, full if _same(full, there) else there, schema, known=True)
    if (folder / TABLES).exists():
        if wanted is not None:
            msg = f"the run of {folder} lies in {folder / TABLES}, not in {bare(wanted)}"
            raise BadInputError(msg, remedy="leave --store out, or start a new run with another -o")
    elif wanted is not None or usual:
        new = wanted or parse(usual, source=f"${VARIABLE}")
        return _postgres(folder, new, f"run_{secrets.token_hex(8)}", known=False)
    from selfinstruct.store._sqlite import Sqlite  # noqa: PLC0415 - each kind imports its own driver

    return Sqlite(folder / TABLES)


def somewhere(text: str) -> Place:
    """Return the run at `URL#run_...`.

    Raises:
        BadInputError: it is no URL, or leaves open which run.
    """
    address, _, schema = text.partition("#")
    url = parse(address, source="the run")
    if not SCHEMA.fullmatch(schema):
        msg = f"{bare(url)} does not say which run"
        raise BadInputError(msg, remedy=f"{bare(url)}#run_..., as the run's folder has it in {ELSEWHERE}")
    return _postgres(AFAR, url, schema, known=True)


def parse(text: str, *, source: str) -> sa.URL:
    """Read the URL of a database. It may hold a password: it is not shown when it cannot be read.

    Raises:
        BadInputError: it is none, names no database, or is of a kind that no run can lie in.
    """
    try:
        url = sa.make_url(text.strip())
    except (sa.exc.ArgumentError, ValueError):
        url = None
    if url is None or url.get_backend_name() not in {"postgresql", "postgres"} or not url.database:
        msg = f"{source} is not the URL of a PostgreSQL database"
        raise BadInputError(
            msg, remedy=f"for instance {EXAMPLE}; the password in PGPASSWORD, ~/.pgpass or ${VARIABLE}"
        ) from None
    return url.set(drivername="postgresql")


def bare(url: sa.URL) -> str:
    """Return a URL as it may be shown and written down: without a password anywhere."""
    query = {key: value for key, value in url.query.items() if "pass" not in key.lower()}
    shown = sa.URL.create("postgresql", url.username, None, url.host, url.port, url.database, query)
    return shown.render_as_string(hide_password=False)


def note(folder: Path, url: sa.URL, schema: str) -> None:
    """Write down in `folder` where its run lies."""
    with publish(folder / ELSEWHERE) as half:
        half.write_text(json.dumps({"url": bare(url), "schema": schema}, indent=1) + "\n", encoding="utf-8")


def _noted(path: Path) -> tuple[sa.URL, str]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        url, schema = told["url"], told["schema"]
    except (OSError, ValueError, KeyError, TypeError):
        url, schema = None, ""
    if not isinstance(url, str) or not isinstance(schema, str) or not SCHEMA.fullmatch(schema):
        msg = f'{path} does not say where the run is: {{"url": "{EXAMPLE}", "schema": "run_<16 hex digits>"}} is wanted'
        raise BadInputError(msg, remedy="restore it from a copy")
    return parse(url, source=str(path)), schema


def _same(one: sa.URL, other: sa.URL) -> bool:
    """Say whether two URLs name one database; users, passwords and options may differ."""
    return _database(one) == _database(other)


def _database(url: sa.URL) -> tuple[object, ...]:
    return url.host or url.query.get("host"), str(url.port or url.query.get("port") or 5432), url.database


def _postgres(folder: Path, url: sa.URL, schema: str, *, known: bool) -> Place:
    try:
        from selfinstruct.store._postgres import Postgres  # noqa: PLC0415 - the driver is an extra
    except ImportError:
        msg = f"{bare(url)}: the driver of PostgreSQL is not installed"
        raise BadInputError(msg, remedy="pip install 'selfinstruct[postgres]'") from None
    return Postgres(folder, url, schema, known=known)
