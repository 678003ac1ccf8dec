"""A real Prefect server and process worker: the deployments are deployed, a scheduled run comes by itself and leaves its export.

`make test-prefect`. This is also what holds the version caps of the flows extra: with SQLAlchemy 2.1 beside Prefect 3.8
flows run and nothing is ever scheduled.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.timeout(600)
PREFECT = Path(sys.executable).parent / "prefect"


class Prefect:
    """A server with its own home on a free port, and a worker of pool `local` in a copy of the flows."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.api = f"http://127.0.0.1:{self.port}/api"
        self.checkout = folder / "checkout"
        self.log = (folder / "prefect.log").open("w+", encoding="utf-8")
        self.environment = {
            **os.environ,
            "PREFECT_HOME": str(folder / "home"),
            "PREFECT_API_URL": self.api,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_LOGGING_LEVEL": "INFO",
        }
        self.processes: list[subprocess.Popen[str]] = []

    def spawn(self, *command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [str(PREFECT), *command],
            cwd=self.checkout,
            env=self.environment,
            stdout=self.log,
            stderr=self.log,
            text=True,
        )
        self.processes.append(process)
        return process

    def call(self, *command: str) -> str:
        done = subprocess.run(
            [str(PREFECT), *command],
            cwd=self.checkout, env=self.environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own loopback server
            self.api + path, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
        )
        for _ in range(20):  # while the server catches up with its own bookkeeping it answers 503
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                    return json.load(answer)
            except urllib.error.URLError:
                time.sleep(1)
        msg = f"{path} never answered"
        raise AssertionError(msg)

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.api}/health", timeout=5) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def tail(self) -> str:
        self.log.flush()
        return Path(self.log.name).read_text(encoding="utf-8")[-4000:]


def wait_for(what: str, found: Any, prefect: Prefect, seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s\n{prefect.tail()}"
        time.sleep(1)
    return result


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    folder = tmp_path_factory.mktemp("prefect")
    running = Prefect(folder)
    running.checkout.mkdir()
    shutil.copytree(ROOT / "flows", running.checkout / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    # The shipped file, on the demo recipe and every minute: a test cannot wait for two in the morning.
    text = (ROOT / "prefect.yaml").read_text(encoding="utf-8")
    text = re.sub(r'cron: "0 2 \* \* \*"', 'cron: "* * * * *"', text)
    text = (
        text.replace("recipe: chat", "recipe: demo, chunk: 15")
        .replace("add: 1000", "add: 30")
        .replace("add: 100,", "add: 20,")
    )
    (running.checkout / "prefect.yaml").write_text(text, encoding="utf-8")
    running.spawn("server", "start", "--host", "127.0.0.1", "--port", str(running.port), "--no-ui")
    wait_for("the server", running.healthy, running, 120)
    running.call("work-pool", "create", "local", "--type", "process")
    running.call("--no-prompt", "deploy", "--all")
    running.spawn("worker", "start", "--pool", "local")
    yield running
    for process in reversed(running.processes):
        process.terminate()
    for process in reversed(running.processes):
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    running.log.close()


def test_a_scheduled_run_comes_by_itself(prefect: Prefect) -> None:
    """Nobody starts it: within three minutes a run of the nightly deployment has finished, and its export is there."""

    def completed() -> list[dict[str, Any]]:
        runs = prefect.post("/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}})
        return [run for run in runs if run["auto_scheduled"]]

    run = wait_for("a scheduled run", completed, prefect, 200)[0]
    assert run["name"] == "nightly-plus-30"
    rows = (prefect.checkout / "runs/nightly/exports/messages/train.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) >= 30
    artifacts = prefect.post("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}})
    assert {one["key"] for one in artifacts} == {"progress", "funnel", "scores"}
    funnel = next(one for one in artifacts if one["key"] == "funnel")
    assert next(row["stage"] for row in json.loads(funnel["data"])) == "bootstrap"
    tasks = prefect.post("/task_runs/filter", {"task_runs": {"flow_run_id": {"any_": [run["id"]]}}})
    assert len(tasks) == 2  # 30 rows in chunks of 15


def test_on_demand_grows_and_bad_parameters_are_refused(prefect: Prefect) -> None:
    """Asked for twice, the dataset has twice the rows; a number out of range never becomes a run."""
    for rows in (20, 40):
        prefect.call("deployment", "run", "generate/on-demand", "--watch")
        text = (prefect.checkout / "runs/on-demand/exports/messages/train.jsonl").read_text(encoding="utf-8")
        assert len(text.splitlines()) == rows
    bad = subprocess.run(
        [str(PREFECT), "deployment", "run", "generate/on-demand", "-p", 'generation={"dataset": "../up", "add": 0}'],
        cwd=prefect.checkout, env=prefect.environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert bad.returncode != 0
    assert "generation.dataset" in bad.stdout + bad.stderr
