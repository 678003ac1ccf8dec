"""A worker: takes part in a run that another process leads, from its first lease to its last. Decides nothing of the run."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple

from selfinstruct import __version__
from selfinstruct import recipe as recipes
from selfinstruct.errors import BadInputError, UnreachableError
from selfinstruct.pipeline import inputs_of, open_engines, plan_of, prepare
from selfinstruct.pool import Pool
from selfinstruct.runner import LEASE_SECONDS, LEAST_LEASE, Ended, Hand
from selfinstruct.store import join_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from selfinstruct.recipe import Recipe
    from selfinstruct.store import WorkerStore

BEGIN_SECONDS = 30.0
"""So long a run may take to begin after its owner has come."""


class Worked(NamedTuple):
    """What a worker did."""

    requests: int
    """Settled by it: not those that were taken over."""
    calls: int
    ended: str
    """How the run ended: see `Ended.reason`; `interrupted` where it was this worker that was told to end."""


def work(run: str, *, base_url: Sequence[str] = (), lease: float = LEASE_SECONDS) -> Worked:
    """Work on a run until it ends: what a thread, a Prefect task, or a Dask or Ray worker calls; N of them share the work.

    `run` is its folder or `postgresql://...#run_...`; `base_url` are the servers that this worker asks in place of the
    writer's in the recipe; `lease` the seconds after which a worker that is not heard of is taken to be dead.

    Raises:
        BadInputError: no such run, nobody leads it, a lease below LEAST_LEASE, or this worker would do it otherwise: each
            difference is named.
        UnreachableError: its servers, the database or the run's owner are gone; what it held is done by others.
    """
    return asyncio.run(take_part(run, base_url=base_url, lease=lease))


async def take_part(
    run: str,
    *,
    base_url: Sequence[str] = (),
    lease: float = LEASE_SECONDS,
    handle_signals: bool = False,
    hired: bool = False,
) -> Worked:
    """`work`, in an event loop; `hired`: end when standard input does."""
    if not lease >= LEAST_LEASE:
        msg = f"a lease of {lease:g} s would run out before it is renewed"
        raise BadInputError(msg, remedy=f"--lease {LEAST_LEASE:g} or more")
    store = await asyncio.to_thread(join_run, run)
    try:
        known = await _begun(store, seconds=0 if hired else BEGIN_SECONDS)
        recipe = _recipe(known, base_url, source=store.place.name)
        async with AsyncExitStack() as stack:
            engines = await open_engines(recipe.engines, stack)
            await prepare(recipe, engines)
            models = {name: engine.model_name for name, engine in engines.items()}
            _refuse_others(known, recipe, models)
            hand = Hand(
                plan_of(recipe, models, first=1), engines=engines, store=store, pool=Pool(()),
                concurrency=None if recipe.concurrency == "auto" else recipe.concurrency,
                tried=json.loads(known.get("tried", "{}")), lease=lease,
            )  # fmt: skip
            _listen(hand, handle_signals=handle_signals, hired=hired)
            ended = await hand.run()
    finally:
        store.close()
    if ended.error is not None:
        raise ended.error
    if ended.reason == "alone":
        msg = f"the process that led the run in {store.place.name} is gone"
        raise UnreachableError(msg, remedy=f"{store.resuming}; then this again")
    return Worked(len(store.settled), hand.tally.calls, ended.reason)


async def _begun(store: WorkerStore, *, seconds: float) -> dict[str, str]:
    """Return the facts of the run once its owner has written down what it is.

    Raises:
        BadInputError: it does not.
    """
    deadline = time.monotonic() + seconds
    while True:
        known = await asyncio.to_thread(store.get_meta)
        if "recipe" in known and not known["ended"] and not _is_open(known["recipe"]):
            return known
        if time.monotonic() > deadline or not await asyncio.to_thread(store.is_led):
            break
        await asyncio.sleep(1)
    msg = f"the run in {store.place.name} has not begun, or has just ended"
    raise BadInputError(msg, remedy=f"{store.resuming}; then this again")


def _is_open(recipe: str) -> bool:
    """Say whether forms of answers are still being tried."""
    return any(stage.get("format") == "auto" for stage in json.loads(recipe)["stages"])


def _recipe(known: Mapping[str, str], base_url: Sequence[str], *, source: str) -> Recipe:
    """Return the run's recipe, with this worker's servers in place of the writer's.

    Raises:
        BadInputError: another version of selfinstruct leads.
    """
    if known["version"] != __version__:
        msg = f"{source} is led by selfinstruct {known['version']}, this is {__version__}"
        raise BadInputError(msg, remedy=f"install selfinstruct {known['version']} from its repository here")
    data = json.loads(known["recipe"])
    return recipes.build(recipes.moved(data, list(base_url)) if base_url else data, source=source)


def _refuse_others(known: Mapping[str, str], recipe: Recipe, models: Mapping[str, str]) -> None:
    """Refuse to work with another model or other prompts than the run's.

    Raises:
        BadInputError: each difference is named.
    """
    wanted = json.loads(known["inputs"])
    inputs = inputs_of(recipe, models, wanted["seeds"], first=1)
    differing = [name for name in sorted(inputs) if wanted.get(name) != inputs[name]]
    if differing:
        listed = "".join(f"\n  {name}: {wanted.get(name, 'absent')} -> {inputs[name]}" for name in differing)
        msg = f"this worker would do it otherwise:{listed}"
        raise BadInputError(msg, remedy="the same model and the same installation as the run's owner")


def _listen(hand: Hand, *, handle_signals: bool, hired: bool) -> None:
    """End on a signal, at once on the second; or when who hired us is gone."""
    loop = asyncio.get_running_loop()
    interrupted: list[bool] = []

    def interrupt() -> None:
        hand.stop(Ended("interrupted"))
        if interrupted:
            hand.cancel()
        interrupted.append(True)

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        asyncio.run_coroutine_threadsafe(hand.leave(), loop)

    if handle_signals:
        for one in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(one, interrupt)
    if hired:
        threading.Thread(target=wait, name="who-hired-us", daemon=True).start()
