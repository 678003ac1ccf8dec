"""One worker on a run that another process owns: takes requests on lease, follows them to their end, tells what it counts.

Knows no order: which requests there are, when there are enough rows and what ends the run, the owner decides.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from selfinstruct.errors import SelfInstructError, UnreachableError
from selfinstruct.runner import restore
from selfinstruct.runner.ask import Asker, open_lanes
from selfinstruct.runner.failures import fault
from selfinstruct.runner.plan import DRAIN_SECONDS, Ended, StopError, Tally
from selfinstruct.runner.run import TUNE_SECONDS
from selfinstruct.runner.told import Told
from selfinstruct.runner.tree import Tree
from selfinstruct.runner.walk import Walker

if TYPE_CHECKING:
    from selfinstruct.engines.base import Engine
    from selfinstruct.pool import Pool
    from selfinstruct.runner.ask import Answers
    from selfinstruct.runner.plan import Plan
    from selfinstruct.runner.walk import Made
    from selfinstruct.store import WorkerStore

LEASE_SECONDS = 60.0
"""A worker that was not heard of for so long is taken to be dead, and others do its requests."""

LEAST_LEASE = 5.0
"""A lease is renewed every 1 to 1.5 s, on a busy machine or over a slow line less often; one that runs out between two
renewals has its holder's calls paid for twice."""

BEAT_SECONDS = 0.5
"""Between two looks at whether the run goes on."""

IDLE_SECONDS = 0.2
"""Between two questions for work while there is none."""

ALONE_SECONDS = 10.0
"""The owner may be gone for so long: a connection that is lost comes back."""


class _Taken(NamedTuple):
    """What the store has of a request that was just taken."""

    tree: Tree
    known: Made
    answers: Answers
    again: bool
    """Whether somebody began below the first stage."""
    redone: Tally


class Hand:
    """One worker."""

    def __init__(
        self,
        plan: Plan,
        *,
        engines: Mapping[str, Engine],
        store: WorkerStore,
        pool: Pool,
        concurrency: int | None,
        tried: Mapping[str, int],
        lease: float = LEASE_SECONDS,
    ) -> None:
        """Take what is needed; nothing happens before `run`. `lease` is in seconds; `tried` as for a Runner."""
        self.tally = Tally()
        self.lanes = open_lanes(engines, concurrency)
        self._plan, self._store, self._seconds = plan, store, lease
        self._changed = asyncio.Event()
        self._asker = Asker(self.lanes, store=store, tally=self.tally, go_on=self._go_on, changed=self._changed)
        self._walker = Walker(plan, asker=self._asker, store=store, pool=pool, tally=self.tally, tried=tried)
        self._lineages: dict[int, asyncio.Task[None]] = {}
        self._had: set[int] = set()
        self._beginning: int | None = None
        self._unknown: set[int] = set()
        self._ended: Ended | None = None
        self._heard = self._led = time.monotonic()

    async def run(self) -> Ended:
        """Work until the run ends, its owner is gone, or something stops this worker; what it holds is given back."""
        await self._tell()
        beating = asyncio.create_task(self._beat())
        try:
            await self._drive()
            await asyncio.gather(*self._lineages.values(), return_exceptions=True)
        except SelfInstructError as error:
            self.stop(Ended("error", error=error))
        finally:
            beating.cancel()
            await self._give_up()
        assert self._ended is not None  # noqa: S101 - _drive ends only so
        return self._ended

    def stop(self, ended: Ended) -> None:
        """Start no further call; those in flight are awaited and kept, unless the order is filled. The first reason stands."""
        if self._ended is None:
            self._ended = ended
            asyncio.get_running_loop().call_later(0 if ended.closing else DRAIN_SECONDS, self.cancel)
        self._changed.set()

    async def leave(self) -> None:
        """Stop as the run has, if it has ended; else as one that is told to."""
        with suppress(SelfInstructError):
            await self._look()
        self.stop(Ended("interrupted"))

    def cancel(self) -> None:
        """Give up what is in flight: it stays open."""
        for task in self._lineages.values():
            task.cancel()

    async def _drive(self) -> None:
        while self._ended is None:
            self._changed.clear()
            if not self._has_room():
                await self._changed.wait()
                continue
            try:
                number = await self._take()
            except UnreachableError as error:  # what was taken all the same is given back: see `_tell`
                self._bear(error)
                number = None
            if number is None:
                await asyncio.sleep(IDLE_SECONDS)

    def _has_room(self) -> bool:
        lanes = {name for stage in self._plan.stages[1:] for name in stage.engines()}
        return all(self.lanes[name].has_room for name in lanes)

    async def _take(self) -> int | None:
        """Take a request, if there is one, and begin it."""
        taken = await asyncio.to_thread(self._store.leases.take, self._store.name, seconds=self._seconds)
        for number in taken:
            self._beginning = number
            try:
                await self._begin(number)
            finally:
                self._beginning = None
        return taken[0] if taken else None

    async def _begin(self, number: int) -> None:
        """Take up a request where it stands."""
        if (mine := self._lineages.get(number)) is not None:  # it was lost, and has come back
            mine.cancel()
            await asyncio.wait([mine])
        if number in self._had:
            await asyncio.to_thread(self._store.flush)
        self._had.add(number)
        taken = await asyncio.to_thread(self._load, number)
        self.tally.add(taken.redone)
        self._walker.known |= taken.known
        self._asker.answers |= taken.answers
        if taken.again:
            self._walker.again.add(number)
        if self._ended is None:
            self._lineages[number] = asyncio.create_task(self._lineage(number, taken))
            await asyncio.sleep(0)

    def _load(self, number: int) -> _Taken:
        """Read what was done already (in a thread)."""
        store, root, redone = self._store, self._plan.root.label, Tally()
        again = any(row.stage != root for row in store.works(numbers=[number]))
        known = restore.made(store, self._plan, [number], tally=redone)
        tree = restore.begun(known).get(number, Tree())
        return _Taken(tree, known, restore.answers(store, numbers=[number]), again, redone)

    async def _lineage(self, number: int, taken: _Taken) -> None:
        """Follow one request from what the first stage made of it."""
        try:
            await self._walker.follow(self._plan.root, taken.tree)
            self._store.settle(number)
        except StopError:
            pass  # given back in the end; the store has what was answered
        except Exception as problem:  # noqa: BLE001 - see `fault`
            self.stop(Ended("error", error=fault(f"request {number}", problem)))
        finally:
            for call in taken.answers:
                self._asker.answers.pop(call, None)
            for work in taken.known:
                self._walker.known.pop(work, None)
            self._lineages.pop(number, None)
            self._changed.set()

    def _go_on(self) -> None:
        """Raise when no further call may be sent."""
        self._store.check()
        if self._ended is not None:
            raise StopError

    async def _beat(self) -> None:
        """Keep the leases, and see whether they are still ours and the run still goes on."""
        lanes = {id(lane.engine): lane for lane in self.lanes.values()}
        due = 0.0
        while True:
            try:
                await self._look()
                if time.monotonic() >= due:
                    due = time.monotonic() + TUNE_SECONDS
                    for lane in lanes.values():
                        lane.tune()
                    await self._tell()
                    self._changed.set()
                self._heard = time.monotonic()
            except UnreachableError as error:
                self._bear(error)
            except Exception as problem:  # noqa: BLE001 - see `fault`
                self.stop(Ended("error", error=fault("keeping the leases", problem)))
            await asyncio.sleep(BEAT_SECONDS)

    def _bear(self, error: UnreachableError) -> None:
        """Wait for the database, as the store's writer does, until our leases have run out."""
        if time.monotonic() - self._heard > self._seconds:
            self.stop(Ended("error", error=error))

    async def _look(self) -> None:
        led = await asyncio.to_thread(self._store.is_led)
        if led:
            self._led = time.monotonic()
        if led is False:  # what another says of the run is not said to us
            self.stop(Ended("alone"))
            return
        reason, closing = await asyncio.to_thread(self._store.ended)
        if reason:
            self.stop(Ended(reason, closing=closing or None))
        elif time.monotonic() - self._led > ALONE_SECONDS:
            self.stop(Ended("alone"))

    async def _tell(self) -> None:
        """Make the leases last, drop what another has taken over, and give back what we do not know to be ours."""
        before = set(self._lineages)
        ours = await asyncio.to_thread(
            self._store.leases.renew, self._store.name, self._told().model_dump_json(), seconds=self._seconds
        )
        for number in before - ours:
            if (task := self._lineages.get(number)) is not None:
                task.cancel()
        unknown = ours - before - self._lineages.keys() - {self._beginning}
        if stray := unknown & self._unknown:  # twice in a row: neither being begun nor just settled
            await asyncio.to_thread(self._store.leases.free, self._store.name, stray)
        self._unknown = unknown

    def _told(self) -> Told:
        error = self._ended.error if self._ended is not None else None
        places = {id(lane.slots): lane.slots for lane in self.lanes.values()}.values()
        return Told.of(
            self.tally,
            host=socket.gethostname(),
            pid=os.getpid(),
            used=sum(one.used for one in places),
            waiting=sum(one.waiting for one in places),
            slots=sum(one.size for one in places),
            error=str(error or ""),
            remedy=error.remedy if error is not None else "",
            exit_status=error.exit_status if error is not None else None,
        )

    async def _give_up(self) -> None:
        """End what is left, write what came, and give the leases back; where the database is away they end by themselves."""
        tasks = list(self._lineages.values())
        self.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await asyncio.to_thread(self._store.flush)
            await asyncio.to_thread(self._store.leases.leave, self._store.name, self._told().model_dump_json())
        except SelfInstructError as error:
            self.stop(Ended("error", error=error))
