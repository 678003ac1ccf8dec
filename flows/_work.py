"""How the library's work becomes tasks and states of Prefect: what is tried again, how a run stops, and how it ends.

Prefect gives at least once per task; exactly once is the store's. A task that is killed, cancelled or tried again goes on where
it stopped.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, TypeVar

# Prefect's server posts to a vendor host and its client to another unless both are told not to.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")

import _page
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.exceptions import CancelledRun, FailedRun
from prefect.states import Cancelled, Failed

from selfinstruct.errors import Exit, NoRoomError, SelfInstructError, UnreachableError
from selfinstruct.pipeline import Progress, Report
from selfinstruct.runner import Limits

T = TypeVar("T")
Watch = Callable[[Progress], None]

LIMITS = Limits(drain=20.0)
"""A run that is cancelled gets SIGTERM, and SIGKILL 30 s later: answers under way are awaited for less than that."""

AGAIN: dict[str, Any] = {
    "retries": 2,
    "retry_delay_seconds": [60, 600],
    "retry_condition_fn": lambda _task, _run, state: isinstance(state.data, (UnreachableError, NoRoomError)),
    "cache_policy": NO_CACHE,  # what is done lies in the run folder
}
"""Options of a task: what passes is tried again (a server that is away, a full disk), what does not is not."""


class Once(logging.Filter):
    """Leaves out the traceback with which Prefect repeats, as a fault of its own, what the state of the run says already."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the line is wanted."""
        return record.exc_info is None or not isinstance(record.exc_info[1], CancelledRun | FailedRun)


logging.getLogger("prefect.flow_runs").addFilter(Once())


class Stopped(Exception):  # noqa: N818 - it is no error
    """Somebody stopped the run."""


def slot(guard: str) -> AbstractContextManager[None]:
    """Hold one slot of the global concurrency limit `guard`, which must exist; none where `guard` is empty.

    A run goes on when Prefect's server is away and the slot with it: what is written cannot be written again for free.
    """
    return concurrency(guard, strict=True, raise_on_lease_renewal_failure=False)


def until(hours: float | None) -> Callable[[], Limits]:
    """Return what tells the limits of a task that begins just now, when all have `hours` from here on."""
    over = None if hours is None else time.monotonic() + 3600 * hours
    return lambda: replace(LIMITS, seconds=None if over is None else max(0.0, over - time.monotonic()))


def chunks(grow: Callable[[int], Report], *, have: int, wanted: int, size: int) -> Report:
    """Grow from `have` to `wanted` rows in steps of `size`; return the last report: of all of them, or of what ended it."""
    for target in (*range(have + size, wanted, size), wanted):
        report = grow(target)
        if report.exit_status is not Exit.DONE:
            break
    return report


def ended(dataset: str, flow: Callable[[], State[None]]) -> State[None]:
    """Return the state in which `flow` ends; with our words and no traceback when it does not come through.

    Automations are told of a failure by an event of ours: Prefect's own come late where a schedule has started the run.
    """
    try:
        return flow()
    except Stopped as stopped:
        return Cancelled(message=str(stopped))
    except SelfInstructError as error:
        message = told(error)
    except ConcurrencySlotAcquisitionError as error:
        message = f"{error}; try: prefect gcl create NAME --limit 1"
    _page.event("failed", dataset, {"dataset": dataset, "message": message})
    return Failed(message=message)


def attempt(work: Callable[[], T]) -> T | State[T]:
    """Return what `work` does, or how it ended: as a state, since Prefect shows an exception with its traceback."""
    try:
        return work()
    except Stopped as stopped:
        return Cancelled(message=str(stopped))
    except SelfInstructError as error:
        return Failed(message=told(error), data=error)


def taken(result: T | State[T]) -> T:
    """Return what a task has returned.

    Raises:
        Stopped, SelfInstructError: how it ended otherwise.
    """
    if not isinstance(result, State):
        return result
    if result.is_cancelled():
        raise Stopped(result.message)
    raise SelfInstructError(result.message or "")


def unstopped(report: Report) -> Report:
    """Return the report of a run that came to its own end.

    Raises:
        Stopped: somebody stopped it.
    """
    if report.exit_status is Exit.INTERRUPTED:
        raise Stopped(report.message)
    return report


def done(report: Report) -> Report:
    """Return the report of a run that made all that it was asked for.

    Raises:
        SelfInstructError: it did not.
    """
    if report.exit_status is not Exit.DONE:
        raise SelfInstructError(report.message, remedy=report.remedy)
    return report


def told(error: SelfInstructError) -> str:
    """Return what happened, and what mends it."""
    return f"{error}; try: {error.remedy}" if error.remedy else str(error)
