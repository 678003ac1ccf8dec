"""READ FIRST: one run, from the seed tasks to the files. The command line and the Prefect flow both call `run`.

    seeds -> [bootstrap] -> Instruction -> [classify] -> Classification -> [instances] -> Instance
          -> [respond xN] -> Response -> [judge] -> Judgement -> [select] -> Row  -> SFT files
                                                              -> [pair] -> PreferencePair -> DPO files

Gates stand at the stages: a record passes, or is dropped with a reason. A stage's work is its inputs that have no
outputs yet; that one rule carries resuming, re-judging and extending. Which stages a run has is its recipe's choice
(recipes/); how they are carried out is the runner's (runner/); what is remembered is the store's (store.py).
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from selfinstruct import __version__, export, formats, runs, seeds
from selfinstruct import recipe as recipes
from selfinstruct.engines.base import together
from selfinstruct.errors import BadInputError, DamageError, Exit, NothingToExportError
from selfinstruct.judging import balance
from selfinstruct.judging.audit import audit, can_audit
from selfinstruct.ledger import Accounts
from selfinstruct.pool import Pool
from selfinstruct.records import Response, content_id
from selfinstruct.runner import UNREADABLE, Ended, Limits, Plan, Runner, Tally, hired
from selfinstruct.store import insist_on_database, open_run

if TYPE_CHECKING:
    from pathlib import Path

    from selfinstruct.engines.base import Ability, Engine, ServerState
    from selfinstruct.recipe import Recipe
    from selfinstruct.store import RunStore

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.25
"""How often a watcher is told."""

THROUGH = frozenset({"filled", "collapsed", "exhausted"})
"""How an order ends that came to its end. What could not be read in it is asked anew by the next."""

STALL_SECONDS = 45.0
"""Without a single answer while calls are under way, a line says so: a server can be stuck and still look healthy."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a watcher sees: counts so far, per stage label in order."""

    stages: tuple[str, ...]
    rows_stage: str
    target: int
    tally: Tally
    seconds: float
    models: tuple[str, ...]
    """Empty while it starts: then nothing is counted yet."""
    before: Counter[tuple[str, str]]
    """The fates that an earlier invocation had left: they do not count for the rate."""
    in_flight: int = 0
    """Answers that the engines are writing now (a call for four counts four) ..."""
    waiting: int = 0
    """... those that wait here for a place ..."""
    slots: int = 0
    """... and how many may be at the engines at once, just now."""
    servers: tuple[ServerState, ...] = ()
    """What the servers tell of themselves."""
    settled: int | None = None
    """Rows before the first request that is not settled: the run ends when they are `target`. None: not told."""

    @property
    def rows(self) -> int:
        """Finished rows so far, in any order."""
        return self.tally.fates[self.rows_stage, "accepted"]


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended, with its accounts and its files."""

    folder: Path
    target: int
    accounts: Accounts
    exit_status: Exit
    message: str
    remedy: str
    exports: dict[str, tuple[Path, export.Manifest]]
    reused: int
    """Answers taken from the store instead of being asked for again."""
    scripted: bool


async def run(
    recipe: Recipe,
    folder: Path,
    *,
    target: int | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    watch: Callable[[Progress], None] | None = None,
    handle_signals: bool = False,
    store: str | None = None,
    workers: int | None = None,
) -> Report:
    """Grow the run in `folder` to `target` rows (default: the recipe's `n`) and write its exports.

    A folder that holds a run of the same recipe is taken up where it stands; nothing stored is asked for again.
    `store` is the URL of a PostgreSQL database for the tables of a new run [default: see `selfinstruct.store.open_run`].
    In such a run `workers` do all but the first stage: so many processes of our own, and whoever else comes (`working.work`);
    with 0 only the latter. The rows are the same in any case.

    Raises:
        BadInputError: bad seeds, a changed recipe (each changed field named), a model or key that is refused.
        UnreachableError: no server. NoRoomError: no room. DamageError: stored bytes changed.
    """
    target = recipe.n if target is None else target
    tasks, seeds_digest = seeds.load(seeds.find(recipe.seeds))
    for told in dict.fromkeys(gate.caution(tasks) for stage in recipe.stages for gate in stage.gates):
        if told:
            log.warning(told)
    if workers is not None:
        insist_on_database(folder, url=store)
    stored = open_run(folder, url=store)
    try:
        if watch is not None:  # somebody is at it, though servers and models are still to be found
            labels = tuple(stage.label for stage in recipe.stages)
            watch(Progress(labels, runs.tree_of(recipe).rows, target, Tally(), 0.0, (), Counter()))
        async with AsyncExitStack() as stack:
            engines = await open_engines(recipe.engines, stack)
            await prepare(recipe, engines)
            if known := stored.get_meta().get("recipe"):
                recipe = formats.kept(recipe, json.loads(known))
            models = {name: engine.model_name for name, engine in engines.items()}
            _caution(recipe, models)
            tried = _tried(stored)
            inputs = inputs_of(recipe, models, seeds_digest)
            _begin(stored, recipe, target=target, inputs=inputs, tried=tried)
            recipe = await formats.settle(recipe, engines, tasks=tasks, store=stored)
            stored.put_meta(_identity(recipe, inputs))
            crew = None
            if workers is not None:
                stored.flush()  # they read what the run is
                crew = stack.enter_context(hired(workers, folder, url=store))
            runner = Runner(
                plan_of(recipe, models), engines=engines, store=stored, pool=Pool(tasks),
                concurrency=None if recipe.concurrency == "auto" else recipe.concurrency,
                limits=limits, seconds=float(stored.get_meta().get("seconds", 0)),
                tried=tried, workers=crew,
            )  # fmt: skip
            ended = await _watched(runner, recipe, target, watch=watch, handle_signals=handle_signals, models=models)
        stored.flush()
        stored.put_meta({"closing": ended.closing or "", "ended": ended.reason, "seconds": f"{runner.seconds:.1f}"})
        stored.flush()
    finally:
        stored.close()
    if ended.error is not None:
        raise ended.error
    return _report(recipe, folder, target, ended, reused=runner.tally.reused)


async def open_engines(engines: Mapping[str, Engine], stack: AsyncExitStack) -> dict[str, Engine]:
    """Open every engine once, also one that serves under several names."""
    opened: dict[int, Engine] = {}
    for engine in engines.values():
        if id(engine) not in opened:
            opened[id(engine)] = await stack.enter_async_context(engine)
    return {name: opened[id(engine)] for name, engine in engines.items()}


async def prepare(recipe: Recipe, engines: Mapping[str, Engine]) -> None:
    """Have every engine find out whether it can do what the stages want of it, and tell what a user should know.

    What it asks for that is short and outside the ledger.
    """
    wanted: dict[int, set[Ability]] = {id(engine): set() for engine in engines.values()}
    for stage in recipe.stages:
        for name in stage.engines():
            wanted[id(engines[name])] |= stage.wants()
    named: dict[int, tuple[str, Engine]] = {}
    for name, engine in engines.items():
        named.setdefault(id(engine), (name, engine))
    notes = await together(*(engine.prepare(wanted[one]) for one, (_, engine) in named.items()))
    for (name, _), told in zip(named.values(), notes, strict=True):
        for note in told:
            log.warning("engine %s: %s", name, note)


def _caution(recipe: Recipe, models: Mapping[str, str]) -> None:
    """Tell what the stages have to say of the models they work with.

    Raises:
        BadInputError: one must not work with them.
    """
    writers = [name for stage in recipe.stages if stage.writes() is Response for name in stage.engines()]
    cautions = (told for stage in recipe.stages for told in stage.cautions(models=models, writers=writers))
    for told in dict.fromkeys(cautions):
        if not recipe.scripted:  # a script has no taste
            log.warning(told)


def plan_of(recipe: Recipe, models: Mapping[str, str], *, first: int = 0) -> Plan:
    """Return what the runner is to do; with `first` = 1 for those who leave the first stage to another process."""
    doing = recipe.stages[first:]
    prints = {stage.label: stage.fingerprint(models=models, language=recipe.language) for stage in doing}
    return Plan(
        stages=recipe.stages,
        fingerprints=prints,
        seed=recipe.seed,
        language=recipe.language,
        stop_requests=recipe.stop.requests,
        stop_rows=recipe.stop.rows,
        stop_novel=recipe.stop.novel,
    )


def inputs_of(recipe: Recipe, models: Mapping[str, str], seeds_digest: str, *, first: int = 0) -> dict[str, str]:
    """Return what a run depends on beside its recipe, by name; `first` as for a plan."""
    inputs = {"seeds": seeds_digest, **{f"model of {name}": model for name, model in models.items()}}
    for stage in recipe.stages[first:]:
        inputs |= stage.inputs(language=recipe.language)
    return inputs


def _tried(store: RunStore) -> dict[str, int]:
    """Return how often work was tried that the order before this one could not read, by id.

    A run that was killed or capped is still at its order: it must end as if nothing had happened.
    """
    known = store.get_meta()
    before: dict[str, int] = json.loads(known.get("tried", "{}"))
    if known.get("ended") not in THROUGH:
        return before
    failed = {row.id: (row.tries, str(row.error).startswith(UNREADABLE)) for row in store.works(failed=True)}
    # Work that was refused in the end is asked that again in any case; what was unreadable before that stays counted.
    return {one: tries if unread else before[one] for one, (tries, unread) in failed.items() if unread or one in before}


def _begin(store: RunStore, recipe: Recipe, *, target: int, inputs: dict[str, str], tried: dict[str, int]) -> None:
    """Write down what this run is, or refuse when the folder holds another.

    Raises:
        BadInputError: something that matters has changed; each change is named.
    """
    known = store.get_meta()
    if "recipe" in known:
        changes = recipes.build(json.loads(known["recipe"]), source="stored recipe").changes(recipe)
        before = json.loads(known["inputs"])
        changes += [
            f"{name}: {before.get(name, 'absent')} -> {inputs.get(name, 'absent')}"
            for name in sorted(before.keys() | inputs.keys())
            if before.get(name) != inputs.get(name)
        ]
        if changes:
            listed = "".join(f"\n  {change}" for change in changes)
            msg = f"{store.folder} holds a run of another configuration; changed:{listed}"
            raise BadInputError(msg, remedy="undo the change, or start a new run with another -o")
    store.put_meta(
        {
            **_identity(recipe, inputs),
            "tried": json.dumps(tried),
            "inputs": json.dumps(inputs, sort_keys=True),
            "target": str(target),
            "closing": "",
            "ended": "",
            "version": __version__,
        }
    )


def _identity(recipe: Recipe, inputs: dict[str, str]) -> dict[str, str]:
    """Return what a run is known by; the forms of answers that its recipe leaves open are settled soon after its start."""
    essence = json.dumps([recipe.essence(), inputs], sort_keys=True)
    return {"recipe": recipe.model_dump_json(), "digest": content_id(essence)}


async def _watched(
    runner: Runner,
    recipe: Recipe,
    target: int,
    *,
    watch: Callable[[Progress], None] | None,
    handle_signals: bool,
    models: dict[str, str],
) -> Ended:
    """Run, telling the watcher now and then, and end cleanly on the first signal, at once on the second."""
    started = time.monotonic()
    loop = asyncio.get_running_loop()
    labels, rows_stage = tuple(s.label for s in recipe.stages), runs.tree_of(recipe).rows

    def tell() -> None:
        if watch is not None:
            seconds = time.monotonic() - started
            names = tuple(sorted(set(models.values())))
            lanes = {id(lane.engine): lane for lane in runner.lanes.values()}.values()
            used, waiting, slots = runner.places()
            watch(
                Progress(
                    labels, rows_stage, target, runner.tally, seconds, names, runner.before,
                    in_flight=used, waiting=waiting, slots=slots,
                    servers=tuple(state for lane in lanes for state in lane.engine.servers()),
                    settled=runner.filled,
                )
            )  # fmt: skip

    async def keep_telling() -> None:
        calls, since = runner.tally.calls, time.monotonic()
        while True:
            tell()
            await asyncio.sleep(WATCH_SECONDS)
            if runner.tally.calls != calls or not sum(runner.tally.in_flight.values()):
                calls, since = runner.tally.calls, time.monotonic()
            elif time.monotonic() - since >= STALL_SECONDS:
                since = time.monotonic()
                log.warning("no answer for %.0f s although calls are under way; is the server stuck?", STALL_SECONDS)

    interrupted: list[bool] = []

    def interrupt() -> None:
        runner.stop(Ended("interrupted"))
        if interrupted:
            runner.cancel()
        interrupted.append(True)

    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM) if handle_signals}
    for one in before:
        loop.add_signal_handler(one, interrupt)
    teller = asyncio.create_task(keep_telling())
    try:
        return await runner.run(target)
    finally:
        teller.cancel()
        with suppress(asyncio.CancelledError):
            await teller
        tell()
        for one, handler in before.items():
            loop.remove_signal_handler(one)
            signal.signal(one, handler)  # whoever called us may have had one of their own


def _report(recipe: Recipe, folder: Path, target: int, ended: Ended, *, reused: int) -> Report:
    """Count the run, refuse to call it done when the books do not balance, and write what its recipe exports."""
    written = {}
    with runs.open_stored(folder) as run:
        counted = run.accounts()
        for problem in counted.problems():
            raise DamageError(problem, remedy=f"selfinstruct verify {folder}")
        if ended.reason == "filled" and (counted.ledger.open or counted.ledger.accepted != target):
            msg = f"asked for {target} rows, the ledger says {counted.ledger!r}"
            raise DamageError(msg, remedy=f"selfinstruct verify {folder}")
        if counted.ledger.accepted:
            written = dict(_exports(run, recipe))
        for alarm, remedy in balance.of_run(run).alarms():
            log.warning("skewed labels: %s; try: %s", alarm, remedy)
        trunk = [counted.drops_by_stage[label] for label in run.tree.trunk()]
    status, message, remedy = _verdict(ended, counted, target, folder, drops=sum(map(Counter, trunk), Counter()))
    return Report(folder, target, counted, status, message, remedy, written, reused, recipe.scripted)


def _exports(run: runs.StoredRun, recipe: Recipe) -> Any:  # noqa: ANN401
    audited = audit(run) if recipe.exports and can_audit(run) else None
    for kind in recipe.exports:
        path = run.folder / "exports" / kind
        with suppress(NothingToExportError):  # no pair among few rows is no fault of the run; the funnel shows it
            yield kind, (path, export.export(run, kind, path, audited=audited))


HINTS = {
    "rouge": "the model repeats itself: raise stages.bootstrap.sampling.temperature, or add other seed tasks",
    "score": "the judge finds most answers weak: a stronger writer, or a lower stages.select.gates.score.least",
    "unreadable": "answers come in another form than asked: try another recipe (selfinstruct recipe list)",
    "cut": "answers are cut: raise sampling.max_tokens of the stage",
    "empty": "answers are empty: check the model's chat template (selfinstruct doctor)",
}
"""What helps when one rule drops most: the stop rule's hint."""


def _verdict(
    ended: Ended, counted: Accounts, target: int, folder: Path, *, drops: Counter[str]
) -> tuple[Exit, str, str]:
    have = counted.ledger.accepted
    again = f"selfinstruct resume {folder}"
    if ended.reason == "filled":
        return Exit.DONE, f"{have} of {target} rows", ""
    if ended.reason == "collapsed":
        worst, share = drops.most_common(1)[0] if drops else ("", 0)
        message = f"{have} of {target} rows: almost nothing new comes any more; most drops by {worst!r} ({share})"
        return Exit.SHORT, message, HINTS.get(worst, f"selfinstruct drops {folder} --by {worst}" if worst else again)
    if ended.reason == "exhausted":
        return Exit.DONE, f"{have} rows kept of all that were given", ""
    if ended.reason in {"time", "tokens", "cost"}:
        return Exit.BUDGET, f"{have} of {target} rows: the cap on {ended.reason} is reached; all is kept", again
    return Exit.INTERRUPTED, f"{have} of {target} rows: stopped; all answers that came are kept", again


def run_sync(recipe: Recipe, folder: Path, **options: Any) -> Report:  # noqa: ANN401 - the options of `run`
    """`run`, for callers without an event loop."""
    return asyncio.run(run(recipe, folder, **options))
