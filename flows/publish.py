"""A run that exists becomes the next version of a dataset, held against other thresholds where some are given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from _forms import Cutting, Place, Publishing
from _version import shown
from _work import AGAIN, attempt, ended, taken
from prefect import flow, task
from prefect.client.schemas.objects import State
from pydantic import Field

from selfinstruct.catalogue.place import Published
from selfinstruct.catalogue.publish import publish_run
from selfinstruct.judging.cut import Cut


class Publication(Publishing):
    """A version to publish."""

    run: Annotated[Place, Field(title="Run folder")]
    """Seen from the worker's working directory, for instance runs/nightly."""
    of_dataset: Annotated[Literal["new", "add", "replace"], Field(title="A dataset that exists")] = "new"
    """new: refused. add: its rows, then these, which were made against them. replace: a version without its rows."""
    cut: Annotated[Cutting | None, Field(title="Other thresholds")] = None
    """As for `selfinstruct refilter`; no model is asked."""

    @property
    def thresholds(self) -> Cut | None:
        """Return them as the library has them."""
        return None if self.cut is None else Cut.model_validate(self.cut.model_dump())


@flow(flow_run_name="publish-{publication.dataset}")
def publish(publication: Publication) -> State[None]:
    """Publish a run as the next version of a dataset, whole or not at all."""
    return ended(publication.dataset, lambda: shown(publication, taken(make(publication))))


@task(task_run_name="publish-{publication.dataset}", **AGAIN)
def make(publication: Publication) -> Published | State[Published]:
    """Make the version. A version that was published already is refused, not made twice."""
    return attempt(
        lambda: publish_run(
            Path(publication.run),
            publication.dataset,
            publication.catalogue,
            licences=publication.said,
            cut=publication.thresholds,
            add=publication.of_dataset == "add",
            replace=publication.of_dataset == "replace",
            trial=publication.trial,
            new_lineage=publication.new_lineage,
        )
    )
