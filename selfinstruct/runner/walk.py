"""Follows what comes of one record to its end: tries, gates, and all stages below. Knows no order and no other lineage."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from selfinstruct.errors import CallError, RefusedError, SelfInstructError, UnreadableError
from selfinstruct.records import Dropped, Fate, Record, Row, content_id
from selfinstruct.runner.failures import Failures
from selfinstruct.runner.plan import StopError
from selfinstruct.runner.tree import Place, Tree, judged, record_row
from selfinstruct.stage import Work
from selfinstruct.store import Outcome, WorkRow, child_path
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from selfinstruct.pool import Pool
    from selfinstruct.runner.ask import Asker
    from selfinstruct.runner.plan import AnyStage, Plan, Tally
    from selfinstruct.store import RecordRow, RunStore

T = TypeVar("T")
Made = dict[str, list[tuple[str, Record]]]
"""Work -> (path, record) of what it made that was accepted."""

UNREADABLE = "unreadable: "
"""How the error of work begins whose answers could not be read."""

SHOWN = 160
"""Characters of an unreadable answer that its failure shows."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A piece of work that was tried: its outputs, or the error of the last try."""

    work: Work
    outputs: Sequence[Record | Dropped]
    error: str | None


class Walker:
    """Does pieces of work, and what follows from them."""

    def __init__(
        self, plan: Plan, *, asker: Asker, store: RunStore, pool: Pool, tally: Tally, tried: Mapping[str, int]
    ) -> None:
        """`tried` is how often work (by id) was tried in vain before this order: it gets as many tries again."""
        self.known: Made = {}
        """Finished work that was taken up from the store: each is used once."""
        self.again: set[int] = set()
        """Requests that an earlier process began: what it wrote about work that is done anew is replaced."""
        self._plan, self._asker, self._store, self._pool, self._tally = plan, asker, store, pool, tally
        self._tried, self._aspects, self._children = tried, plan.aspects(), plan.children()
        self._failures = Failures()

    async def follow(self, stage: AnyStage, tree: Tree) -> None:
        """Do everything that follows from what `stage` made, and add it to `tree`."""
        if self._children[stage.label]:
            for branch in await _all(self._descend(stage, child) for child in tree.accepted):
                tree.take(branch)

    def recall(self, stage: AnyStage, place: Place) -> Tree | None:
        """Return what a finished piece of work made; None when it is still to be done."""
        made = self.known.pop(self.work_id(stage, place), None)
        return None if made is None else self._grown(place, made)

    def work_id(self, stage: AnyStage, place: Place) -> str:
        """Name a piece of work."""
        return content_id(self._plan.fingerprints[stage.label], place.record.id)

    async def attempt(
        self,
        stage: AnyStage,
        place: Place,
        *,
        below: tuple[Record, ...] = (),
        failed_below: int = 0,
        priority: int | None = None,
    ) -> Attempt:
        """Ask until the answer can be read, at most `stage.tries` times an order."""
        work_id = self.work_id(stage, place)
        rank = place.request if priority is None else priority
        ask = self._asker.ask_for(stage.label, place.request, work_id, priority=rank)
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
                run_seed=self._plan.seed,
                language=stage.language or self._plan.language,
                attempt=attempt,
                ask=ask,
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
            except (SelfInstructError, StopError):
                raise
            except Exception as problem:  # noqa: BLE001 - the one broad catch: a fault of a stage is that record's failure
                error = f"{type(problem).__name__}: {problem}"
                break
            else:
                return Attempt(work, work.outputs, None)
        return Attempt(work, (), error)

    def decide(self, stage: AnyStage, place: Place, tried: Attempt) -> tuple[Tree, list[RecordRow]]:
        """Give every output its fate and write the finished work; return what was accepted, and all as it was written."""
        work, error = tried.work, tried.error
        made: list[tuple[str, Record]] = []
        rows = []
        for index, output in enumerate(tried.outputs):
            path = child_path(place.path, index)
            reason = judged(stage, output, work)
            fate = Fate.ACCEPTED if reason is None else Fate.DROPPED
            self._tally.count(stage.label, fate, rule=reason.rule if reason else None)
            rows.append(record_row(stage, place, work, path, output, reason))
            if reason is None and isinstance(output, Record):
                stage.admitted(output, work)
                made.append((path, output))
        if error is not None:
            self._tally.count(stage.label, Fate.FAILED)
        done = WorkRow(work.id, stage.label, place.request, place.path, place.record.id, len(rows), work.attempt, error)
        again = place.request in self.again
        self._store.append_outcome(Outcome(done, tuple(rows)), replace=again)
        if not stage.free and not again:  # stored failures that are tried again say nothing of the server now
            self._failures.note(stage.label, error)
        tree = self._grown(place, made)
        tree.failed = int(error is not None)
        return tree, rows

    def _grown(self, place: Place, made: Sequence[tuple[str, Record]]) -> Tree:
        accepted = [place.child(path, record) for path, record in made]
        return Tree(accepted, rows=[place.path for one in accepted if isinstance(one.record, Row)])

    async def _descend(self, stage: AnyStage, place: Place) -> Tree:
        """Take one accepted record through the stages that read it, in recipe order."""
        gathered = Tree()
        for child in self._children[stage.label]:
            tree = self.recall(child, place)
            if tree is None:
                tree = await self._do(child, place, gathered)
            await self.follow(child, tree)
            gathered.below.extend(one.record for one in tree.accepted)
            gathered.take(tree)
        return gathered

    async def _do(self, stage: AnyStage, place: Place, gathered: Tree) -> Tree:
        with self._tally.working(stage.label):
            tried = await self.attempt(stage, place, below=tuple(gathered.below), failed_below=gathered.failed)
            return self.decide(stage, place, tried)[0]


async def _all(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all of them to the end, then raise the gravest error: calls in flight are never thrown away."""
    results = await asyncio.gather(*coroutines, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    if errors:
        raise max(errors, key=lambda error: isinstance(error, SelfInstructError))
    return [result for result in results if not isinstance(result, BaseException)]
