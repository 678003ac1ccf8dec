"""A run that another process owns, open for the work that this one holds leases for. Knows no stage and no schedule."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from selfinstruct.errors import BadInputError
from selfinstruct.store.leases import held, settling
from selfinstruct.store.migrations import check, stored_format
from selfinstruct.store.place import AFAR, EXAMPLE, find, has_run, somewhere
from selfinstruct.store.schema import meta
from selfinstruct.store.write import RunStore, Write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfinstruct.store._guest import Guest
    from selfinstruct.store.place import Place


class WorkerStore(RunStore):
    """Writes what belongs to the requests that this process holds; what is another's by now is left out."""

    def __init__(self, folder: Path, *, place: Place, guest: Guest) -> None:
        """Use `join_run` instead."""
        super().__init__(folder, place=place, hold=guest, lock=None)
        self._guest = guest
        self._leader = self._led_by()
        self.name = f"{self._leader}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        """Whose leases they are; begins with whom they are from."""
        self.settled: set[int] = set()
        """What of `settle` was written so far: a request that was taken over is another's to settle."""
        if self._leader is None:
            msg = f"nobody leads the run in {place.name}: workers work for a run that is under way"
            raise BadInputError(msg, remedy=f"{self.resuming}; then this again")

    @property
    def resuming(self) -> str:
        """What has the run led again."""
        return f"selfinstruct resume {self.folder} --workers 0, where the run's folder is"

    def settle(self, request: int) -> None:
        """Queue that everything that came of a request has its fate."""
        self._put(Write([settling(request, self.name)], request, settles=True))

    def is_led(self) -> bool | None:
        """Say whether the process that owned the run when we came still does; None: nobody does, it may come back."""
        leader = self._led_by()
        return None if leader is None else leader == self._leader

    def _led_by(self) -> str | None:
        with self._asking() as connection:
            return self._guest.leader(connection)

    def ended(self) -> tuple[str, str]:
        """Return how the run ended and its closing path; empty while it goes on."""
        with self._asking() as connection:
            rows = connection.execute(sa.select(meta.c.key, meta.c.value).where(meta.c.key.in_(("ended", "closing"))))
            told = dict(rows.tuples().all())
        return told.get("ended", ""), told.get("closing", "")

    def _allowed(self, connection: sa.Connection, group: Sequence[Write]) -> Sequence[Write]:
        numbers = {write.request for write in group if write.request is not None}
        mine = held(connection, self.name, numbers)
        self.settled |= mine & {write.request for write in group if write.settles}
        return [write for write in group if write.request is None or write.request in mine]


def insist_on_database(folder: Path, *, url: str | None) -> None:
    """Make sure that several processes can work on the run that is, or will be, in `folder`.

    Raises:
        BadInputError: it lies in a file.
    """
    _refuse_file(find(folder, url=url))


def _refuse_file(place: Place) -> None:
    if not place.name.startswith("postgresql:"):
        msg = f"several processes cannot work on a run in a file: {place.name}"
        raise BadInputError(msg, remedy=f"a new run with --store {EXAMPLE}, or leave --workers out")


def join_run(run: str) -> WorkerStore:
    """Open a run for working on it: its folder, or the URL of its database (`#run_...` says which of several).

    Raises:
        BadInputError: there is none, it lies in a file, was written by another version, or nobody leads it.
        UnreachableError: no database answers.
    """
    if "://" in run:
        place: Place = somewhere(run)
        folder = AFAR
    else:
        folder = Path(run)
        if not has_run(folder):
            msg = f"no run in {folder}"
            raise BadInputError(msg, remedy=f"give its folder, or the URL of its database: {EXAMPLE}")
        place = find(folder)
    _refuse_file(place)
    from selfinstruct.store._guest import Guest  # noqa: PLC0415 - the driver is an extra
    from selfinstruct.store._postgres import Postgres  # noqa: PLC0415 - the same

    assert isinstance(place, Postgres)  # noqa: S101 - its name says so
    guest = None
    try:
        guest = Guest(place)
        with guest.transaction() as connection:
            check(folder, stored_format(connection, folder) or 0)
        store = WorkerStore(folder, place=place, guest=guest)
    except BaseException as error:
        if guest is not None:
            guest.release()
        if isinstance(error, sa.exc.SQLAlchemyError):
            raise place.told(error, writing=True) from error
        raise
    store.begin()
    return store
