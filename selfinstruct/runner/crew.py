"""Those who work for the owner of a run: what it hands out, what comes back, what they have counted. Knows no stage's work."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from selfinstruct.errors import BadInputError, Exit, SelfInstructError, UnreachableError
from selfinstruct.records import Row
from selfinstruct.runner.plan import StopError, Tally
from selfinstruct.runner.told import Told

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from selfinstruct.runner.hire import Hired
    from selfinstruct.runner.plan import Plan
    from selfinstruct.store import Look, RunStore

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
"""Between two looks at what was settled."""

BACKLOG = 64
"""Requests that wait for a worker; with more of them no further one is begun."""

PATIENCE = 60.0
"""Seconds for which the database may be away."""

LONELY_SECONDS = 45.0
"""Without a worker while requests wait, a line says so."""


class Crew:
    """The owner's side of the leases."""

    def __init__(self, plan: Plan, *, store: RunStore, tally: Tally, hired: Hired) -> None:
        """`hired` are those of them that this process has started."""
        self.used = self.waiting = self.slots = 0
        """Answers at the engines of all workers, those that wait there, and places."""
        self._store, self._leases, self._tally, self._hired = store, store.leases, tally, hired
        self._row_stage = next(stage.label for stage in plan.stages if stage.writes() is Row)
        self._carried: dict[int, asyncio.Future[list[str]]] = {}
        self._told: dict[str, Tally] = {}
        self._gone: set[str] = set()  # workers whose end was told of
        self._freed: set[str] = set()  # hired ones that ended without a word, and hold nothing any more
        self._free = 0
        self._collected: Sequence[int] = ()
        self._stopping = False
        self._accompanied = self._seen = time.monotonic()

    @property
    def has_room(self) -> bool:
        """Whether so few requests wait for a worker that another may be begun."""
        return self._free < BACKLOG

    async def carry(self, number: int) -> list[str]:
        """Have everything done that follows from a request; return the paths of its rows.

        Raises:
            StopError: the run stopped before.
        """
        if self._stopping:
            raise StopError
        self._free += 1
        done: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        self._carried[number] = done
        self._store.offer(number)
        try:
            return await done
        finally:
            self._carried.pop(number, None)

    def stop(self, reason: str, closing: str | None) -> None:
        """Tell all workers that the run ends: with a closing path at once, else when they have what they asked for."""
        self._stopping = True
        with suppress(SelfInstructError):  # a store that fails is why it stops
            self._store.put_meta({"ended": reason, "closing": closing or ""})

    async def watch(self, counted: Callable[[], None]) -> None:
        """Take in what was settled and counted, until the run has stopped and nobody holds anything; `counted` is told.

        Raises:
            SelfInstructError: all workers have ended; the database does not answer.
        """
        try:
            while True:
                if await self._look(counted):
                    return
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for one in self._carried.values():
                if not one.done():
                    one.set_exception(StopError())

    async def _look(self, counted: Callable[[], None]) -> bool:
        """Look once; say whether it was the last time."""
        ended = self._hired.ended()  # asked first: who left in order is seen to be gone
        try:
            look = await asyncio.to_thread(self._leases.look, collected=self._collected, withdraw=self._stopping)
            await self._take_back(look.settled)
            await self._bury(look, ended)
        except UnreachableError:  # the store's writer tries again for a while as well
            if time.monotonic() - self._seen > PATIENCE:
                raise
            return False
        self._seen = time.monotonic()
        self._count(look)
        counted()
        if self._stopping and not look.held:
            return True
        self._mind(look)
        return False

    async def dismiss(self) -> None:
        """Throw all leases away, once how the run ended stands there: whoever still works writes no more."""
        await asyncio.to_thread(self._store.flush)
        await asyncio.to_thread(self._leases.clear)

    async def _take_back(self, numbers: Sequence[int]) -> None:
        rows: dict[int, list[str]] = {number: [] for number in numbers}
        if rows:
            for number, path in await asyncio.to_thread(self._store.paths, self._row_stage, numbers=numbers):
                rows[number].append(path.rpartition(".")[0])
        self._collected = numbers
        for number, paths in rows.items():
            one = self._carried.get(number)
            if one is not None and not one.done():
                one.set_result(paths)

    async def _bury(self, look: Look, ended: Collection[tuple[str, int]]) -> None:
        """Give back at once what hired workers held that were killed: nobody has to wait for what is known."""
        for worker in look.there - self._freed if ended else ():
            told = Told.model_validate_json(look.told[worker])
            if (told.host, told.pid) in ended:
                await asyncio.to_thread(self._leases.leave, worker, look.told[worker])
                self._freed.add(worker)
                log.warning("worker %d on %s has ended without a word; others do its requests", told.pid, told.host)

    def _count(self, look: Look) -> None:
        """Add what each worker has counted since it last told."""
        told = {worker: Told.model_validate_json(text) for worker, text in look.told.items()}
        for worker, one in told.items():
            now = one.tally(there=worker in look.there)
            self._tally.add(now, less=self._told.get(worker))
            self._told[worker] = now
        there = [one for worker, one in told.items() if worker in look.there]
        self.used, self.waiting = sum(one.used for one in there), sum(one.waiting for one in there)
        self.slots = sum(one.slots for one in there)
        self._free = look.free
        for worker, one in told.items():
            if one.error and worker not in self._gone:
                log.warning("worker %d on %s gave up: %s", one.pid, one.host, one.error)
                self._gone.add(worker)

    def _mind(self, look: Look) -> None:
        """Notice that nobody is left."""
        if look.there or not self._carried:
            self._accompanied = time.monotonic()
        elif not self._hired.expected and not self._stopping:
            raise _last_words([Told.model_validate_json(text) for text in look.told.values()], str(self._store.folder))
        elif time.monotonic() - self._accompanied > LONELY_SECONDS:
            self._accompanied = time.monotonic()
            log.warning("%d requests wait for a worker: selfinstruct work %s", len(self._carried), self._store.folder)


def _last_words(told: Sequence[Told], folder: str) -> SelfInstructError:
    """Return what the last worker that gave up said."""
    last = next((one for one in reversed(told) if one.error), None)
    if last is None:
        msg = f"all workers have ended; {folder}/workers.log may tell why"
        return SelfInstructError(msg, remedy=f"selfinstruct resume {folder}")
    kinds = {Exit.UNREACHABLE: UnreachableError, Exit.BAD_INPUT: BadInputError}
    kind = kinds.get(Exit(last.exit_status or Exit.FAILED), SelfInstructError)
    return kind(last.error, remedy=last.remedy)
