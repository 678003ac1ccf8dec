"""Writes a run: group commits by one thread, so that an answer is safe within milliseconds and the disk sets the pace."""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from selfinstruct.errors import SelfInstructError, UnreachableError
from selfinstruct.store.leases import Leases, offering
from selfinstruct.store.read import RunReader
from selfinstruct.store.schema import CallRow, Outcome, calls, meta, pack, records, work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from selfinstruct.store.place import Hold, Place

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.01
"""Answers that arrive within this time share a commit: the most work a kill can repeat, plus one commit."""

QUEUE_LIMIT = 4096
"""Writes waiting for the disk before the runner has to wait too."""

PATIENCE = 60.0
"""Seconds for which a commit is tried again when the connection to its database is lost; then the run ends, resumably."""

PAUSE = 0.5
"""Seconds between two tries."""


class Write(NamedTuple):
    """What is written together or not at all; `request` is whose lineage it belongs to, None for facts of the run."""

    statements: Sequence[tuple[sa.Executable, list[dict[str, Any]]]]
    request: int | None = None
    settles: bool = False
    """Whether it ends the lineage."""


class RunStore(RunReader):
    """A run folder that this process owns. All writes go through one writer thread."""

    def __init__(self, folder: Path, *, place: Place, hold: Hold, lock: IO[str] | None) -> None:
        """Use `open_run` instead."""
        super().__init__(folder, engine=hold.engine, place=place)
        self._hold = hold
        self._lock = lock
        self._queue: queue.Queue[Write | None] = queue.Queue(QUEUE_LIMIT)
        self._failure: BaseException | None = None
        self._writer: threading.Thread | None = None

    def begin(self) -> None:
        """Start the writer thread."""
        self._writer = threading.Thread(target=self._write_loop, name="store-writer", daemon=True)
        self._writer.start()

    def append_call(self, row: CallRow) -> None:
        """Queue an answered call for the next commit."""
        self._put(Write([(sa.insert(calls), [row._asdict()])], row.request))

    def append_outcome(self, outcome: Outcome, *, replace: bool = False) -> None:
        """Queue finished work for the next commit; `replace` first removes what an earlier try of it left."""
        statements: list[tuple[sa.Executable, list[dict[str, Any]]]] = []
        if replace:
            statements.append((sa.delete(records).where(records.c.work == sa.bindparam("w")), [{"w": outcome.work.id}]))
            statements.append((sa.delete(work).where(work.c.id == sa.bindparam("w")), [{"w": outcome.work.id}]))
        statements.append((sa.insert(work), [outcome.work._asdict()]))
        if outcome.records:
            statements.append((sa.insert(records), [record._asdict() for record in outcome.records]))
        self._put(Write(statements, outcome.work.request))

    def offer(self, request: int) -> None:
        """Let others take a request, once all that was queued before is there for them to read."""
        self._put(Write([offering(request)]))

    @property
    def leases(self) -> Leases:
        """What is agreed with others that work on this run; it must lie in PostgreSQL."""
        return Leases(self._engine, self.place)

    def put_meta(self, values: Mapping[str, str]) -> None:
        """Queue run-wide facts (last write wins)."""
        for key, value in values.items():
            forget = sa.delete(meta).where(meta.c.key == sa.bindparam("k"))
            self._put(Write([(forget, [{"k": key}]), (sa.insert(meta), [{"key": key, "value": value}])]))

    def check(self) -> None:
        """Raise what the writer met, so that no further call is sent.

        Raises:
            NoRoomError: the disk refused a write. UnreachableError: the database is away, or another process took over.
            SelfInstructError: the writer failed in another way.
        """
        error = self._failure
        if isinstance(error, SelfInstructError):
            raise error
        if error is not None:
            raise self.place.told(error, writing=True) from error

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
        self._hold.release()
        if self._lock is not None:
            self._lock.close()

    def _put(self, write: Write) -> None:
        self.check()
        self._queue.put(write)

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

    def _commit(self, group: Sequence[Write]) -> None:
        """Write a group in one transaction; where the connection is lost, once more when it is back."""
        lost = 0.0
        while True:
            try:
                if not lost or self._hold.regain():
                    self._write(group, again=bool(lost))
                    return
            except sa.exc.DBAPIError as error:
                if not self._hold.is_lost(error) or (lost and time.monotonic() - lost > PATIENCE):
                    raise
                if not lost:
                    log.warning("%s; trying again for %.0f s", self.place.told(error, writing=True), PATIENCE)
            else:
                if time.monotonic() - lost > PATIENCE:
                    msg = f"{self.place.name}: the connection came back, the right to write did not"
                    raise UnreachableError(msg, remedy=f"selfinstruct resume {self.folder}")
            lost = lost or time.monotonic()
            time.sleep(PAUSE)

    def _allowed(self, connection: sa.Connection, group: Sequence[Write]) -> Sequence[Write]:
        """Return what of a group may be written: everything, for the owner of a run."""
        del connection
        return group

    def _write(self, group: Sequence[Write], *, again: bool) -> None:
        """One transaction; neighbouring inserts into one table become one executemany."""
        inserts: dict[sa.TableClause, list[dict[str, Any]]] = {}
        with self._hold.transaction() as connection:

            def write_out() -> None:
                for table, waiting in inserts.items():
                    connection.execute(self._hold.insert(table, again=again), waiting)
                inserts.clear()

            for write in self._allowed(connection, group):
                for statement, rows in write.statements:
                    if (
                        isinstance(statement, sa.Insert) and "digest" in statement.table.c
                    ):  # packed by this thread: zlib lets the runner's go on
                        inserts.setdefault(statement.table, []).extend(map(pack, rows))
                        continue
                    write_out()
                    connection.execute(statement, rows)
            write_out()
