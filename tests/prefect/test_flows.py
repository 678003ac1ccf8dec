"""Flows as Prefect carries them out, on a real server and without a worker: from the form to the version."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from selfinstruct import nightly, pipeline, runs
from selfinstruct.catalogue.place import Catalogue, Published
from selfinstruct.catalogue.version import Ref
from tests.support.prefect_server import Prefect

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "flows"))

import _page
import curate
import extend
import publish
from _forms import Cutting
from _work import slot

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def _asked(server: Prefect) -> Iterator[None]:
    """Flows of this process are runs of the server."""
    with temporary_settings({PREFECT_API_URL: server.api, PREFECT_LOGGING_TO_API_ENABLED: False}):
        yield


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Any]:
    return {"catalogue": str(tmp_path / "catalogue"), "folder": str(tmp_path / "runs")}


def night(places: dict[str, Any], *, rows: int) -> None:
    """One night of the dataset `grown`, by the library alone."""
    found = nightly.tonight(
        "grown", places["catalogue"], recipe="demo", folder=Path(places["folder"]), flags={"n": rows}, trial=True
    )
    pipeline.run_sync(found.recipe, found.folder, target=rows)
    found.publish()


def test_a_night_that_waited_for_its_slot_plans_afterwards(
    places: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another night of the same dataset held the slot: the next version is made, and the run of the other stays as it was."""

    @contextmanager
    def late(guard: str) -> Iterator[None]:
        night(places, rows=12)  # somebody else has the slot
        with slot(guard):
            yield

    monkeypatch.setattr(extend, "slot", late)
    order = extend.Extension(dataset="grown", add=4, recipe="demo", trial=True, **places)
    state = extend.extend(order, return_state=True)
    assert (state.name, state.message) == ("Completed", "grown@2: 16 rows, 4 new")
    assert runs.accepted_rows(Path(places["folder"]) / "grown-1") == 12
    assert Catalogue(places["catalogue"]).versions("grown") == [1, 2]
    assert Catalogue(places["catalogue"]).version(Ref("grown")).manifest.base == 1


def test_a_version_is_curated_once_and_a_run_published_with_a_cut(places: dict[str, Any]) -> None:
    """The form `curate` comes to a version, again to the same one, by another threshold to another; `publish` holds to its cut."""
    night(places, rows=12)
    order = {"source": "grown", "dataset": "fine", "rubric": "educational-value", "trial": True, **places}
    order["settings"] = ["engines.writer.kind=scripted"]
    asked = curate.Curation(**order, min_score=0)
    state = curate.curate(asked, return_state=True)
    assert (state.name, state.message) == ("Completed", "fine@1: 12 rows, 12 new")
    state = curate.curate(asked, return_state=True)
    assert (state.name, state.message) == ("Completed", "fine@1 was made by this already: 12 rows")
    state = curate.curate(curate.Curation(**order, min_score=2.5), return_state=True)
    assert state.name == "Completed", state.message
    catalogue = Catalogue(places["catalogue"])
    assert catalogue.versions("fine") == [1, 2]
    assert min(row["raw_score"] for row in catalogue.version(Ref("fine")).rows("sft")) >= 2.5

    scores = [row["score"] for row in catalogue.version(Ref("grown")).rows("sft")]
    least = sorted(scores)[len(scores) // 2]
    cut = publish.Publication(
        dataset="held", run=f"{places['folder']}/grown-1", cut=Cutting(min_score=least), trial=True,
        catalogue=places["catalogue"],
    )  # fmt: skip
    state = publish.publish(cut, return_state=True)
    assert state.name == "Completed", state.message
    made = catalogue.version(Ref("held"))
    assert [row["score"] for row in made.rows("sft")] == [score for score in scores if score >= least]
    assert made.manifest.cut is not None


def test_what_the_page_cannot_show_keeps_no_version_back(
    places: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures that cannot be drawn, papers that cannot be read: the night is published and comes through."""

    def fail(*_: object, **__: object) -> None:
        raise OSError("no such disk")

    night(places, rows=8)
    monkeypatch.setattr(_page, "draw", fail)
    monkeypatch.setattr(Published, "text", _but_papers(Published.text))
    order = extend.Extension(dataset="grown", add=4, recipe="demo", trial=True, **places)
    state = extend.extend(order, return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", "Alarming")
    assert "whether a limit was crossed cannot be read: no such disk" in str(state.message)
    assert Catalogue(places["catalogue"]).versions("grown") == [1, 2]


def _but_papers(text: Callable[[Published, str], str]) -> Callable[[Published, str], str]:
    def read(version: Published, file: str) -> str:
        if version.manifest.version == 2:
            raise OSError("no such disk")
        return text(version, file)

    return read
