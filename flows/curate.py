"""The rows of a version are judged once more, by another rubric, judge or threshold; what is kept becomes a version.

To hold a run against another threshold of the judge that it had, no model is needed: the flow `publish` does it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import _page
from _forms import Asking, Publishing, Rubric
from _version import shown
from _work import AGAIN, LIMITS, Watch, attempt, done, ended, slot, taken, unstopped
from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from selfinstruct import pipeline, runs
from selfinstruct.catalogue.one_file import one_file
from selfinstruct.catalogue.place import Catalogue, Published
from selfinstruct.catalogue.publish import publish_run
from selfinstruct.catalogue.version import NAME, Ref, ref
from selfinstruct.dataset import judging
from selfinstruct.pipeline import Report
from selfinstruct.store import has_run


class Curation(Asking, Publishing):
    """Rows of a version to judge again."""

    source: Annotated[str, Field(title="From", pattern=rf"^{NAME}(@[1-9][0-9]{{0,8}})?$")]
    """NAME or NAME@VERSION, in the same catalogue."""
    rubric: Annotated[Rubric, Field(title="Rubric")] = "accuracy"
    """What the judge looks at."""
    language: Annotated[Literal["en", "ko"], Field(title="Language of the rubric")] = "en"
    """Of rubric and prompt."""
    min_score: Annotated[float | None, Field(title="Lowest score kept")] = None
    """The rubric's own when empty."""

    def path(self, source: Ref) -> Path:
        """Return the run folder: the same for the same order, wherever the models are."""
        order = self.model_dump_json(include={"rubric", "language", "min_score", "model", "settings"})
        digest = hashlib.sha256(order.encode()).hexdigest()[:8]
        return Path(self.folder) / f"{self.dataset}.{source.name}.{source.version}.{self.rubric}.{digest}"


@flow(flow_run_name="{curation.dataset}-from-{curation.source}")
def curate(curation: Curation) -> State[None]:
    """Judge the rows of a version again and publish those that are kept."""
    return ended(curation.dataset, lambda: _curate(curation))


def _curate(curation: Curation) -> State[None]:
    source = Catalogue(curation.catalogue).version(ref(curation.source))
    folder, wanted = curation.path(source.manifest.ref), source.manifest.rows["sft"]
    if there := published_of(folder, curation):
        return Completed(message=f"{there.manifest.ref} was made by this already: {there.manifest.rows['sft']:,} rows")
    with slot(curation.guard), _page.progress(curation.dataset, have=0, wanted=wanted) as watch:
        report = taken(judge(curation, source, folder, watch))
    _page.run(report)
    done(report)
    return shown(curation, taken(make(curation, source, folder)))


@task(task_run_name="judge-{curation.source}", **AGAIN)
def judge(curation: Curation, source: Published, folder: Path, watch: Watch) -> Report | State[Report]:
    """Judge every row. An answer that is stored is not asked for again."""

    def work() -> Report:
        rows = one_file(source, "sft", folder.with_name(f"{folder.name}.parquet"))
        recipe = judging(
            rows,
            rubric=curation.rubric,
            language=curation.language,
            min_score=curation.min_score,
            written_by=", ".join(source.manifest.licences.writers),
            sets=curation.settings,
            flags=curation.flags,
        )
        return unstopped(pipeline.run_sync(recipe, folder, limits=LIMITS, watch=watch, handle_signals=True))

    return attempt(work)


@task(task_run_name="publish-{curation.dataset}", **AGAIN)
def make(curation: Curation, source: Published, folder: Path) -> Published | State[Published]:
    """Make the version; one that was made before the task was killed is not made twice."""
    return attempt(
        lambda: (
            published_of(folder, curation)
            or publish_run(
                folder,
                curation.dataset,
                curation.catalogue,
                licences=curation.said,
                source=source.manifest.licences,
                replace=True,
                trial=curation.trial,
                new_lineage=curation.new_lineage,
            )
        )
    )


def published_of(folder: Path, curation: Curation) -> Published | None:
    """Return the latest version of the dataset where it was made of this run, as the flow makes it."""
    catalogue = Catalogue(curation.catalogue)
    if not has_run(folder) or not catalogue.versions(curation.dataset):
        return None
    latest = catalogue.version(Ref(curation.dataset))
    with runs.open_stored(folder) as run:
        same = latest.manifest.recipe == run.digest
    return latest if same and latest.manifest.cut is None else None
