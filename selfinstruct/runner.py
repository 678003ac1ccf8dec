"""Walks every record through the stages: concurrency, order, failures, counting. Alone in knowing asyncio tasks.

Knows no prompt, no format and no SQL. How a run stays the same for any concurrency and any number of kills:
a request's prompt depends on the pool after an earlier, fixed request; admission happens in request order; every answer
is written down before it is used, and looked up before a call is sent.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from selfinstruct.engines.base import Reply
from selfinstruct.errors import CallError, DamageError, RefusedError, SelfInstructError, UnreadableError
from selfinstruct.judged import aspects
from selfinstruct.price import Price
from selfinstruct.records import (
    Dropped,
    DropReason,
    Fate,
    Instruction,
    Provenance,
    Record,
    Request,
    Row,
    content_id,
)
from selfinstruct.slots import Lane, Slots
from selfinstruct.stage import Stage, Work, stage_parents
from selfinstruct.store import CallRow, Outcome, RecordRow, WorkRow, child_path, request_path
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from selfinstruct.engines.base import CompletionRequest, Engine
    from selfinstruct.pool import Pool
    from selfinstruct.store import RunStore

T = TypeVar("T")
AnyStage = Stage[Any, Any]

FIRST_GUESS = 4
"""Rows expected of a request before any has finished: keeps a small order from starting far too many requests."""

FAILURES_IN_A_ROW = 25
"""So many failed records without one success between them end the run: it is not the records."""

FAILURES_SHOWN = 3
"""Of them are shown then, with what was answered."""

UNREADABLE = "unreadable: "
"""How the error of work begins whose answers could not be read."""

SHOWN = 160
"""Characters of an unreadable answer that its failure shows."""

TUNE_SECONDS = 1.0
"""Between two looks at the servers."""

DRAIN_SECONDS = 60.0
"""Answers still under way when a run is stopped are awaited for so long, unless said otherwise; then their records stay open."""


class _StopError(Exception):
    """Raised inside a lineage when the run stops: its work stays open."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does: its stages with their fingerprints, the seed and the language. Equal plans, equal ids."""

    stages: tuple[AnyStage, ...]
    fingerprints: Mapping[str, str]
    seed: int
    language: str
    stop_requests: int
    """Look at this many of the latest requests, in request order ..."""
    stop_rows: int
    """... and stop when they gave fewer rows than this ..."""
    stop_novel: float = 0.0
    """... or when fewer than this share of their candidates passed the novelty gate."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps; None means none. `tokens` and `cost` count the whole run, `seconds` this invocation."""

    seconds: float | None = None
    tokens: int | None = None
    cost: float | None = None
    """In the currency of `price`, which says what tokens and hours cost."""
    price: Price = field(default_factory=Price)
    drain: float = DRAIN_SECONDS
    """Seconds that answers under way are awaited when the run is stopped."""


@dataclass(slots=True)
class Tally:
    """What is on record, kept up to date for whoever watches. Keys are (stage label, fate) and (stage label, rule)."""

    fates: Counter[tuple[str, str]] = field(default_factory=Counter)
    drops: Counter[tuple[str, str]] = field(default_factory=Counter)
    in_flight: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    reused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def count(self, stage: str, fate: Fate, *, rule: str | None = None, by: int = 1) -> None:
        """Add `by` rows of a fate."""
        self.fates[stage, fate.value] += by
        if rule is not None:
            self.drops[stage, rule] += by


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: filled, exhausted (no further request), collapsed, time, tokens, cost, interrupted, or error."""

    reason: str
    closing: str | None = None
    """Path below which the order was filled; what lies beyond is surplus."""
    error: SelfInstructError | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """A record and where it stands in the tree."""

    request: int
    path: str
    record: Record
    ancestors: tuple[Record, ...] = ()


@dataclass(slots=True)
class _Tree:
    """What came of one piece of work, with all that descends from it."""

    accepted: list[_Place]
    failed: int = 0
    below: list[Record] = field(default_factory=list)


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
        limits: Limits = Limits(),
        seconds: float = 0.0,
        tried: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Take what a run consists of; nothing happens before `run`.

        `concurrency` is shared by all engines; None lets each find its own. `seconds` is what earlier invocations took,
        `tried` how often work (by id) was tried in vain before this order: it gets as many tries again.
        """
        self.plan = plan
        self.tally = Tally()
        self.before: Counter[tuple[str, str]] = Counter()
        self.lanes = _lanes(engines, concurrency)
        self._store = store
        self._pool = pool
        self._limits = limits
        self._seconds, self._began = seconds, time.monotonic()
        self._tried = tried
        self._root = plan.stages[0]
        self._aspects = aspects(plan.stages)
        parents = stage_parents(plan.stages)
        self._children = {s.label: [c for c in plan.stages if parents[c.label] == s.label] for s in plan.stages}
        self._root_lanes = [self.lanes[name] for name in self._root.engines()]
        self._changed = asyncio.Event()
        self._turns: dict[int, asyncio.Future[None]] = {}
        self._lineages: dict[int, asyncio.Task[None]] = {}
        self._answers: dict[str, tuple[str, Reply]] = {}
        self._known: dict[str, list[tuple[str, Record]]] = {}
        self._again: frozenset[int] = frozenset()
        self._rows: dict[int, list[str]] = {}  # request -> paths of the finished rows of a lineage under way
        self._settled: dict[int, list[str]] = {}  # the same for lineages that are through, at or beyond the frontier
        self._frontier = 0  # every request before it is settled
        self._spoilt: set[int] = set()  # requests whose own call failed
        self._filled = 0  # rows before the frontier
        self._latest: deque[int] = deque(maxlen=plan.stop_requests)  # rows of the latest requests before the frontier
        self._news: dict[int, Counter[bool]] = {}  # request -> its candidates: novel or not
        self._latest_news: deque[Counter[bool]] = deque(maxlen=plan.stop_requests)
        self._failures: list[str] = []  # since the last success
        self._ended: Ended | None = None
        self._target = 0
        self._started = 0  # number of the next new request
        self._available: int | None = None

    @property
    def filled(self) -> int:
        """Rows before the first request that is not settled."""
        return self._filled

    # -- the run --------------------------------------------------------------------------------------------------

    async def run(self, target: int) -> Ended:
        """Work until `target` rows stand in the settled part, or something ends it. Stored work is not redone."""
        self._target = target
        self._available = self._root.requests()
        if self._available == 0:
            return Ended("exhausted")
        self._restore()
        self._advance()
        timer = None
        tuning = asyncio.create_task(self._tune())
        if self._limits.seconds is not None:
            timer = asyncio.get_running_loop().call_later(self._limits.seconds, self.stop, Ended("time"))
        try:
            await self._drive()
            if self._ended is not None and self._ended.closing is not None:
                self.cancel()
            await asyncio.gather(*self._lineages.values(), return_exceptions=True)
        finally:
            tuning.cancel()
            if timer is not None:
                timer.cancel()
            self.cancel()
        assert self._ended is not None  # noqa: S101 - _drive ends only so
        return self._ended

    async def _tune(self) -> None:
        """Mind the number of places at each engine."""
        lanes = {id(lane.engine): lane for lane in self.lanes.values()}
        while True:
            await asyncio.sleep(TUNE_SECONDS)
            for lane in lanes.values():
                lane.tune()
            self._store.put_meta({"seconds": f"{self.seconds:.1f}"})  # a kill must not forget hours that were paid for
            self._changed.set()

    def stop(self, ended: Ended) -> None:
        """Start no further call; those in flight are awaited and kept. The first reason stands."""
        if self._ended is None:
            self._ended = ended
            if ended.closing is None:  # a call that waits for an absent server must not hold the end up
                asyncio.get_running_loop().call_later(self._limits.drain, self.cancel)
        for turn in self._turns.values():
            if not turn.done():
                turn.set_exception(_StopError())
        self._changed.set()

    def cancel(self) -> None:
        """Give up what is in flight: it stays open, or becomes surplus."""
        for task in self._lineages.values():
            task.cancel()

    async def _drive(self) -> None:
        """Start requests: unsettled ones first, then new ones, while the engines have room and the order needs them."""
        waiting = deque(sorted(self._again))
        while self._ended is None:
            self._changed.clear()
            number = waiting[0] if waiting else max(self._pool.requests, self._started)
            if self._wants_more(number) and self._root.sees(number) <= self._pool.requests:
                if waiting:
                    waiting.popleft()
                else:
                    self._started = number + 1
                self._launch(number)
                await asyncio.sleep(0)
                continue
            await self._changed.wait()

    def _wants_more(self, number: int) -> bool:
        """Say whether request `number` exists, has room, and is likely to be needed for the order."""
        if number == self._available:
            return False
        if not all(lane.has_room for lane in self._root_lanes) or any(lane.is_behind for lane in self.lanes.values()):
            return False
        rows = sum(map(len, self._settled.values())) + self._filled
        settled = len(self._settled) + self._frontier
        expected = rows + len(self._lineages) * (rows + FIRST_GUESS) / (settled + 1)
        return not self._lineages or expected < self._target

    def _launch(self, number: int) -> None:
        self._lineages[number] = asyncio.create_task(self._lineage(number))

    async def _lineage(self, number: int) -> None:
        """Follow one request to the end of everything that comes of it."""
        try:
            request = Request(
                id=content_id(self.plan.fingerprints[self._root.label], self.plan.seed, number),
                parent="",
                provenance=Provenance(stage="request"),
                number=number,
            )
            await self._walk(self._root, _Place(number, request_path(number), request), (), 0)
            self._settle(number)
        except _StopError:
            pass  # stays open; the store has what was answered
        except SelfInstructError as error:
            self.stop(Ended("error", error=error))
        except Exception as problem:  # noqa: BLE001 - a fault outside a stage's own work must end the run, not hang it
            fault = SelfInstructError(
                f"request {number}: {type(problem).__name__}: {problem}",
                remedy="the same command after `selfinstruct -v` shows where",
            )
            fault.__cause__ = problem
            self.stop(Ended("error", error=fault))
        finally:
            self._lineages.pop(number, None)
            self._changed.set()

    async def _walk(self, stage: AnyStage, place: _Place, below: tuple[Record, ...], failed_below: int) -> _Tree:
        """Do one piece of work, then everything that follows from what it made."""
        tree = await self._step(stage, place, below, failed_below)
        if self._children[stage.label]:
            for branch in await _all(self._descend(stage, child) for child in tree.accepted):
                tree.below.extend(branch.below)
                tree.failed += branch.failed
        return tree

    async def _descend(self, stage: AnyStage, place: _Place) -> _Tree:
        """Take one accepted record through the stages that read it, in recipe order."""
        gathered = _Tree([])
        for child in self._children[stage.label]:
            tree = await self._walk(child, place, tuple(gathered.below), gathered.failed)
            gathered.below.extend(p.record for p in tree.accepted)
            gathered.below.extend(tree.below)
            gathered.failed += tree.failed
        return gathered

    # -- one piece of work ----------------------------------------------------------------------------------------

    async def _step(self, stage: AnyStage, place: _Place, below: tuple[Record, ...], failed_below: int) -> _Tree:
        work_id = content_id(self.plan.fingerprints[stage.label], place.record.id)
        if work_id in self._known:
            lineage = (*place.ancestors, place.record)
            return _Tree([_Place(place.request, path, made, lineage) for path, made in self._known.pop(work_id)])
        self.tally.in_flight[stage.label] += 1
        try:
            work, outputs, error = await self._attempt(stage, place, work_id, below, failed_below)
            if stage is self._root:
                await self._turn(place.request)
            tree = self._decide(stage, place, work, outputs, error)
            if stage is self._root:
                self._pass_turn()
        finally:
            self.tally.in_flight[stage.label] -= 1
        return tree

    async def _attempt(
        self, stage: AnyStage, place: _Place, work_id: str, below: tuple[Record, ...], failed_below: int
    ) -> tuple[Work, Sequence[Record | Dropped], str | None]:
        """Ask until the answer can be read, at most `stage.tries` times an order. Returns the outputs, or the last error."""
        error, unread = "", None
        for attempt in range(1, self._tried.get(work_id, 0) + stage.tries + 1):
            work = Work(
                id=work_id,
                stage=stage.label,
                record=place.record,
                ancestors=place.ancestors,
                below=below,
                failed_below=failed_below,
                pool=self._pool,
                run_seed=self.plan.seed,
                language=stage.language or self.plan.language,
                attempt=attempt,
                ask=partial(self._ask, stage.label, place.request, work_id),
                aspects=self._aspects,
                unread=unread,
            )
            try:
                work.outputs = await stage.process(place.record, work)
            except UnreadableError as problem:
                error = f"{UNREADABLE}{problem}; the answer: {printable(work.answer, longest=SHOWN)}"
                unread = work.unreadable(problem)
            except CallError as problem:
                error = str(problem)
                if unread is None or not isinstance(problem, RefusedError):
                    break
                unread = None  # perhaps it was what the question was longer by
            except (SelfInstructError, _StopError):
                raise
            except Exception as problem:  # noqa: BLE001 - the one broad catch: a fault of a stage is that record's failure
                error = f"{type(problem).__name__}: {problem}"
                break
            else:
                return work, work.outputs, None
        return work, (), error

    async def _ask(self, stage: str, number: int, work_id: str, engine: str, request: CompletionRequest) -> Reply:
        """Answer from the journal, or ask the engine and write the answer down."""
        prompt, known = recall(self._answers, request, stage=stage)
        if known is not None:
            self.tally.reused += 1
            return known
        lane = self.lanes[engine]
        try:
            # What was begun first is finished first. But requests are admitted in order: one that waits holds up all later.
            priority = -1 if stage == self._root.label else number
            async with lane.slots.take(request.n, priority=priority):
                self._go_on()
                reply = await lane.engine.complete(request)
        finally:
            self._changed.set()
        usage = reply.usage
        lane.tokens += usage.completion_tokens
        body = reply.model_dump_json()
        self._store.append_call(
            CallRow(request.id, work_id, stage, number, prompt, usage.prompt_tokens, usage.completion_tokens, body)
        )
        self.tally.calls += 1
        self.tally.prompt_tokens += usage.prompt_tokens
        self.tally.completion_tokens += usage.completion_tokens
        return reply

    @property
    def seconds(self) -> float:
        """What this run has taken, earlier invocations included (of one that was killed all but its last second)."""
        return self._seconds + time.monotonic() - self._began

    @property
    def cost(self) -> float:
        """What this run has cost so far, by the prices of its limits."""
        return self._limits.price.cost(self.tally.prompt_tokens, self.tally.completion_tokens, self.seconds)

    def _go_on(self) -> None:
        """Raise when no further call may be sent."""
        self._store.check()
        spent = self.tally.prompt_tokens + self.tally.completion_tokens
        if self._limits.tokens is not None and spent >= self._limits.tokens:
            self.stop(Ended("tokens"))
        if self._limits.cost is not None and self.cost >= self._limits.cost:
            self.stop(Ended("cost"))
        if self._ended is not None:
            raise _StopError

    def _decide(
        self, stage: AnyStage, place: _Place, work: Work, outputs: Sequence[Record | Dropped], error: str | None
    ) -> _Tree:
        """Give every output its fate and write the finished work."""
        tree = _Tree([], failed=int(error is not None))
        rows = []
        for index, output in enumerate(outputs):
            path = child_path(place.path, index)
            reason = _reason(stage, output, work)
            fate = Fate.ACCEPTED if reason is None else Fate.DROPPED
            self.tally.count(stage.label, fate, rule=reason.rule if reason else None)
            rows.append(_row(stage, place, work, path, output, reason))
            if reason is None and isinstance(output, Record):
                stage.admitted(output, work)
                tree.accepted.append(_Place(place.request, path, output, (*place.ancestors, place.record)))
                if isinstance(output, Row):
                    self._rows.setdefault(place.request, []).append(place.path)
        if error is not None:
            self.tally.count(stage.label, Fate.FAILED)
        done = WorkRow(work.id, stage.label, place.request, place.path, place.record.id, len(rows), work.attempt, error)
        self._store.append_outcome(Outcome(done, tuple(rows)), replace=place.request in self._again)
        self._watch_failures(stage, place.request, error)
        if stage is self._root:
            self._news[place.request] = self._told(row.rule for row in rows)
            if error is not None:
                self._spoilt.add(place.request)
        return tree

    def _told(self, rules: Iterable[str | None]) -> Counter[bool]:
        """Count the candidates of a request that were novel and that were not; other drops say nothing of it."""
        near = {gate.kind for gate in self._root.gates if gate.novelty}
        return Counter(rule is None for rule in rules if rule is None or rule in near)

    def _watch_failures(self, stage: AnyStage, number: int, error: str | None) -> None:
        if stage.free or number in self._again:  # stored failures that are tried again say nothing of the server now
            return
        if error is None:
            self._failures.clear()
            return
        self._failures.append(f"stage {stage.label}: {error}")
        if len(self._failures) >= FAILURES_IN_A_ROW:
            latest = "".join(f"\n  {told}" for told in dict.fromkeys(self._failures[-FAILURES_SHOWN:]))
            msg = f"the last {len(self._failures)} records all failed; the latest:{latest}"
            raise SelfInstructError(msg, remedy="selfinstruct doctor --base-url URL; then: selfinstruct resume RUN")

    # -- order ----------------------------------------------------------------------------------------------------

    async def _turn(self, number: int) -> None:
        """Wait until every earlier request is admitted."""
        if self._pool.requests == number:
            return
        if self._ended is not None:
            raise _StopError
        turn = self._turns[number] = asyncio.get_running_loop().create_future()
        await turn

    def _pass_turn(self) -> None:
        self._pool.close_request()
        turn = self._turns.pop(self._pool.requests, None)
        if turn is not None and not turn.done():
            turn.set_result(None)
        self._changed.set()

    def _settle(self, number: int) -> None:
        """Note that everything from request `number` has its fate, then look whether the order is filled."""
        self._settled[number] = self._rows.pop(number, [])
        self._advance()

    def _advance(self) -> None:
        """Move the frontier over settled requests, strictly in order: the only place that ends a run by its rows."""
        while self._frontier in self._settled and self._ended is None:
            paths = sorted(self._settled.pop(self._frontier))
            self._filled += len(paths)
            if self._frontier not in self._spoilt:  # a request that failed says nothing of the yield
                self._latest.append(len(paths))
                self._latest_news.append(self._news.pop(self._frontier, Counter()))
            if self._filled >= self._target:
                self.stop(Ended("filled", closing=paths[len(paths) - 1 - (self._filled - self._target)]))
            elif len(self._latest) == self.plan.stop_requests and self._collapsed():
                self.stop(Ended("collapsed", closing=request_path(self._frontier)))
            elif self._frontier + 1 == self._available:
                self.stop(Ended("exhausted", closing=request_path(self._frontier)))
            self._frontier += 1

    def _collapsed(self) -> bool:
        news: Counter[bool] = sum(self._latest_news, Counter())
        return sum(self._latest) < self.plan.stop_rows or news[True] < self.plan.stop_novel * news.total()

    # -- what is stored already -----------------------------------------------------------------------------------

    def _restore(self) -> None:
        """Take up what an earlier process left: pool, answers, finished work, counts."""
        store, parents = self._store, stage_parents(self.plan.stages)
        self._answers = {call: (prompt, Reply.model_validate(body)) for call, prompt, body in store.answered()}
        self.tally.fates.update(store.fates())
        self.tally.drops.update(store.drops())
        self.tally.calls, self.tally.prompt_tokens, self.tally.completion_tokens = store.usage()
        self._spoilt = {row.request for row in store.works(failed=True) if row.stage == self._root.label}
        self._news = {number: self._told(rules) for number, rules in store.rules(self._root.label).items()}
        admitted = store.worked().get(self._root.label, 0)
        again = {n for label, parent in parents.items() if parent for n in store.pending(label, parent=parent)}
        self._again = frozenset(again)
        accepted = store.scan(self._root.label, fate=Fate.ACCEPTED)
        made = ((row.request, Instruction.model_validate(body["record"])) for row, body in accepted)
        self._pool.restore(made, requests=admitted)
        self._settled = {number: [] for number in range(admitted) if number not in again}
        row_stage = next(stage.label for stage in self.plan.stages if stage.writes() is Row)
        for request, path in store.paths(row_stage):
            if request not in again:
                self._settled[request].append(path.rpartition(".")[0])
        self._restore_steps(sorted(again))
        self.before.update(self.tally.fates)

    def _restore_steps(self, numbers: Sequence[int]) -> None:
        """Load the finished work of unsettled requests. Free and failed work is done anew: forget its counts."""
        stages = {stage.label: stage for stage in self.plan.stages}
        works = {row.id: row for row in self._store.works(numbers=numbers)}
        redo = {row.id for row in works.values() if stages[row.stage].free or row.error is not None}
        redo -= {row.id for row in works.values() if row.stage == self._root.label}
        for row in works.values():
            if row.id not in redo:
                self._known[row.id] = []
            elif row.error is not None:
                self.tally.count(row.stage, Fate.FAILED, by=-1)
        for record, body in self._store.of_requests(numbers):
            if record.work in redo:
                self.tally.count(record.stage, Fate(record.fate), rule=record.rule, by=-1)
            elif record.fate == Fate.ACCEPTED:
                kind = stages[record.stage].writes()
                self._known[record.work].append((record.path, kind.model_validate(body["record"])))


def recall(
    answers: Mapping[str, tuple[str, Reply]], request: CompletionRequest, *, stage: str
) -> tuple[str, Reply | None]:
    """Return the digest of what is asked, and the answer in the journal (call -> digest, reply) when there is one.

    Raises:
        DamageError: it was given to another prompt.
    """
    prompt = content_id(request.model_dump_json(exclude={"id"}))
    asked, reply = answers.get(request.id, (prompt, None))
    if asked != prompt:
        msg = f"call {request.id} of stage {stage} was answered for another prompt"
        raise DamageError(msg, remedy="selfinstruct verify RUN")
    return prompt, reply


def _reason(stage: AnyStage, output: Record | Dropped, work: Work) -> DropReason | None:
    if isinstance(output, Dropped):
        return output.reason
    return next((reason for gate in stage.gates if (reason := gate.reason_to_drop(output, work)) is not None), None)


def _row(
    stage: AnyStage, place: _Place, work: Work, path: str, output: Record | Dropped, reason: DropReason | None
) -> RecordRow:
    record_id = output.id if isinstance(output, Record) else content_id(work.id, "dropped", path)
    drop = "null" if reason is None else reason.model_dump_json()
    return RecordRow(
        id=record_id,
        work=work.id,
        stage=stage.label,
        request=place.request,
        path=path,
        parent=place.record.id,
        fate=Fate.ACCEPTED if reason is None else Fate.DROPPED,
        rule=reason.rule if reason is not None else None,
        body=f'{{"record":{output.model_dump_json()},"drop":{drop}}}',
    )


def _lanes(engines: Mapping[str, Engine], concurrency: int | None) -> dict[str, Lane]:
    """Return the lane of each engine by name; names of one engine share it, and a fixed number is shared by all."""
    opened = {id(engine): Lane.open(engine, concurrency) for engine in engines.values()}
    if concurrency is not None:
        shared = Slots(concurrency)
        for lane in opened.values():
            lane.slots = shared
    return {name: opened[id(engine)] for name, engine in engines.items()}


async def _all(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all of them to the end, then raise the gravest error: calls in flight are never thrown away."""
    results = await asyncio.gather(*coroutines, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    if errors:
        raise max(errors, key=lambda error: isinstance(error, SelfInstructError))
    return [result for result in results if not isinstance(result, BaseException)]
