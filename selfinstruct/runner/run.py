"""One run in progress: which requests are begun, in which order they are admitted, what ends it. Knows no stage's work."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from selfinstruct.errors import SelfInstructError
from selfinstruct.records import Fate, Instruction, Provenance, Request, Row, content_id
from selfinstruct.runner import restore
from selfinstruct.runner.ask import FIRST, Asker, open_lanes
from selfinstruct.runner.crew import Crew
from selfinstruct.runner.failures import fault
from selfinstruct.runner.order import Order
from selfinstruct.runner.plan import Ended, Limits, StopError, Tally
from selfinstruct.runner.tree import Place
from selfinstruct.runner.walk import Walker
from selfinstruct.store import request_path

if TYPE_CHECKING:
    from selfinstruct.engines.base import Engine
    from selfinstruct.pool import Pool
    from selfinstruct.runner.hire import Hired
    from selfinstruct.runner.plan import Plan
    from selfinstruct.runner.tree import Tree
    from selfinstruct.store import RunStore

TUNE_SECONDS = 1.0
"""Between two looks at the servers."""


class Runner:
    """One run in progress."""

    def __init__(
        self,
        plan: Plan,
        *,
        engines: Mapping[str, Engine],
        store: RunStore,
        pool: Pool,
        concurrency: int | None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        seconds: float = 0.0,
        tried: Mapping[str, int] = MappingProxyType({}),
        workers: Hired | None = None,
    ) -> None:
        """Take what a run consists of; nothing happens before `run`.

        `concurrency` is shared by all engines; None lets each find its own. `seconds` is what earlier invocations took,
        `tried` how often work (by id) was tried in vain before this order: it gets as many tries again.
        With `workers` others do all but the first stage: those that were hired, and whoever comes.
        """
        self.plan = plan
        self.tally = Tally()
        self.before: Counter[tuple[str, str]] = Counter()
        self.lanes = open_lanes(engines, concurrency)
        self._store = store
        self._pool = pool
        self._limits = limits
        self._seconds, self._began = seconds, time.monotonic()
        self._root = plan.root
        self._root_lanes = [self.lanes[name] for name in self._root.engines()]
        self._changed = asyncio.Event()
        self._asker = Asker(self.lanes, store=store, tally=self.tally, go_on=self._go_on, changed=self._changed)
        self._walker = Walker(plan, asker=self._asker, store=store, pool=pool, tally=self.tally, tried=tried)
        self._crew = Crew(plan, store=store, tally=self.tally, hired=workers) if workers else None
        self._turns: dict[int, asyncio.Future[None]] = {}
        self._lineages: dict[int, asyncio.Task[None]] = {}
        self._ended: Ended | None = None
        self._order = Order(plan, target=0, available=None)
        self._started = 0  # number of the next new request
        self._target = 0
        self._available: int | None = None

    @property
    def filled(self) -> int:
        """Rows before the first request that is not settled."""
        return self._order.filled

    @property
    def seconds(self) -> float:
        """What this run has taken, earlier invocations included (of one that was killed all but its last second)."""
        return self._seconds + time.monotonic() - self._began

    @property
    def cost(self) -> float:
        """What this run has cost so far, by the prices of its limits."""
        return self._limits.price.cost(self.tally.prompt_tokens, self.tally.completion_tokens, self.seconds)

    def places(self) -> tuple[int, int, int]:
        """Return how many answers are being written, how many wait for a place, and how many places there are."""
        slots = {id(lane.slots): lane.slots for lane in self.lanes.values()}.values()
        used, waiting, size = sum(s.used for s in slots), sum(s.waiting for s in slots), sum(s.size for s in slots)
        crew = self._crew
        return (used, waiting, size) if crew is None else (used + crew.used, waiting + crew.waiting, size + crew.slots)

    # -- the run --------------------------------------------------------------------------------------------------

    async def run(self, target: int) -> Ended:
        """Work until `target` rows stand in the settled part, or something ends it. Stored work is not redone."""
        self._target = target
        self._available = self._root.requests()
        if self._available == 0:
            return Ended("exhausted")
        self._order = Order(self.plan, target=target, available=self._available)
        self._restore()
        timer = None
        minding = [asyncio.create_task(self._minded("minding the servers", self._tune))]
        if self._crew is not None:  # takes in what workers have done
            watch = partial(self._crew.watch, self._take_note)
            minding.append(asyncio.create_task(self._minded("watching the workers", watch)))
        if self._limits.seconds is not None:
            timer = asyncio.get_running_loop().call_later(self._limits.seconds, self.stop, Ended("time"))
        try:
            await self._drive()
            if self._ended is not None and self._ended.closing is not None:
                self.cancel()
            await asyncio.gather(*self._lineages.values(), return_exceptions=True)
        finally:
            for one in minding:
                one.cancel()
            if timer is not None:
                timer.cancel()
            self.cancel()
            if self._crew is not None:
                with suppress(SelfInstructError):  # a database that is away: the next owner does it
                    await self._crew.dismiss()
                    self._recount()  # what came since the last look
                    self.tally.in_flight.clear()
        assert self._ended is not None  # noqa: S101 - _drive ends only so
        return self._ended

    def stop(self, ended: Ended) -> None:
        """Start no further call; those in flight are awaited and kept. The first reason stands."""
        if self._ended is None:
            self._ended = ended
            if self._crew is not None:
                self._crew.stop(ended.reason, ended.closing)
            if ended.closing is None:  # a call that waits for an absent server must not hold the end up
                asyncio.get_running_loop().call_later(self._limits.drain, self.cancel)
        for turn in self._turns.values():
            if not turn.done():
                turn.set_exception(StopError())
        self._changed.set()

    def cancel(self) -> None:
        """Give up what is in flight: it stays open, or becomes surplus."""
        for task in self._lineages.values():
            task.cancel()

    async def _tune(self) -> None:
        """Mind the number of places at each engine."""
        lanes = {id(lane.engine): lane for lane in self.lanes.values()}
        while True:
            await asyncio.sleep(TUNE_SECONDS)
            for lane in lanes.values():
                lane.tune()
            self._store.put_meta({"seconds": f"{self.seconds:.1f}"})  # a kill must not forget hours that were paid for
            self._changed.set()

    async def _minded(self, what: str, task: Callable[[], Awaitable[None]]) -> None:
        """Do what goes on beside the requests; where it fails, the run ends: nobody else waits for it."""
        try:
            await task()
        except Exception as problem:  # noqa: BLE001 - see `fault`
            self.stop(Ended("error", error=fault(what, problem)))

    async def _drive(self) -> None:
        """Start requests: unsettled ones first, then new ones, while the engines have room and the order needs them."""
        waiting = deque(sorted(self._walker.again))
        while self._ended is None:
            self._changed.clear()
            number = waiting[0] if waiting else max(self._pool.requests, self._started)
            if self._wants_more(number) and self._root.sees(number) <= self._pool.requests:
                if waiting:
                    waiting.popleft()
                else:
                    self._started = number + 1
                self._lineages[number] = asyncio.create_task(self._lineage(number))
                await asyncio.sleep(0)
                continue
            await self._changed.wait()

    def _wants_more(self, number: int) -> bool:
        """Say whether request `number` exists, has room, and is likely to be needed for the order."""
        if number == self._available:
            return False
        if not all(lane.has_room for lane in self._root_lanes) or any(lane.is_behind for lane in self.lanes.values()):
            return False
        if self._crew is not None and not self._crew.has_room:
            return False
        return not self._lineages or self._order.likely(len(self._lineages)) < self._target

    def _go_on(self) -> None:
        """Raise when no further call may be sent."""
        self._store.check()
        self._heed_caps()
        if self._ended is not None:
            raise StopError

    def _take_note(self) -> None:
        """Go on from what workers have done and spent."""
        self._heed_caps()
        self._changed.set()

    def _heed_caps(self) -> None:
        spent = self.tally.prompt_tokens + self.tally.completion_tokens
        if self._limits.tokens is not None and spent >= self._limits.tokens:
            self.stop(Ended("tokens"))
        if self._limits.cost is not None and self.cost >= self._limits.cost:
            self.stop(Ended("cost"))

    # -- one request ----------------------------------------------------------------------------------------------

    async def _lineage(self, number: int) -> None:
        """Follow one request to the end of everything that comes of it."""
        try:
            request = Request(
                id=content_id(self.plan.fingerprints[self._root.label], self.plan.seed, number),
                parent="",
                provenance=Provenance(stage="request"),
                number=number,
            )
            place = Place(number, request_path(number), request)
            self._settle({number: await self._rows(place)})
        except StopError:
            pass  # stays open; the store has what was answered
        except Exception as problem:  # noqa: BLE001 - see `fault`
            self.stop(Ended("error", error=fault(f"request {number}", problem)))
        finally:
            self._lineages.pop(number, None)
            self._changed.set()

    async def _rows(self, place: Place) -> list[str]:
        """Do a request's own work and all that follows from it, here or elsewhere; return the paths of its rows."""
        if self._crew is not None and place.request in self._walker.again:
            return await self._crew.carry(place.request)
        tree = self._walker.recall(self._root, place)
        if tree is None:
            tree = await self._propose(place)
        if self._crew is not None:
            return await self._crew.carry(place.request) if tree.accepted else []
        await self._walker.follow(self._root, tree)
        return tree.rows

    async def _propose(self, place: Place) -> Tree:
        """Do a request's own work; what it made is decided on when every earlier request is admitted."""
        number = place.request
        with self.tally.working(self._root.label):
            tried = await self._walker.attempt(self._root, place, priority=FIRST)
            await self._turn(number)
            tree, rows = self._walker.decide(self._root, place, tried)
            self._order.tell(number, (row.rule for row in rows))
            if tried.error is not None:
                self._order.spoilt.add(number)
            self._pass_turn()
        return tree

    async def _turn(self, number: int) -> None:
        """Wait until every earlier request is admitted."""
        if self._pool.requests == number:
            return
        if self._ended is not None:
            raise StopError
        turn = self._turns[number] = asyncio.get_running_loop().create_future()
        await turn

    def _pass_turn(self) -> None:
        self._pool.close_request()
        turn = self._turns.pop(self._pool.requests, None)
        if turn is not None and not turn.done():
            turn.set_result(None)
        self._changed.set()

    def _settle(self, rows: Mapping[int, list[str]]) -> None:
        """Note that everything from these requests has its fate, with the paths of their rows."""
        if self._ended is None and (ended := self._order.settle(rows)) is not None:
            self.stop(ended)

    # -- what is stored already -----------------------------------------------------------------------------------

    def _recount(self) -> None:
        """Have the tally say what is stored."""
        tally, store = self.tally, self._store
        tally.fates, tally.drops = Counter(store.fates()), Counter(store.drops())
        tally.calls, tally.prompt_tokens, tally.completion_tokens = store.usage()

    def _restore(self) -> None:
        """Take up what an earlier process left: pool, answers, finished work, counts."""
        store, root = self._store, self._root.label
        self._asker.answers = restore.answers(store)
        self._recount()
        self._order.spoilt = {row.request for row in store.works(failed=True) if row.stage == root}
        for number, rules in store.rules(root).items():
            self._order.tell(number, rules)
        admitted = store.worked().get(root, 0)
        accepted = store.scan(root, fate=Fate.ACCEPTED)
        self._pool.restore(
            ((row.request, Instruction.model_validate(body["record"])) for row, body in accepted), requests=admitted
        )
        again = self._walker.again = restore.unsettled(store, self.plan)
        settled: dict[int, list[str]] = {number: [] for number in range(admitted) if number not in again}
        row_stage = next(stage.label for stage in self.plan.stages if stage.writes() is Row)
        for request, path in store.paths(row_stage):
            if request not in again:
                settled[request].append(path.rpartition(".")[0])
        if self._crew is None:
            self._walker.known = restore.made(store, self.plan, sorted(again), tally=self.tally)
        self.before.update(self.tally.fates)
        self._settle(settled)
