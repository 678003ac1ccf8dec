"""Scheduled generation: each run adds rows to a dataset that grows in one run folder. Decides nothing: the library does.

Prefect gives at least once per task; exactly once is the store's. One task per chunk of rows, never one per record: a task
run costs the server 27 to 44 ms of CPU. A chunk that is killed and retried goes on where it stopped.
"""

from __future__ import annotations

import os

# Prefect's server posts to a vendor host and its client to another unless both are told not to (set before its import).
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")

from pathlib import Path
from typing import Annotated, Any

from prefect import flow, task
from prefect.artifacts import (
    acreate_markdown_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)
from pydantic import BaseModel, Field

from selfinstruct import pipeline, runs
from selfinstruct import recipe as recipes
from selfinstruct.errors import Exit, SelfInstructError

FOLDER_NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"


class Generation(BaseModel):
    """What to generate. Becomes the form in Prefect's UI, and is checked before a run exists."""

    dataset: Annotated[str, Field(pattern=FOLDER_NAME)] = "nightly"
    """Name of the dataset: its run folder lies in `folder`."""
    add: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Rows to add to what is there."""
    recipe: str = "chat"
    """Shipped recipe, or a YAML file that the worker can read."""
    base_url: str | None = None
    """Model server; the recipe's when absent. Keys come from the worker's environment, never from here."""
    model: str | None = None
    """Model name; found by itself when the server has one."""
    settings: list[str] = []
    """Recipe fields as in `--set`, for instance stages.respond.n=2."""
    folder: str = "runs"
    """Where run folders lie, seen from the worker's working directory."""
    chunk: Annotated[int, Field(ge=1)] = 500
    """Rows per task: a page that tells something every so often, and little to repeat for Prefect."""


@task(retries=2, retry_delay_seconds=30, task_run_name="to-{target}-rows")
async def grow(generation: Generation, target: int) -> dict[str, Any]:
    """Grow the dataset to `target` rows and return its accounts. Work that is stored is not done again.

    Raises:
        SelfInstructError: as `selfinstruct run` ends with a status that is not 0; says what mends it.
    """
    flags = {"engines.writer.base_url": generation.base_url, "engines.writer.model": generation.model}
    recipe = recipes.load(generation.recipe, sets=generation.settings, flags=flags)
    report = await pipeline.run(recipe, Path(generation.folder) / generation.dataset, target=target)
    if report.exit_status is not Exit.DONE:
        raise SelfInstructError(report.message, remedy=report.remedy)
    return report.accounts.model_dump(mode="json")


@flow(flow_run_name="{generation.dataset}-plus-{generation.add}")
async def generate(generation: Generation) -> dict[str, Any]:
    """Add `add` rows to `dataset`; leave progress, funnel and score histogram on the page of the run."""
    folder = Path(generation.folder) / generation.dataset
    have = runs.accepted_rows(folder)
    wanted = have + generation.add
    progress = await acreate_progress_artifact(progress=0.0, key="progress", description=f"{generation.dataset}: rows")
    counted: dict[str, Any] = {}
    for target in [*range(have + generation.chunk, wanted, generation.chunk), wanted]:
        counted = await grow(generation, target)
        await aupdate_progress_artifact(artifact_id=progress, progress=100.0 * (target - have) / generation.add)
    await acreate_table_artifact(
        key="funnel", table=[{"stage": name, **row} for name, row in counted["stages"].items()]
    )
    await acreate_markdown_artifact(key="scores", markdown=runs.score_table(folder))
    return counted
