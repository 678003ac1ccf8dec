"""Rows for one run folder that grows; nothing is published. Decides nothing: the library does.

One task per chunk of rows, never one per record: a task run costs Prefect's server 27 to 44 ms of CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import _page
from _forms import Making, Name
from _work import AGAIN, LIMITS, Watch, attempt, chunks, done, ended, slot, taken, unstopped
from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from selfinstruct import pipeline, runs
from selfinstruct.pipeline import Report


class Generation(Making):
    """Rows to generate into a run folder."""

    dataset: Annotated[Name, Field(title="Dataset")] = "nightly"
    """Name of the run folder."""

    @property
    def path(self) -> Path:
        """Return the run folder."""
        return Path(self.folder) / self.dataset


@flow(flow_run_name="{generation.dataset}-plus-{generation.add}")
def generate(generation: Generation) -> State[None]:
    """Add rows to a run folder; leave progress, funnel and score histogram on the page of the run."""
    return ended(generation.dataset, lambda: _generate(generation))


def _generate(generation: Generation) -> State[None]:
    have = runs.accepted_rows(generation.path)
    wanted = have + generation.add
    with slot(generation.guard), _page.progress(generation.dataset, have=have, wanted=wanted) as watch:
        report = chunks(
            lambda target: taken(grow(generation, target, watch)), have=have, wanted=wanted, size=generation.chunk
        )
    _page.run(report)
    return Completed(message=done(report).message)


@task(task_run_name="to-{target}-rows", **AGAIN)
def grow(generation: Generation, target: int, watch: Watch) -> Report | State[Report]:
    """Grow the run folder to `target` rows. Work that is stored is not done again."""
    return attempt(
        lambda: unstopped(
            pipeline.run_sync(
                generation.load(), generation.path, target=target, limits=LIMITS, watch=watch, handle_signals=True
            )
        )
    )
