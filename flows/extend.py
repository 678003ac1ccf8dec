"""One night of a published dataset: new rows, near to none that it has had, and the next version with them. Decides nothing.

A night that was killed or cancelled is gone on with by the next one: the same plan comes out, and what is stored is not asked
for again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import _page
from _forms import Making, Place, Publishing
from _version import shown
from _work import AGAIN, Watch, attempt, chunks, ended, slot, taken, unstopped, until
from prefect import flow, task
from prefect.client.schemas.objects import State
from pydantic import Field

from selfinstruct import nightly, pipeline, runs
from selfinstruct.catalogue.place import Published
from selfinstruct.nightly import Tonight
from selfinstruct.pipeline import Report
from selfinstruct.runner import Limits


class Extension(Making, Publishing):
    """Rows to add to a published dataset. Where it has no version yet, this makes the first."""

    against: Annotated[list[Place], Field(title="Against", default_factory=list)]
    """Other datasets or X.novelty: nothing near to their texts is kept."""
    hours: Annotated[float | None, Field(title="Hours", gt=0, le=1000)] = None
    """Stop after so many and publish what has come; the run then ends as Alarming."""


@flow(flow_run_name="{extension.dataset}-plus-{extension.add}")
def extend(extension: Extension) -> State[None]:
    """Add rows to a published dataset and publish the next version, with what changed by it."""
    return ended(extension.dataset, lambda: _extend(extension))


def _extend(extension: Extension) -> State[None]:
    # Two nights of one dataset may wait for one slot: what is next is known when the other one has published.
    with slot(extension.guard):
        night = taken(plan(extension))
        have, wanted = runs.accepted_rows(night.folder), extension.add
        limits = until(extension.hours)
        with _page.progress(str(night.ref), have=have, wanted=wanted) as watch:
            report = chunks(
                lambda target: taken(grow(night, target, watch, limits())),
                have=have,
                wanted=wanted,
                size=extension.chunk,
            )
        _page.run(report)
        notes = nightly.worth_publishing(report)
        made = taken(publish(night))
    return shown(extension, made, notes)


@task(task_run_name="plan-{extension.dataset}", **AGAIN)
def plan(extension: Extension) -> Tonight | State[Tonight]:
    """Find out what makes the next version; what could not be published is refused here, before anything is asked."""
    return attempt(
        lambda: nightly.tonight(
            extension.dataset,
            extension.catalogue,
            recipe=extension.named,
            folder=Path(extension.folder),
            against=[Path(one) for one in extension.against],
            sets=extension.settings,
            flags={**extension.flags, "n": extension.add},
            new_lineage=extension.new_lineage,
            licences=extension.said,
            trial=extension.trial,
        )
    )


@task(task_run_name="to-{target}-rows", **AGAIN)
def grow(night: Tonight, target: int, watch: Watch, limits: Limits) -> Report | State[Report]:
    """Grow the night's run to `target` rows. Work that is stored is not done again."""
    return attempt(
        lambda: unstopped(
            pipeline.run_sync(
                night.recipe, night.folder, target=target, limits=limits, watch=watch, handle_signals=True
            )
        )
    )


@task(task_run_name="publish-{night.ref.name}", **AGAIN)
def publish(night: Tonight) -> Published | State[Published]:
    """Publish the version, whole or not at all."""
    return attempt(night.publish)
