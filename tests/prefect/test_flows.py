"""Flows as Prefect carries them out, on a real server and without a worker: from the form to the version."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from selfinstruct import nightly, pipeline, runs
from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.version import Ref
from tests.support.prefect_server import Prefect

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "flows"))

import extend

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
    slot = extend.slot

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
