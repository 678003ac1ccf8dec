"""What the page of a run shows in Prefect's UI: progress, funnel, pictures, papers, links, events. Decides nothing.

A page that cannot be written never ends a run: the server may be away for a while, and the rows are elsewhere.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.events import emit_event
from prefect.logging import get_logger

from selfinstruct.figures.count import of_run
from selfinstruct.figures.draw import draw
from selfinstruct.pictures import data_uri
from selfinstruct.pipeline import Progress, Report
from selfinstruct.runs import open_stored

T = TypeVar("T")

PICTURES = {
    "scores": "Scores of all judged rows, kept and dropped",
    "novelty": "How near every candidate was to an earlier instruction",
}
TOLD_SECONDS = 5.0
"""How often the progress is told: a line there costs the server 40 ms."""


@contextmanager
def progress(about: str, *, have: int, wanted: int) -> Iterator[Callable[[Progress], None]]:
    """Show how far it is from `have` rows to `wanted` while the body runs; yields the watcher to give to the library."""
    latest: list[int] = [have]
    over = threading.Event()
    shown = _told(create_progress_artifact, progress=0.0, key="progress", description=f"{about}: {have} rows")

    def watch(seen: Progress) -> None:
        latest[0] = min(seen.settled or 0, wanted)

    def tell() -> None:
        rows = max(have, latest[0])
        share = 100.0 * (rows - have) / max(1, wanted - have)
        _told(update_progress_artifact, artifact_id=shown, progress=share, description=f"{about}: {rows} rows")

    def keep_telling() -> None:
        while not over.wait(TOLD_SECONDS):
            tell()

    teller = threading.Thread(target=contextvars.copy_context().run, args=(keep_telling,), daemon=True)
    if shown is not None:
        teller.start()
    try:
        yield watch
    finally:
        over.set()
        if shown is not None:
            teller.join(TOLD_SECONDS)
            tell()


def run(report: Report) -> None:
    """Show what was made, kept, dropped, failed and is open, per stage, and the scores of all that was judged as a picture."""
    table = [{"stage": name, **ledger.model_dump()} for name, ledger in report.accounts.stages.items()]
    _told(create_table_artifact, key="funnel", table=table, description="What came of every record, stage by stage")
    with spared("pictures"):
        with open_stored(report.folder) as stored:
            pictures = draw(of_run(stored), standalone=True)
        for key, about in PICTURES.items():
            if key in pictures:
                paper(key, f"![{about}]({data_uri(pictures[key])})", about)


def paper(key: str, markdown: str, about: str) -> None:
    """Show a text whose parts that a model wrote are escaped already."""
    _told(create_markdown_artifact, key=key, markdown=markdown, description=about)


def link(key: str, url: str, text: str) -> None:
    """Show a link."""
    _told(create_link_artifact, key=key, link=url, link_text=text)


def event(name: str, dataset: str, facts: Mapping[str, Any]) -> None:
    """Emit `selfinstruct.dataset.NAME`, for automations: a mail, a message, another flow."""
    resource = {"prefect.resource.id": f"selfinstruct.dataset.{dataset}", "prefect.resource.name": dataset}
    _told(emit_event, event=f"selfinstruct.dataset.{name}", resource=resource, payload=dict(facts))


@contextmanager
def spared(what: str) -> Iterator[None]:
    """Leave `what` out of the page where the body cannot make it: the log says why, and the run goes on."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever files, pictures or Prefect's client raise: the rows do not depend on it
        get_logger("selfinstruct.page").warning("the page of this run lacks its %s: %s", what, error)


def _told(make: Callable[..., T], **facts: Any) -> T | None:  # noqa: ANN401 - each has its own
    with spared(str(facts.get("key", "news"))):
        return make(**facts)
    return None
