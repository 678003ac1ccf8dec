"""One run, one folder, append-only tables, one owner. The only module that knows SQL.

Knows no stage, engine or recipe: it keeps ids, paths, fates and bodies. Paths order a run: `<request>.<index>.<index>...`,
zero-padded: text order is admission order.
"""

from __future__ import annotations

import fcntl
import json
import os
import queue
import socket
import sqlite3
import threading
import time
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from selfinstruct.errors import BadInputError, DamageError, NoRoomError, SelfInstructError
from selfinstruct.records import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

FORMAT = 1
"""Version of the tables below; a run of another version is refused."""

GATHER_SECONDS = 0.01
"""Answers that arrive within this time share a commit: the most work a kill can repeat, plus one commit."""

QUEUE_LIMIT = 4096
"""Writes waiting for the disk before the runner has to wait too."""

_metadata = sa.MetaData()
meta = sa.Table(
    "meta",
    _metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
)
calls = sa.Table(
    "calls",
    _metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("work", sa.String, nullable=False),
    sa.Column("stage", sa.String, nullable=False),
    sa.Column("request", sa.Integer, nullable=False),
    sa.Column("prompt", sa.String, nullable=False),
    sa.Column("prompt_tokens", sa.Integer, nullable=False),
    sa.Column("completion_tokens", sa.Integer, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("digest", sa.String, nullable=False),
)
work = sa.Table(
    "work",
    _metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("stage", sa.String, nullable=False),
    sa.Column("request", sa.Integer, nullable=False),
    sa.Column("path", sa.String, nullable=False),
    sa.Column("parent", sa.String, nullable=False),
    sa.Column("made", sa.Integer, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("error", sa.String, nullable=True),
    sa.Index("work_by_stage", "stage", "path"),
)
records = sa.Table(
    "records",
    _metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("work", sa.String, nullable=False),
    sa.Column("stage", sa.String, nullable=False),
    sa.Column("request", sa.Integer, nullable=False),
    sa.Column("path", sa.String, nullable=False),
    sa.Column("parent", sa.String, nullable=False),
    sa.Column("fate", sa.String, nullable=False),
    sa.Column("rule", sa.String, nullable=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("digest", sa.String, nullable=False),
    sa.Index("records_by_stage", "stage", "fate", "path"),
    sa.Index("records_by_request", "request"),
)


class CallRow(NamedTuple):
    """One answered call: what must never be asked again. `body` is the reply as JSON text."""

    id: str
    work: str
    stage: str
    request: int
    prompt: str
    prompt_tokens: int
    completion_tokens: int
    body: str


class WorkRow(NamedTuple):
    """One input of one stage, done (error is None, `made` records) or failed."""

    id: str
    stage: str
    request: int
    path: str
    parent: str
    made: int
    tries: int
    error: str | None


class RecordRow(NamedTuple):
    """One row with its fate. `body` is JSON: {"record": ..., "drop": ...}."""

    id: str
    work: str
    stage: str
    request: int
    path: str
    parent: str
    fate: str
    rule: str | None
    body: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished piece of work with all that it made; written in one transaction."""

    work: WorkRow
    records: tuple[RecordRow, ...]


def pack(text: str) -> tuple[bytes, str]:
    """Return `text` compressed, and the digest (16 hex digits) by which damage is found."""
    body = zlib.compress(text.encode(), 1)
    return body, blake2b(body, digest_size=8).hexdigest()


def _packed(row: dict[str, Any]) -> dict[str, Any]:
    """Compress a row's body: done by the writer thread, where zlib lets the runner's thread go on."""
    if "body" not in row:
        return row
    body, digest = pack(row["body"])
    return {**row, "body": body, "digest": digest}


def unpack(body: bytes, digest: str, *, place: str) -> Any:  # noqa: ANN401 - JSON is of any shape
    """Return the JSON value of a packed body.

    Raises:
        DamageError: the bytes are not those that were written.
    """
    if blake2b(body, digest_size=8).hexdigest() != digest:
        msg = f"{place}: stored bytes do not match their digest"
        raise DamageError(msg, remedy="restore the run folder from a copy; nothing of it was exported")
    return json.loads(zlib.decompress(body))


class RunStore:
    """The tables of one run folder. Reads run in the caller's thread; all writes go through one writer thread."""

    def __init__(self, folder: Path, *, engine: sa.Engine, lock: IO[str] | None = None) -> None:
        """Use `open_run` or `read_run` instead."""
        self.folder = folder
        self._engine = engine
        self._lock = lock
        self._queue: queue.Queue[Sequence[tuple[sa.Executable, list[dict[str, Any]]]] | None] = queue.Queue(QUEUE_LIMIT)
        self._failure: BaseException | None = None
        self._writer: threading.Thread | None = None

    # -- writing ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start the writer thread."""
        self._writer = threading.Thread(target=self._write_loop, name="store-writer", daemon=True)
        self._writer.start()

    def append_call(self, row: CallRow) -> None:
        """Queue an answered call for the next commit."""
        self._put([(sa.insert(calls), [row._asdict()])])

    def append_outcome(self, outcome: Outcome, *, replace: bool = False) -> None:
        """Queue finished work for the next commit; `replace` first removes what an earlier try of it left."""
        statements: list[tuple[sa.Executable, list[dict[str, Any]]]] = []
        if replace:
            statements.append((sa.delete(records).where(records.c.work == sa.bindparam("w")), [{"w": outcome.work.id}]))
            statements.append((sa.delete(work).where(work.c.id == sa.bindparam("w")), [{"w": outcome.work.id}]))
        statements.append((sa.insert(work), [outcome.work._asdict()]))
        if outcome.records:
            statements.append((sa.insert(records), [record._asdict() for record in outcome.records]))
        self._put(statements)

    def put_meta(self, values: Mapping[str, str]) -> None:
        """Queue run-wide facts (last write wins)."""
        for key, value in values.items():
            self._put(
                [
                    (sa.delete(meta).where(meta.c.key == sa.bindparam("k")), [{"k": key}]),
                    (sa.insert(meta), [{"key": key, "value": value}]),
                ]
            )

    def check(self) -> None:
        """Raise what the writer met, so that no further call is sent.

        Raises:
            NoRoomError: the disk refused a write.
            SelfInstructError: the writer failed in another way.
        """
        error = self._failure
        if error is None:
            return
        msg = f"cannot write to {self.folder}: {getattr(error, 'orig', None) or error}"
        if isinstance(error, sa.exc.OperationalError | OSError):
            raise NoRoomError(msg, remedy=f"make room, then: selfinstruct resume {self.folder}") from error
        raise SelfInstructError(msg, remedy=f"selfinstruct verify {self.folder}") from error

    def flush(self) -> None:
        """Wait until everything queued is committed."""
        if self._writer is not None:
            self._queue.join()
        self.check()

    def close(self) -> None:
        """Commit what is queued, stop the writer and give the folder back."""
        if self._writer is not None:
            self._queue.put(None)
            self._writer.join()
            self._writer = None
        self._engine.dispose()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _put(self, statements: Sequence[tuple[sa.Executable, list[dict[str, Any]]]]) -> None:
        self.check()
        self._queue.put(statements)

    def _write_loop(self) -> None:
        while True:
            group = [self._queue.get()]
            time.sleep(GATHER_SECONDS)
            while not self._queue.empty():
                group.append(self._queue.get_nowait())
            try:
                if self._failure is None:
                    self._commit([one for one in group if one is not None])
            except Exception as error:  # noqa: BLE001 - whatever it was, the run must learn of it: see `check`
                self._failure = error
            finally:
                for _ in group:
                    self._queue.task_done()
            if None in group:
                return

    def _commit(self, group: Sequence[Sequence[tuple[sa.Executable, list[dict[str, Any]]]]]) -> None:
        """One transaction; neighbouring inserts into one table become one executemany."""
        inserts: dict[str, tuple[sa.Executable, list[dict[str, Any]]]] = {}
        with self._engine.begin() as connection:
            for statements in group:
                for statement, rows in statements:
                    if isinstance(statement, sa.Insert):
                        inserts.setdefault(statement.table.name, (statement, []))[1].extend(map(_packed, rows))
                        continue
                    for pending, waiting in inserts.values():
                        connection.execute(pending, waiting)
                    inserts.clear()
                    connection.execute(statement, rows)
            for pending, waiting in inserts.values():
                connection.execute(pending, waiting)

    # -- reading ------------------------------------------------------------------------------------------------

    def get_meta(self) -> dict[str, str]:
        """All run-wide facts."""
        with self._engine.connect() as connection:
            return {row.key: row.value for row in connection.execute(sa.select(meta))}

    def scan(
        self, stage: str | None = None, *, fate: Fate | None = None, rule: str | None = None, upto: str | None = None
    ) -> Iterator[tuple[RecordRow, Any]]:
        """Yield (row, decoded body) in admission order; `upto` is a path that is the last one wanted."""
        query = sa.select(records).order_by(records.c.path, records.c.stage)
        for column, value in ((records.c.stage, stage), (records.c.fate, fate), (records.c.rule, rule)):
            if value is not None:
                query = query.where(column == value)
        yield from self._rows(query.where(_within(records.c.path, upto)))

    def of_requests(self, numbers: Sequence[int]) -> Iterator[tuple[RecordRow, Any]]:
        """Yield every record that descends from these requests, in admission order."""
        for start in range(0, len(numbers), 500):
            part = numbers[start : start + 500]
            yield from self._rows(sa.select(records).where(records.c.request.in_(part)).order_by(records.c.path))

    def find(self, prefix: str) -> list[tuple[RecordRow, Any]]:
        """Return the records whose id begins with `prefix` (hex digits; anything else finds nothing)."""
        if not prefix or not set(prefix) <= set("0123456789abcdef"):
            return []
        return list(self._rows(sa.select(records).where(records.c.id.startswith(prefix, autoescape=True)).limit(20)))

    def _rows(self, query: sa.Select[Any]) -> Iterator[tuple[RecordRow, Any]]:
        with self._engine.connect() as connection:
            for row in connection.execution_options(yield_per=500).execute(query):
                body = unpack(row.body, row.digest, place=f"{self.folder} record {row.id}")
                values = {**row._mapping, "body": ""}  # noqa: SLF001 - SQLAlchemy's public name for it
                values.pop("digest")
                yield RecordRow(**values), body

    def works(self, *, failed: bool | None = None, numbers: Sequence[int] | None = None) -> list[WorkRow]:
        """Return finished work: all of it, or only failed / only done, or only of some requests."""
        query = sa.select(work).order_by(work.c.path)
        if failed is not None:
            query = query.where(work.c.error.is_not(None) if failed else work.c.error.is_(None))
        if numbers is not None:
            query = query.where(work.c.request.in_(numbers))  # a resumed window: some hundreds
        with self._engine.connect() as connection:
            return [WorkRow(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001

    def answered(self) -> Iterator[tuple[str, str, Any]]:
        """Yield (call id, prompt digest, reply) of every answer whose work is not done yet or has failed."""
        done = sa.select(work.c.id).where(work.c.id == calls.c.work, work.c.error.is_(None)).exists()
        with self._engine.connect() as connection:
            for row in connection.execute(sa.select(calls).where(~done)):
                yield row.id, row.prompt, unpack(row.body, row.digest, place=f"{self.folder} call {row.id}")

    def calls_of(self, work_id: str) -> list[tuple[str, Any]]:
        """Return (call id, reply) of the answers behind one piece of work."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(calls).where(calls.c.work == work_id).order_by(calls.c.id))
            return [(row.id, unpack(row.body, row.digest, place=f"call {row.id}")) for row in rows]

    def pending(self, stage: str, *, parent: str, upto: str | None = None) -> list[int]:
        """Return the requests with accepted records of stage `parent` that `stage` has not worked on, or failed."""
        done = sa.select(work.c.id).where(
            work.c.stage == stage, work.c.path == records.c.path, work.c.parent == records.c.id, work.c.error.is_(None)
        )
        query = (
            sa.select(records.c.request)
            .distinct()
            .where(records.c.stage == parent, records.c.fate == Fate.ACCEPTED, ~done.exists())
            .where(_within(records.c.path, upto))
        )
        with self._engine.connect() as connection:
            return sorted(connection.execute(query).scalars())

    def paths(self, stage: str) -> list[tuple[int, str]]:
        """Return (request, path) of the accepted records of a stage."""
        query = sa.select(records.c.request, records.c.path)
        with self._engine.connect() as connection:
            rows = connection.execute(query.where(records.c.stage == stage, records.c.fate == Fate.ACCEPTED))
            return [(row[0], row[1]) for row in rows]

    def fates(self, *, upto: str | None = None) -> dict[tuple[str, str], int]:
        """Return counts by (stage, fate); failed work counts under its stage."""
        made = sa.select(records.c.stage, records.c.fate, sa.func.count()).where(_within(records.c.path, upto))
        failed = sa.select(work.c.stage, sa.func.count()).where(work.c.error.is_not(None), _within(work.c.path, upto))
        with self._engine.connect() as connection:
            counts = {(r[0], r[1]): r[2] for r in connection.execute(made.group_by(records.c.stage, records.c.fate))}
            for row in connection.execute(failed.group_by(work.c.stage)):
                counts[row[0], Fate.FAILED.value] = row[1]
        return counts

    def worked(self, *, upto: str | None = None) -> dict[str, int]:
        """Return the number of finished pieces of work by stage."""
        query = sa.select(work.c.stage, sa.func.count()).where(_within(work.c.path, upto)).group_by(work.c.stage)
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def started_requests(self, stage: str, *, upto: str | None = None) -> int:
        """Return how many requests of the first stage have an answer but no admission yet."""
        last = int(upto.partition(".")[0]) if upto is not None else None
        query = sa.select(sa.func.count(calls.c.work.distinct())).where(
            calls.c.stage == stage,
            ~sa.select(work.c.id).where(work.c.id == calls.c.work).exists(),
            sa.true() if last is None else calls.c.request <= last,
        )
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def drops(self, *, upto: str | None = None) -> dict[tuple[str, str], int]:
        """Return counts of dropped records by (stage, rule)."""
        query = (
            sa.select(records.c.stage, records.c.rule, sa.func.count())
            .where(records.c.fate == Fate.DROPPED, _within(records.c.path, upto))
            .group_by(records.c.stage, records.c.rule)
        )
        with self._engine.connect() as connection:
            return {(row[0], row[1]): row[2] for row in connection.execute(query)}

    def usage(self) -> tuple[int, int, int]:
        """Return (calls, prompt tokens, completion tokens) answered so far, surplus included."""
        query = sa.select(
            sa.func.count(), sa.func.sum(calls.c.prompt_tokens), sa.func.sum(calls.c.completion_tokens)
        ).select_from(calls)
        with self._engine.connect() as connection:
            count, prompt, completion = connection.execute(query).one()
        return int(count), int(prompt or 0), int(completion or 0)

    def damage(self) -> Iterator[str]:
        """Yield a line for every broken body, orphan, double fate or miscount. None means the store is whole."""
        with self._engine.connect() as connection:
            for (verdict,) in connection.exec_driver_sql("PRAGMA integrity_check"):
                if verdict != "ok":
                    yield f"sqlite: {verdict}"
            for table in (records, calls):
                for row in connection.execute(sa.select(table.c.id, table.c.body, table.c.digest)):
                    if blake2b(row.body, digest_size=8).hexdigest() != row.digest:
                        yield f"{table.name} {row.id}: stored bytes do not match their digest"
            for text, query in _checks():
                for row in connection.execute(query):
                    yield f"{row[0]}: {text}"


def _within(column: sa.Column[Any], upto: str | None) -> sa.ColumnElement[bool]:
    # "~" sorts after "." and the digits: the path itself and all that descends from it are within.
    return sa.true() if upto is None else column <= upto + "~"


def _checks() -> list[tuple[str, sa.Select[Any]]]:
    made = sa.select(sa.func.count()).where(records.c.work == work.c.id).scalar_subquery()
    parents = sa.alias(records, "parents")
    accepted = sa.select(parents.c.id).where(parents.c.id == work.c.parent, parents.c.fate == Fate.ACCEPTED).exists()
    root = sa.func.length(work.c.path) == len(request_path(0))
    return [
        ("work says it made another number of records than there are", sa.select(work.c.id).where(work.c.made != made)),
        (
            "done work that made nothing, not even a drop",
            sa.select(work.c.id).where(work.c.error.is_(None), work.c.made == 0),
        ),
        ("work on a record that was never accepted", sa.select(work.c.id).where(~accepted, ~root)),
        (
            "record of work that was never finished",
            sa.select(records.c.id).where(~sa.select(work.c.id).where(work.c.id == records.c.work).exists()),
        ),
    ]


def request_path(number: int) -> str:
    """Path of request `number`; eight digits keep text order equal to number order."""
    return f"{number:08d}"


def child_path(path: str, index: int) -> str:
    """Path of the `index`-th record made at `path`."""
    return f"{path}.{index:04d}"


# -- opening ------------------------------------------------------------------------------------------------------


def _engine(path: Path) -> sa.Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
        connection.execute("PRAGMA page_size=16384")  # 2.9 KB rows: fewer, fuller pages
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")  # a commit survives power loss; costs nothing beside the calls
        return connection

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.QueuePool)


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
        _metadata.create_all(engine)
        known = store.get_meta()
        if not known:
            with engine.begin() as connection:
                connection.execute(sa.insert(meta), [{"key": "format", "value": str(FORMAT)}])
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
def read_run(folder: Path) -> Iterator[RunStore]:
    """Open the run in `folder` for reading, whoever owns it.

    Raises:
        BadInputError: there is no run, or it was written by another version.
        DamageError: the file is not a database any more.
    """
    path = folder / "run.db"
    if not path.is_file():
        msg = f"no run in {folder} (no run.db)"
        raise BadInputError(msg, remedy=f"start one: selfinstruct run -n 100 -o {folder}")
    store = RunStore(folder, engine=_engine(path))
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
