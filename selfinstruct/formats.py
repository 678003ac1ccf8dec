"""Finds out in which form a model answers readably, for stages that say `format: auto`: a small trial before the run.

Knows no prompt and no form: a stage is asked to work, once per form, on the same few seed tasks, and what it can read counts.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from selfinstruct.engines.base import Reply, together
from selfinstruct.errors import BadInputError, CallError, RefusedError, UnreadableError
from selfinstruct.pool import Pool
from selfinstruct.records import (
    Classification,
    Instance,
    Instruction,
    Provenance,
    Record,
    Request,
    Response,
    SeedTask,
    content_id,
)
from selfinstruct.runner import recall
from selfinstruct.stage import Stage, Work
from selfinstruct.store import CallRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from selfinstruct.engines.base import CompletionRequest, Engine
    from selfinstruct.recipe import Recipe
    from selfinstruct.store import RunStore

log = logging.getLogger(__name__)
AnyStage = Stage[Any, Any]
Counts = dict[str, tuple[int, int]]
"""Form -> readable answers, of how many."""

AUTO = "auto"
CALLS = 8
"""Asked per stage and form."""

MARGIN = 4
"""Another form is taken when it gave so many more readable answers than the preferred one. Of two forms that are equally
good it is taken by chance in 3.8 % of trials at most (two binomials of 8, at one half); one that always works, beside one
that works a quarter of the time, is missed in 2.7 %."""

STAGE = "formats"
"""Under which the store keeps the calls of trials: they count like any others."""


async def settle(
    recipe: Recipe, engines: Mapping[str, Engine], *, tasks: Sequence[SeedTask], store: RunStore
) -> Recipe:
    """Return `recipe` with a form of answer for every stage that left it open; itself when none did.

    Each open stage is tried, and a warning tells what was found. Answers of a trial that was interrupted are in the store,
    and not asked for again. A run that has its forms keeps them: see `kept`.

    Raises:
        UnreachableError, BadInputError, NoRoomError: as a run does.
    """
    stages = [stage for stage in recipe.stages if _open(stage)]
    if not stages:
        return recipe
    trial = _Trial(recipe, engines, tasks=tasks, store=store)
    found = await together(*(trial.readable(stage) for stage in stages))
    store.flush()
    log.warning("form of answers, by trial: %s", "; ".join(map(_told, stages, found)))
    return _with(recipe, {stage.label: _best(_readable(counts)) for stage, counts in zip(stages, found, strict=True)})


def kept(recipe: Recipe, stored: Mapping[str, Any]) -> Recipe:
    """Return `recipe` with the forms that a run has settled on, if it has; `stored` is that run's recipe as JSON data."""
    forms = {one.get("name") or one["kind"]: one.get("format") for one in stored["stages"]}
    left_open = (stage.label for stage in recipe.stages if _open(stage))
    return _with(recipe, {label: str(forms.get(label)) for label in left_open if forms.get(label) != AUTO})


def _open(stage: AnyStage) -> bool:
    return getattr(stage, "format", None) == AUTO


def _with(recipe: Recipe, chosen: Mapping[str, str]) -> Recipe:
    """Return the recipe with these forms, by stage label; the preferred one where a stage does not know it."""
    stages = tuple(
        stage.model_copy(
            update={"format": chosen[stage.label] if chosen[stage.label] in stage.forms else stage.forms[0]}
        )
        if stage.label in chosen
        else stage
        for stage in recipe.stages
    )
    return recipe.model_copy(update={"stages": stages})


def _readable(counts: Counts) -> dict[str, int]:
    return {form: count for form, (count, _) in counts.items()}


def _best(readable: Mapping[str, int]) -> str:
    """Return the first form tried, unless another is clearly better."""
    first = next(iter(readable))
    better = [form for form, count in readable.items() if count >= readable[first] + MARGIN]
    return max(better, key=readable.__getitem__, default=first)


def _told(stage: AnyStage, counts: Counts) -> str:
    told = ", ".join(f"{form} {count} of {asked} readable" for form, (count, asked) in counts.items())
    return f"{stage.label}: {told}: {_best(_readable(counts))}"


class _Trial:
    """The questions of one trial: what they ask, and where their answers are kept."""

    def __init__(
        self, recipe: Recipe, engines: Mapping[str, Engine], *, tasks: Sequence[SeedTask], store: RunStore
    ) -> None:
        self._recipe, self._engines, self._tasks, self._store = recipe, engines, tasks, store
        self._models = {name: engine.model_name for name, engine in engines.items()}
        self._seeds = content_id(*(task.model_dump_json() for task in tasks))
        self._answers = {call: (prompt, Reply.model_validate(body)) for call, prompt, body in store.answered()}
        self._pool = Pool(tasks)
        for _ in range(CALLS):  # whatever a first stage wants to have seen
            self._pool.close_request()
        most = recipe.concurrency if isinstance(recipe.concurrency, int) else CALLS * len(recipe.stages)
        self._room = asyncio.Semaphore(most)

    async def readable(self, stage: AnyStage) -> Counts:
        """Return how each form did. Where the first does so well that no other can be better, the others are not tried."""
        first, *others = stage.forms
        counts = {first: await self._count(stage, first, enough=CALLS - MARGIN + 1)}
        if counts[first][0] <= CALLS - MARGIN:
            counts |= {form: await self._count(stage, form, enough=CALLS) for form in others}
        return counts

    async def _count(self, stage: AnyStage, form: str, *, enough: int) -> tuple[int, int]:
        """Return readable answers and how many came; with `enough` of them those still under way are given up."""
        stage = stage.model_copy(update={"format": form})
        draw = Random(f"{self._recipe.seed}:{stage.label}")  # noqa: S311 - repeatable sampling, not secrecy
        tasks = draw.sample(self._tasks, CALLS) if len(self._tasks) >= CALLS else draw.choices(self._tasks, k=CALLS)
        waiting = {asyncio.create_task(self._reads(stage, number, task)) for number, task in enumerate(tasks)}
        readable = came = 0
        try:
            while waiting and readable < enough:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                found = [read for one in done if (read := one.result()) is not None]
                came, readable = came + len(found), readable + sum(found)
        finally:
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        return readable, came

    async def _reads(self, stage: AnyStage, number: int, task: SeedTask) -> bool | None:
        """Say whether the stage makes a record of the answer about `task`; None when no answer came, which says nothing."""
        fingerprint = stage.fingerprint(models=self._models, language=self._recipe.language)
        work_id = content_id(STAGE, fingerprint, self._seeds, self._recipe.seed, number)
        *ancestors, record = _chain(task, number, upto=stage.reads())
        work = Work(
            id=work_id,
            stage=stage.label,
            record=record,
            ancestors=tuple(ancestors),
            below=(),
            failed_below=0,
            pool=self._pool,
            run_seed=self._recipe.seed,
            language=stage.language or self._recipe.language,
            attempt=1,
            ask=partial(self._ask, work_id),
        )
        try:
            made = await stage.process(record, work)
        except (RefusedError, UnreadableError):  # refused (a schema, perhaps) or not to be read: that is the finding
            return False
        except CallError:
            return None
        return any(isinstance(one, Record) for one in made)

    async def _ask(self, work_id: str, engine: str, request: CompletionRequest) -> Reply:
        """Answer from the store, or ask the engine and write the answer down."""
        prompt, known = recall(self._answers, request, stage=STAGE)
        if known is not None:
            return known
        async with self._room:
            self._store.check()
            reply = await self._engines[engine].complete(request)
        body, usage = reply.model_dump_json(), reply.usage
        self._store.append_call(
            CallRow(request.id, work_id, STAGE, -1, prompt, usage.prompt_tokens, usage.completion_tokens, body)
        )
        return reply


def _chain(task: SeedTask, number: int, *, upto: type[Record]) -> list[Record]:
    """Return what a run would have made of a seed task, up to a record of the type that a stage reads.

    Raises:
        BadInputError: no such record comes before a row.
    """
    made = Provenance(stage=STAGE)
    first = task.instances[0]
    chain = (
        Request(id=f"{STAGE}-{number}", parent="", provenance=made, number=number),
        Instruction(id=f"{STAGE}-i{number}", parent="", provenance=made, text=task.instruction),
        Classification(id=f"{STAGE}-c{number}", parent="", provenance=made, is_classification=task.is_classification),
        Instance(id=f"{STAGE}-n{number}", parent="", provenance=made, input=first.input, output=first.output),
        Response(id=f"{STAGE}-a{number}", parent=f"{STAGE}-n{number}", provenance=made, text=first.output),
    )
    kinds = [type(one) for one in chain]
    if upto not in kinds:
        msg = f"`format: auto` cannot be tried for a stage that reads {upto.__name__} records"
        raise BadInputError(msg, remedy="name the form in the recipe")
    return list(chain[: kinds.index(upto) + 1])
