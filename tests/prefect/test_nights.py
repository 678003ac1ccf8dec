"""A real Prefect server and process worker: a dataset that grows by a schedule, and what goes wrong on the way.

`make test-prefect`. This is also what holds the version caps of the flows extra: with SQLAlchemy 2.1 beside Prefect 3.8 flows run
and nothing is ever scheduled. The schedule fires four times a minute; while it goes on, other tests look at other deployments.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selfinstruct import pipeline
from selfinstruct import recipe as recipes
from selfinstruct.catalogue.place import Catalogue, Published
from selfinstruct.catalogue.publish import publish_run
from selfinstruct.catalogue.verify import verify as verify_version
from selfinstruct.catalogue.version import Ref
from selfinstruct.runs import open_stored
from selfinstruct.store import read_run
from selfinstruct.verify import verify
from tests.support.killing import Server
from tests.support.prefect_server import BEAT, Prefect, flags

pytestmark = pytest.mark.timeout(900)
SLOW = "engines.writer.latency=0.15", "concurrency=8"
"""Settings under which a night takes some seconds, so that it can be killed."""
EDITS = {
    r'cron: "0 2 \* \* \*"': 'cron: "* * * * * */15"',  # six fields: seconds last
    r"\{dataset: nightly, add: 1000, recipe: chat, catalogue: catalogue, guard: vllm, hours: 5\}": (
        f"{{dataset: nightly, add: 30, recipe: demo, chunk: 15, trial: true, guard: vllm, viewer: 'http://127.0.0.1:1/', settings: [{', '.join(SLOW)}]}}"
    ),
    r"within: 600": f"within: {2 * BEAT + 5}",
}


@pytest.fixture(scope="module")
def prefect(server: Prefect) -> Prefect:
    """Pool, limit, automation and deployments, by the commands of docs/nightly.md; no worker yet."""
    server.check_out(EDITS)
    server.call("work-pool", "create", "local", "--type", "process")
    server.call("gcl", "create", "vllm", "--limit", "2")
    server.call("automation", "create", "--from-file", "automations.yaml")
    server.call("--no-prompt", "deploy", "--all")
    return server


@pytest.fixture(scope="module")
def killed(prefect: Prefect) -> str:
    """The first night came through; worker and run were killed in the second, and there is a new worker. The id of that run."""
    worker = prefect.work()
    second = prefect.checkout / "runs/nightly-2"

    def half_way() -> bool:
        if not (second / "run.db").exists():
            return False
        with read_run(second) as store:
            return store.usage()[0] > 40

    prefect.wait("the second night", half_way, 300)
    prefect.kill(worker)
    prefect.work()
    [going] = prefect.runs(state={"type": {"any_": ["RUNNING"]}})
    return str(going["id"])


def version(prefect: Prefect, number: int) -> Published | None:
    catalogue = Catalogue(str(prefect.checkout / "catalogue"))
    return catalogue.version(Ref("nightly", number)) if number in catalogue.versions("nightly") else None


def test_the_first_night_comes_by_itself(prefect: Prefect, killed: str) -> None:
    """Nobody starts it: a run of the schedule has published version 1, and its page shows what it did."""
    first = prefect.runs(name={"any_": ["nightly-plus-30"]})[0]
    assert first["auto_scheduled"]
    assert first["id"] != killed
    assert prefect.state(first["id"])[1:] == ("Completed", "nightly@1: 30 rows, 30 new")
    page = prefect.artifacts(first["id"])
    assert set(page) == {"progress", "funnel", "scores", "novelty", "card", "viewer"}
    assert "http://127.0.0.1:1/d/nightly/1" in page["viewer"]
    assert page["progress"] == 100
    assert next(row["stage"] for row in json.loads(page["funnel"])) == "bootstrap"
    assert page["scores"].startswith("![Scores")
    assert "](data:image/svg+xml;base64," in page["scores"]
    assert "# nightly" in page["card"]
    assert "task_categories" not in page["card"]  # what the Hub reads off it
    tasks = prefect.post("/task_runs/filter", {"task_runs": {"flow_run_id": {"any_": [first["id"]]}}})
    assert {task["name"] for task in tasks} == {"plan-nightly", "to-15-rows", "to-30-rows", "publish-nightly"}


@pytest.mark.parametrize(("field", "value"), [("add", 0), ("base_url", ["http://user:secret@127.0.0.1:8000/v1"])])
def test_bad_parameters_never_become_a_run(prefect: Prefect, field: str, value: object) -> None:
    """A number out of range, a secret (test_parts.py has more): refused by name, and no run exists."""
    deployment = prefect.post("/deployments/name/extend/on-demand", None)["id"]
    bad = prefect.run("deployment", "run", "extend/on-demand", *flags(extension={"dataset": "x", field: value}))
    assert bad.returncode != 0
    assert field in bad.stdout + bad.stderr
    begun = prefect.post("/flow_runs/filter", {"flow_runs": {"deployment_id": {"any_": [deployment]}}})
    assert all(run["parameters"]["extension"]["dataset"] == "odd" for run in begun)


def test_cancelling_drains(prefect: Prefect, killed: str, tmp_path: Path) -> None:
    """The run ends Cancelled and gives its slot back; all answers that came are kept, and going on asks for none of them again."""
    assert killed
    folder = prefect.checkout / "runs/drained"
    forms = [
        f"stages.{stage}.format=json" for stage in ("bootstrap", "instances", "judge")
    ]  # no trial: it gives calls up
    with Server(tmp_path / "log.jsonl", latency_ms=1000) as server:
        order = {"dataset": "drained", "add": 30, "chunk": 30, "base_url": [server.base_url], "guard": "vllm"}
        run = prefect.start("generate/on-demand", generation={**order, "settings": ["concurrency=16", *forms]})
        prefect.wait("answers", lambda: len(server.entries()) > 40, 180)
        prefect.call("flow-run", "cancel", run)
        assert prefect.ended(run)[:2] == ("CANCELLED", "Cancelled")
        with read_run(folder) as store:
            assert store.get_meta()["ended"] == "interrupted"
            asked = len(server.entries())
            assert store.usage()[0] == asked  # what was under way came, too
        flags = {"engines.writer.base_url": [server.base_url]}
        recipe = recipes.load("chat", sets=["concurrency=64", *forms], flags=flags, environment={})
        pipeline.run_sync(recipe, folder, target=30)
        keys = [entry["id"] + entry["digest"] for entry in server.entries()]
    assert len(keys) == len(set(keys))
    assert len(keys) > asked
    assert prefect.post("/v2/concurrency_limits/vllm", None)["active_slots"] <= 1  # the nightly run may hold one


def test_a_night_that_differs_is_alarming(prefect: Prefect, killed: str) -> None:
    """What crosses a limit does not stop the night: it is published, and state, event and message say what to look at."""
    assert killed
    place = prefect.checkout / "catalogue"
    folder = prefect.checkout / "runs/odd-1"
    pipeline.run_sync(recipes.load("demo", environment={}), folder, target=40)
    publish_run(folder, "odd", str(place), trial=True)
    order = {"dataset": "odd", "add": 40, "recipe": "demo", "new_lineage": True}
    run = prefect.start("extend/on-demand", extension={**order, "settings": ["engines.writer.near_duplicates=0.9"]})
    kind, name, message = prefect.ended(run)
    assert (kind, name) == ("COMPLETED", "Alarming")
    assert message.startswith("odd@2: 80 rows, 40 new; ")
    assert "duplicates: " in message

    def told() -> list[dict[str, Any]]:
        found = prefect.events("selfinstruct.dataset.alarm")
        return [event for event in found if event["resource"]["prefect.resource.id"] == "selfinstruct.dataset.odd"]

    [event] = prefect.wait("the event", told, 60)
    assert (event["payload"]["version"], event["payload"]["rows"]) == (2, 80)
    assert "; ".join(event["payload"]["alarms"]) in message
    assert "diff" in prefect.artifacts(run)


def test_what_cannot_be_is_told_in_our_words(prefect: Prefect, killed: str) -> None:
    """A night that the library refuses is Failed with what happened and what mends it; no traceback stands in its log."""
    assert killed
    unguarded = prefect.start("extend/on-demand", extension={"dataset": "odd", "recipe": "demo", "guard": "absent"})
    run = prefect.start("publish/on-demand", publication={"dataset": "none", "run": "runs/none"})
    kind, _, message = prefect.ended(run)
    assert kind == "FAILED"
    assert message.startswith("no run in runs/none")
    assert "; try: " in message
    kind, _, other = prefect.ended(unguarded)
    assert kind == "FAILED"
    assert "prefect gcl create" in other

    def both() -> list[dict[str, Any]]:
        found = prefect.events("selfinstruct.dataset.failed")
        return found if len(found) > 1 else []

    told = {event["payload"]["dataset"]: event["payload"]["message"] for event in prefect.wait("both events", both, 60)}
    assert told == {"none": message, "odd": other}
    logs = prefect.post("/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}})
    assert not [line["message"] for line in logs if "Traceback" in line["message"]]


def test_three_nights(prefect: Prefect, killed: str) -> None:
    """Killed with its worker, the second night is gone on with: three versions, 30, 60, 90 rows, none lost and none twice.

    Until the automation has found the killed run out, scheduled ones give way to it.
    """
    prefect.wait("version 3", lambda: version(prefect, 3), 600)
    assert prefect.state(killed)[0] == "CRASHED"
    assert "no sign of life" in prefect.state(killed)[2]
    nights = prefect.runs(name={"any_": ["nightly-plus-30"]})
    gave_way = prefect.runs(
        state={"name": {"any_": ["Cancelled"]}}, deployment_id={"any_": [nights[0]["deployment_id"]]}
    )
    assert gave_way
    assert all("concurrency limit" in run["state"]["message"] for run in gave_way)
    for number in (1, 2, 3):
        made = version(prefect, number)
        assert made is not None
        assert list(verify_version(made.catalogue, made.manifest.ref)) == []
        rows = [row["id"] for row in made.rows("sft")]
        assert len(rows) == len(set(rows)) == made.manifest.rows["sft"] == 30 * number
        assert ("diff.md" in made.manifest.files) == (number > 1)
        folder = prefect.checkout / f"runs/nightly-{number}"
        assert list(verify(folder)) == []
        with open_stored(folder) as run:
            assert run.accounts().ledger.accepted == 30
    last = version(prefect, 3)
    assert last is not None
    assert [row["version"] for row in last.rows("sft")] == [1] * 30 + [2] * 30 + [3] * 30
    assert len(prefect.events("selfinstruct.dataset.published")) >= 3


def test_a_server_killed_in_mid_run(prefect: Prefect, killed: str, tmp_path: Path) -> None:
    """The run goes on without it, and is told to be Completed once there is a server again."""
    assert killed
    with Server(tmp_path / "log.jsonl", latency_ms=300) as server:
        order = {"dataset": "orphan", "add": 20, "chunk": 10, "base_url": [server.base_url]}
        run = prefect.start("generate/on-demand", generation={**order, "settings": ["concurrency=8"]})
        prefect.wait("answers", lambda: len(server.entries()) > 20, 180)
        prefect.kill(prefect.server)
        before = len(server.entries())
        prefect.wait("more answers", lambda: len(server.entries()) > before, 60)
        prefect.serve()
        assert prefect.ended(run) == ("COMPLETED", "Completed", "20 of 20 rows")
    assert list(verify(prefect.checkout / "runs/orphan")) == []
